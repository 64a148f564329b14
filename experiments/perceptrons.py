"""What the perceptron experiments share: the update rules on one engine, when a lane has converged, a row's figures."""

import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.report import metric_entry
from jaxdl import Study, losses, models, stats
from jaxdl.checks import one_of
from jaxdl.study import Result

TRAIN, TEST = 160, 40  # points: 100 of each class, 80 and 20 of them
RULES = {
    "online": losses.perceptron,  # one point a step, in shuffled passes: the text of R1
    "batch": losses.perceptron_mistakes,  # the sum over all wrong points, sign(0) = +1: R1's listing
    "majority": losses.perceptron_majority,  # the sum over all points while no more are right than wrong: R4's listing
}
RUNS = 20  # that R1 averages


def last_update(info):
    """The number of the step if it moves the weights, else -1; its largest value says when a lane came to rest."""
    moved = sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(info.grads)) > 0
    return jnp.where(moved, info.step, -1).astype(jnp.float32)


def epoch_steps(rule: str) -> int:
    """Updates of an epoch."""
    return TRAIN if rule == "online" else 1


def perceptron_study(options, task, sweep, epochs: dict, every: dict, model=None, optimizer=None, seeds=64, record=None) -> Study:
    """A study of perceptrons under ``hp.rule``; --steps and --eval-every count updates.

    Args:
      epochs, every: rule -> epochs to train, and between evaluations.
    """
    return Study(
        task=task,
        model=model or models.perceptron(),
        optimizer=optimizer or (lambda hp: optax.sgd(hp.learning_rate)),
        defaults={"learning_rate": 0.01} if "learning_rate" not in sweep[0] else {},
        sweep=sweep,
        seeds=options.seeds or (8 if options.quick else seeds),
        steps=lambda hp: options.steps or epochs[hp.rule] * epoch_steps(hp.rule),
        eval_every=lambda hp: options.eval_every or every[hp.rule] * epoch_steps(hp.rule),
        batch_size=lambda hp: 1 if hp.rule == "online" else None,
        sampling=lambda hp: "epoch" if hp.rule == "online" else "step",
        reduction="sum",
        shapes=options.shapes,
        lane_size=options.lane_size,
        record={"last_update": last_update, **(record or {})},
    )


def check_sweep(sweep: dict, allowed: dict):
    """Raises a ValueError for a swept value that is not among the allowed ones of its name."""
    for name, values in allowed.items():
        for value in sweep[name]:
            one_of(name, value, values)


def check_configs(studies: Iterable[Study]):
    """Builds every config's task with its concrete values, so that one out of range is named before anything runs."""
    for study in studies:
        for config in study.spec.configs:
            study.recipe(config)


def product(sweep: dict) -> list[dict]:
    """All combinations of a sweep's values."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def epochs_to_convergence(result: Result, config: dict, lanes) -> np.ndarray:
    """The epochs after which all training points are right; infinite where they never are."""
    updates = np.nanmax(np.nan_to_num(result.metric("last_update_max")[lanes], nan=-1.0), axis=1) + 1
    done = (result.final("train_accuracy")[lanes] == 1) & ~result.diverged[lanes]
    return np.where(done, np.ceil(updates / epoch_steps(config["rule"])), np.inf)


def convergence(epochs: np.ndarray, published: float | None = None) -> dict:
    """The share of lanes that converge with its 95 % interval (Wilson), and when they do."""
    count, n = int(np.isfinite(epochs).sum()), len(epochs)
    low, median, high = stats.quantile(epochs, [0.05, 0.5, 0.95])
    share = count / n
    return {
        "share": share,
        "interval": stats.share_interval(count, n),
        "epochs": {"median": median, "quantiles": [low, high], "never": 1 - share},
        "published": published,
        "published_probability": None if published is None else share**RUNS,  # that all of R1's runs converge
    }


def accuracy_entry(result: Result, metric: str, lanes, published: float | None = None) -> dict:
    """A metric's distribution, with the place of a published number among single seeds and among means of 20."""
    values = result.final(metric)[lanes]
    entry = metric_entry(values, result.diverged[lanes], True, published)
    if published is not None:
        picks = np.random.default_rng(0).integers(0, len(values), (2000, RUNS))
        ranks = stats.ranked(values, result.diverged[lanes], True)  # a mean with a diverged lane is worst
        entry["published_percentile_of_means"] = stats.percentile(ranks[picks].mean(axis=1), published)
        entry["within_a_point"] = float(np.mean(np.abs(values - published) < 1.01 / TEST))
    return entry


def place(entry: dict) -> str:
    """A published number with its percentile."""
    return "-" if entry["published"] is None else f"{entry['published']:g} ({entry['published_percentile']:.3g})"


def shown(entry: dict) -> str:
    """Mean and sd of a metric."""
    return f"{entry['mean']:.3f} ({entry['sd']:.3f})"
