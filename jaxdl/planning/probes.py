"""Probes: the configs at which a program is compared with plain runs."""

from jaxdl.planning.config import Config
from jaxdl.planning.program import Program

MOST_PROBES = 4


def probes(program: Program) -> list[Config]:
    """Chooses the configs that tell most, `MOST_PROBES` of them at most.

    These are the corner of the sweep with all values largest and the one with all least, a config
    of every combination of number types, the other corners, and one in the middle; in that order.
    """
    # Code that treats a value in another way (a branch, a clip, an int in place of a float) does so
    # from some value on: the ends of the axes show it. Each probe is a compilation more.
    names = program.names("traced", "padded")

    def place(config: Config) -> tuple:
        return tuple(config.value(name) for name in names)

    ordered = sorted(program.configs, key=place)
    by_type = {}
    for config in ordered:
        types = map(type, place(config))
        by_type[tuple(types)] = config
    corners = _corners(ordered, names)
    candidates = [*corners[:2], *by_type.values(), *corners[2:]]
    if len(ordered) > 2:
        candidates.append(ordered[len(ordered) // 2])
    distinct = {}
    for config in candidates:
        distinct[place(config)] = config
    return list(distinct.values())[:MOST_PROBES]


def _corners(configs: list[Config], names: list[str]) -> list[Config]:
    """The configs farthest out in some directions: all axes up, all down, then one against others.

    A list of configs need not have the corners of a product: the one that goes farthest is taken,
    by its ranks along the axes, each from 0 to 1.
    """
    ranks = {}
    for name in names:
        ranks[name] = _ranks([config.value(name) for config in configs])

    def farthest(*downwards: str) -> Config:
        """The config that goes farthest up, or down along some of the axes."""

        def height(config: Config) -> float:
            total = 0.0
            for name in names:
                rank = ranks[name][config.value(name)]
                total += -rank if name in downwards else rank
            return total

        return max(configs, key=height)

    corners = [farthest(), farthest(*names)]
    for name in names:
        others = [other for other in names if other != name]
        corners.append(farthest(name))
        corners.append(farthest(*others))
    return corners


def _ranks(column: list) -> dict:
    """The rank of each value, the least 0 and the largest 1."""
    values = sorted(set(column))
    last = max(1, len(values) - 1)
    return {value: rank / last for rank, value in enumerate(values)}
