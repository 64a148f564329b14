"""Which reading of reports R2 and R4 explains their tables of perceptron accuracies?

Protocol: R2, part I: means (m, m) and (-m, -m), covariances [[c, c], [c, c]] and [[c, -c], [-c, c]] (singular: the points
lie on two lines), 20 epochs online, rate 0.01, as meant; with +1/-1 labels but the listing's gradient, which is summed
over the features, the constant one of the bias included, into one scalar that moves every weight; and literally, where
the labels are 0 and 1 as well while predictions are +1 and -1. R4, part I: five pairs of normals, 100 epochs, under the
listing's rule (the sum over all points, only while no more are right than wrong) and the online rule, without
and with a bias. 80 + 80 training and 20 + 20 test points drawn anew for every seed. --steps and --eval-every count updates.

Command: python -m experiments perceptron_grid
Time: about 60 seconds at --seeds 1000 on 2 CPU cores with a cold cache; less at the default 200.
Expected: R2's table is likeliest with the scalar gradient; R4's test 5 is about 0.5 without a bias and 0.99 with one.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.grid_figures import grid_figure, tests_figure
from experiments.options import merge_sweeps, run_folder, run_studies
from experiments.perceptrons import (
    RULES,
    accuracy_entry,
    check_configs,
    check_sweep,
    convergence,
    epochs_to_convergence,
    perceptron_study,
    place,
    product,
    shown,
)
from experiments.report import Report, iqm_cell, rows_of
from jaxdl import Metric, Study, losses, models, tables, tasks
from jaxdl.study import Result

SCALES = {"mean": [20.0, 2.0, 0.2, 0.02], "variance": [10.0, 1.0, 0.1, 0.01]}
VARIANTS = ["as meant", "scalar gradient", "literal"]
R2 = (
    (1.0, 1.0, 1.0, 1.0),
    (0.875, 1.0, 1.0, 1.0),
    (0.7, 0.35, 0.5, 0.5),
    (0.275, 0.65, 0.45, 0.5),
)  # test accuracy; rows are means, columns variances
PUBLISHED = {(m, c): R2[i][j] for i, m in enumerate(SCALES["mean"]) for j, c in enumerate(SCALES["variance"])}
TESTS: tuple[tuple, ...] = (  # R4: means, diagonals of the covariances, accuracy
    ((10, 16), (-6, -3), (3, 4), (2, 5), 1.0),
    ((1, -6), (-2, -3), (3, 4), (2, 5), 0.625),
    ((10, 16), (-6, -3), (40, 34), (38, 35), 0.825),
    ((1, -6), (-2, -3), (40, 34), (38, 35), 0.65),
    ((19, 16), (5, 6), (4, 4), (3, 5), 0.5),
)
SWEEP = {"rule": ["majority", "online"], "bias": [False, True], "test": [1, 2, 3, 4, 5], "variant": VARIANTS, **SCALES}
OF_R4 = ("rule", "bias", "test")
SEEDS = 200


def literal_loss(outputs, targets):
    """The criterion with labels 0 and 1: points of class 0 never move anything."""
    margin = (targets + 1) // 2 * outputs[0]
    return jnp.where(margin <= 0, -margin, 0.0)


def literal_accuracy(outputs, targets):
    """Predictions of +1 and -1 compared with labels 1 and 0: never more than one half at equal classes."""
    return (losses.sign(outputs[0]) == (targets + 1) // 2).astype(jnp.float32)


def lines(hp):
    """R2's two singular normals."""
    m, c = hp.mean, hp.variance
    task = tasks.gaussians([[m, m], [-m, -m]], [[[c, c], [c, c]], [[c, -c], [-c, c]]])
    literal = hp.variant == "literal"
    return (
        task._replace(loss=literal_loss, metrics={"accuracy": Metric(literal_accuracy, higher_is_better=True)})
        if literal
        else task
    )


def summed_gradient() -> optax.GradientTransformation:
    """Replaces every partial derivative by the sum of all of them: R2's listing, with the bias as the weight of a constant."""

    def update(updates, params):
        total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(updates))
        return jax.tree.map(lambda leaf: jnp.broadcast_to(total, leaf.shape), updates)

    return optax.stateless(update)


def grid_optimizer(hp):
    """Plain SGD, over the summed gradient where that is kept."""
    plain = optax.sgd(hp.learning_rate)
    return plain if hp.variant == "as meant" else optax.chain(summed_gradient(), plain)


def pair(hp):
    """The normals of one of R4's tests."""
    numbers = [jnp.asarray([test[part] for test in TESTS], jnp.float32)[hp.test - 1] for part in range(4)]
    return tasks.gaussians(jnp.stack(numbers[:2]), jnp.stack([jnp.diag(part) for part in numbers[2:]]), loss=RULES[hp.rule])


def build(options) -> tuple[dict[str, Study], dict]:
    """The two studies that the options ask for, and the sweep."""
    sweep, _ = merge_sweeps(SWEEP, {"learning_rate": 0.01}, options.sweep)
    check_sweep(sweep, {"rule": RULES, "bias": [False, True], "test": SWEEP["test"], "variant": VARIANTS})
    other = {name: values for name, values in sweep.items() if name not in SWEEP}
    grid = {"rule": ["online"], **other, **{name: sweep[name] for name in ("variant", *SCALES)}}
    tests = {**other, **{name: sweep[name] for name in OF_R4}}
    short, each = 10 if options.quick else 1, dict.fromkeys(RULES, 1)
    made = {
        "r2": perceptron_study(options, lines, product(grid), dict.fromkeys(RULES, 20 // short), each, optimizer=grid_optimizer, seeds=SEEDS),
        "r4": perceptron_study(
            options, pair, product(tests), dict.fromkeys(RULES, 100 // short), each,
            model=lambda hp: models.perceptron(bias=hp.bias), seeds=SEEDS,
        ),
    }  # fmt: skip
    return made, sweep


def run(options) -> Report:
    studies, sweep = build(options)
    check_configs(studies.values())
    folder = run_folder(options, sweep, SWEEP)
    results = run_studies(studies, folder, options)
    rows = [row for name, found in results.items() for row in study_rows(name, found)]
    ranked = likelihoods(rows)
    figures = {"r2": grid_figure(rows, SCALES, PUBLISHED, dict(ranked)), "r4": tests_figure(results["r4"], TESTS)}
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png")
    text = f"{grid_table(rows)}\n\n{tests_table(rows)}\n\n{sentence(ranked)}\nFigures: {folder / 'figures'}"
    return Report("perceptron_grid", str(folder), rows, text)


def study_rows(name: str, result: Result) -> list[dict]:
    """The rows of one of the two studies."""
    return [{"study": name, **row} for row in rows_of(result, lambda config, lanes: entries(result, config, lanes))]


def entries(result: Result, config: dict, lanes) -> dict:
    """A row's metrics, with the report's number beside them."""
    of_r4 = "test" in config
    published = TESTS[config["test"] - 1][-1] if of_r4 else PUBLISHED.get((config["mean"], config["variance"]))
    return {
        "converged": convergence(epochs_to_convergence(result, config, lanes)),
        "test_accuracy": accuracy_entry(result, "test_accuracy", lanes, published),
    }


def likelihoods(rows: list[dict]) -> list[tuple[str, float]]:
    """Variants with the mean log10 of the share of seeds within one test point of each of R2's numbers; best first."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["study"] == "r2" and row["test_accuracy"]["published"] is not None:
            share = max(row["test_accuracy"]["within_a_point"], 0.5 / row["n"])  # half a seed where none came close
            found.setdefault(row["variant"], []).append(math.log10(share))
    return sorted(((variant, float(np.mean(logs))) for variant, logs in found.items()), key=lambda entry: -entry[1])


def sentence(ranked: list[tuple[str, float]]) -> str:
    """Which variant makes R2's table likely."""
    if not ranked:
        return "None of R2's cells was run."
    each = "; ".join(f"{variant}: {10**score:.2g}" for variant, score in ranked)
    return (
        f"R2's table is likeliest under '{ranked[0][0]}'. Share of seeds within one test point of a cell, geometric mean: {each}."
    )


COLUMNS = ("n", "survived", "converged", "epochs", "test acc", "median", "IQM [95 %]", "report (pct)", "within a point")


def cells(row: dict) -> tuple:
    """The figures of a row that both tables show."""
    entry, epochs = row["test_accuracy"], row["converged"]["epochs"]
    median = tables.cell(float(epochs["median"]))
    return (
        row["n"],
        row["survived"],
        row["converged"]["share"],
        median,
        shown(entry),
        entry["median"],
        iqm_cell(entry, row["survived"]),
        place(entry),
        entry.get("within_a_point"),
    )


def grid_table(rows: list[dict]) -> tables.Table:
    """R2's grid in its variants."""
    title = (
        "R2's grid. test acc: mean (sd); report (pct): the published number and its percentile among the seeds;\n"
        "within a point: share of seeds whose accuracy is within one test point (0.025) of it"
    )
    body = [(row["variant"], row["mean"], row["variance"], *cells(row)) for row in rows if row["study"] == "r2"]
    return tables.Table(title, ("variant", "mean", "cov", *COLUMNS), tuple(body))


def tests_table(rows: list[dict]) -> tables.Table:
    """R4's five tests."""
    body = [(row["rule"], "yes" if row["bias"] else "no", row["test"], *cells(row)) for row in rows if row["study"] == "r4"]
    return tables.Table("R4's five tests, without and with a bias", ("rule", "bias", "test", *COLUMNS), tuple(body))
