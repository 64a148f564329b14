"""A study whose workers are killed as they train it, and what kills them."""

import os
import pathlib
import signal
import threading
import time

import optax

from jaxdl import Study, models, tasks
from jaxdl.running import blocks

RATE = 0.1


def study(optimizer=None) -> Study:
    """A study of three blocks that take a while."""
    return Study(
        tasks.moons(60, 0.1),
        models.mlp(2, (64, 64), 2),
        optimizer or optax.sgd(RATE),
        seeds=40,
        steps=3000,
        eval_every=1000,
        batch_size=32,
        lane_size=1,
    )


def optimizer(hp) -> optax.GradientTransformation:
    """The same optimizer; its worker saves a checkpoint of a block as soon as it can."""
    blocks.CHECKPOINT_SECONDS = 0.0
    return optax.sgd(RATE)


def of(run: pathlib.Path) -> threading.Thread:
    """Starts a thread that kills a process which trains the run, once a checkpoint is saved."""

    def kill():
        while not list(run.glob("checkpoints/0*.npz")):
            time.sleep(0.002)
        first = min(run.glob("sessions-*.jsonl"), key=lambda path: path.stat().st_ctime)
        os.kill(int(first.stem.split("-")[-1]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread
