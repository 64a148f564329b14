"""Images with their classes: a user's, checked; cut into splits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import fraction, seed_of


class Labelled(NamedTuple):
    """Images with their classes."""

    x: np.ndarray  # (channels, height, width, n), uint8 or float32
    targets: np.ndarray  # (n,), int32

    def take(self, rows: np.ndarray) -> "Labelled":
        """Some of them, in the order of the row numbers."""
        return Labelled(np.take(self.x, rows, axis=-1), self.targets[rows])


class Splits(NamedTuple):
    """Images for training, validation and testing."""

    train: Labelled
    valid: Labelled | None
    test: Labelled


def cut(every: Labelled, test_fraction, valid_fraction, split_seed) -> Splits:
    """Cuts images, in an order that the seed names, into those for testing, validation, training.

    Sizes are ``round(n * fraction)``.
    """
    n = len(every.targets)
    test = _share("test_fraction", test_fraction, n)
    valid = _share("valid_fraction", valid_fraction, n)
    if test < 1 or n - test - valid < 1:
        raise ValueError(
            f"test_fraction and valid_fraction must leave a row each for testing and training of "
            f"{n}, got {test_fraction} and {valid_fraction}"
        )
    # Test rows first: another share for validation leaves them the same.
    order = _order(split_seed, n)
    for_test = order[:test]
    for_valid = order[test : test + valid]
    for_train = order[test + valid :]
    held_out = every.take(for_valid) if valid else None
    return Splits(every.take(for_train), held_out, every.take(for_test))


def beside(train: Labelled, test: Labelled, valid_fraction, split_seed) -> Splits:
    """Sets images for validation aside where those for testing are given."""
    n = len(train.targets)
    valid = _share("valid_fraction", valid_fraction, n)
    if valid == 0:
        return Splits(train, None, test)
    if valid == n:
        raise ValueError(f"valid_fraction must leave a training row of {n}, got {valid_fraction}")
    order = _order(split_seed, n)
    return Splits(train.take(order[valid:]), train.take(order[:valid]), test)


def _share(name: str, value, n: int) -> int:
    """The rows that a share of n is; at least one where it is above 0."""
    rows = round(n * fraction(name, value))
    if value > 0 and rows < 1:
        raise ValueError(f"{name} must give a row of {n}, got {value}")
    return rows


def _order(split_seed, n: int) -> np.ndarray:
    """The rows in random order, (n,)."""
    # NumPy keeps this generator's streams for good (NEP 19), and nothing has to be compiled.
    seed = seed_of("split_seed", split_seed)
    return np.random.RandomState(seed).permutation(n)


def labelled(x_name: str, x, y_name: str, y) -> Labelled:
    """A user's images and classes, if they are that and as many of one as of the other."""
    images, targets = _images(x_name, x), _classes(y_name, y)
    n = images.shape[-1]
    if n != len(targets):
        raise ValueError(
            f"{x_name} and {y_name} must have the same length, got {n} and {len(targets)}"
        )
    return Labelled(images, targets)


def _images(name: str, values) -> np.ndarray:
    """A user's images, (channels, height, width, n): uint8, or float32."""
    array = _numbers(name, values)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.size == 0:
        raise ValueError(
            f"{name} must be images, (n, height, width, channels) or (n, height, width), at least "
            f"one, got shape {array.shape}"
        )
    dtype = np.uint8 if array.dtype.kind in "iu" else np.float32
    remedy = ": bytes, or floats on any scale" if dtype == np.uint8 else ""
    limits = np.iinfo(np.uint8) if dtype == np.uint8 else np.finfo(np.float32)
    # A NaN is in no range.
    inside = (array >= limits.min) & (array <= limits.max)
    if not inside.all():
        raise ValueError(
            f"{name} must be finite and fit {np.dtype(dtype)}, got {array[~inside][0]}{remedy}"
        )
    # Batch-last, once and for all lanes: a step then takes examples from neighbouring bytes.
    batch_last = array.transpose(3, 1, 2, 0)
    return np.ascontiguousarray(batch_last.astype(dtype, copy=False))


def _classes(name: str, values) -> np.ndarray:
    """A user's classes, int32 (n,)."""
    array = _numbers(name, values)
    if array.ndim == 2 and array.shape[1] == 1:  # as Keras has them
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be class numbers, (n,) or (n, 1), got shape {array.shape}: turn one-hot "
            "rows into them by argmax(1)"
        )
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, class numbers from 0 up, got {array.dtype}")
    highest = np.iinfo(np.int32).max
    odd = array[(array < 0) | (array > highest)]
    if len(odd):
        raise ValueError(f"{name} must be class numbers from 0 to {highest}, got {odd[0]}")
    return array.astype(np.int32)


def _numbers(name: str, values) -> np.ndarray:
    """The values as an array of integers or floats with values at hand."""
    if isinstance(values, jax.core.Tracer):
        raise TypeError(f"{name} must be known on the host, got a traced value: hand in NumPy's")
    if np.ma.isMaskedArray(values):
        raise ValueError(f"{name} must not be masked, got a masked array: drop its masked rows")
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{name} must hold rows of one shape, got rows that differ") from None
    if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.kind != "f":
        array = array.astype(np.float32)  # bfloat16
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    return array


def check_alike(train: np.ndarray, test: np.ndarray):
    """Refuses images for testing that are of another shape or type."""
    is_alike = train.shape[:-1] == test.shape[:-1] and train.dtype == test.dtype
    if not is_alike:
        wanted = _kind_of(train)
        given = _kind_of(test)
        raise ValueError(f"x_test must have images like those of x, {wanted}, got {given}")


def _kind_of(x: np.ndarray) -> str:
    """Writes the sides, channels and type of images."""
    channels, height, width, _ = x.shape
    return f"{(height, width)} x {channels} {x.dtype}"
