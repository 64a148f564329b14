"""What a lane is made of: initialise, step, evaluate, and the segment that advances it.

All functions here are pure and written for a single lane; `vmap` makes them many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.checks import check_float32, one_of, positive_int
from jaxdl.sampling import pass_order, seed_key, steps_of_pass, stream
from jaxdl.tasks import SAMPLINGS, draw_batch
from jaxdl.types import Dataset, Model, Size, Task

NORM_BOUND = 1e6  # a lane whose parameters have a larger Euclidean norm counts as diverged
REDUCTIONS = ("mean", "sum")


class Schedule(NamedTuple):
    """When a lane is evaluated: at steps 0, k, 2k, ... and at the last one."""

    steps: int
    eval_every: int

    def due(self) -> tuple[int, ...]:
        """The steps of the evaluations, one a column of the history."""
        return (*range(0, self.steps, self.eval_every), self.steps)


class Recipe(NamedTuple):
    """One lane's training, as values: all that its steps need besides data and key."""

    task: Task
    model: Model
    optimizer: optax.GradientTransformation
    batch_size: Size
    reduction: Any = "mean"  # "mean", "sum", or a traced bool: summed
    sampling: str = "step"
    record: dict[str, Callable] = {}  # noqa: RUF012  (a NamedTuple's default, never written to)


class StepInfo(NamedTuple):
    """What a `record` function sees of a step."""

    step: Any  # int32 scalar, from 0
    loss: Any  # mean loss of the batch, before the update
    params: Any  # before the update
    grads: Any
    updates: Any  # what is added to the params


class Running(NamedTuple):
    """A per-step value since the last evaluation."""

    min: Any
    total: Any
    max: Any
    count: Any


class Lane(NamedTuple):
    """All that a lane carries from step to step."""

    params: Any
    state: Any
    opt_state: Any
    diverged_at: Any  # int32: updates applied before the one that was refused; -1 while healthy
    running: dict  # name -> Running
    history: dict  # name -> float32 (evaluations,)


class Streams(NamedTuple):
    """The keys that steps use."""

    shuffle: Any
    dropout: Any


def streams(key) -> Streams:
    """The step keys of a lane, from its seed key."""
    return Streams(stream(key, "shuffle"), stream(key, "dropout"))


def init(recipe: Recipe, key, dataset: Dataset, schedule: Schedule) -> Lane:
    """A lane before its first step.

    Args:
      recipe: what is trained.
      key: the lane's seed key.
      dataset: its data, for the names of the splits.
      schedule: its evaluations, for the length of the history.
    """
    params, state = recipe.model.init(stream(key, "init"))
    names = [*metric_names(recipe.task, dataset), *recorded_names(recipe.record)]
    return Lane(
        params=params,
        state=state,
        opt_state=recipe.optimizer.init(params),
        diverged_at=jnp.int32(-1),
        running={name: _nothing_yet() for name in ("batch_loss", *recipe.record)},
        history=dict.fromkeys(names, jnp.zeros(len(schedule.due()), jnp.float32)),  # each column is written once
    )


def _nothing_yet() -> Running:
    return Running(jnp.float32(jnp.inf), jnp.float32(0.0), jnp.float32(-jnp.inf), jnp.float32(0.0))


def splits(dataset: Dataset) -> dict[str, tuple]:
    """The splits that a dataset has: name -> (x, targets)."""
    found = {"train": (dataset.train_x, dataset.train_targets)}
    if dataset.valid_x is not None:
        found["valid"] = (dataset.valid_x, dataset.valid_targets)
    return {**found, "test": (dataset.test_x, dataset.test_targets)}


def metric_names(task: Task, dataset: Dataset) -> list[str]:
    """The history keys of an evaluation: ``{train,valid,test}_{loss,...}``."""
    return [f"{split}_{name}" for split in splits(dataset) for name in ("loss", *task.metrics)]


def recorded_names(record) -> list[str]:
    """The history keys of per-step values: ``{batch_loss,...}_{min,mean,max}``."""
    return [f"{name}_{kind}" for name in ("batch_loss", *record) for kind in ("min", "mean", "max")]


def step(recipe: Recipe, lane: Lane, dataset: Dataset, keys: Streams, index, order=None) -> Lane:
    """One update of a lane; refused for good once the lane has diverged.

    A lane diverges at the first loss that is not finite or update that takes the norm of the parameters
    beyond `NORM_BOUND` (or makes it NaN); that update is not applied.
    """
    x, targets, weight = _batch(recipe, order)(dataset, keys.shuffle, index, recipe.batch_size)
    dropout_key = jax.random.fold_in(keys.dropout, index)

    def objective(params):
        outputs, state = recipe.model.apply(params, lane.state, x, key=dropout_key, train=True)
        total = jnp.sum(recipe.task.loss(outputs, targets) * weight)
        mean = total / jnp.sum(weight)
        return _reduce(recipe.reduction, mean, total), (mean, state)

    (_, (loss, state)), grads = jax.value_and_grad(objective, has_aux=True)(lane.params)
    updates, opt_state = recipe.optimizer.update(grads, lane.opt_state, lane.params)
    params = optax.apply_updates(lane.params, updates)
    healthy = (lane.diverged_at < 0) & jnp.isfinite(loss) & (_square_norm(params) <= NORM_BOUND**2)
    seen = _seen(recipe.record, StepInfo(index, loss, lane.params, grads, updates))
    return _accept(lane, healthy, index, (params, state, opt_state), seen)


def _accept(lane: Lane, healthy, index, after, seen) -> Lane:
    """The lane after a step if that was healthy, else the lane as it was, marked."""
    before = (lane.params, lane.state, lane.opt_state)
    params, state, opt_state = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), after, before)
    diverged_at = jnp.where(healthy | (lane.diverged_at >= 0), lane.diverged_at, index)
    running = {name: _include(lane.running[name], value, healthy) for name, value in seen.items()}
    return lane._replace(params=params, state=state, opt_state=opt_state, diverged_at=diverged_at, running=running)


def _batch(recipe: Recipe, order) -> Callable:
    """The task's batches, under the recipe's sampling where the task leaves that open."""
    if recipe.task.batch is draw_batch:
        return lambda *args: draw_batch(*args, sampling=recipe.sampling, order=order)
    return recipe.task.batch


def _reduce(reduction, mean, total):
    if isinstance(reduction, str):
        return mean if reduction == "mean" else total
    return jnp.where(reduction, total, mean)


def _square_norm(tree):
    return sum(jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree))


def _seen(record, info: StepInfo) -> dict:
    return {"batch_loss": info.loss, **{name: function(info) for name, function in record.items()}}


def _include(running: Running, value, healthy) -> Running:
    low, high = jnp.minimum(running.min, value), jnp.maximum(running.max, value)
    after = Running(low, running.total + value, high, running.count + 1.0)
    return jax.tree.map(lambda new, old: jnp.where(healthy, new, old), after, running)


def evaluate(recipe: Recipe, params, state, dataset: Dataset) -> dict:
    """The mean loss and metrics over every split: name -> float32 scalar."""
    found = {}
    for split, (x, targets) in splits(dataset).items():
        outputs, _ = recipe.model.apply(params, state, x, key=None, train=False)
        for name, function in {"loss": recipe.task.loss, **recipe.task.metrics}.items():
            found[f"{split}_{name}"] = jnp.mean(function(outputs, targets))
    return found


def _write(recipe: Recipe, lane: Lane, dataset: Dataset, column) -> Lane:
    """Fills one column of the history and starts the running values anew."""
    values = evaluate(recipe, lane.params, lane.state, dataset)
    for name, seen in lane.running.items():
        mean = seen.total / jnp.maximum(seen.count, 1.0)
        for kind, value in (("min", seen.min), ("mean", mean), ("max", seen.max)):
            values[f"{name}_{kind}"] = value  # of nothing: inf, 0 and -inf, see `mark_unseen`
    history = {name: row.at[column].set(values[name]) for name, row in lane.history.items()}
    return lane._replace(history=history, running={name: _nothing_yet() for name in lane.running})


def mark_unseen(history: dict, record, where: Callable = jnp.where, mark: float = np.nan) -> dict:
    """The history with NaN where no step was seen: there the smallest value is above the largest.

    Lanes hold no NaN of ours while they are trained, so that `jax_debug_nans` finds the user's alone.

    Args:
      history: name -> values.
      record: names of the per-step values beside the batch loss.
      where: `jnp.where` or, for arrays on the host, `np.where`.
      mark: what stands there in place of a value.
    """
    found = dict(history)
    for name in ("batch_loss", *record):
        unseen = history[f"{name}_min"] > history[f"{name}_max"]
        for key in (f"{name}_{kind}" for kind in ("min", "mean", "max")):
            found[key] = where(unseen, np.float32(mark), history[key])
    return found


def segment(recipe: Recipe, schedule: Schedule, lane: Lane, dataset: Dataset, keys: Streams, start, stop) -> Lane:
    """Advances a lane from step `start` to step `stop`, evaluating where that is due.

    An evaluation belongs to the segment that starts at its step, so a whole run goes from 0 to ``steps + 1``.
    The loop bounds are values, not shapes: segments of any length run the same compiled code and give the same bits.

    Args:
      start, stop: int32 scalars, ``0 <= start < stop <= steps + 1``.
    """
    steps, every = schedule
    columns = len(schedule.due())
    start, stop = jnp.asarray(start, jnp.int32), jnp.asarray(stop, jnp.int32)
    passes, n = _pass_steps(recipe, dataset), dataset.train_targets.shape[-1]

    def one_interval(carry):
        index, lane, order = carry
        column = jnp.where(index == steps, columns - 1, index // every)
        due = (index % every == 0) | (index == steps)
        lane = jax.lax.cond(due, lambda lane: _write(recipe, lane, dataset, column), lambda lane: lane, lane)
        until = jnp.minimum(jnp.minimum((index // every + 1) * every, stop), steps)
        if passes is not None:  # the order of a pass is drawn once, as it begins or is taken up again
            until = jnp.minimum(until, (index // passes + 1) * passes)
            new = (index % passes == 0) | (index == start)
            order = jax.lax.cond(new, lambda _: pass_order(keys.shuffle, index // passes, n), lambda order: order, order)
        lane = jax.lax.fori_loop(index, until, lambda i, lane: step(recipe, lane, dataset, keys, i, order), lane)
        return jnp.maximum(until, index + 1), lane, order

    order = None if passes is None else jnp.zeros(n, jnp.int32)
    return jax.lax.while_loop(lambda carry: carry[0] < stop, one_interval, (start, lane, order))[1]


def _pass_steps(recipe: Recipe, dataset: Dataset) -> int | None:
    """The steps of a pass, where batches are cut from passes of one length."""
    if recipe.task.batch is not draw_batch or recipe.sampling != "epoch" or not isinstance(recipe.batch_size, int):
        return None
    return steps_of_pass(dataset.train_targets.shape[-1], recipe.batch_size)


def make_train(
    task: Task,
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    batch_size: int | None = None,
    eval_every: int | None = None,
    reduction: str = "mean",
    sampling: str = "step",
    record: dict[str, Callable] | None = None,
) -> Callable:
    """A whole training run as one pure function of a key.

    Args:
      task, model, optimizer: what is trained.
      steps: number of updates.
      batch_size: rows a step, in 1..n; all of them by default.
      eval_every: steps between evaluations; `steps` by default (before and after).
      reduction: ``"mean"`` or ``"sum"`` of the per-example losses in a batch.
      sampling: ``"step"`` or ``"epoch"``.
      record: name -> ``(StepInfo) -> scalar``, kept as running min, mean and max between evaluations.

    Returns:
      ``train(key, dataset=None) -> (params, state, history)``, where history maps names to float32
      (evaluations,) arrays and ``"diverged_at"`` to an int32 scalar, -1 for a run that stayed finite. Values of steps
      are NaN (infinite under `jax_debug_nans`) where there was no step since the last evaluation.

    >>> from jaxdl import models, tasks
    >>> train = make_train(tasks.moons(100), models.mlp(2), optax.sgd(0.1), steps=10)
    >>> keys = jax.vmap(jax.random.key)(jnp.arange(3))
    >>> _, _, history = jax.jit(jax.vmap(train))(keys)
    >>> history["test_accuracy"].shape
    (3, 2)
    """
    schedule = Schedule(positive_int("steps", steps), positive_int("eval_every", steps if eval_every is None else eval_every))
    one_of("reduction", reduction, REDUCTIONS)
    one_of("sampling", sampling, SAMPLINGS)

    def train(key, dataset: Dataset | None = None):
        check_float32()
        if dataset is None:
            dataset = task.data(key) if callable(task.data) else task.data
        n = dataset.train_targets.shape[-1]
        size = positive_int("batch_size", n if batch_size is None else batch_size, most=n)
        recipe = Recipe(task, model, optimizer, size, reduction, sampling, record or {})
        lane = init(recipe, key, dataset, schedule)
        lane = segment(recipe, schedule, lane, dataset, streams(key), 0, schedule.steps + 1)
        stops_at_nan = jax.config.jax_debug_nans  # type: ignore[attr-defined]
        history = mark_unseen(lane.history, recipe.record, mark=np.inf if stops_at_nan else np.nan)
        return lane.params, lane.state, {**history, "diverged_at": lane.diverged_at}

    return train


__all__ = ["Lane", "Recipe", "Schedule", "StepInfo", "evaluate", "init", "make_train", "seed_key", "segment", "step", "streams"]
