"""Tasks of images: digits, CIFAR-10, and a user's own, uint8 on the device and shared by all lanes.

Images are ``(channels, height, width, batch)``. `Task.prepare` makes normalised floats of them, in
training and evaluation alike; a user's new images go through the same function.
"""

from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from jaxdl import losses
from jaxdl.batches import row_by_row
from jaxdl.checks import brief, function_of, one_of
from jaxdl.data import cifar10
from jaxdl.data.labelled import Labelled, Splits, beside, check_alike, cut, labelled
from jaxdl.types import Dataset, Metric, Task

NAMES = ("digits", "cifar10")
DIGITS_TEST = 0.2  # of its 1797 images
STRETCH = 2**20  # numbers that are summed at once
LARGEST = 255  # of a byte: mean and std of uint8 images are fractions of it, as in torchvision


def images(
    name: str = "digits",
    data_dir=None,
    *,
    valid_fraction: float = 0.0,
    augment: Callable | None = None,
    mean=None,
    std=None,
    split_seed: int = 0,
) -> Task:
    """Makes a task of telling the classes of images apart, over a known data set.

    Args:
      name: ``"digits"``, scikit-learn's 1797 grey 8x8 pictures, with values of 0 to 16, a fifth of
        them for testing; or ``"cifar10"``, 60,000 colour 32x32 pictures, 10,000 for testing.
      data_dir: a folder that has CIFAR-10, see `data.cifar10.load`; where none is given, that of
        the environment variable JAXDL_DATA_DIR.
      valid_fraction: share of the training images that is set aside for validation, in [0, 1).
      augment: ``(key, x, targets) -> (x, targets)``, of training batches: see `jaxdl.augment`.
      mean, std: of the normalisation, as fractions of 255: a number, or one a channel. By default
        CIFAR-10's usual ones; of the digits those of the training images.
      split_seed: which images are for validation (of the digits, for testing too).

    Raises:
      ValueError: an unknown name, fractions that leave a split empty, data that are damaged.
      FileNotFoundError: no data.

    >>> task = images("digits")
    >>> task.data.train_x.shape, task.data.test_x.shape, task.data.train_x.dtype
    ((1, 8, 8, 1438), (1, 8, 8, 359), dtype('uint8'))
    """
    one_of("name", name, NAMES)
    if name == "digits":
        if data_dir is not None:
            raise ValueError(
                "data_dir must not be given for 'digits', which come with scikit-learn, got "
                f"{brief(data_dir)}"
            )
        splits = cut(_digits(), DIGITS_TEST, valid_fraction, split_seed)
    else:
        source = cifar10.load(data_dir)
        train = Labelled(source.train_x, source.train_targets)
        test = Labelled(source.test_x, source.test_targets)
        splits = beside(train, test, valid_fraction, split_seed)
        mean = cifar10.MEAN if mean is None else mean
        std = cifar10.STD if std is None else std
    return _task(splits, mean, std, augment)


def _digits() -> Labelled:
    """scikit-learn's digits, values 0 to 16."""
    from sklearn.datasets import load_digits  # a second of import

    digits = load_digits()
    x = np.moveaxis(digits.images.astype(np.uint8), 0, -1)[None]
    return Labelled(x, digits.target.astype(np.int32))


def images_from_arrays(
    x,
    y,
    test_fraction: float | None = None,
    valid_fraction: float = 0.0,
    *,
    x_test=None,
    y_test=None,
    mean=None,
    std=None,
    augment: Callable | None = None,
    split_seed: int = 0,
) -> Task:
    """Makes a task over a user's own images, which all lanes share.

    Args:
      x: (n, height, width, channels) or (n, height, width); bytes stay uint8, floats become
        float32.
      y: class numbers from 0 up, (n,) or (n, 1), integers.
      test_fraction: share of the images, in (0, 1), that is set aside for testing: a fifth by
        default, unless `x_test` is given.
      valid_fraction: share of the images that is set aside for validation, in [0, 1).
      x_test, y_test: images for testing, both or neither.
      mean, std: what normalised images have been shifted and divided by: a number, or one a
        channel; fractions of 255 for uint8, on the scale of x for floats. By default those of the
        training images; a channel that never changes is divided by 1.
      augment: ``(key, x, targets) -> (x, targets)``, of training batches, x as
        (channels, height, width, batch): see `jaxdl.augment`.
      split_seed: the seed of the splits, the same for all lanes.

    Raises:
      ValueError: what are no images, NaN or infinity, lengths or shapes that differ, an empty
        split.
    """
    every = labelled("x", x, "y", y)
    if (x_test is None) != (y_test is None):
        raise ValueError("x_test and y_test must be given both or neither, got one of them")
    if x_test is None:
        share = 0.2 if test_fraction is None else test_fraction
        splits = cut(every, share, valid_fraction, split_seed)
    elif test_fraction is None:
        test = labelled("x_test", x_test, "y_test", y_test)
        check_alike(every.x, test.x)
        splits = beside(every, test, valid_fraction, split_seed)
    else:
        given = brief(test_fraction)
        raise ValueError(f"test_fraction must not be given beside x_test, got {given}")
    return _task(splits, mean, std, augment)


def _task(splits: Splits, mean, std, augment) -> Task:
    """The task of some images: cross-entropy and accuracy, normalised by its `prepare`."""
    if augment is not None:
        function_of("augment", augment, "(key, x, targets) -> (x, targets)", None, None, None)
    train, valid, test = splits
    unit = LARGEST if train.x.dtype == np.uint8 else 1
    usual_mean, usual_std = _moments(train.x, unit) if mean is None or std is None else (0.0, 1.0)
    channels = len(train.x)
    mean = _per_channel("mean", usual_mean if mean is None else mean, channels)
    std = _per_channel("std", usual_std if std is None else std, channels)
    if not (std > 0).all():
        raise ValueError(f"std must be above 0, got {std.ravel().tolist()}")
    return Task(
        data=Dataset(*train, *test, *(valid or ())),
        loss=losses.cross_entropy,
        metrics={"accuracy": Metric(losses.accuracy, higher_is_better=True)},
        augment=augment,
        prepare=normalise(mean, std, unit),
    )


def _moments(x: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every channel, (channels,); 1 for one that never changes."""
    flat = x.reshape(len(x), -1)
    mean = flat.mean(axis=1, dtype=np.float64)
    # Summed as they are read: NumPy's own would make a float64 of every number first.
    squares = []
    for row, centre in zip(flat, mean, strict=True):
        squares.append(sum(_square_distances(row, centre)))
    std = np.sqrt(np.array(squares) / flat.shape[1])
    # a channel that never changes has no deviation to divide by: it becomes 0, divided by 1
    std = np.where(std > 0, std, unit)
    return mean / unit, std / unit


def _square_distances(row: np.ndarray, centre: float) -> Iterator[float]:
    """The sum of squared distances from a centre, of one stretch of numbers after the other."""
    for begin in range(0, len(row), STRETCH):
        distances = row[begin : begin + STRETCH] - centre
        yield float(distances @ distances)


def _per_channel(name: str, value, channels: int) -> np.ndarray:
    """A number, or one a channel, as float32 (channels, 1, 1, 1)."""
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        array = np.full((), np.nan)
    if array.shape not in ((), (channels,)) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a finite number or {channels} of them, one a channel, got "
            f"{brief(value)}"
        )
    return np.broadcast_to(array, channels).reshape(channels, 1, 1, 1)


def normalise(mean: np.ndarray, std: np.ndarray, unit: float = LARGEST) -> Callable:
    """Makes a function that normalises images: (x / unit - mean) / std, as torchvision does.

    Args:
      mean, std: (channels, 1, 1, 1).
      unit: what full brightness is on the scale of x.

    Returns:
      ``(x) -> x``: (channels, height, width, batch), of any dtype, to float32.
    """

    # Data stay bytes on the device, a quarter of the floats, and are normalised a batch at a time.
    # No row sees another, which is marked, so that short batches need no step of their own.
    @row_by_row
    def prepare(x):
        if x.ndim != 4 or len(x) != len(mean):
            raise ValueError(
                f"x must be images of shape ({len(mean)}, height, width, batch), got {brief(x)}"
            )
        return (jnp.asarray(x, jnp.float32) / unit - mean) / std

    return prepare


__all__ = ["images", "images_from_arrays", "normalise"]
