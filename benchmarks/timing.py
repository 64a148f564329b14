"""Timing on a noisy machine: contestants take turns, and what is reported is a ratio within one run."""

import time
from collections.abc import Callable

import numpy as np


def interleave(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    """Runs the contestants in turn, `rounds` times.

    Args:
      contestants: name -> function that does a burst of work and returns how many units it did.

    Returns:
      name -> units per second, (rounds,); a first round warms up and is not counted.
    """
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, burst in contestants.items():
            begin = time.perf_counter()
            units = burst()
            if round_:
                rates[name].append(units / (time.perf_counter() - begin))
    return {name: np.array(found) for name, found in rates.items()}


def spread(values) -> str:
    """Median with smallest and largest."""
    return f"{np.median(values):.4g} [{np.min(values):.4g}, {np.max(values):.4g}]"
