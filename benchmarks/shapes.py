"""Is auto as fast as the better of padding everything and a program per size?

Three sweeps, each with 1 and 100 seeds, cold (an empty compilation cache) and warm: widths 1..32, batch sizes 1..800, and
lengths 5..15 of a recurrent network of 32 units. Every run is a process of its own, from its start to its end; auto, pad and bucket take turns.

Command: python -m benchmarks shapes [--rounds N] [--json FILE]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.timing import write_json
from jaxdl.reporting.tables import Table

SCRIPT = """
import sys, optax
from jaxdl import Study, data, models, tasks
axis, seeds, shapes = sys.argv[1], int(sys.argv[2]), sys.argv[3]
values = {"width": [1, 2, 4, 8, 16, 32], "batch_size": [1, 10, 32, 128, 400, 800], "length": list(range(5, 16))}
if axis == "length":
    Study(task=lambda hp: tasks.palindromes(hp.length), optimizer=optax.rmsprop(1e-3),
          model=lambda hp: models.rnn(1, 32, data.DIGITS, length=data.palindrome_steps(hp.length)),
          sweep={axis: values[axis]}, seeds=seeds, steps=500, eval_every=50, batch_size=32, shapes=shapes).run()
else:
    defaults = {name: size for name, size in {"width": 20, "batch_size": 128}.items() if name != axis}
    Study(task=tasks.moons(1000, 0.1), model=lambda hp: models.mlp(2, (hp.width,), 2), optimizer=optax.sgd(0.1),
          defaults=defaults, sweep={axis: values[axis]}, seeds=seeds, steps=1500, eval_every=50, shapes=shapes).run()
"""
SHAPES = ("auto", "pad", "bucket")


def seconds(axis: str, seeds: int, shapes: str, cache: str) -> float:
    """The time of one run in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", SCRIPT, axis, str(seeds), shapes], env=environment, check=True
    )
    return time.perf_counter() - begin


def measure(axis: str, seeds: int, rounds: int) -> dict:
    """Cold and warm times of one sweep, by shapes, in turns."""
    found: dict = {shapes: {"cold": [], "warm": []} for shapes in SHAPES}
    for _ in range(rounds):
        for shapes in SHAPES:
            with tempfile.TemporaryDirectory() as cache:
                found[shapes]["cold"].append(seconds(axis, seeds, shapes, cache))
                found[shapes]["warm"].append(seconds(axis, seeds, shapes, cache))
    return {"axis": axis, "seeds": seeds, **found}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks shapes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--axes",
        nargs="+",
        choices=("width", "batch_size", "length"),
        default=("width", "batch_size", "length"),
    )
    parser.add_argument("--json", metavar="FILE", help="also writes the figures")
    options = parser.parse_args(arguments)
    found = [measure(axis, seeds, options.rounds) for axis in options.axes for seeds in (1, 100)]
    rows = []
    for sweep in found:
        for cache in ("cold", "warm"):
            times = [float(np.median(sweep[shapes][cache])) for shapes in SHAPES]
            rows.append((sweep["axis"], sweep["seeds"], cache, *times, times[0] / min(times[1:])))
    columns = (
        "axis",
        "seeds",
        "cache",
        *(f"{shapes}, s" for shapes in SHAPES),
        "auto / better of the others",
    )
    print(Table(f"Whole runs, median of {options.rounds}", columns, tuple(rows)))
    if options.json:
        write_json(options.json, rows=found)
