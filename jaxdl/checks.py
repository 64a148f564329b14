"""Checks of what users hand in: one line that names the parameter, the allowed range and the value given."""

import contextlib
import difflib
import math
import numbers
import re
from collections.abc import Iterable, Iterator

WORD = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


class UnknownName(ValueError, AttributeError):
    """A name that is not there; the message ends with the nearest one that is."""


def check_float32():
    """Raises a ValueError where jax computes in 64 bits: draws, and so results, would be others."""
    import jax

    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        remedy = "`with jax.enable_x64(False):`"
        raise ValueError(f"jax_enable_x64 must be off, as jaxdl trains in float32: {remedy}, got True")


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


def integer(value) -> bool:
    """Whether a value is a whole number (a bool is not)."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _real(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def positive_int(name: str, value, most: int | None = None) -> int:
    """The value as an int, or a ValueError if it is no integer in 1..most."""
    if not integer(value) or value < 1 or (most is not None and value > most):
        allowed = "a positive integer" if most is None else f"an integer from 1 to {most}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return int(value)


def positive_number(name: str, value) -> float:
    """The value, or a ValueError if it is no finite number above 0."""
    if not _real(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def number_within(name: str, value, above: float, most: float) -> float:
    """The value, or a ValueError if it is no number with above < value <= most."""
    if not _real(value) or not above < value <= most:
        raise ValueError(f"{name} must be a number above {above:g} and at most {most:g}, got {value!r}")
    return float(value)


def check_name(kind: str, name, reserved: Iterable[str] = (), prefixes: tuple[str, ...] = ()) -> str:
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
        raise ValueError(f"the name of a {kind} must be a word of letters, digits, _, - and ., got {name!r}")
    taken = name in reserved or name.startswith(prefixes) if prefixes else name in reserved
    if taken:
        listed = ", ".join([*reserved, *(f"{prefix}..." for prefix in prefixes)])
        raise ValueError(f"the name of a {kind} must not be one that is taken ({listed}), got {name!r}")
    return name


def fraction(name: str, value) -> float:
    """The value, or a ValueError if it is not in [0, 1)."""
    if not _real(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number from 0 up to but not including 1, got {value!r}")
    return float(value)


def signed(name: str, values):
    """Raises a ValueError if some values of an array are neither +1 nor -1."""
    odd = sorted(set(values.reshape(-1).tolist()) - {1, -1})
    if odd:
        raise ValueError(f"{name} must be +1 or -1, got {odd[0]!r}")


def one_of(name: str, value, allowed: Iterable):
    """The value, or a ValueError with the nearest allowed one."""
    allowed = list(allowed)
    if value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} must be one of {choices}, got {value!r}{nearest(value, allowed)}")
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
