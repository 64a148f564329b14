"""The MLPs on moons at a tiny size: when curves settle and leave by hand, JSON, figures, refusals."""

import importlib
import types

import numpy as np
import pytest
from commands import check_refused, report_of

from experiments import columns, moons, moons_figures, moons_mlp, sgd_vs_bgd
from experiments.frame import Run
from experiments.references import R1, R2, R4, R5, Numbers
from experiments.request import Request

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


def test_a_curve_is_below_a_level_until_its_last_evaluation_there():
    curves = np.array(
        [
            [0.5, 0.7, 0.59, 0.6, 0.8],  # reaching it once is not leaving
            [0.5, 0.7, 0.7, 0.7, 0.5],
            [0.6, 0.7, 0.7, 0.7, 0.7],
            [0.7, np.nan, 0.7, 0.7, 0.7],
        ]
    )
    assert columns.last_below(curves, STEPS, 0.6).tolist() == [20, np.inf, 0, 10]


def test_the_account_of_sgd_is_told_of_curves_that_begin_leave_and_end_as_it_says():
    steps = np.array([0, 1500, 15_000, 20_000, 30_000, 45_000])
    curves = np.float32(
        [
            [0.9, 0.6, 0.4, 0.4, 0.7, 0.85],  # the ends count, step 0 does not
            [0.5, 0.4, 0.5, 0.7, 0.59, 0.75],  # gone at last after 30,000
            [0.5, 0.605, 0.5, 0.5, 0.7, 0.8],
            [0.5, 0.5, 0.5, 0.7, 0.7, 0.8],
            [0.5, 0.5, 0.5, 0.5, 0.5, 0.855],
            [0.5, 0.5, 0.5, 0.5, 0.5, 0.55],
            [0.5, 0.5, 0.5, 0.5, 0.5, np.nan],
        ]
    )
    assert sgd_vs_bgd.as_told(curves, steps).tolist() == [True, True] + [False] * 5


def test_the_ends_of_the_batch_losses_are_those_of_each_lane():
    curves = {
        "batch_loss_min": np.array([[np.nan, 0.5, 0.0002], [np.nan, 0.0004, 0.1], [np.nan] * 3]),
        "batch_loss_max": np.array([[np.nan, 4.0, 1.0], [np.nan, 2.0, 3.0], [np.nan] * 3]),
    }
    result = types.SimpleNamespace(
        metric=curves.__getitem__, diverged=np.array([False, False, True])
    )
    lanes = columns.Lanes(result, {"batch_size": 1}, {}, np.arange(3))
    numbers = {"least": R1.least_batch_loss, "largest": R1.largest_batch_loss}
    least, largest = (column.value(lanes) for column in columns.batch_loss_ends(**numbers))
    # Of three lanes one is below the number; the one that has diverged is above any.
    assert (least["published"], least["published_percentile"]) == (0.0003, pytest.approx(100 / 3))
    assert (largest["published"], largest["published_percentile"]) == (
        3.8391,
        pytest.approx(100 / 3),
    )
    assert (least["mean"], largest["mean"]) == (pytest.approx(0.0003), pytest.approx(3.5))


def test_the_last_fifth_has_no_step_before_training_and_at_least_one():
    assert columns.last_fifth(np.arange(0, 110, 10)).tolist() == [9, 10]
    assert columns.last_fifth(np.arange(0, 100, 10)).tolist() == [9]
    assert columns.last_fifth(np.array([0, 10, -1])).tolist() == [1]


def test_initial_weights_have_their_standard_deviation():
    import jax

    keys = jax.random.split(jax.random.key(0), len(moons.INITS))
    expected = {"he": (2 / 50) ** 0.5, "xavier": (2 / 350) ** 0.5}
    expected |= {scale: scale for scale in (1.0, 0.01, 0.0001, 0.001, 0.00001)}
    assert tuple(expected) == moons.INITS  # by place: stored runs know them by it
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


def test_every_published_number_on_moons_stands_beside_seeds():
    """Each is in a column, so in a table with its percentile under every variant."""
    shown = set()
    for name in ("moons_mlp", "batch_size", "sgd_vs_bgd", "frameworks"):
        experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
        for study in experiment.studies:
            for column in experiment.columns_of(study):
                # What is published is shown: a heading of a report, or a framework's, by place.
                if column.published and any("(pct)" in heading for heading in column.cells):
                    shown.add(id(column.published))
    # All that the reports print of moons, those of R2's shuffled batches being words alone.
    expected = {
        R1: ("mlp_", "batch_size_", "steps_to_90", "final_loss", "least_", "largest_"),
        R2: ("mlp_",),
        R4: ("mlp_", "start_loss", "plateau", "final_loss", "sgd_"),
        R5: ("moons_",),
    }
    missing, count = [], 0
    for report, beginnings in expected.items():
        for name, value in vars(report).items():
            if isinstance(value, Numbers) and name.startswith(beginnings):
                count += len(value.values)
                missing += [] if id(value) in shown else [f"{report.__name__}.{name}"]
    assert not missing
    # Counted in the reports: R1 2 and 4 x 4 and 2, R2 1, R4 4 and 3, R5 2.
    assert count == 30


def test_a_share_that_never_leaves_is_that_of_its_own_panel():
    """Three lanes a config: at rate 0.5 He's lanes leave, at 1e-9 none does."""
    sweep = {"learning_rate": [0.5, 1e-9], "init": ["he", 0.0001]}
    defaults = {"width": 4, "layers": 1, "bias": True, "reduction": "mean"}
    request = Request(sweep, defaults, frozenset(), False, 3, 30, 10, "auto", None)
    samples, noise = R4.moons
    data = {"samples": samples, "noise": noise}
    configs = [data | config for config in request.product(*sweep)]
    study = moons.moons_study(request, configs)
    result = study.run()
    finished = Run(request, {"R4_variants": study}, {"R4_variants": result}, [])
    figure = moons_figures.plateau_figure(R4.plateau, ("R4_variants",))(finished)
    drawn = {}
    for axis in figure.axes:
        drawn[axis.get_title()] = [text.get_text() for text in axis.texts]
    expected = {}
    for config in result.configs:
        loss = result.metric("train_loss")[result.rows(config)]
        still = np.all(np.abs(loss / loss[:, :1] - 1) <= 0.01, axis=1)
        title = f"learning rate {config['learning_rate']:g}"
        expected.setdefault(title, []).append(f"{np.mean(still):.0%} never")
    assert drawn == expected
    # The panels differ, or one could stand in the other's place.
    assert expected["learning rate 1e-09"] == ["100% never"] * 2
    assert expected["learning rate 0.5"] == ["0% never", "100% never"]


def told_row(share, place, **start):
    numbers = {name: {"published_percentile": place} for name in sgd_vs_bgd.NUMBERS}
    account = {"share": share, "interval": (max(0, share - 0.1), min(1, share + 0.1))}
    return {"n": 9, "account": account, **numbers, **start}


def test_the_answer_names_the_start_and_the_rest_and_is_none_where_no_seed_does():
    request = types.SimpleNamespace(sweep={"init": [1.0, 0.01], "reduction": ["mean", "sum"]})
    compared = {"equal": "time", "improvement": 0.25, "improvement_interval": (0.1, 0.4)}
    both = [{**compared, "init": 0.01, "reduction": each} for each in ("mean", "sum")]
    run = types.SimpleNamespace(request=request, findings={"compared": both})
    rows = [told_row(0.0, 99, init=1.0), told_row(0.5, 50, init=0.01)]
    assert sgd_vs_bgd.answer(run, rows) == (
        "R4's account is that of 50.0% [40.0%, 60.0%] of the seeds at init 0.01 (n=9) and of no "
        "seed under 1 of 2 starts; all of its 4 numbers are likely at once under init 0.01; P(SGD "
        "beats the summed full batch) at init 0.01: 0.25 [0.10, 0.40] at equal time."
    )
    assert sgd_vs_bgd.answer(run, rows[:1]) == (
        "R4's account is that of no seed under any of 1 starts (at most 10.0% each, 95 % interval, "
        "n=9)."
    )
    # A run too short to compare anything says so.
    assert sgd_vs_bgd.compared_table(run, []).startswith("Too few steps")


def test_sgd_is_compared_with_either_full_batch_on_the_seeds_that_both_have(tmp_path, monkeypatch):
    monkeypatch.setattr(sgd_vs_bgd, "BGD_SEEDS", 2)
    arguments = ("--quick", "--seeds", "3", "--steps", "240", "--eval-every", "8")
    sweeps = ("--sweep", "init=he", "--sweep", "learning_rate=0.1", "--sweep", "reduction=mean,sum")
    report = report_of("sgd_vs_bgd", *arguments, *sweeps, "--out", str(tmp_path))
    rows = [row for row in report["rows"] if "study" in row]
    ran = {(row["study"], row.get("reduction"), row["n"]) for row in rows}
    assert ran == {("sgd", None, 3), ("bgd", "mean", 2), ("bgd", "sum", 2)}
    compared = [row for row in report["rows"] if "equal" in row]
    pairs = {(row["equal"], row["reduction"]) for row in compared}
    assert pairs >= {("updates", "mean"), ("updates", "sum")}
    assert {row["n"] for row in compared} == {2}
    summed = {
        row["reduction"]: row["summed_loss_end"]["median"] for row in rows if row["study"] == "bgd"
    }
    assert summed["mean"] != summed["sum"]
