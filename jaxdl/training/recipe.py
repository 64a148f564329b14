"""One lane's training as values: what is trained, how long, and when it is evaluated."""

from collections.abc import Callable
from typing import NamedTuple

import optax

from jaxdl import parts
from jaxdl.types import Model, Size, Task, capacity

# Weights of 1e15 need a rate, or data, that float32 training does not survive; a regression on
# house prices meets 1e6, one on a country's accounts 1e13. The bound only catches lanes whose loss
# hides an explosion.
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
    eval_train_rows: int | None = None  # of the training split, that are evaluated; None: all


def rows_at_a_time(recipe: Recipe) -> int | None:
    """Counts the rows whose arrays a step holds at a time; None where that depends on the data."""
    return None if recipe.batch_size is None else capacity(recipe.batch_size)


def prepared(task: Task, x):
    """Makes inputs such as the model takes them."""
    if task.prepare is None:
        return x
    return parts.aligned("task.prepare", task.prepare(x), x)[0]
