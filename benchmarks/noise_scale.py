"""Estimates the gradient noise scale, and the critical batch size from steps to a target.

McCandlish, Kaplan, Amodei and others (2018), An Empirical Model of Large-Batch Training
(arXiv:1812.06162): with a gradient G and the covariance S of single examples' gradients, a batch of
B has E|G_B|^2 = |G|^2 + tr(S) / B, and the noise scale tr(S) / |G|^2 predicts the batch size up to
which a larger one saves steps. Steps to a target then follow S_min (1 + B_crit / B).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from jaxdl import stats

RESAMPLES = 400
LEAST_POINTS = 3  # batch sizes with a finite number of steps, to fit two parameters


class Moments(NamedTuple):
    """Unbiased estimates of |G|^2 and tr(S)."""

    square: Any
    trace: Any


class Estimate(NamedTuple):
    """A figure with its 95 % interval over seeds; NaN where it cannot be told."""

    value: float
    interval: tuple[float, float]


def moments(small_square, large_square, small: int, large: int) -> Moments:
    """Solves E|G_B|^2 = |G|^2 + tr(S) / B of two batch sizes for both unknowns (appendix A.1).

    Args:
      small_square, large_square: squared norms of gradients of batches of either size.
      small, large: the batch sizes.

    Raises:
      ValueError: sizes that are equal or the other way round.
    """
    if not 0 < small < large:
        raise ValueError(f"small must be below large and above 0, got {small} and {large}")
    square = (large * large_square - small * small_square) / (large - small)
    trace = (small_square - large_square) / (1 / small - 1 / large)
    return Moments(square, trace)


def estimate_moments(
    gradient: Callable[[Any], Any], key, small: int, batches: int, draws: int
) -> Moments:
    """Estimates both moments from batches of two sizes, `small` and `batches` times as large.

    A large batch is made of small ones, whose gradients' mean is its own: as cheap as the large one
    alone. Examples are to be drawn independently: batches without replacement vary less.

    Args:
      gradient: (key) -> the gradient of a fresh batch of `small` examples, any tree.
      draws: large batches, over which the estimates are averaged.
    """

    def draw(number):
        keys = jax.random.split(jax.random.fold_in(key, number), batches)
        grads = jax.vmap(lambda each: flat(gradient(each)))(keys)
        small_square = jnp.mean(jnp.sum(grads**2, axis=1))
        large_square = jnp.sum(jnp.mean(grads, axis=0) ** 2)
        return moments(small_square, large_square, small, small * batches)

    each = jax.lax.map(draw, jnp.arange(draws))
    return Moments(jnp.mean(each.square), jnp.mean(each.trace))


def flat(tree):
    """Puts all numbers of a tree into one vector."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def noise_scale(squares, traces) -> Estimate:
    """Estimates tr(S) / |G|^2 from one estimate of both a seed.

    A ratio of means, not a mean of ratios: that of a seed is biased, and has no mean where its
    |G|^2 may come out as 0. The interval is a percentile bootstrap over seeds. An estimate of |G|^2
    that is not above 0 tells nothing: NaN, and infinite in the interval.
    """
    squares, traces = np.asarray(squares, float), np.asarray(traces, float)
    known = np.isfinite(squares) & np.isfinite(traces)
    squares, traces = squares[known], traces[known]
    if len(squares) < 2:
        return Estimate(np.nan, (np.nan, np.nan))
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(squares), (RESAMPLES, len(squares)))
    resampled = ratio(squares[rows].mean(axis=1), traces[rows].mean(axis=1))
    ordered = np.where(np.isnan(resampled), np.inf, resampled)
    low, high = stats.quantile(ordered, [0.025, 0.975])
    value = float(ratio(squares.mean(), traces.mean()))
    return Estimate(value, (float(low), float(high)))


def ratio(square, trace):
    """Divides where |G|^2 is above 0; NaN elsewhere."""
    safe = np.where(square > 0, square, np.nan)
    return trace / safe


def critical_batch(batch_sizes, steps) -> Estimate:
    """Fits S_min (1 + B_crit / B) to the median steps to a target; returns B_crit.

    On a logarithmic scale, by least squares. At B_crit twice as many steps are needed as perfect
    scaling promises: there it ends. Medians that are infinite are left out. The interval is a
    percentile bootstrap over seeds.

    Args:
      batch_sizes: (sizes,).
      steps: (sizes, seeds), infinite where a seed never gets there.
    """
    sizes, steps = np.asarray(batch_sizes, float), np.asarray(steps, float)
    value = fitted(sizes, medians(steps))
    if np.isnan(value):
        return Estimate(np.nan, (np.nan, np.nan))
    generator = np.random.default_rng(0)
    count = steps.shape[1]
    resampled = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, count, count)
        resampled.append(fitted(sizes, medians(steps[:, rows])))
    told = np.array(resampled)
    low, high = stats.quantile(told[~np.isnan(told)], [0.025, 0.975])
    return Estimate(value, (float(low), float(high)))


def medians(steps: np.ndarray) -> np.ndarray:
    """Gives the median over seeds, of (sizes, seeds); infinite where half of them are."""
    return stats.quantile(steps.T, 0.5)


def fitted(sizes: np.ndarray, steps: np.ndarray) -> float:
    """Fits B_crit to steps by batch size; NaN where too few are finite and above 0."""
    known = np.isfinite(steps) & (steps > 0)
    if known.sum() < LEAST_POINTS:
        return np.nan
    sizes, logarithms = sizes[known], np.log(steps[known])

    def misfit(log_critical: float) -> float:
        residual = logarithms - np.log1p(np.exp(log_critical) / sizes)
        return float(np.var(residual))  # S_min is whatever is left on average

    # From far below the smallest batch (steps do not depend on it) to far above the largest.
    bounds = (np.log(sizes.min() / 100), np.log(sizes.max() * 100))
    found = scipy.optimize.minimize_scalar(misfit, bounds=bounds, method="bounded")
    # At a bound it is no figure but "beyond all batch sizes", or "below".
    at_low, at_high = np.isclose(found.x, bounds, atol=0.05)
    return 0.0 if at_low else np.inf if at_high else float(np.exp(found.x))
