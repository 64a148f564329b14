"""What do checkpoints and progress cost, and is the planned memory the memory used?

Cost: the same study with a run folder and progress on stderr, and in memory without either, in
turns. Memory: the growth of the process's peak resident size over a run of large lanes, against the
plan's figure.

Command: python -m benchmarks overhead [--rounds N] [--seconds S]
"""

import argparse
import contextlib
import math
import os
import resource
import tempfile
import time

import numpy as np
import optax

from benchmarks.timing import spread
from jaxdl import Study, models, tasks
from jaxdl.reporting.tables import Table

SEEDS = 512
PILOT = 2000  # steps of the study that tells how many steps take so long


def study(steps: int) -> Study:
    """The batch-size study's network at batch 128."""
    return Study(
        tasks.moons(1000, 0.1),
        models.mlp(2, (20,), 2),
        optax.sgd(0.1),
        batch_size=128,
        seeds=SEEDS,
        steps=steps,
        eval_every=500,
    )


def cost(rounds: int, seconds: float) -> tuple[tuple, tuple]:
    """The time without checkpoints and progress, and the ratio of the time with them to it."""
    pilot_seconds = study(PILOT).plan(measure=True).seconds
    ready = study(max(100, int(PILOT * seconds / pilot_seconds)))
    ready.plan(measure=True)
    times: dict[bool, list[float]] = {True: [], False: []}
    for round_ in range(rounds):
        # Each goes first in turn: the second run finds a warm machine.
        for stored in (True, False) if round_ % 2 else (False, True):
            times[stored].append(run_seconds(ready, stored))
    ratios = np.divide(times[True], times[False])
    return (
        ("time without, s", spread(times[False])),
        ("time with / without, median [min, max]", spread(ratios)),
    )


def run_seconds(ready: Study, stored: bool) -> float:
    """Times a run, with a folder and progress or without either."""
    with (
        tempfile.TemporaryDirectory() as box,
        open(os.devnull, "w") as silent,
        contextlib.redirect_stderr(silent),
    ):
        folder = os.path.join(box, "run") if stored else None
        begin = time.perf_counter()
        ready.run(folder, progress=stored)
        return time.perf_counter() - begin


def memory() -> tuple:
    """Peak resident memory beyond what the process held before, in MB, and the plan's figure."""
    wide = Study(
        tasks.moons(1000, 0.1),
        models.mlp(2, (1500, 1500), 2),
        optax.adam(0.01),
        batch_size=512,
        seeds=8,
        steps=3,
        lane_size=4,
    )
    study(10).run()  # what any program takes: the compiler, the pools
    before = peak_megabytes()
    planned = (wide.plan(measure=True).bytes or math.nan) / 1e6
    wide.run()
    used = peak_megabytes() - before
    return (
        "peak memory, MB: used, planned, ratio",
        f"{used:.0f}, {planned:.0f}, {used / planned:.2f}",
    )


def peak_megabytes() -> float:
    """The peak resident size of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="of one run")
    options = parser.parse_args(arguments)
    # Memory first: a peak that a longer run has left behind would hide it.
    rows = (memory(), *cost(options.rounds, options.seconds))
    title = f"Overhead on {os.cpu_count()} cores, {np.datetime64('today')}"
    print(Table(title, ("what", "figure"), rows))
