"""A config: one combination of hyper-parameter values, complete with the settings that follow.

A setting may be a function of ``hp``. It is called here, once a config as a study is declared;
whatever comes later reads the answer.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from jaxdl.batches import SAMPLINGS
from jaxdl.checks import brief, function_of, integer, one_of, positive_int
from jaxdl.planning.hp import Hyperparameters, at
from jaxdl.train import MOST_STEPS, REDUCTIONS, Schedule

SETTINGS = ("batch_size", "steps", "eval_every", "reduction", "sampling")
EVALUATIONS = 50  # of a lane, beside the one at its start, where nothing is said


class Config(NamedTuple):
    """One combination of hyper-parameter values, with the settings and the schedule it trains by.

    Attributes:
      values: of the swept names, as declared; a swept function is its label.
      settings: a value for each of `SETTINGS`; batch_size None means all training rows.
      schedule: the steps and eval_every among the settings.
    """

    values: dict[str, Any]
    settings: dict[str, Any]
    schedule: Schedule

    def value(self, name: str) -> Any:
        """Returns the value of an axis: a swept name, or a setting that differs between configs."""
        return self.values[name] if name in self.values else self.settings[name]


class Names(NamedTuple):
    """What the names that ``hp`` reads stand for, beside the swept values themselves."""

    settings: dict[str, Any]  # as given: values, functions of hp, or None where nothing is said
    defaults: dict[str, Any]
    choices: dict[str, dict[str, Callable]]  # swept functions: name -> label -> function

    def readable(self, values: dict[str, Any]) -> dict[str, Any]:
        """Returns all that a config's functions can read, labels replaced by their functions."""
        readable = {}
        for name, value in self.settings.items():
            if value is not None and not callable(value):
                readable[name] = value
        readable.update(self.defaults)
        for name, value in values.items():
            readable[name] = self.meaning(name, value)
        return readable

    def meaning(self, name: str, value) -> Any:
        """Returns what a swept value stands for: a label's function, any other value itself."""
        return self.choices[name][value] if name in self.choices else value


def value_key(value) -> tuple[str, Any]:
    """Returns a value as a dictionary key; 1 and 1.0 and True are different values.

    >>> value_key(1) == value_key(1.0)
    False
    """
    return type(value).__name__, value


def config_key(values: Mapping[str, Any], names: Iterable[str] | None = None) -> tuple:
    """Makes a dictionary key of named values; 1, 1.0 and True are different values.

    Args:
      names: those that count, in order; all by default, in whatever order they stand.

    >>> config_key({"a": 1, "b": 2}) == config_key({"b": 2, "a": 1})
    True
    >>> config_key({"a": 1}) == config_key({"a": 1.0})
    False
    """
    counting = sorted(values) if names is None else names
    return tuple((name, *value_key(values[name])) for name in counting)


def complete(names: Names, values: dict[str, Any], read: set[str] | None = None) -> Config:
    """Completes swept values to a config: the functions among its settings are called, once each.

    A name in the sweep or the defaults goes before Study's argument.

    Args:
      names: what a study declares beside the swept values.
      values: of the swept names.
      read: is given the names that the functions read.

    Raises:
      ValueError: a setting is out of range. An exception of the user's own gets a note that says at
        which config.
    """
    # The plan, the digests of a run and each of its blocks read these settings. A function is asked
    # here alone: it may be slow, or give another answer at another time.
    readable = names.readable(values)
    settings = {}
    for name in SETTINGS:
        value = readable.get(name, names.settings[name])
        if callable(value):
            with at(values):
                value = _called(name, value, Hyperparameters(readable, read))
        settings[name] = int(value) if integer(value) else value
    settings["reduction"] = settings["reduction"] or "mean"
    if settings["eval_every"] is None:
        settings["eval_every"] = max(1, settings["steps"] // EVALUATIONS)
    return Config(values, settings, Schedule(settings["steps"], settings["eval_every"]))


def _called(name: str, function: Callable, hp: Hyperparameters):
    """The value of a setting that is a function of hp."""
    value = function(hp)
    if callable(value):
        given = f"one that returns {brief(value)}"
        raise ValueError(f"{name} must be a function of hp that returns a value, got {given}")
    check_value(name, value)
    return value


def check_value(name: str, value):
    """Checks the value of a setting; other names mean what the user says.

    Raises:
      ValueError: it is out of range, or a function of something else than ``hp``.
    """
    if callable(value):
        if name in SETTINGS:
            function_of(name, value, "of hp alone", None)
    elif name in ("steps", "eval_every", "batch_size"):
        if value is not None or name == "steps":
            most = None if name == "batch_size" else MOST_STEPS
            positive_int(name, value, most)
    elif name == "reduction":
        one_of(name, value, REDUCTIONS)
    elif name == "sampling":
        if value is not None:
            one_of(name, value, SAMPLINGS)
    elif isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{name} must be a number (None says none), got nan")
