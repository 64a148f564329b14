"""Numbers of what users hand in as frames, sparse matrices or objects, column by column."""

import numbers
from typing import Any

import numpy as np
from jaxtyping import Shaped

from jaxdl.checks import brief

EXACT = 2**24  # integers up to it are float32s
MISSING = "fill or drop what is missing"
TEXT = "drop it, or turn it into numbers (pandas.get_dummies makes them of text)"


def is_frame(values: Any) -> bool:
    """Tells whether values are a pandas frame; pandas itself is not needed for that."""
    return hasattr(values, "iloc") and hasattr(values, "columns")


def refuse_sparse(name: str, values: Any):
    """Refuses a sparse matrix: NumPy would make an array of one object of it.

    Raises:
      ValueError: it is one, with what to write instead.
    """
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise ValueError(
            f"{name} must be a dense array, got a sparse one of shape {tuple(values.shape)}: "
            f"{name}.toarray()"
        )


def frame_numbers(name: str, frame: Any) -> Shaped[np.ndarray, "rows columns"]:
    """Makes an array of a frame's columns.

    Raises:
      ValueError: a column that holds no numbers, missing ones, or integers that become floats
        beside others and lose digits; named as the frame names it.
    """
    columns = []
    for place, label in enumerate(frame.columns):
        where = f"column {str(label)!r}"
        columns.append(_column(name, where, frame.iloc[:, place]))
    if not columns:
        return np.empty((len(frame), 0))
    # Beside a float column integers become floats as well, and would be past the check of integers.
    if any(column.dtype.kind == "f" for column in columns):
        for label, column in zip(frame.columns, columns, strict=True):
            _check_exact(name, label, column)
    return np.stack(columns, axis=1)


def _check_exact(name: str, label, column: np.ndarray):
    is_whole = column.dtype.kind in "iu"
    large = column[(column > EXACT) | (column < -EXACT)] if is_whole else ()
    if len(large):
        raise ValueError(
            f"{name} must hold integers from {-EXACT} to {EXACT}, beyond which float32 loses "
            f"digits, got {next(iter(large))} in column {str(label)!r}: scale it or drop the column"
        )


def _column(name: str, where: str, column: Any) -> Shaped[np.ndarray, "rows"]:
    """The numbers of one column of a frame."""
    if hasattr(column.dtype, "categories"):
        raise ValueError(
            f"{name} must hold numbers, got categories in {where}: pandas.get_dummies, or "
            ".cat.codes where they have an order"
        )
    array = column.to_numpy()
    if array.dtype.kind not in "fiub":
        array = object_numbers(name, array.astype(object), where)
    lost = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    if lost:
        raise ValueError(f"{name} must be finite, got {lost} NaN in {where}: {MISSING}")
    return array


def object_numbers(
    name: str, array: Shaped[np.ndarray, "*shape"], where: str = ""
) -> Shaped[np.ndarray, "*shape"]:
    """Makes numbers of an array of objects that are numbers.

    Args:
      where: the column that it is; by default the place of a value is said.

    Raises:
      ValueError: a value that is no real number; says where it stands.
    """
    whole = True
    for place, value in np.ndenumerate(array):
        if not isinstance(value, numbers.Real | np.bool_):
            said = where or _place(place)
            raise ValueError(
                f"{name} must hold numbers, got {brief(value)} in {said}: {_of(value)}"
            )
        whole = whole and isinstance(value, numbers.Integral | np.bool_)
    try:
        return array.astype(np.int64 if whole else np.float64)
    except OverflowError:
        return array.astype(np.float64)


def _place(place: tuple) -> str:
    """Writes where a value stands: its column, or its row where there are no columns."""
    if len(place) == 1:
        return f"row {place[0]}"
    return f"column {', '.join(map(str, place[1:]))}"


def _of(value) -> str:
    """What to do about a value that is no number."""
    # None, pandas.NA and pandas.NaT; a NaN is a float and is met later.
    is_missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    return MISSING if is_missing else TEXT


def check_columns(name: str, values: Any, first_name: str, first: Any):
    """Refuses a frame whose columns are not those of another, in one order."""
    if is_frame(values) and is_frame(first) and list(values.columns) != list(first.columns):
        raise ValueError(
            f"{name} must have the columns of {first_name} in their order, got "
            f"{brief(list(map(str, values.columns)))}: {name}[{first_name}.columns]"
        )


def check_rows(x_name: str, x: Any, y_name: str, y: Any):
    """Refuses a frame and a series that have the same rows in another order.

    Rows are paired by place. Where both have an index, of the same labels but in another order, a
    row would be trained with the target of another one.
    """
    if not (hasattr(x, "iloc") and hasattr(y, "iloc")) or len(x) != len(y):
        return
    same_order = x.index.equals(y.index)
    if not same_order and len(x.index.difference(y.index)) == 0:
        raise ValueError(
            f"{x_name} and {y_name} must have their rows in one order, got the same index in two: "
            f"{y_name}.loc[{x_name}.index]"
        )


__all__ = [
    "EXACT",
    "check_columns",
    "check_rows",
    "frame_numbers",
    "is_frame",
    "object_numbers",
    "refuse_sparse",
]
