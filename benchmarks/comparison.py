"""Compares two records of a benchmark: which of our contestants have become slower, noise aside.

The rule. A contestant's rates are divided by the yardstick's of the same rounds, so that a machine
that was slower that day does not count. How much the new ones are of the old ones is the
Hodges-Lehmann shift of their logarithms with its 99 % interval (Mann and Whitney's test, inverted).
It is a regression where the whole interval lies below 1 by more than noise: the quartile of an
identical twin's ratio that is farther from 1, of either record, and at least 5 %.
"""

import itertools
import json
import math
from typing import NamedTuple

import numpy as np

from benchmarks.harness import TWIN, Figures, entry_of
from jaxdl.reporting.tables import Table

LEVEL = 0.99
LEAST_NOISE = 0.05
REGRESSION, FASTER, SAME = "SLOWER", "faster", "same"
LOST, FEW = "LOST", "too few rounds"  # timed before and not any more; no interval of 99 %


class Change(NamedTuple):
    """What has become of a contestant in a case.

    Attributes:
      rate: new over old, and its interval; NaN where there are too few rounds.
      noise: by how much it may differ from 1 without being called a change.
    """

    case: dict
    name: str
    rate: float
    interval: tuple[float, float]
    noise: float
    verdict: str


def shift(old: np.ndarray, new: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Estimates by how much new values are above old ones, with a 99 % interval.

    Hodges and Lehmann's estimate: the median of all differences between a new and an old value. So
    many of them are cut off at either end as Mann and Whitney's statistic reaches with half a
    per cent, by its exact distribution. (-inf, inf) where there are too few values.
    """
    differences = np.sort(np.subtract.outer(new, old).ravel())
    cut = cut_off(len(old), len(new))
    estimate = float(np.median(differences))
    if cut is None:
        return estimate, (-math.inf, math.inf)
    return estimate, (float(differences[cut]), float(differences[-1 - cut]))


def cut_off(first: int, second: int) -> int | None:
    """Counts the differences that lie outside the interval at either end; None: too few values.

    >>> cut_off(7, 7), cut_off(2, 2)
    (4, None)
    """
    counts = orders(first, second)
    tails = np.cumsum(counts) / np.sum(counts)
    cut = int(np.searchsorted(tails, (1 - LEVEL) / 2, side="right"))
    return cut - 1 if cut else None


def orders(first: int, second: int) -> np.ndarray:
    """Counts the orders of two samples by Mann and Whitney's U: (first * second + 1,)."""
    # The Gaussian binomial coefficient: the product of (1 - q^(second + i)) / (1 - q^i).
    counts = np.zeros(first * second + 1)
    counts[0] = 1.0
    for i in range(1, first + 1):
        for u in range(len(counts) - 1, second + i - 1, -1):
            counts[u] -= counts[u - second - i]
        for u in range(i, len(counts)):
            counts[u] += counts[u - i]
    return counts


def changes(old: Figures, new: Figures) -> list[Change]:
    """Compares our contestants, by case and name, in the cases that both records have.

    Raises:
      ValueError: records of two benchmarks or other devices, or without a case in common.
    """
    check_alike(old, new)
    earlier = {case_key(case): case for case in old["cases"]}
    found = []
    for case in new["cases"]:
        before = earlier.get(case_key(case))
        if before is not None:
            found += case_changes(before, case)
    if not found:
        raise ValueError("both records must have a case with a contestant of ours in common")
    return found


def check_alike(old: Figures, new: Figures) -> None:
    """Refuses two records that have nothing to do with each other."""
    # Under --quick bursts are shorter: what they cost to begin weighs more.
    for name in ("benchmark", "quick", "device"):
        if old[name] != new[name]:
            given = f"{old[name]!r} and {new[name]!r}"
            raise ValueError(f"both records must have the same {name}, got {given}")


def case_key(case: Figures) -> str:
    """Makes a key of a case's values."""
    return json.dumps(case["case"], sort_keys=True)


def case_changes(old: Figures, new: Figures) -> list[Change]:
    """Compares our contestants of one case; what is not timed any more is lost."""
    noise = max(LEAST_NOISE, twin_noise(old), twin_noise(new))
    found = []
    for before in old["contestants"]:
        is_judged = before["ours"] and before["status"] == "timed" and before["twin_of"] is None
        if is_judged:
            found.append(change_of(old, new, before, noise))
    return found


def change_of(old: Figures, new: Figures, before: Figures, noise: float) -> Change:
    """Compares one contestant that was timed before."""
    case, name = new["case"], before["name"]
    after = entry_of(new, name)
    if after is None:
        return Change(case, name, math.nan, (math.nan, math.nan), noise, LOST)
    estimate, ends = shift(logarithms(old, before), logarithms(new, after))
    interval = (math.exp(ends[0]), math.exp(ends[1]))
    verdict = FEW if math.isinf(ends[1]) else verdict_of(ends, noise)
    return Change(case, name, math.exp(estimate), interval, noise, verdict)


def logarithms(case: Figures, entry: Figures) -> np.ndarray:
    """Gives the logarithms of a contestant's rates in yardsticks, a round each."""
    return np.log(np.divide(entry["rates"], case["yardstick"]))


def twin_noise(case: Figures) -> float:
    """Gives how far the middle half of an identical twin's ratios reaches from 1, as a share."""
    twin = entry_of(case, TWIN)
    original = None if twin is None else entry_of(case, twin["twin_of"])
    if twin is None or original is None:
        return 0.0
    ratio = np.log(np.divide(original["rates"], twin["rates"]))
    farthest = np.abs(np.quantile(ratio, [0.25, 0.75])).max()
    return float(np.expm1(farthest))


def verdict_of(ends: tuple[float, float], noise: float) -> str:
    """Says what an interval of the logarithm of a rate means."""
    allowed = math.log1p(noise)
    if ends[1] < -allowed:
        return REGRESSION
    return FASTER if ends[0] > allowed else SAME


def table(found: list[Change]) -> Table:
    """Tabulates changes."""
    axes = list(dict.fromkeys(itertools.chain(*(change.case for change in found))))
    rows = []
    for change in found:
        low, high = change.interval
        cells = (f"{change.rate:.3g}", f"[{low:.3g}, {high:.3g}]", f"{change.noise:.0%}")
        start = [change.case.get(name, "-") for name in axes]
        rows.append((*start, change.name, *cells, change.verdict))
    columns = (*axes, "contestant", "new / old rate", "99 %", "noise", "verdict")
    return Table("Rates by the yardstick, new over old.", columns, tuple(rows))


def regressions(found: list[Change]) -> list[Change]:
    """Picks what has become slower beyond noise, or is not timed any more."""
    return [change for change in found if change.verdict in (REGRESSION, LOST)]
