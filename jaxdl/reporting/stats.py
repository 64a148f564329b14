"""Describes and compares distributions over seeds: figures with 95 % intervals, percentiles.

Seeds are the unit of replication. ``n`` counts all lanes. Mean, sd and IQM are over the lanes that
survived; ranks (median, quantiles, percentiles, probability of improvement) count a diverged lane
as worst. A value that is not finite counts as that of a diverged lane.
"""

import math
from typing import NamedTuple

import numpy as np

from jaxdl.reporting.intervals import (
    expanded_tail,
    improvement_interval,
    iqm_interval,
    mean_interval,
    median_interval,
    rounding_of,
    share_interval,
)

__all__ = [
    "Comparison",
    "Summary",
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
    "share_interval",
    "summarise",
]


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
    mean_interval: tuple[float, float]
    median_interval: tuple[float, float]  # an end is infinite where diverged lanes reach it


class Comparison(NamedTuple):
    """a against b, paired by seed."""

    n: int  # pairs
    both_survived: int  # pairs that the difference is over
    difference: float  # mean of a - b
    difference_interval: tuple[float, float]
    improvement: float  # share of pairs in which a is better, ties counting half
    improvement_interval: tuple[float, float]


def ranked(values, diverged, higher_is_better: bool) -> np.ndarray:
    """The values as floats with the worst possible one for every diverged (or missing) lane.

    Raises:
      ValueError: no direction.
    """
    if higher_is_better not in (True, False):
        raise ValueError(f"higher_is_better must be True or False, got {higher_is_better!r}")
    worst = -np.inf if higher_is_better else np.inf
    return np.where(missing(values, diverged), worst, np.asarray(values, float))


def missing(values, diverged) -> np.ndarray:
    """Which lanes have no value that counts: diverged ones, and values that are not finite."""
    return np.asarray(diverged, bool) | ~np.isfinite(np.asarray(values, float))


def quantile(values, q):
    """Linear-interpolation quantiles along the first axis that allow infinite values.

    NaN where a value is NaN, or where there is none.

    Raises:
      ValueError: a q outside [0, 1].
    """
    values, q = np.sort(np.asarray(values, float), axis=0), np.asarray(q, float)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError(f"q must be from 0 to 1, got {q.tolist()}")
    if len(values) == 0:
        return np.full(q.shape + values.shape[1:], np.nan)
    place = q * (len(values) - 1)
    below, part = np.floor(place).astype(int), place - np.floor(place)
    low, high = values[below], values[np.minimum(below + 1, len(values) - 1)]
    part = part.reshape(part.shape + (1,) * (values.ndim - 1))
    with np.errstate(invalid="ignore"):
        between = np.where(np.isneginf(low), low, low + part * (high - low))
    found = np.where((part == 0) | (low == high), low, between)
    return np.where(np.isnan(values[-1]), np.nan, found)  # a sort puts NaN last


def iqm(values, axis: int = -1):
    """Interquartile mean: the mean of what is left after ``n // 4`` values are cut from either end.

    So it is scipy's trimmed mean, which weights no value by a fraction: at n = 5 it is the mean of
    the middle three, where the exact middle half is 2.5 values. NaN where a value is NaN.
    """
    import scipy.stats  # here: it takes half a second

    values = np.asarray(values, float)
    middle = scipy.stats.trim_mean(values, 0.25, axis=axis)
    return np.where(np.isnan(values).any(axis=axis), np.nan, middle)[()]


def summarise(values, diverged, higher_is_better: bool | None = True) -> Summary:
    """The distribution of a metric over the seeds of one config.

    Without any value n is 0 and every figure NaN.

    Args:
      values: (n,), one a seed.
      diverged: (n,) bool.
      higher_is_better: which end a diverged lane counts as. None where there is no better end:
        median and quantiles are over the survivors too.

    Raises:
      ValueError, TypeError: values that are not numbers, one a seed; other lengths.
    """
    values, diverged = _sample("values", values), _flags("diverged", diverged, len(values))
    alive = values[~missing(values, diverged)]
    ranks = alive if higher_is_better is None else ranked(values, diverged, higher_is_better)
    low, median, high = quantile(ranks, [0.05, 0.5, 0.95])
    return Summary(
        n=len(values),
        survived=len(alive),
        mean=float(alive.mean()) if len(alive) else math.nan,
        sd=float(alive.std(ddof=1)) if len(alive) > 1 else math.nan,
        median=float(median),
        low=float(low),
        high=float(high),
        iqm=float(iqm(alive)) if len(alive) else math.nan,
        iqm_interval=iqm_interval(alive),
        mean_interval=mean_interval(alive),
        median_interval=median_interval(ranks),
    )


def _sample(name: str, values) -> np.ndarray:
    """The values as floats, (n,)."""
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name} must not be a masked array: fill it with NaN ({name}.filled(nan))")
    try:
        given = np.asarray(values)
        numbers = None if given.dtype.kind in "cSUmM" else given.astype(float)
    except (TypeError, ValueError):
        numbers = None
    if numbers is None:
        raise TypeError(f"{name} must be real numbers, one a seed, got {_start(values)}")
    if numbers.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, one a seed, got shape {numbers.shape}")
    return numbers


def _start(value) -> str:
    """The first characters of a value, in one line."""
    words = " ".join(repr(value).split())
    return words if len(words) <= 60 else words[:57] + "..."


def _flags(name: str, diverged, n: int) -> np.ndarray:
    """Which lanes have diverged, (n,) bool; steps at which they did (-1: never) are refused."""
    flags = np.asarray(diverged)
    if flags.shape != (n,):
        raise ValueError(f"{name} must hold {n} bools, one a value, got shape {flags.shape}")
    if flags.dtype != bool and not np.isin(flags, (0, 1)).all():
        raise TypeError(f"{name} must hold bools, one a value, got {_start(diverged)}")
    return flags.astype(bool)


def percentile(values, published: float) -> float:
    """Where a published number falls among the seeds: 100 times the share of values below it.

    A tie counts half. Values within 1e-6 (relative) of the number tie with it: float32 shares such
    as 0.96 are not exact. NaN without any value.

    Raises:
      ValueError: NaN among the values (`ranked` puts diverged lanes in place) or as the number.

    >>> percentile([0.9, 0.95, 0.95, 1.0], 0.95)
    50.0
    """
    values = _sample("values", values)
    if np.isnan(values).any() or math.isnan(published):
        raise ValueError(
            f"values and published must not be NaN (stats.ranked places diverged lanes), "
            f"got {int(np.isnan(values).sum())} of {len(values)} values and published={published}"
        )
    if len(values) == 0:
        return math.nan
    ties = np.isclose(values, published, rtol=1e-6, atol=1e-9)
    return float(100 * (np.sum((values < published) & ~ties) + 0.5 * np.sum(ties)) / len(values))


def compare(a, b, a_diverged, b_diverged, higher_is_better: bool = True) -> Comparison:
    """Compares two configs on the same seeds: `mean_interval` of a - b, `improvement_interval`.

    Args:
      a, b: (n,), aligned by seed, n at least 1.
      a_diverged, b_diverged: (n,) bool; a diverged lane loses to any other, ties with its like.
      higher_is_better: which direction is an improvement.

    Raises:
      ValueError, TypeError: values that are not numbers, one a seed; other lengths; no pair.
    """
    first, second = _sample("a", a), _sample("b", b)
    n = len(first)
    if n == 0 or n != len(second):
        given = f"{n} and {len(second)} values"
        raise ValueError(f"a and b must be pairs by seed, as long as each other, got {given}")
    a_diverged = _flags("a_diverged", a_diverged, n)
    b_diverged = _flags("b_diverged", b_diverged, n)
    both = ~missing(first, a_diverged) & ~missing(second, b_diverged)
    differences = first[both] - second[both]  # an infinite lane is in neither
    # Equal differences differ by the rounding of what was subtracted.
    rounding = max(rounding_of(np.asarray(side)[both]) for side in (a, b))
    a_rank = ranked(first, a_diverged, higher_is_better)
    b_rank = ranked(second, b_diverged, higher_is_better)
    wins = int(np.sum((a_rank > b_rank) if higher_is_better else (a_rank < b_rank)))
    ties = int(np.sum(a_rank == b_rank))
    return Comparison(
        n=n,
        both_survived=len(differences),
        difference=float(differences.mean()) if len(differences) else math.nan,
        difference_interval=mean_interval(differences, rounding),
        improvement=(wins + ties / 2) / n,
        improvement_interval=improvement_interval(wins, ties, n),
    )


def preference(summary: Summary, higher_is_better: bool) -> tuple[float, float, float]:
    """A sort key of configs, larger for the better one: median, then share survived, then IQM.

    The median ranks diverged lanes worst, so it is as bad as can be for every config that lost half
    of its lanes: of those the one that lost fewer is better. Equal keys are ties.
    """
    sign = 1.0 if higher_is_better else -1.0
    survived = summary.survived / summary.n if summary.n else 0.0
    iqm_key = -math.inf if math.isnan(summary.iqm) else sign * summary.iqm
    median_key = -math.inf if math.isnan(summary.median) else sign * summary.median
    return (median_key, survived, iqm_key)


def first_reached(curves, steps, threshold: float) -> np.ndarray:
    """The first of `steps` at which each curve is at least `threshold`; infinite where it never is.

    NaN reaches nothing.

    Args:
      curves: (lanes, evaluations).
      steps: (evaluations,).
    """
    curves, steps = np.asarray(curves, float), np.asarray(steps, float)
    if curves.ndim != 2 or steps.shape != curves.shape[1:]:
        given = f"got shapes {curves.shape} and {steps.shape}"
        raise ValueError(f"curves must be (lanes, evaluations), steps (evaluations,), {given}")
    at = np.where(curves >= threshold - 1e-6, steps, np.inf)  # 1e-6: float32 shares are not exact
    return at.min(axis=1, initial=np.inf)
