"""Metrics of a whole split: F1, precision, recall, balanced accuracy, confusion matrix, ROC AUC.

None of them is a mean over examples. Those of classes are made of counts, which are added up while
an evaluation goes through a split; the area under the ROC curve is made of all scores of a split.
Values are those of scikit-learn's functions, sample weights included. An example without a
prediction (a NaN among its outputs) makes them NaN.

    task._replace(metrics={**task.metrics, "f1": metrics.f1(), "auc": metrics.auc()})
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Real

from jaxdl import losses
from jaxdl.checks import brief, integer, number_between, one_of
from jaxdl.checks.targets import class_count, in_float32, one_output
from jaxdl.losses import ClassNumbers, Labels, Logits, Output, one_hot
from jaxdl.types import AnyArray, Metric, SplitMetric, traced

AVERAGES = ("macro", "weighted", "micro", "binary")
# Each cell of a confusion matrix is a curve of its own, and costs a program time to compile.
MOST_CLASSES = 32

PerClass = Float[Array, "classes"]


class ClassCounts(NamedTuple):
    """What is counted of predictions, by class: of each example, then of a split."""

    hit: Float[Array, "classes *batch"]  # the class was predicted, and it is the target's
    predicted: Float[Array, "classes *batch"]
    actual: Float[Array, "classes *batch"]  # it is the target's


class Scores(NamedTuple):
    """What a ranking needs of every example."""

    score: Float[Array, "scores batch"]  # of class 1 of two; of every class of more
    target: Float[Array, "batch"]  # its class number


def class_counts(
    outputs: Logits | Output,
    targets: ClassNumbers | Labels,
    threshold: Real[ArrayLike, ""] = 0.0,
) -> ClassCounts:
    """Counts predictions by class: what a metric of classes is made of.

    Args:
      outputs: logits (classes, batch), of which the largest is the prediction, ties going to the
        lower class; or one output, (1, batch), of two classes.
      targets: class numbers (batch,); for one output 0 or 1, where a probability above 1/2 counts
        as class 1. Another number gives NaN.
      threshold: the one output predicts class 1 above it.

    Raises:
      ValueError: see `losses.accuracy` and `losses.binary_accuracy`.

    >>> counts = class_counts(jnp.array([[1.0, 0.0, 0.0], [0.0, 2.0, 2.0]]), jnp.array([0, 1, 0]))
    >>> counts.hit.sum(axis=1).tolist(), counts.predicted.sum(axis=1).tolist()
    ([1.0, 1.0], [1.0, 2.0])
    """
    if _is_one_output(outputs):
        output, label = one_output("class_counts", outputs, targets)
        classes = 2
        guess = (output > threshold).astype(jnp.int32)
        actual = _by_label(label)
    else:
        classes = class_count("class_counts", outputs, targets)
        guess = jnp.argmax(outputs, axis=0)
        actual = _by_class(targets, classes)
    predicted = one_hot(guess, classes)
    return ClassCounts(predicted * actual, predicted, actual)


def f1(average: str = "macro", threshold: Real[ArrayLike, ""] = 0.0) -> SplitMetric:
    """Makes the F1 score, 2 hits / (predicted + actual): precision and recall in one.

    Args:
      average: ``"macro"``, the mean over the classes that occur in the split, among targets or
        predictions; ``"weighted"``, the same by how often they occur among targets; ``"micro"``, of
        the counts of all classes; ``"binary"``, of class 1 of two.
      threshold: for a model with one output, see `class_counts`: 0 of a logit, 1/2 of an output
        that regresses on 0 and 1. May be traced.

    Returns:
      A metric from 0 to 1, higher being better. Where it would divide by 0 it is 0, as under
      scikit-learn's ``zero_division=0``.

    Raises:
      ValueError: an unknown average, a threshold that is no number.
    """
    return _of_classes(_f1, average, threshold)


def precision(average: str = "macro", threshold: Real[ArrayLike, ""] = 0.0) -> SplitMetric:
    """Makes the precision, hits / predicted: how many of those said to be of a class are.

    Args, value and errors as for `f1`.
    """
    return _of_classes(_precision, average, threshold)


def recall(average: str = "macro", threshold: Real[ArrayLike, ""] = 0.0) -> SplitMetric:
    """Makes the recall, hits / actual: how many of those that are of a class are said to be.

    Args, value and errors as for `f1`.
    """
    return _of_classes(_recall, average, threshold)


def balanced_accuracy(threshold: Real[ArrayLike, ""] = 0.0) -> SplitMetric:
    """Makes the balanced accuracy: the mean recall over the classes of the split's targets.

    Args:
      threshold: as for `f1`.

    Returns:
      A metric from 0 to 1, higher being better.
    """
    return SplitMetric(_counting(threshold), _balanced_accuracy, higher_is_better=True)


def confusion_matrix(
    classes: int, name: str = "confusion", threshold: Real[ArrayLike, ""] = 0.0
) -> dict[str, SplitMetric]:
    """Makes the cells of a confusion matrix, each a metric.

    A curve a cell: ``test_confusion_0_1`` is how many examples of the test split are of class 0 and
    were said to be of class 1; with sample weights, how much these count together. More is better
    on the diagonal, less elsewhere. `matrix` puts the cells together again.

    Args:
      classes: how many there are, from 2 to 32: as many as the model has outputs, 2 for one output.
      name: what the names of the cells begin with.
      threshold: as for `f1`.

    Returns:
      ``{name}_{actual}_{predicted}`` -> metric.

    Raises:
      ValueError: a number of classes out of range.

    >>> list(confusion_matrix(2))
    ['confusion_0_0', 'confusion_0_1', 'confusion_1_0', 'confusion_1_1']
    """
    if not integer(classes) or not 2 <= classes <= MOST_CLASSES:
        allowed = f"an integer from 2 to {MOST_CLASSES}"
        raise ValueError(f"classes must be {allowed}, got {brief(classes)}")
    _check_threshold(threshold)
    # One function for all cells: an evaluation calls it once.
    pairs = functools.partial(_pairs, classes=classes, threshold=threshold)
    cells = {}
    for actual, predicted in np.ndindex(classes, classes):
        cell = functools.partial(_cell, actual=actual, predicted=predicted)
        is_hit = actual == predicted
        cells[f"{name}_{actual}_{predicted}"] = SplitMetric(pairs, cell, higher_is_better=is_hit)
    return cells


def matrix(values: Mapping[str, Any], name: str) -> Float[np.ndarray, "*lead classes classes"]:
    """Puts the cells of confusion matrices together: rows are actual classes, columns predicted.

    Args:
      values: of a result, ``result.history`` (curves) or ``result.columns()`` (last values); or the
        history of a replay.
      name: with its split, ``"test_confusion"``.

    Raises:
      ValueError: no such cells.

    >>> matrix({"test_m_0_0": [5.0], "test_m_0_1": [1.0], "test_m_1_0": [2.0], "test_m_1_1": [3.0]},
    ...        "test_m").tolist()
    [[[5.0, 1.0], [2.0, 3.0]]]
    """
    classes = 0
    while f"{name}_{classes}_{classes}" in values:
        classes += 1
    if not classes:
        raise ValueError(f"name must be that of a confusion matrix, got {name!r}")
    rows = []
    for actual in range(classes):
        cells = [values[f"{name}_{actual}_{predicted}"] for predicted in range(classes)]
        rows.append(np.stack([np.asarray(cell) for cell in cells], axis=-1))
    return np.stack(rows, axis=-2)


def is_cell(name: str) -> bool:
    """Tells whether a name, with or without its split, is that of a cell of a confusion matrix."""
    return re.search(r"_\d+_\d+$", name) is not None


def auc() -> SplitMetric:
    """Makes the area under the ROC curve: how often an example of a class scores higher than one
    that is not, ties counting half.

    Of two classes the score is the one output, or the difference of the two. Of more it is the mean
    over the classes, each against the rest, the score being the odds of its softmax probability:
    the same ranking, which does not end where a probability rounds to 1.

    All scores of a split are ranked at once, exactly. This takes a lane 8 bytes a row for two
    classes, else 4 bytes a row and class, and a few times that while they are ranked.

    Returns:
      A metric from 0 to 1, higher being better. NaN for a split in which a class, or all else, is
      absent: no area is defined there. A study's plan says so where data are at hand.
    """
    return SplitMetric(scores, area_under_roc, higher_is_better=True, gathered=True)


def scores(outputs: Logits | Output, targets: ClassNumbers | Labels) -> Scores:
    """Takes the scores of every example, and its class.

    Args:
      outputs, targets: as for `class_counts`.

    Raises:
      ValueError: see `losses.accuracy` and `losses.binary_accuracy`.
    """
    if _is_one_output(outputs):
        output, label = one_output("auc", outputs, targets)
        inside = (label >= 0) & (label <= 1)
        return Scores(output[None], jnp.where(inside, label > 0.5, jnp.nan))
    classes = class_count("auc", outputs, targets)
    inside = (targets >= 0) & (targets < classes)
    target = jnp.where(inside, targets.astype(jnp.float32), jnp.nan)
    logits = in_float32(outputs)
    if classes == 2:
        return Scores(logits[1:] - logits[:1], target)
    return Scores(_log_odds(logits), target)


def area_under_roc(taken: Scores, weight: Float[AnyArray, "rows"]) -> Float[Array, ""]:
    """Computes the area under the ROC curve of all examples; the mean over more than two classes.

    Args:
      taken: score (1, rows) or (classes, rows); target (rows,), class numbers.
      weight: what each example counts, above 0, (rows,).
    """
    count = len(taken.score)
    classes = jnp.arange(1, 2) if count == 1 else jnp.arange(count)
    is_positive = classes[:, None] == taken.target[None, :]
    areas = jax.vmap(_area, in_axes=(0, 0, None))(taken.score, is_positive, weight)
    return _within(jnp.mean(areas))


def is_share(metric: Metric | SplitMetric | None) -> bool:
    """Tells whether a metric is one of this library whose values are from 0 to 1."""
    if isinstance(metric, SplitMetric):
        return _plain(metric.finish) in SHARES
    return metric is not None and metric.function in losses.SHARES


def takes_classes(metric: Metric | SplitMetric) -> bool:
    """Tells whether a metric is one of this module, whose targets are class numbers, or 0 and 1."""
    return _plain(metric.function) in OF_CLASSES


def is_auc(metric: Metric | SplitMetric) -> bool:
    """Tells whether a metric is `auc`, which has no value where a class is absent."""
    return isinstance(metric, SplitMetric) and metric.finish is area_under_roc


def _plain(function: Callable) -> Callable:
    """Gives the function that arguments are bound to; any other one as it is."""
    return getattr(function, "func", function)


def _is_one_output(outputs) -> bool:
    shape = jnp.shape(outputs)
    return len(shape) == 2 and shape[0] == 1


def _by_class(targets, classes: int):
    """Turns class numbers into columns (classes, batch); NaN for another number."""
    inside = (targets >= 0) & (targets < classes)
    return jnp.where(inside[None, :], one_hot(targets, classes), jnp.nan)


def _by_label(label):
    """Turns labels of two classes into columns (2, batch); NaN for what is no probability."""
    inside = (label >= 0) & (label <= 1)
    columns = one_hot((label > 0.5).astype(jnp.int32), 2)
    return jnp.where(inside[None, :], columns, jnp.nan)


def _check_threshold(threshold):
    if not traced(threshold):
        number_between("threshold", threshold, -jnp.inf, jnp.inf)


def _counting(threshold) -> Callable:
    """Gives the function that counts; the same one for all metrics of the usual threshold, which an
    evaluation then calls once."""
    _check_threshold(threshold)
    is_usual = not traced(threshold) and threshold == 0
    return class_counts if is_usual else functools.partial(class_counts, threshold=threshold)


def _of_classes(score: Callable, average: str, threshold) -> SplitMetric:
    one_of("average", average, AVERAGES)
    finish = functools.partial(_averaged, score=score, average=average)
    return SplitMetric(_counting(threshold), finish, higher_is_better=True)


def _averaged(counts: ClassCounts, weight, *, score: Callable, average: str):
    """Averages the score of every class."""
    if average == "micro":
        return _within(score(ClassCounts(*(jnp.sum(count) for count in counts))))
    by_class = _within(score(counts))
    if average == "binary":
        if len(by_class) != 2:
            raise ValueError(
                f"average must be 'macro', 'weighted' or 'micro' for the {len(by_class)} classes "
                "of the model, got 'binary'"
            )
        return by_class[1]
    if average == "weighted":
        return _within(jnp.sum(counts.actual * by_class) / jnp.sum(counts.actual))
    return _mean_over(by_class, counts.predicted + counts.actual > 0)


def _f1(counts: ClassCounts):
    return _ratio(2 * counts.hit, counts.predicted + counts.actual)


def _precision(counts: ClassCounts):
    return _ratio(counts.hit, counts.predicted)


def _recall(counts: ClassCounts):
    return _ratio(counts.hit, counts.actual)


def _balanced_accuracy(counts: ClassCounts, weight):
    return _mean_over(_within(_recall(counts)), counts.actual > 0)


def _ratio(part, whole):
    """Divides, giving 0 where both are 0."""
    # divided by 1 there: a NaN, though dropped, is what `jax_debug_nans` stops at
    return part / jnp.where(whole == 0, 1.0, whole)


def _within(share):
    """Takes back what rounding leads beyond 1: two sums of the same weights may differ by a bit."""
    return jnp.minimum(share, 1.0)


def _mean_over(by_class: PerClass, occurs: Bool[Array, "classes"]):
    """Averages over the classes that occur."""
    return jnp.sum(jnp.where(occurs, by_class, 0.0)) / jnp.maximum(jnp.sum(occurs), 1)


def _pairs(outputs, targets, *, classes: int, threshold):
    """Marks the class of every example and that which was predicted: (actual, predicted, batch)."""
    counts = class_counts(outputs, targets, threshold)
    if len(counts.actual) != classes:
        raise ValueError(
            f"classes of confusion_matrix must be the {len(counts.actual)} of the model's outputs, "
            f"got {classes}"
        )
    return counts.actual[:, None, :] * counts.predicted[None, :, :]


def _cell(pairs, weight, *, actual: int, predicted: int):
    return pairs[actual, predicted]


def _log_odds(logits):
    """Computes log(p / (1 - p)) of the softmax probability p of every class: its logit less the log
    of the sum of the exponentials of all others.

    Of all classes but the likeliest, p is at most 1/2, and 1 - p loses no digits. Of the likeliest
    it may be nearly 1: there the others are added up.
    """
    whole = jax.nn.logsumexp(logits, axis=0, keepdims=True)
    likeliest = one_hot(jnp.argmax(logits, axis=0), len(logits)) == 1
    share = jnp.where(likeliest, 0.5, jnp.exp(logits - whole))
    others = jnp.where(likeliest, -jnp.inf, logits)
    beside_likeliest = jax.nn.logsumexp(others, axis=0, keepdims=True)
    beside = jnp.where(likeliest, beside_likeliest, whole + jnp.log1p(-share))
    return logits - beside


def _area(
    score: Float[Array, "rows"],
    is_positive: Bool[Array, "rows"],
    weight: Float[AnyArray, "rows"],
) -> Float[Array, ""]:
    """Computes the share of pairs of a positive and a negative in which the positive scores higher,
    ties counting half and pairs by the product of their weights."""
    # In the order of the scores, a positive wins against the negatives below its run of equal
    # scores and half of those in it: against the mean of what is below and what is not above.
    positive = jnp.where(is_positive, weight, 0.0)
    negative = jnp.where(is_positive, 0.0, weight)
    score, positive, negative = jax.lax.sort((score, positive, negative), num_keys=1)
    differs = score[1:] != score[:-1]
    begins = jnp.concatenate([jnp.ones(1, bool), differs])
    ends = jnp.concatenate([differs, jnp.ones(1, bool)])
    upto = jnp.cumsum(negative)
    before = jnp.concatenate([jnp.zeros(1), upto[:-1]])
    below = jax.lax.cummax(jnp.where(begins, before, 0.0))
    not_above = jax.lax.cummin(jnp.where(ends, upto, jnp.inf), reverse=True)
    positives, negatives = jnp.sum(positive), upto[-1]
    is_defined = (positives > 0) & (negatives > 0)
    won = (below + not_above) / 2 / jnp.where(is_defined, negatives, 1.0)
    area = jnp.sum(positive * won) / jnp.where(is_defined, positives, 1.0)
    return jnp.where(is_defined, area, jnp.nan)


SHARES = (_averaged, _balanced_accuracy, area_under_roc)  # finishes of values from 0 to 1
OF_CLASSES = (class_counts, _pairs, scores)

__all__ = [
    "ClassCounts",
    "Scores",
    "area_under_roc",
    "auc",
    "balanced_accuracy",
    "class_counts",
    "confusion_matrix",
    "f1",
    "is_auc",
    "is_cell",
    "is_share",
    "matrix",
    "precision",
    "recall",
    "scores",
    "takes_classes",
]
