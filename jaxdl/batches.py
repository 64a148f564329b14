"""Batches of training rows as the trainer draws them, for tasks that bring none of their own."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray, Shaped

from jaxdl.checks import integer
from jaxdl.lowering.own import own
from jaxdl.sampling import batch_rows
from jaxdl.types import AnyArray, Dataset, Index, Size

SAMPLINGS = ("step", "epoch")


def draw_batch(
    dataset: Dataset,
    key: PRNGKeyArray,
    step: Index,
    batch_size: Size,
    *,
    sampling: str = "step",
    order: Integer[Array, "rows"] | None = None,
    drawn: tuple[Integer[Array, "batch"], Float[Array, "batch"]] | None = None,
) -> tuple[
    Shaped[AnyArray, "*example batch"], Shaped[AnyArray, "*label batch"], Float[Array, "batch"]
]:
    """Draws a batch of training rows, without replacement.

    Args:
      dataset: arrays with the batch axis last.
      key: the lane's shuffle key, the same at every step.
      step: int scalar, counted from 0.
      batch_size: an int in 1..n or `Padded`; n itself gives all rows in order under ``"step"``.
      sampling, order: see `sampling.batch_rows`.
      drawn: what `sampling.batch_rows` gives for this step, where it is at hand.

    Returns:
      (x, targets, weight): (..., batch), (..., batch) and float32 (batch,): 0 where a place holds
      no example, else 1 or what the row weighs in the data set.
    """
    of_rows = None if dataset.weights is None else dataset.weights.batch
    n = dataset.train_targets.shape[-1]
    # The whole of the data needs no look-up: the arrays themselves are the batch.
    if sampling == "step" and integer(batch_size) and batch_size == n:
        weight = jnp.ones(n, jnp.float32) if of_rows is None else jnp.asarray(of_rows)
        return own((dataset.train_x, dataset.train_targets, weight), key)
    if drawn is None:
        drawn = batch_rows(key, step, n, batch_size, sampling, order)
    rows, weight = drawn
    weight = weight if of_rows is None else weight * _take(of_rows, rows)
    return _take(dataset.train_x, rows), _take(dataset.train_targets, rows), weight


def _take(array, rows):
    # row numbers come from a permutation of these rows, so no bound needs a check in the loop
    return jnp.asarray(array).at[..., rows].get(mode="promise_in_bounds")


def row_by_row(function: Callable) -> Callable:
    """Marks a function of a batch that treats every row by itself, whatever the others are.

    The short last batch of a pass holds dead rows. A function that is not so marked might count
    them, so its step is compiled once more, for the live rows alone.
    """
    function.row_by_row = True  # type: ignore[attr-defined]
    return function


def is_row_by_row(function: Callable | None) -> bool:
    """Tells whether a function is marked by `row_by_row`; so is none at all."""
    return function is None or getattr(function, "row_by_row", False) is True
