"""Replays one lane of a study, trained weights included."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.planning.config import Config
from jaxdl.planning.program import Program, concrete_recipe
from jaxdl.planning.seeds import Seed
from jaxdl.planning.spec import Spec
from jaxdl.running import engine
from jaxdl.running.compiler import Compiled
from jaxdl.sampling import seed_key
from jaxdl.train import evaluated_params


class Replay(NamedTuple):
    """One lane after its training; of a padded one, arrays have the sizes of its own config."""

    params: Any  # those that are evaluated
    state: Any
    history: dict[str, np.ndarray]  # name -> (evaluations,)


def replay(spec: Spec, program: Program, compiled: Compiled, config: Config, seed: Seed) -> Replay:
    """Trains one lane alone, in a full chunk of the program that the study trains it with.

    A bare run of the same config would have other last bits.
    """
    lane = engine.run_lane(spec, program, compiled, config, seed)
    recipe = concrete_recipe(spec.parts, config)
    shapes = jax.eval_shape(recipe.model.init, seed_key(0))
    trained = evaluated_params(recipe, lane.params, lane.opt_state)
    params, state = jax.tree.map(_trimmed, (trained, lane.state), shapes)
    return Replay(params, state, lane.history)


def _trimmed(values, wanted):
    """The live part of a padded array."""
    if values.shape == wanted.shape:
        return values
    return values[tuple(slice(0, size) for size in wanted.shape)]


def worst_gap(replayed: dict[str, Any], stored: dict[str, Any]) -> tuple[str, float]:
    """Returns the curve that differs most between a replay and the stored lane, and by how much."""
    gaps = {name: largest_gap(values, stored[name]) for name, values in replayed.items()}
    return max(gaps.items(), key=lambda named: named[1])


def largest_gap(a, b) -> float:
    """Returns the largest absolute difference of two curves, 0 only if their bits agree.

    >>> largest_gap([1.0, 2.0], [1.0, 2.5, 9.0])
    0.5

    Args:
      a: (evaluations,).
      b: (evaluations or more,); what is beyond the length of `a` has no say.
    """
    a, b = np.asarray(a), np.asarray(b)[: len(a)]
    if a.tobytes() == b.tobytes():
        return 0.0
    return float(max(np.nanmax(np.abs(a - b), initial=0.0), np.finfo(np.float32).tiny))
