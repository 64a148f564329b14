"""Convolutions: their parameters, how they are drawn, and what they compute."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from jaxdl.checks import brief, positive_int
from jaxdl.layers.affine import Dense, drawn, is_own, scheme_of
from jaxdl.layers.units import keep
from jaxdl.lowering.convolution import convolve
from jaxdl.lowering.windows import windows_of
from jaxdl.types import Padded, Size, capacity, live


class Conv1d(NamedTuple):
    """Parameters of a 1-D convolution."""

    weight: Any  # (out, in, kernel)
    bias: Any  # (out,), or None


class Conv2d(NamedTuple):
    """Parameters of a 2-D convolution."""

    weight: Any  # (out, in, rows, columns)
    bias: Any  # (out,), or None


def init_conv1d(
    key: PRNGKeyArray, outputs: Size, inputs: Size, kernel: int, scheme, bias: bool = True
) -> Conv1d:
    """Draws a 1-D convolution; its fan-in is ``inputs * kernel``, its fan-out ``outputs * kernel``.

    Draws are prefix-stable: a layer of fewer channels has the first weights of a wider one.

    Args:
      key: consumed.
      outputs, inputs: channels, ints or `Padded`.
      kernel: length of the window.
      scheme, bias: see `init_dense`.
    """
    positive_int("kernel", kernel)
    return Conv1d(*_init_windows(key, outputs, inputs, (kernel,), scheme, bias))


def init_conv2d(
    key: PRNGKeyArray, outputs: Size, inputs: Size, kernel, scheme, bias: bool = True
) -> Conv2d:
    """Draws a 2-D convolution; fan-in and fan-out are channels times the places of its window.

    Args:
      key: consumed.
      outputs, inputs: channels, ints or `Padded`.
      kernel: side of the window, or (rows, columns).
      scheme, bias: see `init_dense`.
    """
    return Conv2d(*_init_windows(key, outputs, inputs, kernel_of(kernel), scheme, bias))


def kernel_of(kernel) -> tuple[int, int]:
    """Returns (rows, columns) of a kernel given by its side or by both.

    >>> kernel_of(3)
    (3, 3)
    """
    parts = kernel if isinstance(kernel, (tuple, list)) else (kernel, kernel)
    if len(parts) != 2:
        raise ValueError(f"kernel must be a positive integer or two of them, got {brief(kernel)}")
    rows, columns = (positive_int("kernel", part) for part in parts)
    return rows, columns


# A scheme is asked for a matrix of fan-out rows, of which the first `outputs` are kept: that is
# kernel times too many. Our own schemes read a `Padded` fan-out, which counts in their formulas
# while rows are drawn for the outputs alone: the same numbers, and a 512-channel layer in 2 of 21
# million draws.
def _init_windows(
    key,
    outputs: Size,
    inputs: Size,
    kernel,
    scheme,
    bias: bool,
) -> Dense:
    """Draws the weights of a convolution: weight (out, in, kernel...), bias (out,) or None."""
    area = math.prod(kernel)
    scheme = scheme_of("scheme", scheme)
    fan_in = _times(inputs, area)
    fan_out = _times(outputs, area)
    if is_own(scheme):
        fan_out = Padded(live(fan_out), capacity(outputs))
    weight, offset = drawn(scheme(key, fan_out, fan_in), fan_out, fan_in)
    rows = capacity(outputs)
    weight = weight[:rows].reshape(rows, capacity(inputs), *kernel)
    weight = keep(weight, outputs)
    weight = keep(weight, inputs, axis=1)
    if offset is None or not bias:
        return Dense(weight, None)
    return Dense(weight, keep(offset[:rows], outputs))


def _times(size: Size, factor: int) -> Size:
    """Makes a size so many times as large."""
    if isinstance(size, Padded):
        return Padded(size.size * factor, size.max * factor)
    return size * factor


def conv1d(
    params: Conv1d,
    x: Num[Array, "time inputs batch"],
    stride: int = 1,
    padding=0,
    *,
    method: str | None = None,
) -> Num[Array, "places outputs batch"]:
    """Computes y[t] = sum over k of W[:, :, k] x[t * stride + k], plus b: as `torch.nn.Conv1d`.

    Args:
      params: weight (out, in, kernel), bias (out,) or None.
      x: (time, in, batch).
      stride, padding, method: see `conv2d`.

    Returns:
      ((time + 2 padding - kernel) // stride + 1, out, batch).

    Raises:
      ValueError: the sequence is shorter than the kernel.

    >>> x = jnp.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    >>> conv1d(Conv1d(jnp.array([[[10.0, 1.0]]]), None), x)[:, 0, 0].tolist()
    [12.0, 24.0]
    """
    _check_channels(x, 1, params.weight, "(time, channels, batch)")
    windows = windows_of(params.weight.shape[2:], stride, padding, x.shape[:1])
    # As a picture of one row, (in, 1, time, batch), so that there is one convolution to make fast.
    picture = jnp.swapaxes(x, 0, 1)[:, None]
    across = windows_of(1, 1, 0, (1,))
    outputs = convolve(picture, params.weight[:, :, None], across + windows, method)
    outputs = jnp.swapaxes(outputs[:, 0], 0, 1)
    return outputs if params.bias is None else outputs + params.bias[None, :, None]


def conv2d(
    params: Conv2d,
    x: Num[Array, "inputs height width batch"],
    stride=1,
    padding=0,
    *,
    method: str | None = None,
) -> Num[Array, "outputs places_down places_across batch"]:
    """Computes y[p] = sum over k of W[:, :, k] x[p * stride + k - padding], plus b.

    As `torch.nn.Conv2d`.

    Args:
      params: weight (out, in, rows, columns), bias (out,) or None.
      x: (in, height, width, batch).
      stride: an int, or (down, across).
      padding: places of zeros on every side, an int or (down, across); ((top, bottom), (left,
        right)); ``"valid"`` for none; ``"same"`` for ceil(side / stride) places.
      method: ``"taps"``, products over shifted slices; ``"winograd"``, fewer products over tiles of
        2x2 places (where kernels are 3x3 and the stride is 1; elsewhere taps);
        ``"xla"``, `jax.lax.conv_general_dilated`; None for the faster of the first two on a CPU,
        for the third on any other backend.

    Returns:
      (out, places down, places across, batch), ``(side + 2 padding - kernel) // stride + 1`` places
      along an axis.

    Raises:
      ValueError: other channels than the weights', or a kernel larger than the padded picture.

    >>> params = Conv2d(jnp.ones((1, 1, 3, 3)), jnp.zeros(1))
    >>> conv2d(params, jnp.ones((1, 3, 3, 1)), padding=1)[0, :, :, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    _check_channels(x, 0, params.weight, "(channels, height, width, batch)")
    windows = windows_of(params.weight.shape[2:], stride, padding, x.shape[1:3])
    outputs = convolve(x, params.weight, windows, method)
    return outputs if params.bias is None else outputs + params.bias[:, None, None, None]


def _check_channels(x, axis: int, weight, layout: str):
    if jnp.ndim(x) != jnp.ndim(weight):
        raise ValueError(f"x must be {layout} for this layer, got {brief(x)}")
    if x.shape[axis] != weight.shape[1]:
        given = f"data with {x.shape[axis]} (x of shape {x.shape}, {layout})"
        raise ValueError(f"model takes {weight.shape[1]} channels, got {given}")
