"""The arrays that users hand in, samples first, checked and typed for a data set."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, Int32, Shaped, UInt8

from jaxdl import losses
from jaxdl.checks import integer
from jaxdl.checks import signed as check_signed
from jaxdl.datasets import check_fits, check_probabilities
from jaxdl.sampling import permute, seed_key
from jaxdl.types import Padded, PerExample

EXACT = 2**24  # integers up to it are float32s


def check_known(**arguments):
    """Refuses what has no values yet: rows are split on the host, before anything is traced.

    Raises:
      TypeError: a tracer or a `Padded`, or a list or frame that holds one.
    """
    for name, given in arguments.items():
        tracers = [leaf for leaf in jax.tree.leaves(given) if isinstance(leaf, jax.core.Tracer)]
        if tracers or isinstance(given, Padded):
            is_array = name in ("X", "y")
            remedy = ": hand in NumPy arrays, also in a function of hp" if is_array else ""
            raise TypeError(
                f"{name} must be known when from_arrays splits the rows on the host, got a traced "
                f"value{remedy}"
            )


def table(
    X: Any, y: Any, loss: PerExample | None, keep_integers: bool
) -> tuple[Shaped[np.ndarray, "samples ..."], Shaped[np.ndarray, "samples ..."]]:
    """Returns X and y as arrays of the types that training uses, rows as they were.

    Args:
      X, y: what NumPy can make arrays of, (n_samples, ...) each.
      loss: what `y` is for, or None.
      keep_integers: whether X stays integers.

    Raises:
      ValueError: no numbers, numbers that float32 or the loss cannot take, lengths that differ.
    """
    x = inputs_of(user_array("X", X), keep_integers)
    targets = targets_of(user_array("y", y), loss)
    if x.ndim < 2:
        remedy = "write X[:, None] for one feature"
        raise ValueError(f"X must be (n_samples, features...), got shape {x.shape}: {remedy}")
    if len(x) != len(targets):
        raise ValueError(f"X and y must have the same length, got {len(x)} and {len(targets)}")
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
      ValueError: masked values, rows of different shapes, no numbers, no sample.
    """
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
        remedy = ": fill or drop what is missing, turn the rest into numbers"
        missing = remedy if array.dtype == object else ""
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}{missing}")
    if array.ndim < 1 or array.size == 0:
        raise ValueError(f"{name} must hold at least one sample, got shape {array.shape}")
    return array


def _is_masked(values) -> bool:
    """Tells whether values, or rows of a list, are masked: NumPy would take what lies behind
    the mask."""
    rows = values if isinstance(values, (list, tuple)) else ()
    return any(np.ma.isMaskedArray(part) for part in (values, *rows))


def inputs_of(
    array: Shaped[np.ndarray, "samples ..."], keep_integers: bool
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
    # A cast would pass: row numbers or time stamps would become equal to their neighbours, and a
    # model would learn from what nobody handed in.
    large = np.argwhere((array > EXACT) | (array < -EXACT))
    if not len(large):
        return
    row, *column = map(int, large[0])
    place = f"column {', '.join(map(str, column))}" if column else f"row {row}"
    raise ValueError(
        f"X must hold integers from {-EXACT} to {EXACT}, beyond which float32 loses digits, "
        f"got {array[tuple(large[0])]} in {place}: hand in floats (scaled, or less an offset), "
        "drop the column, or keep_integers=True for an embedding"
    )


def targets_of(
    array: Shaped[np.ndarray, "samples ..."], loss: PerExample | None
) -> Float32[np.ndarray, "samples ..."] | Int32[np.ndarray, "samples ..."]:
    """Returns targets as float32 or int32, if the loss is defined for them.

    Raises:
      ValueError: targets that it is not defined for.
    """
    whole = array.dtype.kind != "f"
    # whole numbers are classes, unless the loss says that they are quantities
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
            "turn one-hot rows into them by y.argmax(1); for several labels a sample take "
            "loss=losses.binary_cross_entropy"
        )
    if array.dtype.kind == "f":
        raise ValueError(
            f"y must be integers, class numbers from 0 up, for cross_entropy, got {array.dtype}: "
            "y.astype(int)"
        )
    if array.ndim != 1 or array.min() < 0:
        raise ValueError(
            "y of integers must be one-dimensional class numbers from 0 up, got shape "
            f"{array.shape}, minimum {array.min()}: for a regression take "
            "loss=losses.squared_error"
        )
