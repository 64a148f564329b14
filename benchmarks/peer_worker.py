"""A process that trains as other libraries do, and does bursts of steps when it is told to.

``python -m benchmarks.peer_worker PEER FOLDER CORES`` runs on these cores alone (``0,1``), with a
thread a core. On stdin it reads how many seconds of steps to do, a line each; on stdout it answers
with the units done, after a first line with the final loss. It ends with its input.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

RATES = {"mlp": 0.1, "cnn": 0.03, "rnn": 1e-3}  # as the engine's, which peers do not import
CLIP = 10.0  # of the RNN's gradients
LANES = {"mlp": 512, "cnn": 32, "rnn": 16}  # of a peer that trains many networks as one
# peer -> module and function there: (problem, threads) -> Trainer
PEERS = {
    "numpy": ("benchmarks.peers_numpy", "trainer"),
    "scikit-learn": ("benchmarks.peers_numpy", "sklearn_trainer"),
    "pytorch": ("benchmarks.peers_torch", "eager"),
    "torch.compile": ("benchmarks.peers_torch", "compiled"),
    "torch.func": ("benchmarks.peers_torch", "ensemble"),
    "flax": ("benchmarks.peers_jax", "flax"),
    "plain jit": ("benchmarks.peers_jax", "plain"),
}


class Problem(NamedTuple):
    """A training that all peers begin alike: what to start from, and which batches to take.

    Attributes:
      network: ``"mlp"``, ``"cnn"`` or ``"rnn"``.
      x, targets: all training rows, (n, ...) and int64 (n,).
      batches_x, batches_targets: of every step of the common training, (steps, batch, ...).
      weights: matrices (out, in), kernels (out, in, rows, columns) and biases (out,), in order.
    """

    network: str
    x: np.ndarray
    targets: np.ndarray
    batches_x: np.ndarray
    batches_targets: np.ndarray
    weights: tuple[np.ndarray, ...]

    @property
    def batch_size(self) -> int:
        """Rows of a batch."""
        return self.batches_x.shape[1]


class Trainer(NamedTuple):
    """A peer that is set up.

    Attributes:
      replay: trains on the problem's batches, and gives the loss over all training rows.
      step: trains a step, on a batch that the peer draws as its users do.
      wait: until all is computed.
      units: lane-steps of a step.
    """

    replay: Callable[[], float]
    step: Callable[[], Any]
    wait: Callable[[], Any] = lambda: None
    units: float = 1.0


def replayed(problem: Problem, update: Callable, loss: Callable[[], float]) -> Callable[[], float]:
    """Makes the common training of a peer that takes its batches from outside."""

    def replay() -> float:
        for x, targets in zip(problem.batches_x, problem.batches_targets, strict=True):
            update(x, targets)
        return loss()

    return replay


def save(problem: Problem, folder: pathlib.Path) -> None:
    """Writes a problem into a folder."""
    arrays: dict[str, Any] = problem._asdict()
    del arrays["weights"]
    weights = {f"weight_{place}": each for place, each in enumerate(problem.weights)}
    np.savez(folder / "problem.npz", **arrays, **weights)  # type: ignore[arg-type]


def load(folder: pathlib.Path) -> Problem:
    """Reads the problem of a folder."""
    with np.load(folder / "problem.npz") as saved:
        arrays = {name: saved[name] for name in Problem._fields if name in saved}
        count = sum(name.startswith("weight_") for name in saved)
        weights = tuple(saved[f"weight_{place}"] for place in range(count))
    return Problem(**{**arrays, "network": str(arrays["network"])}, weights=weights)


def make(peer: str, problem: Problem, threads: int) -> Trainer:
    """Sets a peer up."""
    module, function = PEERS[peer]
    return getattr(importlib.import_module(module), function)(problem, threads)


def work(trainer: Trainer, seconds: float) -> float:
    """Does steps for so long, at least one; gives the units done."""
    steps, end = 0, time.perf_counter() + seconds
    while steps == 0 or time.perf_counter() < end:
        trainer.step()
        steps += 1
    trainer.wait()
    return steps * trainer.units


def main(arguments: Sequence[str]) -> None:
    """Sets up, then works for as long as it is asked to."""
    peer, folder, cores = arguments
    chosen = [int(core) for core in cores.split(",")]
    # Before anything is imported: pools of threads are as large as the cores there are.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, chosen)
    trainer = make(peer, load(pathlib.Path(folder)), len(chosen))
    loss = trainer.replay()
    work(trainer, 0.0)  # compiles, fills caches
    answer({"loss": loss})
    for line in sys.stdin:
        answer({"units": work(trainer, float(line))})


def answer(words: dict) -> None:
    """Writes a line to who has asked."""
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
