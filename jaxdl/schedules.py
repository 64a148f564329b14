"""Schedules of the learning rate as shares of it: ``(count) -> share``, 1 at the peak.

An optimizer takes the rate times the share,

    schedule = schedules.warmup_cosine(1000, warmup=50)
    optimizer = lambda hp: optax.sgd(lambda count: hp.learning_rate * schedule(count))

so that the rate stays a number that lanes carry: some schedules of optax ask in Python whether
their peak is 0, and each rate would be a program of its own. `count` is the number of updates
before this one: the first update has the share of 0, the last one that of ``steps - 1``. All
arguments that are numbers may be values of `hp`.
"""

import math
from collections.abc import Callable, Iterable

import jax.numpy as jnp

from jaxdl.checks import brief, number_between, number_within
from jaxdl.types import traced

__all__ = [
    "Schedule",
    "linear",
    "one_cycle",
    "step_decay",
    "triangular",
    "warmup_cosine",
]

MOST_STEPS = 2**31
Schedule = Callable  # (count) -> share, a float32 scalar


def linear(steps, *, warmup=0, start=0.0, end=0.0) -> Schedule:
    """Falls along a line, from 1 to `end`, after a warm-up along another one.

    Args:
      steps: at which `end` is reached, and stays.
      warmup: steps in which the share rises from `start` to 1.
      start: share of the first update, where there is a warm-up.
      end: share from `steps` on.

    Raises:
      ValueError: steps that are no number above 0, a warm-up that is not from 0 to steps, a
        share that is not from 0 to 1.

    >>> [float(linear(4)(count)) for count in range(5)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return _warmed_up(_line, steps, warmup, start, end)


def warmup_cosine(steps, warmup=0, *, start=0.0, end=0.0) -> Schedule:
    """Rises along a line, then falls along half a cosine (Loshchilov and Hutter, 2017, without
    restarts): end + (1 - end) (1 + cos(pi t)) / 2, where t goes from 0 to 1.

    Without a warm-up it is PyTorch's CosineAnnealingLR. Arguments and errors as for `linear`.

    >>> [round(float(warmup_cosine(6, warmup=2)(count)), 3) for count in range(7)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    return _warmed_up(_cosine, steps, warmup, start, end)


def triangular(steps, peak=0.5, *, start=0.0, end=0.0) -> Schedule:
    """Rises along a line and falls along another one.

    Args:
      steps: at which `end` is reached, and stays.
      peak: where the share is 1, itself a share of steps, from 0 to 1.
      start, end: shares of the first update, and from `steps` on.

    Raises:
      ValueError: steps that are no number above 0, a share that is not from 0 to 1.

    >>> [float(triangular(4, start=0.5)(count)) for count in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """
    _check_steps(steps)
    _check_share("peak", peak)
    return _warmed_up(_line, steps, peak * steps, start, end)


def one_cycle(steps, peak=0.3, *, start=1 / 25, end=1 / 250_000) -> Schedule:
    """Rises along half a cosine and falls along another one: PyTorch's OneCycleLR (Smith and
    Topin, 2018), which reaches `end` with the last update, at ``steps - 1``.

    Args:
      steps: number of updates.
      peak: where the share is 1, itself a share of steps, from 0 to 1.
      start, end: shares of the first and of the last update: 1 / div_factor, and 1 / (div_factor
        final_div_factor) there.

    Raises:
      ValueError: steps that are no number above 0, a share that is not from 0 to 1.
    """
    _check_steps(steps)
    _check_share("peak", peak)
    _check_share("start", start)
    _check_share("end", end)

    def share(count):
        top = peak * steps - 1
        rise = _cosine(_progress(count, 0, top), start, 1.0)
        fall = _cosine(_progress(count, top, steps - 1), 1.0, end)
        return jnp.where(count < top, rise, fall)

    return share


def step_decay(boundaries: Iterable, factor=0.1) -> Schedule:
    """Multiplies by a factor at each boundary: PyTorch's MultiStepLR.

    Args:
      boundaries: counts from which on the share is smaller; ``range(30, steps, 30)`` for every
        30th.
      factor: from 0 to 1.

    Raises:
      ValueError: a boundary below 0, a factor that is not from 0 to 1.

    >>> [float(step_decay([2, 3], 0.5)(count)) for count in range(4)]
    [1.0, 1.0, 0.5, 0.25]
    """
    _check_share("factor", factor)
    if not isinstance(boundaries, Iterable) or isinstance(boundaries, str):
        wanted = "a list of counts, as range(30, steps, 30)"
        raise ValueError(f"boundaries must be {wanted}, got {brief(boundaries)}")
    counts = tuple(boundaries)
    for boundary in counts:
        _check_number("boundaries", boundary, 0, math.inf)

    def share(count):
        passed = sum(jnp.where(count >= boundary, 1, 0) for boundary in counts)
        return jnp.power(jnp.float32(factor), passed)

    return share


def _warmed_up(falling: Callable, steps, warmup, start, end) -> Schedule:
    """A line from `start` to 1, then a way down to `end`."""
    _check_steps(steps)
    _check_number("warmup", warmup, 0, steps)
    _check_share("start", start)
    _check_share("end", end)

    def share(count):
        rise = _line(_progress(count, 0, warmup), start, 1.0)
        fall = falling(_progress(count, warmup, steps), 1.0, end)
        return jnp.where(count < warmup, rise, fall)

    return share


def _progress(count, begin, end):
    """How far a count is from `begin` to `end`, float32 from 0 to 1; 1 where these are one."""
    length = jnp.asarray(end - begin, jnp.float32)
    passed = jnp.asarray(count - begin, jnp.float32)
    # no division by zero, of which `jax_debug_nans` would hear though nobody looks at it
    progress = passed / jnp.where(length > 0, length, 1.0)
    return jnp.where(length > 0, jnp.clip(progress, 0.0, 1.0), 1.0)


def _line(progress, begin, end):
    return begin + (end - begin) * progress


def _cosine(progress, begin, end):
    return end + (begin - end) * (1 + jnp.cos(jnp.pi * progress)) / 2


def _check_steps(steps):
    if not traced(steps):
        number_within("steps", steps, 0, MOST_STEPS)


def _check_share(name: str, value):
    _check_number(name, value, 0, 1)


def _check_number(name: str, value, least, most):
    """Refuses what is no number of a range, where it and the range are known."""
    if not any(map(traced, (value, least, most))):
        number_between(name, value, least, most)
