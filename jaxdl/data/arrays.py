"""The arrays that users hand in, samples first, checked and typed for a data set."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, Int32, Shaped, UInt8

from jaxdl import losses
from jaxdl.checks import integer
from jaxdl.checks import signed as check_signed
from jaxdl.data.columns import EXACT, frame_numbers, is_frame, object_numbers, refuse_sparse
from jaxdl.data.labels import question
from jaxdl.datasets import check_fits, check_probabilities
from jaxdl.sampling import permute, seed_key
from jaxdl.types import Padded, PerExample


def check_known(**arguments):
    """Refuses what has no values yet: rows are split on the host, before anything is traced.

    Raises:
      TypeError: a tracer or a `Padded`, or a list or frame that holds one.
    """
    for name, given in arguments.items():
        tracers = [leaf for leaf in jax.tree.leaves(given) if isinstance(leaf, jax.core.Tracer)]
        if tracers or isinstance(given, Padded):
            is_array = name.startswith(("X", "y", "sample"))
            remedy = ": hand in NumPy arrays, also in a function of hp" if is_array else ""
            raise TypeError(
                f"{name} must be known when from_arrays splits the rows on the host, got a traced "
                f"value{remedy}"
            )


def table(
    X: Any, y: Any, loss: PerExample | None, keep_integers: bool, split: str = ""
) -> tuple[Shaped[np.ndarray, "samples ..."], Shaped[np.ndarray, "samples ..."]]:
    """Returns X and y as arrays of the types that training uses, rows as they were.

    Args:
      X, y: what NumPy can make arrays of, (n_samples, ...) each.
      loss: what `y` is for, or None.
      keep_integers: whether X stays integers.
      split: what follows X and y in their names.

    Raises:
      ValueError: no numbers, numbers that float32 or the loss cannot take, lengths that differ.
    """
    x_name, y_name = f"X{split}", f"y{split}"
    x = inputs_of(user_array(x_name, X), keep_integers, x_name)
    targets = targets_of(user_array(y_name, y), loss, y_name)
    if x.ndim < 2:
        remedy = f"write {x_name}[:, None] for one feature"
        raise ValueError(
            f"{x_name} must be (n_samples, features...), got shape {x.shape}: {remedy}"
        )
    if len(x) != len(targets):
        raise ValueError(
            f"{x_name} and {y_name} must have the same length, got {len(x)} and {len(targets)}"
        )
    return x, targets


def row_order(split_seed: int, n: int) -> Int[np.ndarray, "n"]:
    """Draws the order of the rows, by a seed of its own: all lanes share the split.

    A function of hp makes its task under a trace, where the order must be numbers all the same.

    Raises:
      ValueError: a seed that is no integer from 0 to 2**32 - 1.
    """
    if not integer(split_seed) or not 0 <= split_seed < 2**32:
        raise ValueError(f"split_seed must be an integer from 0 to 4294967295, got {split_seed!r}")
    with jax.ensure_compile_time_eval():
        key = jax.random.fold_in(seed_key(0), split_seed)
        return np.asarray(permute(key, n, np.arange(n)))


def user_array(name: str, values: Any) -> Shaped[np.ndarray, "samples ..."]:
    """Makes an array of numbers that has a sample.

    Raises:
      ValueError: masked values, a sparse matrix, rows of different shapes, no numbers (said in
        which column), no sample.
    """
    refuse_sparse(name, values)
    if _is_masked(values):
        raise ValueError(
            f"{name} must not be masked, got a masked array: fill its masked values or drop their "
            "rows"
        )
    array = frame_numbers(name, values) if is_frame(values) else _as_array(name, values)
    if array.dtype.kind in "OUST":
        array = object_numbers(name, array.astype(object))
    if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.kind != "f":
        array = array.astype(np.float32)  # bfloat16
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim < 1 or array.size == 0:
        raise ValueError(f"{name} must hold at least one sample, got shape {array.shape}")
    return array


def _as_array(name: str, values) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError(
            f"{name} must hold rows of one shape, got rows that differ in shape"
        ) from None


def _is_masked(values) -> bool:
    """Tells whether values, or rows of a list, are masked: NumPy would take what lies behind
    the mask."""
    rows = values if isinstance(values, (list, tuple)) else ()
    return any(np.ma.isMaskedArray(part) for part in (values, *rows))


def inputs_of(
    array: Shaped[np.ndarray, "samples ..."], keep_integers: bool, name: str = "X"
) -> (
    Float32[np.ndarray, "samples ..."]
    | Int32[np.ndarray, "samples ..."]
    | UInt8[np.ndarray, "samples ..."]
):
    """Returns inputs as float32, or as the integers they are.

    Raises:
      ValueError: numbers that the type does not hold.
    """
    if keep_integers:
        if array.dtype.kind not in "iu":
            raise ValueError(
                f"{name} must hold integers where keep_integers is True, got dtype {array.dtype}"
            )
        dtype = np.uint8 if array.dtype == np.uint8 else np.int32
        check_fits(name, array, dtype)
        return array.astype(dtype)
    if array.dtype.kind in "iu":
        _check_exact(array, name)
    check_fits(name, array, np.float32)
    return array.astype(np.float32)


def _check_exact(array: np.ndarray, name: str):
    """Refuses integers of which float32 loses digits."""
    # A cast would pass: row numbers or time stamps would become equal to their neighbours, and a
    # model would learn from what nobody handed in.
    large = np.argwhere((array > EXACT) | (array < -EXACT))
    if not len(large):
        return
    row, *column = map(int, large[0])
    place = f"column {', '.join(map(str, column))}" if column else f"row {row}"
    raise ValueError(
        f"{name} must hold integers from {-EXACT} to {EXACT}, beyond which float32 loses digits, "
        f"got {array[tuple(large[0])]} in {place}: hand in floats (scaled, or less an offset), "
        "drop the column, or keep_integers=True for an embedding"
    )


def targets_of(
    array: Shaped[np.ndarray, "samples ..."], loss: PerExample | None, name: str = "y"
) -> Float32[np.ndarray, "samples ..."] | Int32[np.ndarray, "samples ..."]:
    """Returns targets as float32 or int32, if the loss is defined for them.

    Raises:
      ValueError: targets that it is not defined for.
    """
    whole = array.dtype.kind != "f"
    question(name, array, loss)
    # whole numbers are classes, unless the loss says that they are quantities
    if loss is losses.cross_entropy or (loss is None and whole):
        array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        _check_class_numbers(array, name)
    if loss is losses.binary_cross_entropy:
        check_probabilities(name, array)
    if loss in losses.SIGNED:
        check_signed(name, array)
    dtype = np.int32 if whole and loss is not losses.squared_error else np.float32
    check_fits(name, array, dtype)
    return array.astype(dtype)


def _check_class_numbers(array: np.ndarray, name: str):
    """Refuses what is no column of integers from 0 up."""
    if array.ndim > 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"{name} must be one-dimensional class numbers for cross_entropy, got "
            f"shape {array.shape}: turn one-hot rows into them by {name}.argmax(1); for several "
            "labels a sample take loss=losses.binary_cross_entropy"
        )
    if array.dtype.kind == "f":
        raise ValueError(
            f"{name} must be integers, class numbers from 0 up, for cross_entropy, got "
            f"{array.dtype}: {name}.astype(int)"
        )
    if array.ndim != 1 or array.min() < 0:
        raise ValueError(
            f"{name} of integers must be one-dimensional class numbers from 0 up, got shape "
            f"{array.shape}, minimum {array.min()}: for a regression take "
            "loss=losses.squared_error"
        )
