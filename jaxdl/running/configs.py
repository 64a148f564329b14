"""Configs as keys, and those that have certain values; 1, 1.0 and True are different values."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jaxdl.checks import brief, unknown


def config_key(config: Mapping, names: Iterable[str] | None = None) -> tuple:
    """Makes a dictionary key of a config.

    Args:
      names: those that count, in order; all by default, in whatever order the config has them.

    >>> config_key({"a": 1, "b": 2}) == config_key({"b": 2, "a": 1})
    True
    >>> config_key({"a": 1}) == config_key({"a": 1.0})
    False
    """
    key = []
    for name in sorted(config) if names is None else names:
        value = config[name]
        key.append((name, type(value).__name__, value))
    return tuple(key)


def match(configs: Sequence[dict], wanted: Mapping) -> list[dict]:
    """Finds the configs that have the wanted values.

    A value of another type is the wanted one only where none is of the same type: 1 finds 1.0, but
    not in a run that has both.

    Raises:
      ValueError: no dict, several values of a name, or a name that configs do not have.

    >>> match([{"rate": 1.0}], {"rate": 1})
    [{'rate': 1.0}]
    >>> match([{"rate": 1.0}, {"rate": 1}], {"rate": 1})
    [{'rate': 1}]
    """
    if not isinstance(wanted, Mapping):
        raise ValueError(f"config must be a dict of name -> value, got {brief(wanted)}")
    fitting = list(configs)
    for name, value in wanted.items():
        if getattr(value, "shape", ()):
            raise ValueError(f"config must hold one value of {name}, got {brief(value)}")
        if configs and name not in configs[0]:
            raise unknown("axis", name, configs[0])
        fitting = [config for config in fitting if config[name] == value]
    # Only now: a config that differs in another name says nothing on what a value means.
    for name, value in wanted.items():
        plain = value.item() if isinstance(value, np.generic) else value
        kind = type(plain)
        same_kind = [config for config in fitting if type(config[name]) is kind]
        fitting = same_kind or fitting
    return fitting
