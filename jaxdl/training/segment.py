"""The loop that advances a lane: steps, and evaluations where they are due."""

import jax
import jax.numpy as jnp

from jaxdl.sampling import pass_order
from jaxdl.training.evaluation import evaluate, evaluated_params
from jaxdl.training.lane import Lane, Streams, fresh_running
from jaxdl.training.recipe import Recipe, Schedule
from jaxdl.training.records import running_values
from jaxdl.training.step import pass_steps, rows_ahead, step, steps_ahead
from jaxdl.types import Dataset


def segment(
    recipe: Recipe,
    schedule: Schedule,
    lane: Lane,
    dataset: Dataset,
    keys: Streams,
    start,
    stop,
) -> Lane:
    """Advances a lane from step `start` to step `stop`, evaluating where that is due.

    An evaluation belongs to the segment that starts at its step, so a whole run goes from 0 to
    ``steps + 1``. The loop bounds are values, not shapes: segments of any length run the same
    compiled code and give the same bits.

    Args:
      start, stop: int32 scalars, ``0 <= start < stop <= steps + 1``.
    """
    steps, every = schedule
    start = jnp.asarray(start, jnp.int32)
    stop = jnp.asarray(stop, jnp.int32)
    passes = pass_steps(recipe, dataset)
    n = dataset.train_targets.shape[-1]

    # Two loops: the inner one makes the steps between two evaluations, the outer one evaluates.
    def one_interval(carry):
        index, lane, order = carry
        lane = _evaluated(recipe, schedule, lane, dataset, index)
        next_due = (index // every + 1) * every
        until = jnp.minimum(jnp.minimum(next_due, stop), steps)
        if passes is not None:
            next_pass = (index // passes + 1) * passes
            until = jnp.minimum(until, next_pass)
            is_new = (index % passes == 0) | (index == start)

            def draw(_):
                return pass_order(keys.shuffle, index // passes, n)

            # the order of a pass is drawn once, as it begins or is taken up again
            order = jax.lax.cond(is_new, draw, lambda order: order, order)

        lane = _moved(recipe, schedule, lane, dataset, keys, order, index, until)
        return jnp.maximum(until, index + 1), lane, order

    def is_before_stop(carry):
        index, _, _ = carry
        return index < stop

    order = None if passes is None else jnp.zeros(n, jnp.int32)
    _, lane, _ = jax.lax.while_loop(is_before_stop, one_interval, (start, lane, order))
    return lane


def _moved(
    recipe: Recipe,
    schedule: Schedule,
    lane: Lane,
    dataset: Dataset,
    keys: Streams,
    order,
    start,
    stop,
) -> Lane:
    """Makes the steps from `start` to `stop`, with no evaluation in between."""
    ahead = min(steps_ahead(recipe, dataset), schedule.eval_every)

    def one_step(index, lane):
        return step(recipe, lane, dataset, keys, index, order)

    if not ahead:
        return jax.lax.fori_loop(start, stop, one_step, lane)

    # Two loops again: the outer one draws the rows of some steps at once, the inner one makes the
    # steps. A step's rows are of its number alone, so those drawn beyond `stop` are drawn again.
    def one_round(carry):
        first, lane = carry
        rows, weight = rows_ahead(recipe, dataset, keys, first, ahead)

        def one_step(index, lane):
            place = index - first
            drawn = rows[place], (weight[place] if weight.ndim > 1 else weight)
            return step(recipe, lane, dataset, keys, index, drawn=drawn)

        until = jnp.minimum(first + ahead, stop)
        return until, jax.lax.fori_loop(first, until, one_step, lane)

    def is_before_stop(carry):
        index, _ = carry
        return index < stop

    _, lane = jax.lax.while_loop(is_before_stop, one_round, (start, lane))
    return lane


# All lanes of a program evaluate at the same steps, so that the `cond` stays one under vmap: were
# its predicate a lane's own, each lane would pay for both sides.
def _evaluated(
    recipe: Recipe,
    schedule: Schedule,
    lane: Lane,
    dataset: Dataset,
    index,
) -> Lane:
    """Evaluates a lane if that is due before step `index`."""
    steps, every = schedule
    last = len(schedule.due()) - 1
    column = jnp.where(index == steps, last, index // every)
    due = (index % every == 0) | (index == steps)
    return jax.lax.cond(
        due,
        lambda lane: _write(recipe, lane, dataset, column),
        lambda lane: lane,
        lane,
    )


def _write(recipe: Recipe, lane: Lane, dataset: Dataset, column) -> Lane:
    """Fills one column of the history and starts the running values anew."""
    params = evaluated_params(recipe, lane.params, lane.opt_state)
    values = evaluate(recipe, params, lane.state, dataset)
    values |= running_values(lane.running)
    history = {}
    for name, row in lane.history.items():
        history[name] = row.at[column].set(values[name])
    return lane._replace(history=history, running=fresh_running(recipe))
