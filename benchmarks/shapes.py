"""Is auto as fast as the better of padding everything and a program per size?

Three sweeps, each with 1 and 100 seeds, cold (an empty compilation cache) and warm: widths 1..32,
batch sizes 1..800, and lengths 5..15 of a recurrent network of 32 units. Every run is a process of
its own, from its start to its end; auto, pad and bucket take turns.

Command: python -m benchmarks shapes [--rounds N] [--json FILE]
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.timing import command, write_json
from jaxdl.reporting.tables import Table

SCRIPT = """
import sys, optax
from jaxdl import Study, data, models, tasks

axis, seeds, shapes = sys.argv[1], int(sys.argv[2]), sys.argv[3]
values = {
    "width": [1, 2, 4, 8, 16, 32],
    "batch_size": [1, 10, 32, 128, 400, 800],
    "length": list(range(5, 16)),
}
asked = {"sweep": {axis: values[axis]}, "seeds": seeds, "shapes": shapes, "eval_every": 50}
if axis == "length":
    study = Study(
        lambda hp: tasks.palindromes(hp.length),
        lambda hp: models.rnn(1, 32, data.DIGITS, length=data.palindrome_steps(hp.length)),
        optax.rmsprop(1e-3),
        steps=500,
        batch_size=32,
        **asked,
    )
else:
    defaults = {"width": 20, "batch_size": 128}
    del defaults[axis]
    study = Study(
        tasks.moons(1000, 0.1),
        lambda hp: models.mlp(2, (hp.width,), 2),
        optax.sgd(0.1),
        defaults=defaults,
        steps=1500,
        **asked,
    )
study.run()
"""
AXES = ("width", "batch_size", "length")
SEEDS = (1, 100)
SHAPES = ("auto", "pad", "bucket")


def seconds(axis: str, seeds: int, shapes: str, cache: str) -> float:
    """Times one run in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", SCRIPT, axis, str(seeds), shapes], env=environment, check=True
    )
    return time.perf_counter() - begin


def measure(axis: str, seeds: int, rounds: int) -> dict:
    """Times one sweep by shapes, cold and then warm, in turns."""
    times: dict = {shapes: {"cold": [], "warm": []} for shapes in SHAPES}
    for _, shapes in itertools.product(range(rounds), SHAPES):
        with tempfile.TemporaryDirectory() as cache:
            for state in ("cold", "warm"):
                times[shapes][state].append(seconds(axis, seeds, shapes, cache))
    return {"axis": axis, "seeds": seeds, **times}


def main(arguments: list[str]) -> None:
    parser = command("shapes", __doc__, rounds=1)
    parser.add_argument("--axes", nargs="+", choices=AXES, default=AXES)
    options = parser.parse_args(arguments)
    sweeps = itertools.product(options.axes, SEEDS)
    figures = [measure(axis, seeds, options.rounds) for axis, seeds in sweeps]
    rows = []
    for sweep, state in itertools.product(figures, ("cold", "warm")):
        times = [float(np.median(sweep[shapes][state])) for shapes in SHAPES]
        ratio = times[0] / min(times[1:])
        rows.append((sweep["axis"], sweep["seeds"], state, *times, ratio))
    headings = [f"{shapes}, s" for shapes in SHAPES]
    columns = ("axis", "seeds", "cache", *headings, "auto / better of the others")
    print(Table(f"Whole runs, median of {options.rounds}", columns, tuple(rows)))
    if options.json:
        write_json(options.json, rows=figures)
