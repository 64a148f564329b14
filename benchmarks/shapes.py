"""Is auto as fast as the better of padding everything and a program per size?

Three sweeps, each with 1 and 100 seeds, cold (an empty compilation cache) and warm: widths 1..32,
batch sizes 1..800, and lengths 5..15 of a recurrent network of 32 units. Every run is a process of
its own, from its start to its end (under --quick: a warm run in this process, of two widths and few
steps). The finding `groups` says which sizes auto puts together.

Command: python -m benchmarks shapes
"""

import functools
import os
import subprocess
import sys
import tempfile

import optax

from benchmarks import report
from benchmarks.harness import (
    Benchmark,
    Case,
    Contestant,
    Context,
    Figures,
    Quick,
    Setting,
    Work,
    product,
)
from benchmarks.timing import Burst
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
    """Makes one of the three sweeps."""
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
    """Makes the sweep over lengths."""

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


def whole_run(shapes: str, case: Case, setting: Setting) -> Work | Burst:
    """Makes a burst of a whole run: in a process of its own, unless it is quick."""
    axis, seeds = case["axis"], case["seeds"]
    if setting.quick:
        return functools.partial(run_here, quick_study(shapes))
    if case["cache"] == "cold":

        def burst() -> float:
            with tempfile.TemporaryDirectory() as cache:
                return process(axis, seeds, shapes, cache)

        return burst
    # Kept until this process ends: a contestant's own, filled by its first run.
    cache = tempfile.TemporaryDirectory()
    return lambda: process(axis, seeds, shapes, cache.name)


def run_here(small: Study) -> float:
    """Runs a study in this process; one run is done."""
    small.run()
    return 1.0


def quick_study(shapes: str) -> Study:
    """Makes a sweep of two widths that takes less than a second."""
    whole = study("width", 1, shapes).spec.parts
    return Study(
        task=whole.task,
        model=whole.model,
        optimizer=whole.optimizer,
        sweep={"width": [4, 8]},
        batch_size=DEFAULTS["batch_size"],
        steps=100,
        eval_every=100,
        shapes=shapes,
    )


def process(axis: str, seeds: int, shapes: str, cache: str) -> float:
    """Runs a sweep in a process of its own; one run is done."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    words = [sys.executable, "-c", RUN, axis, str(seeds), shapes]
    subprocess.run(words, env=environment, check=True)
    return 1.0


def groups(context: Context) -> dict[str, list[Figures]]:
    """Lists the sizes that auto puts together, of every sweep."""
    rows = []
    for axis in [] if context.setting.quick else SWEEPS:
        for seeds in SEEDS:
            programs = study(axis, seeds).plan().programs
            sizes = [[config.value(axis) for config in each.configs] for each in programs]
            words = " | ".join(",".join(map(str, each)) for each in sizes)
            rows.append({"axis": axis, "seeds": seeds, "programs": words})
    return {"groups": rows}


def tables(record: Figures) -> list[Table]:
    """Makes the table of times, and that of the groups."""
    rows = tuple(tuple(row.values()) for row in record["findings"].get("groups", []))
    of_groups = Table("Sizes that auto puts together.", ("axis", "seeds", "programs"), rows)
    return [report.time_table(BENCHMARK, record), *([of_groups] if rows else [])]


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="run",
    cases=product(axis=list(SWEEPS), seeds=list(SEEDS), cache=["cold", "warm"]),
    contestants={
        name: Contestant(functools.partial(whole_run, name), ours=True) for name in SHAPES
    },
    quick=Quick(cases=[{"axis": "width", "seeds": 1, "cache": "warm"}]),
    scale=("s", 1.0),
    findings=[groups],
    tables=tables,
)
