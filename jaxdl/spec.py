"""What a study declares, checked and resolved: its configs, and the settings that each of them has."""

import itertools
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import integer, one_of, positive_int, positive_number, unknown
from jaxdl.hp import Hyperparameters
from jaxdl.tasks import SAMPLINGS
from jaxdl.train import REDUCTIONS

SETTINGS = ("batch_size", "steps", "eval_every", "reduction", "sampling")


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


def declare(task, model, optimizer, settings, record, defaults, sweep, seeds) -> Spec:
    """Checks a study's arguments and spreads its sweep into configs.

    Raises:
      ValueError: a line that names the parameter, the allowed range and the value given.
    """
    defaults = dict(defaults or {})
    choices, configs = _spread(sweep)
    axes = tuple(configs[0])
    for config in configs:
        for name, value in {**defaults, **config}.items():
            check_value(name, choices.get(name, {}).get(value, value) if name in choices else value)
    for name, value in settings.items():
        if value is not None and not callable(value):
            check_value(name, value)
    if (missing := settings["steps"]) is None and "steps" not in {*defaults, *axes}:
        raise ValueError(f"steps must be a positive integer, got {missing!r}")
    return Spec(task, model, optimizer, settings, dict(record or {}), defaults, axes, configs, choices, seed_list(seeds))


def _spread(sweep) -> tuple[dict, tuple[dict, ...]]:
    """The labelled choices and the configs of a sweep: a product of values, or a list of configs."""
    if sweep is None:
        return {}, ({},)
    if isinstance(sweep, Mapping):
        return _product(sweep)
    configs = [dict(config) for config in sweep]
    if not configs:
        raise ValueError("sweep must hold at least one config, got an empty list")
    for config in configs:
        if set(config) != set(configs[0]):
            raise ValueError(
                f"sweep must name the same hyper-parameters in every config, got {sorted(configs[0])} and {sorted(config)}"
            )
    configs = [{name: _plain(name, config[name]) for name in configs[0]} for config in configs]
    unique = list({tuple(config.items()): config for config in configs}.values())
    return {}, tuple(unique)


def _product(sweep: Mapping) -> tuple[dict, tuple[dict, ...]]:
    choices = {name: dict(values) for name, values in sweep.items() if isinstance(values, Mapping)}
    columns = []
    for name, values in sweep.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"sweep of {name} must be a list of values, got {values!r}")
        column = list(dict.fromkeys(_plain(name, value) for value in values))
        if not column:
            raise ValueError(f"sweep of {name} must hold at least one value, got {values!r}")
        columns.append(column)
    return choices, tuple(dict(zip(sweep, values, strict=True)) for values in itertools.product(*columns))


def _plain(name: str, value):
    """A swept value as a Python number, string, bool or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if callable(value):
        raise ValueError(f"sweep of {name} holds a function: give functions a label, as in {{{name!r}: {{'label': function}}}}")
    if not isinstance(value, (str, bool, numbers.Real, type(None))):
        raise ValueError(f"sweep of {name} must hold numbers, strings, bools or None, got {value!r}")
    return value


def check_value(name: str, value):
    """Checks the value of a name with a known meaning; a ValueError if it is out of range."""
    if callable(value):
        return
    if name == "learning_rate":
        positive_number(name, value)
    elif name in ("batch_size", "steps", "eval_every", "width"):
        if value is not None or name in ("steps", "width"):
            positive_int(name, value)
    elif name == "reduction":
        one_of(name, value, REDUCTIONS)
    elif name == "sampling":
        one_of(name, value, SAMPLINGS)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number (or None), got {value!r}")


def seed_list(seeds) -> tuple[int, ...]:
    """Seeds as ints: a positive number of them (0, 1, ...), or the seeds themselves, each in [0, 2**32)."""
    if integer(seeds) or not isinstance(seeds, (Sequence, np.ndarray, range)) or isinstance(seeds, str):
        return tuple(range(positive_int("seeds", seeds)))
    found = tuple(dict.fromkeys(seeds))
    if not found:
        raise ValueError(f"seeds must hold at least one seed, got {seeds!r}")
    for seed in found:
        if not integer(seed) or not 0 <= seed < 2**32:
            raise ValueError(f"seeds must be integers from 0 to 4294967295, got {seed!r}")
    return tuple(int(seed) for seed in found)


def values_of(spec: Spec, config: dict) -> dict:
    """All names a config's functions can read, with concrete values (labels replaced by their functions)."""
    named = {name: spec.choices[name][value] if name in spec.choices else value for name, value in config.items()}
    plain = {name: value for name, value in spec.settings.items() if value is not None and not callable(value)}
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
            value = value(Hyperparameters(values, read))
            check_value(name, value)
        found[name] = value
    if found["eval_every"] is None:
        found["eval_every"] = max(1, found["steps"] // 50)
    return {name: int(value) if integer(value) else value for name, value in found.items()}


def check_read(spec: Spec, read: set):
    """Raises for a swept name that no function of hp has read."""
    known = {*spec.axes, *spec.defaults}
    for name in spec.axes:
        if name not in read and name not in SETTINGS:
            raise unknown("hyper-parameter", name, sorted((known & read) | set(SETTINGS) - {name}))
