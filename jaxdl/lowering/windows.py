"""Windows that slide along the axes of a picture: where they stand and which of their taps see it.

Convolutions and pools share them: how they may be given (sizes, strides, padding), what is refused,
and the groups of places that make padding free.

A tap is one place of a window, counted from 0; tap k of the window at place o reads the input at
``o * stride + k - low``.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from jaxdl.checks import brief, integer, one_of, positive_int

METHODS = ("taps", "winograd", "xla")
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
        way = inputs + self.low + self.high - self.size
        return way // self.stride + 1


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
    # Place by place, as there are few of them; in the middle of a picture all taps see it, so that
    # most places end up in one group.
    parts: list[Group] = []
    for place in range(window.places(inputs)):
        first_tap, last_tap = _taps_that_see(window, place, inputs)
        alone = Group(place, place + 1, first_tap, last_tap)
        before = parts[-1] if parts else None
        if before is not None and before[2:] == alone[2:]:
            parts[-1] = before._replace(last=alone.last)
        else:
            parts.append(alone)
    return parts


def _taps_that_see(window: Window, place: int, inputs: int) -> tuple[int, int]:
    """Bounds the taps that read an input at a place: (first, behind the last)."""
    start = place * window.stride - window.low
    first = max(0, -start)
    last = min(window.size, inputs - start)
    return first, max(0, last)


def method_of(method: str | None) -> str:
    """Returns the way to compute; by the default backend ``"taps"`` or ``"xla"`` where None.

    Raises:
      ValueError: another word.
    """
    # Products over slices were measured to be faster on CPUs. On a GPU, XLA hands its own operation
    # to a library of kernels.
    if method is None:
        on_cpu = jax.default_backend() == "cpu"
        return "taps" if on_cpu else "xla"
    return one_of("method", method, METHODS)


def windows_of(
    size,
    stride,
    padding,
    inputs: Sequence[int],
    name: str = "kernel",
) -> list[Window]:
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
    for taps, step, (low, high) in zip(sizes, strides, pads, strict=True):
        windows.append(Window(taps, step, low, high))
    for window, length in zip(windows, inputs, strict=True):
        _check_fits(name, window, length, axes)
    return windows


def _check_fits(name: str, window: Window, length: int, axes: int):
    """Refuses a window longer than its padded axis: it would stand nowhere."""
    padded = length + window.low + window.high
    if window.size <= padded:
        return
    axis = "the sequence's length" if axes == 1 else "the picture's side"
    with_padding = f", padded to {padded}" if padded > length else ""
    given = f"got {window.size}"
    raise ValueError(f"{name} must be at most {axis} {length}{with_padding}, {given}")


def _each(name: str, value, axes: int) -> list[int]:
    """Reads one positive int for every axis."""
    if not _is_several(value):
        return [positive_int(name, value)] * axes
    if len(value) != axes:
        raise ValueError(f"{name} must be an integer or {axes} of them, got {brief(value)}")
    return [positive_int(name, part) for part in value]


def _pads(padding, sizes, strides, inputs) -> list[tuple[int, int]]:
    """Reads the padding before and behind every axis."""
    if isinstance(padding, str):
        if one_of("padding", padding.lower(), WORDS) == "valid":
            return [(0, 0)] * len(inputs)
        return list(map(_same, sizes, strides, inputs))
    parts = padding if _is_several(padding) else [padding] * len(inputs)
    pairs = [_low_and_high(part) for part in parts]
    if len(pairs) != len(inputs) or None in pairs:
        raise ValueError(f"padding must be {PADDINGS}, got {brief(padding)}")
    return pairs


def _low_and_high(part) -> Any:
    """Reads the padding of one axis, a number or two of them; None where it is neither."""
    pair = tuple(part) if _is_several(part) else (part, part)
    if len(pair) != 2:
        return None
    low, high = pair
    if not (integer(low) and integer(high)):
        return None
    if min(low, high) < 0:
        return None
    return int(low), int(high)


def _is_several(value) -> bool:
    return isinstance(value, (tuple, list))


# What is odd goes to the end, as in TensorFlow and PyTorch's ``padding="same"``.
def _same(size: int, stride: int, inputs: int) -> tuple[int, int]:
    """Pads for ceil(inputs / stride) places."""
    places = math.ceil(inputs / stride)
    reach = (places - 1) * stride + size
    total = max(0, reach - inputs)
    low = total // 2
    return low, total - low
