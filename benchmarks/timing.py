"""Timing on a noisy machine: contestants take turns, and what is reported is a ratio within one run."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl import Study
from jaxdl.running import compiler

BURST_SECONDS = 0.4  # about a segment of a run


def engine_burst(study: Study) -> Callable[[], float]:
    """A burst of lane-steps of a study's first program, as the engine compiles and calls it, on all devices.

    Args:
      study: of one config, with more steps than any burst needs and evaluated at its end only.

    Returns:
      () -> how many lane-steps were done.
    """
    devices = compiler.prepare_devices()
    compiled = compiler.compile_programs(study.spec, {0: study.plan().programs[0]}, devices)[
        0
    ].result()
    seeds = np.arange(compiled.lanes, dtype=np.uint32)
    lane, dataset = compiled.init(seeds, {}, compiled.shared)
    dataset = compiled.shared if dataset is None else dataset
    held = [compiled.segment(lane, dataset, seeds, {}, np.int32(0), np.int32(1))]

    def run(steps: int):
        held[0] = jax.block_until_ready(
            compiled.segment(held[0], dataset, seeds, {}, np.int32(1), np.int32(1 + steps))
        )

    steps = _steps_in(BURST_SECONDS, run)

    def burst() -> float:
        run(steps)
        return steps * compiled.lanes

    return burst


def _steps_in(wanted: float, run: Callable[[int], None]) -> int:
    """How many steps take about so many seconds, found by doubling; the better of two runs, as one may be held up."""
    steps = 1
    while True:
        seconds = min(_seconds(run, steps) for _ in range(2))
        if seconds > wanted / 4:
            return max(1, round(steps * wanted / seconds))
        steps *= 2


def _seconds(run: Callable[[int], None], steps: int) -> float:
    begin = time.perf_counter()
    run(steps)
    return time.perf_counter() - begin


def interleave(
    contestants: Mapping[Any, Callable[[], float]], rounds: int
) -> dict[Any, np.ndarray]:
    """Runs the contestants in turn, `rounds` times.

    Args:
      contestants: name -> function that does a burst of work and returns how many units it did.

    Returns:
      name -> units per second, (rounds,); a first round warms up and is not counted.
    """
    rates: dict[Any, list[float]] = {name: [] for name in contestants}
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


def device_name() -> str:
    """The devices at hand: how many, and of what kind."""
    devices = compiler.prepare_devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def write_json(path: str, **figures):
    """Writes figures with the device's name and the version of jax."""
    with open(path, "w") as file:
        json.dump({"device": device_name(), "jax": jax.__version__, **figures}, file, indent=1)
