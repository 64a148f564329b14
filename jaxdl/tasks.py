"""Tasks: data, batches, loss and metrics in one value."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import data, losses
from jaxdl.checks import fraction, function_of, integer, number_from_zero, one_of, positive_int
from jaxdl.checks import signed as check_signed
from jaxdl.data.images import images, images_from_arrays
from jaxdl.datasets import check_fits, check_probabilities
from jaxdl.sampling import permute, seed_key, stream
from jaxdl.types import Dataset, Metric, Padded, Size, Task, capacity, check_metrics, mask, traced

EXACT = 2**24  # integers up to it are float32s

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
            f"test_fraction + valid_fraction must leave a training row of {n}, got {test_fraction} "
            f"+ {valid_fraction}"
        )
    if test < 1 or (valid_fraction > 0 and valid < 1):
        raise ValueError(
            f"test_fraction and valid_fraction must give a row each of {n}, got {test_fraction}, "
            f"{valid_fraction}"
        )
    ends = (slice(0, test), slice(test, test + valid), slice(test + valid, n))
    (test_x, test_y), (valid_x, valid_y), (train_x, train_y) = [
        (x[..., end], targets[..., end]) for end in ends
    ]
    return Dataset(train_x, train_y, test_x, test_y, *((valid_x, valid_y) if valid else ()))


def classification(data) -> Task:
    """A task with cross-entropy as its loss and accuracy as its metric.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``; targets are class numbers.
    """
    return Task(data=data, loss=losses.cross_entropy, metrics={"accuracy": ACCURACY})


def moons(
    samples: int = 1000, noise=0.1, test_fraction: float = 0.2, valid_fraction: float = 0.0
) -> Task:
    """Two interleaving half circles, drawn anew for every seed.

    Args:
      samples: number of points, at least 4.
      noise: standard deviation of the normal noise, >= 0; may be traced.
      test_fraction, valid_fraction: shares of the points, in [0, 1).
    """
    positive_int("samples", samples)
    if not traced(noise):
        number_from_zero("noise", noise)
    fraction("test_fraction", test_fraction)
    fraction("valid_fraction", valid_fraction)

    def draw(key):
        return split(
            *data.moons(stream(key, "data"), samples, noise), test_fraction, valid_fraction
        )

    return classification(draw)


def binary(data, loss=losses.binary_cross_entropy) -> Task:
    """A task of two classes, 0 and 1, for a model with one output.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``.
      loss: `losses.binary_cross_entropy`, of a logit, or `losses.squared_error`, of an output that
        regresses on 0 and 1 and is cut at 1/2; or any ``(outputs, targets) -> (batch,)`` of a
        logit.
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
    """Two normal distributions in the plane, drawn anew for every seed; each split has its share of
    either class.

    Args:
      means: of class +1 and of class -1, (2, 2); may be traced, in parts too.
      covariances: a matrix a class, (2, 2, 2), singular ones allowed; one matrix for both; or a
        number: that variance times the identity. May be traced, in parts too.
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
        parts = [
            split(x, y, test_fraction, valid_fraction)
            for x, y in zip(classes, targets, strict=True)
        ]
        return Dataset(
            *(
                None if a is None else jnp.concatenate([a, b], axis=-1)
                for a, b in zip(*parts, strict=True)
            )
        )

    return signed(draw, loss)


def palindromes(
    length: Size = 5, encoding: str = "number", test_samples: int = 1024, train_samples: int = 128
) -> Task:
    """The last digit of a palindrome from the digits before it; every batch is of fresh sequences.

    What is drawn per lane is the evaluation set, and a small set of the same kind that stands for
    the training rows: batches do not come from it, but a batch has at most so many examples, and so
    many where nothing is said.

    Args:
      length: T, from 2 up; an int or `Padded`. A model reads `data.palindrome_steps(length)`
        digits.
      encoding: ``"number"`` (one feature) or ``"one_hot"`` (ten).
      test_samples, train_samples: sequences that are evaluated.

    Raises:
      ValueError: a length below 2 or beyond its padded maximum, an unknown encoding.
    """
    data.palindrome_steps(length)
    one_of("encoding", encoding, data.ENCODINGS)
    train, test = (
        positive_int("train_samples", train_samples),
        positive_int("test_samples", test_samples),
    )

    def draw(key):
        x, targets = data.palindrome_examples(stream(key, "data"), length, test + train, encoding)
        return Dataset(x[..., test:], targets[test:], x[..., :test], targets[:test])

    def batch(dataset, key, step, batch_size):
        x, targets = data.palindrome_examples(
            jax.random.fold_in(key, step), length, capacity(batch_size), encoding
        )
        alive = mask(batch_size)
        return x, targets, jnp.ones(targets.shape) if alive is None else alive.astype(jnp.float32)

    return classification(draw)._replace(batch=batch)


def from_arrays(
    X,
    y,
    test_fraction: float = 0.2,
    valid_fraction: float = 0.0,
    *,
    loss=None,
    metrics=None,
    split_seed: int = 0,
    keep_integers: bool = False,
) -> Task:
    """A task over a fixed data set, which all lanes share.

    Inputs become float32, which holds integers up to 2**24 exactly; larger ones are refused,
    because they are mostly identifiers or times, of which digits would be lost. Floats are rounded,
    whatever they stand for.

    Args:
      X: inputs, (n_samples, ...), finite.
      y: targets: class numbers 0..classes-1, (n_samples,), integer; or float (n_samples,) or
        (n_samples, outputs); 0 and 1, (n_samples,) or (n_samples, labels), for
        `losses.binary_cross_entropy`; +1 and -1, (n_samples,), for the criteria of a perceptron
        (`losses.SIGNED`). Integers become float32 for `losses.squared_error`.
      test_fraction, valid_fraction: shares of the rows, in [0, 1), drawn at random by `split_seed`.
      loss: ``(outputs, targets) -> (batch,)``; by default cross-entropy for integer targets,
        squared error for float.
      metrics: name -> `Metric`; by default the accuracy of integer targets under a loss of classes.
      split_seed: the seed of the split, the same for all lanes, from 0 to 2**32 - 1.
      keep_integers: whether inputs, which then must be integers, stay int32 (uint8 stays uint8):
        for embeddings.

    Raises:
      ValueError: NaN or infinity, masked or missing values, lengths that differ, no samples,
        targets out of range.
      TypeError: traced arguments; where they come from an axis of a study, the axis gets a program
        a value.
    """
    decisive = {
        "X": X,
        "y": y,
        "test_fraction": test_fraction,
        "valid_fraction": valid_fraction,
        "split_seed": split_seed,
    }
    for name, given in decisive.items():
        _check_concrete(name, given)
    if loss is not None:
        function_of("loss", loss, "(outputs, targets) -> (batch,)", None, None)
    x, targets = _inputs(_user_array("X", X), keep_integers), _targets(_user_array("y", y), loss)
    if x.ndim < 2:
        remedy = "write X[:, None] for one feature"
        raise ValueError(f"X must be (n_samples, features...), got shape {x.shape}: {remedy}")
    if len(x) != len(targets):
        raise ValueError(f"X and y must have the same length, got {len(x)} and {len(targets)}")
    fraction("test_fraction", test_fraction)
    fraction("valid_fraction", valid_fraction)
    order = _split_order(split_seed, len(x))
    dataset = split(
        np.moveaxis(x[order], 0, -1),
        np.moveaxis(targets[order], 0, -1),
        test_fraction,
        valid_fraction,
    )
    whole = targets.dtype == np.int32
    loss = loss or (losses.cross_entropy if whole else losses.squared_error)
    return Task(
        data=dataset,
        loss=loss,
        metrics=_default_metrics(loss, whole) if metrics is None else check_metrics(metrics),
    )


def _check_concrete(name: str, given):
    """Refuses what has no values yet."""
    if isinstance(given, Padded) or any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(given)
    ):
        remedy = ": hand in NumPy arrays, also in a function of hp" if name in ("X", "y") else ""
        raise TypeError(
            f"{name} must be known when from_arrays splits the rows on the host, got a traced "
            f"value{remedy}"
        )


def _split_order(split_seed: int, n: int) -> np.ndarray:
    """The rows in random order, (n,); also under a trace, where a function of hp makes the task."""
    if not integer(split_seed) or not 0 <= split_seed < 2**32:
        raise ValueError(f"split_seed must be an integer from 0 to 4294967295, got {split_seed!r}")
    with jax.ensure_compile_time_eval():
        key = jax.random.fold_in(seed_key(0), split_seed)
        return np.asarray(permute(key, n, np.arange(n)))


def _user_array(name: str, values) -> np.ndarray:
    """The values as an array of numbers that has a sample, or a ValueError that names what is wrong
    with them."""
    if _is_masked(values):
        raise ValueError(
            f"{name} must not be masked, got a masked array: fill its masked values or drop their "
            "rows"
        )
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError(
            f"{name} must hold rows of one shape, got rows that differ in shape"
        ) from None
    if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.kind != "f":
        array = array.astype(np.float32)  # bfloat16
    if array.dtype.kind not in "fiub":
        missing = (
            ": fill or drop what is missing, turn the rest into numbers"
            if array.dtype == object
            else ""
        )
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}{missing}")
    if array.ndim < 1 or array.size == 0:
        raise ValueError(f"{name} must hold at least one sample, got shape {array.shape}")
    return array


def _is_masked(values) -> bool:
    """Whether values, or rows of a list, are masked: NumPy would take what lies behind the mask."""
    rows = values if isinstance(values, (list, tuple)) else ()
    return any(np.ma.isMaskedArray(part) for part in (values, *rows))


def _inputs(array: np.ndarray, keep_integers: bool) -> np.ndarray:
    """Inputs as float32, or as the integers they are."""
    if keep_integers:
        if array.dtype.kind not in "iu":
            raise ValueError(
                f"X must hold integers where keep_integers is True, got dtype {array.dtype}"
            )
        dtype = np.uint8 if array.dtype == np.uint8 else np.int32
        check_fits("X", array, dtype)
        return array.astype(dtype)
    if array.dtype.kind in "iu":
        _check_exact(array)
    check_fits("X", array, np.float32)
    return array.astype(np.float32)


def _check_exact(array: np.ndarray):
    """Refuses integers of which float32 loses digits."""
    large = np.argwhere((array > EXACT) | (array < -EXACT))
    if len(large):
        row, *column = map(int, large[0])
        place = f"column {', '.join(map(str, column))}" if column else f"row {row}"
        raise ValueError(
            f"X must hold integers from {-EXACT} to {EXACT}, beyond which float32 loses digits, "
            f"got {array[tuple(large[0])]} "
            f"in {place}: hand in floats (scaled, or less an offset), drop the column, or "
            "keep_integers=True for an embedding"
        )


def _targets(array: np.ndarray, loss) -> np.ndarray:
    """Targets as float32 or int32, if the loss is defined for them."""
    whole = array.dtype.kind != "f"
    if loss is losses.cross_entropy or (loss is None and whole):
        _check_class_numbers(array)
    if loss is losses.binary_cross_entropy:
        check_probabilities("y", array)
    if loss in losses.SIGNED:
        check_signed("y", array)
    dtype = np.int32 if whole and loss is not losses.squared_error else np.float32
    check_fits("y", array, dtype)
    return array.astype(dtype)


def _check_class_numbers(array: np.ndarray):
    """Refuses what is no column of integers from 0 up."""
    if array.ndim > 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"y must be one-dimensional class numbers for cross_entropy, got shape {array.shape}: "
            "turn one-hot rows into "
            "them by y.argmax(1); for several labels a sample take loss=losses.binary_cross_entropy"
        )
    if array.dtype.kind == "f":
        raise ValueError(
            f"y must be integers, class numbers from 0 up, for cross_entropy, got {array.dtype}: "
            "y.astype(int)"
        )
    if array.ndim != 1 or array.min() < 0:
        raise ValueError(
            "y of integers must be one-dimensional class numbers from 0 up, got shape "
            f"{array.shape}, minimum {array.min()}: "
            "for a regression take loss=losses.squared_error"
        )


def _default_metrics(loss, whole: bool) -> dict[str, Metric]:
    """The accuracy that goes with a loss, where targets are classes."""
    if loss in losses.SIGNED:
        return {"accuracy": SIGN_ACCURACY}
    of_loss = {losses.cross_entropy: ACCURACY, losses.binary_cross_entropy: BINARY_ACCURACY}
    return {"accuracy": of_loss[loss]} if whole and loss in of_loss else {}


__all__ = [
    "binary",
    "classification",
    "from_arrays",
    "gaussians",
    "images",
    "images_from_arrays",
    "moons",
    "palindromes",
    "signed",
    "split",
]
