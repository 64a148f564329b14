"""How the sizes of padded axes are grouped into programs: the cheapest partition by compile time plus work."""

import numpy as np

from jaxdl import cost
from jaxdl.abstract import work
from jaxdl.cost import Scaling, Work, program_seconds
from jaxdl.program import REASONS, Axis, Program, maxima, value_of
from jaxdl.spec import Spec


def shape(spec: Spec, program: Program, full: Work, shapes: str) -> list[tuple[Program, Work, float]]:
    """The programs that a program with padded axes becomes, each with its work and the share that is not padding.

    Args:
      full: the work of a lane of the program, at its largest sizes.
    """
    padded = program.names("padded")
    if not padded:
        return [(program, full, 1.0)]
    members: list[dict] = [
        {"config": config, **{name: value_of(spec, config, name) for name in padded}} for config in program.configs
    ]
    scalings = {name: _scaling(spec, program, full, name) for name in padded}
    whole_sizes = maxima(spec, program)
    lanes_each, due = len(spec.seeds), len(program.schedule.due())

    def estimate(group) -> Work:
        sizes = {name: max(member[name] for member in group) for name in padded}
        return cost.scaled(full, scalings, {name: size for name, size in sizes.items() if size != whole_sizes[name]})

    def price(group: list[dict]) -> float:
        if shapes != "auto":
            return 0.0 if shapes == "pad" and len(group) == len(members) else float(len(group) ** 2)
        return program_seconds(estimate(group), len(group) * lanes_each, program.schedule.steps, due)

    _, groups = cost.cheapest_partition(members, padded, price)
    return [_grouped(spec, program, group, estimate) for group in groups]


def _grouped(spec: Spec, program: Program, group: list[dict], estimate) -> tuple[Program, Work, float]:
    """One group of sizes as a program; an axis with a single size in it needs no padding."""
    axes = dict(program.axes)
    for name in program.names("padded"):
        if len({member[name] for member in group}) == 1:
            axes[name] = Axis("static", f"{REASONS['padded']}; here it is alone in its group")
    made = program._replace(configs=tuple(member["config"] for member in group), axes=axes)
    found = work(spec, made)
    needed = [estimate([member]).seconds(1, 0) for member in group]
    return made, found, min(1.0, float(np.mean(needed)) / max(needed))


def _scaling(spec: Spec, program: Program, full: Work, name: str) -> Scaling:
    """Work at the smallest, a middle and the largest size of one padded axis, the others at their largest."""
    sizes = sorted({value_of(spec, config, name) for config in program.configs})
    chosen = (sizes[0], sizes[len(sizes) // 2], sizes[-1])
    works = [full if size == sizes[-1] else _work_at(spec, program, name, size) for size in chosen]
    return Scaling(chosen, (works[0], works[1], works[2]))


def _work_at(spec: Spec, program: Program, name: str, size: int) -> Work:
    fitting = [config for config in program.configs if value_of(spec, config, name) <= size]
    return work(spec, program._replace(configs=tuple(fitting)))
