"""The trainings that peers are compared on: networks, and what the engine draws for seed 0."""

import functools

import jax
import numpy as np
import optax

from benchmarks import moons_mlp, networks, rnn_rate
from benchmarks.moons_mlp import ENDLESS
from benchmarks.peer_worker import Problem
from jaxdl import Study
from jaxdl.batches import draw_batch
from jaxdl.sampling import seed_key, stream
from jaxdl.types import Model, Task

CHECKED = 20  # steps of the training that all must end alike
LENGTH = 5  # of the palindromes


@functools.cache
def study_of(network: str, batch_size: int, steps: int = ENDLESS) -> Study:
    """Makes a network a study that is evaluated at its start and its end."""
    return Study(
        *parts_of(network),
        optimizer_of(network),
        batch_size=batch_size,
        steps=steps,
        eval_every=steps,
        lane_size=1 if network == "rnn" else None,
    )


def parts_of(network: str) -> tuple[Task, Model]:
    """Gives the task and the model of a network."""
    if network == "mlp":
        return moons_mlp.TASK, moons_mlp.NETWORK
    if network == "cnn":
        return networks.network(network).task, networks.network(network).model
    return rnn_rate.parts(LENGTH)


def optimizer_of(network: str) -> optax.GradientTransformation:
    """Makes the optimizer of a network."""
    if network == "rnn":
        return rnn_rate.optimizer()
    return optax.sgd(moons_mlp.RATE if network == "mlp" else networks.network(network).fixed)


@functools.cache
def engine_loss(network: str, batch_size: int) -> float:
    """Trains seed 0 in the engine; gives its loss over all training rows."""
    study = study_of(network, batch_size, CHECKED)
    return float(study.run(progress=False).history["train_loss"][0, -1])


@functools.cache
def problem_of(network: str, batch_size: int) -> Problem:
    """Draws what the engine draws for seed 0: data, weights, and the batch of every step."""
    task, model = parts_of(network)
    key = seed_key(0)
    dataset = task.data(key) if callable(task.data) else task.data
    params, _ = model.init(stream(key, "init"))
    shuffle, brought = stream(key, "shuffle"), task.batch or draw_batch
    draw = jax.jit(lambda dataset, step: brought(dataset, shuffle, step, batch_size))
    batches = []
    for step in range(CHECKED):
        x, targets, _ = draw(dataset, step)
        batches.append(rows_first(task, x, targets))
    batches_x, batches_targets = map(np.stack, zip(*batches, strict=True))
    rows = rows_first(task, dataset.train_x, dataset.train_targets)
    weights = tuple(np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(params))
    return Problem(network, *rows, batches_x, batches_targets, weights)


def rows_first(task: Task, x, targets) -> tuple[np.ndarray, np.ndarray]:
    """Prepares rows and turns them as other libraries have them: float32 (n, ...), int64 (n,)."""
    prepared = x if task.prepare is None else task.prepare(x)
    turned = np.moveaxis(np.asarray(prepared, np.float32), -1, 0)
    return np.ascontiguousarray(turned), np.asarray(targets, np.int64)
