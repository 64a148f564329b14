"""Checks of single values: numbers, names, folders, dicts."""

import math
import numbers
import os
import pathlib
import re
from collections.abc import Iterable, Mapping

from jaxdl.checks.messages import brief, nearest

WORD = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


def integer(value) -> bool:
    """Tells whether a value is a whole number (a bool is not)."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _plain(value):
    """Returns an array of one number as that number."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _real(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def seed_of(name: str, value) -> int:
    """Returns the value as an int, or raises a ValueError if it is no integer in [0, 2**32)."""
    if not integer(value) or not 0 <= value < 2**32:
        raise ValueError(f"{name} must be an integer from 0 to {2**32 - 1}, got {brief(value)}")
    return int(value)


def positive_int(name: str, value, most: int | None = None) -> int:
    """Returns the value as an int, or raises a ValueError if it is no integer in 1..most."""
    if not integer(value) or value < 1 or (most is not None and value > most):
        allowed = "a positive integer" if most is None else f"an integer from 1 to {most}"
        raise ValueError(f"{name} must be {allowed}, got {brief(value)}")
    return int(value)


def positive_number(name: str, value) -> float:
    """Returns the value, or raises a ValueError if it is no finite number above 0."""
    if not _real(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, got {brief(value)}")
    return float(value)


def number_from_zero(name: str, value) -> float:
    """Returns the value, or raises a ValueError if it is no finite number from 0 up."""
    number = _plain(value)
    if not _real(number) or not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} must be a finite number from 0 up, got {brief(value)}")
    return float(number)


def number_within(name: str, value, above: float, most: float) -> float:
    """Returns the value, or raises a ValueError if it is no number with above < value <= most."""
    if not _real(value) or not above < value <= most:
        raise ValueError(
            f"{name} must be a number above {above:g} and at most {most:g}, got {brief(value)}"
        )
    return float(value)


def fraction(name: str, value) -> float:
    """Returns the value, or raises a ValueError if it is not in [0, 1)."""
    number = _plain(value)
    if not _real(number) or not 0 <= number < 1:
        raise ValueError(
            f"{name} must be a number from 0 up to but not including 1, got {brief(value)}"
        )
    return float(number)


def flag(name: str, value) -> bool:
    """Returns the value as a bool, or raises a ValueError if it is neither a bool nor 0 or 1."""
    of_numpy = type(value).__name__ in ("bool", "bool_")
    if not (isinstance(value, numbers.Integral) or of_numpy) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False, got {brief(value)}")
    return bool(value)


def signed(name: str, values):
    """Raises a ValueError if some values of an array are neither +1 nor -1."""
    odd = sorted(set(values.reshape(-1).tolist()) - {1, -1})
    if odd:
        raise ValueError(f"{name} must be +1 or -1, got {odd[0]!r}")


def one_of(name: str, value, allowed: Iterable):
    """Returns the value, or raises a ValueError with the nearest allowed one."""
    allowed = list(allowed)
    is_array = getattr(value, "shape", ()) != ()  # which would be compared element by element
    if is_array or value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(
            f"{name} must be one of {choices}, got {brief(value)}{nearest(value, allowed)}"
        )
    return value


def check_name(
    kind: str, name, reserved: Iterable[str] = (), prefixes: tuple[str, ...] = ()
) -> str:
    """Returns the name, if a column, a file entry and a history key may be called so.

    Args:
      kind: what is named, for the message.
      reserved: names that mean something else.
      prefixes: beginnings that mean something else.

    Raises:
      ValueError: it is no word, or taken.

    >>> check_name("metric", "top-5", reserved=("loss",))
    'top-5'
    """
    if not isinstance(name, str) or not WORD.fullmatch(name):
        raise ValueError(
            f"the name of a {kind} must be a word of letters, digits, _, - and ., got {brief(name)}"
        )
    if name in reserved or name.startswith(prefixes):
        beginnings = [f"{prefix}..." for prefix in prefixes]
        listed = ", ".join([*reserved, *beginnings])
        raise ValueError(
            f"the name of a {kind} must not be one that is taken ({listed}), got {brief(name)}"
        )
    return name


def mapping(name: str, value, what: str) -> dict:
    """Returns the value as a dict, or raises a ValueError if it is none; None is an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a dict of {what}, got {brief(value)}")
    return dict(value or {})


def folder(name: str, value) -> pathlib.Path:
    """Returns the value as a path, or raises a ValueError if it is no str or path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a folder, a str or a path, got {brief(value)}")
    return pathlib.Path(value)
