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
    # Turned by hand into the one layout that has the fast kernel: inside the body of a loop XLA
    # would leave the caller's as it is, and take 20 to 60 times the time.
    batch, channels, *space = dimension_numbers.lhs_spec
    x = lhs.transpose(batch, *space, channels)
    outputs, inputs, *space = dimension_numbers.rhs_spec
    kernel = rhs.transpose(*space, inputs, outputs)
    windows = list(map(Window, window_strides, padding, lhs_dilation, rhs_dilation))
    types = {
        "precision": precision,
        "preferred_element_type": preferred_element_type,
    }
    if _is_gradient_of_depthwise(x, kernel, windows, batch_group_count):
        y = depthwise_gradient(x, kernel, windows, preferred_element_type)
    else:
        x = _groups_in_channels(x, batch_group_count)
        groups = feature_group_count * batch_group_count
        y = _channels_last(x, kernel, windows, groups, types)
    batch, channels, *space = dimension_numbers.out_spec
    order = [batch, *space, channels]
    return y.transpose([order.index(axis) for axis in range(y.ndim)])


def _is_gradient_of_depthwise(
    x,
    kernel,
    windows: Sequence[Window],
    batch_groups: int,
) -> bool:
    """Tells whether every group of the batch is one example, and the result has few places."""
    one_each = 1 < batch_groups == len(x)
    return one_each and places(x, kernel.shape[:-2], windows) <= MOST_SLICES


def _groups_in_channels(x, groups: int):
    """Turns groups of a batch into groups of channels: (groups n, ..., c) as (n, ..., groups c)."""
    if groups == 1:
        return x
    n = x.shape[0] // groups
    *space, channels = x.shape[1:]
    apart = x.reshape(groups, n, *space, channels)
    beside = jnp.moveaxis(apart, 0, -2)
    return beside.reshape(n, *space, groups * channels)


def _channels_last(
    x,
    kernel,
    windows: Sequence[Window],
    groups: int,
    types: dict,
):
    """Convolves x (n, space..., c) with a kernel (space..., c / groups, out)."""
    taps = math.prod(kernel.shape[:-2])
    one_channel_each = groups > 1 and kernel.shape[-2] == 1
    if one_channel_each and taps <= MOST_SLICES:
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


# XLA's own in three dimensions reaches 14 GFLOP/s where this one reaches 70, as in two. The places
# along the first axis of space become examples, since all go through the same kernel; what its taps
# meet there become channels, since they are summed over as channels are.
def _one_axis_less(
    x,
    kernel,
    windows: Sequence[Window],
    groups: int,
    types: dict,
):
    """Convolves over three axes of space and more, or none, as over one axis less."""
    if not windows:  # no space at all: a matrix product, as a convolution over one place
        one = Window(1, (0, 0), 1, 1)
        y = _channels_last(x[:, None], kernel[None], [one], groups, types)
        return y[:, 0]
    first, *others = windows
    taps = kernel.shape[0]
    met = _met(padded(x, [first]), taps, first)
    n, length, _, *space, _ = met.shape
    # the taps of a group lie beside its channels: (n length, space..., groups, taps, c / groups)
    apart = met.reshape(n * length, taps, *space, groups, -1)
    beside = jnp.moveaxis(apart, 1, -2)
    flat = beside.reshape(n * length, *space, -1)
    kernel = jnp.moveaxis(kernel, 0, -3)
    *sides, _, _, outputs = kernel.shape
    kernel = kernel.reshape(*sides, -1, outputs)
    y = _channels_last(flat, kernel, others, groups, types)
    return y.reshape(n, length, *y.shape[1:])


def _met(x, taps: int, window: Window):
    """Collects what a kernel meets along the first axis of space: (n, places, taps, space..., c).

    In as few slices as there are taps or places.
    """
    counts = lengths(x.shape[1:2], [taps], [window])
    (places_along,) = counts
    if taps <= places_along:
        by_tap = [met for _, met in at_taps(x, counts, [taps], [window])]
        return jnp.stack(by_tap, axis=2)
    by_place = list(at_places(x, counts, [taps], [window]))
    return jnp.stack(by_place, axis=1)
