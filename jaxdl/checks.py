"""Checks of what users hand in: one line that names the parameter, the allowed range and the value
given."""

import contextlib
import difflib
import functools
import inspect
import math
import numbers
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
MEANT = {  # what others call our arguments
    "epochs": "steps",
    "iterations": "steps",
    "num_epochs": "steps",
    "lr": "defaults={'learning_rate': ...}",
    "learning_rate": "defaults={'learning_rate': ...}",
    "data": "task",
    "dataset": "task",
    "network": "model",
    "opt": "optimizer",
    "tx": "optimizer",
    "grid": "sweep",
    "params": "defaults",
    "repeats": "seeds",
    "metrics": "task",
}
LONGEST = 100  # characters of a value in a message
WORD = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


class UnknownName(ValueError, AttributeError):
    """A name that is not there; the message ends with the nearest one that is."""


class DataError(ValueError):
    """Data that are damaged, or not what they should be: commands end with exit code 3."""


class MissingData(DataError, FileNotFoundError):
    """Data that are nowhere to be had."""


def check_float32():
    """Raises a ValueError where jax computes in 64 bits: draws, and so results, would be others."""
    import jax

    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        remedy = "`with jax.enable_x64(False):`"
        raise ValueError(
            f"jax_enable_x64 must be off, as jaxdl trains in float32: {remedy}, got True"
        )


@contextlib.contextmanager
def nan_named() -> Iterator[None]:
    """Makes a `FloatingPointError` of what a compiled program raises under `jax_debug_nans`."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "InternalFloatingPointError":
            raise
        what = "the data, weights or metrics of a lane hold a NaN"
        raise FloatingPointError(f"jax_debug_nans is on and {what}") from None


def brief(value) -> str:
    """A value in one line: an array by its shape and type, what is long by its beginning.

    >>> import numpy as np
    >>> brief(np.zeros((2, 3))), brief("a"), len(brief("a" * 1000))
    ('an array of shape (2, 3), float64', "'a'", 100)
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape and hasattr(value, "dtype"):
        return f"an array of shape {tuple(shape)}, {value.dtype}"
    try:
        words = " ".join(repr(value).split())
    except Exception:  # a repr is anybody's code
        words = f"an object of type {type(value).__name__}"
    return words if len(words) <= LONGEST else words[: LONGEST - 3] + "..."


def first_line(error: BaseException) -> str:
    """What an error of somebody else's says first."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return text if len(text) <= 2 * LONGEST else text[: 2 * LONGEST - 3] + "..."


def known_arguments(function: F) -> F:
    """Decorates a function so that an unknown argument is refused with the nearest known one.

    >>> known_arguments(lambda *, batch_size: batch_size)(batchsize=3)
    Traceback (most recent call last):
    TypeError: unknown argument 'batchsize': known are batch_size; did you mean 'batch_size'?
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*arguments, **named):
        for name in named:
            if name not in known:
                ending = (
                    f"; did you mean {MEANT[name]!r}?" if name in MEANT else nearest(name, known)
                )
                raise TypeError(f"unknown argument {name!r}: known are {', '.join(known)}{ending}")
        return function(*arguments, **named)

    return checked  # type: ignore[return-value]


def function_of(name: str, value, signature: str, *arguments, **named):
    """The value, or a ValueError if it is no function that can be called with these arguments.

    >>> function_of("loss", lambda outputs: outputs, "(outputs, targets) -> (batch,)", None, None)
    Traceback (most recent call last):
    ValueError: loss must be a function (outputs, targets) -> (batch,), got <lambda>(outputs)
    """
    if not callable(value):
        raise ValueError(f"{name} must be a function {signature}, got {brief(value)}")
    try:
        has = inspect.signature(value)
    except (TypeError, ValueError):  # of a built-in one nothing is known
        return value
    try:
        has.bind(*arguments, **named)
    except TypeError:
        given = getattr(value, "__name__", type(value).__name__) + brief_text(str(has))
        raise ValueError(f"{name} must be a function {signature}, got {given}") from None
    return value


def brief_text(text: str) -> str:
    """A text in one line of at most `LONGEST` characters."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 3] + "..."


def mapping(name: str, value, what: str) -> dict:
    """The value as a dict, or a ValueError if it is none; None is an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a dict of {what}, got {brief(value)}")
    return dict(value or {})


def folder(name: str, value) -> pathlib.Path:
    """The value as a path, or a ValueError if it is no str or path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a folder, a str or a path, got {brief(value)}")
    return pathlib.Path(value)


def flag(name: str, value) -> bool:
    """The value as a bool, or a ValueError if it is neither a bool nor 0 or 1."""
    plain = isinstance(value, numbers.Integral) or type(value).__name__ in (
        "bool",
        "bool_",
    )  # of NumPy
    if not plain or value not in (0, 1):
        raise ValueError(f"{name} must be True or False, got {brief(value)}")
    return bool(value)


def integer(value) -> bool:
    """Whether a value is a whole number (a bool is not)."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _plain(value):
    """An array of one number as that number."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _real(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def seed_of(name: str, value) -> int:
    """The value as an int, or a ValueError if it is no integer in [0, 2**32)."""
    if not integer(value) or not 0 <= value < 2**32:
        raise ValueError(f"{name} must be an integer from 0 to {2**32 - 1}, got {brief(value)}")
    return int(value)


def positive_int(name: str, value, most: int | None = None) -> int:
    """The value as an int, or a ValueError if it is no integer in 1..most."""
    if not integer(value) or value < 1 or (most is not None and value > most):
        allowed = "a positive integer" if most is None else f"an integer from 1 to {most}"
        raise ValueError(f"{name} must be {allowed}, got {brief(value)}")
    return int(value)


def positive_number(name: str, value) -> float:
    """The value, or a ValueError if it is no finite number above 0."""
    if not _real(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, got {brief(value)}")
    return float(value)


def number_from_zero(name: str, value) -> float:
    """The value, or a ValueError if it is no finite number from 0 up."""
    number = _plain(value)
    if not _real(number) or not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} must be a finite number from 0 up, got {brief(value)}")
    return float(number)


def number_within(name: str, value, above: float, most: float) -> float:
    """The value, or a ValueError if it is no number with above < value <= most."""
    if not _real(value) or not above < value <= most:
        raise ValueError(
            f"{name} must be a number above {above:g} and at most {most:g}, got {brief(value)}"
        )
    return float(value)


def check_name(
    kind: str, name, reserved: Iterable[str] = (), prefixes: tuple[str, ...] = ()
) -> str:
    """The name, if a column, a file entry and a history key may be called so.

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
    taken = name in reserved or name.startswith(prefixes) if prefixes else name in reserved
    if taken:
        listed = ", ".join([*reserved, *(f"{prefix}..." for prefix in prefixes)])
        raise ValueError(
            f"the name of a {kind} must not be one that is taken ({listed}), got {brief(name)}"
        )
    return name


def fraction(name: str, value) -> float:
    """The value, or a ValueError if it is not in [0, 1)."""
    number = _plain(value)
    if not _real(number) or not 0 <= number < 1:
        raise ValueError(
            f"{name} must be a number from 0 up to but not including 1, got {brief(value)}"
        )
    return float(number)


def signed(name: str, values):
    """Raises a ValueError if some values of an array are neither +1 nor -1."""
    odd = sorted(set(values.reshape(-1).tolist()) - {1, -1})
    if odd:
        raise ValueError(f"{name} must be +1 or -1, got {odd[0]!r}")


def one_of(name: str, value, allowed: Iterable):
    """The value, or a ValueError with the nearest allowed one."""
    allowed = list(allowed)
    if getattr(value, "shape", ()) != () or value not in allowed:  # an array is compared by element
        choices = ", ".join(map(repr, allowed))
        raise ValueError(
            f"{name} must be one of {choices}, got {brief(value)}{nearest(value, allowed)}"
        )
    return value


def nearest(name, known: Iterable) -> str:
    """``"; did you mean 'x'?"`` for the known name that is most like `name`, or an empty string."""
    found = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def unknown(kind: str, name, known: Iterable) -> UnknownName:
    """The error for a name that is not among the known ones."""
    known = [str(k) for k in known]
    listed = ", ".join(known) or "none"
    return UnknownName(f"unknown {kind} {name!r}: known are {listed}{nearest(name, known)}")
