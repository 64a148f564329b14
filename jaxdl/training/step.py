"""One update of a lane: its batch, what is proposed, and whether that is accepted."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdl import parts
from jaxdl.batches import draw_batch, is_row_by_row
from jaxdl.checks import integer
from jaxdl.losses import WITH_GRADIENT, plain
from jaxdl.sampling import batch_rows, steps_of_pass
from jaxdl.training import records
from jaxdl.training.gradient import Batch, Gradient, gradient
from jaxdl.training.lane import Lane, Streams, Weights
from jaxdl.training.recipe import Recipe
from jaxdl.training.records import StepInfo
from jaxdl.types import Dataset, capacity

MOST_AHEAD = 16  # steps whose rows are drawn at once
MOST_ROWS_AHEAD = 512  # of them together: 2 kB a lane, below what its arrays take


def step(
    recipe: Recipe,
    lane: Lane,
    dataset: Dataset,
    keys: Streams,
    index,
    order=None,
    drawn=None,
) -> Lane:
    """Updates a lane once; refused for good once the lane has diverged.

    A lane diverges at the first loss that is not finite or update that takes the norm of the
    parameters beyond the recipe's `norm_bound` (or makes it NaN); that update is not applied.
    """
    proposed, info = propose(recipe, lane, dataset, keys, index, order, drawn)
    return accept(recipe, lane, proposed, info)


def propose(
    recipe: Recipe,
    lane: Lane,
    dataset: Dataset,
    keys: Streams,
    index,
    order=None,
    drawn=None,
) -> tuple[Weights, StepInfo]:
    """Computes the update of a step, applied or not.

    The last batch of a pass may be short. Its dead places weigh nothing in the loss, but what looks
    at a batch as a whole (batch norm, a loss that counts its points) would count them: it gets the
    live rows alone.
    """
    batch = _batch(recipe, dataset, keys, index, order, drawn)
    live = _rows_of_a_short_batch(recipe, lane, dataset)
    if not live:
        return _propose(recipe, lane, batch, keys, index)
    short_batch = jax.tree.map(lambda leaf: leaf[..., :live], batch)
    # all lanes of a program come to their short batch at the same step, so one side is computed
    passes = steps_of_pass(dataset.train_targets.shape[-1], recipe.batch_size)
    return jax.lax.cond(
        index % passes == passes - 1,
        lambda: _propose(recipe, lane, short_batch, keys, index),
        lambda: _propose(recipe, lane, batch, keys, index),
    )


def accept(recipe: Recipe, lane: Lane, proposed: Weights, info: StepInfo) -> Lane:
    """Moves a lane on if the step was healthy; else leaves it where it was, and marks it."""
    norm_is_fine = _square_norm(proposed.params) <= recipe.norm_bound**2
    healthy = (lane.diverged_at < 0) & jnp.isfinite(info.loss) & norm_is_fine

    # Lanes of one program cannot stop alone: a frozen lane goes on computing, and its results are
    # dropped here.
    def keep(new, old):
        return jnp.where(healthy, new, old)

    before = Weights(lane.params, lane.state, lane.opt_state)
    after = jax.tree.map(keep, proposed, before)
    # the first failure counts: what a frozen lane computes after it means nothing
    failed_first_here = ~healthy & (lane.diverged_at < 0)
    running = {}
    for name, value in records.seen_in(recipe.record, info).items():
        running[name] = records.include(lane.running[name], value, healthy)
    return lane._replace(
        **after._asdict(),
        diverged_at=jnp.where(failed_first_here, info.step, lane.diverged_at),
        running=running,
    )


def _square_norm(tree):
    """Adds up the squares of all numbers of a tree, in float32: a bfloat16 sum would lose most."""
    leaves = [leaf.astype(jnp.float32) for leaf in jax.tree.leaves(tree)]
    return sum(jnp.sum(jnp.square(leaf)) for leaf in leaves)


def pass_steps(recipe: Recipe, dataset: Dataset) -> int | None:
    """Counts the steps of a pass, where batches are cut from passes of one length; else None."""
    own_batches = recipe.task.batch is not None
    if own_batches or recipe.sampling != "epoch" or not isinstance(recipe.batch_size, int):
        return None
    return steps_of_pass(dataset.train_targets.shape[-1], recipe.batch_size)


# Why ahead. A step's rows cost it a while loop of threefry and some twenty operations on a few
# numbers a lane, each of which takes longer to call than to compute; and where they are not kept,
# XLA computes them once more in everything that reads the batch. Drawn for some steps at once, a
# step of an MLP 2-20-2 was measured to take 0.91 of the time at batch 128, 0.93 at batch 1.
def steps_ahead(recipe: Recipe, dataset: Dataset) -> int:
    """Counts the steps whose rows are drawn at once; 0 where none are drawn for a step."""
    n = dataset.train_targets.shape[-1]
    size = recipe.batch_size
    own_batches = recipe.task.batch is not None
    all_rows = integer(size) and size == n and recipe.sampling != "epoch"
    if own_batches or all_rows or pass_steps(recipe, dataset) is not None:
        return 0
    return max(1, min(MOST_AHEAD, MOST_ROWS_AHEAD // capacity(size)))


def rows_ahead(recipe: Recipe, dataset: Dataset, keys: Streams, first, count: int) -> tuple:
    """Draws the rows of `count` steps from `first` on.

    Returns:
      (rows, weight), (count, batch) each; weight is (batch,) where it is that of every step.
    """
    n = dataset.train_targets.shape[-1]
    sampling = recipe.sampling or "step"
    axis_of_weight = None if sampling == "step" else 0

    def rows_of(index):
        return batch_rows(keys.shuffle, index, n, recipe.batch_size, sampling)

    # named for `planning.cost`, which counts what is drawn here once a step
    def drawn_ahead(steps):
        return jax.vmap(rows_of, out_axes=(0, axis_of_weight))(steps)

    return jax.jit(drawn_ahead)(first + jnp.arange(count))


def _rows_of_a_short_batch(recipe: Recipe, lane: Lane, dataset: Dataset) -> int:
    """Counts the rows of a pass's last batch where its dead places must not be seen; else 0."""
    alone = not jax.tree.leaves(lane.state) and _takes_rows_alone(recipe)
    if pass_steps(recipe, dataset) is None or alone:
        return 0
    return dataset.train_targets.shape[-1] % recipe.batch_size


def _takes_rows_alone(recipe: Recipe) -> bool:
    """Tells whether every row of a batch is known to have its loss whatever the other rows are.

    That is known of this library's functions, and of what is marked by `batches.row_by_row`; for
    others the step of a short batch is compiled apart.
    """
    task = recipe.task
    model = str(getattr(recipe.model.apply, "__module__", ""))
    ours = model.startswith("jaxdl.models.") and not model.endswith((".from_flax", ".from_equinox"))
    inputs_alone = is_row_by_row(task.augment) and is_row_by_row(task.prepare)
    return ours and inputs_alone and plain(task.loss) in WITH_GRADIENT


def _batch(recipe: Recipe, dataset: Dataset, keys: Streams, index, order, drawn):
    """Takes the batch of a step: the task's own, or one drawn from the training rows."""
    if recipe.task.batch is not None:
        batch = recipe.task.batch(dataset, keys.shuffle, index, recipe.batch_size)
        triple = parts.several("task.batch", batch, "x", "targets", "weight")
        return _checked(triple)
    return draw_batch(
        dataset,
        keys.shuffle,
        index,
        recipe.batch_size,
        sampling=recipe.sampling or "step",
        order=order,
        drawn=drawn,
    )


def _checked(batch) -> tuple:
    """Returns a task's own batch, if its weights are one an example, its arrays of one batch."""
    x, targets, weight = batch
    first: Any = next(iter(jax.tree.leaves(x)), ())
    shape = jnp.shape(weight)
    batch_shape = jnp.shape(first)[-1:]
    if batch_shape and shape != batch_shape:
        raise ValueError(
            f"batch must give one weight per example, shape {batch_shape}, got shape {shape}"
        )
    return parts.aligned("task.batch", x, targets, weight)


def _propose(
    recipe: Recipe,
    lane: Lane,
    batch,
    keys: Streams,
    index,
) -> tuple[Weights, StepInfo]:
    """Computes the update that a batch asks for."""
    augmented = _augmented(recipe, batch, keys, index)
    # a key a step, from its number: a lane that goes on from a checkpoint draws what it would have
    dropout_key = jax.random.fold_in(keys.dropout, index)
    learned = gradient(recipe, lane.params, lane.state, augmented, dropout_key)
    updates, opt_state = _updates(recipe.optimizer, learned, lane)
    params = optax.apply_updates(lane.params, updates)
    info = StepInfo(index, learned.loss, lane.params, learned.grads, updates)
    return Weights(params, learned.state, opt_state), info


def _augmented(recipe: Recipe, batch, keys: Streams, index) -> Batch:
    """Augments a batch as the task does; its weights stay."""
    x, targets, weight = batch
    if recipe.task.augment is None:
        return Batch(x, targets, weight)
    key = jax.random.fold_in(keys.augment, index)
    augmented = recipe.task.augment(key, x, targets)
    pair = parts.several("task.augment", augmented, "x", "targets")
    x, targets = parts.aligned("task.augment", *pair)
    return Batch(x, targets, weight)


def _updates(optimizer, learned: Gradient, lane: Lane) -> tuple:
    """Asks the optimizer for what it adds to the params, and its state after that."""
    name, extra = "optimizer.update", {}
    # what optax hands to transformations that take more than gradients: see `optax.lbfgs`
    if isinstance(optimizer, optax.GradientTransformationExtraArgs):
        extra = {"value": learned.value, "grad": learned.grads, "value_fn": learned.value_of}
    updated = optimizer.update(learned.grads, lane.opt_state, lane.params, **extra)
    updates, opt_state = parts.several(name, updated, "updates", "opt_state")
    parts.built_like(name, updates, lane.params, "updates like params")
    like_init = "an opt_state like that of init"
    parts.built_like(name, opt_state, lane.opt_state, like_init, types=True)
    return updates, opt_state
