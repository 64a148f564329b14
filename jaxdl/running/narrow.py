"""Seeds are added until an interval is narrow: what is asked for, when one looks, what is found."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxdl.checks import brief, positive_int, positive_number
from jaxdl.planning.seeds import Seed
from jaxdl.reporting.intervals import Interval
from jaxdl.reporting.sequences import always_valid_interval, difference_bounds
from jaxdl.reporting.stats import missing

FIRST = 32  # seeds at the first look, unless the study declares more
GROWTH = 1.5  # of the seeds from look to look

Bounds = tuple[float, float]


class Narrow(NamedTuple):
    """How narrow an interval is wanted: see `Study.run`.

    Attributes:
      metric: of the history, at each lane's last evaluation.
      width: of the interval of the mean from end to end, in the unit of the metric.
      most: seeds of a config at most.
      compare: a pair of configs, (a, b): then the interval is that of the mean difference a - b,
        paired by seed. None: that of the mean, of every config.
      bounds: (low, high) that no value of the metric can leave; the interval then holds exactly,
        else asymptotically. None: (0, 1) for the accuracies of `jaxdl.losses`, else no bounds.
    """

    metric: str
    width: float
    most: int
    compare: tuple[Mapping, Mapping] | None = None
    bounds: Bounds | None = None


class Found(NamedTuple):
    """The interval of one config, or of a difference."""

    of: str  # in words
    n: int  # seeds
    survived: int  # of them; the mean is over these, of a difference over pairs that both survived
    mean: float
    interval: Interval  # always-valid, 95 %; (NaN, NaN) where there are too few


class Narrowed(NamedTuple):
    """What a study that adds seeds has stopped at."""

    asked: Narrow
    bounds: Bounds | None  # of the metric; None where the intervals are asymptotic
    seeds: int
    found: tuple[Found, ...]

    @property
    def widest(self) -> float:
        """The width of the widest interval; infinite where one has too few lanes for any."""
        widths = [each.interval[1] - each.interval[0] for each in self.found]
        return max(math.inf if math.isnan(width) else width for width in widths)

    @property
    def reached(self) -> bool:
        """Whether every interval is as narrow as was asked for."""
        return self.widest <= self.asked.width

    @property
    def progress(self) -> str:
        """Says in a line how far it is."""
        return (
            f"{self.seeds} seeds: the widest interval of {self.asked.metric} is "
            f"{self._widest_text}, wanted is {self.asked.width:g}"
        )

    @property
    def _widest_text(self) -> str:
        return "not there yet" if math.isinf(self.widest) else f"{self.widest:.4g}"

    def __str__(self) -> str:
        return "\n".join([self._verdict(), *map(_line, self.found), self._method()])

    def _verdict(self) -> str:
        metric, width, most = self.asked.metric, self.asked.width, self.asked.most
        if self.reached:
            return f"{metric}: stopped at {self.seeds} seeds, intervals at most {width:g} wide"
        return (
            f"{metric}: NOT reached: a width of {width:g} was wanted, the widest interval after "
            f"most = {most} seeds is {self._widest_text}"
        )

    def _method(self) -> str:
        if self.bounds is None:
            kind = "asymptotic: the metric has no known bounds"
        else:
            kind = f"exact for values from {self.bounds[0]:g} to {self.bounds[1]:g}"
        return (
            f"always-valid 95 % intervals of means over surviving lanes ({kind}); all other "
            "intervals take the number of seeds as fixed before"
        )


def _line(found: Found) -> str:
    low, high = found.interval
    ends = "n too small" if math.isnan(low) else f"[{low:.4g}, {high:.4g}]"
    return f"{found.of}: {found.mean:.4g} {ends}, {found.survived} of {found.n} survived"


def check_narrow(until, seeds: tuple[Seed, ...]) -> Narrow:
    """Checks what is asked for, as far as no metric and config is needed for that.

    Raises:
      ValueError, TypeError: a line that names the parameter, the allowed range and the value given.
    """
    if not isinstance(until, Narrow):
        raise TypeError(f"until must be a Narrow, got {brief(until)}")
    if not isinstance(until.metric, str):
        raise TypeError(f"metric of until must be the name of a metric, got {brief(until.metric)}")
    if not all(isinstance(seed, int) for seed in seeds):
        raise ValueError(
            "seeds must be a number or a list of them where until adds some, got Seeds of streams"
        )
    positive_number("width of until", until.width)
    if positive_int("most of until", until.most) < len(seeds):
        raise ValueError(
            f"most of until must be at least the {len(seeds)} seeds of the study, got {until.most}"
        )
    positive_int("most of until", until.most, most=2**32)
    _check_pair(until.compare)
    if until.bounds is not None:
        _check_bounds(until.bounds)
    return until


def _check_pair(pair):
    if pair is None:
        return
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"compare of until must be a pair of configs, got {brief(pair)}")


def _check_bounds(bounds):
    numbers = np.asarray(bounds, object)
    is_pair = numbers.shape == (2,) and np.asarray(bounds).dtype.kind in "iuf"
    if not is_pair or not -math.inf < bounds[0] < bounds[1] < math.inf:
        raise ValueError(
            f"bounds of until must be two finite numbers, the lower first, got {brief(bounds)}"
        )


def looks(seeds: tuple[Seed, ...], most: int) -> list[tuple[Seed, ...]]:
    """Lists the seeds at each look: the declared ones first, then 0, 1, ... as far as not declared.

    They follow from the arguments alone: a run that was killed comes to the same looks.

    >>> [len(each) for each in looks((0, 1), 120)], looks((7, 0), 4)
    ([32, 48, 72, 108, 120], [(7, 0, 1, 2)])
    """
    declared = set(seeds)
    fresh = (seed for seed in range(most + len(seeds)) if seed not in declared)
    every = (*seeds, *fresh)[:most]
    sizes = [min(max(len(seeds), FIRST), most)]
    while sizes[-1] < most:
        sizes.append(min(math.ceil(GROWTH * sizes[-1]), most))
    return [every[:size] for size in sizes]


def found_of_config(
    of: str,
    values: np.ndarray,
    diverged: np.ndarray,
    bounds: Bounds | None,
) -> Found:
    """Finds the interval of one config's mean over the lanes that survived.

    Survivors are an independent sample of the seeds that survive, whenever one looks; how many are
    lost is said beside.
    """
    alive = values[~missing(values, diverged)]
    return _found(of, len(values), alive, bounds)


def found_of_pair(
    of: str,
    values: tuple[np.ndarray, np.ndarray],
    diverged: tuple[np.ndarray, np.ndarray],
    bounds: Bounds | None,
) -> Found:
    """Finds the interval of a mean difference over the pairs of which both survived."""
    lost = missing(values[0], diverged[0]) | missing(values[1], diverged[1])
    first, second = (side[~lost] for side in values)
    return _found(of, len(lost), first - second, difference_bounds(bounds))


def _found(of: str, n: int, alive: np.ndarray, bounds: Bounds | None) -> Found:
    mean = float(np.mean(alive, dtype=float)) if len(alive) else math.nan
    return Found(of, n, len(alive), mean, always_valid_interval(alive, bounds))


__all__ = [
    "Found",
    "Narrow",
    "Narrowed",
    "check_narrow",
    "found_of_config",
    "found_of_pair",
    "looks",
]
