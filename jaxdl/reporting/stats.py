"""Describes and compares distributions over seeds: figures with 95 % intervals, percentiles.

Seeds are the unit of replication. ``n`` counts all lanes. Mean, sd and IQM are over the lanes that
survived; ranks (median, quantiles, percentiles, probability of improvement) count a diverged lane
as worst. A value that is not finite counts as that of a diverged lane.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num, Shaped

from jaxdl.reporting.intervals import (
    Interval,
    expanded_tail,
    improvement_interval,
    iqm_interval,
    mean_interval,
    median_interval,
    rounding_of,
    share_interval,
)
from jaxdl.reporting.power import seeds_needed
from jaxdl.reporting.samples import flags_of, sample_of
from jaxdl.reporting.sequences import always_valid_interval
from jaxdl.reporting.variance import Share, VarianceShares, variance_shares
from jaxdl.reporting.words import cell, html_table

__all__ = [
    "Comparison",
    "Share",
    "Summary",
    "VarianceShares",
    "always_valid_interval",
    "compare",
    "expanded_tail",
    "first_reached",
    "improvement_interval",
    "iqm",
    "iqm_interval",
    "mean_interval",
    "median_interval",
    "missing",
    "percentile",
    "preference",
    "quantile",
    "ranked",
    "seeds_needed",
    "share_interval",
    "summarise",
    "variance_shares",
]


Numbers = Num[np.ndarray, "*shape"] | Sequence | float
Flags = Shaped[np.ndarray, "*shape"] | Sequence | bool  # which lanes have diverged


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
    iqm_interval: Interval
    mean_interval: Interval
    median_interval: Interval  # an end is infinite where diverged lanes reach it


class Comparison(NamedTuple):
    """a against b, paired by seed."""

    n: int  # pairs
    both_survived: int  # pairs that the difference is over
    difference: float  # mean of a - b
    difference_interval: Interval
    improvement: float  # share of pairs in which a is better, ties counting half
    improvement_interval: Interval

    @property
    def _title(self) -> str:
        return f"a against b, paired by seed: {self.n} pairs, {self.both_survived} both survived"

    def __str__(self) -> str:
        difference = f"{cell(self.difference)} {cell(self.difference_interval)}"
        improvement = f"{cell(self.improvement)} {cell(self.improvement_interval)}"
        lines = [
            self._title,
            f"  mean of a - b    {difference}",
            f"  P(a is better)   {improvement}, ties counting half",
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = (
            ("mean of a - b", self.difference, self.difference_interval),
            ("P(a is better)", self.improvement, self.improvement_interval),
        )
        return html_table(self._title, ("", "value", "95 % interval"), rows)


def ranked(values: Numbers, diverged: Flags, higher_is_better: bool) -> Float[np.ndarray, "*shape"]:
    """Puts the worst possible value in the place of every diverged (or missing) lane.

    Raises:
      ValueError: no direction.
    """
    # A lane that was lost is no missing observation: without it, a config that loses half of its
    # lanes would be described by its lucky half.
    if higher_is_better not in (True, False):
        raise ValueError(f"higher_is_better must be True or False, got {higher_is_better!r}")
    worst = -np.inf if higher_is_better else np.inf
    return np.where(missing(values, diverged), worst, np.asarray(values, float))


def missing(values: Numbers, diverged: Flags) -> Bool[np.ndarray, "*shape"]:
    """Finds lanes without a value that counts: diverged ones, and values that are not finite."""
    finite = np.isfinite(np.asarray(values, float))
    return np.asarray(diverged, bool) | ~finite


def quantile(values: Numbers, q: Numbers) -> Float[np.ndarray, "..."]:
    """Interpolates quantiles along the first axis, between neighbours; they may be infinite.

    NaN where a value is NaN, or where there is none.

    Args:
      values: (n, ...).
      q: shares from 0 to 1, of any shape.

    Returns:
      the shape of q, then that of a value.

    Raises:
      ValueError: a q outside [0, 1].
    """
    # numpy's own makes NaN of a quantile next to an infinite value, a diverged lane: inf - inf.
    # Here a quantile on a value is that value, and one between a value and infinity is infinite.
    ordered = np.sort(np.asarray(values, float), axis=0)
    shares = np.asarray(q, float)
    if not np.all((shares >= 0) & (shares <= 1)):
        raise ValueError(f"q must be from 0 to 1, got {shares.tolist()}")
    if len(ordered) == 0:
        return np.full(shares.shape + ordered.shape[1:], np.nan)
    last = len(ordered) - 1
    place = shares * last
    below = np.floor(place).astype(int)
    part = (place - below).reshape(below.shape + (1,) * (ordered.ndim - 1))
    low = ordered[below]
    high = ordered[np.minimum(below + 1, last)]
    with np.errstate(invalid="ignore"):
        between = np.where(np.isneginf(low), low, low + part * (high - low))
    on_value = (part == 0) | (low == high)
    quantiles = np.where(on_value, low, between)
    return np.where(np.isnan(ordered[-1]), np.nan, quantiles)  # a sort puts NaN last


def iqm(values: Numbers, axis: int = -1) -> Float[np.ndarray, "..."] | float:
    """Takes the interquartile mean: that of what is left when ``n // 4`` values fall at either end.

    So it is scipy's trimmed mean, which weights no value by a fraction: at n = 5 it is the mean of
    the middle three, where the exact middle half is 2.5 values. NaN where a value is NaN.
    """
    import scipy.stats  # here: it takes half a second

    sample = np.asarray(values, float)
    middle = scipy.stats.trim_mean(sample, 0.25, axis=axis)
    unknown = np.isnan(sample).any(axis=axis)
    return np.where(unknown, np.nan, middle)[()]


def summarise(values, diverged, higher_is_better: bool | None = True) -> Summary:
    """Describes the distribution of a metric over the seeds of one config.

    Without any value n is 0 and every figure NaN.

    Args:
      values: (n,), one a seed.
      diverged: (n,) bool.
      higher_is_better: which end a diverged lane counts as. None where there is no better end:
        median and quantiles are over the survivors too.

    Raises:
      ValueError, TypeError: values that are not numbers, one a seed; other lengths.
    """
    sample = sample_of("values", values)
    lost = flags_of("diverged", diverged, len(sample))
    alive = sample[~missing(sample, lost)]
    ranks = alive
    if higher_is_better is not None:
        ranks = ranked(sample, lost, higher_is_better)
    low, median, high = quantile(ranks, [0.05, 0.5, 0.95]).tolist()
    count = len(alive)
    return Summary(
        n=len(sample),
        survived=count,
        mean=float(alive.mean()) if count else math.nan,
        sd=float(alive.std(ddof=1)) if count > 1 else math.nan,
        median=median,
        low=low,
        high=high,
        iqm=float(iqm(alive)) if count else math.nan,
        iqm_interval=iqm_interval(alive),
        mean_interval=mean_interval(alive),
        median_interval=median_interval(ranks),
    )


def percentile(values, published: float) -> float:
    """Finds where a published number falls among the seeds: 100 times the share of values below it.

    A tie counts half. Values within 1e-6 (relative) of the number tie with it: float32 shares such
    as 0.96 are not exact. NaN without any value.

    Raises:
      ValueError: NaN among the values (`ranked` puts diverged lanes in place) or as the number.

    >>> percentile([0.9, 0.95, 0.95, 1.0], 0.95)
    50.0
    """
    sample = sample_of("values", values)
    n = len(sample)
    unknown = int(np.isnan(sample).sum())
    if unknown or math.isnan(published):
        raise ValueError(
            f"values and published must not be NaN (stats.ranked places diverged lanes), "
            f"got {unknown} of {n} values and published={published}"
        )
    if n == 0:
        return math.nan
    ties = np.isclose(sample, published, rtol=1e-6, atol=1e-9)
    below = np.sum((sample < published) & ~ties)
    return float(100 * (below + 0.5 * np.sum(ties)) / n)


def compare(a, b, a_diverged, b_diverged, higher_is_better: bool = True) -> Comparison:
    """Compares two configs on the same seeds: `mean_interval` of a - b, `improvement_interval`.

    Args:
      a, b: (n,), aligned by seed, n at least 1.
      a_diverged, b_diverged: (n,) bool; a diverged lane loses to any other, ties with its like.
      higher_is_better: which direction is an improvement.

    Raises:
      ValueError, TypeError: values that are not numbers, one a seed; other lengths; no pair.
    """
    first, second = sample_of("a", a), sample_of("b", b)
    n = len(first)
    if n == 0 or n != len(second):
        given = f"{n} and {len(second)} values"
        raise ValueError(f"a and b must be pairs by seed, as long as each other, got {given}")
    a_diverged = flags_of("a_diverged", a_diverged, n)
    b_diverged = flags_of("b_diverged", b_diverged, n)
    both = ~missing(first, a_diverged) & ~missing(second, b_diverged)
    differences = first[both] - second[both]  # an infinite lane is in neither
    # Equal differences differ by the rounding of what was subtracted, in the type it came in.
    rounding = max(rounding_of(np.asarray(side)[both]) for side in (a, b))
    # Ranks, not values, decide who wins: a diverged lane loses to any other and ties with its like.
    a_rank = ranked(first, a_diverged, higher_is_better)
    b_rank = ranked(second, b_diverged, higher_is_better)
    better = a_rank > b_rank if higher_is_better else a_rank < b_rank
    wins = int(np.sum(better))
    ties = int(np.sum(a_rank == b_rank))
    count = len(differences)
    return Comparison(
        n=n,
        both_survived=count,
        difference=float(differences.mean()) if count else math.nan,
        difference_interval=mean_interval(differences, rounding),
        improvement=(wins + ties / 2) / n,
        improvement_interval=improvement_interval(wins, ties, n),
    )


def preference(summary: Summary, higher_is_better: bool) -> tuple[float, float, float]:
    """Makes a sort key of configs, larger for the better one: median, share survived, IQM.

    Equal keys are ties.
    """
    # The median ranks diverged lanes worst, so it is as bad as can be for every config that lost
    # half of its lanes: of those the one that lost fewer is better.
    sign = 1.0 if higher_is_better else -1.0
    survived = summary.survived / summary.n if summary.n else 0.0
    iqm_key = -math.inf if math.isnan(summary.iqm) else sign * summary.iqm
    median_key = -math.inf if math.isnan(summary.median) else sign * summary.median
    return (median_key, survived, iqm_key)


def first_reached(
    curves: Num[np.ndarray, "lanes evaluations"] | Sequence,
    steps: Num[np.ndarray, " evaluations"] | Sequence,
    threshold: float,
) -> Float[np.ndarray, " lanes"]:
    """Finds the first step at which each curve is at least a threshold; infinite if it never is.

    NaN reaches nothing.

    Args:
      curves: (lanes, evaluations).
      steps: (evaluations,).
    """
    values, at = np.asarray(curves, float), np.asarray(steps, float)
    if values.ndim != 2 or at.shape != values.shape[1:]:
        given = f"got shapes {values.shape} and {at.shape}"
        raise ValueError(f"curves must be (lanes, evaluations), steps (evaluations,), {given}")
    reached = values >= threshold - 1e-6  # float32 shares are not exact
    return np.where(reached, at, np.inf).min(axis=1, initial=np.inf)
