"""Convolutions of batch-last pictures, as matrix products or as XLA's own operation.

On a CPU, XLA's convolution with the batch last runs 10 to 25 times slower than products over
shifted slices, and so do the gradients of any layout inside a loop: 3 to 9 GFLOP/s against 70 to 99
(oneDNN, which PyTorch uses, reaches 79 to 106). Where 3x3 kernels move by one place, tiles spare
about half of the products (`winograd`). These are the convolutions of this library's own layers;
those of other libraries go through `rewriting`.
"""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxdl.lowering import winograd
from jaxdl.lowering.product import product
from jaxdl.lowering.windows import Group, Window, groups, method_of

MOST_GROUPS = 3  # along an axis, if most taps see the picture; a 3x3 kernel has so many
FEW_OUTPUTS = 32  # channels; what tiles cost for each output does not matter below
MOST_GROWTH = 8  # outputs for each input, above which it does
MOST_PRODUCTS = 1.35  # of tiles for each of taps: on 3x3 pictures 64 for 49 still pay
MOSTLY = 0.75  # share of taps that see the picture, above which many groups are not worth it


def convolve(
    x: Num[Array, "inputs height width batch"],
    weight: Num[Array, "outputs inputs rows columns"],
    windows: Sequence[Window],
    method: str | None = None,
) -> Num[Array, "outputs places_down places_across batch"]:
    """Computes y[o, p] = sum over i, k of W[o, i, k] x[i, p * stride + k - low].

    Args:
      x: pictures, batch last.
      weight: one kernel for each output and input channel.
      windows: along height and width, of the kernel's size.
      method: ``"taps"``; ``"winograd"``, where it is possible, else taps; or ``"xla"``. By the
        backend and the shapes where None.
    """
    kind = jnp.promote_types(x.dtype, weight.dtype)
    x = x.astype(kind)
    weight = weight.astype(kind)
    if method_of(method) == "xla":
        return _by_xla(x, weight, windows)
    if not winograd.is_possible(windows, x):
        return _by_taps(x, weight, windows)
    by_itself = method is None and _is_faster_by_tiles(x, weight, windows)
    if by_itself or method == "winograd":
        return winograd.convolve_tiles(x, weight, windows)
    return _by_taps(x, weight, windows)


# In a loop on one core tiles take 0.3 to 0.9 of the time, from 1 -> 8 channels on 8x8 pictures to
# 512 -> 512 on 2x2; but 1.15 times as long for 3 -> 64, 4 -> 64 and 8 -> 128 channels on sides of
# 32 and 16, where adding up outputs costs more than few products spare. Rounding is that of
# taps, except in 16 bits.
def _is_faster_by_tiles(x, weight, windows) -> bool:
    """Tells whether tiles pay for a convolution that they can compute, and are as exact."""
    outputs, inputs = weight.shape[:2]
    if outputs > max(FEW_OUTPUTS, MOST_GROWTH * inputs) or weight.dtype.itemsize < 4:
        return False
    sides = x.shape[1:-1]
    by_taps = math.prod(map(_seen_by_taps, windows, sides))
    return winograd.products_of(windows, sides) <= MOST_PRODUCTS * by_taps


def _by_xla(x, weight, windows):
    """Leaves the convolution to XLA, as is done by default where the backend is no CPU."""
    return jax.lax.conv_general_dilated(
        x,
        weight,
        window_strides=[window.stride for window in windows],
        padding=[(window.low, window.high) for window in windows],
        dimension_numbers=("CHWN", "OIHW", "CHWN"),
    )


# Why groups. First, middle and last rows times columns see different taps of a 3x3 kernel; each
# group is one product over the taps that it sees, so no padded buffer is written and read, and
# nothing is multiplied by zero: on 2x2 pictures that is 5 of 9 products. One CPU core, six layers
# at batch 128: 226 ms against 309 of one product over padded slices, 256 of PyTorch.
def _by_taps(x, weight, windows):
    """Computes group by group, and puts their outputs side by side."""
    x, windows = _padded_where_groups_are_many(x, windows)
    down = groups(windows[0], x.shape[1])
    across = groups(windows[1], x.shape[2])
    bands = []
    for rows in down:
        parts = []
        for columns in across:
            group = rows, columns
            parts.append(_product(x, weight, windows, group))
        band = jnp.concatenate(parts, axis=2)
        bands.append(band)
    return jnp.concatenate(bands, axis=1)


# What the taps see is stacked behind the channels, in the order that weights are stored in, so that
# neither they nor their gradient are transposed: 300 ms where (tap, channel) takes 349. Autodiff
# makes the gradient. By hand, as a convolution of the flipped kernel, it took 312: the patches of a
# layer's outputs are larger than those of its inputs.
def _product(
    x,
    weight,
    windows: Sequence[Window],
    group: tuple[Group, Group],
):
    """Computes the outputs of a group: (outputs, places down, places across, batch)."""
    rows, columns = group
    shape = (
        weight.shape[0],
        rows.last - rows.first,
        columns.last - columns.first,
        x.shape[-1],
    )
    taps_down = range(rows.first_tap, rows.last_tap)
    taps_across = range(columns.first_tap, columns.last_tap)
    seen = []
    for tap in itertools.product(taps_down, taps_across):
        seen.append(_slice(x, windows, group, tap))
    if not seen:  # windows that lie in the padding
        return jnp.zeros(shape, x.dtype)
    depth = len(seen) * len(x)
    patches = jnp.stack(seen, axis=1).reshape(depth, -1)
    kernel = weight[:, :, rows.first_tap : rows.last_tap, columns.first_tap : columns.last_tap]
    outputs = product(kernel.reshape(-1, depth), patches)
    return outputs.reshape(shape)


def _slice(x, windows, group, tap):
    """Reads what one tap sees at the places of a group."""
    starts = [0]
    limits = [x.shape[0]]
    strides = [1]
    for window, places, offset in zip(windows, group, tap, strict=True):
        begin = places.first * window.stride + offset - window.low
        way = (places.last - places.first - 1) * window.stride
        starts.append(begin)
        limits.append(begin + way + 1)
        strides.append(window.stride)
    return jax.lax.slice(
        x,
        (*starts, 0),
        (*limits, x.shape[-1]),
        (*strides, 1),
    )


def _padded_where_groups_are_many(x, windows):
    """Pads the axes on which a large kernel would have many small groups for little gain."""
    none = (0, 0)
    pads = [none]
    inner = []
    for window, side in zip(windows, x.shape[1:-1], strict=True):
        if _is_worth_grouping(window, side):
            pads.append(none)
            inner.append(window)
        else:
            pads.append((window.low, window.high))
            inner.append(window._replace(low=0, high=0))
    pads.append(none)
    is_padded = any(map(any, pads))
    return jnp.pad(x, pads) if is_padded else x, inner


def _is_worth_grouping(window: Window, side: int) -> bool:
    """Tells whether an axis has few groups, or many of its taps see nothing but padding."""
    if len(groups(window, side)) <= MOST_GROUPS:
        return True
    every = window.size * window.places(side)
    return _seen_by_taps(window, side) <= MOSTLY * every


def _seen_by_taps(window: Window, side: int) -> int:
    """Counts the inputs, not padding, that the taps see along an axis at all places together."""
    seen = 0
    for part in groups(window, side):
        taps = part.last_tap - part.first_tap
        places = part.last - part.first
        seen += taps * places
    return seen
