"""Convolutions whose every channel is one alone, as sums of products of shifted slices.

There is nothing to contract, so no matrix product: XLA's CPU fuses all slices into one pass, where
its own convolution takes a product of one row and one column for each channel (4 times the time).
"""

from collections.abc import Sequence

import jax.numpy as jnp

from jaxdl.lowering.sliding import Window, at_places, at_taps, lengths, padded

MOST_SLICES = 128  # of a kernel or of its gradient: each is written out in the program


def depthwise(x, kernel, windows: Sequence[Window], dtype=None):
    """The convolution of each channel with kernels of its own.

    Args:
      x: (n, space..., c).
      kernel: (space..., 1, c m), the m kernels of a channel side by side.
      windows: one an axis of space.
      dtype: of the result; that of x where None.

    Returns:
      (n, space..., c m).
    """
    taps = kernel.shape[:-2]
    x, kernel, dtype = _exact(padded(x, windows), kernel, dtype)
    x = jnp.repeat(x, kernel.shape[-1] // x.shape[-1], axis=-1)
    counts = lengths(x.shape[1:-1], taps, windows)
    weights = kernel.reshape(*taps, *[1] * (x.ndim - 1), -1)
    products = [met * weights[tap] for tap, met in at_taps(x, counts, taps, windows)]
    return sum(products[1:], products[0]).astype(dtype)


def depthwise_gradient(x, cotangent, windows: Sequence[Window], dtype=None):
    """The gradient of `depthwise` in its kernel, whose places are now those of a small result.

    Args:
      x: (c, space..., n), what the kernel met, its examples among the channels.
      cotangent: (space..., n, c m), as a kernel that is as large as a picture.
      windows: one an axis of space, of this convolution.
      dtype: of the result; that of x where None.

    Returns:
      (1, space..., c m), space as small as the kernel's.
    """
    taps = cotangent.shape[:-2]
    x, cotangent, dtype = _exact(padded(x, windows), cotangent, dtype)
    x = jnp.moveaxis(x, 0, -1)  # the channels vary fastest: sums go over rows, side by side
    x = jnp.repeat(x, cotangent.shape[-1] // x.shape[-1], axis=-1)[None]
    counts = lengths(x.shape[1:-2], taps, windows)
    sums = []
    for met in at_places(x, counts, taps, windows):
        sums.append(jnp.sum(met[0] * cotangent, axis=range(cotangent.ndim - 1)))
    return jnp.stack(sums).reshape(1, *counts, -1).astype(dtype)


def _exact(x, kernel, dtype) -> tuple:
    """Operands in the type that sums are kept in, at least float32, and the type of the result."""
    dtype = x.dtype if dtype is None else dtype
    exact = jnp.promote_types(dtype, jnp.float32)
    return x.astype(exact), kernel.astype(exact), dtype
