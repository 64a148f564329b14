"""Is auto as fast as the better of padding everything and a program per size?

Three sweeps, each with 1 and 100 seeds, cold (an empty compilation cache) and warm: widths 1..32,
batch sizes 1..800, and lengths 5..15 of a recurrent network of 32 units. Every run is a process of
its own, from its start to its end; auto, pad and bucket take turns.

With --plans nothing is run: it says how auto groups the sizes.

Command: python -m benchmarks shapes [--rounds N] [--axes AXIS ...] [--plans] [--json FILE]
"""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import optax

from benchmarks.timing import command, write_json
from jaxdl import Study, data, models, tasks
from jaxdl.reporting.tables import Table

SHAPES = ("auto", "pad", "bucket")
SEEDS = (1, 100)
SWEEPS = {
    "width": [1, 2, 4, 8, 16, 32],
    "batch_size": [1, 10, 32, 128, 400, 800],
    "length": list(range(5, 16)),
}
DEFAULTS = {"width": 20, "batch_size": 128}
RUN = "import sys; from benchmarks.shapes import run; run(*sys.argv[1:])"


def study(axis: str, seeds: int, shapes: str = "auto") -> Study:
    """One of the three sweeps."""
    if axis == "length":
        return recurrent(seeds, shapes)
    return Study(
        task=tasks.moons(1000, 0.1),
        model=lambda hp: models.mlp(2, (hp.width,), 2),
        optimizer=optax.sgd(0.1),
        defaults={name: size for name, size in DEFAULTS.items() if name != axis},
        sweep={axis: SWEEPS[axis]},
        seeds=seeds,
        steps=1500,
        eval_every=50,
        shapes=shapes,
    )


def recurrent(seeds: int, shapes: str) -> Study:
    """The sweep over lengths."""

    def model(hp):
        return models.rnn(1, 32, data.DIGITS, length=data.palindrome_steps(hp.length))

    return Study(
        task=lambda hp: tasks.palindromes(hp.length),
        model=model,
        optimizer=optax.rmsprop(1e-3),
        sweep={"length": SWEEPS["length"]},
        seeds=seeds,
        steps=500,
        eval_every=50,
        batch_size=32,
        shapes=shapes,
    )


def run(axis: str, seeds: str, shapes: str) -> None:
    """Runs a sweep, as the process of one measurement does."""
    study(axis, int(seeds), shapes).run()


def seconds(axis: str, seeds: int, shapes: str, cache: str) -> float:
    """The time of one run in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    process = [sys.executable, "-c", RUN, axis, str(seeds), shapes]
    begin = time.perf_counter()
    subprocess.run(process, env=environment, check=True)
    return time.perf_counter() - begin


def measure(axis: str, seeds: int, rounds: int) -> dict:
    """Cold and warm times of one sweep, by shapes, in turns."""
    times: dict = {shapes: {"cold": [], "warm": []} for shapes in SHAPES}
    for _ in range(rounds):
        for shapes in SHAPES:
            with tempfile.TemporaryDirectory() as cache:
                times[shapes]["cold"].append(seconds(axis, seeds, shapes, cache))
                times[shapes]["warm"].append(seconds(axis, seeds, shapes, cache))
    return {"axis": axis, "seeds": seeds, "groups": groups(axis, seeds), **times}


def groups(axis: str, seeds: int) -> list[list[int]]:
    """The sizes that auto puts together."""
    programs = study(axis, seeds).plan().programs
    return [[config.value(axis) for config in program.configs] for program in programs]


def plans(axes: list[str]) -> Table:
    """How auto groups the sizes."""
    rows = []
    for axis in axes:
        for seeds in SEEDS:
            together = [",".join(map(str, sizes)) for sizes in groups(axis, seeds)]
            rows.append((axis, seeds, " | ".join(together)))
    return Table("Sizes that auto puts together", ("axis", "seeds", "programs"), tuple(rows))


def timings(sweeps: list[dict], rounds: int) -> Table:
    """The measured times, with auto beside the better of the others."""
    rows = []
    for sweep in sweeps:
        for cache in ("cold", "warm"):
            auto, *others = (float(np.median(sweep[shapes][cache])) for shapes in SHAPES)
            ratio = auto / min(others)
            rows.append((sweep["axis"], sweep["seeds"], cache, auto, *others, ratio))
    names = [f"{shapes}, s" for shapes in SHAPES]
    columns = ("axis", "seeds", "cache", *names, "auto / better of the others")
    return Table(f"Whole runs, median of {rounds}", columns, tuple(rows))


def main(arguments: list[str]) -> None:
    parser = command("shapes", __doc__, rounds=1)
    parser.add_argument("--axes", nargs="+", choices=tuple(SWEEPS), default=tuple(SWEEPS))
    parser.add_argument("--plans", action="store_true", help="runs nothing")
    options = parser.parse_args(arguments)
    if options.plans:
        print(plans(options.axes))
        return
    sweeps = [measure(axis, seeds, options.rounds) for axis in options.axes for seeds in SEEDS]
    print(timings(sweeps, options.rounds))
    if options.json:
        write_json(options.json, rows=sweeps)
