"""Builds the studies of R3's networks on XOR and a line, and names the cells of its tables."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import optax

from experiments.references import R3
from experiments.request import Request
from experiments.unit_square import linear, xor
from jaxdl import Result, Study, losses, models, stats
from jaxdl.layers import ACTIVATIONS, normal

PROTOCOL = ("loss", "bias", "batch")  # what R3 leaves open
DATA: dict[str, Callable] = {"xor": xor, "linear": linear}
LOSSES: dict[str, Callable] = {
    "bce": losses.binary_cross_entropy,
    "mse": losses.squared_error,
}
OPTIMIZERS: dict[str, Callable] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": lambda rate: optax.adamw(rate, weight_decay=0.01),
    "rmsprop": lambda rate: optax.rmsprop(rate, decay=0.99, eps_in_sqrt=False),  # PyTorch's
}
ALLOWED: dict[str, Iterable] = {
    "data": DATA,
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "loss": LOSSES,
    "bias": (True, False),
    "batch": ("full", "one"),
}


class Cell(NamedTuple):
    """A place in R3's tables."""

    data: str
    activation: str
    optimizer: str
    learning_rate: float
    width: int

    @property
    def table(self) -> tuple[str, str, str]:
        """Which table it is in: data, activation and optimizer."""
        return self[:3]


def cell_of(config: dict) -> Cell:
    """Finds a config's place in R3's tables."""
    return Cell(*(config[name] for name in R3.cell))


def epoch_steps(data: str, batch: str) -> int:
    """Gives the updates of an epoch."""
    return R3.points[data] if batch == "one" else 1


def networks_study(
    request: Request, configs: list[dict], *, seeds: int, epochs: int, every: int
) -> Study:
    """Builds a study of networks 2 - h - h - 1 from standard normal weights and zero biases.

    Args:
      configs: what is run.
      epochs, every: to train, and between evaluations; --steps and --eval-every count epochs too.
    """

    def updates(hp, number: int) -> int:
        return number * epoch_steps(hp.data, hp.batch)

    return Study(
        task=lambda hp: DATA[hp.data](loss=LOSSES[hp.loss]),
        # Zero biases that are never updated are no biases, so that is how they are left out.
        model=lambda hp: models.mlp(
            2, (hp.width, hp.width), 1, activation=hp.activation, init=normal(1.0), bias=hp.bias
        ),
        optimizer=lambda hp: OPTIMIZERS[hp.optimizer](hp.learning_rate),
        sweep=configs,
        steps=lambda hp: updates(hp, request.steps or epochs),
        eval_every=lambda hp: updates(hp, request.eval_every or every),
        batch_size=lambda hp: 1 if hp.batch == "one" else None,
        sampling=lambda hp: "epoch" if hp.batch == "one" else "step",
        seeds=seeds,
        shapes=request.shapes,
        lane_size=request.lane_size,
    )


def ranked_finals(result: Result) -> Iterator[tuple[dict, np.ndarray]]:
    """Gives every config with its seeds' final accuracies, a diverged lane's -inf."""
    final = stats.ranked(result.final("test_accuracy"), result.diverged, True)
    for config in result.configs:
        yield config, final[result.rows(config)]


def solved_by_cell(result: Result) -> dict[Cell, np.ndarray]:
    """Maps every cell to which of its seeds end at 100 %, (seeds,) bool."""
    return {cell_of(config): final == 1 for config, final in ranked_finals(result)}
