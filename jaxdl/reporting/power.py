"""How many seeds a comparison needs."""

import math
from typing import Any

import numpy as np

from jaxdl.reporting.intervals import LEVEL, rounding_of
from jaxdl.reporting.samples import sample_of, start_of

MOST = 2**32  # seeds that there are
ASSURANCE = 0.8  # how sure it is that a pilot's upper limit is above the true sd


def seeds_needed(
    difference: float,
    sd: float | None = None,
    pilot: Any = None,
    power: float = 0.8,
    level: float = LEVEL,
) -> int:
    """Counts the seeds that find a difference between two configs, paired by seed.

    The smallest number for which a two-sided t test of the paired differences, which is what
    `compare`'s interval is, finds a true mean difference of that size with the given probability:
    from the noncentral t distribution, without the normal approximation (which gives 2 or 3 too
    few). Differences count as normal.

    The sd of a few pilot seeds is as likely too small as too large, and a study sized by it would
    fall short every other time. So a pilot counts with the upper 80 % confidence limit of its sd
    (Browne 1995, Statistics in Medicine 14, 1933): 1.6 times the sd of 5 pairs, 1.2 times of 20.

    Args:
      difference: that is not to be missed, in the unit of the metric; its sign means nothing.
      sd: standard deviation of the paired differences, where it is known.
      pilot: in place of `sd`: differences, (n,); or a pair of samples aligned by seed, (a, b); or a
        `Comparison`; of at least 2 pairs, all finite.
      power: probability of finding it, above 1 - level and below 1.
      level: of the interval, in (0, 1).

    Raises:
      ValueError: a line that names the parameter, the allowed range and the value given; more than
        2**32 seeds, which is all there are.

    >>> seeds_needed(0.01, sd=0.02)
    34
    """
    size = abs(_number("difference", difference))
    if size == 0:
        raise ValueError(f"difference must not be 0, got {difference!r}")
    _between("level", level, 0.0, 1.0)
    _between("power", power, 1 - level, 1.0)
    if (sd is None) == (pilot is None):
        raise ValueError(
            f"sd or pilot must be given, one of them, got sd={start_of(sd)} and {_kind(pilot)}"
        )
    spread = _positive("sd", sd) if pilot is None else _upper_sd(pilot)
    effect = size / spread
    return _smallest(lambda n: power_of(n, effect, level) >= power, effect)


def power_of(n: int, effect: float, level: float = LEVEL) -> float:
    """Computes the power of a two-sided t test of n differences.

    Args:
      n: at least 2.
      effect: true mean over true sd.
      level: 1 minus the size of the test.
    """
    import scipy.integrate  # here: it takes half a second
    import scipy.special

    freedom = n - 1
    critical = scipy.special.stdtrit(freedom, (1 + level) / 2)
    shift = effect * math.sqrt(n)

    # A noncentral t is a shifted normal over an independent estimate of its sd: given that, a
    # rejection is a normal probability. scipy's own function is NaN at some large shifts.
    def rejects(u: float) -> float:
        estimate = math.sqrt(scipy.special.chdtri(freedom, 1 - u) / freedom)
        limit = critical * estimate
        return scipy.special.ndtr(shift - limit) + scipy.special.ndtr(-shift - limit)

    power, _ = scipy.integrate.quad(rejects, 0.0, 1.0, epsabs=1e-10, limit=200)
    return float(power)


def _smallest(is_enough, effect: float) -> int:
    """The smallest n from 2 on that is enough; power grows with n."""
    high = 2
    while not is_enough(high):
        if high >= MOST:
            raise ValueError(
                f"difference must be one that {MOST} seeds can find, got {effect:.3g} times the sd"
            )
        high = min(2 * high, MOST)
    low = max(high // 2, 1)  # not enough, or too few to test at all
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


# --- pilots ------------------------------------------------------------------------------------


def _upper_sd(pilot) -> float:
    """The upper confidence limit of the sd of paired differences, from a pilot."""
    import scipy.special

    n, sd = _of_comparison(pilot) if hasattr(pilot, "difference_interval") else _of_sample(pilot)
    freedom = n - 1
    smallest = scipy.special.chdtri(freedom, ASSURANCE)  # what is exceeded with that probability
    return sd * math.sqrt(freedom / smallest)


def _of_comparison(comparison) -> tuple[int, float]:
    """The pairs of a `Comparison` and the sd of their differences, from its t interval."""
    import scipy.special

    n = comparison.both_survived
    low, high = comparison.difference_interval
    if not high > low:
        raise ValueError(
            f"pilot must have an interval of its difference with a width, got {(low, high)} of "
            f"{n} pairs"
        )
    t = scipy.special.stdtrit(n - 1, (1 + LEVEL) / 2)
    return n, float((high - low) / 2 / t * math.sqrt(n))


def _of_sample(pilot) -> tuple[int, float]:
    """The number of differences and their sd."""
    if isinstance(pilot, tuple) and len(pilot) == 2 and np.ndim(pilot[0]) == 1:
        first, second = (sample_of(name, side) for name, side in zip("ab", pilot, strict=True))
        if len(first) != len(second):
            raise ValueError(
                f"pilot must be a pair of samples of one length, got {len(first)} and {len(second)}"
            )
        rounding = max(map(rounding_of, pilot))
        differences = first - second
    else:
        differences, rounding = sample_of("pilot", pilot), rounding_of(pilot)
    lost = int((~np.isfinite(differences)).sum())
    if lost or len(differences) < 2:
        raise ValueError(
            "pilot must hold at least 2 differences, all finite (leave out pairs with a diverged "
            f"lane), got {len(differences)}, {lost} of them not finite"
        )
    if np.ptp(differences) <= rounding:
        raise ValueError(
            f"pilot must hold differences that vary, got {len(differences)} that are all "
            f"{differences[0]:.4g}"
        )
    return len(differences), float(differences.std(ddof=1))


def _kind(pilot) -> str:
    return "no pilot" if pilot is None else "a pilot"


# --- numbers -----------------------------------------------------------------------------------


def _number(name: str, value) -> float:
    """A finite real number as a float."""
    is_real = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
    if not is_real or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {start_of(value)}")
    return float(value)


def _positive(name: str, value) -> float:
    if _number(name, value) <= 0:
        raise ValueError(f"{name} must be a finite number above 0, got {start_of(value)}")
    return float(value)


def _between(name: str, value, low: float, high: float):
    if not low < _number(name, value) < high:
        raise ValueError(
            f"{name} must be a number above {low:.3g} and below {high:g}, got {start_of(value)}"
        )
