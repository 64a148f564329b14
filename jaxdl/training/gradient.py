"""The gradient of a batch's loss, of the whole batch at once or summed over micro-batches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import parts
from jaxdl.training.recipe import Recipe, prepared, rows_at_a_time
from jaxdl.training.values import check_gradient, per_example


class Batch(NamedTuple):
    """The examples of a step, as the task augments them."""

    x: Any  # (..., batch)
    targets: Any  # (..., batch)
    weight: Any  # float32 (batch,), 0 where a place holds no example


class Gradient(NamedTuple):
    """What a step learns from its batch."""

    value: Any  # what is minimised: the mean of the losses, or their sum
    loss: Any  # the mean of the losses
    state: Any  # of the model, after the batch
    grads: Any  # of the value, like params
    value_of: Callable  # (params) -> value, for optimizers that search along a line


def gradient(recipe: Recipe, params, state, batch: Batch, key) -> Gradient:
    """Computes the gradient of a batch's loss.

    Args:
      recipe: with the number of micro-batches, `accumulate`.
      params, state: of the model.
      batch: what the loss is of.
      key: for the model's own draws.
    """
    if recipe.accumulate != 1:
        return _accumulated(recipe, params, state, batch, key)

    def objective(params):
        total, after = _total(recipe, params, state, batch, key)
        mean = total / jnp.sum(batch.weight)
        value = mean if recipe.reduction == "mean" else total
        return value, (mean, after)

    def value_of(params):
        value, _ = objective(params)
        return value

    value_and_grad = jax.value_and_grad(objective, has_aux=True)
    (value, aside), grads = value_and_grad(params)
    mean, after = aside
    return Gradient(value, mean, after, grads, value_of)


def _total(recipe: Recipe, params, state, batch: Batch, key) -> tuple:
    """Computes the weighted sum of the losses of a batch, and the model's state after it."""
    x = prepared(recipe.task, batch.x)
    outputs, after = parts.apply(recipe.model, params, state, x, key, train=True)
    each = recipe.task.loss(outputs, batch.targets)
    losses = per_example("loss", each, len(batch.weight))
    check_gradient(recipe.task.loss, outputs, batch.targets)
    # a NaN in a place without an example weighs nothing
    weighted = jnp.where(batch.weight == 0, 0.0, losses) * batch.weight
    return jnp.sum(weighted), after


def _accumulated(
    recipe: Recipe,
    params,
    state,
    batch: Batch,
    key,
) -> Gradient:
    """Computes the gradient of a batch in micro-batches, whose arrays are held one at a time.

    Each of them adds its share to the sum over the batch, divided by the weight of the whole batch
    and not by its own: so short and padded batches give what they give at once.
    """
    weight = jnp.sum(batch.weight)
    scale = weight if recipe.reduction == "mean" else 1.0

    def objective(params, state, part, key):
        total, after = _total(recipe, params, state, part, key)
        return total / scale, (total, after)

    def add_gradient(sums, state, part, key):
        value_and_grad = jax.value_and_grad(objective, has_aux=True)
        (_, (total, after)), grads = value_and_grad(params, state, part, key)
        return jax.tree.map(jnp.add, sums, (total, grads)), after

    def value_of(params):
        def add_total(sum_, state, part, key):
            total, after = _total(recipe, params, state, part, key)
            return sum_ + total, after

        total, _ = _over_parts(recipe, add_total, zero, state, batch, key)
        return total / scale

    zero = jnp.float32(0.0)
    no_grads = jax.tree.map(jnp.zeros_like, params)
    nothing = zero, no_grads
    sums, after = _over_parts(recipe, add_gradient, nothing, state, batch, key)
    total, grads = sums
    return Gradient(total / scale, total / weight, after, grads, value_of)


def _over_parts(
    recipe: Recipe,
    add: Callable,
    sums,
    state,
    batch: Batch,
    key,
) -> tuple:
    """Goes through the micro-batches of a batch, one after the other: (sums, state).

    A scan holds the arrays of one micro-batch at a time, which a Python loop would not promise.
    The last batch of a pass may be short; what is left of it is a micro-batch of its own.

    Args:
      add: ``(sums, state, part, key) -> (sums, state)``.
    """
    size = rows_at_a_time(recipe)
    number, rest = divmod(len(batch.weight), size)

    def add_part(carry, index):
        sums, before = carry
        part = _rows(batch, index * size, size)
        part_key = jax.random.fold_in(key, index)
        sums, after = add(sums, before, part, part_key)
        after = jax.tree.map(_typed_as, after, before)
        return (sums, after), None

    # state goes from one micro-batch to the next, as it goes from batch to batch
    carry = (sums, jax.tree.map(jnp.asarray, state))
    (sums, state), _ = jax.lax.scan(add_part, carry, jnp.arange(number))
    if not rest:
        return sums, state
    part = _rows(batch, number * size, rest)
    return add(sums, state, part, jax.random.fold_in(key, number))


def _rows(batch: Batch, begin, size: int) -> Batch:
    """Takes some examples of a batch, one after the other."""

    def rows(array):
        array = jnp.asarray(array)
        return jax.lax.dynamic_slice_in_dim(array, begin, size, axis=-1)

    return jax.tree.map(rows, batch)


def _typed_as(new, old):
    """Gives an array's new value the old one's type, as a loop wants it; a key has one type."""
    is_key = jnp.issubdtype(old.dtype, jax.dtypes.prng_key)
    return new if is_key else jnp.asarray(new, old.dtype)
