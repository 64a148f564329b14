"""Puts R3's claims to the test: shares of seeds and differences, with 95 % intervals."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.columns import share, spoken
from experiments.frame import Finding, Run
from experiments.unit_square import xor_points
from experiments.xor_networks import Cell, solved_by_cell
from jaxdl import Result, stats, tables

Solved = Mapping[Cell, np.ndarray]  # which seeds end at 100 %, (seeds,) bool
USUAL_RATE = 0.01  # which R3 calls the best


class Claim(NamedTuple):
    """A claim of R3, where it was looked at, and what was found."""

    claim: str
    where: str
    n: int  # seeds
    value: float
    interval: tuple[float, float]


def claims(run: Run) -> Finding:
    """Looks at R3's claims under the grid's protocol.

    Intervals are Wilson's for shares of seeds, else Student's t over seeds.
    """
    result = run.results["grid"]
    solved = solved_by_cell(result)
    judged = [
        *four_units(solved),
        *identity_and_xor(result, solved),
        *best_rate(solved),
        *small_rates(solved),
    ]
    columns = ("claim", "where", "n", "value", "95 % interval")
    table = tables.Table("R3's claims", columns, tuple(map(tuple, judged)))
    return Finding(judged, str(table), [claim._asdict() for claim in judged])


def four_units(solved: Solved) -> list[Claim]:
    """Gives the share of seeds that 4 hidden units solve, at the best rate.

    Half of the seeds choose the rate and the other half judge it: the best of five rates on the
    same seeds would be too good.
    """
    judged = []
    for table in dict.fromkeys(cell.table for cell in solved):
        data_name, activation, optimizer = table
        cells = [cell for cell in solved if cell.table == table and cell.width == 4]
        # R3 says itself that no width without an activation solves XOR.
        if not cells or (data_name, activation) == ("xor", "identity"):
            continue
        best = max(cells, key=lambda cell: solved[cell][::2].sum())
        words = f"{spoken(activation)}, {spoken(optimizer)}, rate {best.learning_rate:g}"
        where = f"{spoken(data_name)}: {words}"
        claim = "4 hidden units suffice: share solved at the best rate"
        judged.append(share_claim(claim, where, solved[best][1::2]))
    return judged


def identity_and_xor(result: Result, solved: Solved) -> list[Claim]:
    """Tells whether a linear map ever solves XOR, and how near it comes to the best there is."""
    cells = [cell for cell in solved if (cell.data, cell.activation) == ("xor", "identity")]
    if not cells:
        return []
    lanes = result.rows({"data": "xor", "activation": "identity"})
    best = float(np.nanmax(result.final("test_accuracy")[lanes]))
    bound = best_line(*xor_points())
    where = f"XOR: {len(cells)} cells; best lane {best:.1%}, best line there is {bound:.1%}"
    ever = np.any([solved[cell] for cell in cells], axis=0)
    return [share_claim("identity solves XOR: share of seeds, in any cell", where, ever)]


def best_line(x, targets, angles: int = 720) -> float:
    """Finds the largest accuracy of any line in the plane, over a grid of directions and all cuts.

    Args:
      x: (2, points).
      targets: 0 or 1, (points,).
    """
    turns = 2 * np.pi * (np.arange(angles) + 0.5) / angles
    best = 0.0
    # Along a direction every cut is a line; sums over the points before and behind it judge all.
    for along in np.stack([np.cos(turns), np.sin(turns)], axis=1):
        classes = np.asarray(targets)[np.argsort(along @ np.asarray(x))]
        zeros_before = np.cumsum(np.append(0, 1 - classes))
        ones_behind = classes.sum() - np.cumsum(np.append(0, classes))
        best = max(best, float((zeros_before + ones_behind).max() / len(classes)))
    return best


def mean_share(solved: Solved, data_name: str, rate: float) -> np.ndarray:
    """Gives the share of the cells at a rate that each seed solves, (seeds,)."""
    place = (data_name, rate)
    seeds = [each for cell, each in solved.items() if (cell.data, cell.learning_rate) == place]
    return np.mean(seeds, axis=0)


def rates_of(solved: Solved, data_name: str) -> list[float]:
    """Lists the learning rates that were run on a data set."""
    return list(dict.fromkeys(cell.learning_rate for cell in solved if cell.data == data_name))


def best_rate(solved: Solved) -> list[Claim]:
    """Tells how much more of its cells a seed solves at another rate than the usual, paired."""
    judged = []
    for name in dict.fromkeys(cell.data for cell in solved):
        rates = rates_of(solved, name)
        if USUAL_RATE not in rates:
            continue
        usual = mean_share(solved, name, USUAL_RATE)
        for rate in rates:
            if rate == USUAL_RATE:
                continue
            other = mean_share(solved, name, rate)
            gain = other - usual
            against = f"against {USUAL_RATE:g} ({usual.mean():.3f})"
            where = f"{spoken(name)}: rate {rate:g} ({other.mean():.3f}) {against}"
            interval = stats.mean_interval(gain)
            claim = f"{USUAL_RATE:g} is best: share of cells solved, difference"
            judged.append(Claim(claim, where, len(gain), float(gain.mean()), interval))
    return judged


def small_rates(solved: Solved) -> list[Claim]:
    """Gives the share of its cells that a seed solves at the smallest rate."""
    judged = []
    for name in dict.fromkeys(cell.data for cell in solved):
        rate = min(rates_of(solved, name))
        shares = mean_share(solved, name, rate)
        count = sum((cell.data, cell.learning_rate) == (name, rate) for cell in solved)
        where = f"{spoken(name)}: rate {rate:g}, {count} cells, a seed in the mean cell"
        low, high = stats.mean_interval(shares)
        # A t interval knows no bounds, but a share does; NaN ends (too few seeds) stay.
        interval = (max(low, 0.0), min(high, 1.0)) if low <= high else (low, high)
        claim = "too small a rate does not converge: share solved"
        judged.append(Claim(claim, where, len(shares), float(shares.mean()), interval))
    return judged


def share_claim(claim: str, where: str, seeds: np.ndarray) -> Claim:
    """Makes a claim about a share of seeds."""
    entry = share(seeds)
    return Claim(claim, where, len(seeds), entry["share"], entry["interval"])
