"""Checks of data sets: their shapes and types, and the values of targets that are at hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike, Shaped

from jaxdl import losses, metrics
from jaxdl.checks import brief
from jaxdl.checks import signed as check_signed
from jaxdl.types import AnyArray, Dataset, RowWeights, Task

SPLITS = ("train", "valid", "test")


def check_dataset(dataset: Any) -> Dataset:
    """Returns the data set, if its arrays fit each other; they may be traced.

    Raises:
      ValueError: no `Dataset`, no arrays of numbers, a split that is empty or whose x and targets
        differ in length, splits that differ in shape or type.
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"data must be a Dataset or a function (key) -> Dataset, got {type(dataset).__name__}"
        )
    arrays = dataset._replace(weights=None)._asdict()
    for name, part in arrays.items():
        if part is not None or name.startswith("train"):
            check_array(name, part)
    for split in ("valid", "test"):
        x, targets = f"{split}_x", f"{split}_targets"
        if (arrays[x] is None) != (arrays[targets] is None):
            raise ValueError(f"{x} and {targets} must be given both or neither, got one of them")
    for split, (x, targets) in _parts(dataset).items():
        _check_split(split, x, targets)
        _check_alike(f"{split}_x", x, "train_x", dataset.train_x)
        _check_alike(f"{split}_targets", targets, "train_targets", dataset.train_targets)
    _check_weights(dataset)
    return dataset


def _check_weights(dataset: Dataset):
    """Refuses weights that are not one a row of their split, or not above 0 where that shows."""
    if dataset.weights is None:
        return
    if not isinstance(dataset.weights, RowWeights):
        raise ValueError(f"weights must be RowWeights, got {brief(dataset.weights)}")
    parts = _parts(dataset)
    for name, weight in dataset.weights._asdict().items():
        if weight is None:
            continue
        x, _ = parts.get("train" if name == "batch" else name, (np.empty(0), None))
        check_array(f"weights.{name}", weight)
        if weight.shape != x.shape[-1:] or weight.dtype != np.float32:
            raise ValueError(
                f"weights.{name} must be one float32 a row, shape {x.shape[-1:]}, got "
                f"{brief(weight)}"
            )
        if not isinstance(weight, jax.core.Tracer):
            check_weights(f"weights.{name}", np.asarray(weight))


def check_weights(name: str, weight: Shaped[np.ndarray, "rows"]):
    """Refuses weights that are not above 0: a batch of rows that weigh nothing has no mean.

    Raises:
      ValueError: some are not.
    """
    odd = weight[~((weight > 0) & (weight < np.inf))]
    if len(odd):
        raise ValueError(
            f"{name} must be finite and above 0, got {odd[0]:g}: drop rows that count nothing"
        )


def _parts(dataset: Dataset) -> dict[str, tuple]:
    """Returns the splits that a data set has: name -> (x, targets)."""
    parts = dataset._asdict()
    return {
        name: (parts[f"{name}_x"], parts[f"{name}_targets"])
        for name in SPLITS
        if parts[f"{name}_x"] is not None
    }


def check_array(name: str, array: Any):
    """Refuses what is no array of numbers, and integers that would wrap around on the device.

    Raises:
      ValueError: a masked array, no array, no numbers, no example, integers beyond int32.
    """
    if np.ma.isMaskedArray(array):
        raise ValueError(
            f"{name} must not be masked, got a masked array: fill its masked values or drop their "
            "rows"
        )
    if not isinstance(array, (np.ndarray, jax.Array)):
        raise ValueError(f"{name} must be a NumPy or JAX array, got {type(array).__name__}")
    if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim < 1 or array.size == 0:
        raise ValueError(
            f"{name} must hold at least one example, batch axis last, got shape {array.shape}"
        )
    # int32 for an int64, unless jax_enable_x64 is on
    held = jax.dtypes.canonicalize_dtype(array.dtype)
    if array.dtype != held and jnp.issubdtype(held, jnp.integer):
        check_fits(name, array, held)


def check_fits(name: str, array: Shaped[AnyArray, "..."], dtype: DTypeLike):
    """Refuses numbers beyond the range of a type, infinity and NaN.

    Raises:
      ValueError: some values are none of the type's; says how many.
    """
    limits = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else jnp.finfo(dtype)
    inside = (array >= limits.min) & (array <= limits.max)
    outside = int((~inside).sum())  # a NaN is not inside, whatever it is compared with
    if outside:
        raise ValueError(
            f"{name} must be finite and fit {np.dtype(dtype)}, got {outside} values that do not"
        )


def _check_split(split: str, x, targets):
    """Refuses an x and targets of different lengths."""
    if x.shape[-1] != targets.shape[-1]:
        raise ValueError(
            f"{split}_x and {split}_targets must have the same length, batch axis last, "
            f"got {x.shape[-1]} and {targets.shape[-1]} (shapes {x.shape} and {targets.shape})"
        )


def _check_alike(name: str, array, first_name: str, first):
    """Refuses a split whose examples have another shape or type than those of training."""
    if array.shape[:-1] != first.shape[:-1]:
        raise ValueError(
            f"{name} must have examples of {first_name}'s shape {first.shape[:-1]}, got "
            f"{array.shape[:-1]}"
        )
    dtype, wanted = map(jax.dtypes.canonicalize_dtype, (array.dtype, first.dtype))
    if dtype != wanted:
        raise ValueError(f"{name} must have {first_name}'s dtype {wanted}, got {dtype}")


def check_targets(task: Task, outputs: tuple[int, ...], dataset: Dataset):
    """Refuses targets for which the task's loss or metrics, where they are of this library, give
    NaN.

    Args:
      task: its functions.
      outputs: shape of the model's outputs.
      dataset: arrays with values, not traced.

    Raises:
      ValueError: a line that names the split, the range and a target beyond it. Shapes and types
        that do not fit are for the functions themselves to refuse.
    """
    counts = _counts_classes(task)
    for split, (_, targets) in _parts(dataset).items():
        name, values = f"{split}_targets", np.asarray(targets)
        has_classes = values.dtype.kind in "iu" and len(outputs) == 2 and outputs[0] > 1
        has_one_output = len(outputs) == 2 and outputs[0] == 1
        if has_classes and (counts or _uses(task, losses.OF_CLASSES)):
            check_classes(name, values, outputs[0])
        if (has_one_output and counts) or _uses(task, losses.OF_PROBABILITIES):
            check_probabilities(name, values)
        if _uses(task, losses.OF_SIGNS):
            check_signed(name, values)


def depends_on_targets(task: Task) -> bool:
    """Tells whether `check_targets` has something to say about a task."""
    functions = (*losses.OF_CLASSES, *losses.OF_PROBABILITIES, *losses.OF_SIGNS)
    return _counts_classes(task) or _uses(task, functions)


def _counts_classes(task: Task) -> bool:
    """Tells whether a metric of a whole split is one of this library, which counts classes."""
    return any(map(metrics.takes_classes, task.metrics.values()))


def _uses(task: Task, functions: tuple) -> bool:
    """Tells whether the loss or a metric of a task is one of these functions."""
    measured = [metric.function for metric in task.metrics.values()]
    return any(losses.plain(function) in functions for function in (task.loss, *measured))


def check_classes(name: str, values: Shaped[np.ndarray, "..."], classes: int):
    """Refuses class numbers beyond the outputs of a model."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= classes:
        odd = low if low < 0 else high
        raise ValueError(
            f"{name} must be class numbers below the model's {classes} outputs, got {odd}: "
            f"they are 0 to {classes - 1}"
        )


def check_probabilities(name: str, values: Shaped[np.ndarray, "..."]):
    """Refuses targets of two classes that are not from 0 to 1."""
    inside = (values >= 0) & (values <= 1)
    if not inside.all():
        raise ValueError(
            f"{name} must be 0, 1 or between them for losses of two classes, got "
            f"{values[~inside].ravel()[0]}"
        )


__all__ = [
    "check_array",
    "check_classes",
    "check_dataset",
    "check_fits",
    "check_probabilities",
    "check_targets",
    "check_weights",
    "depends_on_targets",
]
