"""What do checkpoints and progress cost, and is the planned memory the memory used?

Cost: the same study in memory, and with a run folder and progress on stderr, whole runs in turns.
Memory (the finding `memory`): the growth of a process's peak resident size over a run of large
lanes, in MB, against the plan's figure.

Command: python -m benchmarks overhead
"""

import contextlib
import functools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile

import optax

from benchmarks import report
from benchmarks.harness import Benchmark, Case, Contestant, Context, Figures, Quick, Setting, Work
from jaxdl import Study, models, tasks
from jaxdl.reporting.tables import Table

SEEDS = 512
PILOT = 2000  # steps of the study that tells how many steps take so long
MEASURE = "from benchmarks import overhead; print(overhead.json.dumps(overhead.memory()))"


def study(steps: int) -> Study:
    """Makes the batch-size study's network at batch 128 a study."""
    return Study(
        tasks.moons(1000, 0.1),
        models.mlp(2, (20,), 2),
        optax.sgd(0.1),
        batch_size=128,
        seeds=SEEDS,
        steps=steps,
        eval_every=500,
    )


def whole_run(stored: bool, case: Case, setting: Setting) -> Work:
    """Makes a burst of a whole run, with a folder and progress or without either."""
    pilot_seconds = study(PILOT).plan(measure=True).seconds
    steps = max(100, int(PILOT * setting.seconds / pilot_seconds))
    ready = study(steps)
    ready.plan(measure=True)

    def burst() -> float:
        with (
            tempfile.TemporaryDirectory() as box,
            open(os.devnull, "w") as null,
            contextlib.redirect_stderr(null),
        ):
            ready.run(os.path.join(box, "run") if stored else None, progress=stored)
        return steps * SEEDS

    return Work(burst, facts={"steps": steps})


def memory() -> Figures:
    """Measures peak resident memory beyond what the process held before, and the plan's figure."""
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
    return {"used_megabytes": used, "planned_megabytes": planned, "ratio": used / planned}


def peak_megabytes() -> float:
    """Gives the peak resident size of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def memory_rows(context: Context) -> dict[str, list[Figures]]:
    """Measures memory in a process of its own: an earlier run's peak would hide it."""
    if context.setting.quick:
        return {}
    ran = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, check=True)
    return {"memory": [json.loads(ran.stdout)]}


def tables(record: Figures) -> list[Table]:
    """Makes the table of times, and that of memory."""
    made = [report.time_table(BENCHMARK, record)]
    for row in record["findings"].get("memory", []):
        cells = tuple(
            f"{row[name]:.3g}" for name in ("used_megabytes", "planned_megabytes", "ratio")
        )
        made.append(Table("Peak memory, MB.", ("used", "planned", "used / planned"), (cells,)))
    return made


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=[{"seeds": SEEDS}],
    contestants={
        "in memory": Contestant(functools.partial(whole_run, False), ours=True),
        "stored": Contestant(functools.partial(whole_run, True), ours=True),
    },
    quick=Quick(seconds=1.0),
    seconds=30.0,
    findings=[memory_rows],
    tables=tables,
)
