"""The MLPs on moons at a tiny size: when curves settle and leave by hand, JSON, figures, refusals."""

import numpy as np
import pytest
from commands import check_refused, report_of

from experiments import columns, moons, moons_mlp
from experiments.references import R1, R2, R4

STEPS = np.arange(0, 50, 10)


def test_a_curve_settles_where_it_stays_within_a_hundredth_of_its_end():
    curves = np.array(
        [
            [3.0, 1.0, 2.0, 1.005, 1.0],  # back inside at 10, but not for good
            [1.0, 1.0, 1.0, 1.0, 1.0],
            [5.0, 4.0, 3.0, 2.0, 1.0],
            [1.0, 1.02, 0.991, 1.009, 1.0],
            [-3.0, -2.0, -1.005, -1.0, -1.0],  # of a negative value the size counts
        ]
    )
    assert columns.settled(curves, STEPS).tolist() == [30, 0, 40, 20, 20]


def test_a_plateau_ends_at_the_last_step_within_a_hundredth_of_the_start():
    curves = np.array(
        [
            [1.0, 0.995, 0.9, 1.0, 0.5],  # coming back does not prolong it
            [1.0, 0.5, 0.4, 0.3, 0.2],
            [2.0, 1.99, 2.01, 2.0, 1.985],
            [2.0, 1.99, 2.01, 2.0, np.nan],
        ]
    )
    assert columns.stayed(curves, STEPS).tolist() == [10, 0, np.inf, 30]


def test_the_last_fifth_has_no_step_before_training_and_at_least_one():
    assert columns.last_fifth(np.arange(0, 110, 10)).tolist() == [9, 10]
    assert columns.last_fifth(np.arange(0, 100, 10)).tolist() == [9]
    assert columns.last_fifth(np.array([0, 10, -1])).tolist() == [1]


def test_initial_weights_have_their_standard_deviation():
    import jax

    keys = jax.random.split(jax.random.key(0), 5)
    expected = {"he": (2 / 50) ** 0.5, "xavier": (2 / 350) ** 0.5, 1.0: 1, 0.01: 0.01, 0.0001: 1e-4}
    for key, (init, sd) in zip(keys, expected.items(), strict=True):
        layer = moons.weights(moons.INITS.index(init))(key, 300, 50)
        assert np.std(layer.weight) == pytest.approx(sd, rel=0.05)
        assert not np.any(layer.bias)


def test_published_numbers_stand_at_their_reports_data():
    assert R1.mlp_accuracy({"samples": 500, "noise": 0.1, "init": 3}) == 0.98
    assert R1.mlp_accuracy({"samples": 1000, "noise": 0.1}) is None
    assert R2.mlp_settles({"samples": 1000, "noise": 0.0}) == 180
    assert R4.start_loss({"samples": 1000, "noise": 0.05}) == int(800 * np.log(2))


def test_a_published_number_is_likely_inside_of_the_seeds_and_impossible_beyond_all():
    places = [0.0, 2.4, 50.0, 97.6, 100.0]
    rows = [
        {"n": 9, **dict.fromkeys(moons_mlp.OPEN, place)}
        | {"x": {"published": 0.5, "published_percentile": place}}
        for place in places
    ]
    row = moons_mlp.judgement("R1", "x", rows)
    assert row["likely"] == [dict.fromkeys(moons_mlp.OPEN, 50.0)]
    assert (row["impossible"], row["variants"]) == (2, 5)


TINY = ("--quick", "--seeds", "2", "--steps", "20", "--eval-every", "10")
ONE = ("--sweep", "learning_rate=0.1", "--sweep", "init=0.0001")


def test_moons_mlp_prints_json_and_draws_its_figures(tmp_path):
    arguments = ("--sweep", "report=R4", "--sweep", "bias=False", "--out", str(tmp_path))
    report = report_of("moons_mlp", *TINY, *ONE, *arguments)
    assert [row["study"] for row in report["rows"]] == ["R4", "R4_variants"]
    row = report["rows"][0]
    assert (row["init"], row["bias"], row["n"]) == (0.0001, False, 2)
    # Weights this small: the summed loss is 800 ln 2, as printed, and nothing has moved.
    assert row["summed_loss_start"]["median"] == row["summed_loss_start"]["published"] == 554
    assert row["summed_loss_start"]["published_percentile"] == 50
    assert (row["plateau"]["median"], row["plateau"]["never"]) == (None, 1)
    assert row["test_accuracy"]["published"] == 0.845
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"data.png", "curves_R4.png", "regions_R4.png", "plateau.png"}


def test_batch_epochs_compares_at_equal_updates_and_epochs(tmp_path):
    arguments = ("--sweep", "batch_size=100,200", "--epochs", "2", "--out", str(tmp_path))
    report = report_of("batch_epochs", *TINY, *arguments)
    rows = {(row["study"], row["batch_size"]): row for row in report["rows"] if "batch_size" in row}
    assert set(rows) == {(study, size) for study in ("updates", "epochs") for size in (100, 200)}
    assert rows["updates", 100]["oscillation"]["accuracy_sd"]["mean"] >= 0
    best = [row for row in report["rows"] if "best" in row]
    assert {(row["study"], row["measure"], row["other"]) for row in best} == {
        (study, measure, 100)
        for study in ("updates", "epochs")
        for measure in ("test accuracy", "test loss")
    }
    assert all(0 <= row["improvement"] <= 1 and row["n"] == 2 for row in best)
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"best.png", "curves_updates.png", "curves_epochs.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["moons_mlp", "--sweep", "init=hee"], "init must be one of"),
        (["moons_mlp", "--sweep", "init=0.5"], "init must be one of"),
        (["moons_mlp", "--sweep", "report=R3"], "report must be one of"),
        (["moons_mlp", "--sweep", "layers=3"], "layers must be one of"),
        (["moons_mlp", "--epochs", "3"], "--epochs must be given to"),
        (["sgd_vs_bgd", "--sweep", "learning_rate=0"], "learning_rate must be"),
        (["batch_epochs", "--sweep", "reduction=maximum"], "reduction must be one of"),
        (["batch_epochs", "--sweep", "batch_size=801"], "batch_size must be"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(arguments, message, tmp_path):
    check_refused(arguments, message, tmp_path / "run")
