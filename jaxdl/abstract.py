"""Tracing a program with its axes abstract, and checking by numbers that the trace means what the plain code does."""

import jax
import numpy as np

from jaxdl import background, memo, train
from jaxdl.checks import nan_named
from jaxdl.cost import Work, work_of
from jaxdl.program import Axis, Program, first_hp, lane_functions, value_of, whole
from jaxdl.spec import Spec

CHECK_STEPS = 3
QUICK: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # on a CPU: three steps run, compiling is their time


def trial(spec: Spec, program: Program, read: set) -> Work | Exception:
    """The work of a lane of the program, or the exception that tracing it raises."""
    try:
        functions = lane_functions(spec, program, read)
        jaxpr = jax.make_jaxpr(whole(functions, 2))(np.uint32(0), first_hp(spec, program), functions.shared)
    except Exception as failure:  # whatever user code raises under a trace is an answer
        abstract = ", ".join(program.names("traced", "padded")) or "nothing"
        failure.add_note(f"while tracing the study at {program.configs[0]} with {abstract} abstract")
        return failure
    return work_of(jaxpr.jaxpr)


def difference(spec: Spec, program: Program) -> float:
    """How far the losses of a few steps are from those of plain runs, relative, over the configs that tell most."""
    short = program._replace(schedule=train.Schedule(CHECK_STEPS, 1))
    return max(_difference(spec, short, config) for config in _probes(spec, program))


def _probes(spec: Spec, program: Program) -> list[dict]:
    """One config for every combination of number types, with sizes as small as they come."""
    padded, traced = program.names("padded"), program.names("traced")
    found: dict[tuple, dict] = {}
    for config in sorted(program.configs, key=lambda config: [value_of(spec, config, name) for name in padded], reverse=True):
        found[tuple(type(value_of(spec, config, name)) for name in traced)] = config
    return list(found.values())[:4]


def _difference(spec: Spec, program: Program, config: dict) -> float:
    plain = program._replace(configs=(config,), axes=dict.fromkeys(program.axes, Axis("static", "")))
    planned, alone = lane_functions(spec, program), lane_functions(spec, plain)

    def both(seed, hp, shared):
        return whole(planned, CHECK_STEPS + 1)(seed, hp, shared).history, whole(alone, CHECK_STEPS + 1)(seed, {}, shared).history

    arguments = (np.uint32(0), first_hp(spec, program, config), planned.shared)
    traced = jax.jit(both).trace(*arguments)

    def compared() -> float:
        compiled = traced.lower().compile(compiler_options=QUICK if jax.default_backend() == "cpu" else None)
        with nan_named():
            ours, theirs = jax.device_get(compiled(*arguments))
        return max(_relative(ours[name], theirs[name]) for name in ours if name.endswith("loss") or name == "batch_loss_mean")

    return float(memo.recall("checks", memo.digest(memo.machine(), traced.jaxpr, arguments), lambda: background.call(compared)))


def _relative(ours, theirs) -> float:
    """The largest difference relative to the larger of the value and 1e-3; infinite where only one is finite."""
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return np.inf
    finite = np.isfinite(ours)
    gaps = np.abs(ours[finite] - theirs[finite]) / np.maximum(np.abs(theirs[finite]), 1e-3)
    return float(gaps.max(initial=0.0))


def work(spec: Spec, program: Program) -> Work:
    """The work of a lane of a program that is known to trace."""
    found = trial(spec, program, set())
    if isinstance(found, Exception):
        raise found
    return found
