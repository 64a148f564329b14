"""How long until there is a first result: imports, cold and warm, each in a process of its own?

A process imports jax, or jaxdl; plans R1's study of batch sizes 1, 32, 128 and 800 (under --quick
one of them, cold alone); or runs a few steps of it, with an empty compilation cache (cold) and one
that has all its programs (warm). Timed is the whole process, Python's own start included.

Command: python -m benchmarks compile
"""

import functools
import os
import subprocess
import sys
import tempfile

from benchmarks.harness import Benchmark, Case, Contestant, Quick, Setting
from benchmarks.timing import Burst
from jaxdl import Study

STEPS, SEEDS = 20, 8
START = "from benchmarks import compile; "
PROGRAMS = {
    "import jax": "import jax",
    "import jaxdl": "import jaxdl; jaxdl.Study",
    "plan": START + "compile.study({sizes}).plan()",
    "warm run": START + "compile.study({sizes}).run()",
    "cold run": START + "compile.study({sizes}).run()",
}
QUICK = ("import jax", "cold run")


def study(batch_sizes: list[int]) -> Study:
    """Makes R1's study of batch sizes, with a few steps."""
    import optax

    from benchmarks.moons_mlp import NETWORK, RATE, TASK

    return Study(
        TASK,
        NETWORK,
        optax.sgd(RATE),
        sweep={"batch_size": batch_sizes},
        seeds=SEEDS,
        steps=STEPS,
        eval_every=STEPS,
    )


def process(name: str, case: Case, setting: Setting) -> Burst:
    """Makes a burst of a whole process."""
    program = PROGRAMS[name].format(sizes=case["batch_sizes"])
    if name == "cold run":
        return functools.partial(cold, program)
    # Of a contestant's own, filled by its first run; removed when this process ends.
    cache = tempfile.TemporaryDirectory()
    run(program, cache.name)
    return lambda: run(program, cache.name)


def cold(program: str) -> float:
    """Runs a program with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        return run(program, cache)


def run(program: str, cache: str) -> float:
    """Runs a program in a process of its own, from its start to its end; it is one."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    # A cache of the environment's would be in the place of this one.
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    environment.pop("JAXDL_CACHE", None)
    words = [sys.executable, "-c", program]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return 1.0


def takes_part(name: str, case: Case) -> bool:
    """Tells who takes part: a quick run leaves some out."""
    return name in QUICK or len(case["batch_sizes"]) > 1


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="process",
    cases=[{"batch_sizes": [1, 32, 128, 800]}],
    contestants={
        name: Contestant(
            functools.partial(process, name),
            ours=name != "import jax",
            takes_part=functools.partial(takes_part, name),
        )
        for name in PROGRAMS
    },
    quick=Quick(cases=[{"batch_sizes": [32]}]),
    scale=("s", 1.0),
    headline=({}, "warm run"),
)
