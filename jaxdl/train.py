"""Training one lane: a whole run as one pure function, and the pieces it is made of.

The pieces stand in `jaxdl.training`; this is where others take them from.
"""

from collections.abc import Callable

import jax
import numpy as np
import optax

from jaxdl import parts
from jaxdl.checks import check_float32, flag, known_arguments, mapping, one_of, positive_int
from jaxdl.datasets import check_dataset
from jaxdl.lowering.rewriting import with_looped_convolutions
from jaxdl.sampling import seed_key
from jaxdl.training.checks import (
    check_accumulate,
    check_eval_params,
    check_eval_train_rows,
    check_norm_bound,
    check_record,
    check_shared_targets,
    check_task,
    outputs_like,
)
from jaxdl.training.evaluation import (
    directions,
    evaluate,
    evaluate_split,
    evaluated_params,
    metric_names,
    splits,
)
from jaxdl.training.lane import Lane, Streams, Weights, fresh_running, init, streams
from jaxdl.training.recipe import MOST_STEPS, NORM_BOUND, REDUCTIONS, Recipe, Schedule, prepared
from jaxdl.training.records import StepInfo, gradient_norm, mark_unseen, running_values
from jaxdl.training.segment import segment
from jaxdl.training.step import accept, propose, step
from jaxdl.types import Dataset, Model, Task


@known_arguments
def make_train(
    task: Task,
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    batch_size: int | None = None,
    eval_every: int | None = None,
    reduction: str = "mean",
    sampling: str | None = None,
    record: dict[str, Callable] | None = None,
    eval_params: Callable | None = None,
    norm_bound: float = NORM_BOUND,
    eval_train_rows: int | None = None,
    accumulate: int = 1,
    rewrite_convolutions: bool = True,
) -> Callable:
    """Makes a whole training run as one pure function of a key.

    Args:
      task, model, optimizer: what is trained.
      steps: number of updates.
      batch_size: rows a step, in 1..n; all of them by default.
      eval_every: steps between evaluations; `steps` by default (before and after).
      reduction: ``"mean"`` or ``"sum"`` of the per-example losses in a batch.
      sampling: ``"step"`` (the default) or ``"epoch"``; not for a task that brings batches of its
        own.
      record: name -> ``(StepInfo) -> scalar``, kept as running min, mean and max between
        evaluations.
      eval_params: ``(params, opt_state) -> params``, the weights that are evaluated and returned,
        where the optimizer trains others (schedule-free, averages).
      norm_bound: a lane whose parameters would get a larger Euclidean norm counts as diverged;
        above 0, at most 1e18.
      eval_train_rows: how many rows of the training split are evaluated, the same ones whatever
        the key; all of them by default.
      accumulate: micro-batches that a batch is computed in, which divides the batch size: a step
        then holds the arrays of one of them at a time, and gives the same update up to rounding
        (dropout draws anew for each, and batch norm sees them one by one).
      rewrite_convolutions: whether the model's convolutions are put into forms that are fast inside
        a loop on CPU: the same numbers up to rounding.

    Returns:
      ``train(key, dataset=None) -> (params, state, history)``, where history maps names to float32
      (evaluations,) arrays and ``"diverged_at"`` to an int32 scalar, -1 for a run that stayed
      finite. Values of steps are NaN (infinite under `jax_debug_nans`) where there was no step
      since the last evaluation.

    >>> from jaxdl import models, tasks
    >>> train = make_train(tasks.moons(100), models.mlp(2), optax.sgd(0.1), steps=10)
    >>> keys = jax.vmap(jax.random.key)(jax.numpy.arange(3))
    >>> _, _, history = jax.jit(jax.vmap(train))(keys)
    >>> history["test_accuracy"].shape
    (3, 2)
    """
    for name, part in (("task", task), ("model", model), ("optimizer", optimizer)):
        parts.check_part(name, part, functions=False)
    schedule = _schedule(steps, eval_every)
    if batch_size is not None:
        positive_int("batch_size", batch_size)
    check_accumulate(accumulate, batch_size)
    if flag("rewrite_convolutions", rewrite_convolutions):
        model = with_looped_convolutions(model)
    # without its batch size, which depends on the data
    recipe = Recipe(
        task=task,
        model=model,
        optimizer=optimizer,
        batch_size=0,
        reduction=reduction,
        sampling=sampling,
        record=mapping("record", record, "name -> function (StepInfo) -> scalar"),
        eval_params=eval_params,
        norm_bound=norm_bound,
        eval_train_rows=eval_train_rows,
        accumulate=accumulate,
    )
    _check_recipe(recipe)

    def train(key, dataset: Dataset | None = None):
        check_float32()
        key = parts.prng_key(key)
        dataset = _data_of(task, model, key, dataset)
        n = dataset.train_targets.shape[-1]
        size = positive_int("batch_size", n if batch_size is None else batch_size, most=n)
        check_accumulate(accumulate, size)
        return _run(recipe._replace(batch_size=size), key, dataset, schedule)

    return train


def _check_recipe(recipe: Recipe):
    """Refuses what no recipe may have; its batch size is checked apart."""
    one_of("reduction", recipe.reduction, REDUCTIONS)
    check_norm_bound(recipe.norm_bound)
    check_eval_train_rows(recipe.eval_train_rows)
    check_eval_params(recipe.eval_params)
    check_task(recipe.task, recipe.sampling, recipe.record)


def _schedule(steps: int, eval_every: int | None) -> Schedule:
    steps = positive_int("steps", steps, most=MOST_STEPS)
    if eval_every is None:
        return Schedule(steps, steps)
    return Schedule(steps, positive_int("eval_every", eval_every, most=MOST_STEPS))


def _data_of(task: Task, model: Model, key, dataset: Dataset | None) -> Dataset:
    """Gives a lane its data: those handed in, those that all share, or some drawn from its key."""
    # drawn data are tracers: their targets cannot be looked at before the program runs
    if dataset is None and callable(task.data):
        return check_dataset(parts.dataset_of(task.data(key)))
    dataset = check_dataset(parts.dataset_of(task.data if dataset is None else dataset))
    check_shared_targets(task, model, dataset)
    return dataset


def _run(recipe: Recipe, key, dataset: Dataset, schedule: Schedule) -> tuple:
    """Trains a lane from its start to its last step: (params, state, history)."""
    lane = init(recipe, key, dataset, schedule)
    lane = segment(recipe, schedule, lane, dataset, streams(key), 0, schedule.steps + 1)
    params = evaluated_params(recipe, lane.params, lane.opt_state)
    # a NaN of ours would stop a user who looks for one with jax_debug_nans
    stops_at_nan = jax.config.jax_debug_nans  # type: ignore[attr-defined]
    mark = np.inf if stops_at_nan else np.nan
    history = mark_unseen(lane.history, recipe.record, mark=mark)
    return params, lane.state, {**history, "diverged_at": lane.diverged_at}


__all__ = [
    "MOST_STEPS",
    "NORM_BOUND",
    "REDUCTIONS",
    "Lane",
    "Recipe",
    "Schedule",
    "StepInfo",
    "Streams",
    "Weights",
    "accept",
    "check_accumulate",
    "check_eval_params",
    "check_eval_train_rows",
    "check_norm_bound",
    "check_record",
    "check_shared_targets",
    "check_task",
    "directions",
    "evaluate",
    "evaluate_split",
    "evaluated_params",
    "fresh_running",
    "gradient_norm",
    "init",
    "make_train",
    "mark_unseen",
    "metric_names",
    "outputs_like",
    "prepared",
    "propose",
    "running_values",
    "seed_key",
    "segment",
    "splits",
    "step",
    "streams",
]
