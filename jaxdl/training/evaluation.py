"""The mean loss and the metrics of a lane over every split of its data."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import parts
from jaxdl.checks import positive_int
from jaxdl.lowering.own import own
from jaxdl.sampling import permute, seed_key
from jaxdl.training.chunks import Collected, Examples, Reduce, collect, most_rows
from jaxdl.training.recipe import Recipe, prepared
from jaxdl.training.values import per_example
from jaxdl.training.whole import finished, of_each
from jaxdl.types import Dataset, Metric, SplitMetric, Task


def splits(dataset: Dataset) -> dict[str, tuple]:
    """Lists the splits that a dataset has: name -> (x, targets)."""
    there = {"train": (dataset.train_x, dataset.train_targets)}
    if dataset.valid_x is not None:
        there["valid"] = (dataset.valid_x, dataset.valid_targets)
    if dataset.test_x is not None:
        there["test"] = (dataset.test_x, dataset.test_targets)
    return there


def metric_names(task: Task, dataset: Dataset) -> list[str]:
    """Names the history keys of an evaluation: ``{train,valid,test}_{loss,...}``."""
    kinds = ("loss", *task.metrics)
    pairs = itertools.product(splits(dataset), kinds)
    return [f"{split}_{name}" for split, name in pairs]


def directions(task: Task) -> dict[str, bool]:
    """Tells whether higher is better, by the name that follows the split: of the loss, and of every
    metric as declared."""
    declared = {name: metric.higher_is_better for name, metric in task.metrics.items()}
    return {"loss": False, **declared}


def evaluated_params(recipe: Recipe, params, opt_state):
    """Gives the weights that evaluation uses: those that are trained, or what `eval_params` makes
    of them."""
    if recipe.eval_params is None:
        return params
    evaluated = recipe.eval_params(params, opt_state)
    return parts.built_like("eval_params", evaluated, params, "a tree like params")


def evaluate(recipe: Recipe, params, state, dataset: Dataset) -> dict:
    """Computes the mean loss and metrics over every split: name -> float32 scalar.

    Many examples are gone through in chunks of bounded memory. The model is in evaluation mode: no
    chunk sees another one's state.
    """
    taken = _taker(recipe, params, state)
    examples = {}
    for split, (x, targets) in splits(dataset).items():
        order = _train_rows(recipe, dataset) if split == "train" else None
        weight = None if dataset.weights is None else getattr(dataset.weights, split)
        examples[split] = Examples(x, targets, order, weight)
    # asked once for all splits, whose rows are alike: it takes a trace
    most = most_rows(recipe, taken, examples.values())
    values: dict[str, Any] = {}
    for split, there in examples.items():
        for name, value in _values(recipe.task, taken, there, most).items():
            values[f"{split}_{name}"] = value
    return values


def _train_rows(recipe: Recipe, dataset: Dataset):
    """Draws the rows of the training split that are evaluated, int32 (count,); None for all.

    They are drawn at random, since a user's rows may be sorted, and by one key for all lanes: every
    config and seed is judged by the same rows, and fewer of them are the first ones of more.
    """
    rows = dataset.train_targets.shape[-1]
    count = recipe.eval_train_rows
    if count is None or count == rows:
        return None
    shared_key = seed_key(0)
    return permute(shared_key, rows, jnp.arange(count))


def check_train_rows(recipe: Recipe, dataset: Dataset):
    """Refuses a part of the training split that is larger than the split."""
    if recipe.eval_train_rows is not None:
        rows = dataset.train_targets.shape[-1]
        positive_int("eval_train_rows", recipe.eval_train_rows, most=rows)


def evaluate_split(recipe: Recipe, params, state, x, targets) -> dict:
    """Computes the mean loss and metrics over some examples: name -> float32 scalar."""
    taken = _taker(recipe, params, state)
    examples = Examples(x, targets)
    most = most_rows(recipe, taken, [examples])
    return _values(recipe.task, taken, examples, most)


def _values(task: Task, taken: Callable, examples: Examples, most: int) -> dict:
    """Computes the mean loss and metrics over one split: name -> float32 scalar."""
    collected = collect(taken, examples, most)
    values = dict(collected.means)
    sources = _sources(task)
    for name, metric in _of_split(task).items():
        every = collected.rows if metric.gathered else collected.totals
        weight = _counted(examples, metric.gathered)
        values[name] = finished(name, metric, every[sources[name]], weight)
    return values


def _counted(examples: Examples, by_row: bool):
    """What the examples count, float32: (rows,), or all together."""
    weight = examples.weights()
    if weight is None:
        return jnp.ones(examples.rows) if by_row else jnp.float32(examples.rows)
    return jnp.asarray(weight) if by_row else jnp.sum(jnp.asarray(weight))


def _taker(recipe: Recipe, params, state) -> Callable:
    """Makes ``(x, targets, reduce) -> Collected`` of the loss and metrics."""

    def taken(x, targets, reduce: Reduce) -> Collected:
        inputs = prepared(recipe.task, x)
        inputs = _of_lane(inputs, params)  # all lanes are evaluated on the same
        outputs, _ = parts.apply(recipe.model, params, state, inputs)
        return _taken(recipe.task, outputs, targets, reduce)

    return taken


def _of_lane(inputs, params):
    """Gives a lane inputs of its own, if it has parameters that tell it from others."""
    some = [leaf for leaf in jax.tree.leaves(params) if jnp.size(leaf)]
    return own(inputs, jnp.asarray(some[0])) if some else inputs


def _taken(task: Task, outputs, targets, reduce: Reduce) -> Collected:
    """Computes loss and metrics of each example, and what is kept of them.

    A NaN among an example's outputs or targets makes its values NaN: an argmax of NaN is class 0,
    which may be right by chance, and a comparison with NaN is false.
    """
    spoilt = _is_nan((outputs, targets), targets.shape[-1])
    functions = {"loss": task.loss}
    for name, metric in task.metrics.items():
        if isinstance(metric, Metric):
            functions[name] = metric.function
    means = {}
    for name, function in functions.items():
        is_loss = name == "loss"
        label = "loss" if is_loss else f"metric {name!r}"
        each = function(outputs, targets)
        each = per_example(label, each, len(spoilt), differentiable=is_loss)
        means[name] = reduce.mean(jnp.where(spoilt, jnp.nan, each))
    totals, rows = {}, {}
    of_split = _of_split(task)
    for name in dict.fromkeys(_sources(task).values()):
        metric = of_split[name]
        tree = of_each(name, metric.function(outputs, targets), spoilt)
        if metric.gathered:
            rows[name] = tree
        else:
            totals[name] = jax.tree.map(reduce.total, tree)
    return Collected(means, totals, rows)


def _of_split(task: Task) -> dict[str, SplitMetric]:
    """The metrics that are of a whole split."""
    return {name: each for name, each in task.metrics.items() if isinstance(each, SplitMetric)}


def _sources(task: Task) -> dict[str, str]:
    """For every metric of a whole split, the first one that is made of the same: what a function
    takes of the examples is taken once, for all cells of a confusion matrix too."""
    first: dict[tuple, str] = {}
    sources = {}
    for name, metric in _of_split(task).items():
        # by identity: a callable of the user's may be equal to another, or not hashable
        key = (id(metric.function), metric.gathered)
        sources[name] = first.setdefault(key, name)
    return sources


def _is_nan(tree, batch: int):
    """Marks examples with a NaN among the arrays of a tree, batch axis last: (batch,) bool."""
    spoilt = jnp.zeros(batch, bool)
    for leaf in jax.tree.leaves(tree):
        is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
        if is_float and leaf.shape[-1:] == (batch,):
            by_example = jnp.isnan(leaf).reshape(-1, batch)
            spoilt |= by_example.any(axis=0)
    return spoilt
