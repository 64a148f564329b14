"""How a kernel slides over an array: windows, one an axis of space, and the slices they meet.

Arrays here are (n, space..., c). Padding may be negative, which crops; dilation of the array puts
zeros between its places, before the padding.
"""

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax


class Window(NamedTuple):
    """How a kernel moves along one axis of space."""

    stride: int
    padding: tuple[int, int]
    lhs_dilation: int  # of the array
    rhs_dilation: int  # of the kernel


def padded(x, windows: Sequence[Window]):
    """Dilates and pads the first axes of space, one a window."""
    untouched = (0, 0, 0)
    pads = [untouched]  # the examples
    for window in windows:
        low, high = window.padding
        between = window.lhs_dilation - 1
        pads.append((low, high, between))
    others = x.ndim - len(pads)
    pads += [untouched] * others
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, pads)


def lengths(sizes: Iterable[int], taps: Iterable[int], windows: Iterable[Window]) -> list[int]:
    """Counts the places that windows of some taps have on padded axes, axis by axis.

    >>> lengths([10], [3], [Window(2, (0, 0), 1, 2)])
    [3]
    """
    counts = []
    for size, tap, window in zip(sizes, taps, windows, strict=True):
        reach = (tap - 1) * window.rhs_dilation + 1
        way = size - reach
        counts.append(way // window.stride + 1)
    return counts


def places(x, taps: Sequence[int], windows: Sequence[Window]) -> int:
    """Counts the places of the windows on an array that is not padded yet."""
    sizes = []
    for size, window in zip(x.shape[1:], windows, strict=False):
        dilated = (size - 1) * window.lhs_dilation + 1
        low, high = window.padding
        sizes.append(low + dilated + high)
    counts = lengths(sizes, taps, windows)
    return math.prod(counts)


# Both of the next go over the same pairs of a tap and a place, whose number is taps times places: a
# slice holds all places of one tap, or all taps of one place. As each slice is written out in the
# program, the caller takes the way that needs fewer of them.
def at_taps(
    x,
    counts: Sequence[int],
    taps: Sequence[int],
    windows: Sequence[Window],
) -> Iterator:
    """Yields (tap, what that tap of a kernel meets in every place): one slice a tap."""
    strides = [window.stride for window in windows]
    dilations = [window.rhs_dilation for window in windows]
    for tap in _grid(taps):
        starts = _scaled(tap, dilations)
        yield tap, _strided(x, starts, counts, strides)


def at_places(
    x,
    counts: Sequence[int],
    taps: Sequence[int],
    windows: Sequence[Window],
) -> Iterator:
    """Yields what a whole kernel meets in one place: one slice a place, in order."""
    strides = [window.stride for window in windows]
    dilations = [window.rhs_dilation for window in windows]
    for place in _grid(counts):
        starts = _scaled(place, strides)
        yield _strided(x, starts, taps, dilations)


def _grid(sizes: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Lists the places of an array of some sizes, the last axis fastest."""
    return product(*map(range, sizes))


def _scaled(place: Iterable[int], factors: Iterable[int]) -> list[int]:
    """Multiplies the coordinates of a place, one factor an axis."""
    return list(map(operator.mul, place, factors))


def _strided(x, starts, sizes, strides):
    """Slices the first axes of space: `sizes` places of each, `strides` apart."""
    ends = []
    for start, size, stride in zip(starts, sizes, strides, strict=True):
        last = start + (size - 1) * stride
        ends.append(last + 1)
    rest = x.shape[1 + len(ends) :]
    zeros = [0] * len(rest)
    ones = [1] * len(rest)
    return lax.slice(
        x,
        (0, *starts, *zeros),
        (x.shape[0], *ends, *rest),
        (1, *strides, *ones),
    )
