"""Where the variance of a metric comes from: shares of crossed random factors, with intervals."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxdl.reporting.intervals import TAIL, TOO_FEW, Interval, rounding_of
from jaxdl.reporting.samples import sample_of, start_of

DRAWS = 20_000
REST = "rest"  # of the variance: the interaction of all factors, and what no factor explains
JOINT = " x "  # between the names of factors that interact

Effect = tuple[str, ...]  # the factors of a main effect or an interaction


class Share(NamedTuple):
    """One component of the variance."""

    variance: float  # in squared units of the metric; not negative
    share: float  # of the sum of all components
    interval: Interval  # of the share, 95 %; (NaN, NaN) where nothing varies
    clipped: bool  # whether the estimate came out negative, and 0 stands in its place


class VarianceShares(NamedTuple):
    """What each factor contributes to the variance of a metric."""

    n: int  # lanes
    levels: dict[str, int]  # factor -> seeds it was varied over
    total: float  # sum of the components
    shares: dict[str, Share]  # factors, interactions as "a x b", then "rest"; the largest not first

    @property
    def clipped(self) -> tuple[str, ...]:
        """The components whose estimate came out negative and counts as 0."""
        return tuple(name for name, share in self.shares.items() if share.clipped)

    def __str__(self) -> str:
        levels = " x ".join(f"{count} {name}" for name, count in self.levels.items())
        lines = [f"shares of a variance of {self.total:.3g} over {self.n} lanes ({levels})"]
        for name, part in self.shares.items():
            low, high = part.interval
            note = " (the estimate was negative: clipped to 0)" if part.clipped else ""
            # never [0 %, 0 %] of what is only small
            ends = f"[{100 * low:.3g}, {100 * high:.3g}]"
            lines.append(f"  {name}: {100 * part.share:.3g} % {ends}{note}")
        return "\n".join(lines)


def variance_shares(
    values, factors: Mapping[str, Any], interactions: bool = True
) -> VarianceShares:
    """Splits the variance of a metric among crossed random factors, such as streams of seeds.

    The layout is crossed and balanced: every combination of levels occurs equally often, mostly
    once. The model is ``value = mean + effect of each factor + interactions + rest``, all random
    and independent. The components are those that the mean squares of the analysis of variance
    expect (method of moments; unbiased before clipping, and for normal effects of least variance
    among unbiased estimates; Searle, Casella and McCulloch 1992, Variance Components, chapter 4).
    Negative estimates are set to 0 and marked.

    Where a combination occurs once, the interaction of all factors cannot be told from what no
    factor explains: together they are ``"rest"``. Where it occurs more often, that interaction has
    a name of its own.

    Intervals are generalised (fiducial) ones: each mean square over its chi-squared variable stands
    for its expectation, and the 2.5 and 97.5 % points of the shares that follow are taken from
    20,000 draws under a fixed seed (Weerahandi 1993, JASA 88, 899; Hannig, Iyer and Patterson 2006,
    JASA 101, 254). Heavy tails of the effects that are seen count as fewer degrees of freedom.
    Coverage of two factors of 4, 8 or 20 levels, normal effects: 94 to 99. No method holds what so
    few levels do not show: of 20 levels with one outlier in ten 84 to 88, lognormal ones 63 to 70.

    Args:
      values: (n,), finite; one a lane.
      factors: name -> (n,) levels, such as the seed of each lane in one stream.
      interactions: False counts all interactions to the rest, for few levels of many factors.

    Raises:
      ValueError, TypeError: values that are not finite numbers (a diverged lane has no place in a
        balanced layout), other lengths, a factor of one level, a layout that is not crossed and
        balanced, or one without any residual.

    >>> rows, columns = np.divmod(np.arange(6), 3)
    >>> found = variance_shares([0, 1, 2, 4, 5, 6], {"init": rows, "data": columns})
    >>> {name: round(part.share, 2) for name, part in found.shares.items()}
    {'init': 0.89, 'data': 0.11, 'rest': 0.0}
    """
    sample = _finite(values)
    labels, levels = _levels(factors, len(sample))
    table = _table(sample, labels, levels)
    names = tuple(levels)
    squares = _mean_squares(table, names)
    # What rounding alone leaves over is no variance: metrics are float32.
    noise = rounding_of(values) ** 2
    for effect, square in squares.items():
        squares[effect] = square._replace(value=square.value if square.value > noise else 0.0)
    found = {effect: square.value for effect, square in squares.items()}
    components = _components(found, levels, table.shape[-1], interactions)
    clipped = {effect: max(float(value), 0.0) for effect, value in components.items()}
    total = sum(clipped.values())
    intervals = _intervals(squares, levels, table.shape[-1], interactions)
    shares = {}
    for effect, variance in clipped.items():
        share = variance / total if total else math.nan
        interval = intervals[effect] if total else TOO_FEW
        shares[_name(effect, names, table.shape[-1])] = Share(
            variance, share, interval, bool(components[effect] < 0)
        )
    return VarianceShares(len(sample), levels, total, shares)


# --- the layout --------------------------------------------------------------------------------


def _finite(values) -> Float[np.ndarray, " n"]:
    sample = sample_of("values", values)
    lost = int((~np.isfinite(sample)).sum())
    if lost:
        raise ValueError(
            f"values must be finite, got {lost} of {len(sample)} that are not: a lane that was "
            "lost has no place in a balanced layout"
        )
    return sample


def _levels(factors, n: int) -> tuple[list[Int[np.ndarray, " n"]], dict[str, int]]:
    """The level of each lane by factor, counted from 0, and how many levels there are."""
    if not isinstance(factors, Mapping) or not factors:
        raise ValueError(f"factors must be a dict of name -> levels, got {start_of(factors)}")
    labels, levels = [], {}
    for name, column in factors.items():
        if not isinstance(name, str) or name == REST or JOINT in name:
            raise ValueError(f"factors must have names, other than {REST!r}, got {start_of(name)}")
        given = np.asarray(column)
        if given.shape != (n,):
            raise ValueError(
                f"factor {name} must have {n} levels, one a value, got shape {given.shape}"
            )
        distinct, label = np.unique(given, return_inverse=True)
        if len(distinct) < 2:
            raise ValueError(f"factor {name} must have at least 2 levels, got {len(distinct)}")
        labels.append(label)
        levels[name] = len(distinct)
    return labels, levels


def _table(sample, labels: list, levels: dict[str, int]) -> Float[np.ndarray, "..."]:
    """The values with an axis a factor, and a last one of the values that share a combination."""
    shape = tuple(levels.values())
    cells = math.prod(shape)
    cell = np.ravel_multi_index(labels, shape)
    counts = np.bincount(cell, minlength=cells)
    repeats = len(sample) // cells
    if repeats == 0 or not np.all(counts == repeats):
        raise ValueError(
            "factors must be crossed and balanced, every combination of levels equally often, got "
            f"{counts.min()} to {counts.max()} values in the {cells} combinations"
        )
    if repeats == 1 and len(shape) == 1:
        raise ValueError(
            "factors must leave a residual: two of them, or several values a level, got one "
            "factor with one value a level"
        )
    return sample[np.argsort(cell, kind="stable")].reshape(*shape, repeats)


def _name(effect: Effect, names: tuple[str, ...], repeats: int) -> str:
    is_last = len(effect) > len(names) or (repeats == 1 and effect == names)
    return REST if is_last else JOINT.join(effect)


# --- analysis of variance ----------------------------------------------------------------------


def _effects(names: tuple[str, ...]) -> list[Effect]:
    """Main effects, then interactions of two, of three..."""
    sizes = range(1, len(names) + 1)
    by_size = (itertools.combinations(names, size) for size in sizes)
    return list(itertools.chain.from_iterable(by_size))


class _MeanSquare(NamedTuple):
    """The mean square of an effect."""

    value: float
    freedom: float  # degrees of freedom, fewer where the effects have heavy tails


def _mean_squares(table, names: tuple[str, ...]) -> dict[Effect, _MeanSquare]:
    """The mean square of each effect; the residual's is last."""
    repeats = table.shape[-1]
    means = table.mean(axis=-1)
    squares = {}
    for effect in _effects(names):
        # An effect is what its factors leave of the means: centred along them, averaged over others
        deviation = means
        for axis, name in enumerate(names):
            average = deviation.mean(axis=axis, keepdims=True)
            deviation = deviation - average if name in effect else average
        count = table.size // deviation.size
        free = math.prod(table.shape[names.index(name)] - 1 for name in effect)
        squares[effect] = _mean_square(deviation, count, free)
    if repeats > 1:
        residual = (*names, REST)
        within = table - means[..., None]
        squares[residual] = _mean_square(within, 1, means.size * (repeats - 1))
    return squares


def _mean_square(deviation, count: int, freedom: int) -> _MeanSquare:
    """The mean square of deviations, each of which stands for `count` values."""
    # A mean square of normal effects varies by 2 / freedom of its size squared, one of effects with
    # an excess kurtosis by kurtosis / effects more: it then counts as one of fewer degrees of
    # freedom (Box 1953, Biometrika 40, 318; Shoemaker 2003, The American Statistician 57, 105).
    effects = deviation.size
    value = count * float(np.sum(deviation**2)) / freedom
    second = float(np.mean(deviation**2))
    excess = float(np.mean(deviation**4)) / second**2 - 3 if second else 0.0
    # Fewer tails than normal ones are no reason to be surer: so few effects do not prove them.
    return _MeanSquare(value, 2 / (2 / freedom + max(excess, 0.0) / effects))


def _components(
    squares: Mapping[Effect, Any],
    levels: dict[str, int],
    repeats: int,
    interactions: bool,
) -> dict[Effect, Any]:
    """Solves the expected mean squares for the components; they may be negative.

    Args:
      squares: mean squares, or draws of their expectations, arrays of one shape.
    """
    # A mean square expects the sum over all effects T that contain S of (values a level of T)
    # times T's component. Inclusion and exclusion over the sets between solves that.
    components = {}
    for effect in squares:
        factors = set(effect)
        combination = 0.0
        for other, square in squares.items():
            if factors <= set(other) and len(other) <= len(levels):
                combination = combination + (-1) ** (len(other) - len(effect)) * square
        per_level = repeats * math.prod(
            count for name, count in levels.items() if name not in factors
        )
        components[effect] = combination / per_level
    if repeats > 1:
        names = tuple(levels)
        residual = (*names, REST)
        components[residual] = squares[residual]
        components[names] = (squares[names] - squares[residual]) / repeats
    return components if interactions else _pooled(components, tuple(levels))


def _pooled(components: dict[Effect, Any], names: tuple[str, ...]) -> dict[Effect, Any]:
    """Adds up all that is no main effect."""
    pooled: dict[Effect, Any] = {(name,): components[(name,)] for name in names}
    pooled[(*names, REST)] = sum(value for effect, value in components.items() if len(effect) > 1)
    return pooled


def _intervals(
    squares: dict[Effect, _MeanSquare],
    levels: dict[str, int],
    repeats: int,
    interactions: bool,
) -> dict[Effect, Interval]:
    """The generalised interval of each component's share."""
    generator = np.random.default_rng(0)  # fixed, so that a table can be made again
    drawn = {}
    for effect, square in squares.items():
        chi_squared = generator.chisquare(square.freedom, DRAWS)
        drawn[effect] = square.value * square.freedom / chi_squared
    parts = {}
    for effect, component in _components(drawn, levels, repeats, interactions).items():
        parts[effect] = np.maximum(component, 0.0)
    total = sum(parts.values())
    intervals = {}
    for effect, part in parts.items():
        share = np.divide(part, total, out=np.zeros(DRAWS), where=total > 0)
        low, high = np.quantile(share, [TAIL, 1 - TAIL])
        intervals[effect] = (float(low), float(high))
    return intervals
