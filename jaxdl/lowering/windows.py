"""Windows that slide along the axes of a picture: where they stand and which of their taps see it.

A tap is one place of a window, counted from 0; tap k of the window at place o reads the input at
``o * stride + k - low``.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax

from jaxdl.checks import brief, integer, one_of, positive_int

METHODS = ("taps", "xla")
WORDS = ("valid", "same")
PADDINGS = "an integer from 0 up, one for each axis, (low, high) for each axis, 'same' or 'valid'"


class Window(NamedTuple):
    """A window along one axis."""

    size: int  # taps
    stride: int
    low: int  # places of padding before the first input
    high: int  # and behind the last one

    def places(self, inputs: int) -> int:
        """Counts the places at which the window stands along so many inputs."""
        return (inputs + self.low + self.high - self.size) // self.stride + 1


class Group(NamedTuple):
    """Neighbouring places of a window at which the same taps see the picture, ends excluded."""

    first: int
    last: int
    first_tap: int
    last_tap: int


def groups(window: Window, inputs: int) -> list[Group]:
    """Lists the groups of a window's places along an axis, in order.

    >>> groups(Window(3, stride=1, low=1, high=1), 8)  # doctest: +NORMALIZE_WHITESPACE
    [Group(first=0, last=1, first_tap=1, last_tap=3),
     Group(first=1, last=7, first_tap=0, last_tap=3),
     Group(first=7, last=8, first_tap=0, last_tap=2)]
    """
    parts: list[Group] = []
    for place in range(window.places(inputs)):
        start = place * window.stride - window.low
        taps = max(0, -start), max(0, min(window.size, inputs - start))
        if parts and parts[-1][2:] == taps:
            parts[-1] = parts[-1]._replace(last=place + 1)
        else:
            parts.append(Group(place, place + 1, *taps))
    return parts


def method_of(method: str | None) -> str:
    """Returns the way to compute, ``"taps"`` or ``"xla"``; by the default backend where None.

    Raises:
      ValueError: another word.
    """
    if method is None:
        return "taps" if jax.default_backend() == "cpu" else "xla"
    return one_of("method", method, METHODS)


def windows_of(size, stride, padding, inputs: Sequence[int], name: str = "kernel") -> list[Window]:
    """Makes the windows along the axes of a picture.

    Args:
      size: taps, an int for all axes or one for each.
      stride: an int for all axes or one for each.
      padding: of `PADDINGS`. ``"same"`` gives ceil(inputs / stride) places, the odd one of its
        padding at the end.
      inputs: length of every axis.
      name: of the size, for the message.

    Raises:
      ValueError: a number out of its range, or a window longer than its padded axis.
    """
    axes = len(inputs)
    sizes = _each(name, size, axes)
    strides = _each("stride", stride, axes)
    pads = _pads(padding, sizes, strides, inputs)
    windows = []
    for taps, step, (low, high), length in zip(sizes, strides, pads, inputs, strict=True):
        if taps > length + low + high:
            length_is = "the sequence's length" if axes == 1 else "the picture's side"
            padded = f", padded to {length + low + high}" if low + high else ""
            raise ValueError(f"{name} must be at most {length_is} {length}{padded}, got {taps}")
        windows.append(Window(taps, step, low, high))
    return windows


def _each(name: str, value, axes: int) -> list[int]:
    """One positive int for every axis."""
    if not isinstance(value, (tuple, list)):
        return [positive_int(name, value)] * axes
    if len(value) != axes:
        raise ValueError(f"{name} must be an integer or {axes} of them, got {brief(value)}")
    return [positive_int(name, part) for part in value]


def _pads(padding, sizes, strides, inputs) -> list[tuple[int, int]]:
    """The padding before and behind every axis."""
    if isinstance(padding, str):
        if one_of("padding", padding.lower(), WORDS) == "valid":
            return [(0, 0)] * len(inputs)
        return [_same(*axis) for axis in zip(sizes, strides, inputs, strict=True)]
    parts = padding if isinstance(padding, (tuple, list)) else [padding] * len(inputs)
    pairs = [tuple(part) if isinstance(part, (tuple, list)) else (part, part) for part in parts]
    numbers = [number for pair in pairs for number in pair]
    whole = all(integer(number) and number >= 0 for number in numbers)
    if len(pairs) != len(inputs) or not whole or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"padding must be {PADDINGS}, got {brief(padding)}")
    return [(int(low), int(high)) for low, high in pairs]


def _same(size: int, stride: int, inputs: int) -> tuple[int, int]:
    places = math.ceil(inputs / stride)
    total = max(0, (places - 1) * stride + size - inputs)
    return total // 2, total - total // 2
