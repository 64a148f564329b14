"""Timing on a noisy machine: contestants take turns, and ratios within one run are reported."""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl import Study
from jaxdl.running import compiler

BURST_SECONDS = 0.4  # about a segment of a run

Burst = Callable[[], float]  # does a burst of work and returns how many units of it


def command(name: str, doc: str | None, rounds: int = 7) -> argparse.ArgumentParser:
    """Makes the command line of a benchmark, with ``--rounds`` and ``--json``."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=doc)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--json", metavar="FILE", help="also writes the figures, with the device's name"
    )
    return parser


def compiled_program(study: Study) -> compiler.Compiled:
    """Compiles a study's first program as the engine does, for all devices."""
    devices = compiler.prepare_devices()
    program = study.plan().programs[0]
    return compiler.compile_programs(study.spec, {0: program}, devices)[0].result()


def engine_burst(study: Study) -> Burst:
    """Makes a burst of lane-steps of a study's first program, as the engine calls it.

    Args:
      study: of one config, with more steps than any burst needs and evaluated at its end only.

    Returns:
      () -> how many lane-steps were done.
    """
    compiled = compiled_program(study)
    seeds = np.arange(compiled.lanes, dtype=np.uint32)
    lane, dataset = compiled.init(seeds, {}, compiled.shared)
    dataset = compiled.shared if dataset is None else dataset

    def advance(lane, start: int, stop: int):
        moved = compiled.segment(lane, dataset, seeds, {}, np.int32(start), np.int32(stop))
        return jax.block_until_ready(moved)

    # A segment donates its lane: each goes on from what the last one has left. Steps begin at 1
    # again each time, so that no burst reaches the evaluation at the end.
    held = [advance(lane, 0, 1)]

    def run(steps: int):
        held[0] = advance(held[0], 1, 1 + steps)

    steps = _steps_in(BURST_SECONDS, run)

    def burst() -> float:
        run(steps)
        return steps * compiled.lanes

    return burst


def _steps_in(wanted: float, run: Callable[[int], None]) -> int:
    """Finds by doubling how many steps take about so many seconds."""
    steps = 1
    while True:
        # The better of two runs, as one may be held up.
        seconds = min(_seconds(run, steps) for _ in range(2))
        if seconds > wanted / 4:
            return max(1, round(steps * wanted / seconds))
        steps *= 2


def _seconds(run: Callable[[int], None], steps: int) -> float:
    begin = time.perf_counter()
    run(steps)
    return time.perf_counter() - begin


def interleave(contestants: Mapping[Any, Burst], rounds: int) -> dict[Any, np.ndarray]:
    """Runs the contestants in turn, `rounds` times.

    Returns:
      name -> units per second, (rounds,); a first round warms up and is not counted.
    """
    # In turns, because an identical twin timed after another differed by 1.5x on a shared machine:
    # a ratio is of bursts that stand next to each other.
    rates: dict[Any, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, burst in contestants.items():
            begin = time.perf_counter()
            units = burst()
            seconds = time.perf_counter() - begin
            if round_:
                rates[name].append(units / seconds)
    return {name: np.array(of_rounds) for name, of_rounds in rates.items()}


def spread(values) -> str:
    """Writes the median with the smallest and the largest."""
    return f"{np.median(values):.4g} [{np.min(values):.4g}, {np.max(values):.4g}]"


def device_name() -> str:
    """Names the devices at hand: how many, and of what kind."""
    devices = compiler.prepare_devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def write_json(path: str, **figures):
    """Writes figures with the device's name and the version of jax."""
    named = {"device": device_name(), "jax": jax.__version__, **figures}
    with open(path, "w") as file:
        json.dump(named, file, indent=1)
