"""Tasks: data, batches, loss and metrics in one value."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import data, losses
from jaxdl.checks import fraction, one_of, positive_int
from jaxdl.checks import signed as check_signed
from jaxdl.sampling import permute, stream
from jaxdl.types import Dataset, Metric, Size, Task, capacity, check_metrics, mask

ACCURACY = Metric(losses.accuracy, higher_is_better=True)
BINARY_ACCURACY = Metric(losses.binary_accuracy, higher_is_better=True)
ROUNDED_ACCURACY = Metric(losses.rounded_accuracy, higher_is_better=True)
SIGN_ACCURACY = Metric(losses.sign_accuracy, higher_is_better=True)


def split(x, targets, test_fraction: float, valid_fraction: float) -> Dataset:
    """Cuts arrays that are in random order into train, test and (if asked for) validation columns.

    Sizes are ``round(n * fraction)``; the test columns come first, then validation, then training.
    """
    n = targets.shape[-1]
    test, valid = round(n * test_fraction), round(n * valid_fraction)
    if n - test - valid < 1:
        raise ValueError(
            f"test_fraction + valid_fraction must leave a training row of {n}, got {test_fraction} + {valid_fraction}"
        )
    if test < 1 or (valid_fraction > 0 and valid < 1):
        raise ValueError(f"test_fraction and valid_fraction must give a row each of {n}, got {test_fraction}, {valid_fraction}")
    ends = (slice(0, test), slice(test, test + valid), slice(test + valid, n))
    (test_x, test_y), (valid_x, valid_y), (train_x, train_y) = [(x[..., end], targets[..., end]) for end in ends]
    return Dataset(train_x, train_y, test_x, test_y, *((valid_x, valid_y) if valid else ()))


def classification(data) -> Task:
    """A task with cross-entropy as its loss and accuracy as its metric.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``; targets are class numbers.
    """
    return Task(data=data, loss=losses.cross_entropy, metrics={"accuracy": ACCURACY})


def moons(samples: int = 1000, noise=0.1, test_fraction: float = 0.2, valid_fraction: float = 0.0) -> Task:
    """Two interleaving half circles, drawn anew for every seed.

    Args:
      samples: number of points, at least 4.
      noise: standard deviation of the normal noise, >= 0; may be traced.
      test_fraction, valid_fraction: shares of the points, in [0, 1).
    """
    positive_int("samples", samples)
    if not isinstance(noise, jax.Array) and not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be a finite number from 0 up, got {noise!r}")
    fraction("test_fraction", test_fraction)
    fraction("valid_fraction", valid_fraction)

    def draw(key):
        return split(*data.moons(stream(key, "data"), samples, noise), test_fraction, valid_fraction)

    return classification(draw)


def binary(data, loss=losses.binary_cross_entropy) -> Task:
    """A task of two classes, 0 and 1, for a model with one output.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``.
      loss: `losses.binary_cross_entropy`, of a logit, or `losses.squared_error`, of an output that regresses on 0 and 1
        and is cut at 1/2; or any ``(outputs, targets) -> (batch,)`` of a logit.
    """
    regresses = loss is losses.squared_error
    accuracy = ROUNDED_ACCURACY if regresses else BINARY_ACCURACY
    return Task(data=data, loss=loss, metrics={"accuracy": accuracy})


def signed(data, loss=losses.perceptron) -> Task:
    """A task whose targets are +1 and -1, for a model with one output.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``.
      loss: one of `losses.SIGNED`, or any ``(outputs, targets) -> (batch,)``.

    Raises:
      ValueError: other targets, where they are at hand.
    """
    for name, part in data._asdict().items() if isinstance(data, Dataset) else ():
        if name.endswith("targets") and part is not None and not isinstance(part, jax.core.Tracer):
            check_signed(name, part)
    return Task(data=data, loss=loss, metrics={"accuracy": SIGN_ACCURACY})


def gaussians(
    means=((-3.0, 0.0), (3.0, 0.0)),
    covariances=0.5,
    samples: int | tuple[int, int] = 100,
    test_fraction: float = 0.2,
    valid_fraction: float = 0.0,
    loss=losses.perceptron,
) -> Task:
    """Two normal distributions in the plane, drawn anew for every seed; each split has its share of either class.

    Args:
      means: of class +1 and of class -1, (2, 2); may be traced, in parts too.
      covariances: a matrix a class, (2, 2, 2), singular ones allowed; one matrix for both; or a number: that
        variance times the identity. May be traced, in parts too.
      samples: points of each class: a number, or one a class.
      test_fraction, valid_fraction: shares of each class, in [0, 1).
      loss: one of `losses.SIGNED`, or any ``(outputs, targets) -> (batch,)``.

    Raises:
      ValueError: covariances that are not symmetric or not positive semi-definite, an empty split.
    """
    data.check_gaussians(means, covariances)
    fraction("test_fraction", test_fraction)
    fraction("valid_fraction", valid_fraction)
    sizes = data.class_sizes(samples, test_fraction, valid_fraction)

    def draw(key):
        classes = data.gaussians(stream(key, "data"), means, covariances, sizes)
        targets = (jnp.ones(sizes[0], jnp.int32), -jnp.ones(sizes[1], jnp.int32))
        parts = [split(x, y, test_fraction, valid_fraction) for x, y in zip(classes, targets, strict=True)]
        return Dataset(*(None if a is None else jnp.concatenate([a, b], axis=-1) for a, b in zip(*parts, strict=True)))

    return signed(draw, loss)


def palindromes(length: Size = 5, encoding: str = "number", test_samples: int = 1024, train_samples: int = 128) -> Task:
    """The last digit of a palindrome from the digits before it; every batch is of fresh sequences.

    What is drawn per lane is the evaluation set, and a small set of the same kind that stands for the training rows:
    batches do not come from it, but a batch has at most so many examples, and so many where nothing is said.

    Args:
      length: T, from 2 up; an int or `Padded`. A model reads `data.palindrome_steps(length)` digits.
      encoding: ``"number"`` (one feature) or ``"one_hot"`` (ten).
      test_samples, train_samples: sequences that are evaluated.

    Raises:
      ValueError: a length below 2 or beyond its padded maximum, an unknown encoding.
    """
    data.palindrome_steps(length)
    one_of("encoding", encoding, data.ENCODINGS)
    train, test = positive_int("train_samples", train_samples), positive_int("test_samples", test_samples)

    def draw(key):
        x, targets = data.palindrome_examples(stream(key, "data"), length, test + train, encoding)
        return Dataset(x[..., test:], targets[test:], x[..., :test], targets[:test])

    def batch(dataset, key, step, batch_size):
        x, targets = data.palindrome_examples(jax.random.fold_in(key, step), length, capacity(batch_size), encoding)
        alive = mask(batch_size)
        return x, targets, jnp.ones(targets.shape) if alive is None else alive.astype(jnp.float32)

    return classification(draw)._replace(batch=batch)


def from_arrays(
    X, y, test_fraction: float = 0.2, valid_fraction: float = 0.0, *, loss=None, metrics=None, split_seed: int = 0
) -> Task:
    """A task over a fixed data set, which all lanes share.

    Args:
      X: inputs, (n_samples, ...), finite.
      y: targets: class numbers 0..classes-1, (n_samples,), integer; or float (n_samples,) or (n_samples, outputs);
        +1 and -1, (n_samples,), for the criteria of a perceptron (`losses.SIGNED`).
      test_fraction, valid_fraction: shares of the rows, in [0, 1), drawn at random by `split_seed`.
      loss: ``(outputs, targets) -> (batch,)``; by default cross-entropy for integer targets, squared error for float.
      metrics: name -> `Metric`; by default accuracy for integer targets.
      split_seed: the seed of the split, the same for all lanes.

    Raises:
      ValueError: NaN or infinity, lengths that differ, no samples, class numbers out of range.
    """
    x, targets = _user_array("X", X), _user_array("y", y)
    _check_lengths(x, targets)
    classes = np.issubdtype(targets.dtype, np.integer) and loss not in losses.SIGNED
    if loss in losses.SIGNED:
        check_signed("y", targets)
    if classes and (targets.ndim != 1 or targets.min() < 0):
        raise ValueError(
            f"y of integers must be one-dimensional class numbers from 0 up, got shape {targets.shape}, minimum {targets.min()}"
        )
    fraction("test_fraction", test_fraction)
    fraction("valid_fraction", valid_fraction)
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), split_seed)
    order = np.asarray(permute(key, len(x), np.arange(len(x))))
    dataset = split(np.moveaxis(x[order], 0, -1), np.moveaxis(targets[order], 0, -1), test_fraction, valid_fraction)
    loss = loss or (losses.cross_entropy if classes else losses.squared_error)
    if metrics is None:
        metrics = {"accuracy": SIGN_ACCURACY} if loss in losses.SIGNED else {}
        metrics = {"accuracy": ACCURACY} if classes and loss is losses.cross_entropy else metrics
    return Task(data=dataset, loss=loss, metrics=check_metrics(metrics))


def _user_array(name: str, values) -> np.ndarray:
    """The values as float32 or int32, or a ValueError that names what is wrong with them."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{name} must hold rows of one shape, got rows that differ in shape") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim < 1 or array.size == 0:
        raise ValueError(f"{name} must hold at least one sample, got shape {array.shape}")
    dtype = np.int32 if name == "y" and array.dtype.kind != "f" else np.float32
    limits: np.iinfo | np.finfo = np.iinfo(np.int32) if dtype is np.int32 else np.finfo(np.float32)
    bad = int((~((array >= limits.min) & (array <= limits.max))).sum())
    if bad:
        raise ValueError(f"{name} must be finite and fit {np.dtype(dtype)}, got {bad} values that do not")
    return array.astype(dtype)


def _check_lengths(x, targets):
    if len(x) != len(targets):
        raise ValueError(f"X and y must have the same length, got {len(x)} and {len(targets)}")


__all__ = [
    "binary", "classification", "from_arrays", "gaussians", "moons", "palindromes", "signed", "split",
]  # fmt: skip
