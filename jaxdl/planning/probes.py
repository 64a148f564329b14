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
    by_type = {tuple(map(type, place(config))): config for config in ordered}
    corners = _corners(ordered, names)
    candidates = [*corners[:2], *by_type.values(), *corners[2:]]
    if len(ordered) > 2:
        candidates.append(ordered[len(ordered) // 2])
    distinct = {place(config): config for config in candidates}
    return list(distinct.values())[:MOST_PROBES]


def _corners(configs: list[Config], names: list[str]) -> list[Config]:
    """The configs farthest out in some directions: all axes up, all down, then one against others.

    A list of configs need not have the corners of a product: the one that goes farthest is taken,
    by its ranks along the axes, each from 0 to 1.
    """
    ranks = {name: _ranks([config.value(name) for config in configs]) for name in names}

    def height(config: Config, signs: list[int]) -> float:
        pairs = zip(names, signs, strict=True)
        return sum(sign * ranks[name][config.value(name)] for name, sign in pairs)

    directions = [[1] * len(names), [-1] * len(names)]
    for axis in range(len(names)):
        one_against = [1] * len(names)
        one_against[axis] = -1
        directions += [one_against, [-sign for sign in one_against]]
    return [max(configs, key=lambda config: height(config, signs)) for signs in directions]


def _ranks(column: list) -> dict:
    """The rank of each value, the least 0 and the largest 1."""
    values = sorted(set(column))
    return {value: rank / max(1, len(values) - 1) for rank, value in enumerate(values)}
