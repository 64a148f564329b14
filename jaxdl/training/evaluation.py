"""The mean loss and metrics of a lane over every split of its data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import parts
from jaxdl.checks import positive_int
from jaxdl.sampling import permute, seed_key
from jaxdl.training.chunks import Examples, means, most_rows
from jaxdl.training.recipe import Recipe, prepared
from jaxdl.training.values import per_example
from jaxdl.types import Dataset, Task


def splits(dataset: Dataset) -> dict[str, tuple]:
    """Lists the splits that a dataset has: name -> (x, targets)."""
    there = {"train": (dataset.train_x, dataset.train_targets)}
    if dataset.valid_x is not None:
        there["valid"] = (dataset.valid_x, dataset.valid_targets)
    there["test"] = (dataset.test_x, dataset.test_targets)
    return there


def metric_names(task: Task, dataset: Dataset) -> list[str]:
    """Names the history keys of an evaluation: ``{train,valid,test}_{loss,...}``."""
    kinds = ("loss", *task.metrics)
    return [f"{split}_{name}" for split in splits(dataset) for name in kinds]


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
    reduced = _reducer(recipe, params, state)
    examples = {split: Examples(*pair) for split, pair in splits(dataset).items()}
    examples["train"] = examples["train"]._replace(order=_train_rows(recipe, dataset))
    most = most_rows(recipe, reduced, examples.values())
    values: dict[str, Any] = {}
    for split, there in examples.items():
        of_split = means(reduced, there, most)
        values |= {f"{split}_{name}": mean for name, mean in of_split.items()}
    return values


def _train_rows(recipe: Recipe, dataset: Dataset):
    """The rows of the training split that are evaluated, int32 (count,); None for all.

    They are drawn at random, since a user's rows may be sorted, and by one key for all lanes: every
    config and seed is judged by the same rows, and fewer of them are the first ones of more.
    """
    rows, count = dataset.train_targets.shape[-1], recipe.eval_train_rows
    if count is None or count == rows:
        return None
    return permute(seed_key(0), rows, jnp.arange(count))


def check_train_rows(recipe: Recipe, dataset: Dataset):
    """Refuses a part of the training split that is larger than the split."""
    if recipe.eval_train_rows is not None:
        rows = dataset.train_targets.shape[-1]
        positive_int("eval_train_rows", recipe.eval_train_rows, most=rows)


def evaluate_split(recipe: Recipe, params, state, x, targets) -> dict:
    """Computes the mean loss and metrics over some examples: name -> float32 scalar."""
    reduced, examples = _reducer(recipe, params, state), Examples(x, targets)
    return means(reduced, examples, most_rows(recipe, reduced, [examples]))


def _reducer(recipe: Recipe, params, state) -> Callable:
    """Makes ``(x, targets, reduce) -> name -> reduce(values)`` of the loss and metrics."""
    of_metrics = {name: metric.function for name, metric in recipe.task.metrics.items()}
    functions = {"loss": recipe.task.loss, **of_metrics}

    def reduced(x, targets, reduce):
        outputs, _ = parts.apply(recipe.model, params, state, prepared(recipe.task, x))
        return _reduced(functions, outputs, targets, reduce)

    return reduced


def _reduced(functions: dict, outputs, targets, reduce: Callable) -> dict:
    """The loss and metrics of each example, (batch,), as `reduce` makes one number of them.

    A NaN among an example's outputs or targets makes its values NaN: an argmax of NaN is class 0,
    which may be right by chance, and a comparison with NaN is false.
    """
    batch = targets.shape[-1]
    spoilt = _is_nan((outputs, targets), batch)
    values = {}
    for name, function in functions.items():
        is_loss = name == "loss"
        label = "loss" if is_loss else f"metric {name!r}"
        each = per_example(label, function(outputs, targets), batch, differentiable=is_loss)
        values[name] = reduce(jnp.where(spoilt, jnp.nan, each))
    return values


def _is_nan(tree, batch: int):
    """Which examples have a NaN among the arrays of a tree, batch axis last: (batch,) bool."""
    spoilt = jnp.zeros(batch, bool)
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.shape[-1:] == (batch,):
            spoilt |= jnp.isnan(leaf).reshape(-1, batch).any(axis=0)
    return spoilt
