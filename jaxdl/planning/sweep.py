"""A sweep: what stands in a study's argument, spread into the values of its configs."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from jaxdl.checks import brief, integer

SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)

Values = dict[str, Any]  # of the swept names, in declared order


def spread(sweep) -> tuple[dict[str, dict[str, Callable]], tuple[Values, ...]]:
    """Spreads a sweep: a dict of values to their product, a list of configs to the distinct ones.

    >>> spread({"width": [1, 2], "rate": [0.1]})[1]
    ({'width': 1, 'rate': 0.1}, {'width': 2, 'rate': 0.1})

    Returns:
      (choices, values): name -> label -> function, of what is swept by label; and the values of
      every config, a single empty one where nothing is swept.

    Raises:
      ValueError: a line that names the hyper-parameter and the value.
    """
    if sweep is None:
        return {}, ({},)
    if isinstance(sweep, Mapping):
        columns = {name: _column(name, values) for name, values in sweep.items()}
        choices = {
            name: dict(values) for name, values in sweep.items() if isinstance(values, Mapping)
        }
        return choices, tuple(product(columns))
    if not _is_listing(sweep) or hasattr(sweep, "dtype"):
        raise ValueError(
            f"sweep must be a dict of name -> values, or a list of configs, got {brief(sweep)}"
        )
    return {}, _listed(list(sweep))


def product(columns: Mapping[str, Iterable]) -> list[Values]:
    """Returns every combination of named values, the last name changing fastest.

    >>> product({"a": [1, 2], "b": "xy"})[:3]
    [{'a': 1, 'b': 'x'}, {'a': 1, 'b': 'y'}, {'a': 2, 'b': 'x'}]
    """
    rows = itertools.product(*columns.values())
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _is_listing(values) -> bool:
    """Whether values can be gone through one by one; a text or a matrix is no list of them."""
    listing = isinstance(values, Iterable) and not isinstance(values, (str, bytes))
    return listing and getattr(values, "ndim", 1) == 1


def _column(name: str, values) -> list:
    """The distinct values of one swept name."""
    if hasattr(values, "ppf") or hasattr(values, "icdf"):
        raise ValueError(
            f"sweep of {name} must be a list of values, got a distribution: write "
            "jaxdl.draw(distribution, n=50, seed=0)"
        )
    if not _is_listing(values):
        raise ValueError(f"sweep of {name} must be a list of values, got {brief(values)}")
    column = [_plain(name, value) for value in values]
    if not column:
        raise ValueError(f"sweep of {name} must hold at least one value, got {brief(values)}")
    _check_distinct(name, column)
    return list(dict.fromkeys(column))


def _listed(configs: list) -> tuple[Values, ...]:
    """The distinct configs of a list."""
    if not configs:
        raise ValueError("sweep must hold at least one config, got an empty list")
    for config in configs:
        _check_names(config, configs[0])
    axes = list(configs[0])
    rows = [{name: _plain(name, config[name]) for name in axes} for config in configs]
    for name in axes:
        _check_distinct(name, [row[name] for row in rows])
    return tuple({tuple(row.items()): row for row in rows}.values())


def _check_names(config, first):
    if not isinstance(config, Mapping):
        raise ValueError(f"sweep must be a list of configs, each a dict, got {brief(config)}")
    if set(config) != set(first):
        names = f"{sorted(map(str, first))} and {sorted(map(str, config))}"
        raise ValueError(f"sweep must name the same hyper-parameters in every config, got {names}")


def _plain(name: str, value):
    """A swept value as a Python number, string, bool or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if callable(value):
        raise ValueError(
            f"sweep of {name} holds a function: give functions a label, as in {{{name!r}: "
            f"{{'label': function}}}}"
        )
    if not isinstance(value, (str, bool, int, float, type(None))):
        raise ValueError(
            f"sweep of {name} must hold numbers, strings, bools or None, got {brief(value)}"
        )
    return value


def _check_distinct(name: str, column: list):
    """Refuses values that differ here and are one and the same to Python or to a float32."""
    # Configs are dictionary keys, where 1 is 1.0 is True, and lanes carry float32s: either would
    # take two of them for one, and one's result for the other's.
    kinds: dict[Any, Any] = {}
    singles: dict[float, Any] = {}
    for value in column:
        _check_float32(name, value)
        equal = kinds.setdefault(value, value)
        if type(equal) is not type(value):
            _refuse_equal(name, equal, value, "equal")
        if isinstance(value, float):
            rounded = singles.setdefault(float(np.float32(value)), value)
            if rounded != value:
                _refuse_equal(name, rounded, value, "one float32")


def _refuse_equal(name: str, one, other, how: str):
    raise ValueError(
        f"sweep of {name} must hold values that differ, got {one!r} and {other!r}, which are {how}"
    )


def _check_float32(name: str, value):
    """Refuses a number that float32 arithmetic takes for another: NaN, zero, or infinity."""
    if integer(value) and abs(value) > int(LARGEST):
        raise ValueError(
            f"sweep of {name} must hold numbers that a float32 holds, got {brief(value)}"
        )
    if not isinstance(value, float):
        return
    if math.isnan(value):
        raise ValueError(f"sweep of {name} must hold numbers (None says none), got nan")
    if value != 0 and abs(value) < SMALLEST:
        raise ValueError(
            f"sweep of {name} must hold 0 or numbers from {SMALLEST:.3g} up, got {value!r}, which "
            "float32 takes for 0"
        )
    if math.isfinite(value) and abs(value) > LARGEST:
        raise ValueError(
            f"sweep of {name} must hold numbers that a float32 holds, got {brief(value)}"
        )
