"""Values of a sweep drawn from a distribution: once, by a seed, the same on every machine.

What is drawn is a plain list of numbers, which a study takes and stores as any other values. The
first values of a longer list are those of a shorter one: to ask for more adds configs.
"""

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxdl.checks import brief, positive_int, positive_number, seed_of

DIGITS = 6  # significant ones, so that values that differ are different float32s
MOST_DOUBLINGS = 6  # of the numbers drawn, in search of n values that differ


def log_uniform(low: float, high: float, n: int, seed: int = 0) -> list[float]:
    """Draws n values whose logarithms are uniform between those of `low` and `high`.

    No value stands twice. Lists of other bounds are drawn independently of this one, under the same
    seed too.

    >>> log_uniform(1e-4, 1e-1, n=3)[:2] == log_uniform(1e-4, 1e-1, n=2)
    True

    Raises:
      ValueError: bounds that are not 0 < low < high, a number below 1.
    """
    low, high = positive_number("low", low), positive_number("high", high)
    _check_order(low, high)
    start, span = math.log(low), math.log(high) - math.log(low)

    def place(shares):
        return np.clip(np.exp(start + shares * span), low, high)

    return _distinct(place, n, seed, "log_uniform", low, high)


def uniform(low: float, high: float, n: int, seed: int = 0) -> list[float]:
    """Draws n values that are uniform between `low` and `high`; see `log_uniform`.

    Raises:
      ValueError: bounds that are not finite and low < high, a number below 1.
    """
    for name, value in (("low", low), ("high", high)):
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {brief(value)}")
    _check_order(low, high)
    identity = ("uniform", float(low), float(high))
    return _distinct(lambda shares: low + shares * (high - low), n, seed, *identity)


def draw(distribution: Any, n: int, seed: int = 0) -> list:
    """Draws n values of a frozen scipy distribution; ints of a discrete one.

    A sweep takes each value once: of a discrete distribution, which gives the same one again, there
    may be fewer than n configs.

    >>> import scipy.stats
    >>> len(draw(scipy.stats.randint(1, 33), n=8))
    8

    Raises:
      ValueError: no distribution of single numbers, a number below 1.
    """
    quantiles = getattr(distribution, "ppf", None) or getattr(distribution, "icdf", None)
    if not callable(quantiles):
        raise ValueError(
            f"distribution must be a frozen one of scipy.stats, got {brief(distribution)}"
        )
    identity = _identity(distribution)
    if _is_discrete(distribution):
        return [int(value) for value in quantiles(_shares(n, seed, *identity))]
    return _distinct(quantiles, n, seed, *identity)


def _identity(distribution: Any) -> tuple:
    """What tells a distribution from others, whose draws are then independent of its own.

    Raises:
      ValueError: one of its parameters is an array, so that it is many distributions.
    """
    family = getattr(distribution, "dist", None)
    name = getattr(family, "name", type(distribution).__name__)
    positional = [("", value) for value in getattr(distribution, "args", ())]
    parameters = [*positional, *sorted(getattr(distribution, "kwds", {}).items())]
    if any(np.ndim(value) for _, value in parameters):
        raise ValueError(
            f"distribution must be of single numbers, got {name} of {brief(dict(parameters))}"
        )
    return (name, [(key, float(value)) for key, value in parameters])


def _is_discrete(distribution: Any) -> bool:
    import scipy.stats  # here: it takes half a second

    return isinstance(getattr(distribution, "dist", None), scipy.stats.rv_discrete)


def _check_order(low: float, high: float):
    if not low < high:
        raise ValueError(f"low must be below high, got {low:g} and {high:g}")


def _shares(n: int, seed: int, *identity) -> np.ndarray:
    """Numbers in [0, 1): the same for a seed and what is drawn, under any version of NumPy."""
    # Of two lists under one seed the pairs would lie on a line, if both came of the same numbers:
    # what is drawn is part of the key. NumPy keeps the numbers of a RandomState for ever.
    count = positive_int("n", n)
    key = zlib.crc32(repr(identity).encode())
    sequence = np.random.SeedSequence([seed_of("seed", seed), key])
    return np.random.RandomState(np.random.MT19937(sequence)).random_sample(count)


def _distinct(quantiles: Callable, n: int, seed: int, *identity) -> list[float]:
    """The first n values that differ from those before them.

    Raises:
      ValueError: there are not so many of `DIGITS` digits, or a value is no finite number.
    """
    count = positive_int("n", n)
    for _ in range(MOST_DOUBLINGS):
        values = np.asarray(quantiles(_shares(count, seed, *identity)))
        if values.shape != (count,) or not np.isfinite(values).all():
            raise ValueError(f"distribution must give finite numbers, got {brief(values[:3])}")
        # Few digits: what another machine computes differs in the last ones.
        different = list(dict.fromkeys(float(f"{value:.{DIGITS}g}") for value in values))
        if len(different) >= n:
            return different[:n]
        count *= 2
    raise ValueError(
        f"n must be at most the values of {DIGITS} digits that there are, got {n}: here are "
        f"{len(different)}"
    )
