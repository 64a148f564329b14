"""Groups the sizes of padded axes into programs: a program more where it saves more than it takes.

Lanes of one program compute at the largest sizes in it, those of smaller sizes for nothing; lanes
in programs of their own wait for one more to compile. ``shapes="pad"`` and ``"bucket"`` are the two
ends, ``"auto"`` cuts between them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from jaxdl.planning.config import Config
from jaxdl.planning.cost import Work, program_seconds
from jaxdl.planning.program import REASONS, Axis, Program, maxima
from jaxdl.planning.spec import Parts
from jaxdl.planning.trial import work

Sizes = dict[str, int]  # of the padded axes
Configs = Sequence[Config]
Price = Callable[[Configs], float]  # seconds of configs that become one program


def shape(
    parts: Parts, program: Program, full: Work, seeds: int, shapes: str
) -> list[tuple[Program, Work, float]]:
    """Groups the sizes of a program's padded axes into programs.

    Args:
      full: the work of a lane of the program, at its largest sizes.
      seeds: lanes of each config.
      shapes: ``"auto"``, ``"pad"`` or ``"bucket"``.

    Returns:
      each program with the work of a lane, and the share of its lanes' work that is not padding.
    """
    padded = program.names("padded")
    if not padded:
        return [(program, full, 1.0)]
    estimate = _estimate(parts, program, full)
    evaluations = len(program.schedule.due())

    def price(configs: Configs) -> float:
        of_lane, lanes = estimate(_largest(configs, padded)), seeds * len(configs)
        return program_seconds(of_lane, lanes, program.schedule.steps, evaluations)

    groups: list[Configs] = [program.configs]
    if shapes == "auto":
        groups = cheapest_cuts(program.configs, padded, price)
    elif shapes == "bucket":
        groups = by_sizes(program.configs, padded)
    return [_grouped(parts, program, configs, estimate) for configs in groups]


def by_sizes(configs: Configs, padded: list[str]) -> list[Configs]:
    """Groups configs of equal sizes, the smallest first."""
    groups: dict[tuple, list[Config]] = {}
    for config in configs:
        sizes = tuple(config.value(name) for name in padded)
        groups.setdefault(sizes, []).append(config)
    return [groups[sizes] for sizes in sorted(groups)]


def cheapest_cuts(configs: Configs, padded: list[str], price: Price) -> list[Configs]:
    """Cuts configs in two by the size of one axis, and the parts again, as long as that pays.

    Args:
      configs: of one program.
      padded: the axes to cut along.
      price: of configs that become one program.

    Returns:
      the groups, smaller sizes first.
    """
    # The cheapest single cut, then the cheapest in each part. Not every partition is looked at, nor
    # need it be: what two cuts save together is at most what they save one by one, so where none
    # pays no two do. On the sweeps of benchmarks/shapes.py it ends where a search of all ends.
    parts: list[Configs] = [configs]
    cheapest = price(configs)
    for name in padded:
        for size in sorted({config.value(name) for config in configs})[1:]:
            smaller = [config for config in configs if config.value(name) < size]
            larger = [config for config in configs if config.value(name) >= size]
            seconds = price(smaller) + price(larger)
            if seconds < cheapest:
                parts, cheapest = [smaller, larger], seconds
    if len(parts) == 1:
        return parts
    return [group for part in parts for group in cheapest_cuts(part, padded, price)]


def _estimate(parts: Parts, program: Program, full: Work) -> Callable[[Sizes], Work]:
    """Work by sizes, without a trace for each: a line along every axis between its two ends.

    Batch sizes, lengths and a single width lie on a line; work that grows faster lies below it, so
    that a cut saves more than it is said to.
    """
    most = maxima(program)
    ends = {name: _smallest(parts, program, name) for name in most}

    def at(sizes: Sizes) -> Work:
        values = np.asarray(full[:-1], float)
        for name, (least, of_least) in ends.items():
            if least < most[name]:
                place = (sizes[name] - least) / (most[name] - least)
                share = np.asarray(of_least[:-1]) / np.maximum(full[:-1], 1e-9)
                values = values * (share + place * (1 - share))
        return Work._make([*values.tolist(), full.plain_convolutions])

    return at


def _smallest(parts: Parts, program: Program, name: str) -> tuple[int, Work]:
    """The smallest size of an axis, and the work of a lane there.

    Other axes keep the largest size that the sweep has beside it: user code may refuse pairs of
    sizes that nobody asked for.
    """
    least = min(config.value(name) for config in program.configs)
    smallest = tuple(config for config in program.configs if config.value(name) == least)
    return least, work(parts, program._replace(configs=smallest))


def _largest(configs: Configs, padded: list[str]) -> Sizes:
    return {name: max(config.value(name) for config in configs) for name in padded}


def _grouped(
    parts: Parts, program: Program, configs: Configs, estimate: Callable[[Sizes], Work]
) -> tuple[Program, Work, float]:
    """One group as a program; an axis with a single size in it needs no padding."""
    padded = program.names("padded")
    axes = dict(program.axes)
    for name in padded:
        if len({config.value(name) for config in configs}) == 1:
            axes[name] = Axis("static", f"{REASONS['padded']}; here it is alone in its group")
    grouped = program._replace(configs=tuple(configs), axes=axes)
    needed = [estimate(_largest([config], padded)).seconds(1, 0) for config in configs]
    useful = min(1.0, float(np.mean(needed)) / max(needed))
    return grouped, work(parts, grouped), useful
