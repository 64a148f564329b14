"""What a study declares, checked: its parts, its complete configs, its seeds."""

import keyword
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxdl.checks import brief, flag, mapping, unknown
from jaxdl.parts import check_part
from jaxdl.planning.config import SETTINGS, Config, Names, check_value, complete, config_key
from jaxdl.planning.seeds import Seed, Seeds, seed_list
from jaxdl.planning.sweep import Values, spread
from jaxdl.sampling import STREAMS
from jaxdl.train import (
    check_accumulate,
    check_eval_params,
    check_eval_train_rows,
    check_norm_bound,
    check_record,
)

LANE_COLUMNS = ("seed", "status", "diverged_at", "lane")  # of a row of lanes, beside swept names
STREAM_COLUMNS = tuple(f"seed_{name}" for name in STREAMS)  # of a study with a seed a stream


class Parts(NamedTuple):
    """What every config of a study is made from; the first three are values or functions of hp."""

    task: Any
    model: Any
    optimizer: Any
    record: dict[str, Callable]
    eval_params: Callable | None
    norm_bound: float
    eval_train_rows: int | None
    accumulate: int
    rewrite_convolutions: bool
    names: Names  # what hp can read beside the swept values
    seed_shape: tuple[int, ...] = ()  # of a lane's seed: one number, or one a stream


class Spec(NamedTuple):
    """A study as plain values."""

    parts: Parts
    axes: tuple[str, ...]  # the swept names, in declared order
    configs: tuple[Config, ...]
    seeds: tuple[Seed, ...]
    read: frozenset[str] = frozenset()  # names that the settings have read


def declare(
    task,
    model,
    optimizer,
    settings: dict[str, Any],
    record,
    defaults,
    sweep,
    seeds,
    eval_params: Callable | None,
    norm_bound: float,
    eval_train_rows: int | None = None,
    accumulate: int = 1,
    rewrite_convolutions: bool = True,
) -> Spec:
    """Checks a study's arguments and spreads its sweep into complete configs.

    Args:
      settings: name -> value, function of hp, or None, of each of `config.SETTINGS`.
      task, model, optimizer, record, defaults, sweep, seeds, eval_params, norm_bound,
        eval_train_rows, accumulate, rewrite_convolutions: see `jaxdl.Study`.

    Raises:
      ValueError: a line that names the parameter, the allowed range and the value given.
    """
    for name, part in (("task", task), ("model", model), ("optimizer", optimizer)):
        check_part(name, part)
    defaults = mapping("defaults", defaults, "hyper-parameter -> value")
    record = mapping("record", record, "name -> function (StepInfo) -> scalar")
    choices, values = spread(sweep)
    axes = tuple(values[0])
    names = Names(settings, defaults, choices)
    _check_names(names, axes)
    _check_values(names, values)
    check_eval_params(eval_params)
    check_record(record)
    check_norm_bound(norm_bound)
    check_eval_train_rows(eval_train_rows)
    check_accumulate(accumulate)
    by_stream = isinstance(seeds, Seeds)
    if by_stream:
        _check_columns(axes)
    seeds = seed_list(seeds)
    read: set[str] = set()
    configs = tuple(complete(names, each, read) for each in values)
    parts = Parts(
        task=task,
        model=model,
        optimizer=optimizer,
        record=record,
        eval_params=eval_params,
        norm_bound=norm_bound,
        eval_train_rows=eval_train_rows,
        accumulate=accumulate,
        rewrite_convolutions=flag("rewrite_convolutions", rewrite_convolutions),
        names=names,
        seed_shape=(len(STREAMS),) if by_stream else (),
    )
    return Spec(parts, axes, configs, seeds, frozenset(read))


def config_finder(spec: Spec) -> Callable[[Values], Config]:
    """Makes the function that completes values: to the study's own config, where it has one.

    Values that the study does not sweep, as a run that was grown by others holds them, are
    completed by its settings; what those raise there is raised.
    """
    known = {config_key(config.values): config for config in spec.configs}

    def find(values: Values) -> Config:
        config = known.get(config_key(values))
        return complete(spec.parts.names, values) if config is None else config

    return find


def check_axis_name(name):
    """Refuses a hyper-parameter that ``hp.name`` cannot read, or that lanes have a column for.

    Raises:
      ValueError: naming it.
    """
    readable = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    if not readable or name.startswith("_"):
        raise ValueError(
            f"a hyper-parameter must be named as hp.NAME can read it, got {brief(name)}"
        )
    if name in LANE_COLUMNS:
        listed = ", ".join(LANE_COLUMNS)
        raise ValueError(
            f"a hyper-parameter must not be called as a column of lanes ({listed}), got "
            f"{brief(name)}"
        )


def _check_columns(axes: tuple[str, ...]):
    """Refuses a swept name that lanes with a seed a stream have a column for."""
    for name in axes:
        if name in STREAM_COLUMNS:
            raise ValueError(
                f"a hyper-parameter must not be called as a column of lanes, got {brief(name)} "
                "beside seeds of streams"
            )


def _check_names(names: Names, axes: tuple[str, ...]):
    """Refuses names that cannot be read, and a setting that stands in two places.

    Of two values one would be ignored; a default that repeats its argument is let pass.
    """
    for name in (*axes, *names.defaults):
        check_axis_name(name)
    for name, value in names.settings.items():
        if value is None:
            continue
        if name in axes:
            raise ValueError(
                f"{name} must be given once, got {brief(value)} as an argument and values in sweep"
            )
        default = names.defaults.get(name, value)
        if (type(value), value) != (type(default), default):
            raise ValueError(
                f"{name} must be given once, got {value!r} as an argument and {default!r} "
                "in defaults"
            )


def _check_values(names: Names, values: tuple[Values, ...]):
    """Refuses a value out of range, wherever it stands."""
    for swept in values:
        for name, value in {**names.defaults, **swept}.items():
            check_value(name, names.meaning(name, value))
    for name, value in names.settings.items():
        if value is not None:
            check_value(name, value)
    if names.settings["steps"] is None and "steps" not in {*names.defaults, *values[0]}:
        raise ValueError("steps must be a positive integer, got None")


def check_read(spec: Spec, read: set[str]):
    """Refuses a name, swept or a default, that no function of hp has read: it would be ignored.

    Raises:
      UnknownName: with the nearest name that something reads.
    """
    known = {*spec.axes, *spec.parts.names.defaults}
    for name in (*spec.axes, *spec.parts.names.defaults):
        if name not in read and name not in SETTINGS:
            readable = (known & read) | set(SETTINGS) - {name}
            raise unknown("hyper-parameter", name, sorted(readable))
