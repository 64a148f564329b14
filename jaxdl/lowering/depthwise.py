"""Convolutions whose every channel is one alone, as sums of products of shifted slices.

There is nothing to contract, so no matrix product: XLA's CPU fuses all slices into one pass, where
its own convolution takes a product of one row and one column for each channel (4 times the time).
"""

import functools
import operator
from collections.abc import Sequence

import jax.numpy as jnp

from jaxdl.lowering.sliding import Window, at_places, at_taps, lengths, padded

MOST_SLICES = 128  # of a kernel or of its gradient: each is written out in the program


# A slice a tap, times its weights, all added up: XLA fuses that into one pass over x. Its own
# convolution makes a product of a row and a column for every channel, in 4 times the time.
def depthwise(
    x,
    kernel,
    windows: Sequence[Window],
    dtype=None,
):
    """Convolves each channel with kernels of its own.

    Args:
      x: (n, space..., c).
      kernel: (space..., 1, c m), the m kernels of a channel side by side.
      windows: one an axis of space.
      dtype: of the result; that of x where None.

    Returns:
      (n, space..., c m).
    """
    taps = kernel.shape[:-2]
    dtype = x.dtype if dtype is None else dtype
    exact = _sum_type(dtype)
    x = padded(x, windows).astype(exact)
    x = _copied(x, kernel.shape[-1])
    counts = lengths(x.shape[1:-1], taps, windows)
    # a weight a channel for every tap, the same for all examples and places
    ones = [1] * (x.ndim - 1)
    weights = kernel.astype(exact).reshape(*taps, *ones, -1)
    products = []
    for tap, met in at_taps(x, counts, taps, windows):
        products.append(met * weights[tap])
    total = functools.reduce(operator.add, products)
    return total.astype(dtype)


def depthwise_gradient(
    x,
    cotangent,
    windows: Sequence[Window],
    dtype=None,
):
    """Computes the gradient of `depthwise` in its kernel, as small as the kernel is.

    Args:
      x: (c, space..., n), what the kernel met, its examples among the channels.
      cotangent: (space..., n, c m), as a kernel that is as large as a picture.
      windows: one an axis of space, of this convolution.
      dtype: of the result; that of x where None.

    Returns:
      (1, space..., c m), space as small as the kernel's.
    """
    taps = cotangent.shape[:-2]
    dtype = x.dtype if dtype is None else dtype
    exact = _sum_type(dtype)
    x = padded(x, windows).astype(exact)
    cotangent = cotangent.astype(exact)
    # the channels vary fastest: sums go over rows, side by side
    x = jnp.moveaxis(x, 0, -1)
    x = _copied(x, cotangent.shape[-1])
    examples = x[None]
    counts = lengths(x.shape[:-2], taps, windows)
    # The roles are turned round: the kernel has few places and the cotangent many taps, so there
    # is one slice for each place of the result.
    all_but_channels = range(cotangent.ndim - 1)
    sums = []
    for met in at_places(examples, counts, taps, windows):
        product = met[0] * cotangent
        sums.append(jnp.sum(product, axis=all_but_channels))
    gradient = jnp.stack(sums).reshape(1, *counts, -1)
    return gradient.astype(dtype)


def _copied(x, channels: int):
    """Repeats every channel for each of its kernels: (..., c) to (..., c m)."""
    copies = channels // x.shape[-1]
    return jnp.repeat(x, copies, axis=-1)


def _sum_type(dtype):
    """Gives the type that sums are kept in: at least float32, whatever the result has."""
    return jnp.promote_types(dtype, jnp.float32)
