"""Pooling: maxima and means over windows, and over whole pictures."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxdl.checks import brief
from jaxdl.lowering.pooling import pool_max, pool_sum
from jaxdl.lowering.windows import Window, windows_of

AXES = {4: (1, 2), 3: (0,)}  # pictures (channels, height, width, batch); (time, channels, batch)


def max_pool(
    x: Num[Array, "*axes batch"],
    window=2,
    stride=None,
    padding=0,
    *,
    method: str | None = None,
) -> Num[Array, "*axes batch"]:
    """Takes the largest value of every window, as `torch.nn.MaxPool2d`.

    Where several values of a window are the largest, the gradient goes to the first of them in
    reading order (rows before columns), all of it, as in PyTorch.

    Args:
      x: pictures (channels, height, width, batch), or sequences (time, channels, batch).
      window: side of the window, or (down, across).
      stride: as `window`; the window itself where None.
      padding: as in `conv2d`, at most half the window; nothing there is ever the largest.
      method: see `conv2d`.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    axes, windows = _windows(x, window, stride, padding)
    return pool_max(x, axes, windows, method)


def avg_pool(
    x: Num[Array, "*axes batch"],
    window=2,
    stride=None,
    padding=0,
    *,
    count_include_pad: bool = True,
    method: str | None = None,
) -> Num[Array, "*axes batch"]:
    """Takes the mean of every window, as `torch.nn.AvgPool2d`.

    Args:
      x, window, stride, padding, method: see `max_pool`.
      count_include_pad: whether zeros of the padding count as values; without, a window's mean is
        over what it sees of the picture.

    >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        x = x.astype(jnp.float32)
    axes, windows = _windows(x, window, stride, padding)
    total = pool_sum(x, axes, windows, method)
    if count_include_pad:
        return total / math.prod(each.size for each in windows)
    # How much of the picture each window sees: the sum of ones, of one example and channel.
    sides = [1] * x.ndim
    for axis in axes:
        sides[axis] = x.shape[axis]
    ones = jnp.ones(sides, x.dtype)
    return total / pool_sum(ones, axes, windows, method)


def global_avg_pool(x: Num[Array, "channels *places batch"]) -> Num[Array, "channels batch"]:
    """Takes the mean over all places of a picture: (channels, ..., batch) to (channels, batch)."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))


def _windows(x, window, stride, padding):
    """Lists the axes that are pooled, and a window for each."""
    if jnp.ndim(x) not in AXES:
        layouts = "(channels, height, width, batch) or (time, channels, batch)"
        raise ValueError(f"x must be {layouts}, got {brief(x)}")
    axes = AXES[x.ndim]
    sides = [x.shape[axis] for axis in axes]
    stride = window if stride is None else stride
    return axes, pool_windows(sides, window, stride, padding)


def pool_windows(sides: Sequence[int], window, stride, padding) -> list[Window]:
    """Makes the windows of a pool along the sides of a picture.

    Raises:
      ValueError: a padding that windows would lie in whole.
    """
    windows = windows_of(window, stride, padding, sides, "window")
    # PyTorch's rule. From the size of the window on, one would see no input and have no largest.
    for each in windows:
        padded = max(each.low, each.high)
        half = each.size // 2
        if padded > half:
            raise ValueError(f"padding must be at most half the window, {half}, got {padded}")
    return windows
