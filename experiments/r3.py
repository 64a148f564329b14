"""Report R3's five tables, and the study of the networks behind them."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import optax

from jaxdl import Study, losses, models, tasks
from jaxdl.checks import one_of
from jaxdl.layers import ACTIVATIONS, normal
from jaxdl.study import Result

RATES = [0.1, 0.01, 0.001, 0.0001, 0.00001]
WIDTHS = [1, 2, 4, 8, 16, 32]
PAIRS = (("sigmoid", "sgd"), ("identity", "sgd"), ("sigmoid", "adam"), ("relu", "sgd"), ("tanh", "sgd"))  # tables 1 to 5
POINTS = {"xor": 21, "linear": 100}
DATA: dict[str, Callable] = {"xor": tasks.xor, "linear": tasks.linear}
LOSSES = {"bce": losses.binary_cross_entropy, "mse": losses.squared_error}
OPTIMIZERS: dict[str, Callable] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": lambda rate: optax.adamw(rate, weight_decay=0.01),
    "rmsprop": lambda rate: optax.rmsprop(rate, decay=0.99, eps_in_sqrt=False),  # PyTorch's
}
ALLOWED: dict[str, Iterable] = {"data": DATA, "activation": ACTIVATIONS, "optimizer": OPTIMIZERS, "loss": LOSSES, "bias": (True, False),
                              "batch": ("full", "one")}  # fmt: skip
PROTOCOL = ("loss", "bias", "batch")  # what R3 leaves open
EPOCHS = 2000
# Accuracy in %: a table is a list of rates, each with its widths; a row that ends early goes on with its last value.
PRINTED: dict[str, tuple] = {
    "xor": (
        ([52.38, 52.38, 100], [52.38, 52.38, 52.38, 85.71, 100], [52.38, 52.38, 52.38, 52.38, 57.14, 71.43], [52.38], [52.38]),
        ([52.38], [52.38], [52.38, 52.38, 52.38, 52.38, 52.38, 61.90], [52.38], [52.38, 61.90, 52.38, 66.67, 52.38]),
        ([52.38, 76.19, 100], [52.38, 52.38, 100], [52.38, 52.38, 90.48, 100], [52.38, 52.38, 52.38, 52.38, 57.14, 80.95],
         [52.38, 52.38, 47.62, 52.38]),
        ([52.38, 52.38, 100], [52.38, 76.19, 52.38, 100], [76.19, 76.19, 76.19, 100], [52.38, 85.71, 52.38, 76.19, 90.48, 95.24],
         [52.38, 52.38, 71.43, 71.43, 57.14, 80.95]),
        ([76.19, 52.38, 100], [76.19, 90.48, 100], [52.38, 57.14, 85.71, 100], [52.38, 52.38, 66.67, 66.67, 85.71, 90.48],
         [52.38, 52.38, 52.38, 71.43, 57.14, 85.71]),
    ),
    "linear": (
        ([54, 100], [54, 100], [54, 54, 96, 100, 99, 100], [54, 54, 54, 54, 85, 90], [54, 54, 54, 54, 63, 54]),
        ([100], [100], [100], [54, 97, 97, 99, 100], [54, 94, 88, 90, 96, 99]),
        ([54, 54, 100], [54, 100, 100, 100, 100, 99], [54, 99, 100], [54, 96, 92, 100], [54, 54, 54, 66, 86, 94]),
        ([54, 54, 100], [54, 54, 100], [54, 99, 100], [54, 54, 97, 99, 99, 100], [54, 54, 54, 94, 97, 99]),
        ([100], [100], [100], [95, 94, 99, 99, 100], [54, 86, 94, 67, 97, 95]),
    ),
}  # fmt: skip


def _published() -> dict[tuple, float]:
    """(data, activation, optimizer, rate, width) -> accuracy, as the share of points that it stands for."""
    found = {}
    for data, printed in PRINTED.items():
        for pair, rows in zip(PAIRS, printed, strict=True):
            for rate, row in zip(RATES, rows, strict=True):
                for place, width in enumerate(WIDTHS):
                    percent = row[min(place, len(row) - 1)]
                    found[(data, *pair, rate, width)] = round(percent * POINTS[data] / 100) / POINTS[data]
    return found


PUBLISHED = _published()


def cell_of(config: dict) -> tuple:
    """A config's place in R3's tables."""
    return tuple(config[name] for name in ("data", "activation", "optimizer", "learning_rate", "width"))


def published(config: dict) -> float | None:
    """R3's accuracy of a config; None where it printed none (another loss, say)."""
    return PUBLISHED.get(cell_of(config)) if config["loss"] == "bce" else None


def configs(sweep: dict, pairs=PAIRS) -> list[dict]:
    """All combinations of a sweep's values whose activation and optimizer are one of `pairs`; all of them where it is None.

    Raises:
      ValueError: a value that no part of the study knows.
    """
    for name, allowed in ALLOWED.items():
        for value in sweep[name]:
            one_of(name, value, allowed)
    found = [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
    return [config for config in found if pairs is None or (config["activation"], config["optimizer"]) in pairs]


def study(chosen: list[dict], options, seeds: int, epochs: int, eval_every: int) -> Study:
    """A study of networks 2 - h - h - 1 from standard normal weights and zero biases; --steps and --eval-every count epochs."""

    def updates(hp, number: int) -> int:
        return number * (POINTS[hp.data] if hp.batch == "one" else 1)

    return Study(
        task=lambda hp: DATA[hp.data](loss=LOSSES[hp.loss]),
        model=lambda hp: models.mlp(
            2, (hp.width, hp.width), 1, activation=hp.activation, init=normal(1.0), bias=hp.bias
        ),  # zero biases that are never updated are no biases
        optimizer=lambda hp: OPTIMIZERS[hp.optimizer](hp.learning_rate),
        sweep=chosen,
        seeds=seeds,
        steps=lambda hp: updates(hp, options.steps or epochs),
        eval_every=lambda hp: updates(hp, options.eval_every or eval_every),
        batch_size=lambda hp: 1 if hp.batch == "one" else None,
        sampling=lambda hp: "epoch" if hp.batch == "one" else "step",
        shapes=options.shapes,
        lane_size=options.lane_size,
    )  # fmt: skip


def lanes_by_config(result: Result) -> list[tuple[dict, np.ndarray]]:
    """Every config with its row numbers, in the order of their seeds."""
    return [(config, result.rows(config)) for config in result.configs]
