"""How much faster than other libraries, the same trainings: NumPy, PyTorch, Flax and others?

R1's MLP 2-20-2, a CNN of two blocks on digits (batch 32) and R5's RNN on palindromes of 5 digits
(batch 128). First everybody trains seed 0 of the engine for 20 steps: its weights, its data, its
batches. Who does not end at its loss over all training rows is void. What is timed are steps on
batches that each draws as its users do: rows without replacement at every step, fresh palindromes.

Each peer has all cores, in processes of its own: one process with a thread a core, or a process and
a thread a core. Both are measured in the set-up, and the faster takes part; the column "runs"
says which: processes x threads. `torch.func` (stacked weights, a vmapped gradient) and "plain
jit", `jax.jit(jax.vmap(train))` of
`jaxdl.make_train`, have 512 networks of the MLP in a process, 32 of the CNN, 16 of the RNN. The
latter trains whole trainings, which are evaluated at both ends. scikit-learn is told of a third
class that never comes: of two it would train one logit, which is another training. It and the NumPy
loop have no convolutions.

A peer that is not installed is left out, and so is one that fails, with the reason. On a GPU those
of PyTorch and jax use it; a peer then has two processes or one.

Command: python -m benchmarks peers
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Contestant,
    Figures,
    Quick,
    Setting,
    Unusable,
    Work,
)
from benchmarks.peer_problems import engine_loss, problem_of, study_of
from benchmarks.peer_worker import PEERS, save
from benchmarks.timing import engine_burst

ROOT = pathlib.Path(__file__).parent.parent
MOST_PROCESSES = 8  # of a peer: each holds a library and its data
TRIALS = 3  # bursts of each arrangement, of which the best counts
QUICK_PEERS = ("numpy", "pytorch", "torch.func")
NEEDS = {
    "scikit-learn": ("sklearn",),
    "pytorch": ("torch",),
    "torch.compile": ("torch",),
    "torch.func": ("torch",),
    "flax": ("flax", "optax"),
}
NETWORKS = {
    "numpy": ("mlp", "rnn"),
    "scikit-learn": ("mlp",),
}


def ours(case: Case, setting: Setting) -> Work:
    """Makes a burst of lane-steps of the engine."""
    chosen = case["network"], case["batch"]
    burst = engine_burst(study_of(*chosen), setting.seconds)
    return Work(burst, loss=engine_loss(*chosen), facts={})


class Group(NamedTuple):
    """Processes that work at the same time, and the loss that each ended at."""

    processes: list[subprocess.Popen]
    errors: pathlib.Path  # what they write to stderr

    def losses(self) -> list[float]:
        """Waits until all are set up; gives their final losses."""
        return [self.answer(process)["loss"] for process in self.processes]

    def work(self, seconds: float) -> float:
        """Has all of them do steps for so long; gives the units done."""
        for process in self.processes:
            tell(process, str(seconds))
        return sum(self.answer(process)["units"] for process in self.processes)

    def answer(self, process: subprocess.Popen) -> Figures:
        """Reads an answer.

        Raises:
          Unusable: the process has ended.
        """
        line = process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise Unusable(self.reason())
        return json.loads(line)

    def reason(self) -> str:
        """Gives the last line of what went wrong."""
        lines = self.errors.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "its process ended"

    def close(self) -> None:
        """Ends the processes: they end with their input."""
        for process in self.processes:
            process.stdin.close()  # type: ignore[union-attr]
        for process in self.processes:
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


def tell(process: subprocess.Popen, words: str) -> None:
    """Writes a line to a process; one that has ended is noticed when it does not answer."""
    try:
        process.stdin.write(words + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    except BrokenPipeError:
        return


def start(peer: str, parts: Sequence[Sequence[int]], folder: pathlib.Path, platform: str) -> Group:
    """Starts a process for each part of the cores."""
    errors = folder / f"errors_{len(parts)}.txt"
    processes = []
    for cores in parts:
        words = [peer, str(folder), ",".join(map(str, cores))]
        with errors.open("a") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.peer_worker", *words],
                cwd=ROOT,
                env=environment(len(cores), platform),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        processes.append(process)
    return Group(processes, errors)


def environment(threads: int, platform: str) -> dict[str, str]:
    """Makes the environment of a process of a peer: so many threads, memory as it is needed."""
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    own = dict.fromkeys(pools, str(threads))
    own |= {"JAX_PLATFORMS": platform, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **own, "PYTHONPATH": path}


def arrangements(platform: str) -> dict[str, list[list[int]]]:
    """Lists the ways to have all cores: "processes x threads" -> cores of each process."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))
    most = MOST_PROCESSES if platform == "cpu" else 2
    count = min(most, len(cores))
    several = [cores[place::count] for place in range(count)]
    listed = [[cores], several] if count > 1 else [[cores]]
    return {f"{len(parts)} x {len(parts[0])}": parts for parts in listed}


def peer(name: str, case: Case, setting: Setting) -> Work:
    """Sets a peer up in both arrangements; makes a burst of the faster."""
    problem = problem_of(case["network"], case["batch"])
    with tempfile.TemporaryDirectory() as words:
        folder = pathlib.Path(words)
        save(problem, folder)
        groups = {}
        try:
            for runs, parts in arrangements(setting.platform).items():
                groups[runs] = start(name, parts, folder, setting.platform)
            losses = {runs: group.losses() for runs, group in groups.items()}
            rates = {runs: rate(group, setting.seconds) for runs, group in groups.items()}
        except BaseException:
            close(groups.values())
            raise
    fastest = max(rates, key=lambda runs: rates[runs])
    close(group for runs, group in groups.items() if runs != fastest)
    burst = functools.partial(groups[fastest].work, setting.seconds)
    weakref.finalize(burst, groups[fastest].close)
    expected = engine_loss(case["network"], case["batch"])
    others = {runs: each for runs, each in rates.items() if runs != fastest}
    facts = {"runs": fastest, **{f"{runs}, rate": each for runs, each in others.items()}}
    return Work(burst, loss=farthest(losses[fastest], expected), facts=facts)


def rate(group: Group, seconds: float) -> float:
    """Measures the units a second of a group that is set up: the best of some bursts."""
    rates = []
    for _ in range(TRIALS):
        begin = time.perf_counter()
        rates.append(group.work(seconds) / (time.perf_counter() - begin))
    return max(rates)


def close(groups) -> None:
    """Ends the processes of some groups."""
    for group in groups:
        group.close()


def farthest(losses: Sequence[float], expected: float) -> float:
    """Picks the loss that agrees least: one process that trains something else is enough."""
    return max(losses, key=lambda loss: abs(loss - expected) if loss == loss else float("inf"))


def takes_part(name: str, case: Case) -> bool:
    """Tells whether a peer is asked in a case, and has the network."""
    has_network = case["network"] in NETWORKS.get(name, ("mlp", "cnn", "rnn"))
    return has_network and name in case["peers"]


def contestants() -> dict[str, Contestant]:
    """Lists the engine, and every peer."""
    listed = {"jaxdl": Contestant(ours, ours=True)}
    for name in PEERS:
        listed[name] = Contestant(
            functools.partial(peer, name),
            needs=NEEDS.get(name, ()),
            takes_part=functools.partial(takes_part, name),
        )
    return listed


def case_of(network: str, batch_size: int, names: Sequence[str] = tuple(PEERS)) -> Case:
    """Makes a case: a network, a batch size, and who is asked."""
    return {"network": network, "batch": batch_size, "peers": list(names)}


def runs(case: Figures, entry: Figures) -> str:
    """Says in how many processes a contestant ran, of how many threads."""
    return entry["facts"].get("runs", "-")


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=[
        *(case_of("mlp", batch_size) for batch_size in (1, 32, 128, 800)),
        case_of("cnn", 32),
        case_of("rnn", 128),
    ],
    contestants=contestants(),
    quick=Quick(cases=[case_of("mlp", 32, QUICK_PEERS)], seconds=0.05),
    columns=[Column("runs", runs)],
    agreement=1e-3,
    headline=({"network": "mlp", "batch": 32}, "pytorch"),
)
