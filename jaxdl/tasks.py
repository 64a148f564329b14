"""Tasks: data, batches, loss and metrics in one value."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Real

from jaxdl import data, losses
from jaxdl.checks import fraction, function_of, number_from_zero, one_of, positive_int
from jaxdl.checks import signed as check_signed
from jaxdl.data.arrays import check_known
from jaxdl.data.given import Given, Shares, given_dataset
from jaxdl.data.images import images, images_from_arrays
from jaxdl.data.splits import join, split
from jaxdl.sampling import stream
from jaxdl.types import (
    DataFunction,
    Dataset,
    Metric,
    PerExample,
    Size,
    SplitMetric,
    Task,
    capacity,
    check_metrics,
    mask,
    traced,
)

ACCURACY = Metric(losses.accuracy, higher_is_better=True)
BINARY_ACCURACY = Metric(losses.binary_accuracy, higher_is_better=True)
ROUNDED_ACCURACY = Metric(losses.rounded_accuracy, higher_is_better=True)
SIGN_ACCURACY = Metric(losses.sign_accuracy, higher_is_better=True)


def classification(data: Dataset | DataFunction) -> Task:
    """Makes a task with cross-entropy as its loss and accuracy as its metric.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``; targets are class numbers.
    """
    return Task(data=data, loss=losses.cross_entropy, metrics={"accuracy": ACCURACY})


def moons(
    samples: int = 1000,
    noise: Real[ArrayLike, ""] = 0.1,
    test_fraction: float = 0.2,
    valid_fraction: float = 0.0,
) -> Task:
    """Makes the task of telling two interleaving half circles apart, drawn anew for every seed.

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
        x, targets = data.moons(stream(key, "data"), samples, noise)
        return split(x, targets, test_fraction, valid_fraction)

    return classification(draw)


def binary(data: Dataset | DataFunction, loss: PerExample = losses.binary_cross_entropy) -> Task:
    """Makes a task of two classes, 0 and 1, for a model with one output.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``.
      loss: `losses.binary_cross_entropy`, of a logit, or `losses.squared_error`, of an output that
        regresses on 0 and 1 and is cut at 1/2; or any ``(outputs, targets) -> (batch,)`` of a
        logit.
    """
    regresses = loss is losses.squared_error
    accuracy = ROUNDED_ACCURACY if regresses else BINARY_ACCURACY
    return Task(data=data, loss=loss, metrics={"accuracy": accuracy})


def signed(data: Dataset | DataFunction, loss: PerExample = losses.perceptron) -> Task:
    """Makes a task whose targets are +1 and -1, for a model with one output.

    Args:
      data: a `Dataset` or a function ``(key) -> Dataset``.
      loss: one of `losses.SIGNED`, or any ``(outputs, targets) -> (batch,)``.

    Raises:
      ValueError: other targets, where they are at hand.
    """
    shared = data._asdict() if isinstance(data, Dataset) else {}
    for name, part in shared.items():
        at_hand = part is not None and not isinstance(part, jax.core.Tracer)
        if name.endswith("targets") and at_hand:
            check_signed(name, part)
    return Task(data=data, loss=loss, metrics={"accuracy": SIGN_ACCURACY})


def gaussians(
    means: Any = ((-3.0, 0.0), (3.0, 0.0)),
    covariances: Any = 0.5,
    samples: int | tuple[int, int] = 100,
    test_fraction: float = 0.2,
    valid_fraction: float = 0.0,
    loss: PerExample = losses.perceptron,
) -> Task:
    """Makes the task of telling two normal distributions in the plane apart, drawn anew for every
    seed; each split has its share of either class.

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
        first, second = data.gaussians(stream(key, "data"), means, covariances, sizes)
        plus, minus = jnp.ones(sizes[0], jnp.int32), -jnp.ones(sizes[1], jnp.int32)
        # Each class is split on its own, so that every split has its share of either one.
        positive = split(first, plus, test_fraction, valid_fraction)
        negative = split(second, minus, test_fraction, valid_fraction)
        return join(positive, negative)

    return signed(draw, loss)


def palindromes(
    length: Size = 5, encoding: str = "number", test_samples: int = 1024, train_samples: int = 128
) -> Task:
    """Makes the task of telling the last digit of a palindrome from those before it; every batch
    is of fresh sequences.

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
    train = positive_int("train_samples", train_samples)
    test = positive_int("test_samples", test_samples)

    def draw(key):
        x, targets = data.palindrome_examples(stream(key, "data"), length, test + train, encoding)
        return Dataset(x[..., test:], targets[test:], x[..., :test], targets[:test])

    def batch(dataset, key, step, batch_size):
        fresh = jax.random.fold_in(key, step)
        x, targets = data.palindrome_examples(fresh, length, capacity(batch_size), encoding)
        alive = mask(batch_size)
        weight = jnp.ones(targets.shape) if alive is None else alive.astype(jnp.float32)
        return x, targets, weight

    return classification(draw)._replace(batch=batch)


def from_arrays(
    X: Any,
    y: Any,
    test_fraction: float | None = None,
    valid_fraction: float | None = None,
    *,
    X_test: Any = None,
    y_test: Any = None,
    X_valid: Any = None,
    y_valid: Any = None,
    loss: PerExample | None = None,
    metrics: Mapping[str, Metric | SplitMetric] | None = None,
    sample_weight: Any = None,
    sample_weight_test: Any = None,
    sample_weight_valid: Any = None,
    class_weight: Mapping | str | None = None,
    split_seed: int = 0,
    keep_integers: bool = False,
) -> Task:
    """Makes a task over a fixed data set, which all lanes share.

    Inputs become float32, which holds integers up to 2**24 exactly; larger ones are refused,
    because they are mostly identifiers or times, of which digits would be lost. Floats are rounded,
    whatever they stand for.

    Labels that are no numbers become class numbers, with their names in ``task.classes``: strings
    in sorted order, False and True as 0 and 1, pandas categories in the order that they declare.

    Args:
      X: inputs, (n_samples, ...), finite: an array, or a frame whose columns hold numbers.
      y: targets: class numbers 0..classes-1 or labels, (n_samples,); or float (n_samples,) or
        (n_samples, outputs); 0 and 1, (n_samples,) or (n_samples, labels), for
        `losses.binary_cross_entropy`; +1 and -1, (n_samples,), for the criteria of a perceptron
        (`losses.SIGNED`). Integers become float32 for `losses.squared_error`. Floats that look like
        classes need `loss` to be named.
      test_fraction, valid_fraction: shares of the rows, in [0, 1), drawn at random by `split_seed`:
        a fifth and none by default. A share of 0 makes no such split.
      X_test, y_test, X_valid, y_valid: splits that are there already, in place of a fraction.
      loss: ``(outputs, targets) -> (batch,)``; by default cross-entropy for integer targets,
        squared error for float.
      metrics: name -> `Metric` or `SplitMetric`; by default the accuracy of integer targets under a
        loss of classes.
      sample_weight, sample_weight_test, sample_weight_valid: what each row counts, above 0,
        (n_samples,), in the loss of a batch and in every mean of an evaluation; for all splits that
        are given, or for none.
      class_weight: label -> weight, above 0, or ``"balanced"``, by the training rows as
        scikit-learn has it. It counts in the loss of a batch, never in an evaluation. The mean
        loss of a batch is divided by the weights of its rows, as PyTorch does.
      split_seed: the seed of the split, the same for all lanes, from 0 to 2**32 - 1.
      keep_integers: whether inputs, which then must be integers, stay int32 (uint8 stays uint8):
        for embeddings.

    Raises:
      ValueError: NaN or infinity, masked or missing values, a sparse matrix, a column that holds no
        numbers, lengths that differ, no samples, targets out of range.
      TypeError: traced arguments; where they come from an axis of a study, the axis gets a program
        a value.
    """
    splits = {
        "": Given(X, y, sample_weight),
        "_test": Given(X_test, y_test, sample_weight_test),
        "_valid": Given(X_valid, y_valid, sample_weight_valid),
    }
    shares = Shares(test_fraction, valid_fraction, split_seed)
    for end, given in splits.items():
        weight = {f"sample_weight{end}": given.weight}
        check_known(**{f"X{end}": given.x, f"y{end}": given.y, **weight})
    check_known(**shares._asdict())
    if loss is not None:
        function_of("loss", loss, "(outputs, targets) -> (batch,)", None, None)
    dataset, classes = given_dataset(splits, shares, loss, keep_integers, class_weight)
    whole = dataset.train_targets.dtype == np.int32
    loss = loss or (losses.cross_entropy if whole else losses.squared_error)
    metrics = _default_metrics(loss, whole) if metrics is None else check_metrics(metrics)
    return Task(data=dataset, loss=loss, metrics=metrics, classes=classes)


def _default_metrics(loss, whole: bool) -> dict[str, Metric | SplitMetric]:
    """Picks the accuracy that goes with a loss, where targets are classes."""
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
