"""All that a lane carries from step to step, and how it begins."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl import parts
from jaxdl.sampling import stream
from jaxdl.training import evaluation, records
from jaxdl.training.recipe import Recipe, Schedule
from jaxdl.types import Dataset


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
    """Makes the step keys of a lane from its seed key."""
    return Streams(*(stream(key, name) for name in Streams._fields))


def init(recipe: Recipe, key, dataset: Dataset, schedule: Schedule) -> Lane:
    """Makes a lane before its first step.

    Args:
      recipe: what is trained.
      key: the lane's seed key.
      dataset: its data, for the names of the splits.
      schedule: its evaluations, for the length of the history.

    Raises:
      ValueError: an optimizer that keeps two sets of weights (lookahead), more rows to evaluate
        than the training split has.
    """
    evaluation.check_train_rows(recipe, dataset)
    # "init" alone draws weights: other steps, data or batches leave them as they are
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


def history_names(recipe: Recipe, dataset: Dataset) -> list[str]:
    """Names the history keys of a lane: of its evaluations, then of its per-step values."""
    of_metrics = evaluation.metric_names(recipe.task, dataset)
    return [*of_metrics, *records.recorded_names(recipe.record)]


def fresh_running(recipe: Recipe) -> dict[str, records.Running]:
    """Makes the per-step values of a lane that has made no step since the last evaluation."""
    return records.fresh_running(recipe.record)


def _check_one_set_of_weights(opt_state):
    """Refuses lookahead: it wants params of a kind of its own, and misreads a tuple of two layers
    as one."""

    def lookahead(node) -> bool:
        return isinstance(node, optax.LookaheadState)

    if any(map(lookahead, jax.tree.leaves(opt_state, is_leaf=lookahead))):
        raise ValueError(
            "optimizer must update one set of weights, got optax.lookahead, which keeps a fast and "
            "a slow one: use its fast optimizer, and eval_params for averaged weights"
        )
