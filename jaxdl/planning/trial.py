"""Tracing a program with its axes abstract, and checking by numbers that the trace means what the
plain code does."""

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import train
from jaxdl.checks import nan_named
from jaxdl.planning import background, memo
from jaxdl.planning.cost import Work, work_of
from jaxdl.planning.jaxprs import jaxprs
from jaxdl.planning.program import (
    Axis,
    LaneFunctions,
    Program,
    first_hp,
    lane_functions,
    value_of,
    whole,
)
from jaxdl.planning.spec import Spec
from jaxdl.sampling import seed_key

PHASE_STEPS = 2
EVALUATED = 128  # examples of each split that the check evaluates
NUDGE = 4 * float(
    np.finfo(np.float32).eps
)  # relative change of a weight, in the runs that show how rounding grows
NUDGES = 3
NUDGE_FACTOR = (
    20.0  # how much more than a nudged run a planned one may differ: its rounding is elsewhere
)
TIGHT = (
    3e-5  # relative difference that is allowed besides: 1 - b2 of Adam in float32 is off by 1e-5
)
LOOSE = (
    1e-3  # the same after the counters were moved: bias corrections then miss the steps left out
)
ROUNDING = 1e-6  # of a leaf beside the others of its tree: what a sum that cancels leaves over
MOST_PROBES = 4
CHEAP_FLOPS = 1e8  # of a step's products: below, a step takes about a millisecond at most
# On a CPU a few steps run, and compiling is their time. Newer versions of XLA lack the last option.
QUICK: tuple[dict[str, str | bool], ...] = (
    {"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False},
    {"xla_backend_optimization_level": "0"},
)


def trial(spec: Spec, program: Program, read: set) -> Work | Exception:
    """Returns the work of a lane of the program, or the exception that tracing it raises."""
    try:
        functions = lane_functions(spec, program, read)
        jaxpr = jax.make_jaxpr(whole(functions, 2))(
            np.uint32(0), first_hp(spec, program), functions.shared
        )
        _check_integers(program, jaxpr.jaxpr)
    except Exception as failure:  # whatever user code raises under a trace is an answer
        abstract = ", ".join(program.names("traced", "padded")) or "nothing"
        failure.add_note(
            f"while tracing the study at {program.configs[0]} with {abstract} abstract"
        )
        return failure
    return work_of(jaxpr.jaxpr)


def _check_integers(program: Program, jaxpr):
    """Refuses a power of integers where lanes carry some: ``10 ** -2`` would be 0, in a threshold
    that no check may see."""
    if any(axis.dtype == "int32" for axis in program.axes.values()) and _has_integer_power(jaxpr):
        raise TypeError(
            "a power of integers that are traced is 0 for a negative exponent, and may overflow"
        )


def _has_integer_power(jaxpr) -> bool:
    """Whether a jaxpr squares and multiplies by the bits of an exponent; hashes shift unsigned
    integers."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "shift_right_logical" and jnp.issubdtype(
            equation.outvars[0].aval.dtype, jnp.signedinteger
        ):
            return True
        if any(map(_has_integer_power, jaxprs(equation))):
            return True
    return False


def work(spec: Spec, program: Program) -> Work:
    """Returns the work of a lane of a program that is known to trace."""
    answer = trial(spec, program, set())
    if isinstance(answer, Exception):
        raise answer
    return answer


class Rehearsal(NamedTuple):
    """What a few steps of a run compute; a leading axis of phases where they differ from phase to
    phase."""

    params: dict | tuple  # at the end
    state: dict | tuple  # at the end
    updates: dict | tuple  # of the last step of every phase
    values: (
        dict  # name -> (phases,): metrics, per-step values, and the step at which the lane diverged
    )


def disagreement(spec: Spec, program: Program, step_flops: float = 0.0) -> float:
    """Compares a program's lanes with plain runs at the corners of its sweep.

    A trace proves nothing about code that asks ``isinstance(v, float)``, nor about optimizers that
    move dead units. So a few steps are run planned and plain: at the start, and with all counters
    moved on, up to the end of the run. Weights, updates, metrics and recorded values must agree.

    How near is near: rounding differs between the two, and some trainings amplify it (Adam makes a
    gradient that is all rounding as large as any other). How much, a plain run shows whose weights
    were changed by a few units in the last place. A difference `NUDGE_FACTOR` times as large
    passes, and one of `TIGHT` relative to the size.

    Args:
      step_flops: of a lane's step: costly ones are run less often.

    Returns:
      the largest difference in units of what is allowed: above 1, the program does not mean what
        the code does.
    """
    planned = side(spec, program, step_flops)
    compared = [
        functools.partial(_disagreement, spec, planned, program, config, step_flops)
        for config in probes(spec, program)
    ]
    return max(future.result() for future in background.start(compared, workers=2))


def probes(spec: Spec, program: Program) -> list[dict]:
    """Chooses the configs that tell most: corners of the sweep, one in the middle, and one of every
    number type."""
    names = program.names("traced", "padded")

    def place(config: dict) -> tuple:
        return tuple(value_of(spec, config, name) for name in names)

    ordered = sorted(program.configs, key=place)
    by_type = {tuple(map(type, place(config))): config for config in ordered}
    least_and_largest, mixed = _corners(ordered, place, len(names))
    candidates = [*least_and_largest, *by_type.values(), *mixed]
    if len(ordered) > 2:
        candidates.append(ordered[len(ordered) // 2])
    return list({place(config): config for config in candidates}.values())[:MOST_PROBES]


def _corners(configs: list[dict], place, axes: int) -> tuple[list[dict], list[dict]]:
    """The configs with the largest and the least values of all axes; and those of each axis against
    the others."""
    signs = [[1] * axes, [-1] * axes]
    for axis in range(axes):
        one_against = [1] * axes
        one_against[axis] = -1
        signs += [one_against, [-sign for sign in one_against]]
    ranks = [
        {value: rank for rank, value in enumerate(sorted(set(column)))}
        for column in zip(*map(place, configs), strict=True)
    ]

    def height(config: dict, directions: list[int]) -> float:
        steps = zip(place(config), ranks, directions, strict=True)
        return sum(
            direction * rank[value] / max(1, len(rank) - 1) for value, rank, direction in steps
        )

    corners = [max(configs, key=lambda config: height(config, directions)) for directions in signs]
    return corners[:2], corners[2:]


class Side(NamedTuple):
    """One of the two ways to run a config: traced already, compiled when it is run for the first
    time."""

    traced: jax.stages.Traced
    arguments: tuple
    run: Callable  # (hp, nudge=0.0, number=0) -> Rehearsal


def side(spec: Spec, program: Program, step_flops: float) -> Side:
    """Traces the rehearsal of a program's lane."""
    functions = lane_functions(spec, program)
    starts = phase_starts(program.schedule.steps, step_flops)
    shared, seed = functions.shared, np.uint32(0)
    arguments = (seed, first_hp(spec, program), shared, starts, np.float32(0), np.int32(0))
    traced = jax.jit(rehearsal(functions)).trace(*arguments)

    compile_once, lock = (
        functools.cache(lambda: _compiled_quickly(traced.lower())),
        threading.Lock(),
    )

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


def _disagreement(
    spec: Spec, planned: Side, program: Program, config: dict, step_flops: float
) -> float:
    all_static = dict.fromkeys(program.axes, Axis("static", ""))
    plain = side(spec, program._replace(configs=(config,), axes=all_static), step_flops)
    hp = first_hp(spec, program, config)

    def compared() -> float:
        nudges = NUDGES if step_flops < CHEAP_FLOPS else 1
        nudged = [plain.run({}, NUDGE, number) for number in range(nudges)]
        return largest_ratio(planned.run(hp), plain.run({}), nudged)

    key = memo.digest(
        memo.machine(), planned.traced.jaxpr, plain.traced.jaxpr, (hp, plain.arguments)
    )
    return float(memo.recall("checks", key, compared))


def phase_starts(steps: int, step_flops: float = 0.0) -> np.ndarray:
    """The steps at which the phases of a rehearsal begin: two at the start, then spread up to the
    end.

    Schedules change in between as well, so a program of cheap steps is looked at in more places.
    """
    last = max(0, steps - PHASE_STEPS)
    shares = (0.02, 0.1, 0.25, 0.5, 0.75, 1.0) if step_flops < CHEAP_FLOPS else (0.5, 1.0)
    return np.array([0, min(PHASE_STEPS, last), *(int(share * last) for share in shares)], np.int32)


def rehearsal(functions: LaneFunctions):
    """Makes ``(seed, hp, shared, starts, nudge, number) -> Rehearsal`` of a lane.

    Its fresh weights are multiplied by 1 + nudge or 1 - nudge, at random by `number`.
    """

    def run(seed, hp, shared, starts, nudge, number) -> Rehearsal:
        lane, drawn = functions.init(seed, hp, shared)
        dataset = shared if drawn is None else drawn
        lane = lane._replace(params=_nudged(lane.params, nudge, number))
        recipe = functions.recipe(hp, lane, dataset)
        keys = train.streams(seed_key(seed))
        x, targets = (leaf[..., :EVALUATED] for leaf in (dataset.train_x, dataset.train_targets))

        def one_step(offset, carry):
            begin, lane, _ = carry
            proposed, info = train.propose(recipe, lane, dataset, keys, begin + offset)
            return begin, train.accept(recipe, lane, proposed, info), info.updates

        def phase(carry, begin):
            end, lane = carry
            lane = lane._replace(
                opt_state=_moved(lane.opt_state, begin - end), running=train.fresh_running(recipe)
            )
            nothing = jax.tree.map(jnp.zeros_like, lane.params)
            _, lane, updates = jax.lax.fori_loop(0, PHASE_STEPS, one_step, (begin, lane, nothing))
            values = {
                **_values(recipe, lane, x, targets),
                "diverged_at": lane.diverged_at.astype(jnp.float32),
            }
            return (begin + PHASE_STEPS, lane), (updates, values)

        (_, lane), (updates, values) = jax.lax.scan(phase, (jnp.int32(0), lane), starts)
        return Rehearsal(lane.params, lane.state, updates, values)

    return run


def _nudged(params, nudge, number):
    """Every weight times 1 + nudge or 1 - nudge; which of them, a hash of its place and of `number`
    says."""

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
    """The metrics of a lane on some examples (they are the same functions of every split), and its
    per-step values."""
    params = train.evaluated_params(recipe, lane.params, lane.opt_state)
    metrics = train.evaluate_split(recipe, params, lane.state, x, targets)
    return {**metrics, **train.running_values(lane.running)}


def largest_ratio(ours: Rehearsal, theirs: Rehearsal, nudged: list[Rehearsal]) -> float:
    """The largest difference between two rehearsals in units of what is allowed.

    Args:
      ours: planned; arrays may be larger than theirs, and must be zero beyond.
      theirs: plain.
      nudged: plain, from weights changed by a few units in the last place.
    """
    ours_structure: Any = jax.tree.structure(ours)
    if ours_structure != jax.tree.structure(theirs):
        return np.inf
    ratios = [0.0]
    for field in Rehearsal._fields:
        phases = field in ("updates", "values")
        alone = field == "values"  # numbers that have nothing to do with each other
        columns = [jax.tree.leaves(getattr(side, field)) for side in (ours, theirs, *nudged)]
        rounding = 0.0 if alone else ROUNDING * max(map(_size, columns[1]), default=0.0)
        for mine, plain, *others in zip(*columns, strict=True):
            ratios += _ratios(mine, plain, others, rounding, phases)
    return max(ratios)


def _ratios(mine, plain, others, rounding: float, phases: bool) -> list[float]:
    """The ratios of one leaf, one a phase."""
    if not phases:
        return [_ratio(mine, plain, others, rounding, LOOSE)]
    count = len(plain)
    tolerances = [TIGHT, TIGHT, *[LOOSE] * (count - 2)]
    rows = range(count)
    return [
        _ratio(mine[row], plain[row], [other[row] for other in others], rounding, tolerances[row])
        for row in rows
    ]


def _ratio(mine, plain, others, rounding: float, tolerance: float) -> float:
    """The distance of two arrays, relative to what is allowed; infinite where only one is
    finite."""
    mine, plain = np.asarray(mine, np.float64), np.asarray(plain, np.float64)
    if mine.ndim != plain.ndim or any(np.less(mine.shape, plain.shape)):
        return np.inf
    live = mine[tuple(slice(0, size) for size in plain.shape)]
    if not np.array_equal(np.isfinite(live), np.isfinite(plain)):
        return np.inf
    dead = max(0.0, float(np.sum(mine**2) - np.sum(live**2))) if mine.shape != plain.shape else 0.0
    finite = np.isfinite(plain)
    distance = np.sqrt(np.sum((live[finite] - plain[finite]) ** 2) + dead)
    size = np.sqrt(np.sum(plain[finite] ** 2))
    moved = max((_distance(other, plain, finite) for other in others), default=0.0)
    allowed = tolerance * size + NUDGE_FACTOR * moved + rounding * np.sqrt(plain.size)
    if not distance:
        return 0.0
    return float(distance / allowed) if allowed else np.inf


def _distance(other, plain, finite) -> float:
    other = np.asarray(other, np.float64)[finite]
    gap = other - plain[finite]
    return float(np.sqrt(np.nansum(np.where(np.isfinite(gap), gap, 0.0) ** 2)))


def _size(leaf) -> float:
    """The root mean square of a leaf's finite values."""
    values = np.asarray(leaf, np.float64)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
