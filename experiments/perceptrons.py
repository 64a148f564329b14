"""Builds the studies of perceptrons, and the columns that tell when a perceptron has converged."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.columns import (
    Column,
    Lanes,
    distribution,
    legend,
    mean_and_sd,
    median_and_range,
    number,
    published_cell,
    share,
    standing,
    steps_entry,
)
from experiments.references import R1, Numbers
from experiments.request import Request
from jaxdl import Study, losses, models, stats

TRAIN, TEST = 160, 40  # points: 100 of each class, 80 and 20 of them
RESAMPLES = 2000  # means of R1's number of runs


def perceptron_majority(outputs, targets):
    """Gives -y f of every point while no more points are right than wrong, else 0.

    The rule of R4's listing (`references.R4`).

    The points counted are those handed in, so a batch must be whole (no places without an example).
    A point at f = 0 counts as neither, so that the zero start moves whatever the class sizes.
    Args as for `losses.perceptron`.

    >>> perceptron_majority(jnp.array([[1.0, 1.0, 1.0]]), jnp.array([1, 1, -1])).tolist()
    [0.0, 0.0, 0.0]
    """
    margin = targets * outputs[0]
    return jnp.where(jnp.sum(jnp.sign(margin)) <= 0, -margin, 0.0)


RULES = {
    "online": losses.perceptron,  # one point a step, in shuffled passes: the text of R1
    "batch": losses.perceptron_mistakes,  # the sum over all wrong points: R1's listing
    "majority": perceptron_majority,  # while no more are right than wrong: R4's listing
}
Epochs = Mapping[str, int]  # rule -> epochs


def last_update(info):
    """Gives the number of the step if it moves the weights, else -1.

    Its largest value says when a lane came to rest.
    """
    moved = sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(info.grads)) > 0
    return jnp.where(moved, info.step, -1).astype(jnp.float32)


def epoch_steps(rule: str) -> int:
    """Gives the updates of an epoch."""
    return TRAIN if rule == "online" else 1


def plain_sgd(hp) -> optax.GradientTransformation:
    """Makes the usual optimizer."""
    return optax.sgd(hp.learning_rate)


def perceptron_study(
    request: Request,
    task: Callable,
    configs: list[dict],
    *,
    epochs: Epochs,
    every: Epochs,
    model: Callable | None = None,
    optimizer: Callable = plain_sgd,
    record: Mapping[str, Callable] | None = None,
) -> Study:
    """Builds a study of perceptrons under ``hp.rule``; --steps and --eval-every count updates.

    Args:
      task, model, optimizer: functions of hp.
      epochs, every: epochs to train, and between evaluations.

    Raises:
      ValueError: a config whose task cannot be, named before anything runs.
    """
    study = Study(
        task=task,
        model=model or models.perceptron(),
        optimizer=optimizer,
        defaults=request.defaults,
        sweep=configs,
        steps=lambda hp: request.steps or epochs[hp.rule] * epoch_steps(hp.rule),
        eval_every=lambda hp: request.eval_every or every[hp.rule] * epoch_steps(hp.rule),
        batch_size=lambda hp: 1 if hp.rule == "online" else None,
        sampling=lambda hp: "epoch" if hp.rule == "online" else "step",
        # The rules sum over points; at a batch of one there is nothing to choose.
        reduction="sum",
        record={"last_update": last_update, **(record or {})},
        seeds=request.seeds,
        shapes=request.shapes,
        lane_size=request.lane_size,
    )
    # A plan sees means and covariances traced only, so a wrong one is looked for here.
    for config in configs:
        study.recipe(config)
    return study


def converged(published: Callable[[dict], float | None] | None = None) -> Column:
    """Describes when all training points are right, and in which share of the lanes they ever are.

    Args:
      published: (config) -> 1 where a report claims that all of its runs converge.
    """

    def value(lanes: Lanes) -> dict:
        claim = None if published is None else published(lanes.settings)
        return convergence(epochs_to_convergence(lanes), claim)

    cells = {
        "converged": lambda entry, row: entry["share"],
        "95 % interval": lambda entry, row: tuple(entry["interval"]),
        "epochs": lambda entry, row: median_and_range(entry["epochs"]),
    }
    text = "converged: share with all training points right; epochs to that: median [5 %, 95 %]"
    if published is not None:
        heading = f"{R1.runs} of {R1.runs}"
        cells[heading] = lambda entry, row: entry["published_probability"]
        text += f"\n{heading}: how probable it is that every one of R1's {R1.runs} runs converges"
    return Column("converged", value, cells, text)


def epochs_to_all_right(published: Numbers) -> Column:
    """Places a published number of epochs to convergence among the seeds."""

    def value(lanes: Lanes) -> dict:
        return steps_entry(epochs_to_convergence(lanes), number(lanes, published))

    cells = {f"epochs, {heading}": cell for heading, cell in published_cell(published).items()}
    return Column("epochs_to_all_right", value, cells)


def epochs_to_convergence(lanes: Lanes) -> np.ndarray:
    """Gives the epochs after which all training points are right; infinite where never."""
    # The number of the last update that moved the weights, + 1; NaN before the first evaluation.
    updates = np.nan_to_num(lanes.curves("last_update_max"), nan=-1.0)
    epochs = np.ceil((updates.max(axis=1) + 1) / epoch_steps(lanes.settings["rule"]))
    done = (lanes.final("train_accuracy") == 1) & ~lanes.diverged
    return np.where(done, epochs, np.inf)


def convergence(epochs: np.ndarray, published: float | None = None) -> dict:
    """Gives the share of lanes that converge with its interval, and when they do."""
    low, median, high = stats.quantile(epochs, [0.05, 0.5, 0.95])
    entry = share(np.isfinite(epochs))
    everyone = entry["share"] ** R1.runs  # the probability that all of R1's runs converge
    return {
        **entry,
        "epochs": {"median": median, "quantiles": [low, high], "never": 1 - entry["share"]},
        "published": published,
        "published_probability": None if published is None else everyone,
    }


def accuracy_among_means(metric: str, label: str, published: Numbers | None = None) -> Column:
    """Describes an accuracy, with a published number's place among seeds and among means of 20."""

    def value(lanes: Lanes) -> dict:
        claim = number(lanes, published)
        entry = distribution(lanes, metric, True, claim)
        return entry if claim is None else {**entry, **places(lanes, metric, claim)}

    cells = {label: lambda entry, row: mean_and_sd(entry)}
    if published is None:
        return Column(metric, value, cells, f"{label}: mean (sd)")
    cells |= {"median": lambda entry, row: entry["median"], **published_cell(published)}
    cells["pct of means"] = lambda entry, row: entry.get("published_percentile_of_means")
    cells["within a point"] = lambda entry, row: entry.get("within_a_point")
    more = f"pct of means: among means of {R1.runs} seeds; within a point: share of seeds that near"
    return Column(metric, value, cells, f"{legend(f'{label}: mean (sd)', published)}\n{more}")


def places(lanes: Lanes, metric: str, published: float) -> dict:
    """Places a number among means of as many seeds as R1 averages, and counts seeds near it."""
    values = lanes.final(metric)
    # Always the same resamples, so that a figure in a report does not change from run to run.
    picks = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, R1.runs))
    # A mean with a diverged lane is worst.
    ranks = stats.ranked(values, lanes.diverged, True)
    means = ranks[picks].mean(axis=1)
    # Resampled means share seeds; means of seeds that are in no other mean are draws of their own.
    whole = len(ranks) // R1.runs
    apart = ranks[: whole * R1.runs].reshape(whole, R1.runs).mean(axis=1)
    return {
        "published_percentile_of_means": stats.percentile(means, published),
        "means": {"n": whole, **standing(apart, published)} if whole else None,
        "within_a_point": float(np.mean(np.abs(values - published) < 1.01 / TEST)),
    }
