"""The public face: what a study refuses, what it finds, what is on disk."""

import itertools
import json
import math

import matplotlib.figure
import numpy as np
import optax
import pytest

import jaxdl
from jaxdl import Metric, Result, Study, load, losses, models, tasks


def study(**changes):
    declared = dict(
        task=tasks.moons(100, 0.1, valid_fraction=0.2),
        model=lambda hp: models.mlp(2, (hp.width,), 2),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults={"learning_rate": 0.1, "width": 4},
        sweep={"batch_size": [4, 60], "learning_rate": [0.01, 0.3]},
        seeds=5,
        steps=10,
        eval_every=4,
    )
    return Study(**{**declared, **changes})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "study"
    return study().run(folder), folder


BAD = {
    "learning_rate nan": (
        {"sweep": {"learning_rate": [math.nan]}},
        "sweep of learning_rate must hold numbers .*, got nan",
    ),
    "default nan": (
        {"defaults": {"learning_rate": math.nan, "width": 4}, "sweep": None},
        "learning_rate must be a number .*, got nan",
    ),
    "batch_size zero": (
        {"sweep": {"batch_size": [0]}},
        "batch_size must be a positive integer, got 0",
    ),
    "batch_size no integer": (
        {"batch_size": 1.5, "sweep": None},
        "batch_size must be a positive integer, got 1.5",
    ),
    "batch_size beyond the data": (
        {"sweep": {"batch_size": [4, 61]}},
        "batch_size must be an integer from 1 to 60, got 61",
    ),
    "batch_size of hp": (
        {"batch_size": lambda hp: 0, "sweep": None},
        "batch_size must be a positive integer, got 0",
    ),
    "seeds": ({"seeds": 0}, "seeds must be a positive integer, got 0"),
    "seeds negative": ({"seeds": [3, -1]}, "seeds must be integers from 0 to 4294967295, got -1"),
    "seeds empty": ({"seeds": []}, "seeds must hold at least one seed"),
    "steps": ({"steps": -3}, "steps must be an integer from 1 to 2147483646, got -3"),
    "steps missing": ({"steps": None}, "steps must be a positive integer, got None"),
    "lane_size": ({"lane_size": 0}, "lane_size must be a positive integer, got 0"),
    "sweep empty": (
        {"sweep": {"batch_size": []}},
        "sweep of batch_size must hold at least one value",
    ),
    "sweep list empty": ({"sweep": []}, "sweep must hold at least one config"),
    "sweep of a function": ({"sweep": {"activation": [max]}}, "give functions a label"),
    "unknown name swept": (
        {"sweep": {"learning_rat": [0.1]}},
        "unknown hyper-parameter 'learning_rat'.*did you mean 'learning_rate'",
    ),
    "unknown name read": (
        {"optimizer": lambda hp: optax.sgd(hp.lerning_rate)},
        "unknown .*'lerning_rate'.*did you mean 'learning_rate'",
    ),
    "reduction": (
        {"reduction": "men"},
        "reduction must be one of 'mean', 'sum', got 'men'; did you mean 'mean'",
    ),
    "sampling": ({"sampling": "shuffle"}, "sampling must be one of 'step', 'epoch', got 'shuffle'"),
    "shapes": ({"shapes": "padd"}, "shapes must be one of .*did you mean 'pad'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_writes_nothing(name, tmp_path):
    changes, message = BAD[name]
    with pytest.raises(ValueError, match=message) as caught:
        study(**changes).run(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_lanes_history_and_steps_are_aligned(run):
    result, _ = run
    assert len(result.lanes) == 2 * 2 * 5
    assert set(result.lanes[0]) == {"batch_size", "learning_rate", "seed", "status", "diverged_at"}
    assert result.steps.tolist() == [0, 4, 8, 10]
    assert all(values.shape == (20, 4) for values in result.history.values())
    assert {
        "train_loss",
        "valid_accuracy",
        "test_accuracy",
        "batch_loss_min",
        "batch_loss_mean",
        "batch_loss_max",
    } <= set(result.history)
    first = [values[0] for name, values in result.history.items() if name.startswith("batch_loss")]
    assert np.isnan([curve[0] for curve in first]).all()
    assert np.isfinite([curve[1:] for curve in first]).all()


def test_seeds_see_the_same_start_under_every_config(run):
    result, _ = run
    starts = {lane["seed"]: set() for lane in result.lanes}
    for row, lane in enumerate(result.lanes):
        starts[lane["seed"]].add(round(float(result.history["train_loss"][row, 0]), 5))
    assert all(len(values) == 1 for values in starts.values())
    assert len({next(iter(values)) for values in starts.values()}) == 5


def test_a_lane_equals_the_bare_training_function(run):
    result, _ = run
    row = result.rows({"batch_size": 4, "learning_rate": 0.3})[2]
    from jaxdl.sampling import seed_key

    train = jaxdl.make_train(
        tasks.moons(100, 0.1, valid_fraction=0.2),
        models.mlp(2, (4,), 2),
        optax.sgd(0.3),
        steps=10,
        batch_size=4,
        eval_every=4,
    )
    _, _, history = train(seed_key(2))
    for name, values in result.history.items():
        np.testing.assert_allclose(values[row], history[name], rtol=2e-5, atol=1e-6, err_msg=name)


def test_load_reads_the_run_back(run):
    result, folder = run
    again = load(folder)
    assert again.lanes == result.lanes
    assert all(
        again.history[name].tobytes() == values.tobytes() for name, values in result.history.items()
    )
    assert again.steps.tolist() == result.steps.tolist()


def test_more_seeds_and_values_compute_only_the_new_lanes(run):
    result, folder = run
    events = (folder / "events.jsonl").read_text().splitlines()
    grown = study(seeds=7, sweep={"batch_size": [4, 60, 30], "learning_rate": [0.01, 0.3]}).run(
        folder
    )
    new = [
        json.loads(line)
        for line in (folder / "events.jsonl").read_text().splitlines()[len(events) :]
    ]
    assert sum(event["lanes"] for event in new) == 3 * 2 * 7 - 2 * 2 * 5
    for row, lane in enumerate(result.lanes):
        (same,) = [r for r, other in enumerate(grown.lanes) if other == lane]
        assert (
            grown.history["test_loss"][same].tobytes() == result.history["test_loss"][row].tobytes()
        )
    assert (
        study().run(folder).lanes == result.lanes
    )  # the smaller study still sees its own lanes only


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"defaults": {"learning_rate": 0.1, "width": 5}}, "width is 4 there and 5 here"),
        ({"steps": 11}, "steps is 10 there and 11 here"),
        ({"sweep": {"batch_size": [4, 60]}}, "axes is"),
        (
            {"task": tasks.moons(100, 0.2, valid_fraction=0.2)},
            "program 0 .batch_size=4, learning_rate=0.01. trains otherwise there",
        ),
        ({"lane_size": 2}, "lane_size is"),
    ],
)
def test_a_folder_of_another_study_is_refused(run, changes, field):
    _, folder = run
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match=field):
        study(**changes).run(folder)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("\\begin{document}")
    with pytest.raises(ValueError, match="path must be a new folder or one that holds this study"):
        study().run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="path must be a run folder"):
        load(tmp_path)


def test_table_compare_best_and_plot(run):
    result, _ = run
    text = str(result.table("test_accuracy"))
    assert all(
        word in text for word in ("batch_size", "learning_rate", "survived", "IQM", "95 % interval")
    )
    a, b = {"batch_size": 4, "learning_rate": 0.3}, {"batch_size": 4, "learning_rate": 0.01}
    found = result.compare("train_loss", a, b)
    paired = result.final("train_loss")[result.rows(a)] - result.final("train_loss")[result.rows(b)]
    assert found.n == 5
    assert found.difference == pytest.approx(paired.mean(), rel=1e-6)
    assert found.improvement == np.mean(paired < 0)
    best = result.best("valid_loss", over="learning_rate")
    assert [config["batch_size"] for config in best] == [4, 60]
    for config in best:
        others = [{**config, "learning_rate": rate} for rate in (0.01, 0.3)]
        medians = [np.median(result.final("valid_loss")[result.rows(other)]) for other in others]
        assert others[int(np.argmin(medians))] == config
    assert isinstance(result.plot("test_accuracy"), matplotlib.figure.Figure)
    with pytest.raises(ValueError, match="metric must not be of the test split"):
        result.best("test_accuracy", over="learning_rate")
    with pytest.raises(ValueError, match="did you mean 'test_accuracy'"):
        result.table("test_acuracy")
    with pytest.raises(ValueError, match="did you mean 'batch_size'"):
        result.compare("test_loss", {"batchsize": 4}, b)
    with pytest.raises(ValueError, match="must name one config"):
        result.compare("test_loss", {"batch_size": 4}, b)


def test_compare_pairs_the_lanes_of_a_seed_in_whatever_order_they_stand():
    pairs = [("a", 3), ("b", 2), ("a", 1), ("b", 3), ("b", 4), ("a", 2), ("b", 1)]
    lanes = [
        {"kind": kind, "seed": seed, "status": "finished", "diverged_at": None}
        for kind, seed in pairs
    ]
    values = np.array([[10.0 * seed + (kind == "a")] for kind, seed in pairs], np.float32)
    found = Result(
        lanes, {"accuracy": values}, np.array([0]), ["kind"], metrics={"accuracy": True}
    ).compare("accuracy", {"kind": "a"}, {"kind": "b"})
    assert (found.n, found.difference, found.improvement) == (3, 1.0, 1.0)
    assert np.isnan(found.difference_interval).all()  # three equal differences
    assert found.improvement_interval[0] < 0.5


def test_a_table_of_many_configs_reads_every_lane_once():
    reads = []

    class Counted(Result):
        @property
        def diverged(self):
            reads.append(len(self.lanes))
            return super().diverged

    pairs = [(config, seed) for seed in range(5) for config in range(40)]
    lanes = [{"c": c, "seed": s, "status": "finished", "diverged_at": None} for c, s in pairs]
    values = np.arange(200.0)[:, None]
    table = Counted(
        lanes, {"test_accuracy": values}, np.array([0]), ["c"], metrics={"accuracy": True}
    ).table("test_accuracy")
    assert len(reads) == 1  # 400,000 lanes read again for each of 400 configs took 20 s
    assert [row[0] for row in table.rows] == list(range(40))
    assert table.rows[7][3] == np.mean(values[7::40])


@pytest.fixture(scope="module")
def listed():
    """A study whose sweep is a list of configs, the last of which diverges."""
    rates, widths = (0.1, 0.2, 1e30), (3, 4, 4)
    pairs = zip(rates, widths, strict=True)
    return study(sweep=[{"learning_rate": rate, "width": width} for rate, width in pairs]).run()


def test_a_diverged_lane_counts_in_n_and_ranks_worst(listed):
    result = listed
    summary = result.summary("test_loss", {"learning_rate": 1e30})
    assert (summary.n, summary.survived, summary.median) == (5, 0, math.inf)
    assert (
        result.compare("test_loss", {"learning_rate": 0.1}, {"learning_rate": 1e30}).improvement
        == 1.0
    )


def test_axes_are_found_by_abstract_evaluation():
    # The static axes one at a time: a planner that merges one of them has a program less.
    static = [
        (100, "relu", "mean"),
        (50, "relu", "mean"),
        (100, "tanh", "mean"),
        (100, "relu", "sum"),
    ]
    traced = itertools.product([0.1, 0.2], [0.1, 1])
    names = ("noise", "learning_rate", "samples", "activation", "reduction")
    pairs = itertools.product(traced, static)
    found = study(
        task=lambda hp: tasks.moons(hp.samples, hp.noise),
        model=lambda hp: models.mlp(2, (hp.width,), 2, activation=hp.activation),
        sweep=[dict(zip(names, (*one, *other), strict=True)) for one, other in pairs],
        batch_size=None,
    ).plan()
    kinds = {name: axis.kind for name, axis in found.programs[0].axes.items()}
    assert kinds == {
        "noise": "traced",
        "samples": "static",
        "activation": "static",
        "learning_rate": "traced",
        "reduction": "static",
    }
    assert len(found.programs) == 4
    assert [len(program.configs) for program in found.programs] == [4] * 4
    assert found.lanes == 16 * 5
    assert "static" in str(found)


def test_settings_may_be_functions_of_hp_with_their_own_schedules():
    result = study(
        sweep={"batch_size": [4, 60]},
        steps=lambda hp: 120 // hp.batch_size,
        eval_every=lambda hp: max(1, 40 // hp.batch_size),
    ).run()
    assert result.steps.shape == (10, 4)
    assert result.steps[0].tolist() == [0, 10, 20, 30]
    assert result.steps[-1].tolist() == [0, 1, 2, -1]
    assert np.isnan(result.history["test_loss"][-1, -1])
    assert np.isfinite(result.final("test_loss")).all()


def test_swept_functions_are_given_with_labels():
    import jax.numpy as jnp

    result = study(
        model=lambda hp: models.mlp(2, (hp.width,), 2, activation=hp.activation),
        sweep={"activation": {"sine": jnp.sin, "tanh": jnp.tanh}},
    ).run()
    assert {lane["activation"] for lane in result.lanes} == {"sine", "tanh"}
    assert np.ptp(result.final("test_loss")[[0, 5]]) > 0


def test_a_sweep_may_be_a_list_of_configs(listed):
    assert listed.configs == [
        {"learning_rate": 0.1, "width": 3},
        {"learning_rate": 0.2, "width": 4},
        {"learning_rate": 1e30, "width": 4},
    ]


def test_user_arrays_are_shared_by_all_lanes():
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    result = Study(
        tasks.from_arrays(x, y),
        models.mlp(4, (8,), 3),
        optax.adam(0.02),
        seeds=4,
        steps=150,
        eval_every=150,
    ).run()
    assert result.final("test_accuracy").mean() > 0.85
    with pytest.raises(
        ValueError, match="targets must be class numbers below the model's 2 outputs, got 2"
    ):
        Study(
            tasks.from_arrays(x, y), models.mlp(4, (8,), 2), optax.adam(0.02), seeds=4, steps=150
        ).plan()


def test_tables_name_configs_as_they_were_given():
    """An infinite clip is no lane that never arrived, and rates that differ look different."""
    values = [float("inf"), None, 0.10001, 0.10002, 1]
    lanes = [
        {"clip": value, "seed": 0, "status": "finished", "diverged_at": None} for value in values
    ]
    result = Result(
        lanes,
        {"test_loss": np.ones((5, 1), np.float32)},
        np.array([0]),
        ["clip"],
        metrics={"loss": False},
    )
    shown = [line.split()[0] for line in str(result.table("test_loss")).splitlines()[-5:]]
    assert shown == ["inf", "None", "0.10001", "0.10002", "1"]


def test_a_figure_of_a_run_without_a_lane_is_empty():
    Result([], {"test_loss": np.ones((0, 1), np.float32)}, np.array([0]), ["clip"], planned=3).plot(
        "test_loss"
    )


def test_a_config_whose_task_lacks_a_metric_has_not_diverged(tmp_path):
    other = {"hit": Metric(losses.accuracy, higher_is_better=True)}
    choices = {"a": tasks.moons(40), "b": tasks.moons(40)._replace(metrics=other)}
    study = Study(
        lambda hp: hp.t,
        models.mlp(2, (2,)),
        optax.sgd(0.1),
        sweep={"t": choices},
        seeds=2,
        steps=2,
        batch_size=8,
    )
    study.run(tmp_path / "run")
    found = load(tmp_path / "run")
    shown = {row[0]: row[1:] for row in found.table("test_hit").rows}
    assert (shown["a"][:2], shown["b"][:2]) == ((0, 0), (2, 2))
    assert math.isnan(shown["a"][4])
    with pytest.raises(
        ValueError, match=r"test_hit must be a metric of both configs, got \{'t': 'a'\}"
    ):
        found.compare("test_hit", {"t": "a"}, {"t": "b"})
