"""How far apart must two normal classes be for a perceptron to converge, and to be nearly best?

Protocol: a student report's (`references.R1`). 100 points of each of two 2-D normals with equal
spherical covariances, drawn anew for every seed, 80 + 80 for training, 20 + 20 for testing; zero
start, rate 0.01 (which scales the weights and changes nothing else). Two rules, because text and
listing differ: online (one point at a time in random order, 100 epochs) and batch (the sum over all
wrong points, sign(0) = +1, 1000 epochs, evaluated every 10; when a lane comes to rest is recorded
to the epoch). Distance 0..8 at variance 0.5, variance 0.05..100 at distance 6, the report's three
groups and the data of its example figure. The ceiling is the Bayes accuracy Phi(distance / 2 sd).
--steps and --eval-every count updates.

Command: python -m experiments perceptron_separability
Time: about 90 seconds at --seeds 1000 on 2 CPU cores with a cold cache; less at the default 200.
Expected: at variance 0.5 a quarter of the data sets converge at distance 3, 94 % at 4, all at 6;
the mean test accuracy at variance 100 is 0.55 (sd 0.11): R1's 0.675 lies above the Bayes accuracy
of 0.618 and above any mean of 20 runs.
"""

import itertools

import jax.numpy as jnp
import numpy as np

from experiments.columns import Lanes, constant, recorded, spoken
from experiments.frame import Experiment, Finding, Run
from experiments.perceptron_figures import groups_figure, sweeps_figure
from experiments.perceptrons import (
    RULES,
    accuracy_among_means,
    converged,
    epochs_to_all_right,
    perceptron_study,
)
from experiments.references import R1
from experiments.request import Request, Size
from jaxdl import Study, tasks
from jaxdl.data import bayes_accuracy
from jaxdl.types import Task

SPHERES = np.multiply.outer(R1.variances, np.broadcast_to(np.eye(2), (2, 2, 2)))
COVARIANCES = np.concatenate([SPHERES, [R1.example_covariances]])  # (groups, classes, 2, 2)
# Recorded, so that a thousand lines can be drawn without training a thousand lanes again.
WEIGHTS = {
    "weight_1": lambda info: info.params.weight[0, 0],
    "weight_2": lambda info: info.params.weight[0, 1],
    "bias": lambda info: info.params.bias[0],
}


def spheres(hp) -> Task:
    """Makes two spherical normals on the first axis, about the origin."""
    means = [[-hp.distance / 2, 0.0], [hp.distance / 2, 0.0]]
    return tasks.gaussians(means, hp.variance, loss=RULES[hp.rule])


def grouped(hp) -> Task:
    """Makes one of R1's groups, by its number."""
    means = jnp.asarray(R1.means, jnp.float32)[hp.group]
    covariances = jnp.asarray(COVARIANCES, jnp.float32)[hp.group]
    return tasks.gaussians(means, covariances, loss=RULES[hp.rule])


def others(request: Request) -> list[dict]:
    """Gives the combinations of everything but distance and variance."""
    return request.product(*(name for name in request.sweep if name not in R1.sweeps.names))


def sweeps_study(request: Request) -> Study:
    """Builds the sweeps of distance and of variance; the point where they meet is run once."""
    pairs = [{"distance": d, "variance": R1.variance} for d in request.sweep["distance"]]
    for variance in request.sweep["variance"]:
        pair = {"distance": R1.distance, "variance": variance}
        if pair not in pairs:
            pairs.append(pair)
    # Under the batch rule an epoch is one update: R1 gives it ten times as many.
    short = 10 if request.quick else 1
    configs = [other | pair for other, pair in itertools.product(others(request), pairs)]
    return perceptron_study(
        request,
        spheres,
        configs,
        epochs={"online": 100 // short, "batch": 1000 // short, "majority": 100 // short},
        every={"online": 1, "batch": 10, "majority": 1},
    )


def groups_study(request: Request) -> Study:
    """Builds R1's groups."""
    # A number, not a name: groups are lanes of one program, as their means are traced.
    numbers = [{"group": number} for number in range(len(R1.groups))]
    configs = [other | number for other, number in itertools.product(others(request), numbers)]
    return perceptron_study(
        request,
        grouped,
        configs,
        epochs=dict.fromkeys(RULES, 10 if request.quick else 100),
        every=dict.fromkeys(RULES, 1),
        record=WEIGHTS,
    )


def bayes_of_sweeps(lanes: Lanes) -> float:
    """Computes the best accuracy that any rule can have."""
    return float(bayes_accuracy(lanes.config["distance"], lanes.config["variance"]))


def bayes_of_groups(lanes: Lanes) -> float | None:
    """Computes the best accuracy on a group; None of the example, which is not spherical."""
    if is_example(lanes):
        return None
    number = lanes.config["group"]
    distance = float(np.linalg.norm(np.subtract(*R1.means[number])))
    return float(bayes_accuracy(distance, R1.variances[number]))


def is_example(lanes: Lanes) -> bool:
    """Tells whether a config is R1's example figure."""
    return R1.groups[lanes.config["group"]] == "example"


def printed_weights(run: Run) -> Finding:
    """Places R1's printed weights among the seeds."""
    rows = [row for row in run.rows_of("groups") if row["group"] == "example"]
    lines = []
    for row in rows:
        places = [
            f"{spoken(name)} {value:g} at percentile {row[name]['published_percentile']:.3g}"
            for name, value in R1.weights.items()
        ]
        lines.append(f"{row['rule']}: {', '.join(places)}")
    seeds = f"({rows[0]['n']} each)"
    return Finding(text=f"R1's printed weights among the seeds {seeds}: {'; '.join(lines)}.")


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R1,),
    sweep={
        "rule": ["online", "batch"],
        "distance": [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        "variance": [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0],
    },
    defaults={"learning_rate": 0.01},
    allowed={"rule": RULES},
    full=Size(seeds=200),
    quick=Size(
        seeds=8,
        sweep={"distance": [0.0, 1.5, 5.0], "variance": [0.05, 1.0, 16.0]},
    ),
    studies={"sweeps": sweeps_study, "groups": groups_study},
    titles={
        "sweeps": "Separability.",
        "groups": "R1's three groups and the data of its example figure, 100 epochs.",
    },
    columns={
        "sweeps": [
            converged(R1.always_converges),
            accuracy_among_means("train_accuracy", "train acc"),
            accuracy_among_means("test_accuracy", "test acc", R1.sweeps),
            constant("bayes_accuracy", bayes_of_sweeps, "Bayes"),
        ],
        "groups": [
            # The name in the place of the number that was swept.
            constant("group", lambda lanes: R1.groups[lanes.config["group"]]),
            converged(),
            epochs_to_all_right(R1.perceptron_epochs),
            accuracy_among_means("train_accuracy", "train acc", R1.perceptron_train_accuracy),
            accuracy_among_means("test_accuracy", "test acc", R1.group_accuracy),
            constant("bayes_accuracy", bayes_of_groups, "Bayes"),
            *(recorded(name, value, is_example) for name, value in R1.weights.items()),
        ],
    },
    figures={"sweeps": sweeps_figure, "groups": groups_figure},
    conclusions={"weights": printed_weights},
)
