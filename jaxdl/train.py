"""What a lane is made of: initialise, step, evaluate, and the segment that advances it.

All functions here are pure and written for a single lane; `vmap` makes them many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl import parts
from jaxdl.batches import SAMPLINGS, draw_batch
from jaxdl.checks import (
    brief,
    check_float32,
    check_name,
    flag,
    function_of,
    known_arguments,
    mapping,
    number_within,
    one_of,
    positive_int,
)
from jaxdl.datasets import check_dataset, check_targets, depends_on_targets
from jaxdl.losses import WITH_GRADIENT
from jaxdl.lowering.rewriting import with_looped_convolutions
from jaxdl.sampling import pass_order, seed_key, steps_of_pass, stream
from jaxdl.types import Dataset, Model, Size, Task, check_metrics

# Weights of 1e15 need a rate, or data, that float32 training does not survive; a regression on
# house prices
# meets 1e6, one on a country's accounts 1e13. The bound only catches lanes whose loss hides an
# explosion.
NORM_BOUND = 1e15
LARGEST_BOUND = 1e18  # its square is still a float32
REDUCTIONS = ("mean", "sum")
MOST_STEPS = 2**31 - 2  # steps are counted in int32, to one beyond the last


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
    reduction: str = "mean"  # or "sum": of the losses in a batch
    sampling: str | None = None  # None means "step"; a task with batches of its own has no other
    record: dict[str, Callable] = {}  # noqa: RUF012  (a NamedTuple's default, never written to)
    eval_params: Callable | None = None  # (params, opt_state) -> the params that are evaluated
    norm_bound: float = NORM_BOUND


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


class Weights(NamedTuple):
    """What an update changes."""

    params: Any
    state: Any
    opt_state: Any


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
    augment: Any


def streams(key) -> Streams:
    """The step keys of a lane, from its seed key."""
    return Streams(*(stream(key, name) for name in Streams._fields))


def init(recipe: Recipe, key, dataset: Dataset, schedule: Schedule) -> Lane:
    """Makes a lane before its first step.

    Args:
      recipe: what is trained.
      key: the lane's seed key.
      dataset: its data, for the names of the splits.
      schedule: its evaluations, for the length of the history.

    Raises:
      ValueError: an optimizer that keeps two sets of weights (lookahead).
    """
    params, state = parts.fresh(recipe.model.init(stream(key, "init")))
    opt_state = recipe.optimizer.init(params)
    _check_one_set_of_weights(opt_state)
    names = history_names(recipe, dataset)
    nothing = jnp.zeros(len(schedule.due()), jnp.float32)  # each column is written once
    return Lane(
        params=params,
        state=state,
        opt_state=opt_state,
        diverged_at=jnp.int32(-1),
        running=fresh_running(recipe),
        history=dict.fromkeys(names, nothing),
    )


def _check_one_set_of_weights(opt_state):
    """Refuses lookahead: it wants params of a kind of its own, and misreads a tuple of two layers
    as one."""

    def lookahead(node) -> bool:
        return isinstance(node, optax.LookaheadState)

    if any(map(lookahead, jax.tree.leaves(opt_state, is_leaf=lookahead))):
        raise ValueError(
            "optimizer must update one set of weights, got optax.lookahead, which keeps a fast and "
            "a slow one:"
            " use its fast optimizer, and eval_params for averaged weights"
        )


def fresh_running(recipe: Recipe) -> dict[str, Running]:
    """The per-step values of a lane that has made no step yet."""
    return {name: _nothing_yet() for name in ("batch_loss", *recipe.record)}


def _nothing_yet() -> Running:
    return Running(jnp.float32(jnp.inf), jnp.float32(0.0), jnp.float32(-jnp.inf), jnp.float32(0.0))


def splits(dataset: Dataset) -> dict[str, tuple]:
    """The splits that a dataset has: name -> (x, targets)."""
    train = {"train": (dataset.train_x, dataset.train_targets)}
    valid = (
        {"valid": (dataset.valid_x, dataset.valid_targets)} if dataset.valid_x is not None else {}
    )
    return {**train, **valid, "test": (dataset.test_x, dataset.test_targets)}


def history_names(recipe: Recipe, dataset: Dataset) -> list[str]:
    """The history keys of a lane: of its evaluations, then of its per-step values."""
    return [*metric_names(recipe.task, dataset), *recorded_names(recipe.record)]


def metric_names(task: Task, dataset: Dataset) -> list[str]:
    """The history keys of an evaluation: ``{train,valid,test}_{loss,...}``."""
    return [f"{split}_{name}" for split in splits(dataset) for name in ("loss", *task.metrics)]


def recorded_names(record) -> list[str]:
    """The history keys of per-step values: ``{batch_loss,...}_{min,mean,max}``."""
    return [f"{name}_{kind}" for name in ("batch_loss", *record) for kind in ("min", "mean", "max")]


def directions(task: Task) -> dict[str, bool]:
    """Whether higher is better, by the name that follows the split: of the loss, and of every
    metric as declared."""
    return {
        "loss": False,
        **{name: metric.higher_is_better for name, metric in task.metrics.items()},
    }


def step(recipe: Recipe, lane: Lane, dataset: Dataset, keys: Streams, index, order=None) -> Lane:
    """One update of a lane; refused for good once the lane has diverged.

    A lane diverges at the first loss that is not finite or update that takes the norm of the
    parameters beyond the recipe's `norm_bound` (or makes it NaN); that update is not applied.
    """
    proposed, info = propose(recipe, lane, dataset, keys, index, order)
    return accept(recipe, lane, proposed, info)


def propose(
    recipe: Recipe, lane: Lane, dataset: Dataset, keys: Streams, index, order=None
) -> tuple[Weights, StepInfo]:
    """Computes the update of a step, applied or not.

    The last batch of a pass may be short. Its dead places weigh nothing in the loss, but what looks
    at a batch as a whole (batch norm, a loss that counts its points) would count them: it gets the
    live rows alone.
    """
    batch = _batch(recipe, dataset, keys, index, order)
    live = _rows_of_a_short_batch(recipe, lane, dataset)
    if not live:
        return _propose(recipe, lane, batch, keys, index)
    short_batch = jax.tree.map(lambda leaf: leaf[..., :live], batch)
    passes = steps_of_pass(dataset.train_targets.shape[-1], recipe.batch_size)
    return jax.lax.cond(
        index % passes == passes - 1,
        lambda: _propose(recipe, lane, short_batch, keys, index),
        lambda: _propose(recipe, lane, batch, keys, index),
    )


def _rows_of_a_short_batch(recipe: Recipe, lane: Lane, dataset: Dataset) -> int:
    """The rows of a pass's last batch where its dead places must not be seen; else 0."""
    alone = not jax.tree.leaves(lane.state) and _takes_rows_alone(recipe)
    if _pass_steps(recipe, dataset) is None or alone:
        return 0
    return dataset.train_targets.shape[-1] % recipe.batch_size


def _takes_rows_alone(recipe: Recipe) -> bool:
    """Whether every row of a batch is known to have its loss whatever the other rows are.

    That is known of this library's functions alone; for others the step of a short batch is
    compiled apart.
    """
    model = str(getattr(recipe.model.apply, "__module__", ""))
    ours = model.startswith("jaxdl.models.") and not model.endswith(".from_flax")
    return (
        ours
        and recipe.task.augment is None
        and recipe.task.prepare is None
        and recipe.task.loss in WITH_GRADIENT
    )


def _propose(recipe: Recipe, lane: Lane, batch, keys: Streams, index) -> tuple[Weights, StepInfo]:
    x, targets, weight = batch
    if recipe.task.augment is not None:
        augmented = recipe.task.augment(jax.random.fold_in(keys.augment, index), x, targets)
        x, targets = parts.aligned(
            "task.augment", *parts.several("task.augment", augmented, "x", "targets")
        )
    x = prepared(recipe.task, x)
    dropout_key = jax.random.fold_in(keys.dropout, index)

    def objective(params):
        outputs, state = parts.apply(recipe.model, params, lane.state, x, dropout_key, train=True)
        losses = per_example("loss", recipe.task.loss(outputs, targets), len(weight))
        check_gradient(recipe.task.loss, outputs, targets)
        total = jnp.sum(
            jnp.where(weight == 0, 0.0, losses) * weight
        )  # a NaN in a place without an example weighs nothing
        mean = total / jnp.sum(weight)
        return mean if recipe.reduction == "mean" else total, (mean, state)

    (value, (loss, state)), grads = jax.value_and_grad(objective, has_aux=True)(lane.params)
    extra = _extra_arguments(recipe.optimizer, value, grads, lambda params: objective(params)[0])
    updated = recipe.optimizer.update(grads, lane.opt_state, lane.params, **extra)
    updates, opt_state = parts.several("optimizer.update", updated, "updates", "opt_state")
    parts.built_like("optimizer.update", updates, lane.params, "updates like params")
    parts.built_like(
        "optimizer.update", opt_state, lane.opt_state, "an opt_state like that of init", types=True
    )
    params = optax.apply_updates(lane.params, updates)
    return Weights(params, state, opt_state), StepInfo(index, loss, lane.params, grads, updates)


def _extra_arguments(optimizer, value, grads, value_fn) -> dict:
    """What optax hands to the transformations that take more than gradients: see `optax.lbfgs`."""
    if not isinstance(optimizer, optax.GradientTransformationExtraArgs):
        return {}
    return {"value": value, "grad": grads, "value_fn": value_fn}


def per_example(name: str, values, batch: int, differentiable: bool = True):
    """The values of a loss or metric as float32, if they are one per example.

    Args:
      name: for the message.
      values: shape (batch,).
      batch: number of examples.
      differentiable: whether integers are refused: their gradient is zero.

    Raises:
      ValueError: another shape, complex numbers, or no floats where a gradient is needed.
    """
    if not isinstance(values, (jax.Array, np.ndarray)):
        raise ValueError(
            f"{name} must give one value per example, an array of shape ({batch},), got "
            f"{type(values).__name__}"
        )
    if values.shape != (batch,):
        raise ValueError(
            f"{name} must give one value per example, shape ({batch},), got shape {values.shape}"
        )
    if differentiable and not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"{name} must give floats, which have a gradient, got {values.dtype}")
    if jnp.issubdtype(values.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must give real numbers, got {values.dtype}")
    return values.astype(jnp.float32)


def check_gradient(loss: Callable, outputs, targets):
    """Refuses a loss that nothing is learned from."""
    if not has_gradient(loss, outputs, targets):
        raise ValueError(
            "loss must have a gradient in the outputs, got one that is 0 whatever they are: "
            "a thresholded or rounded value is a metric"
        )


def has_gradient(loss, outputs, targets) -> bool:
    """Whether a loss has a gradient in the outputs that is not zero whatever they are (as that of
    an accuracy is).

    Args:
      loss: ``(outputs, targets) -> (batch,)``, floats.
      outputs, targets: arrays or trees of them, traced or not; only their shapes and types are
        looked at.

    >>> from jaxdl.losses import binary_accuracy, squared_error
    >>> functions = (squared_error, binary_accuracy)
    >>> [has_gradient(function, jnp.ones((1, 2)), jnp.ones(2)) for function in functions]
    [True, False]
    """
    if loss in WITH_GRADIENT or not all(
        jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(outputs)
    ):
        return True
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)),
        (outputs, targets),
    )
    gradient = jax.grad(lambda outputs, targets: jnp.sum(loss(outputs, targets)))
    jaxpr = jax.make_jaxpr(gradient)(*shapes).jaxpr
    if _varies(jaxpr):
        return True
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    with jax.ensure_compile_time_eval():  # it is constant; that of a linear loss is not zero
        leaves = jax.tree.leaves(gradient(*zeros))
    return any(
        isinstance(leaf, jax.core.Tracer) or bool(np.asarray(leaf).any()) for leaf in leaves
    )  # traced: from a value of hp


def _varies(jaxpr) -> bool:
    """Whether an output of a jaxpr is computed from its inputs."""
    tainted = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        if any(not hasattr(value, "val") and value in tainted for value in equation.invars):
            tainted.update(equation.outvars)
    return any(not hasattr(value, "val") and value in tainted for value in jaxpr.outvars)


def prepared(task: Task, x):
    """Inputs as the model takes them."""
    return x if task.prepare is None else parts.aligned("task.prepare", task.prepare(x), x)[0]


def accept(recipe: Recipe, lane: Lane, proposed: Weights, info: StepInfo) -> Lane:
    """The lane after a step: moved on if the step was healthy, else left where it was and
    marked."""
    norm_is_fine = _square_norm(proposed.params) <= recipe.norm_bound**2
    healthy = (lane.diverged_at < 0) & jnp.isfinite(info.loss) & norm_is_fine

    # Lanes of one program cannot stop alone: a frozen lane goes on computing, and its results are
    # dropped here.
    def keep(new, old):
        return jnp.where(healthy, new, old)

    before = Weights(lane.params, lane.state, lane.opt_state)
    after = jax.tree.map(keep, proposed, before)
    failed_first_here = ~healthy & (lane.diverged_at < 0)
    seen = _seen(recipe.record, info)
    running = {name: _include(lane.running[name], value, healthy) for name, value in seen.items()}
    return lane._replace(
        **after._asdict(),
        diverged_at=jnp.where(failed_first_here, info.step, lane.diverged_at),
        running=running,
    )


def _batch(recipe: Recipe, dataset: Dataset, keys: Streams, index, order):
    """The batch of a step: the task's own, or drawn from the training rows."""
    if recipe.task.batch is not None:
        batch = recipe.task.batch(dataset, keys.shuffle, index, recipe.batch_size)
        batch = parts.several("task.batch", batch, "x", "targets", "weight")
        return _checked(batch)
    sampling = recipe.sampling or "step"
    return draw_batch(
        dataset, keys.shuffle, index, recipe.batch_size, sampling=sampling, order=order
    )


def _checked(batch) -> tuple:
    """A task's own batch, if its weights are one an example and its arrays of one batch."""
    x, targets, weight = batch
    first: Any = next(iter(jax.tree.leaves(x)), ())
    shape, batch_shape = jnp.shape(weight), jnp.shape(first)[-1:]
    if batch_shape and shape != batch_shape:
        raise ValueError(
            f"batch must give one weight per example, shape {batch_shape}, got shape {shape}"
        )
    return parts.aligned("task.batch", x, targets, weight)


def _square_norm(tree):
    return sum(jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree))


def _seen(record, info: StepInfo) -> dict:
    """The per-step values of a step, as float32 scalars."""
    return {
        "batch_loss": info.loss,
        **{name: _scalar(name, function(info)) for name, function in record.items()},
    }


def _scalar(name: str, value):
    try:
        scalar = jnp.asarray(value)
    except (TypeError, ValueError):  # None, a dict, a string
        raise ValueError(f"record {name!r} must give a scalar, got {brief(value)}") from None
    if scalar.shape != () or jnp.iscomplexobj(scalar):
        given = f"shape {scalar.shape}, {scalar.dtype}"
        raise ValueError(f"record {name!r} must give a real scalar, got {given}")
    return scalar.astype(jnp.float32)


def _include(running: Running, value, healthy) -> Running:
    low, high = jnp.minimum(running.min, value), jnp.maximum(running.max, value)
    after = Running(low, running.total + value, high, running.count + 1.0)
    return jax.tree.map(lambda new, old: jnp.where(healthy, new, old), after, running)


def evaluate(recipe: Recipe, params, state, dataset: Dataset) -> dict:
    """The mean loss and metrics over every split: name -> float32 scalar."""
    values: dict[str, Any] = {}
    for split, (x, targets) in splits(dataset).items():
        means = evaluate_split(recipe, params, state, x, targets)
        values |= {f"{split}_{name}": mean for name, mean in means.items()}
    return values


def evaluate_split(recipe: Recipe, params, state, x, targets) -> dict:
    """The mean loss and metrics over some examples: name -> float32 scalar.

    A NaN among an example's outputs or targets makes its values NaN: an argmax of NaN is class 0,
    which may be right by chance, and a comparison with NaN is false.
    """
    functions = {
        "loss": recipe.task.loss,
        **{name: metric.function for name, metric in recipe.task.metrics.items()},
    }
    outputs, _ = parts.apply(recipe.model, params, state, prepared(recipe.task, x))
    batch = targets.shape[-1]
    spoilt = _is_nan((outputs, targets), batch)
    means = {}
    for name, function in functions.items():
        label = "loss" if name == "loss" else f"metric {name!r}"
        each = per_example(label, function(outputs, targets), batch, differentiable=name == "loss")
        means[name] = jnp.mean(jnp.where(spoilt, jnp.nan, each))
    return means


def _is_nan(tree, batch: int):
    """Which examples have a NaN among the arrays of a tree, batch axis last: (batch,) bool."""
    spoilt = jnp.zeros(batch, bool)
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.shape[-1:] == (batch,):
            spoilt |= jnp.isnan(leaf).reshape(-1, batch).any(axis=0)
    return spoilt


def evaluated_params(recipe: Recipe, params, opt_state):
    """The weights that evaluation uses: those that are trained, or what `eval_params` makes of
    them."""
    if recipe.eval_params is None:
        return params
    return parts.built_like(
        "eval_params", recipe.eval_params(params, opt_state), params, "a tree like params"
    )


def _write(recipe: Recipe, lane: Lane, dataset: Dataset, column) -> Lane:
    """Fills one column of the history and starts the running values anew."""
    params = evaluated_params(recipe, lane.params, lane.opt_state)
    values = evaluate(recipe, params, lane.state, dataset)
    values |= running_values(lane.running)
    history = {name: row.at[column].set(values[name]) for name, row in lane.history.items()}
    return lane._replace(history=history, running=fresh_running(recipe))


def running_values(running: dict[str, Running]) -> dict:
    """The smallest, the mean and the largest of every per-step value; of none inf, 0 and -inf, see
    `mark_unseen`."""
    values = {}
    for name, seen in running.items():
        mean = seen.total / jnp.maximum(seen.count, 1.0)
        for kind, value in (("min", seen.min), ("mean", mean), ("max", seen.max)):
            values[f"{name}_{kind}"] = value
    return values


def mark_unseen(history: dict, record, where: Callable = jnp.where, mark: float = np.nan) -> dict:
    """The history with NaN where no step was seen: there the smallest value is above the largest.

    Lanes hold no NaN of ours while they are trained, so that `jax_debug_nans` finds the user's
    alone.

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


def segment(
    recipe: Recipe, schedule: Schedule, lane: Lane, dataset: Dataset, keys: Streams, start, stop
) -> Lane:
    """Advances a lane from step `start` to step `stop`, evaluating where that is due.

    An evaluation belongs to the segment that starts at its step, so a whole run goes from 0 to
    ``steps + 1``. The loop bounds are values, not shapes: segments of any length run the same
    compiled code and give the same bits.

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
        lane = jax.lax.cond(
            due, lambda lane: _write(recipe, lane, dataset, column), lambda lane: lane, lane
        )
        until = jnp.minimum(jnp.minimum((index // every + 1) * every, stop), steps)
        if (
            passes is not None
        ):  # the order of a pass is drawn once, as it begins or is taken up again
            until = jnp.minimum(until, (index // passes + 1) * passes)
            new = (index % passes == 0) | (index == start)
            order = jax.lax.cond(
                new,
                lambda _: pass_order(keys.shuffle, index // passes, n),
                lambda order: order,
                order,
            )
        lane = jax.lax.fori_loop(
            index, until, lambda i, lane: step(recipe, lane, dataset, keys, i, order), lane
        )
        return jnp.maximum(until, index + 1), lane, order

    order = None if passes is None else jnp.zeros(n, jnp.int32)
    return jax.lax.while_loop(lambda carry: carry[0] < stop, one_interval, (start, lane, order))[1]


def _pass_steps(recipe: Recipe, dataset: Dataset) -> int | None:
    """The steps of a pass, where batches are cut from passes of one length."""
    own_batches = recipe.task.batch is not None
    if own_batches or recipe.sampling != "epoch" or not isinstance(recipe.batch_size, int):
        return None
    return steps_of_pass(dataset.train_targets.shape[-1], recipe.batch_size)


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
    rewrite_convolutions: bool = True,
) -> Callable:
    """A whole training run as one pure function of a key.

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
      rewrite_convolutions: whether the model's convolutions are put into forms that are fast inside
        a loop on CPU: the same numbers up to rounding.

    Returns:
      ``train(key, dataset=None) -> (params, state, history)``, where history maps names to float32
      (evaluations,) arrays and ``"diverged_at"`` to an int32 scalar, -1 for a run that stayed
      finite. Values of steps are NaN (infinite under `jax_debug_nans`) where there was no step
      since the last evaluation.

    >>> from jaxdl import models, tasks
    >>> train = make_train(tasks.moons(100), models.mlp(2), optax.sgd(0.1), steps=10)
    >>> keys = jax.vmap(jax.random.key)(jnp.arange(3))
    >>> _, _, history = jax.jit(jax.vmap(train))(keys)
    >>> history["test_accuracy"].shape
    (3, 2)
    """
    for name, part in (("task", task), ("model", model), ("optimizer", optimizer)):
        parts.check_part(name, part, functions=False)
    steps = positive_int("steps", steps, most=MOST_STEPS)
    every = steps if eval_every is None else positive_int("eval_every", eval_every, most=MOST_STEPS)
    schedule = Schedule(steps, every)
    one_of("reduction", reduction, REDUCTIONS)
    if batch_size is not None:
        positive_int("batch_size", batch_size)
    check_norm_bound(norm_bound)
    if flag("rewrite_convolutions", rewrite_convolutions):
        model = with_looped_convolutions(model)
    check_eval_params(eval_params)
    check_task(task, sampling, mapping("record", record, "name -> function (StepInfo) -> scalar"))

    def train(key, dataset: Dataset | None = None):
        check_float32()
        key = parts.prng_key(key)
        drawn = dataset is None and callable(task.data)
        if dataset is None:
            dataset = task.data(key) if drawn else task.data
        dataset = check_dataset(parts.dataset_of(dataset))
        if not drawn:
            check_shared_targets(task, model, dataset)
        n = dataset.train_targets.shape[-1]
        size = positive_int("batch_size", n if batch_size is None else batch_size, most=n)
        recipe = Recipe(
            task, model, optimizer, size, reduction, sampling, record or {}, eval_params, norm_bound
        )
        lane = init(recipe, key, dataset, schedule)
        lane = segment(recipe, schedule, lane, dataset, streams(key), 0, schedule.steps + 1)
        params = evaluated_params(recipe, lane.params, lane.opt_state)
        stops_at_nan = jax.config.jax_debug_nans  # type: ignore[attr-defined]
        history = mark_unseen(lane.history, recipe.record, mark=np.inf if stops_at_nan else np.nan)
        return params, lane.state, {**history, "diverged_at": lane.diverged_at}

    return train


def check_shared_targets(task: Task, model: Model, dataset: Dataset):
    """Refuses targets that are at hand and lie beyond the model's outputs, or what the loss is
    defined for."""
    if not depends_on_targets(task) or any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(dataset)
    ):
        return

    def outputs_of(key, x):
        params, state = model.init(key)
        return model.apply(params, state, prepared(task, x), key=None, train=False)[0]

    outputs = jax.eval_shape(outputs_of, seed_key(0), dataset.train_x)
    if hasattr(outputs, "shape"):
        check_targets(task, outputs.shape, dataset)


def check_norm_bound(bound):
    """Refuses a bound that is no number above 0, or whose square no float32 holds."""
    number_within("norm_bound", bound, 0.0, LARGEST_BOUND)


def check_eval_params(function):
    """Refuses what is neither None nor a function of params and the optimizer's state."""
    if function is not None:
        function_of("eval_params", function, "(params, opt_state) -> params", None, None)


def check_task(task: Task, sampling: str | None = None, record: dict | None = None):
    """Refuses names that would overwrite each other, undeclared metrics, a sampling that nothing
    follows, shared data that do not fit each other.

    Raises:
      ValueError: a line that says what is wrong and how it is put right.
    """
    check_metrics(task.metrics)
    check_record(record or {})
    if not callable(task.data):
        check_dataset(task.data)
    if sampling is None:
        return
    one_of("sampling", sampling, SAMPLINGS)
    if task.batch is not None:
        raise ValueError(
            f"sampling must not be given for a task that brings its own batches, got {sampling!r}"
        )


def check_record(record: dict):
    """Refuses recorded values whose history keys would be those of something else, and what is no
    function."""
    for name, function in record.items():
        check_name("record", name, reserved=("batch_loss",), prefixes=("train_", "valid_", "test_"))
        function_of(f"record {name!r}", function, "(StepInfo) -> scalar", None)


__all__ = [
    "Lane",
    "Recipe",
    "Schedule",
    "StepInfo",
    "evaluate",
    "init",
    "make_train",
    "seed_key",
    "segment",
    "step",
    "streams",
]
