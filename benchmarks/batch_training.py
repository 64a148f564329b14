"""Trains at every batch size, and describes how soon and how far it comes: rows of figures.

A learning rate is the network's fixed one, or tuned: of its rates that which reaches a target on
the validation split soonest (median over seeds of their own), for each batch size and target, as in
Shallue and others (2018), Measuring the Effects of Data Parallelism (arXiv:1811.03600). A seed that
never gets to a target counts as infinite.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Figures
from benchmarks.networks import network, training_study
from benchmarks.noise_scale import critical_batch, estimate_moments, noise_scale
from jaxdl import make_train, stats
from jaxdl.result import Result
from jaxdl.sampling import seed_key, stream
from jaxdl.training.values import per_example
from jaxdl.types import Dataset, Task

TARGETS = (0.9, 0.97)
FIRST_TUNING_SEED = 10_000  # of those that rates are tuned on: none of them is reported on
RULES = ("fixed", "tuned")
OWN_STREAM = 7  # of a lane's key, for draws that no training makes
NOISE_BATCH, NOISE_BATCHES = 8, 16  # a small batch; small ones in a large one
NOISE_TRAINED = 32  # batch size of the training along which the noise is looked at


class Size(NamedTuple):
    """How much is trained.

    Attributes:
      share: of a network's budget of steps.
      draws: large batches that the noise scale of a seed is averaged over.
      noise_shares: of the steps, after which the noise is looked at.
    """

    seeds: int = 64
    tuning_seeds: int = 16
    share: float = 1.0
    rates: int | None = None  # so many of the network's; all where None
    draws: int = 64
    noise_seeds: int = 16
    noise_shares: tuple[float, ...] = (0.0, 0.1, 1.0)


class Curves(NamedTuple):
    """The curves of a config: steps (evaluations,), accuracies (seeds, evaluations)."""

    steps: np.ndarray
    test: np.ndarray
    valid: np.ndarray

    def to(self, target: float, split: str = "test") -> np.ndarray:
        """Gives the first step at which each seed reaches a target, infinite if it never does."""
        return stats.first_reached(getattr(self, split), self.steps, target)

    def at(self, step: float) -> np.ndarray:
        """Gives the accuracies at the last evaluation up to a step, (seeds,)."""
        return self.test[:, int(np.sum(self.steps <= step + 1e-9)) - 1]


def curves_of(result: Result) -> dict[tuple[int, float], Curves]:
    """Reads a study's curves: (batch size, rate) -> curves; a diverged lane's end with zeros."""
    curves = {}
    for config in result.configs:
        rows = result.rows(config)
        steps = result.steps if result.steps.ndim == 1 else result.steps[rows[0]]
        there = steps >= 0  # -1 lies beyond the end of a shorter schedule
        of_splits = []
        for split in ("test", "valid"):
            accuracy = result.history[f"{split}_accuracy"][rows][:, there]
            of_splits.append(np.where(np.isfinite(accuracy), accuracy, 0.0))
        key = (config["batch_size"], config["learning_rate"])
        curves[key] = Curves(steps[there], *of_splits)
    return curves


def train(name: str, batch_sizes: Sequence[int], size: Size) -> tuple[dict, dict]:
    """Tunes and trains a network.

    Returns:
      (batch size, target) -> tuned rate; (batch size, rate) -> curves.
    """
    chosen = network(name)
    rates = chosen.rates
    if size.rates is not None:
        ordered = sorted(rates, key=lambda rate: abs(np.log(rate / chosen.fixed)))
        rates = tuple(ordered[: size.rates])
    tuning = [dict(batch_size=size_, learning_rate=rate) for size_ in batch_sizes for rate in rates]
    seeds = list(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + size.tuning_seeds))
    tried = curves_of(training_study(name, tuning, seeds, size.share).run(progress=True))
    best = {}
    for batch_size in batch_sizes:
        for target in TARGETS:
            of_rates = {rate: tried[batch_size, rate] for rate in rates}
            best[batch_size, target] = soonest(of_rates, target)
    wanted = {(batch_size, chosen.fixed) for batch_size in batch_sizes}
    wanted |= {(batch_size, rate) for (batch_size, _), rate in best.items()}
    configs = [dict(batch_size=size_, learning_rate=rate) for size_, rate in sorted(wanted)]
    final = training_study(name, configs, size.seeds, size.share).run(progress=True)
    return best, curves_of(final)


def soonest(of_rates: dict[float, Curves], target: float) -> float:
    """Picks the rate that reaches a target on the validation split soonest, by the median.

    Of those that do not get there, or alike, the one that ends higher.
    """

    def merit(rate: float) -> tuple[float, float]:
        curves = of_rates[rate]
        median = float(stats.quantile(curves.to(target, "valid"), 0.5))
        return (-median, float(np.median(curves.valid[:, -1])))

    return max(of_rates, key=merit)


def target_rows(
    name: str, batch_sizes, best: dict, curves: dict, step_seconds: dict[int, float]
) -> list[Figures]:
    """Describes how soon the targets are reached: a row a rule, target and batch size.

    Args:
      step_seconds: batch size -> seconds of a step of a lane.
    """
    rows = []
    for rule in RULES:
        for target in TARGETS:
            for batch_size in batch_sizes:
                rate = network(name).fixed if rule == "fixed" else best[batch_size, target]
                of_config = curves[batch_size, rate]
                steps = of_config.to(target)
                low, high = stats.median_interval(steps)
                row = {
                    "network": name,
                    "rule": rule,
                    "target": target,
                    "batch_size": batch_size,
                    "learning_rate": rate,
                    "seeds": len(steps),
                    "reached": int(np.isfinite(steps).sum()),
                    "steps": float(stats.quantile(steps, 0.5)),
                    "steps_interval": [low, high],
                    "every": int(of_config.steps[1] - of_config.steps[0]),
                    "budget": int(of_config.steps[-1]),
                }
                row["epochs"] = row["steps"] * batch_size / network(name).rows
                row["seconds"] = row["steps"] * step_seconds[batch_size]
                rows.append(row)
    return rows


def equal_rows(
    name: str, batch_sizes, best: dict, curves: dict, step_seconds: dict[int, float]
) -> list[Figures]:
    """Describes test accuracies at equal steps, equal epochs and equal time, a row each.

    The tuned rate is that of the higher target. Equal time is the longest that every batch size was
    trained for, and so are equal epochs.
    """
    chosen = network(name)
    rows = []
    for rule in RULES:
        of_rule = {}
        for batch_size in batch_sizes:
            rate = chosen.fixed if rule == "fixed" else best[batch_size, TARGETS[-1]]
            of_rule[batch_size] = curves[batch_size, rate]
        # As far as all were trained, so that nobody's curve is read beyond its end.
        steps = min(curves.steps[-1] for curves in of_rule.values())
        epochs = min(each.steps[-1] * size / chosen.rows for size, each in of_rule.items())
        seconds = min(each.steps[-1] * step_seconds[size] for size, each in of_rule.items())
        for batch_size, each in of_rule.items():
            ends = {
                "steps": float(steps),
                "epochs": epochs * chosen.rows / batch_size,
                "time": seconds / step_seconds[batch_size],
            }
            for equal, end in ends.items():
                accuracy = each.at(end)
                rows.append(
                    {
                        "network": name,
                        "rule": rule,
                        "equal": equal,
                        "amount": {"steps": steps, "epochs": epochs, "time": seconds}[equal],
                        "batch_size": batch_size,
                        "at_step": end,
                        "seeds": len(accuracy),
                        "accuracy": float(np.median(accuracy)),
                        "interval": list(stats.median_interval(accuracy)),
                    }
                )
    return rows


def noise_rows(name: str, size: Size) -> list[Figures]:
    """Estimates the gradient noise scale along a training at one batch size: a row a step."""
    chosen = network(name)
    keys = jax.vmap(seed_key)(jnp.arange(size.noise_seeds, dtype=jnp.uint32))
    rows = []
    for share in size.noise_shares:
        steps = round(share * size.share * chosen.budget(NOISE_TRAINED))
        squares, traces = jax.jit(jax.vmap(noise_of(name, steps, size.draws)))(keys)
        estimate = noise_scale(squares, traces)
        row = {"network": name, "step": steps, "seeds": size.noise_seeds}
        rows.append({**row, "noise_scale": estimate.value, "interval": list(estimate.interval)})
    return rows


def noise_of(name: str, steps: int, draws: int):
    """Makes (key) -> moments of the gradient's noise after some steps of a lane."""
    chosen = network(name)
    task, model = chosen.task, chosen.model

    def measure(key):
        dataset = task.data(key) if callable(task.data) else task.data
        params, state = model.init(stream(key, "init"))
        if steps:
            optimizer = chosen.optimizer(chosen.fixed)
            run = make_train(
                task, model, optimizer, steps=steps, eval_every=steps, batch_size=NOISE_TRAINED
            )
            params, state, _ = run(key)

        def gradient(key):
            x, targets = independent_examples(task, dataset, key)
            prepared = x if task.prepare is None else task.prepare(x)

            def loss(params):
                outputs, _ = model.apply(params, state, prepared, key=None, train=False)
                each = per_example("loss", task.loss(outputs, targets), NOISE_BATCH)
                return each.mean()

            return jax.grad(loss)(params)

        fresh = jax.random.fold_in(key, OWN_STREAM)
        return estimate_moments(gradient, fresh, NOISE_BATCH, NOISE_BATCHES, draws)

    return measure


def independent_examples(task: Task, dataset: Dataset, key):
    """Draws a small batch of independent examples, with replacement or fresh: (x, targets)."""
    if task.batch is not None:
        x, targets, _ = task.batch(dataset, key, 0, NOISE_BATCH)
        return x, targets
    rows = jax.random.randint(key, (NOISE_BATCH,), 0, dataset.train_targets.shape[-1])
    # Those that all lanes share may be numpy's, which knows no traced row.
    x, targets = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_targets)
    return x[..., rows], targets[..., rows]


def critical_rows(rows: Sequence[Figures], curves: dict, name: str) -> list[Figures]:
    """Fits the critical batch size to the steps of each rule and target."""
    fitted = []
    for rule in RULES:
        for target in TARGETS:
            same = [row for row in rows if (row["rule"], row["target"]) == (rule, target)]
            sizes = [row["batch_size"] for row in same]
            steps = [curves[row["batch_size"], row["learning_rate"]].to(target) for row in same]
            estimate = critical_batch(sizes, np.stack(steps))
            figures = {"critical_batch": estimate.value, "interval": list(estimate.interval)}
            named = {"network": name, "rule": rule, "target": target}
            fitted.append({**named, **figures, "words": in_words(estimate.value, sizes)})
    return fitted


def in_words(critical: float, sizes: Sequence[int]) -> str:
    """Writes a critical batch size; one beyond all that were tried is no more than that."""
    if np.isnan(critical):
        return "not told"
    if critical > max(sizes):
        return f"beyond {max(sizes)}"
    return f"below {min(sizes)}" if critical < min(sizes) else f"{critical:.3g}"
