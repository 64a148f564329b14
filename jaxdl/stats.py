"""What a thousand seeds say: location and spread with intervals, paired comparisons, the place of a published number.

Seeds are the unit of replication. ``n`` counts all lanes. Mean, sd and IQM are over the lanes that survived;
ranks (median, quantiles, percentiles, probability of improvement) count a diverged lane as worst.
"""

import math
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


class Summary(NamedTuple):
    """One config's distribution over seeds; figures are NaN where no lane survived."""

    n: int
    survived: int
    mean: float
    sd: float
    median: float
    low: float  # 5 % quantile
    high: float  # 95 % quantile
    iqm: float  # mean of the middle half
    iqm_interval: tuple[float, float]


class Comparison(NamedTuple):
    """a against b, paired by seed."""

    n: int  # pairs
    both_survived: int  # pairs that the difference is over
    difference: float  # mean of a - b
    difference_interval: tuple[float, float]
    improvement: float  # share of pairs in which a is better, ties counting half
    improvement_interval: tuple[float, float]


def ranked(values, diverged, higher_is_better: bool) -> np.ndarray:
    """The values as floats with the worst possible one for every diverged (or missing) lane."""
    return np.where(missing(values, diverged), -np.inf if higher_is_better else np.inf, np.asarray(values, float))


def missing(values, diverged) -> np.ndarray:
    """Which lanes have no value that counts: diverged ones, and NaN."""
    return np.asarray(diverged, bool) | np.isnan(np.asarray(values, float))


def quantile(values, q):
    """Linear-interpolation quantiles along the first axis that allow infinite values."""
    values = np.sort(np.asarray(values, float), axis=0)
    place = np.asarray(q, float) * (len(values) - 1)
    below, part = np.floor(place).astype(int), place - np.floor(place)
    low, high = values[below], values[np.minimum(below + 1, len(values) - 1)]
    part = part.reshape(part.shape + (1,) * (values.ndim - 1))
    with np.errstate(invalid="ignore"):
        between = np.where(np.isneginf(low), low, low + part * (high - low))
    return np.where((part == 0) | (low == high), low, between)


def iqm(values, axis: int = -1):
    """Interquartile mean: the mean of the middle half of the values."""
    import scipy.stats  # here: it takes half a second

    return scipy.stats.trim_mean(values, 0.25, axis=axis)


def interval(values, statistic, seed: int = 0) -> tuple[float, float]:
    """A 95 % percentile-bootstrap interval of a statistic over seeds; NaN where there are fewer than two values.

    Args:
      values: (n,) or (pairs, k) with the seeds along the first axis.
      statistic: ``(values, axis) -> value``, vectorised.
      seed: of the resampling, fixed so that a table can be made again.
    """
    import scipy.stats

    values = np.asarray(values, float)
    if len(values) < 2:
        return (math.nan, math.nan)
    if np.all(values == values[0]):
        return (float(values[0]), float(values[0]))
    found = scipy.stats.bootstrap(
        (values,), statistic, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=np.random.default_rng(seed)
    )
    return (float(found.confidence_interval.low), float(found.confidence_interval.high))


def summarise(values, diverged, higher_is_better: bool = True) -> Summary:
    """The distribution of a metric over the seeds of one config.

    Args:
      values: (n,), one a seed.
      diverged: (n,) bool.
      higher_is_better: which end a diverged lane counts as.
    """
    values = np.asarray(values, float)
    alive = values[~missing(values, diverged)]
    low, median, high = quantile(ranked(values, diverged, higher_is_better), [0.05, 0.5, 0.95])
    return Summary(
        n=len(values),
        survived=len(alive),
        mean=float(alive.mean()) if len(alive) else math.nan,
        sd=float(alive.std(ddof=1)) if len(alive) > 1 else math.nan,
        median=float(median),
        low=float(low),
        high=float(high),
        iqm=float(iqm(alive)) if len(alive) else math.nan,
        iqm_interval=interval(alive, iqm),
    )


def percentile(values, published: float) -> float:
    """Where a published number falls among the seeds: 100 times the share of values below it, ties counting half.

    Values within 1e-6 (relative) of the number tie with it: float32 shares such as 0.96 are not exact.

    >>> percentile([0.9, 0.95, 0.95, 1.0], 0.95)
    50.0
    """
    values = np.asarray(values, float)
    ties = np.isclose(values, published, rtol=1e-6, atol=1e-9)
    return float(100 * (np.sum((values < published) & ~ties) + 0.5 * np.sum(ties)) / len(values))


def compare(a, b, a_diverged, b_diverged, higher_is_better: bool = True) -> Comparison:
    """Compares two configs on the same seeds.

    Args:
      a, b: (n,), aligned by seed.
      a_diverged, b_diverged: (n,) bool; a diverged lane loses against any other and ties with a diverged one.
      higher_is_better: which direction is an improvement.
    """
    both = ~missing(a, a_diverged) & ~missing(b, b_diverged)
    differences = (np.asarray(a, float) - np.asarray(b, float))[both]
    a_rank, b_rank = ranked(a, a_diverged, higher_is_better), ranked(b, b_diverged, higher_is_better)
    better = (a_rank > b_rank) if higher_is_better else (a_rank < b_rank)
    wins = better + 0.5 * (a_rank == b_rank)
    return Comparison(
        n=len(wins),
        both_survived=int(both.sum()),
        difference=float(differences.mean()) if len(differences) else math.nan,
        difference_interval=interval(differences, np.mean),
        improvement=float(wins.mean()),
        improvement_interval=interval(wins, np.mean),
    )


def first_reached(curves, steps, threshold: float) -> np.ndarray:
    """The first of `steps` at which each curve is at least `threshold`; infinite where it never is.

    Args:
      curves: (lanes, evaluations).
      steps: (evaluations,).
    """
    reached = np.asarray(curves) >= threshold - 1e-6
    return np.where(reached.any(axis=1), np.asarray(steps, float)[reached.argmax(axis=1)], np.inf)
