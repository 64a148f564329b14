"""Sizes that may differ between the lanes of one program: `Padded`, and what reads one."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Integer


class Padded:
    """A size that differs between the lanes of one program: arrays have `max` rows, `size` of them
    live.

    It is no number: whatever would need one (a Python branch, ``range``, arithmetic) raises, so
    that code which does not understand padding is noticed and gets a program per value instead. Use
    `live`, `capacity` and `mask` on a size that may be an int or a `Padded`.
    """

    __slots__ = ("max", "size")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, size: Any, max: int):
        self.size = size  # an int, or a traced scalar
        self.max = max

    def __repr__(self) -> str:
        return f"Padded(size={self.size}, max={self.max})"

    def _refuse(self, *_):
        raise TypeError(
            "a padded size has no single value here: use live(), capacity() or mask() of "
            "jaxdl.types"
        )

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse  # type: ignore[assignment]
    __int__ = __index__ = __float__ = __iter__ = __len__ = __getitem__ = _refuse  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __pow__ = __rpow__ = __neg__ = __abs__ = __jax_array__ = __array__ = _refuse


Size = int | Padded
Index = int | Integer[Array, ""]  # a whole number that may be traced


def live(size: Size):
    """Gives the number that counts in formulas (fan-in, a mean's denominator): an int, or a traced
    scalar."""
    return size.size if isinstance(size, Padded) else size


def capacity(size: Size) -> int:
    """Gives the number that arrays are shaped by: always an int."""
    return size.max if isinstance(size, Padded) else size


def mask(size: Size) -> Bool[Array, "capacity"] | None:
    """Tells which of the `capacity` places are live; None where all of them are.

    >>> mask(3) is None
    True
    >>> mask(Padded(2, max=4)).tolist()
    [True, True, False, False]
    """
    return jnp.arange(size.max) < size.size if isinstance(size, Padded) else None


def check_padded(name: str, size: Padded, least: int = 1):
    """Raises a ValueError for a padded size whose live part, where it is known, is not in
    least..max.

    >>> check_padded("length", Padded(9, max=5))
    Traceback (most recent call last):
    ValueError: length must be an integer from 1 to its padded maximum 5, got 9
    """
    number = None if isinstance(size.size, jax.core.Tracer) else size.size
    if size.max < least or (number is not None and not least <= number <= size.max):
        raise ValueError(
            f"{name} must be an integer from {least} to its padded maximum {size.max}, got {number}"
        )
