"""How a kernel slides over an array: windows, one an axis of space, and the slices they meet.

Arrays here are (n, space..., c). Padding may be negative, which crops; dilation of the array puts
zeros between its places, before the padding.
"""

import math
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
    space = [(*window.padding, window.lhs_dilation - 1) for window in windows]
    untouched = [(0, 0, 0)] * (x.ndim - 1 - len(space))
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *space, *untouched])


def lengths(sizes: Iterable[int], taps: Iterable[int], windows: Iterable[Window]) -> list[int]:
    """Counts the places that windows of some taps have on padded axes, axis by axis.

    >>> lengths([10], [3], [Window(2, (0, 0), 1, 2)])
    [3]
    """
    counts = []
    for size, tap, window in zip(sizes, taps, windows, strict=True):
        reach = (tap - 1) * window.rhs_dilation + 1
        counts.append((size - reach) // window.stride + 1)
    return counts


def places(x, taps: Sequence[int], windows: Sequence[Window]) -> int:
    """Counts the places of the windows on an array that is not padded yet."""
    sizes = []
    for size, window in zip(x.shape[1:], windows, strict=False):
        sizes.append((size - 1) * window.lhs_dilation + 1 + sum(window.padding))
    return math.prod(lengths(sizes, taps, windows))


def at_taps(x, counts: Sequence[int], taps: Sequence[int], windows: Sequence[Window]) -> Iterator:
    """Yields (tap, what that tap of a kernel meets in every place): one slice a tap."""
    strides = [window.stride for window in windows]
    for tap in product(*map(range, taps)):
        starts = [at * window.rhs_dilation for at, window in zip(tap, windows, strict=True)]
        yield tap, _strided(x, starts, counts, strides)


def at_places(x, counts: Sequence[int], taps: Sequence[int], windows: Sequence[Window]) -> Iterator:
    """Yields what a whole kernel meets in one place: one slice a place, in order."""
    dilations = [window.rhs_dilation for window in windows]
    for place in product(*map(range, counts)):
        starts = [at * window.stride for at, window in zip(place, windows, strict=True)]
        yield _strided(x, starts, taps, dilations)


def _strided(x, starts, sizes, strides):
    """A slice of the first axes of space, `sizes` places of it."""
    ends = []
    for start, size, stride in zip(starts, sizes, strides, strict=True):
        ends.append(start + (size - 1) * stride + 1)
    rest = x.shape[1 + len(ends) :]
    return lax.slice(
        x,
        (0, *starts, *[0] * len(rest)),
        (x.shape[0], *ends, *rest),
        (1, *strides, *[1] * len(rest)),
    )
