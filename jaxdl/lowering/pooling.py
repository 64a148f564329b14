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
    x: Num[Array, "..."],
    axes: Sequence[int],
    windows: Sequence[Window],
    method: str | None = None,
) -> Num[Array, "..."]:
    """Takes the maximum of every window; the gradient goes to the first place that has it.

    First in reading order, rows before columns, as in PyTorch, whatever the method.

    Args:
      x: any axes.
      axes, windows: those that are pooled, and how.
      method: ``"xla"``, or another word of `windows.METHODS` for slices; by the backend where None.
    """
    if method_of(method) == "xla":
        return _reduce(x, jax.lax.max, _lowest(x.dtype), axes, windows)
    # Columns first, so that among rows with the same maximum the first one wins.
    pairs = zip(axes, windows, strict=True)
    for axis, window in reversed(list(pairs)):
        x = _max_along(x, axis, window)
    return x


def pool_sum(
    x: Num[Array, "..."],
    axes: Sequence[int],
    windows: Sequence[Window],
    method: str | None = None,
) -> Num[Array, "..."]:
    """Adds up every window; see `pool_max`."""
    if method_of(method) == "xla":
        zero = np.zeros((), x.dtype)
        return _reduce(x, jax.lax.add, zero, axes, windows)
    for axis, window in zip(axes, windows, strict=True):
        total = tap_of(x, axis, window, 0, fill=0)
        for tap in range(1, window.size):
            total = total + tap_of(x, axis, window, tap, fill=0)
        x = total
    return x


def _reduce(x, operation, start, axes, windows):
    """Reduces by XLA's own windows, as is done by default where the backend is no CPU."""
    sizes = [1] * x.ndim
    strides = [1] * x.ndim
    pads = [(0, 0)] * x.ndim
    for axis, window in zip(axes, windows, strict=True):
        sizes[axis] = window.size
        strides[axis] = window.stride
        pads[axis] = (window.low, window.high)
    return jax.lax.reduce_window(x, start, operation, sizes, strides, pads)


def _lowest(dtype) -> np.ndarray:
    """Gives the number that no value is below; -inf, so that a window of -inf keeps it."""
    # of NumPy, as XLA knows a maximum by its concrete start alone
    is_float = jnp.issubdtype(dtype, jnp.floating)
    lowest = -np.inf if is_float else jnp.iinfo(dtype).min
    return np.array(lowest, dtype)


def tap_of(x, axis: int, window: Window, tap: int, fill):
    """Reads what one tap sees at every place of a window along an axis; `fill` in the padding."""
    inputs = x.shape[axis]
    stride = window.stride
    places = window.places(inputs)
    offset = tap - window.low  # the input that place 0 reads
    # One slice reads the inputs that are inside, and the places before and behind them are filled:
    # a padded copy of the inputs is never made.
    first = -(offset // stride)
    first = min(places, max(0, first))
    last = (inputs - 1 - offset) // stride + 1
    last = min(places, last)
    if first >= last:
        shape = _resized(x, axis, places)
        return jnp.full(shape, fill, x.dtype)
    begin = first * stride + offset
    steps = last - first - 1
    end = begin + steps * stride + 1
    seen = jax.lax.slice_in_dim(x, begin, end, stride, axis)
    return _shifted(seen, axis, first, places - last, fill)


def _resized(x, axis: int, length: int) -> list[int]:
    """Gives the shape of `x` with another length along an axis."""
    shape = list(x.shape)
    shape[axis] = length
    return shape


def _shifted(x, axis: int, low: int, high: int, fill):
    """Adds places along an axis, or takes some away where `low` or `high` is negative."""
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, high, 0)
    fill = jnp.asarray(fill, x.dtype)
    return jax.lax.pad(x, fill, pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_along(x, axis: int, window: Window):
    """Takes the maximum of every window along one axis."""
    largest, _ = _max_and_winner(x, axis, window)
    return largest


# The winner is kept in place of the inputs: a byte an output is all that the gradient needs.
def _max_and_winner(x, axis: int, window: Window):
    """Takes the maximum of every window, and the first tap that has it."""
    lowest = _lowest(x.dtype)
    kind = jnp.int8 if window.size < 128 else jnp.int32
    largest = tap_of(x, axis, window, 0, lowest)
    winner = jnp.zeros(largest.shape, kind)
    for tap in range(1, window.size):
        value = tap_of(x, axis, window, tap, lowest)
        is_larger = value > largest
        winner = jnp.where(is_larger, kind(tap), winner)
        largest = jnp.maximum(largest, value)
    return largest, winner


def _forward(x, axis: int, window: Window):
    largest, winner = _max_and_winner(x, axis, window)
    inputs = x.shape[axis]
    return largest, (winner, inputs)


# Written by hand, since that of shifted slices adds up as many padded arrays as there are taps.
# Here every input place asks the one or two windows that it is in whether it won. Inputs whose
# number leaves the same rest by the stride are in the same taps, so each rest is one formula.
def _backward(axis: int, window: Window, kept, gradient):
    winner, inputs = kept
    stride = window.stride
    rounds = -(-inputs // stride)
    phases = []
    for rest in range(stride):
        phase = _phase(axis, window, winner, gradient, rest, rounds)
        phases.append(phase)
    whole = jnp.stack(phases, axis=axis + 1)
    shape = _resized(gradient, axis, rounds * stride)
    whole = whole.reshape(shape)
    of_inputs = jax.lax.slice_in_dim(whole, 0, inputs, axis=axis)
    return (of_inputs,)


def _phase(
    axis: int,
    window: Window,
    winner,
    gradient,
    rest: int,
    rounds: int,
):
    """Computes the gradient at the inputs ``rest``, ``rest + stride``, ..., `rounds` of them."""
    stride = window.stride
    shape = _resized(gradient, axis, rounds)
    total = jnp.zeros(shape, gradient.dtype)
    places = gradient.shape[axis]
    start = rest + window.low
    for tap in range(start % stride, window.size, stride):
        shift = (start - tap) // stride  # from the round to the window's place
        if -rounds < shift < places:
            won = jnp.where(winner == tap, gradient, 0)
            missing = rounds + shift - places
            total = total + _shifted(won, axis, -shift, missing, 0)
    return total


_max_along.defvjp(_forward, _backward)
