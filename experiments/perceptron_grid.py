"""Which reading of two flawed listings explains their tables of perceptron accuracies?

Protocol: two student reports'. The first (`references.R2`): means (m, m) and (-m, -m), covariances
[[c, c], [c, c]] and [[c, -c], [-c, c]] (singular: the points lie on two lines), 20 epochs online,
rate 0.01, as meant; with +1/-1 labels but the listing's gradient, which is summed over the
features, the constant one of the bias included, into one scalar that moves every weight; and
literally, where the labels are 0 and 1 as well while predictions are +1 and -1. The second
(`references.R4`): five pairs of normals, 100 epochs, under the listing's rule (the sum over all
points, only while no more are right than wrong) and the online rule, without and with a bias.
80 + 80 training and 20 + 20 test points drawn anew for every seed. --steps and --eval-every count
updates.

Command: python -m experiments perceptron_grid
Time: about 60 seconds at --seeds 1000 on 2 CPU cores with a cold cache; less at the default 200.
Expected: R2's table is likeliest with the scalar gradient; R4's test 5 is about 0.5 without a bias
and 0.99 with one.
"""

import math

import numpy as np

from experiments.figures import final_distributions
from experiments.frame import Experiment, Finding, Run
from experiments.listings import VARIANTS, crossed_lines, grid_optimizer, pair
from experiments.perceptron_figures import grid_figure
from experiments.perceptrons import RULES, accuracy_among_means, converged, perceptron_study
from experiments.references import R2, R4
from experiments.request import Request, Size
from jaxdl import Study, models

EACH = dict.fromkeys(RULES, 1)  # an evaluation every epoch


def epochs(request: Request, full: int) -> dict[str, int]:
    """Gives every rule the epochs of a report, or a tenth."""
    return dict.fromkeys(RULES, full // 10 if request.quick else full)


def further(request: Request) -> list[str]:
    """Names what the command line sweeps beside the experiment's own."""
    return [name for name in request.sweep if name not in EXPERIMENT.sweep]


def grid_study(request: Request) -> Study:
    """Builds R2's grid under its variants, which are all of the online rule."""
    cells = request.product(*further(request), "variant", "mean", "variance")
    configs = [{"rule": "online", **cell} for cell in cells]
    return perceptron_study(
        request,
        crossed_lines,
        configs,
        epochs=epochs(request, 20),
        every=EACH,
        optimizer=grid_optimizer,
    )


def tests_study(request: Request) -> Study:
    """Builds R4's five tests, without and with a bias."""
    return perceptron_study(
        request,
        pair,
        request.product(*further(request), "rule", "bias", "test"),
        epochs=epochs(request, 100),
        every=EACH,
        model=lambda hp: models.perceptron(bias=hp.bias),
    )


def closeness(run: Run) -> Finding:
    """Measures how close each variant's seeds come to R2's numbers.

    The value is the geometric mean over the table's cells of the share of seeds within one test
    point of the number, by variant.
    """
    logs: dict[str, list[float]] = {}
    for row in run.rows_of("r2"):
        if row["test_accuracy"]["published"] is not None:
            # Half a seed where none came close: a share of 0 would outweigh all other cells.
            share = max(row["test_accuracy"]["within_a_point"], 0.5 / row["n"])
            logs.setdefault(row["variant"], []).append(math.log10(share))
    return Finding({variant: 10 ** float(np.mean(each)) for variant, each in logs.items()})


def likeliest(run: Run) -> Finding:
    """Finds the variants that come closest to R2's table."""
    scores = run.findings["closeness"]
    if not scores:
        return Finding([], "None of R2's cells was run.")
    best = [variant for variant, score in scores.items() if score == max(scores.values())]
    each = "; ".join(f"{variant}: {score:.2g}" for variant, score in scores.items())
    names = " and ".join(f"'{variant}'" for variant in best)
    alike = "under" if len(best) == 1 else "alike under"
    return Finding(
        best,
        f"R2's table is likeliest {alike} {names}. Share of seeds within one test point of a cell, "
        f"geometric mean: {each}.",
    )


def columns(published):
    """Lists the columns of both studies."""
    return [converged(), accuracy_among_means("test_accuracy", "test acc", published)]


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R2, R4),
    sweep={
        "rule": ["majority", "online"],
        "bias": [False, True],
        "test": [1, 2, 3, 4, 5],
        "variant": VARIANTS,
        "mean": R2.means,
        "variance": R2.covariances,
    },
    defaults={"learning_rate": 0.01},
    allowed={
        "rule": RULES,
        "bias": (False, True),
        "test": range(1, 1 + len(R4.tests)),
        "variant": VARIANTS,
    },
    full=Size(seeds=200),
    quick=Size(seeds=8),
    studies={"r2": grid_study, "r4": tests_study},
    titles={"r2": "R2's grid.", "r4": "R4's five tests, without and with a bias."},
    columns={"r2": columns(R2.grid), "r4": columns(R4.test_accuracy)},
    figures={
        "r2": grid_figure,
        "r4": final_distributions("test_accuracy", "test", R4.test_accuracy, study="r4"),
    },
    measurements={"closeness": closeness},
    conclusions={"likeliest": likeliest},
)
