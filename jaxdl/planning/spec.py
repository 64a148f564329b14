"""What a study declares, checked and resolved: its configs, and the settings that each of them
has."""

import itertools
import keyword
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.batches import SAMPLINGS
from jaxdl.checks import brief, function_of, integer, mapping, one_of, positive_int, unknown
from jaxdl.parts import check_part
from jaxdl.planning.hp import Hyperparameters, at
from jaxdl.train import (
    MOST_STEPS,
    REDUCTIONS,
    check_eval_params,
    check_eval_train_rows,
    check_norm_bound,
    check_record,
)

SETTINGS = ("batch_size", "steps", "eval_every", "reduction", "sampling")
MOST_SEEDS = 2**32  # a seed is a uint32
LANE_COLUMNS = (
    "seed",
    "status",
    "diverged_at",
    "lane",
)  # what a row of lanes has beside the swept names
SMALLEST = float(np.finfo(np.float32).tiny)


class Spec(NamedTuple):
    """A study as plain values."""

    task: Any
    model: Any
    optimizer: Any
    settings: dict[str, Any]  # name -> value or function of hp
    record: dict[str, Callable]
    defaults: dict[str, Any]
    axes: tuple[str, ...]  # the swept names, in declared order
    configs: tuple[dict, ...]  # values of the swept names
    choices: dict[str, dict]  # swept callables: name -> label -> callable
    seeds: tuple[int, ...]
    eval_params: Callable | None = None
    norm_bound: float = math.inf
    eval_train_rows: int | None = None


def declare(
    task,
    model,
    optimizer,
    settings,
    record,
    defaults,
    sweep,
    seeds,
    eval_params,
    norm_bound,
    eval_train_rows=None,
) -> Spec:
    """Checks a study's arguments and spreads its sweep into configs.

    Raises:
      ValueError: a line that names the parameter, the allowed range and the value given.
    """
    for name, part in (("task", task), ("model", model), ("optimizer", optimizer)):
        check_part(name, part)
    defaults = mapping("defaults", defaults, "hyper-parameter -> value")
    record = mapping("record", record, "name -> function (StepInfo) -> scalar")
    choices, configs = _spread(sweep)
    axes = tuple(configs[0])
    for name in (*axes, *defaults):
        check_axis_name(name)
    _check_given_once(settings, defaults, axes)
    for config in configs:
        for name, value in {**defaults, **config}.items():
            check_value(name, choices.get(name, {}).get(value, value) if name in choices else value)
    for name, value in settings.items():
        if value is not None:
            check_value(name, value)
    if settings["steps"] is None and "steps" not in {*defaults, *axes}:
        raise ValueError("steps must be a positive integer, got None")
    check_eval_params(eval_params)
    check_record(record)
    check_norm_bound(norm_bound)
    check_eval_train_rows(eval_train_rows)
    return Spec(
        task=task,
        model=model,
        optimizer=optimizer,
        settings=settings,
        record=record,
        defaults=defaults,
        axes=axes,
        configs=configs,
        choices=choices,
        seeds=seed_list(seeds),
        eval_params=eval_params,
        norm_bound=norm_bound,
        eval_train_rows=eval_train_rows,
    )


def check_axis_name(name):
    """Refuses a hyper-parameter that ``hp.name`` cannot read, or whose column lanes have for
    something else."""
    if (
        not isinstance(name, str)
        or not name.isidentifier()
        or keyword.iskeyword(name)
        or name.startswith("_")
    ):
        raise ValueError(
            f"a hyper-parameter must be named as hp.NAME can read it, got {brief(name)}"
        )
    if name in LANE_COLUMNS:
        listed = ", ".join(LANE_COLUMNS)
        raise ValueError(
            f"a hyper-parameter must not be called as a column of lanes ({listed}), got "
            f"{brief(name)}"
        )


def _check_given_once(settings: dict, defaults: dict, axes: tuple[str, ...]):
    """Refuses a setting that stands in two places with two values: one of them would be ignored."""
    for name, value in settings.items():
        if value is None:
            continue
        if name in axes:
            raise ValueError(
                f"{name} must be given once, got {brief(value)} as an argument and values in sweep"
            )
        if name in defaults and (type(value), value) != (type(defaults[name]), defaults[name]):
            raise ValueError(
                f"{name} must be given once, got {value!r} as an argument and {defaults[name]!r} "
                "in defaults"
            )


def _spread(sweep) -> tuple[dict, tuple[dict, ...]]:
    """The labelled choices and the configs of a sweep: a product of values, or a list of
    configs."""
    if sweep is None:
        return {}, ({},)
    if isinstance(sweep, Mapping):
        return _product(sweep)
    if not _is_listing(sweep) or hasattr(sweep, "dtype"):
        raise ValueError(
            f"sweep must be a dict of name -> values, or a list of configs, got {brief(sweep)}"
        )
    return {}, _listed(list(sweep))


def _is_listing(values) -> bool:
    """Whether values can be gone through one by one; a text or a matrix is no list of them."""
    listing = isinstance(values, Iterable) and not isinstance(values, (str, bytes))
    return listing and getattr(values, "ndim", 1) == 1


def _listed(configs: list) -> tuple[dict, ...]:
    """The distinct configs of a list."""
    if not configs:
        raise ValueError("sweep must hold at least one config, got an empty list")
    for config in configs:
        if not isinstance(config, Mapping):
            raise ValueError(f"sweep must be a list of configs, each a dict, got {brief(config)}")
        if set(config) != set(configs[0]):
            names = f"{sorted(map(str, configs[0]))} and {sorted(map(str, config))}"
            raise ValueError(
                f"sweep must name the same hyper-parameters in every config, got {names}"
            )
    axes = list(configs[0])
    columns = {name: [_plain(name, config[name]) for config in configs] for name in axes}
    for name, column in columns.items():
        _check_distinct(name, column)
    rows = [dict(zip(axes, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return tuple({tuple(row.items()): row for row in rows}.values()) if axes else ({},)


def _product(sweep: Mapping) -> tuple[dict, tuple[dict, ...]]:
    choices = {name: dict(values) for name, values in sweep.items() if isinstance(values, Mapping)}
    columns = []
    for name, values in sweep.items():
        if not _is_listing(values):
            raise ValueError(f"sweep of {name} must be a list of values, got {brief(values)}")
        column = [_plain(name, value) for value in values]
        if not column:
            raise ValueError(f"sweep of {name} must hold at least one value, got {brief(values)}")
        _check_distinct(name, column)
        columns.append(list(dict.fromkeys(column)))
    return choices, tuple(
        dict(zip(sweep, values, strict=True)) for values in itertools.product(*columns)
    )


def _plain(name: str, value):
    """A swept value as a Python number, string, bool or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if callable(value):
        raise ValueError(
            f"sweep of {name} holds a function: give functions a label, as in {{{name!r}: "
            f"{{'label': function}}}}"
        )
    if not isinstance(value, (str, bool, int, float, type(None))):
        raise ValueError(
            f"sweep of {name} must hold numbers, strings, bools or None, got {brief(value)}"
        )
    return value


def _check_distinct(name: str, column: list):
    """Refuses values that are told apart here and are one and the same to Python or to a
    float32."""
    kinds: dict[Any, Any] = {}
    singles: dict[float, Any] = {}
    for value in column:
        other = kinds.setdefault(value, value)
        if integer(value) and abs(value) > int(np.finfo(np.float32).max):
            raise ValueError(
                f"sweep of {name} must hold numbers that a float32 holds, got {brief(value)}"
            )
        if type(other) is not type(value):
            raise ValueError(
                f"sweep of {name} must hold values that differ, got {other!r} and {value!r}, which "
                "are equal"
            )
        if not isinstance(value, float):
            continue
        _check_float32(name, value)
        other = singles.setdefault(float(np.float32(value)), value)
        if other != value:
            raise ValueError(
                f"sweep of {name} must hold values that differ, got {other!r} and {value!r}, which "
                "are one float32"
            )


def _check_float32(name: str, value: float):
    """Refuses a float that float32 arithmetic takes for another: NaN, zero, or infinity."""
    if math.isnan(value):
        raise ValueError(f"sweep of {name} must hold numbers (None says none), got nan")
    if value != 0 and abs(value) < SMALLEST:
        raise ValueError(
            f"sweep of {name} must hold 0 or numbers from {SMALLEST:.3g} up, got {value!r}, which "
            "float32 takes for 0"
        )
    if math.isfinite(value) and abs(value) > float(np.finfo(np.float32).max):
        raise ValueError(
            f"sweep of {name} must hold numbers that a float32 holds, got {brief(value)}"
        )


def check_value(name: str, value):
    """Checks the value of a setting; a ValueError if it is out of range. Other names mean what the
    user says."""
    if callable(value):
        if name in SETTINGS:
            function_of(name, value, "of hp alone", None)
        return
    if name in ("steps", "eval_every"):
        if value is not None or name == "steps":
            positive_int(name, value, most=MOST_STEPS)
    elif name == "batch_size":
        if value is not None:
            positive_int(name, value)
    elif name == "reduction":
        one_of(name, value, REDUCTIONS)
    elif name == "sampling":
        if value is not None:
            one_of(name, value, SAMPLINGS)
    elif isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{name} must be a number (None says none), got nan")


def seed_list(seeds) -> tuple[int, ...]:
    """Seeds as ints: a positive number of them (0, 1, ...), or the seeds themselves, each in [0,
    2**32)."""
    if integer(seeds):
        most = MOST_SEEDS if seeds > MOST_SEEDS else None  # for a plain message where it is below 1
        return tuple(range(positive_int("seeds", seeds, most)))
    listed = isinstance(seeds, Sequence) or (isinstance(seeds, np.ndarray) and seeds.ndim == 1)
    if not listed or isinstance(seeds, (str, bytes)):
        raise ValueError(
            f"seeds must be a positive integer, or a sequence of integers, got {brief(seeds)}"
        )
    if not len(seeds):
        raise ValueError(f"seeds must hold at least one seed, got {brief(seeds)}")
    for seed in seeds:
        if not integer(seed) or not 0 <= seed < 2**32:
            raise ValueError(f"seeds must be integers from 0 to 4294967295, got {brief(seed)}")
    return tuple(dict.fromkeys(int(seed) for seed in seeds))


def values_of(spec: Spec, config: dict) -> dict:
    """All names a config's functions can read, with concrete values (labels replaced by their
    functions)."""
    named = {
        name: spec.choices[name][value] if name in spec.choices else value
        for name, value in config.items()
    }
    plain = {
        name: value
        for name, value in spec.settings.items()
        if value is not None and not callable(value)
    }
    return {**plain, **spec.defaults, **named}


def settings_of(spec: Spec, config: dict, read: set | None = None) -> dict:
    """The settings of a config with concrete values; batch_size None means all rows.

    A name in the sweep or the defaults goes before Study's argument, which may be a function of hp.
    """
    values = values_of(spec, config)
    found = {}
    for name in SETTINGS:
        value = spec.settings[name]
        if name in config or name in spec.defaults:
            value = values[name]
        if callable(value):
            with at(config):
                value = _called(name, value, Hyperparameters(values, read))
        found[name] = value
    found["reduction"] = found["reduction"] or "mean"
    if found["eval_every"] is None:
        found["eval_every"] = max(1, found["steps"] // 50)
    return {name: int(value) if integer(value) else value for name, value in found.items()}


def _called(name: str, function: Callable, hp: Hyperparameters):
    """The value of a setting that is a function of hp."""
    value = function(hp)
    if callable(value):
        given = f"one that returns {brief(value)}"
        raise ValueError(f"{name} must be a function of hp that returns a value, got {given}")
    check_value(name, value)
    return value


def check_read(spec: Spec, read: set):
    """Raises for a name, swept or a default, that no function of hp has read: it would be
    ignored."""
    known = {*spec.axes, *spec.defaults}
    for name in (*spec.axes, *spec.defaults):
        if name not in read and name not in SETTINGS:
            raise unknown("hyper-parameter", name, sorted((known & read) | set(SETTINGS) - {name}))
