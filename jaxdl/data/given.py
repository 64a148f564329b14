"""A user's own rows as a data set: checked, labels encoded, weighed, divided into splits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import brief, fraction
from jaxdl.data.arrays import row_order, table, user_array
from jaxdl.data.columns import check_columns, check_rows
from jaxdl.data.labels import Names, class_weights, encoded
from jaxdl.data.splits import split
from jaxdl.datasets import check_dataset, check_fits, check_weights
from jaxdl.types import Dataset, PerExample, RowWeights

USUAL_TEST = 0.2


class Given(NamedTuple):
    """A split as a user hands it in."""

    x: Any
    y: Any
    weight: Any = None  # sample_weight


class Rows(NamedTuple):
    """A split as arrays that training takes, rows last."""

    x: np.ndarray
    targets: np.ndarray
    weight: np.ndarray | None


class Shares(NamedTuple):
    """How rows are divided; None where nothing was said."""

    test_fraction: float | None
    valid_fraction: float | None
    split_seed: int


def given_dataset(
    splits: Mapping[str, Given],
    shares: Shares,
    loss: PerExample | None,
    keep_integers: bool,
    class_weight: Any,
) -> tuple[Dataset, Names | None]:
    """Makes a data set of a user's rows.

    Args:
      splits: ``""`` for training, ``"_test"`` and ``"_valid"``: what follows X and y in the names
        of arguments. Those for testing and validation may be left at None.
      shares: of rows that are set aside, for a split that is not given.
      loss, keep_integers, class_weight: see `tasks.from_arrays`.

    Returns:
      (data set, names of the classes); no names where labels are numbers.

    Raises:
      ValueError: what does not fit.
    """
    there = _there(splits)
    test, valid = (_share(name, shares, there) for name in ("test", "valid"))
    _check_frames(there)
    targets, names = encoded({f"y{end}": given.y for end, given in there.items()}, loss)
    rows = {}
    for end, given in there.items():
        x, y = table(given.x, targets[f"y{end}"], loss, keep_integers, end)
        rows[end] = Rows(_last(x), _last(y), _sample_weight(end, given.weight, len(x)))
    order = row_order(shares.split_seed, rows[""].targets.shape[-1])
    dataset = _divided(rows, order if test or valid else None, test, valid)
    if class_weight is not None:
        dataset = _with_class_weight(dataset, class_weight, names)
    return check_dataset(dataset), names


def _last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 0, -1)


def _there(splits: Mapping[str, Given]) -> dict[str, Given]:
    """The splits that are given, each of them whole."""
    there = {"": splits[""]}
    for end in ("_test", "_valid"):
        x, y, weight = splits[end]
        if (x is None) != (y is None):
            raise ValueError(f"X{end} and y{end} must be given both or neither, got one of them")
        if weight is not None and x is None:
            raise ValueError(f"sample_weight{end} must go with X{end}, got it alone")
        if x is not None:
            there[end] = splits[end]
    weighed = [given.weight is not None for given in there.values()]
    if any(weighed) and not all(weighed):
        needed = ", ".join(f"sample_weight{end}" for end in there)
        raise ValueError(f"sample_weight must be given for every split or none: {needed}")
    return there


def _share(name: str, shares: Shares, there: Mapping[str, Given]) -> float:
    """The share of the rows that is set aside for a split."""
    parameter = f"{name}_fraction"
    asked = getattr(shares, parameter)
    if f"_{name}" in there:
        if asked is not None:
            raise ValueError(f"{parameter} must not be given beside X_{name}, got {brief(asked)}")
        return 0.0
    usual = USUAL_TEST if name == "test" else 0.0
    return usual if asked is None else fraction(parameter, asked)


def _check_frames(there: Mapping[str, Given]):
    """Refuses frames whose columns or rows stand in another order than those they go with."""
    first = there[""].x
    for end, given in there.items():
        check_rows(f"X{end}", given.x, f"y{end}", given.y)
        check_columns(f"X{end}", given.x, "X", first)


def _sample_weight(end: str, values: Any, rows: int) -> np.ndarray | None:
    """The weights of a split's rows, float32 (rows,)."""
    if values is None:
        return None
    name = f"sample_weight{end}"
    array = user_array(name, values)
    if array.shape != (rows,):
        raise ValueError(f"{name} must be one number a row, shape ({rows},), got {array.shape}")
    check_fits(name, array, np.float32)
    weight = array.astype(np.float32)
    check_weights(name, weight)
    return weight


def _divided(
    rows: Mapping[str, Rows], order: np.ndarray | None, test: float, valid: float
) -> Dataset:
    """Sets rows aside for the splits that are not given; those that are stay as they are."""
    x, targets, weight = rows[""]
    if order is not None:
        x, targets = x[..., order], targets[..., order]
        weight = None if weight is None else weight[order]
    dataset = split(x, targets, test, valid)
    weights = None
    if weight is not None:
        cut = split(weight, weight, test, valid)
        weights = RowWeights(cut.train_x, cut.train_x, cut.test_x, cut.valid_x)
    for end, given in rows.items():
        if end:
            name = end[1:]
            parts: dict[str, Any] = {f"{name}_x": given.x, f"{name}_targets": given.targets}
            dataset = dataset._replace(**parts)
            weights = weights and weights._replace(**{name: given.weight})
    return dataset._replace(weights=weights)


def _with_class_weight(dataset: Dataset, class_weight: Any, names: Names | None) -> Dataset:
    """Weighs the rows of batches by their class; evaluations are left as they are."""
    weights = dataset.weights or RowWeights()
    parts = (dataset.train_targets, dataset.test_targets, dataset.valid_targets)
    found = np.unique(np.concatenate([part.ravel() for part in parts if part is not None]))
    known = {n: n for n in found.tolist()}
    if names is not None:
        known = {label: number for number, label in enumerate(names)}
    by_class = class_weights(class_weight, dataset.train_targets, weights.batch, known)
    batch = by_class if weights.batch is None else by_class * weights.batch
    return dataset._replace(weights=weights._replace(batch=batch))


__all__ = ["Given", "Shares", "given_dataset"]
