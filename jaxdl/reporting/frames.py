"""Tidy tables: named columns, a row a lane or a row an evaluation of a lane.

CSV, data frames and labelled arrays are all made of these columns.
"""

import csv
import importlib
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Columns = dict[str, Any]  # name -> list or array, all of one length

# What columns of ours are called; a hyper-parameter of such a name stands as ``hp.NAME``.
SEEDS = ("seed_init", "seed_data", "seed_shuffle", "seed_dropout", "seed_augment")  # where given
OURS = ("lane", "seed", "status", "diverged_at", "evaluation", "step", "diverged")


class Lanes(NamedTuple):
    """The lanes of a result, as plain values."""

    axes: tuple[str, ...]  # the swept names
    lanes: list[dict]  # with every swept name, seed, status and diverged_at
    history: dict[str, Float[np.ndarray, "lanes evaluations"]]
    steps: Int[np.ndarray, "lanes evaluations"]  # -1 beyond a lane's end


def lane_columns(table: Lanes, last: dict[str, Float[np.ndarray, " lanes"]]) -> Columns:
    """Makes the columns of a row a lane: what it is, and the last value of every metric.

    Args:
      last: name -> the values of a metric.
    """
    return {"lane": np.arange(len(table.lanes)), **_about(table), **last}


def curve_columns(table: Lanes) -> Columns:
    """Makes the columns of a row an evaluation: whose it is, its step, every metric.

    ``diverged`` says whether the lane was lost by then: what stands in such a row is what the lane
    was frozen at.
    """
    rows, evaluations = np.nonzero(table.steps >= 0)
    columns: Columns = {"lane": rows}
    for name, values in _about(table).items():
        columns[name] = [values[row] for row in rows]
    step = table.steps[rows, evaluations]
    columns["step"] = step
    columns["diverged"] = step > _first_lost(table)[rows]
    for name, curves in table.history.items():
        columns[name] = curves[rows, evaluations]
    return columns


def _first_lost(table: Lanes) -> Float[np.ndarray, " lanes"]:
    """The step at which each lane diverged, infinite where it did not."""
    at = [lane["diverged_at"] for lane in table.lanes]
    return np.array([math.inf if step is None else step for step in at])


def _about(table: Lanes) -> dict[str, list]:
    """The columns that say which lane it is and what became of it."""
    columns = {}
    for name in table.axes:
        values = [lane[name] for lane in table.lanes]
        columns[axis_column(name, table.history)] = axis_values(values)
    by_stream = [name for name in SEEDS if _has_column(table, name)]
    for name in ("seed", *by_stream, "status", "diverged_at"):
        columns[name] = [lane[name] for lane in table.lanes]
    return columns


def _has_column(table: Lanes, name: str) -> bool:
    """Whether lanes have a column that is no swept name."""
    return bool(table.lanes) and name in table.lanes[0] and name not in table.axes


def axis_column(name: str, metrics) -> str:
    """Names the column of a hyper-parameter: ``hp.NAME`` where another column has its name.

    >>> axis_column("width", ["test_loss"]), axis_column("step", ["test_loss"])
    ('width', 'hp.step')
    """
    return f"hp.{name}" if name in OURS or name in metrics else name


def axis_values(values: Sequence) -> list:
    """Gives the values of a hyper-parameter, written so that a grouping keeps all of them apart.

    None is the text ``"None"``, and where 1 and 1.0 are two configs all values are texts.

    >>> axis_values([0.1, None]), axis_values([1, 1.0, 2])
    ([0.1, 'None'], ['1', '1.0', '2'])
    """
    # A data frame drops a group of missing values without a word, and makes one group of 1 and 1.0.
    different = {(type(value), value) for value in values}
    if len(different) > len(set(values)):
        return [str(value) for value in values]
    return ["None" if value is None else value for value in values]


def to_csv(columns: Columns) -> str:
    """Writes columns as CSV text; float32 values with the digits that bring them back.

    What was not measured is empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return buffer.getvalue()


def _cell(value) -> str:
    """A value as CSV holds it: empty for None and NaN."""
    if value is None:
        return ""
    is_nan = not isinstance(value, str) and math.isnan(value)
    return "" if is_nan else str(value)


def data_frame(columns: Columns, about: dict):
    """Makes a pandas DataFrame; ``diverged_at`` is a nullable integer.

    Args:
      about: its ``attrs``.

    Raises:
      ImportError: pandas is not installed.
    """
    pandas = needed("pandas", "to_pandas", "pandas")
    typed = dict(columns)
    typed["diverged_at"] = pandas.array(list(columns["diverged_at"]), dtype="Int64")
    frame = pandas.DataFrame(typed)
    frame.attrs.update(about)
    return frame


def labelled_arrays(table: Lanes, about: dict):
    """Makes an xarray Dataset: every metric over lanes and evaluations, with their coordinates.

    Where the lanes are a full product its axes are the dimensions, ``(width, ..., seed,
    evaluation)``; else there is the dimension ``lane``. ``step`` says when each evaluation was, -1
    beyond a lane's end, ``diverged`` whether the lane was lost by then.

    Args:
      about: its ``attrs``.

    Raises:
      ImportError: xarray is not installed.
    """
    xarray = needed("xarray", "to_xarray", "xarray pandas")
    columns = _about(table)
    first_lost = _first_lost(table)
    columns["diverged_at"] = np.where(np.isinf(first_lost), np.nan, first_lost).tolist()
    swept = [*columns][: len(table.axes)]
    product = _product({name: columns[name] for name in [*swept, "seed"]})
    if product is None:
        dimensions: dict[str, Any] = {"lane": np.arange(len(table.lanes))}
        order = np.arange(len(table.lanes))
        beside = columns
    else:
        dimensions, order = product
        beside = {name: columns[name] for name in columns if name not in dimensions}
    names = tuple(dimensions)
    shape = tuple(len(values) for values in dimensions.values())
    coordinates: dict[str, Any] = {}
    for name, values in dimensions.items():
        coordinates[name] = (name, _array(values))
    for name, values in beside.items():
        coordinates[name] = (names, _array(values)[order].reshape(shape))
    whole = (*names, "evaluation")
    coordinates["step"] = _step_coordinate(table.steps, order, shape, whole)
    lost = table.steps > first_lost[:, None]
    coordinates["diverged"] = (whole, lost[order].reshape(*shape, lost.shape[1]))
    measured = {}
    for name, curves in table.history.items():
        measured[name] = (whole, curves[order].reshape(*shape, curves.shape[1]))
    return xarray.Dataset(measured, coordinates, attrs=about)


def _step_coordinate(steps, order, shape: tuple, names: tuple) -> tuple:
    """The step of every evaluation: one row where all lanes share it."""
    if len(steps) and (steps == steps[0]).all():
        return ("evaluation", steps[0])
    return (names, steps[order].reshape(*shape, steps.shape[1]))


def _product(columns: dict[str, list]) -> tuple[dict[str, list], np.ndarray] | None:
    """The values of every dimension and the order of the rows; None of what is no full product."""
    places, dimensions = [], {}
    for name, values in columns.items():
        distinct = list(dict.fromkeys(values))
        dimensions[name] = sorted(distinct) if name == "seed" else distinct
        place_of = {value: place for place, value in enumerate(dimensions[name])}
        places.append([place_of[value] for value in values])
    shape = tuple(map(len, dimensions.values()))
    count = len(columns["seed"])
    if not count or math.prod(shape) != count:
        return None
    # No lane stands twice: as many lanes as places fill every one of them.
    return dimensions, np.argsort(np.ravel_multi_index(places, shape))


def _array(values: Sequence) -> np.ndarray:
    """An array of values as they are: numbers and texts side by side stay what they were."""
    kinds = {type(value) for value in values}
    if len(kinds) > 1 and not kinds <= {int, float}:
        mixed = np.empty(len(values), object)
        mixed[:] = values
        return mixed
    return np.asarray(values)


def needed(module: str, method: str, packages: str):
    """Imports a package that jaxdl can do without.

    Raises:
      ImportError: one line that says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{method} needs {module}, which cannot be imported ({error}): pip install {packages}"
        ) from None
