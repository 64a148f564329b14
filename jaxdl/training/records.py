"""Per-step values: what `record` functions see of a step, and the running min, mean and max."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.checks import brief

KINDS = ("min", "mean", "max")


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


def gradient_norm(info: StepInfo):
    """Computes the Euclidean norm of a step's gradient, before the optimizer clips or scales it.

    For ``record={"grad_norm": train.gradient_norm}``.
    """
    return optax.tree.norm(info.grads)


def names(record) -> tuple[str, ...]:
    """Names the per-step values: that of every lane, then the recorded ones."""
    return ("batch_loss", *record)


def recorded_names(record) -> list[str]:
    """Names the history keys of per-step values: ``{batch_loss,...}_{min,mean,max}``."""
    return [f"{name}_{kind}" for name in names(record) for kind in KINDS]


def fresh_running(record) -> dict[str, Running]:
    """Makes the per-step values of a lane that has made no step since the last evaluation."""
    return {name: _nothing_yet() for name in names(record)}


def _nothing_yet() -> Running:
    return Running(
        min=jnp.float32(jnp.inf),
        total=jnp.float32(0.0),
        max=jnp.float32(-jnp.inf),
        count=jnp.float32(0.0),
    )


def seen_in(record, info: StepInfo) -> dict:
    """Computes the per-step values of a step: name -> float32 scalar."""
    seen = {"batch_loss": info.loss}
    for name, function in record.items():
        seen[name] = _scalar(name, function(info))
    return seen


def _scalar(name: str, value):
    """Returns what a user's function gave as a float32 scalar, if it is a real one."""
    try:
        scalar = jnp.asarray(value)
    except (TypeError, ValueError):  # None, a dict, a string
        raise ValueError(f"record {name!r} must give a scalar, got {brief(value)}") from None
    if scalar.shape != () or jnp.iscomplexobj(scalar):
        given = f"shape {scalar.shape}, {scalar.dtype}"
        raise ValueError(f"record {name!r} must give a real scalar, got {given}")
    return scalar.astype(jnp.float32)


def include(running: Running, value, healthy) -> Running:
    """Takes the value of a step in, unless the step was refused."""
    after = Running(
        min=jnp.minimum(running.min, value),
        max=jnp.maximum(running.max, value),
        total=running.total + value,
        count=running.count + 1.0,
    )

    # a step that was refused never happened: its loss may be NaN, which no mean would survive
    def keep(new, old):
        return jnp.where(healthy, new, old)

    return jax.tree.map(keep, after, running)


def running_values(running: dict[str, Running]) -> dict:
    """Computes the smallest, the mean and the largest of every per-step value; of none inf, 0 and
    -inf, see `mark_unseen`."""
    values = {}
    for name, seen in running.items():
        # of no step the mean would be 0 / 0, a NaN that `jax_debug_nans` stops at
        count = jnp.maximum(seen.count, 1.0)
        values[f"{name}_min"] = seen.min
        values[f"{name}_mean"] = seen.total / count
        values[f"{name}_max"] = seen.max
    return values


def mark_unseen(history: dict, record, where: Callable = jnp.where, mark: float = np.nan) -> dict:
    """Puts NaN where no step was seen: there the smallest value is above the largest.

    Lanes hold no NaN of ours while they are trained, so that `jax_debug_nans` finds the user's
    alone.

    Args:
      history: name -> values.
      record: names of the per-step values beside the batch loss.
      where: `jnp.where` or, for arrays on the host, `np.where`.
      mark: what stands there in place of a value.
    """
    marked = dict(history)
    for name in names(record):
        unseen = history[f"{name}_min"] > history[f"{name}_max"]
        for kind in KINDS:
            key = f"{name}_{kind}"
            marked[key] = where(unseen, np.float32(mark), history[key])
    return marked
