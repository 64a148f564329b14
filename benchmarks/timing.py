"""Times contestants on a noisy machine: they take turns, and a ratio within one run is reported."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl import Study
from jaxdl.running import compiler, engine

BURST_SECONDS = 0.4  # about a segment of a run


def engine_burst(study: Study) -> Callable[[], float]:
    """Makes a burst of lane-steps of a study's first program, as the engine compiles and calls it.

    All devices take part; `engine.calibrate` says how many steps take about `BURST_SECONDS`.

    Args:
      study: of one config, with more steps than any burst needs and evaluated at its end only.

    Returns:
      () -> how many lane-steps were done.
    """
    devices, program = compiler.prepare_devices(), study.plan().programs[0]
    compiled = compiler.compile_programs(study.spec.parts, {0: program}, devices)[0].result()
    seconds = compiled.lanes * engine.calibrate(study.spec, program, compiled)  # of a chunk
    steps = max(1, round(program.schedule.steps * BURST_SECONDS / seconds))
    seeds = np.arange(compiled.lanes, dtype=np.uint32)
    lane, dataset = compiled.init(seeds, {}, compiled.shared)
    dataset = compiled.shared if dataset is None else dataset
    # a first step draws the initial weights, and is evaluated
    held = [compiled.segment(lane, dataset, seeds, {}, np.int32(0), np.int32(1))]

    def burst() -> float:
        advanced = compiled.segment(held[0], dataset, seeds, {}, np.int32(1), np.int32(1 + steps))
        held[0] = jax.block_until_ready(advanced)
        return steps * compiled.lanes

    return burst


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
    return {name: np.array(values) for name, values in rates.items()}


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
