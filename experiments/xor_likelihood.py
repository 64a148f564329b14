"""Compares what R3 leaves open by the likelihood of its tables under each protocol."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from experiments.frame import Finding, Run
from experiments.references import R3
from experiments.xor_networks import PROTOCOL, Cell, cell_of, ranked_finals
from jaxdl import Result, stats, tables

# Standard deviation, in points: two draws of a line's points differ by about that in their
# majority.
KERNEL = {"xor": 0.5, "linear": 3.0}
RESAMPLES = 1000
FEWEST = 5  # seeds, for an interval
BATCHES = {"one": "one example a step", "full": "full batch"}


class Likelihood(NamedTuple):
    """The log-likelihood of R3's cells under one protocol, with intervals over seeds."""

    protocol: dict
    cells: int
    seeds: int
    total: float
    interval: tuple[float, float]
    behind: float  # the best protocol's total minus this one's
    behind_interval: tuple[float, float]


def likelihoods(run: Run) -> Finding:
    """Ranks the protocols by the likelihood of R3's tables, the likeliest first."""
    ranked = compare(run.results)
    if not ranked:
        return Finding([])
    rows = [
        {
            "protocol": entry.protocol,
            "log_likelihood": entry.total,
            "interval": entry.interval,
            "n": entry.seeds,
        }
        for entry in ranked
    ]
    # Equal totals are no order: what comes first would be an accident.
    tied = [entry for entry in ranked if entry.behind == 0]
    text = str(likelihood_table(ranked))
    if len(tied) > 1:
        text += f"\nThe first {len(tied)} protocols are alike likely."
    return Finding(ranked, text, rows)


def compare(results: Mapping[str, Result]) -> list[Likelihood]:
    """Computes R3's likelihood under every protocol, from the same seeds and cells for all.

    A cell's probability is the mean over seeds of a normal kernel about the seed's number of right
    points (sd `KERNEL`), normalised over the possible numbers, with one seed more that is uniform:
    no cell is impossible.
    """
    accuracies: dict[tuple, dict[Cell, np.ndarray]] = {}
    for result in results.values():
        for config, final in ranked_finals(result):
            # Cells that R3 prints no number for say nothing about its protocol.
            if R3.tables(config) is not None:
                protocol = tuple(config[name] for name in PROTOCOL)
                cells = accuracies.setdefault(protocol, {})
                # A diverged lane counts as one with nothing right.
                cells[cell_of(config)] = np.maximum(final, 0.0)
    if len(accuracies) < 2:
        return []
    shared = sorted(set.intersection(*map(set, accuracies.values())))
    # The grid has more seeds than the variants: each protocol is judged by the seeds of all.
    seeds = math.inf
    for cells in accuracies.values():
        seeds = min(seeds, *(len(cells[cell]) for cell in shared))
    kernels = {}
    for protocol, cells in accuracies.items():
        each = [densities(cell, cells[cell][: int(seeds)]) for cell in shared]
        kernels[protocol] = np.stack(each)
    return rank(kernels, shared)


def densities(cell: Cell, accuracies: np.ndarray) -> np.ndarray:
    """Evaluates the kernel of every seed's accuracy at R3's number, (seeds,)."""
    points = R3.points[cell[0]]
    possible, right = np.arange(points + 1), np.rint(accuracies * points)
    kernels = distributions.norm.pdf(possible[:, None], right, KERNEL[cell[0]])
    # Percents are printed rounded; the number of right points is what they stand for.
    printed = round(R3.tables.values[cell] * points)
    return kernels[printed] / kernels.sum(axis=0)


def rank(kernels: Mapping[tuple, np.ndarray], cells: list[Cell]) -> list[Likelihood]:
    """Sorts protocols by their log-likelihoods, with bootstrap intervals over seeds.

    The same resampled seeds are taken under every protocol, so differences are paired.

    Args:
      kernels: protocol -> (cells, seeds).
    """
    uniform = np.array([1 / (R3.points[cell[0]] + 1) for cell in cells])
    seeds = next(iter(kernels.values())).shape[1]
    picks = np.random.default_rng(0).integers(0, seeds, (RESAMPLES, seeds))

    def total(kernel, seeds_taken) -> float:
        summed = kernel[:, seeds_taken].sum(axis=1) + uniform
        return float(np.log(summed / (seeds + 1)).sum())

    totals, resampled = {}, {}
    for protocol, kernel in kernels.items():
        totals[protocol] = total(kernel, np.arange(seeds))
        resampled[protocol] = np.array([total(kernel, pick) for pick in picks])
    order = sorted(totals, key=lambda protocol: -totals[protocol])
    best = order[0]
    return [
        Likelihood(
            dict(zip(PROTOCOL, protocol, strict=True)),
            len(cells),
            seeds,
            totals[protocol],
            middle(resampled[protocol], seeds),
            totals[best] - totals[protocol],
            middle(resampled[best] - resampled[protocol], seeds),
        )
        for protocol in order
    ]


def middle(resampled: np.ndarray, seeds: int) -> tuple[float, float]:
    """Gives the expanded percentile interval of a bootstrap over seeds; NaN for too few of them."""
    if seeds < FEWEST:
        return math.nan, math.nan
    tail = stats.expanded_tail(seeds)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def likelihood_table(ranked: list[Likelihood]) -> tables.Table:
    """Makes a row a protocol."""
    first = ranked[0]
    title = (
        f"Log-likelihood of R3's {first.cells} cells under each protocol's distribution\n"
        f"over n={first.seeds} seeds (expanded percentile bootstrap over seeds);\n"
        "behind: the likeliest minus this one, paired by seed"
    )
    columns = (
        "batch",
        "bias trained",
        "log-likelihood",
        "a cell",
        "95 % interval",
        "behind",
        "95 % interval",
    )
    body = [
        (
            BATCHES[entry.protocol["batch"]],
            "yes" if entry.protocol["bias"] else "no",
            entry.total,
            entry.total / entry.cells,
            entry.interval,
            entry.behind,
            entry.behind_interval,
        )
        for entry in ranked
    ]
    return tables.Table(title, columns, tuple(body))
