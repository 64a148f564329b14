"""A trial: tracing a program with its axes abstract, and checking that the trace means the code."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.planning import background, memo
from jaxdl.planning.agreement import largest_ratio
from jaxdl.planning.config import Config
from jaxdl.planning.cost import Work, work_of
from jaxdl.planning.jaxprs import jaxprs
from jaxdl.planning.probes import probes
from jaxdl.planning.program import Axis, Program, first_hp, lane_functions, whole
from jaxdl.planning.rehearsal import CHEAP_FLOPS, Side, side
from jaxdl.planning.spec import Parts

NUDGE = 4 * float(np.finfo(np.float32).eps)  # relative change of a weight that is as good as none
NUDGES = 3


def trial(parts: Parts, program: Program, read: set) -> Work | Exception:
    """Returns the work of a lane of the program, or the exception that tracing it raises."""
    try:
        functions = lane_functions(parts, program, read)
        jaxpr = jax.make_jaxpr(whole(functions, 2))(
            np.uint32(0), first_hp(program), functions.shared
        )
        _check_integers(program, jaxpr.jaxpr)
    except Exception as failure:  # whatever user code raises under a trace is an answer
        abstract = ", ".join(program.names("traced", "padded")) or "nothing"
        failure.add_note(
            f"while tracing the study at {program.configs[0].values} with {abstract} abstract"
        )
        return failure
    return work_of(jaxpr.jaxpr)


def _check_integers(program: Program, jaxpr):
    """Refuses a power of integers where lanes carry some.

    ``10 ** -2`` would be 0 there, perhaps in a threshold that no check sees.
    """
    if any(axis.dtype == "int32" for axis in program.axes.values()) and _has_integer_power(jaxpr):
        raise TypeError(
            "a power of integers that are traced is 0 for a negative exponent, and may overflow"
        )


def _has_integer_power(jaxpr) -> bool:
    """Whether a jaxpr squares and multiplies by the bits of an exponent."""
    for equation in jaxpr.eqns:
        # such a power shifts its exponent, which has a sign; what hashes shift has none
        shifts = equation.primitive.name == "shift_right_logical"
        if shifts and jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.signedinteger):
            return True
        if any(map(_has_integer_power, jaxprs(equation))):
            return True
    return False


def work(parts: Parts, program: Program) -> Work:
    """Returns the work of a lane of a program that is known to trace."""
    answer = trial(parts, program, set())
    if isinstance(answer, Exception):
        raise answer
    return answer


def disagreement(parts: Parts, program: Program, step_flops: float = 0.0) -> float:
    """Compares a program's lanes with plain runs at the corners of its sweep.

    Args:
      step_flops: of a lane's step: costly ones are run less often.

    Returns:
      the largest difference of weights, updates, metrics and recorded values in units of what
        `agreement` allows: above 1, the program does not mean what the code does.
    """
    # A trace proves nothing about code that asks ``isinstance(v, float)``, nor about optimizers
    # that move dead units. So a few steps are run planned and plain: at the start, and with all
    # counters moved on, up to the end of the run.
    planned = side(parts, program, step_flops)
    compared = [
        functools.partial(_disagreement, parts, planned, program, config, step_flops)
        for config in probes(program)
    ]
    return max(future.result() for future in background.start(compared, workers=2))


def _disagreement(
    parts: Parts,
    planned: Side,
    program: Program,
    config: Config,
    step_flops: float,
) -> float:
    """The largest ratio at one config, of now or of when the same two programs were compared."""
    all_static = dict.fromkeys(program.axes, Axis("static", ""))
    plain = side(parts, program._replace(configs=(config,), axes=all_static), step_flops)
    hp = first_hp(program, config)

    def compared() -> float:
        nudges = NUDGES if step_flops < CHEAP_FLOPS else 1
        nudged = [plain.run({}, NUDGE, number) for number in range(nudges)]
        return largest_ratio(planned.run(hp), plain.run({}), nudged)

    key = memo.digest(
        memo.machine(), planned.traced.jaxpr, plain.traced.jaxpr, (hp, plain.arguments)
    )
    return float(memo.recall("checks", key, compared))
