"""Kills a running study again and again at random moments and compares what is left, at the end,
with an undisturbed run.

Usage: python tests/kill_study.py [KILLS] [SEED]
Prints how often the study was killed, and where; exits 1 where a byte differs.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

STUDY = """
import sys, optax
from jaxdl import Study, models, tasks
from jaxdl.running import blocks, engine
blocks.CHECKPOINT_SECONDS, engine.SEGMENT_SECONDS = 0.0, 0.02
Study(task=tasks.moons(100, 0.1), model=models.mlp(2, (64, 64), 2), optimizer=lambda hp: optax.adam(hp.learning_rate),
      sweep={"learning_rate": [0.01, 0.001]}, seeds=int(sys.argv[2]), steps=int(sys.argv[3]), eval_every=7, batch_size=25,
      lane_size=1).run(sys.argv[1])
"""


def start(folder: pathlib.Path, seeds: int, steps: int, study: str = STUDY) -> subprocess.Popen:
    """The study as a process of its own, with two CPU devices."""
    cache = str(folder.parent / "cache")
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_COMPILATION_CACHE_DIR": cache}
    environment |= {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", study, str(folder), str(seeds), str(steps)], env=environment
    )


def blocks(folder: pathlib.Path) -> dict[str, bytes]:
    """The bytes of every block."""
    return {path.name: path.read_bytes() for path in sorted((folder / "blocks").glob("*.npz"))}


def progress(folder: pathlib.Path) -> tuple[int, int]:
    """Blocks that are stored, and when the newest checkpoint was written."""
    kept = [
        path.stat().st_mtime_ns for path in (folder / "checkpoints").glob("0*.npz") if path.exists()
    ]
    return len(list((folder / "blocks").glob("0*.npz"))), max(kept, default=0)


def kill_often(
    folder: pathlib.Path,
    kills: int,
    dice: random.Random,
    seeds: int,
    steps: int,
    study: str = STUDY,
) -> list[tuple[int, bool]]:
    """Starts the study and kills it, `kills` times, each time some moments after it has begun to
    write.

    Returns:
      for every kill, the number of stored blocks and whether a checkpoint lay there.
    """
    found = []
    for _ in range(kills):
        process = start(folder, seeds, steps, study)
        before = progress(folder)
        while progress(folder) == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(dice.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            raise RuntimeError(f"the study was over after {len(found)} kills: give it more steps")
        found.append((len(blocks(folder)), progress(folder)[1] > 0))
    return found


def main(kills: int = 20, seed: int = 0, seeds: int = 40, steps: int = 900) -> int:
    """Runs the comparison; returns the exit code."""
    with tempfile.TemporaryDirectory() as box:
        whole, killed = pathlib.Path(box) / "whole", pathlib.Path(box) / "killed"
        if start(whole, seeds, steps).wait():
            return 1
        found = kill_often(killed, kills, random.Random(seed), seeds, steps)
        if start(killed, seeds, steps).wait():
            return 1
        same = blocks(whole) == blocks(killed)
        print(
            f"{len(found)} kills at {[count for count, _ in found]} stored blocks of {len(blocks(whole))}, "
            f"{sum(kept for _, kept in found)} with a checkpoint: bytes {'equal' if same else 'DIFFER'}"
        )
        return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
