"""The mean loss and metrics of a lane over every split of its data."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import parts
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
    """Computes the mean loss and metrics over every split: name -> float32 scalar."""
    values: dict[str, Any] = {}
    for split, (x, targets) in splits(dataset).items():
        means = evaluate_split(recipe, params, state, x, targets)
        values |= {f"{split}_{name}": mean for name, mean in means.items()}
    return values


def evaluate_split(recipe: Recipe, params, state, x, targets) -> dict:
    """Computes the mean loss and metrics over some examples: name -> float32 scalar.

    A NaN among an example's outputs or targets makes its values NaN: an argmax of NaN is class 0,
    which may be right by chance, and a comparison with NaN is false.
    """
    of_metrics = {name: metric.function for name, metric in recipe.task.metrics.items()}
    functions = {"loss": recipe.task.loss, **of_metrics}
    outputs, _ = parts.apply(recipe.model, params, state, prepared(recipe.task, x))
    batch = targets.shape[-1]
    spoilt = _is_nan((outputs, targets), batch)
    means = {}
    for name, function in functions.items():
        is_loss = name == "loss"
        label = "loss" if is_loss else f"metric {name!r}"
        each = per_example(label, function(outputs, targets), batch, differentiable=is_loss)
        means[name] = jnp.mean(jnp.where(spoilt, jnp.nan, each))
    return means


def _is_nan(tree, batch: int):
    """Which examples have a NaN among the arrays of a tree, batch axis last: (batch,) bool."""
    spoilt = jnp.zeros(batch, bool)
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.shape[-1:] == (batch,):
            spoilt |= jnp.isnan(leaf).reshape(-1, batch).any(axis=0)
    return spoilt
