"""Intervals of a mean that stay valid however often one looks, and whenever one stops.

An ordinary 95 % interval holds the mean in 95 of 100 studies of a size that was fixed before. One
that adds seeds until the interval is narrow stops where the sample happens to look calm, and holds
it less often. A confidence sequence holds the mean at all sizes at once, with 95 %: so also at the
one where it was narrow enough first.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real

from jaxdl.reporting.intervals import LEVEL, TOO_FEW, Interval, rounding_of
from jaxdl.reporting.samples import sample_of

LEAST = 128  # values from which the interval of unbounded ones is given
TUNED = 200  # values at which that interval is narrowest, for its n
HALVINGS = 60  # of a bracket around an end
TOLERANCE = 1e-6  # of the range, that rounding may lead out of it
# Shares of the wealth that are bet, from all of it down to 1/4096: no value of the mean needs one
# in between, as one that is off by a fourth root of 2 wins 0.96 times as much.
STAKES = 2.0 ** (-np.arange(25) / 2)


def always_valid_interval(values, bounds: tuple[float, float] | None = None) -> Interval:
    """Gives the 95 % interval of a mean that may be looked at again and again, as values come in.

    The order of the values has no say. (NaN, NaN) where so few values cannot tell.

    With `bounds` it holds exactly, at any n and for any distribution between them: someone who bets
    on the values at fair odds if the mean is m gains a factor of 20 or more, at any time, with a
    chance of 1 in 20 at most if it is (Ville's inequality); so the means at which such a gambler
    has done so are left out. The gambler splits the stake evenly over both directions and over
    shares from 1/4096 to 1 of the wealth (Waudby-Smith and Ramdas 2024, JRSS B 86, 1; as mixtures:
    Orabona and Jun 2024, IEEE Transactions on Information Theory 70, 436). Few seeds give a wide
    one, and rightly: 50 accuracies near 0.95 say little of a seed in 100 that ends at 0.5.

    Without bounds nothing holds at any n for any distribution. There it is the asymptotic
    confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024, The Annals of
    Statistics 52, 2613, theorem 2.2), 1.5 times as wide as Student's interval, from 128 values on.
    Coverage where it is looked at from 128 on at 1.5 times as many each time, and stopped at the
    first look at which it is narrow: normal and two even humps 99 to 100, exponential 99, lognormal
    98, a seed in 33 on another hump 96, a seed in 100: 91. Equal values give none.

    Args:
      values: (n,), finite.
      bounds: (low, high) that no value can leave, such as (0, 1) of an accuracy; not the least and
        largest that were seen.

    Raises:
      ValueError, TypeError: values that are not finite numbers, or beyond the bounds.
    """
    sample = sample_of("values", values)
    lost = int((~np.isfinite(sample)).sum())
    if lost:
        raise ValueError(f"values must be finite, got {lost} of {len(sample)} that are not")
    if bounds is None:
        return _asymptotic(sample, rounding_of(values))
    low, high = bounds
    width = high - low
    scaled = (sample - low) / width
    if len(scaled) and not (scaled.min() >= -TOLERANCE and scaled.max() <= 1 + TOLERANCE):
        raise ValueError(
            f"values must be within the bounds {low:g} and {high:g}, got {sample.min():.6g} to "
            f"{sample.max():.6g}"
        )
    first, last = _bounded(np.clip(scaled, 0.0, 1.0))
    return (low + width * first, low + width * last)


# --- bounded -----------------------------------------------------------------------------------


def _bounded(sample: Float[np.ndarray, " n"]) -> Interval:
    """The interval of values in [0, 1]."""
    if len(sample) < 2:
        return TOO_FEW
    # Accuracies on a test set are few distinct numbers: bets on equal ones are made together.
    distinct, counts = np.unique(sample, return_counts=True)
    edge = 1e-12
    seen = min(max(float(sample.mean()), edge), 1 - edge)

    def is_out(mean: float) -> bool:
        return _log_wealth(distinct, counts, mean) >= -math.log(1 - LEVEL)

    # The wealth is convex in the assumed mean and below 1 near what was seen: two ends to find.
    low = _last_out(is_out, edge, seen) if is_out(edge) else 0.0
    high = _last_out(is_out, 1 - edge, seen) if is_out(1 - edge) else 1.0
    return (low, high)


def _last_out(is_out, out: float, within: float) -> float:
    """The end between a mean that is out and one that is not, on the safe side."""
    for _ in range(HALVINGS):
        middle = (out + within) / 2
        out, within = (middle, within) if is_out(middle) else (out, middle)
    return out


def _log_wealth(
    distinct: Float[np.ndarray, " values"],
    counts: Real[np.ndarray, " values"],
    mean: float,
) -> float:
    """What the bets have made of 1, as a logarithm, if the odds were fair for a mean in (0, 1)."""
    logs = []
    # A bet on more pays value / mean, one on less (1 - value) / (1 - mean): 1 on average.
    for pays in (distinct / mean, (1 - distinct) / (1 - mean)):
        with np.errstate(divide="ignore"):  # all is lost where all was bet
            growth = np.log1p(STAKES[:, None] * (pays - 1))
        logs.append(growth @ counts)
    each = np.concatenate(logs)
    most = float(each.max())
    return most + math.log(float(np.exp(each - most).mean()))


# --- unbounded ---------------------------------------------------------------------------------


def _asymptotic(sample: Float[np.ndarray, " n"], rounding: float) -> Interval:
    n = len(sample)
    if n < LEAST or np.ptp(sample) <= rounding:
        return TOO_FEW
    alpha = 1 - LEVEL
    # As the paper tunes it: narrowest, for its n, at TUNED values. A constant, so that later looks
    # belong to the same sequence.
    doubled = -2 * math.log(alpha)
    rho_squared = (doubled + math.log(doubled + 1)) / TUNED
    scale = n * rho_squared + 1
    root = 2 * scale / (n**2 * rho_squared) * math.log(math.sqrt(scale) / alpha)
    half = float(sample.std(ddof=1)) * math.sqrt(root)
    mean = float(sample.mean())
    return (mean - half, mean + half)


def difference_bounds(bounds: Sequence[float] | None) -> tuple[float, float] | None:
    """Gives the bounds of a difference of two values within bounds."""
    if bounds is None:
        return None
    low, high = bounds
    return (low - high, high - low)
