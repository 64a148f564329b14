"""Augments images: pure functions ``(key, x, targets) -> (x, targets)`` for `Task.augment`.

Images are ``(channels, height, width, batch)``, in training before `Task.prepare`: a pixel that is
made black here is (0 - mean) / std afterwards, as in torchvision. Every example has draws of its
own that depend on its place in the batch alone, so those of a smaller batch are the first of a
larger one.
"""

import numbers
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.batches import is_row_by_row, row_by_row
from jaxdl.checks import brief, function_of, positive_int
from jaxdl.types import traced

SIGNATURE = "(key, x, targets) -> (x, targets)"
MOST_NUMBERS = 2**31 - 1  # of a batch: places in it are counted in int32


def crop(padding: int = 4) -> Callable:
    """Cuts pictures of the same size out of ones that have a black border on every side.

    Output (i, j) is input (i + dy, j + dx), black where that lies outside; dy and dx are uniform on
    -padding .. padding, each example's own.

    Args:
      padding: pixels of the border, from 1 up.

    Returns:
      ``(key, x, targets) -> (x, targets)``; x of any dtype, which it keeps.

    >>> x = jnp.ones((1, 4, 4, 2), jnp.uint8)
    >>> moved, _ = crop(padding=1)(jax.random.key(0), x, None)
    >>> moved.shape, moved.dtype
    ((1, 4, 4, 2), dtype('uint8'))
    """
    positive_int("padding", padding)

    @row_by_row
    def crop_batch(key, x, targets):
        _, height, width, batch = _image_shape(x)
        shift = jax.random.randint(key, (batch, 2), -padding, padding + 1)
        row = jnp.arange(height)[:, None] + shift[None, :, 0]
        column = jnp.arange(width)[:, None] + shift[None, :, 1]
        return _read(x, row, column), targets

    return crop_batch


def flip(share: float = 0.5) -> Callable:
    """Mirrors pictures left to right, each with a probability.

    Args:
      share: the probability, from 0 to 1; may be traced.

    Returns:
      ``(key, x, targets) -> (x, targets)``; x of any dtype, which it keeps.
    """
    if not traced(share) and not (isinstance(share, numbers.Real) and 0 <= share <= 1):
        raise ValueError(f"share must be a number from 0 to 1, got {brief(share)}")

    @row_by_row
    def flip_batch(key, x, targets):
        batch = _image_shape(x)[-1]
        mirrored = jax.random.bernoulli(key, jnp.float32(share), (batch,))
        # One select: a tenth of the time that a gather takes.
        return jnp.where(mirrored[None, None, None], x[:, :, ::-1], x), targets

    return flip_batch


def cutout(size: int, fill=0) -> Callable:
    """Covers a square of every picture, its centre uniform over the pixels, cut off at the edges.

    DeVries and Taylor, arXiv:1708.04552; there the square is 0 after normalising, which is the mean
    colour: ``fill=(125, 123, 114)`` for CIFAR-10.

    Args:
      size: side of the square, from 1 to the smaller side of a picture.
      fill: what it is covered with, on the scale of x: a number, or one a channel.

    Returns:
      ``(key, x, targets) -> (x, targets)``; x of any dtype, which it keeps.
    """
    positive_int("size", size)

    @row_by_row
    def cutout_batch(key, x, targets):
        _, height, width, batch = _image_shape(x)
        positive_int("size", size, most=min(height, width))
        colour = _colour(fill, x)
        row_key, column_key = jax.random.split(key)
        row = _near(jax.random.randint(row_key, (batch,), 0, height), height, size)
        column = _near(jax.random.randint(column_key, (batch,), 0, width), width, size)
        covered = row[:, None] & column[None]
        return jnp.where(covered[None], colour, x), targets

    return cutout_batch


def compose(*augments: Callable) -> Callable:
    """Applies one augmentation after the other, each with a key of its own.

    Args:
      augments: ``(key, x, targets) -> (x, targets)`` each, at least one. One more at the end moves
        no draw of those before it.

    Returns:
      ``(key, x, targets) -> (x, targets)``.

    >>> augment = compose(crop(padding=4), flip())
    """
    if not augments:
        raise ValueError("augments must be at least one function " + SIGNATURE + ", got none")
    for augment in augments:
        function_of("augments", augment, SIGNATURE, None, None, None)

    def augment_batch(key, x, targets):
        for place, augment in enumerate(augments):
            x, targets = augment(jax.random.fold_in(key, place), x, targets)
        return x, targets

    return row_by_row(augment_batch) if all(map(is_row_by_row, augments)) else augment_batch


def _colour(fill, x) -> np.ndarray:
    """A number, or one a channel, of the dtype of images: (1 or channels, 1, 1, 1)."""
    given, channels = np.asarray(fill), len(x)
    finite = given.dtype.kind in "iuf" and np.isfinite(given).all()
    if not finite or given.shape not in ((), (1,), (channels,)):
        raise ValueError(f"fill must be a finite number or {channels} of them, got {brief(fill)}")
    colour = given.astype(x.dtype)
    if jnp.issubdtype(x.dtype, jnp.integer) and (colour != given).any():
        raise ValueError(f"fill must fit images of {x.dtype}, got {brief(fill)}")
    return colour.reshape(-1, 1, 1, 1)


def _near(centre, length: int, size: int):
    """Which of `length` places lie in a stretch of `size` about each centre: bool (length, batch).

    An even stretch reaches one place further to the left.
    """
    first = (centre - size // 2)[None]
    place = jnp.arange(length)[:, None]
    return (place >= first) & (place < first + size)


def _read(x, row, column):
    """Reads each pixel from another place of its own picture, black where that lies outside.

    Args:
      x: (channels, height, width, batch).
      row, column: where from, int32 (height, batch) and (width, batch).
    """
    # One gather of single numbers from a flat picture, at places that are the sum of a row's part
    # and a column's: `dynamic_slice` an example, vmapped, takes 5 times as long, a select a shift
    # 20 times.
    _, height, width, batch = x.shape
    row, column = row[:, None], column[None]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = row * width + column
    place = pixel * batch + jnp.arange(batch)[None, None]
    place = jnp.where(inside, place, height * width * batch)  # beyond the end: black
    # In two parts or more, because a loop is where XLA's CPU backend stops fusing. It would fuse
    # this gather with the one that draws the batch from 45,000 images, and then each of 128
    # neighbouring numbers comes from another page of memory: 13 ms a batch instead of 0.6.
    if len(x) > 1:
        return jax.lax.map(lambda channel: _take(channel, place), x)
    if height % 2:
        return _take(x, place)[None]
    halves = place.reshape(2, height // 2, width, batch)
    return jax.lax.map(lambda half: _take(x, half), halves).reshape(x.shape)


def _take(picture, place):
    return picture.reshape(-1).at[place].get(mode="fill", fill_value=0)


def _image_shape(x) -> tuple[int, int, int, int]:
    """The shape of a batch of images, or a ValueError for what is none."""
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 4:
        raise ValueError(
            f"x must be images of shape (channels, height, width, batch), got {brief(x)}"
        )
    if x.size > MOST_NUMBERS:
        raise ValueError(f"x must have at most {MOST_NUMBERS} numbers, got shape {shape}")
    return shape


__all__ = ["compose", "crop", "cutout", "flip"]
