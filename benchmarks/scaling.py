"""How much do more devices and more processes help: R1's network on 1 to all of them?

Devices: the engine's program compiled for the first of the devices at hand, or several (on a CPU a
device is a core). Processes: a whole study in one run folder that so many processes share, each
with its part of the blocks (`--shard`), started at once and waited for, each on all devices: what
starting them and sharing a folder costs, where there is no second machine.

Command: python -m benchmarks scaling
"""

import functools
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks.harness import Benchmark, Case, Contestant, Quick, Setting, Work
from benchmarks.moons_mlp import study
from benchmarks.timing import Burst, compiled_program, engine_burst
from jaxdl import Study, models, tasks
from jaxdl.running import compiler

COUNTS = (1, 2, 4, 8, 16)
SEEDS, STEPS = 2048, 20_000
RUN = "import sys; from benchmarks import scaling; scaling.share(*sys.argv[1:])"


def devices(count: int, case: Case, setting: Setting) -> Work:
    """Makes a burst of lane-steps on so many devices."""
    chosen = study(case["batch_size"])
    compiled = compiled_program(chosen, count)
    return Work(engine_burst(chosen, setting.seconds, compiled), facts={"bytes": compiled.bytes})


def processes(count: int, case: Case, setting: Setting) -> Burst:
    """Makes a burst of a whole study by so many processes that share a folder."""

    def burst() -> float:
        with tempfile.TemporaryDirectory() as box:
            folder = str(pathlib.Path(box) / "run")
            started = [start(folder, f"{number}/{count}") for number in range(count)]
            codes = [process.wait() for process in started]
        if any(codes):
            raise RuntimeError(f"processes that share a folder ended with {codes}")
        return SEEDS * STEPS

    return burst


def start(folder: str, shard: str) -> subprocess.Popen:
    """Starts a process that trains its part of the study."""
    return subprocess.Popen([sys.executable, "-c", RUN, folder, shard], env=dict(os.environ))


def share(folder: str, shard: str) -> None:
    """Trains a part of the study, as the process of one measurement does."""
    import optax

    whole = Study(
        tasks.moons(1000, 0.1),
        models.mlp(2, (20,), 2),
        optax.sgd(0.1),
        batch_size=32,
        seeds=SEEDS,
        steps=STEPS,
        eval_every=STEPS,
    )
    whole.run(folder, shard=shard)


def is_there(kind: str, count: int, case: Case) -> bool:
    """Tells whether there are so many devices, or cores for so many processes."""
    if case["of"] != kind:
        return False
    limit = len(compiler.prepare_devices()) if kind == "devices" else os.cpu_count() or 1
    return count <= limit


def contestants() -> dict[str, Contestant]:
    """Lists every number of devices and of processes; one of each is what others are over."""
    listed = {}
    for kind, one, make in (
        ("devices", "1 device", devices),
        ("processes", "1 process", processes),
    ):
        for count in COUNTS:
            listed[f"{count} {kind}" if count > 1 else one] = Contestant(
                functools.partial(make, count),
                ours=True,
                takes_part=functools.partial(is_there, kind, count),
            )
    return listed


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=[
        {"of": "processes", "batch_size": 32},
        *({"of": "devices", "batch_size": size} for size in (1, 32, 128, 800)),
    ],
    contestants=contestants(),
    quick=Quick(cases=[{"of": "devices", "batch_size": 32}]),
    headline=({"of": "devices", "batch_size": 32}, "2 devices"),
)
