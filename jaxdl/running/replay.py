"""Trains lanes of a study again, for their weights."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from jaxdl.planning.config import Config
from jaxdl.planning.program import Program, concrete_recipe
from jaxdl.planning.seeds import Seed
from jaxdl.planning.spec import Spec
from jaxdl.running import engine
from jaxdl.running.checkpoints import is_key
from jaxdl.running.compiler import Compiled
from jaxdl.sampling import seed_key
from jaxdl.train import Lane, Recipe, evaluated_params


class Replay(NamedTuple):
    """One lane after its training; of a padded one, arrays have the sizes of its own config."""

    params: Any  # those that are evaluated
    state: Any
    history: dict[str, np.ndarray]  # name -> (evaluations,)


class Trained(NamedTuple):
    """The lanes of a config after their training; every leaf has a leading axis of seeds."""

    params: Any  # those that are evaluated; of a lane that diverged, those before it did
    state: Any
    history: dict[str, np.ndarray]  # name -> (seeds, evaluations)
    seeds: tuple[int, ...]
    diverged_at: Int[np.ndarray, " seeds"]  # -1 of a lane that did not


def replay(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    config: Config,
    seed: Seed,
    advance: Callable[[float], None] = lambda lane_steps: None,
) -> Replay:
    """Trains one lane alone, in a full chunk of the program that the study trains it with.

    A bare run of the same config would have other last bits.

    Args:
      advance: is told of lane-steps as they are done.
    """
    trained = train_lanes(spec, program, compiled, config, {0: seed}, advance)
    return Replay(*jax.tree.map(lambda leaf: leaf[0], trained[:3]))


def train_lanes(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    config: Config,
    seeds: Mapping[int, Seed],
    advance: Callable[[float], None] = lambda lane_steps: None,
) -> Trained:
    """Trains lanes of one config, in full chunks of the program that the study trains them with.

    Args:
      seeds: what each lane has in its column ``seed`` -> what it draws from.
      advance: is told of lane-steps as they are done.
    """
    recipe = concrete_recipe(spec.parts, config)
    shapes = jax.eval_shape(recipe.model.init, seed_key(0))
    lanes = [(config, seed) for seed in seeds.values()]
    chunks = []
    for lane in engine.run_lanes(spec, program, compiled, lanes, advance):
        trained = (_evaluated(recipe, lane), lane.state)
        params, state = jax.tree.map(_trimmed, trained, shapes)
        chunks.append((params, state, lane.history, lane.diverged_at))
    params, state, history, diverged_at = jax.tree.map(_joined, *chunks)
    return Trained(params, state, history, tuple(seeds), diverged_at)


def _evaluated(recipe: Recipe, lane: Lane):
    """The weights that evaluation uses, lane by lane: a batch of them may have other last bits."""
    if recipe.eval_params is None:
        return lane.params
    evaluated = []
    for row in range(len(lane.diverged_at)):
        own = jax.tree.map(lambda leaf, row=row: leaf[row], (lane.params, lane.opt_state))
        evaluated.append(evaluated_params(recipe, *own))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *evaluated)


def _trimmed(values, wanted):
    """The live part of padded arrays, lanes first."""
    if values.shape[1:] == wanted.shape:
        return values
    return values[(slice(None), *(slice(0, size) for size in wanted.shape))]


def _joined(*leaves):
    """The lanes of all chunks."""
    if len(leaves) == 1:
        return leaves[0]
    join = jnp.concatenate if is_key(leaves[0]) else np.concatenate
    return join(leaves)


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
