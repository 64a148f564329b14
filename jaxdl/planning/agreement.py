"""How far two rehearsals are apart, in units of what rounding explains."""

from typing import Any

import jax
import numpy as np

from jaxdl.planning.rehearsal import Rehearsal

NUDGE_FACTOR = 20.0  # how much more than a nudged run a planned one may differ: it rounds elsewhere
TIGHT = 3e-5  # relative difference allowed besides: 1 - b2 of Adam in float32 is off by 1e-5
LOOSE = 1e-3  # the same once the counters were moved: bias corrections miss the steps left out
ROUNDING = 1e-6  # of a leaf beside the others of its tree: what a sum that cancels leaves over


def largest_ratio(ours: Rehearsal, theirs: Rehearsal, nudged: list[Rehearsal]) -> float:
    """Returns the largest difference between two rehearsals in units of what is allowed.

    Args:
      ours: planned; arrays may be larger than theirs, and must be zero beyond.
      theirs: plain.
      nudged: plain, from weights changed by a few units in the last place.
    """
    # How near is near? Rounding differs between the two, and some trainings amplify it: Adam makes
    # a gradient that is all rounding as large as any other. By how much, a plain run shows whose
    # weights were nudged. So each leaf may differ by the sum of three parts: NUDGE_FACTOR times
    # what the nudge moved it, TIGHT or LOOSE of its own size, and ROUNDING of its tree's largest.
    structure: Any = jax.tree.structure(ours)
    if structure != jax.tree.structure(theirs):
        return np.inf
    ratios = [0.0]
    for field in Rehearsal._fields:
        sides = [jax.tree.leaves(getattr(side, field)) for side in (ours, theirs, *nudged)]
        rounding = ROUNDING * max(map(_size, sides[1]), default=0.0)
        if field == "values":  # numbers that have nothing to do with each other
            rounding = 0.0
        for mine, plain, *others in zip(*sides, strict=True):
            if field in ("updates", "values"):
                ratios += _by_phase(mine, plain, others, rounding)
            else:
                ratios.append(_ratio(mine, plain, others, rounding, LOOSE))
    return max(ratios)


def _by_phase(
    mine,
    plain,
    others: list,
    rounding: float,
) -> list[float]:
    """The ratios of a leaf with a leading axis of phases; the first two start at the beginning."""
    ratios = []
    for phase in range(len(plain)):
        tolerance = TIGHT if phase < 2 else LOOSE
        nudged = [other[phase] for other in others]
        ratios.append(_ratio(mine[phase], plain[phase], nudged, rounding, tolerance))
    return ratios


def _ratio(
    mine,
    plain,
    others: list,
    rounding: float,
    tolerance: float,
) -> float:
    """The distance of two arrays over what is allowed; infinite where only one is finite."""
    # Both may diverge, at the same places. A padded array is compared where it is live, and what is
    # not zero beyond counts as distance: an optimizer that moves dead units is seen by that.
    mine, plain = np.asarray(mine, np.float64), np.asarray(plain, np.float64)
    if mine.ndim != plain.ndim or any(np.less(mine.shape, plain.shape)):
        return np.inf
    live = mine[tuple(slice(0, size) for size in plain.shape)]
    finite = np.isfinite(plain)
    if not np.array_equal(np.isfinite(live), finite):
        return np.inf
    distance = _norm(np.append(live[finite] - plain[finite], _dead(mine, live)))
    if not distance:
        return 0.0
    moved = 0.0
    for other in others:
        gap = np.asarray(other, np.float64)[finite] - plain[finite]
        moved = max(moved, _norm(gap[np.isfinite(gap)]))
    allowed = tolerance * _norm(plain[finite])
    allowed += NUDGE_FACTOR * moved
    allowed += rounding * np.sqrt(plain.size)
    return distance / allowed if allowed else np.inf


def _norm(values) -> float:
    return float(np.sqrt(np.sum(values**2)))


def _dead(mine, live) -> float:
    """The norm of what lies beyond the live part of a padded array."""
    if mine.shape == live.shape:
        return 0.0
    return float(np.sqrt(max(0.0, np.sum(mine**2) - np.sum(live**2))))


def _size(leaf) -> float:
    """The root mean square of a leaf's finite values."""
    values = np.asarray(leaf, np.float64)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
