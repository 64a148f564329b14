"""A rehearsal: a few steps of a lane's run, early and late, by which a plan is checked."""

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import train
from jaxdl.checks import nan_named
from jaxdl.planning.program import LaneFunctions, Program, first_hp, lane_functions
from jaxdl.planning.spec import Parts
from jaxdl.sampling import seed_key

PHASE_STEPS = 2
EVALUATED = 128  # examples of each split that the check evaluates
CHEAP_FLOPS = 1e8  # of a step's products: below, a step takes about a millisecond at most
# On a CPU a few steps run, and compiling is their time. Newer versions of XLA lack the last option.
QUICK: tuple[dict[str, str | bool], ...] = (
    {"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False},
    {"xla_backend_optimization_level": "0"},
)


class Rehearsal(NamedTuple):
    """What a few steps of a run compute.

    Attributes:
      params, state: at the end.
      updates: of the last step of every phase, with a leading axis of phases.
      values: name -> (phases,): metrics, per-step values, and the step at which the lane diverged.
    """

    params: dict | tuple
    state: dict | tuple
    updates: dict | tuple
    values: dict[str, Any]


class Side(NamedTuple):
    """One of the two ways to run a config: traced, and compiled when it is run at first."""

    traced: jax.stages.Traced
    arguments: tuple
    run: Callable  # (hp, nudge=0.0, number=0) -> Rehearsal


def side(parts: Parts, program: Program, step_flops: float) -> Side:
    """Traces the rehearsal of a program's lane."""
    functions = lane_functions(parts, program)
    starts = phase_starts(program.schedule.steps, step_flops)
    shared, seed = functions.shared, np.uint32(0)
    arguments = (seed, first_hp(program), shared, starts, np.float32(0), np.int32(0))
    traced = jax.jit(rehearsal(functions)).trace(*arguments)

    compile_once = functools.cache(lambda: _compiled_quickly(traced.lower()))
    lock = threading.Lock()

    def compiled():
        with lock:  # the planned side is asked for by several threads at once
            return compile_once()

    def run(hp: dict, nudge: float = 0.0, number: int = 0) -> Rehearsal:
        run_once = compiled()
        with nan_named():
            answer = run_once(seed, hp, shared, starts, np.float32(nudge), np.int32(number))
        return jax.tree.map(np.asarray, answer)

    return Side(traced, arguments, run)


def _compiled_quickly(lowered):
    """A program with as few optimisations as this version of XLA can be asked for."""
    for options in QUICK if jax.default_backend() == "cpu" else ():
        try:
            return lowered.compile(compiler_options=options)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
    return lowered.compile()


def phase_starts(steps: int, step_flops: float = 0.0) -> np.ndarray:
    """Returns the steps at which the phases of a rehearsal begin, int32 (phases,).

    Two phases are at the start, the others spread up to the end. Schedules change in between as
    well, so a program of cheap steps is looked at in more places.
    """
    last = max(0, steps - PHASE_STEPS)
    shares = (0.02, 0.1, 0.25, 0.5, 0.75, 1.0) if step_flops < CHEAP_FLOPS else (0.5, 1.0)
    return np.array([0, min(PHASE_STEPS, last), *(int(share * last) for share in shares)], np.int32)


def rehearsal(functions: LaneFunctions) -> Callable[..., Rehearsal]:
    """Makes ``(seed, hp, shared, starts, nudge, number) -> Rehearsal`` of a lane.

    Its fresh weights are multiplied by 1 + nudge or 1 - nudge, at random by `number`.
    """

    def run(seed, hp, shared, starts, nudge, number) -> Rehearsal:
        lane, drawn = functions.init(seed, hp, shared)
        dataset = shared if drawn is None else drawn
        lane = lane._replace(params=_nudged(lane.params, nudge, number))
        recipe = functions.recipe(hp, lane, dataset)
        keys = train.streams(seed_key(seed))
        x = dataset.train_x[..., :EVALUATED]
        targets = dataset.train_targets[..., :EVALUATED]

        def one_step(offset, carry):
            begin, lane, _ = carry
            proposed, info = train.propose(recipe, lane, dataset, keys, begin + offset)
            return begin, train.accept(recipe, lane, proposed, info), info.updates

        def phase(carry, begin):
            end, lane = carry
            # Between two phases no step is taken: the optimizer's counters alone are moved on.
            moved = _moved(lane.opt_state, begin - end)
            lane = lane._replace(opt_state=moved, running=train.fresh_running(recipe))
            nothing = jax.tree.map(jnp.zeros_like, lane.params)
            _, lane, updates = jax.lax.fori_loop(0, PHASE_STEPS, one_step, (begin, lane, nothing))
            diverged_at = lane.diverged_at.astype(jnp.float32)
            values = {**_values(recipe, lane, x, targets), "diverged_at": diverged_at}
            return (begin + PHASE_STEPS, lane), (updates, values)

        (_, lane), (updates, values) = jax.lax.scan(phase, (jnp.int32(0), lane), starts)
        return Rehearsal(lane.params, lane.state, updates, values)

    return run


def _nudged(params, nudge, number):
    """Every weight times 1 + nudge or 1 - nudge, as a hash of its place and of `number` says."""

    def one(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        place = jax.lax.iota(jnp.uint32, leaf.size).reshape(leaf.shape)
        hashed = (place + number.astype(jnp.uint32) * 77) * jnp.uint32(0x9E3779B1)
        sign = jnp.where(hashed >> 31 == 1, 1, -1).astype(leaf.dtype)
        return leaf * (1 + nudge.astype(leaf.dtype) * sign)

    return jax.tree.map(one, params)


def _moved(opt_state, by):
    """The optimizer's state with its counters moved on."""

    def one(leaf):
        counts = jnp.issubdtype(leaf.dtype, jnp.integer) and leaf.ndim == 0
        return leaf + by.astype(leaf.dtype) if counts else leaf

    return jax.tree.map(one, opt_state)


def _values(recipe: train.Recipe, lane: train.Lane, x, targets) -> dict:
    """The metrics of a lane on some examples, and its per-step values.

    Metrics are the same functions of every split, so those of one are enough.
    """
    params = train.evaluated_params(recipe, lane.params, lane.opt_state)
    metrics = train.evaluate_split(recipe, params, lane.state, x, targets)
    return {**metrics, **train.running_values(lane.running)}
