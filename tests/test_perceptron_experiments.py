"""The perceptron experiments at a tiny size: JSON, figures, growth of a run, and what is said about
bad input."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from commands import check_refused, report_of

from experiments import listings, perceptrons


def test_separability_prints_json_and_draws_its_figures(tmp_path):
    report = report_of(
        "perceptron_separability",
        "--quick",
        "--steps",
        "40",
        "--eval-every",
        "20",
        "--seeds",
        "3",
        "--out",
        str(tmp_path),
    )
    assert (report["experiment"], report["run"]) == ("perceptron_separability", str(tmp_path))
    row = next(
        row
        for row in report["rows"]
        if row["study"] == "sweeps" and (row["rule"], row["variance"]) == ("batch", 0.05)
    )
    assert (
        row["n"],
        row["survived"],
        row["converged"]["share"],
        row["converged"]["published"],
    ) == (3, 3, 1, 1)
    assert row["converged"]["epochs"]["median"] == 1  # one step separates them
    assert row["bayes_accuracy"] == pytest.approx(1)
    assert {row["group"] for row in report["rows"] if row["study"] == "groups"} == {
        "normal",
        "close",
        "large variance",
        "example",
    }
    example = next(
        row for row in report["rows"] if row.get("group") == "example" and row["rule"] == "batch"
    )
    assert example["bias"]["median"] == pytest.approx(-0.8, abs=1e-5)
    assert set(example["test_accuracy"]) >= {
        "mean",
        "sd",
        "median",
        "iqm",
        "iqm_interval",
        "published",
        "published_percentile",
    }
    assert all(
        row["converged"]["epochs"]["median"] is None
        for row in report["rows"]
        if row["converged"]["share"] < 0.5
    )
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "groups.png",
        "sweeps.png",
    ]
    for study in ("sweeps", "groups"):
        manifest = json.loads((tmp_path / study / "manifest.json").read_text())
        assert len(manifest["programs"]) == 2  # one a rule: distance, variance and group are lanes


def test_grid_prints_json_and_draws_its_figures(tmp_path):
    arguments = ("--sweep", "mean=20,0.02", "--sweep", "variance=0.1", "--sweep", "test=1,5")
    report = report_of(
        "perceptron_grid", "--quick", "--seeds", "3", *arguments, "--out", str(tmp_path)
    )
    rows = {
        tuple(row.get(name) for name in ("study", "variant", "mean", "rule", "bias", "test")): row
        for row in report["rows"]
    }
    assert len(rows) == 3 * 2 + 2 * 2 * 2
    for variant, median in (("as meant", 1), ("scalar gradient", 1), ("literal", 0.5)):
        entry = rows["r2", variant, 20, "online", None, None]["test_accuracy"]
        assert (entry["median"], entry["published"]) == (median, 1)
    assert rows["r4", None, None, "majority", False, 5]["test_accuracy"]["median"] == 0.5
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["r2.png", "r4.png"]


def test_the_summed_gradient_moves_all_weights_alike_and_literal_accuracy_is_at_most_a_half():
    tree = {"weight": jnp.array([[1.0, -3.0]]), "bias": jnp.array([0.5])}
    updates, _ = listings.summed_gradient().update(tree, (), tree)
    assert updates["weight"].tolist() == [[-1.5, -1.5]]
    assert updates["bias"].tolist() == [-1.5]
    outputs, targets = jnp.array([[1.0, 0.0, -1.0, 2.0]]), jnp.array([1, 1, -1, -1])
    assert listings.literal_accuracy(outputs, targets).tolist() == [1, 1, 0, 0]
    assert listings.literal_loss(-outputs, targets).tolist() == [1, 0, 0, 0]


def test_convergence_counts_what_never_converges():
    found = perceptrons.convergence(np.array([1.0, 3.0, np.inf, np.inf]), published=1.0)
    assert (found["share"], found["published_probability"]) == (0.5, 0.5**20)
    assert np.isinf(found["epochs"]["quantiles"][1])
    assert found["interval"] == pytest.approx((0.15, 0.85), abs=0.001)  # Wilson, 2 of 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["perceptron_separability", "--sweep", "variance=0.5,-1"],
            "covariances must be a finite variance from 0 up, got -1",
        ),
        (
            ["perceptron_separability", "--sweep", "distance=inf"],
            "means must be two points of two finite numbers, got [[-inf, 0.0], [inf, 0.0]]",
        ),
        (
            ["perceptron_separability", "--sweep", "rule=onlin"],
            "rule must be one of 'online', 'batch', 'majority', got 'onlin'; did you mean",
        ),
        (["perceptron_grid", "--sweep", "test=6"], "test must be one of 1, 2, 3, 4, 5, got 6"),
        (["perceptron_grid", "--sweep", "variant=literally"], "variant must be one of"),
        (
            ["perceptron_grid", "--sweep", "variance=-1"],
            "covariances must be positive semi-definite, got",
        ),
        (["perceptron_grid", "--sweep", "bias=2"], "bias must be one of False, True, got 2"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(arguments, message, tmp_path):
    check_refused(arguments, message, tmp_path / "run")
