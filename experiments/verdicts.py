"""Judges published numbers and claims by what the seeds say, many at once.

A published number is taken as one more draw beside those of n seeds. If it came from the same
protocol, its rank among all n + 1 is uniform; so the two-sided p is exact for any distribution, and
can never be below 2 / (n + 1), however far away the number lies.

The cells of a table are judged together, by Benjamini and Hochberg's (1995) false discovery rate:
of the numbers that are called unlikely at most 5 % are expected to be likely ones. Holm's
correction, which excludes a single false call, needs 40 m - 1 seeds for a table of m cells, however
many of them are extreme: 1199 for each of R3's. Benjamini and Hochberg's needs about 40 m / k where
k are. A claim that is made of several comparisons is one statement, refuted where any of them is:
there Holm is used.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

LEVEL = 0.05
LIKELY, LUCKY, UNLUCKY, UNUSUAL = "likely", "lucky", "unlucky", "unusual"
IMPOSSIBLE, UNDECIDED, NOT_RUN = "impossible", "undecided", "not run"
HOLDS, CONTRADICTED, DEPENDS = "holds", "contradicted", "depends on the protocol"
OTHER_MACHINE = "of another machine"
MEANINGS = {
    LIKELY: "among the seeds, adjusted p above 0.05",
    LUCKY: "better than nearly all seeds, adjusted p at most 0.05",
    UNLUCKY: "worse than nearly all seeds, adjusted p at most 0.05",
    UNUSUAL: "lucky or unlucky of what has no better end",
    IMPOSSIBLE: "beyond every one of n seeds, adjusted p at most 0.05; not that no seed could "
    "reach it, but that fewer than about 3 in n do",
    UNDECIDED: "beyond every one of n seeds, but n is too small for an adjusted p of 0.05",
    NOT_RUN: "the protocol was not run in full",
    OTHER_MACHINE: "a time, which this machine cannot judge; its ratios are among the claims",
}


def p_value(counts: Mapping[str, int]) -> float:
    """Computes the two-sided p of a number among seeds: of its rank as one more draw.

    Ties count to either side, so that a number which all seeds share has p = 1. NaN without seeds.

    Args:
      counts: how many seeds are "below", "tied" and "above".

    >>> p_value({"below": 39, "tied": 0, "above": 0}) == 2 / 40
    True
    """
    below, tied, above = (counts[name] for name in ("below", "tied", "above"))
    n = below + tied + above
    if n == 0:
        return math.nan
    rarer = 1 + tied + min(below, above)
    return min(1.0, 2 * rarer / (n + 1))


def is_beyond(counts: Mapping[str, int]) -> bool:
    """Tells whether a number lies beyond every one of some seeds; of no seed it does not.

    >>> is_beyond({"below": 3, "tied": 0, "above": 0})
    True
    """
    below, tied, above = (counts[name] for name in ("below", "tied", "above"))
    return tied == 0 and min(below, above) == 0 and max(below, above) > 0


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Adjusts the p of a table's cells for their number: Benjamini and Hochberg's, by scipy.

    NaN stays NaN and is not counted.
    """
    import scipy.stats  # here: it takes half a second

    values = np.asarray(p_values, float)
    known = ~np.isnan(values)
    if known.any():
        values[known] = scipy.stats.false_discovery_control(values[known], method="bh")
    return values.tolist()


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts the p of the comparisons that a claim is made of: Holm's (1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    # A larger p may not become the smaller one.
    rising = np.minimum(np.maximum.accumulate(steps), 1.0)
    result = np.empty(len(values))
    result[order] = rising
    return result.tolist()


def seeds_needed(cells: int) -> int:
    """Counts the seeds from which on one extreme number among so many cells can be called so.

    >>> seeds_needed(1), seeds_needed(16)
    (39, 639)
    """
    return math.ceil(2 * cells / LEVEL - 1 - 1e-9)


def verdict(counts: Mapping[str, int], p_adjusted: float, higher_is_better: bool | None) -> str:
    """Puts a number's place among the seeds in a word.

    Args:
      counts: as for `p_value`.
      p_adjusted: NaN where it was not run.
      higher_is_better: None where neither end is better.
    """
    below, tied, above = (counts[name] for name in ("below", "tied", "above"))
    if below + tied + above == 0 or math.isnan(p_adjusted):
        return NOT_RUN
    beyond = is_beyond(counts)
    if p_adjusted > LEVEL:
        return UNDECIDED if beyond else LIKELY
    if beyond:
        return IMPOSSIBLE
    if higher_is_better is None:
        return UNUSUAL
    is_high = below > above
    return LUCKY if is_high == higher_is_better else UNLUCKY


def sign_test(wins: int, losses: int) -> float:
    """Computes the two-sided p of a paired comparison; ties say nothing. 1 without wins and losses.

    >>> sign_test(5, 0)
    0.0625
    """
    import scipy.stats

    if wins + losses == 0:
        return 1.0
    return float(scipy.stats.binomtest(wins, wins + losses).pvalue)


def together(verdicts: Sequence[str]) -> str:
    """Judges a claim by its verdicts under several protocols.

    >>> together(["holds", "holds"]), together(["holds", "contradicted"]), together([])
    ('holds', 'depends on the protocol', 'not run')
    """
    run = [each for each in verdicts if each != NOT_RUN]
    if not run:
        return NOT_RUN
    if HOLDS in run and CONTRADICTED in run:
        return DEPENDS
    return run[0] if len(set(run)) == 1 else UNDECIDED
