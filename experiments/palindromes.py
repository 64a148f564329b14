"""Builds the studies of the palindrome experiments, their columns and their training figure."""

from collections.abc import Callable

import numpy as np
import optax

from experiments.columns import Column, Lanes, accuracy, steps_to
from experiments.drawing import protocols
from experiments.figures import Panel, curves
from experiments.frame import Drawer, Run
from experiments.references import Numbers
from experiments.request import Request
from jaxdl import Study, data, models, tasks
from jaxdl.checks import one_of, positive_number

BATCH_SIZE = 128
LEARNED = 0.9  # accuracy from which on a run counts as having learned
DEFAULTS = {
    "learning_rate": 0.001,
    "clip": 10.0,  # the largest norm of a gradient; None for no clipping
    "units": 128,
    "encoding": "number",
    # "torch" is R5's: 1 / sqrt(fan-in) of each map, so U(-1, 1) for the one input;
    # "torch_rnn" has 1 / sqrt(units).
    "init": "torch",
    "optimizer": "rmsprop",
}


def rmsprop(learning_rate) -> optax.GradientTransformation:
    """Makes PyTorch's RMSprop: v = 0.99 v + 0.01 g^2, w -= rate g / (sqrt(v) + 1e-8)."""
    return optax.rmsprop(learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False)


OPTIMIZERS: dict[str, Callable] = {"rmsprop": rmsprop, "adam": optax.adam, "sgd": optax.sgd}


def optimizer(hp) -> optax.GradientTransformation:
    """Makes the optimizer that hp names, behind a clip of the gradient's norm."""
    plain = OPTIMIZERS[one_of("optimizer", hp.optimizer, OPTIMIZERS)](hp.learning_rate)
    if hp.clip is None:
        return plain
    return optax.chain(optax.clip_by_global_norm(hp.clip), plain)


def network(hp):
    """Makes the network that hp describes, over all digits of a palindrome but the last."""
    return models.rnn(
        1 if hp.encoding == "number" else data.DIGITS,
        hp.units,
        data.DIGITS,
        cell=hp.cell,
        length=data.palindrome_steps(hp.length),
        init=hp.init,
    )


def palindrome_study(request: Request) -> Study:
    """Builds a study of R5's network."""
    # Traced, a clip of 0 or less would train nothing and say nothing.
    for value in request.sweep.get("clip", ()):
        if value is not None:
            positive_number("clip", value)
    # One lane at a time fills a core's cache.
    arguments = {**request.study, "lane_size": request.lane_size or 1}
    return Study(
        task=lambda hp: tasks.palindromes(hp.length, hp.encoding, train_samples=BATCH_SIZE),
        model=network,
        optimizer=optimizer,
        defaults=request.defaults,
        sweep=request.sweep,
        record={"grad_norm": lambda info: optax.tree.norm(info.grads)},
        **request.unswept(batch_size=BATCH_SIZE),
        **arguments,
    )


def columns(published: Numbers) -> list[Column]:
    """Lists the columns of both experiments: accuracy, time to learn, size of the gradients."""
    return [accuracy(published=published), steps_to(LEARNED), gradient_norm()]


def gradient_norm() -> Column:
    """Describes the norms of the batch gradients, before clipping."""

    def value(lanes: Lanes) -> dict:
        # The largest since the last evaluation, so none at step 0.
        largest = np.nanmax(lanes.curves("grad_norm_max"), axis=1)
        clip = lanes.settings["clip"]
        return {
            "median": float(np.nanmedian(lanes.curves("grad_norm_mean"))),
            "largest": float(largest.max()),
            "clipped": 0.0 if clip is None else float(np.mean(largest > clip)),
        }

    cells = {
        "grad norm": lambda entry, row: entry["median"],
        "largest": lambda entry, row: entry["largest"],
        "clipped": lambda entry, row: f"{entry['clipped']:.0%}",
    }
    legend = "grad norm: median of the batch gradients; clipped: lanes with one beyond the clip"
    return Column("grad_norm", value, cells, legend)


def training(over: str) -> Drawer:
    """Draws accuracy and the largest gradient norm by step, a curve a value of `over`."""

    def groups(run: Run) -> dict[str, list[dict]]:
        # Four rows at most: with every axis swept there would be dozens.
        return dict(list(protocols(run.result.configs, over).items())[:4])

    def clip(run: Run) -> tuple[float, str] | None:
        value = run.request.defaults.get("clip")
        return None if value is None else (value, "clip")

    return curves(
        Panel("test_accuracy", "test accuracy", limits=(-0.02, 1.03)),
        Panel(
            "grad_norm_max",
            "largest gradient norm, before clipping",
            higher_is_better=False,
            log=True,
            recorded=True,
            mark=clip,
        ),
        groups=groups,
    )
