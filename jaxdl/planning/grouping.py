"""How the sizes of padded axes are grouped into programs: the cheapest partition by compile time
plus work."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxdl.planning.cost import Work, program_seconds
from jaxdl.planning.program import REASONS, Axis, Program, maxima, value_of
from jaxdl.planning.spec import Spec
from jaxdl.planning.trial import work


class Scaling(NamedTuple):
    """How work grows along one axis: Work at three sizes, interpolated by the parabola through
    them."""

    sizes: tuple[int, int, int]
    works: tuple[Work, Work, Work]

    def at(self, size: int) -> list[float]:
        """Work at a size, relative to the largest."""
        return [
            _parabola(self.sizes, values, size) / max(values[-1], 1e-9)
            for values in zip(*self.works, strict=True)
        ]


def shape(
    spec: Spec, program: Program, full: Work, shapes: str
) -> list[tuple[Program, Work, float]]:
    """The programs that a program with padded axes becomes, each with its work and the share that
    is not padding.

    Args:
      full: the work of a lane of the program, at its largest sizes.
    """
    padded = program.names("padded")
    if not padded:
        return [(program, full, 1.0)]
    members: list[dict] = [
        {"config": config, **{name: value_of(spec, config, name) for name in padded}}
        for config in program.configs
    ]
    scalings = {name: _scaling(spec, program, full, name) for name in padded}
    whole_sizes = maxima(spec, program)
    lanes_each, due = len(spec.seeds), len(program.schedule.due())

    def estimate(group) -> Work:
        sizes = {name: max(member[name] for member in group) for name in padded}
        return scaled(
            full,
            scalings,
            {name: size for name, size in sizes.items() if size != whole_sizes[name]},
        )

    def price(group: list[dict]) -> float:
        if shapes != "auto":
            return 0.0 if shapes == "pad" and len(group) == len(members) else float(len(group) ** 2)
        return program_seconds(
            estimate(group), len(group) * lanes_each, program.schedule.steps, due
        )

    _, groups = cheapest_partition(members, padded, price)
    return [_grouped(spec, program, group, estimate) for group in groups]


def _grouped(
    spec: Spec, program: Program, group: list[dict], estimate
) -> tuple[Program, Work, float]:
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
    """Work at the smallest, a middle and the largest size of one padded axis, the others at their
    largest."""
    sizes = sorted({value_of(spec, config, name) for config in program.configs})
    chosen = (sizes[0], sizes[len(sizes) // 2], sizes[-1])
    works = [full if size == sizes[-1] else _work_at(spec, program, name, size) for size in chosen]
    return Scaling(chosen, (works[0], works[1], works[2]))


def _work_at(spec: Spec, program: Program, name: str, size: int) -> Work:
    fitting = [config for config in program.configs if value_of(spec, config, name) <= size]
    return work(spec, program._replace(configs=tuple(fitting)))


def _parabola(places: Sequence[int], values: Sequence[float], place: int) -> float:
    total = 0.0
    for i, (x, y) in enumerate(dict(zip(places, values, strict=True)).items()):
        others = [other for j, other in enumerate(dict.fromkeys(places)) if j != i]
        total += y * math.prod((place - other) / (x - other) for other in others)
    return max(total, 0.0)


def scaled(work: Work, scalings: dict[str, Scaling], sizes: dict[str, int]) -> Work:
    """The work at other sizes of the padded axes, as a product over the axes."""
    values = list(work)
    for name, size in sizes.items():
        values = [
            value * factor for value, factor in zip(values, scalings[name].at(size), strict=True)
        ]
    grown = Work._make([max(1.0, value) for value in values])
    return grown._replace(equations=work.equations, convolutions=work.convolutions)


def cheapest_partition(
    members: list[dict], axes: list[str], cost: Callable[[list[dict]], float]
) -> tuple[float, list[list[dict]]]:
    """The cheapest grouping of configs into boxes of contiguous sizes along every axis.

    Args:
      members: dicts with the size of each axis (and whatever else).
      axes: the padded axes, in the order in which they are cut.
      cost: of a group that becomes one program.

    Returns:
      (cost, groups).
    """
    if not axes:
        return cost(members), [members]
    axis, rest = axes[0], axes[1:]
    sizes = sorted({member[axis] for member in members})
    best: list[tuple[float, list[list[dict]]]] = [(0.0, [])]  # of the first so many sizes
    for end in range(1, len(sizes) + 1):
        options = []
        for begin in range(end):
            group = [member for member in members if sizes[begin] <= member[axis] <= sizes[end - 1]]
            price, parts = cheapest_partition(group, rest, cost)
            options.append((best[begin][0] + price, best[begin][1] + parts))
        best.append(min(options, key=lambda option: option[0]))
    return best[-1]
