"""Convolutions by 3x3 kernels of batch-last pictures, with fewer products than taps and places.

Two neighbouring places of a kernel of three taps read four inputs and take six products; from sums
and differences of inputs and of weights four suffice (Winograd's minimal filtering; Lavin and Gray,
Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4). Along both axes of a
picture that is 16 products for every four places, where taps take 36.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from jaxdl.lowering.pooling import tap_of
from jaxdl.lowering.product import product
from jaxdl.lowering.windows import Window

TAPS = 3
PLACES = 2  # of a tile along an axis
READS = 4  # inputs that they see


class Scheme(NamedTuple):
    """How a tile's two outputs along an axis follow from products: y = O ((W k) * (D d)).

    Attributes:
      of_inputs: D, (products, 4), what is added up of the four inputs d.
      of_taps: W, (products, 3), of the three weights k.
      of_products: O, (2, products).
    """

    of_inputs: np.ndarray
    of_taps: np.ndarray
    of_products: np.ndarray


# d0 k0 + d1 k1 + d2 k2 and d1 k0 + d2 k1 + d3 k2 from four products.
TILE = Scheme(
    of_inputs=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    of_taps=np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    of_products=np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
)
# Where d0 and d3 are padding, d1 k1 + d2 k2 and d1 k0 + d2 k1 share (d1 + d2) k1.
PAIR = Scheme(
    of_inputs=np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]]),
    of_taps=np.array([[0, 1, 0], [0, -1, 1], [1, -1, 0]]),
    of_products=np.array([[1, 1, 0], [1, 0, 1]]),
)


def is_possible(
    windows: Sequence[Window],
    x: Num[Array, "inputs height width batch"],
) -> bool:
    """Tells whether three taps move by one place along both axes, to an even number of places."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return False  # of_taps has halves
    for window, side in zip(windows, x.shape[1:-1], strict=True):
        is_kernel = window.size == TAPS and window.stride == 1
        if not is_kernel or window.places(side) % PLACES:
            return False
    return True


def convolve_tiles(
    x: Num[Array, "inputs height width batch"],
    weight: Num[Array, "outputs inputs 3 3"],
    windows: Sequence[Window],
) -> Num[Array, "outputs places_down places_across batch"]:
    """Computes what `jaxdl.lowering.convolution.convolve` does, tile by tile.

    Args:
      x: pictures, batch last, of a float type. One that is not finite reaches its whole tile.
      weight: one kernel for each output and input channel.
      windows: along height and width, as `is_possible` wants them.
    """
    sides = x.shape[1:-1]
    schemes = list(map(_scheme, windows, sides))
    down, across = (
        window.places(side) // PLACES for window, side in zip(windows, sides, strict=True)
    )
    inputs = _of_inputs(x, windows, schemes)
    kernels = _of_kernels(weight, schemes)
    products = jax.vmap(product)(kernels, inputs)
    places = _times([scheme.of_products for scheme in schemes], products)
    apart = places.reshape(PLACES, PLACES, len(weight), down, across, -1)
    outputs = apart.transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(len(weight), down * PLACES, across * PLACES, -1)


def _scheme(window: Window, side: int) -> Scheme:
    """Chooses the scheme of an axis: two inputs between one of padding each have their own."""
    is_pair = side == PLACES and window.low == window.high == 1
    return PAIR if is_pair else TILE


# The sums are small products too: as sums of slices they would be fused with what is before them,
# and all of it computed anew for every sum.
def _times(matrices: Sequence[np.ndarray], arrays):
    """Adds up arrays, lying behind each other, by the rows of a matrix for down and for across."""
    sums = np.kron(*matrices)
    flat = arrays.reshape(len(arrays), -1)
    added = jnp.asarray(sums, arrays.dtype) @ flat
    return added.reshape(-1, *arrays.shape[1:])


def _of_inputs(x, windows, schemes):
    """Adds up what the tiles read: (products, inputs, tiles * batch)."""
    matrices = []
    asked_for = []  # reads along each axis; the others are padding
    for scheme in schemes:
        reads = np.flatnonzero(scheme.of_inputs.any(axis=0))
        asked_for.append(reads)
        matrices.append(scheme.of_inputs[:, reads])
    # a window of what a tile reads moves by its places
    down, across = (Window(READS, PLACES, window.low, window.high) for window in windows)
    seen = []
    for row in asked_for[0]:
        band = tap_of(x, 1, down, row, fill=0)
        for column in asked_for[1]:
            seen.append(tap_of(band, 2, across, column, fill=0))
    reads = jnp.stack(seen).reshape(len(seen), len(x), -1)
    return _times(matrices, reads)


# The barrier keeps the gradient of the weights from being turned into a product whose both sides
# are transposed, which XLA's CPU is slow at.
def _of_kernels(weight, schemes):
    """Adds up the taps of the kernels: (products, outputs, inputs)."""
    taps = weight.reshape(-1, TAPS * TAPS)
    taps = jax.lax.optimization_barrier(taps.T)
    taps = taps.reshape(-1, *weight.shape[:2])
    return _times([scheme.of_taps for scheme in schemes], taps)
