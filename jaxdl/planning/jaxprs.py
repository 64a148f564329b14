"""Walks through jaxprs: what is inside an equation, and which arrays a program holds."""

from collections.abc import Iterator

import numpy as np


def jaxprs(equation) -> list:
    """Returns the jaxprs inside an equation: the bodies of loops, branches and calls."""
    parts: list = []
    for part in equation.params.values():
        parts += part if isinstance(part, (tuple, list)) else (part,)
    return [part for part in parts if hasattr(part, "eqns")]


def constants(jaxpr) -> Iterator:
    """Yields the arrays that a jaxpr and those inside it hold, as constants or as literals: its
    text shows shapes alone."""
    yield from getattr(jaxpr, "consts", ())
    for equation in jaxpr.eqns:
        yield from (each.val for each in equation.invars if np.ndim(getattr(each, "val", 0)))
        for part in jaxprs(equation):
            yield from constants(part)
