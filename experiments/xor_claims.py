"""The claims of report R3 as shares with intervals, and the likelihood of its tables under each protocol."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from experiments import r3
from experiments.report import written
from jaxdl import data, stats, tables
from jaxdl.study import Result

KERNEL = {"xor": 0.5, "linear": 3.0}  # sd, in points: linear draws differ by about that in their majority
RESAMPLES = 1000


class Claim(NamedTuple):
    """A claim of R3, where it was looked at, and what was found."""

    text: str
    where: str
    n: int  # seeds
    value: float
    interval: tuple[float, float]


class Likelihood(NamedTuple):
    """The log-likelihood of R3's cells under one protocol, with intervals from a bootstrap over seeds."""

    protocol: dict
    cells: int
    seeds: int
    total: float
    interval: tuple[float, float]
    behind: float  # the best protocol's total minus this one's
    behind_interval: tuple[float, float]


def solved_by_cell(result: Result) -> dict[tuple, np.ndarray]:
    """Cell -> which seeds end at 100 %, (seeds,) bool."""
    done = (result.final("test_accuracy") == 1) & ~result.diverged
    return {r3.cell_of(config): done[lanes] for config, lanes in r3.lanes_by_config(result)}


def claims(result: Result) -> list[Claim]:
    """R3's claims under the grid's protocol."""
    done = solved_by_cell(result)
    return [*four_units(done), *identity_and_xor(result, done), *best_rate(done), *small_rates(done)]


def four_units(done: dict) -> list[Claim]:
    """The share of seeds that 4 hidden units solve, at the rate that half of the seeds choose, over the other half."""
    found = []
    for group in dict.fromkeys(cell[:3] for cell in done):
        rates = {cell[3]: seeds for cell, seeds in done.items() if cell[:3] == group and cell[4] == 4}
        if not rates or group[:2] == ("xor", "identity"):
            continue
        rate = max(rates, key=lambda rate: rates[rate][::2].sum())
        judged = rates[rate][1::2]
        where = f"{written(group[0])}: {written(group[1])}, {written(group[2])}, rate {rate:g}"
        found.append(_share("4 hidden units suffice: share solved at the best rate", where, judged))
    return found


def identity_and_xor(result: Result, done: dict) -> list[Claim]:
    """Whether a linear map ever solves XOR, and the best accuracy it reaches beside the best there is."""
    cells = [seeds for cell, seeds in done.items() if cell[:2] == ("xor", "identity")]
    if not cells:
        return []
    lanes = [row for row, lane in enumerate(result.lanes) if (lane["data"], lane["activation"]) == ("xor", "identity")]
    best = float(np.nanmax(result.final("test_accuracy")[lanes]))
    where = f"XOR: {len(cells)} cells; best lane {best:.1%}, best line there is {best_line(*data.xor()):.1%}"
    return [_share("identity solves XOR: share of seeds, in any cell", where, np.any(cells, axis=0))]


def best_line(x, targets, angles: int = 720) -> float:
    """The largest accuracy of any line in the plane, over a fine grid of directions and all cuts."""
    turns = 2 * np.pi * (np.arange(angles) + 0.5) / angles
    best = 0.0
    for along in np.stack([np.cos(turns), np.sin(turns)], axis=1):
        classes = np.asarray(targets)[np.argsort(along @ np.asarray(x))]
        zeros = np.cumsum(np.append(0, 1 - classes))  # of class 0 before the cut
        ones = classes.sum() - np.cumsum(np.append(0, classes))  # of class 1 behind it
        right = zeros + ones
        best = max(best, float(right.max() / len(classes)))
    return best


def best_rate(done: dict) -> list[Claim]:
    """How much more of its cells a seed solves at another rate than at 0.01, paired by seed."""
    found = []
    for name in dict.fromkeys(cell[0] for cell in done):
        rates = dict.fromkeys(cell[3] for cell in done if cell[0] == name)
        shares = {
            rate: np.mean([seeds for cell, seeds in done.items() if (cell[0], cell[3]) == (name, rate)], axis=0) for rate in rates
        }
        for rate in rates if 0.01 in rates else ():
            if rate != 0.01:
                gain = shares[rate] - shares[0.01]
                where = f"{written(name)}: rate {rate:g} ({shares[rate].mean():.3f}) against 0.01 ({shares[0.01].mean():.3f})"
                interval = stats.mean_interval(gain)
                found.append(
                    Claim("0.01 is best: share of cells solved, difference", where, len(gain), float(gain.mean()), interval)
                )
    return found


def small_rates(done: dict) -> list[Claim]:
    """The share of seeds that the smallest rate ever solves."""
    found = []
    for name in dict.fromkeys(cell[0] for cell in done):
        rate = min(cell[3] for cell in done if cell[0] == name)
        cells = [seeds for cell, seeds in done.items() if (cell[0], cell[3]) == (name, rate)]
        where = f"{written(name)}: rate {rate:g}, {len(cells)} cells, a seed in the mean cell"
        share = np.mean(cells, axis=0)
        found.append(Claim("too small a rate does not converge: share solved", where, len(share), float(share.mean()),
                           _within(stats.mean_interval(share), 0.0, 1.0)))  # fmt: skip
    return found


def _share(text: str, where: str, seeds: np.ndarray) -> Claim:
    count, n = int(np.sum(seeds)), len(seeds)
    return Claim(text, where, n, count / n, stats.share_interval(count, n))


def _within(interval: tuple[float, float], least: float, most: float) -> tuple[float, float]:
    low, high = interval
    return (max(low, least), min(high, most)) if low <= high else interval  # NaN: too few seeds


def claims_table(said: list[Claim]) -> tables.Table:
    """The claims, each with its n and its 95 % interval (Wilson for shares of seeds, else t over seeds)."""
    body = tuple((claim.text, claim.where, claim.n, claim.value, claim.interval) for claim in said)
    return tables.Table("R3's claims", ("claim", "where", "n", "value", "95 % interval"), body)


def likelihoods(results: dict[str, Result]) -> list[Likelihood]:
    """R3's cells under every protocol, from the same seeds and cells for all of them; the likeliest first.

    A cell's probability is the mean over seeds of a normal kernel about the seed's number of right points (sd `KERNEL`),
    normalised over the possible numbers, with one seed more that is uniform: no cell is impossible.
    """
    found: dict[tuple, dict[tuple, np.ndarray]] = {}
    for result in results.values():
        final, lost = result.final("test_accuracy"), result.diverged
        for config, lanes in r3.lanes_by_config(result):
            if config["loss"] == "bce" and r3.published(config) is not None:
                values = stats.ranked(final[lanes], lost[lanes], True)
                found.setdefault(tuple(config[name] for name in r3.PROTOCOL), {})[r3.cell_of(config)] = np.maximum(values, 0.0)
    if len(found) < 2:
        return []
    cells = sorted(set.intersection(*(set(of_protocol) for of_protocol in found.values())))
    seeds = min(len(values) for of_protocol in found.values() for values in of_protocol.values())
    return _ranked({key: np.stack([densities(c, values[c][:seeds]) for c in cells]) for key, values in found.items()}, cells)


def densities(cell: tuple, values: np.ndarray) -> np.ndarray:
    """The kernel of every seed's accuracy at R3's number, (seeds,)."""
    points = r3.POINTS[cell[0]]
    counts, right = np.arange(points + 1), np.rint(values * points)
    kernels = distributions.norm.pdf(counts[:, None], right, KERNEL[cell[0]])
    return kernels[round(r3.PUBLISHED[cell] * points)] / kernels.sum(axis=0)


def _ranked(each: dict[tuple, np.ndarray], cells: list[tuple]) -> list[Likelihood]:
    uniform = np.array([1 / (r3.POINTS[cell[0]] + 1) for cell in cells])
    seeds = next(iter(each.values())).shape[1]
    picks = np.random.default_rng(0).integers(0, seeds, (RESAMPLES, seeds))

    def total(kernels, chosen):  # (cells, seeds) -> log-likelihood
        return np.log((kernels[:, chosen].sum(axis=1) + uniform) / (seeds + 1)).sum()

    totals = {key: total(kernels, np.arange(seeds)) for key, kernels in each.items()}
    drawn = {key: np.array([total(kernels, chosen) for chosen in picks]) for key, kernels in each.items()}
    best = max(totals, key=lambda key: totals[key])
    return [
        Likelihood(
            dict(zip(r3.PROTOCOL, key, strict=True)), len(cells), seeds, float(totals[key]), _middle(drawn[key], seeds),
            float(totals[best] - totals[key]), _middle(drawn[best] - drawn[key], seeds),
        )
        for key in sorted(totals, key=lambda key: -totals[key])
    ]  # fmt: skip


def _middle(resampled: np.ndarray, seeds: int) -> tuple[float, float]:
    """The expanded percentile interval of a bootstrap over seeds; NaN for fewer than 5 of them."""
    if seeds < 5:
        return math.nan, math.nan
    tail = stats.expanded_tail(seeds)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def likelihood_table(ranked: list[Likelihood]) -> tables.Table:
    """Protocols by likelihood."""
    title = (
        f"Log-likelihood of R3's {ranked[0].cells} cells under each protocol's distribution over n={ranked[0].seeds} seeds "
        "(expanded percentile bootstrap over seeds); behind: the likeliest minus this one, paired by seed"
    )
    body = tuple(
        ("one example a step" if entry.protocol["batch"] == "one" else "full batch", "yes" if entry.protocol["bias"] else "no",
         entry.total, entry.total / entry.cells, entry.interval, entry.behind, entry.behind_interval)
        for entry in ranked
    )  # fmt: skip
    return tables.Table(
        title, ("batch", "bias trained", "log-likelihood", "a cell", "95 % interval", "behind", "95 % interval"), body
    )
