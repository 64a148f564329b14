"""Finds configs by their values."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxdl.checks import brief, unknown


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
