"""Compares all pairs of configs by seed, with p values that are corrected for how many they are."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxdl.reporting.stats import ranked

LEVEL = 0.05  # below which a corrected p value shows a difference


class Pairs(NamedTuple):
    """Pairs of configs, all of them, in order.

    Attributes:
      a, b: the numbers of their configs, (pairs,).
      n: seeds that both have, (pairs,).
      wins, losses: of these, at how many a is better and worse, (pairs,).
      p: of the sign test, (pairs,).
      corrected: the same by Holm's method over all pairs, (pairs,).
    """

    a: Int[np.ndarray, " pairs"]
    b: Int[np.ndarray, " pairs"]
    n: Int[np.ndarray, " pairs"]
    wins: Int[np.ndarray, " pairs"]
    losses: Int[np.ndarray, " pairs"]
    p: Float[np.ndarray, " pairs"]
    corrected: Float[np.ndarray, " pairs"]


def all_pairs(
    values: Float[np.ndarray, "configs seeds"],
    diverged: Bool[np.ndarray, "configs seeds"],
    present: Bool[np.ndarray, "configs seeds"],
    higher_is_better: bool,
) -> Pairs:
    """Compares every config with every later one, on the seeds that both have.

    A diverged lane loses to any other and ties with its like.

    Args:
      values: the same seed in each column.
      present: which lanes there are.
    """
    ranks = ranked(values, diverged, higher_is_better)
    better = ranks if higher_is_better else -ranks
    first, second = np.triu_indices(len(values), 1)
    count = len(first)
    n, wins, losses = (np.zeros(count, int) for _ in range(3))
    # Pair by pair: all at once they would be pairs x seeds numbers.
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        both = present[a] & present[b]
        left, right = better[a][both], better[b][both]
        n[number] = both.sum()
        wins[number] = np.sum(left > right)
        losses[number] = np.sum(left < right)
    p = sign_test(wins, losses)
    return Pairs(first, second, n, wins, losses, p, holm(p))


def sign_test(
    wins: Int[np.ndarray, " pairs"], losses: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    """Gives the exact two-sided p value of the sign test; ties say nothing and are left out.

    It asks what the probability of improvement asks, whether either side wins more often, and
    nothing of how large the differences are.

    >>> sign_test(np.array([6, 3, 0]), np.array([0, 3, 0])).tolist()
    [0.03125, 1.0, 1.0]
    """
    import scipy.stats  # here: it takes half a second

    fewer = np.minimum(wins, losses)
    tail = scipy.stats.binom.cdf(fewer, wins + losses, 0.5)
    return np.minimum(1.0, 2 * tail)


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Corrects p values for their number: the chance of any false difference stays below a level.

    The k-th smallest of m is multiplied by m - k + 1, and is no smaller than any before it (Holm
    1979, a simple sequentially rejective multiple test procedure).

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    rising = np.maximum.accumulate(factors * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, rising)
    return corrected
