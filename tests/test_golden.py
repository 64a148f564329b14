"""Whole training runs against PyTorch: the same weights, batches and settings give the same losses
(see golden/make_golden.py)."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import losses, models, train
from jaxdl.layers import Dense
from jaxdl.types import Dataset, Task

pytestmark = pytest.mark.full  # others' numbers
GOLDEN = sorted(
    path
    for path in (pathlib.Path(__file__).parent / "golden").glob("*.npz")
    if path.stem not in ("conv1d", "cells", "pictures")
)
OPTIMIZERS = {  # PyTorch's, by what equals them in optax
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.02),
    "adamw": optax.adamw(0.02, weight_decay=0.1),
    "rmsprop": optax.rmsprop(0.005, decay=0.99, eps=1e-8, eps_in_sqrt=False),
    "weight_decay": optax.chain(optax.add_decayed_weights(0.02), optax.sgd(0.1, momentum=0.9)),
}


def stored_batches(dataset, key, step, batch_size):
    """The rows that the reference took at this step; the data set carries them as a third split."""
    rows = dataset.valid_x[step]
    return dataset.train_x[:, rows], dataset.train_targets[rows], jnp.ones(len(rows))


def losses_of_steps(golden, optimizer=None) -> np.ndarray:
    """The loss of every step of `train.step` from the stored weights; SGD as stored where no
    optimizer is given."""
    layers = [
        Dense(golden[f"weight_{number}"], golden[f"bias_{number}"])
        for number in range(3)
        if f"bias_{number}" in golden
    ]
    hidden = tuple(len(layer.bias) for layer in layers[:-1])
    model = models.mlp(2, hidden, 2, activation=str(golden["activation"]))._replace(
        init=lambda key: (tuple(layers), ())
    )
    optimizer = optimizer or optax.sgd(
        float(golden["learning_rate"]), momentum=float(golden["momentum"])
    )
    task = Task(data=None, batch=stored_batches, loss=losses.cross_entropy, metrics={})
    rows = golden["rows"].astype(np.int32)
    recipe = train.Recipe(task, model, optimizer, rows.shape[1], str(golden["reduction"]))
    dataset = Dataset(golden["x"], golden["targets"].astype(np.int32), None, None, rows, None)
    keys = train.streams(jax.random.key(0))

    @jax.jit
    def run(dataset):
        start = train.init(recipe, jax.random.key(0), dataset, train.Schedule(1, 1))

        def one(lane, index):
            lane = train.step(recipe, lane._replace(running=start.running), dataset, keys, index)
            return lane, lane.running["batch_loss"].total

        return jax.lax.scan(one, start, jnp.arange(len(rows)))[1]

    return np.asarray(run(jax.tree.map(jnp.asarray, dataset)))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_losses_are_those_of_pytorch_step_by_step(path):
    with np.load(path) as file:
        golden = dict(file)
    assert golden["loss"][-10:].mean() < 0.8 * golden["loss"][:10].mean()  # a run that learns
    found = losses_of_steps(golden, OPTIMIZERS.get(path.stem))
    np.testing.assert_allclose(found, golden["loss"], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("rmsprop", optax.rmsprop(0.005, decay=0.99)),  # eps inside the root: optax's default
        ("rmsprop", optax.rmsprop(0.005, eps_in_sqrt=False)),  # optax's decay of 0.9
        ("nesterov", optax.sgd(0.1, momentum=0.9)),
        ("weight_decay", optax.adamw(0.1, weight_decay=0.02)),
        ("adamw", optax.adam(0.02)),
    ],
    ids=["eps in sqrt", "decay", "no nesterov", "adamw for sgd", "no decay"],
)
def test_other_settings_leave_the_reference(name, other):
    with np.load(pathlib.Path(__file__).parent / "golden" / f"{name}.npz") as file:
        golden = dict(file)
    gap = np.abs(losses_of_steps(golden, other) / golden["loss"] - 1).max()
    assert gap > (1e-5 if name == "rmsprop" else 1e-2)


def test_the_reference_runs_are_here():
    assert [path.stem for path in GOLDEN] == sorted(["relu", "sigmoid", "tanh", *OPTIMIZERS])
