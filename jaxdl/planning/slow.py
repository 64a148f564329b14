"""Names the operations of a step that are known to be slow in a loop on CPU, and that stay so."""

from collections import Counter
from collections.abc import Iterator

import jax
import numpy as np

from jaxdl.lowering.looped import PLAIN
from jaxdl.lowering.rewriting import OPEN, can_loop, with_looped_convolutions
from jaxdl.planning.jaxprs import jaxprs
from jaxdl.planning.program import Program, first_hp, lane_functions, whole
from jaxdl.planning.spec import Parts
from jaxdl.types import Model

STEPS = 2  # the loops around a step: over intervals, over steps
ELSEWHERE = "outside the model's apply"  # or in a derivative that the user wrote


def plain_convolutions(jaxpr, loops: int = 0, inside: str = ELSEWHERE) -> Iterator[str]:
    """Yields, for every convolution of a step that is XLA's own, where it stands.

    Args:
      jaxpr: of a whole training.
      loops, inside: around this part of it.
    """
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if equation.primitive is PLAIN and loops >= STEPS and can_loop(equation):
            yield inside
        deeper = loops + (name == "while")
        where = inside if name in OPEN else f"inside {name}"
        for part in jaxprs(equation):
            yield from plain_convolutions(part, deeper, where)


def slow_notes(parts: Parts, program: Program, model: Model) -> list[str]:
    """Says how many convolutions of a step stay, a line a place; nothing on other backends.

    Args:
      model: of the program; this library's own have no such convolution, and are not traced.
    """
    if jax.default_backend() != "cpu" or with_looped_convolutions(model) is model:
        return []
    functions = lane_functions(parts, program)
    arguments = (np.uint32(0), first_hp(program), functions.shared)
    jaxpr = jax.make_jaxpr(whole(functions, 2))(*arguments).jaxpr
    places = list(plain_convolutions(jaxpr))
    if not parts.rewrite_convolutions:
        places = ["with rewrite_convolutions=False"] * len(places)
    lines = []
    for where, count in Counter(places).items():
        stay = "1 convolution is" if count == 1 else f"{count} convolutions are"
        lines.append(
            f"{stay} not rewritten {where}: a gradient of one takes 20 to 60 times as long inside "
            "a loop as called from Python"
        )
    return lines
