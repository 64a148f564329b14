"""Any convolution, in forms that XLA's CPU computes fast wherever they stand in a program.

XLA's CPU has a fast kernel for convolutions whose batch comes first and whose channels come last,
with kernels (space..., in, out) and one or two axes of space. A program that is called from Python
has its other layouts turned into that one; the body of a loop has not, and takes nested loops of
20 to 60 times the time. The gradients of a convolution are such layouts, whatever its own is.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax

from jaxdl.lowering.depthwise import MOST_SLICES, depthwise, depthwise_gradient
from jaxdl.lowering.sliding import Window, at_places, at_taps, lengths, padded, places

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}


def convolve(
    lhs,
    rhs,
    *,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    batch_group_count,
    precision,
    preferred_element_type,
    out_sharding=None,
):
    """Computes what `jax.lax.conv_general_dilated_p` computes, with the same parameters.

    Args:
      lhs, rhs: arrays, their axes as `dimension_numbers` says; none is empty.
      out_sharding: None; a sharding that is asked for by name is not taken.

    Returns:
      The convolution, which differs from XLA's own by rounding alone.
    """
    del out_sharding
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    x = lhs.transpose(lhs_spec[0], *lhs_spec[2:], lhs_spec[1])
    kernel = rhs.transpose(*rhs_spec[2:], rhs_spec[1], rhs_spec[0])
    windows = list(map(Window, window_strides, padding, lhs_dilation, rhs_dilation))
    types = {"precision": precision, "preferred_element_type": preferred_element_type}
    # the gradient of a depthwise kernel: every group of the batch is one example
    one_each = 1 < batch_group_count == x.shape[0]
    if one_each and places(x, kernel.shape[:-2], windows) <= MOST_SLICES:
        y = depthwise_gradient(x, kernel, windows, preferred_element_type)
    else:
        x = _groups_in_channels(x, batch_group_count)
        y = _channels_last(x, kernel, windows, feature_group_count * batch_group_count, types)
    order = (out_spec[0], *out_spec[2:], out_spec[1])
    return y.transpose([order.index(axis) for axis in range(y.ndim)])


def _groups_in_channels(x, groups: int):
    """The groups of a batch as groups of channels: (groups n, ..., c) as (n, ..., groups c)."""
    if groups == 1:
        return x
    n, space, channels = x.shape[0] // groups, x.shape[1:-1], x.shape[-1]
    apart = jnp.moveaxis(x.reshape(groups, n, *space, channels), 0, -2)
    return apart.reshape(n, *space, groups * channels)


def _channels_last(x, kernel, windows: Sequence[Window], groups: int, types: dict):
    """The convolution of x (n, space..., c) with a kernel (space..., c / groups, out)."""
    taps = math.prod(kernel.shape[:-2])
    if groups > 1 and kernel.shape[-2] == 1 and taps <= MOST_SLICES:
        return depthwise(x, kernel, windows, types["preferred_element_type"])
    if len(windows) not in LAYOUTS:
        return _one_axis_less(x, kernel, windows, groups, types)
    strides, pads, lhs_dilation, rhs_dilation = zip(*windows, strict=True)
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        lhs_dilation,
        rhs_dilation,
        LAYOUTS[len(windows)],
        groups,
        **types,
    )


def _one_axis_less(x, kernel, windows: Sequence[Window], groups: int, types: dict):
    """A convolution with its first axis of space among the batch, and that of the kernel among the
    channels.

    XLA's own in three dimensions reaches 14 GFLOP/s where this one reaches 70, as in two.
    """
    if not windows:  # no space at all: a matrix product, as a convolution over one place
        one = Window(1, (0, 0), 1, 1)
        return _channels_last(x[:, None], kernel[None], [one], groups, types)[:, 0]
    taps = kernel.shape[0]
    met = _met(padded(x, windows[:1]), taps, windows[0])  # n, length, taps, space..., c
    n, length = met.shape[:2]
    apart = met.reshape(n * length, taps, *met.shape[3:-1], groups, -1)
    beside = jnp.moveaxis(apart, 1, -2)  # ..., groups, taps, c / groups
    flat = beside.reshape(*beside.shape[:-3], -1)
    kernel = jnp.moveaxis(kernel, 0, -3)
    kernel = kernel.reshape(*kernel.shape[:-3], -1, kernel.shape[-1])
    y = _channels_last(flat, kernel, windows[1:], groups, types)
    return y.reshape(n, length, *y.shape[1:])


def _met(x, taps: int, window: Window):
    """What a kernel meets on its way along the first axis of space, which is padded: in as few
    slices as there are taps or places."""
    counts = lengths(x.shape[1:2], [taps], [window])
    if taps <= counts[0]:
        return jnp.stack([met for _, met in at_taps(x, counts, [taps], [window])], 2)
    return jnp.stack(list(at_places(x, counts, [taps], [window])), 1)
