"""Labels that are no numbers, turned into classes; floats that may be meant as classes; weights of
classes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Shaped

from jaxdl import losses
from jaxdl.checks import brief, positive_number, unknown
from jaxdl.data.columns import MISSING, is_frame
from jaxdl.types import PerExample

Names = tuple[Any, ...]  # of classes: strings, bools, or what a pandas category holds


def encoded(
    given: Mapping[str, Any], loss: PerExample | None
) -> tuple[dict[str, Any], Names | None]:
    """Turns labels into class numbers, the same ones in all splits.

    Strings are numbered in sorted order, False and True are 0 and 1, and pandas categories keep
    the order that they declare.

    Args:
      given: name of a split's targets -> labels, those of training first.
      loss: what they are for; a loss of numbers gets them as they are.

    Returns:
      (targets, names): the names of the classes, None where targets are numbers already.

    Raises:
      ValueError: labels that are missing, of different kinds or all different, or that training
        does not have.
    """
    if loss is losses.squared_error or loss in losses.SIGNED:
        return dict(given), None
    columns = {name: _labels(name, values) for name, values in given.items()}
    first_name, first = next(iter(columns.items()))
    if first is None:
        return dict(given), None
    _check_repeated(first_name, first)
    numbered = {}
    for name, column in columns.items():
        if column is None or column.kind != first.kind:
            raise ValueError(f"{name} must hold labels of the kind of {first_name}")
        numbered[name] = _numbers(name, column, first.names, first_name)
    return numbered, first.names


class _Labels(NamedTuple):
    """A column of labels."""

    values: np.ndarray  # (n,), objects
    names: Names
    kind: type | None  # str, bool; None of categories


def _labels(name: str, values: Any) -> _Labels | None:
    """The labels of a column, None where it holds numbers."""
    if np.ma.isMaskedArray(values):  # refused with the numbers: NumPy would take what lies behind
        return None
    column = values.iloc[:, 0] if is_frame(values) and values.shape[1] == 1 else values
    categories = getattr(getattr(column, "dtype", None), "categories", None)
    array = _vector(column)
    if array is None or len(array) == 0:
        return None
    if categories is not None:
        _check_there(name, array)
        return _Labels(array, tuple(categories.tolist()), None)
    if array.dtype.kind == "b":
        return _Labels(array.astype(object), (False, True), bool)
    if array.dtype.kind not in "OUT":
        return None
    return _text(name, array.astype(object))


def _vector(column) -> np.ndarray | None:
    """A column as an array (n,), None where it is none; other checks say what it is."""
    try:
        array = np.asarray(column)
    except ValueError:
        return None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array if array.ndim == 1 else None


def _text(name: str, array: np.ndarray) -> _Labels | None:
    """Labels of strings, or of bools among objects."""
    if all(isinstance(value, bool | np.bool_) for value in array):
        return _Labels(array.astype(bool).astype(object), (False, True), bool)
    if not any(isinstance(value, str) for value in array):
        return None
    _check_there(name, array)
    odd = [value for value in array if not isinstance(value, str)]
    if odd:
        raise ValueError(f"{name} must hold labels of one kind, got text and {brief(odd[0])}")
    names = tuple(sorted({str(value) for value in array}))
    decimal = [label for label in names if _is_decimal(label)]
    if len(decimal) and all(map(_is_number, names)):
        raise ValueError(
            f"{name} must hold class names or numbers, got numbers as text such as {decimal[0]!r}: "
            f"{name}.astype(float)"
        )
    return _Labels(array, names, str)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_decimal(text: str) -> bool:
    return _is_number(text) and not text.strip().lstrip("+-").isdigit()


def _check_there(name: str, array: np.ndarray):
    """Refuses labels that are missing: None, NaN, or what pandas has for them."""
    for row, value in enumerate(array):
        is_nan = isinstance(value, float) and value != value
        if value is None or is_nan or type(value).__name__ in ("NAType", "NaTType"):
            raise ValueError(f"{name} must hold labels, got {value} in row {row}: {MISSING}")


def _check_repeated(name: str, column: _Labels):
    """Refuses text of which no two are alike: names of rows, not of classes."""
    n = len(column.values)
    if column.kind is str and n > 2 and len(column.names) == n:
        raise ValueError(
            f"{name} must hold labels that repeat, got {n} different ones of {n} rows: is it a "
            "column of identifiers?"
        )


def _numbers(
    name: str, column: _Labels, names: Names, first_name: str
) -> Int32[np.ndarray, "rows"]:
    number_of = {label: number for number, label in enumerate(names)}
    odd = [label for label in column.values if label not in number_of]
    if odd:
        raise ValueError(
            f"{name} must hold labels that {first_name} has, got {brief(odd[0])}: those are "
            f"{brief(list(names))}"
        )
    return np.array([number_of[label] for label in column.values], np.int32)


def question(name: str, array: Shaped[np.ndarray, "rows ..."], loss: PerExample | None):
    """Refuses floats that look like classes, where no loss says what they are.

    Raises:
      ValueError: whole floats from 0 up without a gap, +1 and -1, or rows of 0 and 1 alone.
    """
    if loss is not None or array.dtype.kind != "f":
        return
    found = np.unique(array)
    if array.ndim == 2 and array.shape[1] > 1:
        if set(found.tolist()) <= {0.0, 1.0}:
            raise ValueError(
                f"{name} must have its loss named where it holds 0 and 1 alone, got floats of "
                f"shape {array.shape}: one-hot rows become class numbers by {name}.argmax(1); take "
                "loss=losses.binary_cross_entropy for several labels a sample, "
                "loss=losses.squared_error for a regression"
            )
        return
    count = len(found)
    is_counted = count > 1 and np.array_equal(found, np.arange(count))
    is_signed = np.array_equal(found, [-1, 1])
    # Many values that hardly repeat are quantities: ranks, years since a start.
    if (is_counted or is_signed) and array.size >= 2 * count:
        raise ValueError(
            f"{name} must be integers for classes, or have its loss named, got whole floats from "
            f"{found[0]:g} to {found[-1]:g}: {name}.astype(int) for classes, "
            "loss=losses.squared_error for a regression"
        )


def class_weights(
    class_weight: Mapping | str,
    targets: np.ndarray,
    weight: np.ndarray | None,
    known: dict[Any, int],
) -> Float32[np.ndarray, "rows"]:
    """Computes what each training row weighs by its class.

    Args:
      class_weight: label -> weight, or ``"balanced"``: each class weighs as much as the others
        together do on average, sum(weight) / (classes * sum of its own), as scikit-learn has it.
      targets: (rows,), int32, of training.
      weight: of the rows, None for 1 each.
      known: label -> class number, of all splits.

    Raises:
      ValueError: targets that are no classes, an unknown or a missing class, no positive weight.
    """
    if targets.dtype != np.int32 or targets.ndim != 1:
        raise ValueError("class_weight must go with targets that are classes, got other ones")
    present = np.unique(targets)
    if isinstance(class_weight, str) and class_weight == "balanced":
        each = np.ones(len(targets)) if weight is None else weight.astype(np.float64)
        # targets of +1 and -1 are counted as well
        totals = {number: each[targets == number].sum() for number in present.tolist()}
        mean = each.sum() / len(present)
        weights = {number: mean / total for number, total in totals.items()}
    elif isinstance(class_weight, Mapping):
        weights = _declared(class_weight, present, known)
    else:
        raise ValueError(
            f"class_weight must be a dict of label -> weight or 'balanced', got "
            f"{brief(class_weight)}"
        )
    return np.array([weights[number] for number in targets.tolist()], np.float32)


def _declared(class_weight: Mapping, present: np.ndarray, known: dict[Any, int]) -> dict:
    """The weights by class number that a user declares by label."""
    weights = {}
    for label, value in class_weight.items():
        if label not in known:
            raise unknown("class", label, known)
        weights[known[label]] = positive_number(f"class_weight of {label!r}", value)
    for label, number in known.items():
        if number in present and number not in weights:
            raise ValueError(f"class_weight must give every class a weight, got none of {label!r}")
    return weights


__all__ = ["Names", "class_weights", "encoded", "question"]
