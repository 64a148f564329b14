"""The 95 % intervals of shares, means, medians and interquartile means over seeds.

What so few values cannot tell is (NaN, NaN), ``null`` in JSON: "n too small". Coverage is the
percentage of the intervals that hold the true value, of those that are given; the figures in the
docstrings are for n = 3, 5, 10 and 30 where nothing else is said, and ``tests/test_intervals.py``
measures them again.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int16, Real

Interval = tuple[float, float]
Values = Real[np.ndarray, " n"] | Sequence  # one a seed

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
TOO_FEW = (math.nan, math.nan)
RESAMPLES = 4000
RESAMPLED = 300  # the largest sample that is resampled
IQM_LEAST = 5  # the smallest sample with an interval of its IQM
TANGO_LEAST = 10  # the fewest pairs for which Tango's interval holds with ties


def share_interval(count: int, n: int) -> Interval:
    """Gives the interval of a share, `count` of `n`: Wilson's (1927) score interval, by scipy.

    Wide at a small n, never a point: 0 of 3 gives [0, 0.56]. Coverage at a true share of 0.61: 94,
    99, 94, 94; of 0.976: 93, 89, 98, 97 (exact). A share is never bootstrapped: every resample of
    a sample without a miss is without a miss. (NaN, NaN) at n = 0.

    Raises:
      ValueError: a count that is not an integer from 0 to n.

    >>> low, high = share_interval(0, 20)
    >>> low, round(high, 3)
    (0.0, 0.161)
    """
    import scipy.stats  # here: it takes half a second

    whole = int(n) == n and int(count) == count
    if not whole or not 0 <= count <= n:
        raise ValueError(f"count must be an integer from 0 to n, got {count} of n={n}")
    if n == 0:
        return TOO_FEW
    test = scipy.stats.binomtest(int(count), int(n))
    low, high = test.proportion_ci(LEVEL, method="wilson")
    return (float(low), float(high))


def improvement_interval(wins: int, ties: int, n: int) -> Interval:
    """Gives the interval of the probability of improvement, (wins + ties / 2) / n over n pairs.

    Without ties that is a share, and this is Wilson's interval. With ties a pair varies less than a
    coin does, which Tango's (1998) score interval of paired shares takes into account; it equals
    Wilson's where nothing ties. Below 10 pairs its coverage falls to 86 with ties: there Wilson's
    takes a tie as half a win, and is wider than need be. Never a point.

    Least coverage over shares of ties, at a true probability of 0.61: 94, 99, 94, 94; at 0.976: 93,
    89, 92, 95 (exact). 97 to 100 where nearly all pairs tie.
    """
    if ties == 0:
        return share_interval(wins, n)
    if n < TANGO_LEAST:
        return _wilson_of_halves(wins + ties / 2, n)
    losses = n - wins - ties
    low, high = _tango(wins, losses, n)
    # From a difference of shares, -1 to 1, to a probability.
    return ((1 + low) / 2, (1 + high) / 2)


def _wilson_of_halves(count: float, n: int) -> Interval:
    # Wilson's closed form: scipy's takes integers only.
    squared = _normal_quantile() ** 2
    centre = count + squared / 2
    variance = count * (n - count) / n
    half = math.sqrt(squared * (variance + squared / 4))
    total = n + squared
    return ((centre - half) / total, (centre + half) / total)


def _tango(wins: int, losses: int, n: int) -> Interval:
    """Gives the interval of (wins - losses) / n: true differences at most z standard errors away.

    Tango (1998), Statistics in Medicine 17, 891: the standard error under a difference takes the
    likeliest share of losses under it, which is the root of a quadratic.
    """
    import scipy.optimize

    def score(difference: float) -> float:
        slope = wins + losses - (2 * n - wins + losses) * difference
        inner = slope**2 + 8 * n * losses * difference * (1 - difference)
        root = math.sqrt(max(inner, 0.0))
        share_lost = (root + slope) / (4 * n)
        variance = n * (2 * share_lost + difference * (1 - difference))
        excess = wins - losses - n * difference
        return excess / math.sqrt(max(variance, 1e-300))

    def where_score_is(wanted: float, low: float, high: float) -> float:
        return float(scipy.optimize.brentq(lambda at: score(at) - wanted, low, high))

    # The score falls as the assumed difference rises: each end is a root between what was seen and
    # the most extreme difference, where the variance is 0 (hence not quite 1).
    seen = (wins - losses) / n
    z = _normal_quantile()
    most = 1 - 1e-12
    low = -1.0 if seen <= -most else where_score_is(z, -most, seen)
    high = 1.0 if seen >= most else where_score_is(-z, seen, most)
    return (low, high)


def _normal_quantile() -> float:
    import scipy.special

    return float(scipy.special.ndtri(1 - TAIL))


def mean_interval(values: Values, rounding: float | None = None) -> Interval:
    """Gives the interval of a mean, by Student's t; of paired differences: the paired t interval.

    Coverage: normal 95, 95, 95, 95; bounded by 1 (beta(8, 1)) 90, 90, 91, 94; the same in steps of
    0.05 92, 91, 91, 94; two even humps 75, 94, 94, 95; humps of 3 to 7 62, 83, 95, 95; skewed
    (lognormal) 83, 82, 82, 87. No method holds the last two at a small n, 0/1-like values among
    them: the seeds that move the mean are missing from many samples.

    Equal values show no spread to go by. They get a point from n = 59 on, where it is 95 % sure
    that 95 % of all seeds have that value (0.95**59 < 0.05), and (NaN, NaN) below.

    Args:
      values: (n,), finite.
      rounding: the spread up to which values count as equal; None: that of rounding in their type.
    """
    import scipy.special

    rounding = rounding_of(values) if rounding is None else rounding
    sample = np.asarray(values, float)
    n = len(sample)
    if n < 2:
        return TOO_FEW
    mean = float(sample.mean())
    if np.ptp(sample) <= rounding:
        is_sure = 0.95**n < 1 - LEVEL
        return (mean, mean) if is_sure else TOO_FEW
    error = sample.std(ddof=1) / math.sqrt(n)
    t = scipy.special.stdtrit(n - 1, 1 - TAIL)
    half = float(t * error)
    return (mean - half, mean + half)


def rounding_of(values: Values) -> float:
    """Gives the spread of equal values by rounding: 4 units in the last place of the largest."""
    kind = np.asarray(values).dtype
    sample = np.asarray(values, float)
    finite = sample[np.isfinite(sample)]
    largest = np.abs(finite).max(initial=0.0)
    # Metrics are float32: as float64 they still differ by what float32 rounds.
    is_short = kind.kind == "f" and kind.itemsize < 8
    unit = 2.0**-23 if is_short else 2.0**-52
    return float(4 * unit * largest)


def median_interval(values: Values) -> Interval:
    """Gives the interval of a median: the order statistics that a sign test does not reject.

    Coverage is never below 95, whatever the distribution (98 at n = 10, 96 at 30; more with ties).
    (NaN, NaN) below n = 6, where the whole range has less. A point where the order statistics are
    equal, as sure as any other. As ``scipy.stats.quantile_test``'s, in a tenth of its time.

    Args:
      values: (n,), ranked: infinite where a lane has diverged. An end may then be infinite.
    """
    import scipy.stats

    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    if n == 0:
        return TOO_FEW
    # How many of n seeds fall below the median is binomial, whatever the distribution.
    first = int(scipy.stats.binom.ppf(TAIL, n, 0.5)) - 1
    if first < 0:
        return TOO_FEW
    return (float(ordered[first]), float(ordered[-1 - first]))


def iqm_interval(values: Values) -> Interval:
    """Gives the interval of an interquartile mean.

    (NaN, NaN) below n = 5, where nothing is trimmed.

    Up to n = 300: the expanded percentile bootstrap (Hesterberg 2015, The American Statistician 69,
    371), whose percentiles go as far out as Student's t asks for. Beyond: Tukey and McLaughlin's
    (1963, Sankhya A 25, 331) t interval from the winsorised variance, in closed form. Its values
    are winsorised where the intervals of the quartiles end, not at the quartiles: if a quarter of
    the seeds end on another hump, a variance that ends at the quartile may know nothing of it
    (coverage 63 in place of 97 at n = 301 with 26 % of the seeds).

    Coverage at n = 5, 10, 30: normal 94, 97, 96; bounded by 1 94, 97, 96; in steps 94, 97, 95; two
    even humps 94, 97, 95; humps of 3 to 7 83, 96, 94 (the smaller one is missing from one sample of
    5 in six: nothing holds that); skewed 93, 97, 96. At n = 301 95 to 99.

    A point is given only where it is 95 % sure that the middle half of all seeds is equal: so few
    values differ from it (of equal ones from n = 11 on: 0.75**11 < 0.05). Else (NaN, NaN).

    Args:
      values: (n,), finite.
    """
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    if n < IQM_LEAST:
        return TOO_FEW
    interval = _expanded_bootstrap if n <= RESAMPLED else _winsorised_t
    low, high = interval(ordered)
    is_point = high - low <= rounding_of(ordered)
    if is_point and not _middle_is_equal(ordered):
        return TOO_FEW
    return (low, high)


def _middle_is_equal(ordered: Float[np.ndarray, " n"]) -> bool:
    """Whether it is 95 % sure that no quarter of all seeds is below, or above, the median."""
    import scipy.stats

    n = len(ordered)
    median = ordered[n // 2]
    below = np.sum(ordered < median)
    above = np.sum(ordered > median)
    # So few beyond the median would be rare if a quarter of all seeds were.
    chance = scipy.stats.binom.cdf(max(below, above), n, 0.25)
    return bool(chance < 1 - LEVEL)


def expanded_tail(n: int) -> float:
    """Gives the tail beyond either end of a percentile bootstrap of n values as wide as t.

    A resample varies by (n - 1) / n of what a sample does, and its percentiles are those of a known
    variance. So the tail is the normal one at ``sqrt(n / (n - 1)) t``: 0.001 at n = 5, 0.009 at 10.
    """
    import scipy.special

    t = scipy.special.stdtrit(n - 1, 1 - TAIL)
    widening = math.sqrt(n / (n - 1))
    return float(scipy.special.ndtr(-widening * t))


def _expanded_bootstrap(ordered: Float[np.ndarray, " n"]) -> Interval:
    # The middle half of a resample is known by its places in the sorted sample: nothing is sorted.
    n = len(ordered)
    middle = ordered[_resampled_places(n)]
    resampled = middle.mean(axis=1)
    tail = expanded_tail(n)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return (float(low), float(high))


@functools.lru_cache(maxsize=16)  # 1.2 MB at most, each; most configs of a table share their n
def _resampled_places(n: int) -> Int16[np.ndarray, "resamples middle"]:
    """The places of each resample's middle half in a sorted sample of n."""
    # The seed is fixed, so that a table can be made again.
    generator = np.random.default_rng(0)
    places = generator.integers(0, n, (RESAMPLES, n), dtype=np.int16)
    places.sort(axis=1)
    cut = n // 4
    middle = np.ascontiguousarray(places[:, cut : n - cut])
    middle.flags.writeable = False
    return middle


def _winsorised_t(ordered: Float[np.ndarray, " n"]) -> Interval:
    import scipy.special
    import scipy.stats

    n = len(ordered)
    cut = n // 4
    # Where the quartile's own interval ends: it may lie on another hump than the quartile.
    outer = int(scipy.stats.binom.ppf(TAIL, n, 0.25)) - 1
    low, high = ordered[outer], ordered[-1 - outer]
    winsorised = np.clip(ordered, low, high)
    error = winsorised.std(ddof=1) / (0.5 * math.sqrt(n))
    middle = float(ordered[cut : n - cut].mean())
    t = scipy.special.stdtrit(n - 2 * cut - 1, 1 - TAIL)
    half = float(t * error)
    return (middle - half, middle + half)
