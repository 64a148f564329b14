"""How far apart must two normal classes be for a perceptron to converge, and how close to the best accuracy does it come?

Protocol: report R1, part I. 100 points of each of two 2-D normals with equal spherical covariances, drawn anew for every
seed, 80 + 80 for training, 20 + 20 for testing; zero start, rate 0.01 (which scales the weights and changes nothing
else). Two rules, because R1's text and listing differ: online (one point at a time in random order, 100 epochs) and
batch (the sum over all wrong points, sign(0) = +1, 1000 epochs, evaluated every 10; when a lane comes to rest is
recorded to the epoch). Distance 0..8 at variance 0.5, variance 0.05..100 at distance 6, R1's three groups and the
data of its example figure. The ceiling is the Bayes accuracy Phi(distance / 2 sd). --steps and --eval-every count updates.

Command: python -m experiments perceptron_separability
Time: about 90 seconds at --seeds 1000 on 2 CPU cores with a cold cache; less at the default 200.
Expected: at variance 0.5 a quarter of the data sets converge at distance 3, 94 % at 4, all at 6; the mean test accuracy at
variance 100 is 0.55 (sd 0.11): R1's 0.675 lies above the Bayes accuracy of 0.618 and above any mean of 20 runs.
"""

import jax.numpy as jnp
import numpy as np

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
from experiments.report import Report, metric_entry, rows_of
from experiments.separability_figures import groups_figure, sweeps_figure
from jaxdl import Study, tables, tasks
from jaxdl.data import bayes_accuracy
from jaxdl.study import Result

VARIANCE, DISTANCE = 0.5, 6.0  # the one while the other is swept
SWEEP = {
    "rule": ["online", "batch"],
    "distance": [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    "variance": [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0],
}
GROUPS = ("normal", "close", "large variance", "example")
MEANS = (((-3, 0), (3, 0)), ((0, 0), (0.3, 0.3)), ((-3, 0), (3, 0)), ((3.82, -0.95), (-2.41, 0.89)))  # of +1 and of -1
EXAMPLE = (((0.88, -0.25), (-0.25, 1.16)), ((0.66, -0.08), (-0.08, 0.53)))
COVARIANCES = np.array([*(np.broadcast_to(v * np.eye(2), (2, 2, 2)) for v in (0.5, 0.3, 100.0)), EXAMPLE])
PUBLISHED_GROUPS = (1.0, 0.575, 0.675, 1.0)  # test accuracy
PUBLISHED_WEIGHTS = {"weight_1": 1.874, "weight_2": -0.718, "bias": -0.80}  # R1's example
WEIGHTS = {
    "weight_1": lambda info: info.params.weight[0, 0],
    "weight_2": lambda info: info.params.weight[0, 1],
    "bias": lambda info: info.params.bias[0],
}
SEEDS = 200


def build(options) -> tuple[dict[str, Study], dict]:
    """The two studies that the options ask for, and the sweep."""
    sweep, _ = merge_sweeps(SWEEP, {"learning_rate": 0.01}, options.sweep)
    check_sweep(sweep, {"rule": RULES})
    if options.quick:
        sweep = {name: values if name == "rule" else values[:: max(1, len(values) // 3)] for name, values in sweep.items()}
    rest = {name: values for name, values in sweep.items() if name not in ("distance", "variance")}
    pairs = [{"distance": d, "variance": VARIANCE} for d in sweep["distance"]]
    pairs += [
        {"distance": DISTANCE, "variance": v}
        for v in sweep["variance"]
        if (DISTANCE, v) not in {(p["distance"], p["variance"]) for p in pairs}
    ]
    short = 10 if options.quick else 1
    made = {
        "sweeps": perceptron_study(
            options, spheres, [{**other, **pair} for other in product(rest) for pair in pairs],
            {"online": 100 // short, "batch": 1000 // short, "majority": 100 // short}, {"online": 1, "batch": 10, "majority": 1},
            seeds=SEEDS,
        ),
        "groups": perceptron_study(
            options, grouped, [{**other, "group": group} for other in product(rest) for group in range(len(GROUPS))],
            dict.fromkeys(RULES, 100 // short), dict.fromkeys(RULES, 1), seeds=SEEDS, record=WEIGHTS,
        ),
    }  # fmt: skip
    return made, sweep


def spheres(hp):
    """Two spherical normals on the first axis, about the origin."""
    means = [[-hp.distance / 2, 0.0], [hp.distance / 2, 0.0]]
    return tasks.gaussians(means, hp.variance, loss=RULES[hp.rule])


def grouped(hp):
    """One of R1's groups, by its number."""
    means, covariances = jnp.asarray(MEANS, jnp.float32)[hp.group], jnp.asarray(COVARIANCES, jnp.float32)[hp.group]
    return tasks.gaussians(means, covariances, loss=RULES[hp.rule])


def run(options) -> Report:
    studies, sweep = build(options)
    check_configs(studies.values())
    folder = run_folder(options, sweep, SWEEP)
    results = run_studies(studies, folder, options)
    rows = [
        {"study": "sweeps", **row} for row in rows_of(results["sweeps"], lambda c, lanes: entries(results["sweeps"], c, lanes))
    ]
    rows += [
        {"study": "groups", **row}
        for row in rows_of(results["groups"], lambda c, lanes: group_entries(results["groups"], c, lanes))
    ]
    figures = {
        "sweeps": sweeps_figure(results["sweeps"], rows),
        "groups": groups_figure(studies["groups"], results["groups"], rows, GROUPS),
    }
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png")
    text = f"{sweeps_table(rows)}\n\n{groups_table(rows)}\n\n{sentence(rows)}\nFigures: {folder / 'figures'}"
    return Report("perceptron_separability", str(folder), rows, text)


def entries(result: Result, config: dict, lanes) -> dict:
    """A row's metrics, with R1's claims beside them."""
    distance, variance = config["distance"], config["variance"]
    separable = 1.0 if (variance == VARIANCE and distance >= 6) or (distance == DISTANCE and variance <= 0.5) else None
    published = {(0.5, VARIANCE): 0.575, (DISTANCE, 100.0): 0.675}.get((distance, variance))
    return {
        "converged": convergence(epochs_to_convergence(result, config, lanes), separable),
        "train_accuracy": accuracy_entry(result, "train_accuracy", lanes),
        "test_accuracy": accuracy_entry(result, "test_accuracy", lanes, published),
        "bayes_accuracy": float(bayes_accuracy(distance, variance)),
    }


def group_entries(result: Result, config: dict, lanes) -> dict:
    """A group's metrics; for the example the final weights as well."""
    number = config["group"]
    distance = float(np.linalg.norm(np.subtract(*MEANS[number])))
    spherical = GROUPS[number] != "example"
    found = {
        "group": GROUPS[number],
        "converged": convergence(epochs_to_convergence(result, config, lanes)),
        "train_accuracy": accuracy_entry(result, "train_accuracy", lanes),
        "test_accuracy": accuracy_entry(result, "test_accuracy", lanes, PUBLISHED_GROUPS[number]),
        "bayes_accuracy": float(bayes_accuracy(distance, COVARIANCES[number, 0, 0, 0])) if spherical else None,
    }
    if not spherical:
        for name, value in PUBLISHED_WEIGHTS.items():
            found[name] = metric_entry(result.final(f"{name}_mean")[lanes], result.diverged[lanes], True, value)
    return found


def cells(row: dict) -> tuple:
    """The figures of a row that both tables show."""
    converged, epochs = row["converged"], row["converged"]["epochs"]
    low, high = (tables.cell(float(end)) for end in epochs["quantiles"])
    return (
        row["n"], row["survived"], converged["share"], tuple(converged["interval"]), f"{tables.cell(float(epochs['median']))} [{low}, {high}]",
        shown(row["train_accuracy"]), shown(row["test_accuracy"]), row["test_accuracy"]["median"], row["bayes_accuracy"],
        place(row["test_accuracy"]), row["test_accuracy"].get("published_percentile_of_means"),
    )  # fmt: skip


COLUMNS = (
    "n",
    "survived",
    "converged",
    "95 % interval",
    "epochs",
    "train acc",
    "test acc",
    "median",
    "Bayes",
    "R1 (pct)",
    "pct of means",
)


def sweeps_table(rows: list[dict]) -> tables.Table:
    """Both sweeps, R1's numbers beside ours."""
    title = (
        "Separability. converged: share with all training points right; epochs to that: median [5 %, 95 %]; acc: mean (sd);\n"
        "R1 (pct): the published test accuracy and its percentile among the seeds, then among means of 20 seeds;\n"
        "20 of 20: how probable R1's `always converges` is, with 20 runs"
    )
    axes = [name for name in ("rule", "distance", "variance", "learning_rate") if name in rows[0]]
    body = [
        (*(row[name] for name in axes), *cells(row), row["converged"]["published_probability"])
        for row in rows if row["study"] == "sweeps"
    ]  # fmt: skip
    return tables.Table(title, (*axes, *COLUMNS, "20 of 20"), tuple(body))


def groups_table(rows: list[dict]) -> tables.Table:
    """R1's groups and the data of its example figure, 100 epochs."""
    body = [(row["rule"], row["group"], *cells(row)) for row in rows if row["study"] == "groups"]
    return tables.Table(
        "R1's three groups and the data of its example figure, 100 epochs", ("rule", "group", *COLUMNS), tuple(body)
    )


def sentence(rows: list[dict]) -> str:
    """What R1's printed weights and its highest number come to."""
    example = [row for row in rows if row.get("group") == "example"]
    weights = "; ".join(
        f"{row['rule']}: " + ", ".join(f"{name.replace('_', ' ')} {value:g} at percentile {row[name]['published_percentile']:.3g}"
                                       for name, value in PUBLISHED_WEIGHTS.items())
        for row in example
    )  # fmt: skip
    return f"R1's printed weights among the seeds ({example[0]['n']} each): {weights}."
