"""Maxima and means over windows of batch-last arrays, one axis after the other.

A window's maximum is that of its rows' maxima, so both axes of a picture are pooled in turn, with
sizes + sizes comparisons in place of sizes * sizes.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from jaxdl.lowering.windows import Window, method_of


def pool_max(
    x: Num[Array, "..."], axes: Sequence[int], windows: Sequence[Window], method: str | None = None
) -> Num[Array, "..."]:
    """Takes the maximum of every window; the gradient goes to the first place that has it.

    First in reading order, rows before columns, as in PyTorch, whatever the method.

    Args:
      x: any axes.
      axes, windows: those that are pooled, and how.
      method: ``"taps"`` or ``"xla"``; by the backend where None.
    """
    if method_of(method) == "xla":
        return _reduce(x, jax.lax.max, _lowest(x.dtype), axes, windows)
    # Columns first, so that among rows with the same maximum the first one wins.
    pairs = zip(axes, windows, strict=True)
    for axis, window in reversed(list(pairs)):
        x = _max_along(x, axis, window)
    return x


def pool_sum(
    x: Num[Array, "..."], axes: Sequence[int], windows: Sequence[Window], method: str | None = None
) -> Num[Array, "..."]:
    """Adds up every window; see `pool_max`."""
    if method_of(method) == "xla":
        return _reduce(x, jax.lax.add, np.zeros((), x.dtype), axes, windows)
    for axis, window in zip(axes, windows, strict=True):
        total = _tap(x, axis, window, 0, fill=0)
        for tap in range(1, window.size):
            total = total + _tap(x, axis, window, tap, fill=0)
        x = total
    return x


def _reduce(x, operation, start, axes, windows):
    """XLA's own windows."""
    sizes = [1] * x.ndim
    strides = [1] * x.ndim
    pads = [(0, 0)] * x.ndim
    for axis, window in zip(axes, windows, strict=True):
        sizes[axis] = window.size
        strides[axis] = window.stride
        pads[axis] = (window.low, window.high)
    return jax.lax.reduce_window(x, start, operation, sizes, strides, pads)


def _lowest(dtype) -> np.ndarray:
    """What no value is below; of NumPy, as XLA knows a maximum by its concrete start alone."""
    if jnp.issubdtype(dtype, jnp.floating):
        return np.array(-np.inf, dtype)
    return np.array(jnp.iinfo(dtype).min, dtype)


def _tap(x, axis: int, window: Window, tap: int, fill):
    """What one tap reads at every place of a window along an axis; `fill` in the padding."""
    inputs = x.shape[axis]
    places = window.places(inputs)
    offset = tap - window.low  # the input that place 0 reads
    first = min(places, max(0, -(offset // window.stride)))
    last = min(places, (inputs - 1 - offset) // window.stride + 1)
    if first >= last:
        return jnp.full(_resized(x, axis, places), fill, x.dtype)
    begin = first * window.stride + offset
    steps = last - first - 1
    end = begin + steps * window.stride + 1
    seen = jax.lax.slice_in_dim(x, begin, end, window.stride, axis)
    return _shifted(seen, axis, first, places - last, fill)


def _resized(x, axis: int, length: int) -> list[int]:
    """The shape of `x` with another length along an axis."""
    shape = list(x.shape)
    shape[axis] = length
    return shape


def _shifted(x, axis: int, low: int, high: int, fill):
    """`x` with places more along an axis, or fewer where `low` or `high` is negative."""
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, high, 0)
    return jax.lax.pad(x, jnp.asarray(fill, x.dtype), pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_along(x, axis: int, window: Window):
    """The maximum of every window along one axis."""
    return _max_and_winner(x, axis, window)[0]


def _max_and_winner(x, axis: int, window: Window):
    """The maximum of every window, and the first tap that has it."""
    lowest = _lowest(x.dtype)
    kind = jnp.int8 if window.size < 128 else jnp.int32
    largest = _tap(x, axis, window, 0, lowest)
    winner = jnp.zeros(largest.shape, kind)
    for tap in range(1, window.size):
        value = _tap(x, axis, window, tap, lowest)
        winner = jnp.where(value > largest, kind(tap), winner)
        largest = jnp.maximum(largest, value)
    return largest, winner


def _forward(x, axis: int, window: Window):
    largest, winner = _max_and_winner(x, axis, window)
    return largest, (winner, x.shape[axis])


# Written by hand, since that of shifted slices adds up as many padded arrays as there are taps.
# Here every input place asks the one or two windows that it is in whether it won. Inputs whose
# number leaves the same rest by the stride are in the same taps, so each rest is one formula.
def _backward(axis: int, window: Window, kept, gradient):
    winner, inputs = kept
    rounds = -(-inputs // window.stride)
    phases = []
    for rest in range(window.stride):
        phases.append(_phase(axis, window, winner, gradient, rest, rounds))
    whole = jnp.stack(phases, axis=axis + 1)
    whole = whole.reshape(_resized(gradient, axis, rounds * window.stride))
    return (jax.lax.slice_in_dim(whole, 0, inputs, axis=axis),)


def _phase(axis: int, window: Window, winner, gradient, rest: int, rounds: int):
    """The gradient at the inputs ``rest``, ``rest + stride``, ..., `rounds` of them."""
    total = jnp.zeros(_resized(gradient, axis, rounds), gradient.dtype)
    places = gradient.shape[axis]
    start = rest + window.low
    for tap in range(start % window.stride, window.size, window.stride):
        shift = (start - tap) // window.stride  # from the round to the window's place
        if -rounds < shift < places:
            won = jnp.where(winner == tap, gradient, 0)
            total = total + _shifted(won, axis, -shift, rounds + shift - places, 0)
    return total


_max_along.defvjp(_forward, _backward)
