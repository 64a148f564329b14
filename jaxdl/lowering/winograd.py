"""Convolutions by 3x3 kernels of batch-last pictures, with fewer products than taps and places.

Two neighbouring places of a kernel of three taps read four inputs and take six products; from sums
and differences of inputs and of taps four suffice (Winograd's minimal filtering; Lavin and Gray,
Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4). Along both axes of a
picture that is 16 products for a tile of four places, where taps take 36. Rounding stays that of
float32: what is added up has factors of 1, 1/2 and 1/4 alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from jaxdl.lowering.own import own
from jaxdl.lowering.pooling import tap_of
from jaxdl.lowering.product import product
from jaxdl.lowering.windows import Window

TAPS = 3
PLACES = 2  # of a tile along an axis
SEEN = 4  # inputs that they see


class Scheme(NamedTuple):
    """How the outputs of a tile along an axis follow from products: y = O ((T w) * (I x)).

    Attributes:
      reads: which of the four inputs that the tile sees are read; the others are padding.
      of_inputs: I, (products, reads), sums of the inputs x.
      of_taps: T, (products, 3), sums of the taps w.
      of_products: O, (2, products), sums of the products.
    """

    reads: tuple[int, ...]
    of_inputs: np.ndarray
    of_taps: np.ndarray
    of_products: np.ndarray


# x0 w0 + x1 w1 + x2 w2 and x1 w0 + x2 w1 + x3 w2 from four products
TILE = Scheme(
    reads=(0, 1, 2, 3),
    of_inputs=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    of_taps=np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    of_products=np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
)
# Where x0 and x3 are padding, x1 w1 + x2 w2 and x1 w0 + x2 w1 from three: (x1 + x2) w1 is in both.
PAIR = Scheme(
    reads=(1, 2),
    of_inputs=np.array([[1, 1], [0, 1], [1, 0]]),
    of_taps=np.array([[0, 1, 0], [0, -1, 1], [1, -1, 0]]),
    of_products=np.array([[1, 1, 0], [1, 0, 1]]),
)


def is_possible(
    windows: Sequence[Window],
    x: Num[Array, "inputs height width batch"],
) -> bool:
    """Tells whether pictures are floats, and three taps move by one place along both axes."""
    kinds = {(window.size, window.stride) for window in windows}
    is_float = jnp.issubdtype(x.dtype, jnp.floating)  # sums of taps have halves
    return kinds == {(TAPS, 1)} and is_float


def products_of(windows: Sequence[Window], sides: Sequence[int]) -> int:
    """Counts the products of a kernel and a picture of one channel each."""
    counts = []
    for window, side in zip(windows, sides, strict=True):
        scheme = _scheme(window, side)
        counts.append(_tiles(window, side) * len(scheme.of_taps))
    return math.prod(counts)


def convolve_tiles(
    x: Num[Array, "inputs height width batch"],
    weight: Num[Array, "outputs inputs 3 3"],
    windows: Sequence[Window],
) -> Num[Array, "outputs places_down places_across batch"]:
    """Computes what `jaxdl.lowering.convolution.convolve` does, tile by tile.

    Args:
      x: pictures, batch last, of a float type. A pixel that is not finite reaches all of its tile.
      weight: one kernel for each output and input channel, of the same type.
      windows: along height and width, as `is_possible` wants them.
    """
    sides = x.shape[1:-1]
    schemes = list(map(_scheme, windows, sides))
    down, across = map(_tiles, windows, sides)
    inputs = _sums_of_inputs(x, windows, schemes)
    kernels = _sums_of_taps(weight, schemes)
    products = jax.vmap(product)(kernels, inputs)
    places = _times([scheme.of_products for scheme in schemes], products)
    # from (place down, place across, outputs, tiles down, tiles across, batch)
    places = places.reshape(PLACES, PLACES, len(weight), down, across, -1)
    beside = places.transpose(2, 3, 0, 4, 1, 5)
    outputs = beside.reshape(len(weight), down * PLACES, across * PLACES, -1)
    # the last tile of an odd number of places has one too many
    height, width = (window.places(side) for window, side in zip(windows, sides, strict=True))
    return outputs[:, :height, :width]


def _tiles(window: Window, side: int) -> int:
    """Counts the tiles that the places of an axis lie in."""
    return -(-window.places(side) // PLACES)


def _scheme(window: Window, side: int) -> Scheme:
    """Chooses the scheme of an axis: two inputs between one of padding each have their own."""
    is_pair = side == PLACES and window.low == window.high == 1
    return PAIR if is_pair else TILE


# These sums are small matrix products too. As sums of slices XLA would compute what is before them
# anew for each: 199 ms a step of R5's CNN where products take 168.
def _times(matrices: Sequence[np.ndarray], arrays):
    """Adds up the arrays that lie behind each other, by a matrix for down and one for across."""
    factors = own(jnp.asarray(np.kron(*matrices), arrays.dtype), arrays)
    flat = arrays.reshape(len(arrays), -1)
    sums = factors @ flat
    return sums.reshape(-1, *arrays.shape[1:])


def _sums_of_inputs(x, windows: Sequence[Window], schemes: Sequence[Scheme]):
    """Adds up what each tile reads: (products, inputs, tiles * batch)."""
    down, across = map(_tile, windows, x.shape[1:-1])
    reads = []
    for row in schemes[0].reads:
        band = tap_of(x, 1, down, row, fill=0)
        for column in schemes[1].reads:
            reads.append(tap_of(band, 2, across, column, fill=0))
    inputs = jnp.stack(reads).reshape(len(reads), len(x), -1)
    return _times([scheme.of_inputs for scheme in schemes], inputs)


def _tile(window: Window, side: int) -> Window:
    """Describes tiles as a window of what they see, that moves by their places."""
    is_odd = window.places(side) % PLACES
    return Window(SEEN, PLACES, window.low, window.high + is_odd)


# The barrier keeps the gradient of the taps from becoming a product with both sides transposed,
# which XLA's CPU is slow at.
def _sums_of_taps(weight, schemes: Sequence[Scheme]):
    """Adds up the taps of each kernel: (products, outputs, inputs)."""
    flat = weight.reshape(-1, TAPS * TAPS)
    turned = jax.lax.optimization_barrier(flat.T)
    taps = turned.reshape(-1, *weight.shape[:2])
    return _times([scheme.of_taps for scheme in schemes], taps)
