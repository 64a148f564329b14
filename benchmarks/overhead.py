"""What checkpoints and progress cost, and whether the planned memory is the memory used.

Cost: the same study with a run folder and progress on stderr, and in memory without either, taking turns.
Memory: the growth of the process's peak resident size over a run of large lanes, against the plan's figure.

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


def study(steps: int) -> Study:
    """The batch-size study's network at batch 128."""
    return Study(
        tasks.moons(1000, 0.1),
        models.mlp(2, (20,), 2),
        optax.sgd(0.1),
        batch_size=128,
        seeds=512,
        steps=steps,
        eval_every=500,
    )


def cost(rounds: int, seconds: float) -> tuple[tuple, tuple]:
    """The time without checkpoints and progress, and the ratio of the time with them to it; each goes first in turn."""
    lane_seconds = study(2000).plan(measure=True).seconds / 512
    ready = study(max(100, int(2000 * seconds / (512 * lane_seconds))))
    ready.plan(measure=True)
    times: dict[bool, list[float]] = {True: [], False: []}
    for round_ in range(rounds):
        for stored in (True, False) if round_ % 2 else (False, True):
            with (
                tempfile.TemporaryDirectory() as box,
                open(os.devnull, "w") as silent,
                contextlib.redirect_stderr(silent),
            ):
                begin = time.perf_counter()
                ready.run(os.path.join(box, "run") if stored else None, progress=stored)
                times[stored].append(time.perf_counter() - begin)
    ratios = np.divide(times[True], times[False])
    return ("time without, s", spread(times[False])), (
        "time with / without, median [min, max]",
        spread(ratios),
    )


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
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    planned = wide.plan(measure=True).bytes or math.nan
    wide.run()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before
    return (
        "peak memory, MB: used, planned, ratio",
        f"{used:.0f}, {planned / 1e6:.0f}, {used / (planned / 1e6):.2f}",
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="of one run")
    options = parser.parse_args(arguments)
    rows = (memory(), *cost(options.rounds, options.seconds))
    print(
        Table(
            f"Overhead on {os.cpu_count()} cores, {np.datetime64('today')}",
            ("what", "figure"),
            rows,
        )
    )
