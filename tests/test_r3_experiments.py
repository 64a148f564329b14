"""Report R3's experiments at a tiny size: its tables, JSON, figures, the claims and likelihoods by
hand, bad input."""

import json

import numpy as np
import pytest
from commands import check_refused, report_of

from experiments import references, xor_claims, xor_likelihood
from experiments.references import R3
from experiments.unit_square import xor_points
from experiments.xor_networks import Cell


def test_the_published_tables_are_those_of_the_report():
    assert len(R3.tables.values) == 300
    assert R3.tables.values["xor", "sigmoid", "sgd", 0.01, 8] == 18 / 21  # 85.71
    assert R3.tables.values["xor", "sigmoid", "adam", 0.00001, 4] == 10 / 21  # 47.62
    assert R3.tables.values["xor", "identity", "sgd", 0.00001, 8] == 14 / 21  # 66.67
    assert R3.tables.values["linear", "tanh", "sgd", 0.00001, 32] == 0.95
    assert R3.tables.values["linear", "sigmoid", "adam", 0.01, 32] == 0.99
    for name, printed in references.R3_PRINTED.items():
        percents = [percent for table in printed for row in table for percent in row]
        right = [round(percent * R3.points[name] / 100) for percent in percents]
        np.testing.assert_allclose(percents, 100 * np.array(right) / R3.points[name], atol=0.006)


def test_no_line_has_more_than_sixteen_of_the_xor_points_right_and_a_line_has_all_linear_ones():
    x, targets = xor_points()
    best = round(21 * xor_claims.best_line(x, targets))
    rng = np.random.default_rng(0)
    weights, cuts = rng.normal(size=(20000, 2)), rng.normal(size=20000)
    random = ((weights @ (x - 0.5) > cuts[:, None]) == targets).mean(axis=1)
    assert round(21 * random.max()) <= best < 21
    points = rng.random((2, 50))
    assert xor_claims.best_line(points, points[0] > points[1], angles=2000) >= 0.98


def test_a_cells_density_is_largest_where_the_seeds_agree_with_the_report():
    cell = ("xor", "sigmoid", "sgd", 0.1, 4)  # published: 1
    kernel = xor_likelihood.densities(cell, np.array([1.0, 20 / 21, 11 / 21]))
    assert kernel[0] > kernel[1] > kernel[2] >= 0
    weights = np.exp(-2 * np.arange(22.0) ** 2)  # sd 1/2, at the end of the range: one side alone
    assert kernel[0] == pytest.approx(1 / weights.sum())


def test_the_likeliest_protocol_comes_first_and_ties_with_itself():
    cells = [("xor", "sigmoid", "sgd", 0.1, width) for width in (4, 8)]
    good, bad = np.full((2, 5), 0.8), np.full((2, 5), 0.1)
    first, second = xor_likelihood.rank(
        {("bce", True, "full"): bad, ("bce", False, "one"): good}, cells
    )
    assert first.protocol == {"loss": "bce", "bias": False, "batch": "one"}
    assert first.total == pytest.approx(2 * np.log((5 * 0.8 + 1 / 22) / 6))
    assert (first.behind, first.behind_interval) == (0, (0, 0))
    assert second.behind == pytest.approx(first.total - second.total)


def test_four_units_are_judged_by_other_seeds_than_those_that_chose_the_rate():
    chose, judged = np.array([1, 0, 1, 0], bool), np.array([0, 0, 0, 1], bool)
    large, small = (Cell("xor", "tanh", "sgd", rate, 4) for rate in (0.1, 0.01))
    (claim,) = xor_claims.four_units({large: chose, small: judged})
    assert (claim.n, claim.value) == (2, 0.0)
    assert "rate 0.1" in claim.where


SWEPT = ("learning_rate=0.1", "width=1,4", "batch=full", "optimizer=adam", "activation=sigmoid")
SMALL_GRID = (
    "--steps",
    "150",
    "--seeds",
    "4",
    *(word for each in SWEPT for word in ("--sweep", each)),
)


def test_xor_grid_prints_json_and_draws_its_figures(tmp_path):
    report = report_of("xor_grid", "--quick", *SMALL_GRID, "--out", str(tmp_path))
    keys = ("study", "data", "width", "loss", "bias")
    rows = {tuple(row[name] for name in keys): row for row in report["rows"] if "study" in row}
    assert set(rows) == {
        *(("grid", name, width, "bce", True) for name in ("xor", "linear") for width in (1, 4)),
        *(("variants", "xor", width, "bce", False) for width in (1, 4)),
        *(("variants", "xor", width, "mse", True) for width in (1, 4)),
    }
    row = rows["grid", "linear", 4, "bce", True]
    assert set(row) >= {
        "data",
        "activation",
        "optimizer",
        "learning_rate",
        "width",
        "n",
        "survived",
        "test_accuracy",
        "solved",
    }
    assert (row["n"], row["test_accuracy"]["published"]) == (4, 1.0)
    assert 0 <= row["test_accuracy"]["published_percentile"] <= 100
    assert row["test_accuracy"]["median"] > 0.6
    assert rows["grid", "xor", 1, "bce", True]["solved"]["share"] == 0
    (against,) = [line for line in report["rows"] if "against" in line]
    bce, mse = (
        [rows[study, "xor", width, loss, True]["solved"]["share"] for width in (1, 4)]
        for study, loss in (("grid", "bce"), ("variants", "mse"))
    )
    assert against["solved_difference"] == pytest.approx(np.mean(mse) - np.mean(bce))
    assert (against["n"], against["loss"], against["data"]) == (4, "mse", "xor")
    assert not [line for line in report["rows"] if "claim" in line or "log_likelihood" in line]
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"base_run.png", "curves.png", "sigmoid_adam.png"}
    manifest = json.loads((tmp_path / "grid" / "manifest.json").read_text())
    assert len(manifest["programs"]) == 2  # one a data set: the widths share it


def test_a_whole_xor_grid_judges_claims_and_protocols(tmp_path):
    arguments = ("--sweep", "data=xor", "--sweep", "loss=bce", "--out", str(tmp_path))
    report = report_of("xor_grid", *SMALL_GRID, *arguments)
    claims = {line["claim"].split(":")[0] for line in report["rows"] if "claim" in line}
    assert claims >= {"4 hidden units suffice", "too small a rate does not converge"}
    ranked = [line for line in report["rows"] if "log_likelihood" in line]
    assert [set(line["protocol"]) for line in ranked] == [{"loss", "bias", "batch"}] * 2
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    likeliest = {"likeliest_sigmoid_adam.png", "likeliest_base_run.png"}  # if that is a variant
    assert drawn - likeliest == {"base_run.png", "curves.png", "sigmoid_adam.png"}
    assert drawn & likeliest in (set(), likeliest)
    assert (drawn & likeliest == likeliest) == (not ranked[0]["protocol"]["bias"])


def test_conv1d_linear_prints_json_and_draws_its_figure(tmp_path):
    report = report_of(
        "conv1d_linear", "--quick", "--seeds", "6", "--steps", "100", "--out", str(tmp_path)
    )
    assert [
        (row["init"], row["n"], row["test_accuracy"]["published"]) for row in report["rows"]
    ] == [
        ("normal", 6, 1),
        ("torch", 6, 1),
    ]
    assert all(row["test_accuracy"]["median"] > 0.9 for row in report["rows"])
    assert (tmp_path / "figures" / "accuracy.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["xor_grid", "--sweep", "optimizer=adm"], "optimizer must be one of"),
        (["xor_grid", "--sweep", "batch=two"], "batch must be one of 'full', 'one', got 'two'"),
        (["xor_grid", "--sweep", "width=0"], "width must be a positive integer, got 0"),
        (["xor_grid", "--sweep", "bias=2"], "bias must be one of True, False, got 2"),
        (["xor_grid", "--sweep", "data=xr"], "data must be one of"),
        (["conv1d_linear", "--sweep", "init=norml"], "did you mean 'normal'"),
        (["conv1d_linear", "--sweep", "samples=0"], "samples must be a positive integer, got 0"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(arguments, message, tmp_path):
    check_refused(arguments, message, tmp_path / "run")
