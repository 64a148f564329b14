"""Tidy tables: what stands in them is what the result holds, whatever was swept and is missing."""

import csv
import io
import math
import sys
import tomllib

import numpy as np
import optax
import pandas
import pytest

import jaxdl
from jaxdl import Metric, Result, Study, cli, load, losses, models, tasks


def made(rows, axes, steps=(0, 4), planned=None, untrained=None, **metrics):
    """A result by hand; rows are (config, seed, diverged_at), a curve's value is a number's own."""
    lanes = [
        {
            **config,
            "seed": seed,
            "status": "finished" if at is None else "diverged",
            "diverged_at": at,
        }
        for config, seed, at in rows
    ]
    shape = (len(lanes), len(steps))
    values = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    history = {"test_accuracy": values, "test_loss": values / 8, **metrics}
    directions = {"accuracy": True, "loss": False}
    return Result(lanes, history, np.array(steps), axes, None, planned, directions, None, untrained)


@pytest.fixture(scope="module")
def product():
    """Two axes by three seeds, a lane of which diverges after two updates."""
    rows = []
    for width in (3, 4):
        for rate in (0.1, 0.5):
            for seed in (7, 0, 2):
                rows.append(({"width": width, "rate": rate}, seed, 2 if len(rows) == 5 else None))
    return made(rows, ["width", "rate"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two schedules, two metrics that not all tasks have, and lanes that diverge."""
    hit = {"hit": Metric(losses.accuracy, higher_is_better=True)}
    choices = {"a": tasks.moons(40), "b": tasks.moons(40)._replace(metrics=hit)}
    study = Study(
        lambda hp: hp.task,
        models.mlp(2, (3,)),
        lambda hp: optax.sgd(hp.learning_rate),
        sweep={"task": choices, "learning_rate": [0.1, 1e30], "batch_size": [8, 16]},
        seeds=3,
        steps=lambda hp: 64 // hp.batch_size,
        eval_every=3,
    )
    folder = tmp_path_factory.mktemp("frames") / "run"
    return study.run(folder), folder


def test_a_row_a_lane(run):
    result, _ = run
    frame = result.to_pandas()
    assert len(frame) == len(result) == 24
    assert frame.seed.tolist() == [lane["seed"] for lane in result.lanes]
    assert frame.batch_size.tolist() == [lane["batch_size"] for lane in result.lanes]
    assert frame.diverged_at.isna().tolist() == [not lost for lost in result.diverged]
    assert frame.diverged_at.dropna().tolist() == [
        lane["diverged_at"] for lane in result.lanes if lane["diverged_at"] is not None
    ]
    for name in result.history:
        assert np.array_equal(frame[name], result.final(name), equal_nan=True)
        assert frame[name].dtype == np.float32
    by_hand = result.summary("test_loss", {"task": "a", "learning_rate": 0.1, "batch_size": 8})
    one = frame[(frame.task == "a") & (frame.learning_rate == 0.1) & (frame.batch_size == 8)]
    assert one.test_loss.mean() == pytest.approx(by_hand.mean, rel=1e-6)


def test_a_row_an_evaluation(run):
    result, _ = run
    frame = result.to_pandas(curves=True)
    assert len(frame) == (result.steps >= 0).sum()
    for row, of_lane in frame.groupby("lane"):
        due = result.steps[row] >= 0
        lane = result.lanes[row]
        assert of_lane.step.tolist() == result.steps[row][due].tolist()
        assert set(of_lane.seed) == {lane["seed"]}
        assert set(of_lane.task) == {lane["task"]}
        assert of_lane.diverged.tolist() == result.lost([row])[0][due].tolist()
        assert np.array_equal(of_lane.test_loss, result["test_loss"][row][due], equal_nan=True)
    assert frame.diverged.any()
    assert not frame.diverged.all()


def test_csv_is_the_same_table_without_pandas(run, tmp_path, monkeypatch):
    result, folder = run
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert result.to_csv(tmp_path / "curves.csv", curves=True) == (result.steps >= 0).sum()
    assert cli.main(["export", str(folder), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "history.csv").read_text()
    assert text == (tmp_path / "curves.csv").read_text()
    monkeypatch.undo()
    read, frame = pandas.read_csv(io.StringIO(text)), result.to_pandas(curves=True)
    assert list(read) == list(frame)
    for name in ("learning_rate", "seed", "step", "diverged", "task"):
        assert read[name].tolist() == frame[name].tolist()
    assert np.array_equal(read.test_hit.astype(np.float32), frame.test_hit, equal_nan=True)


@pytest.mark.parametrize(("method", "module"), [("to_pandas", "pandas"), ("to_xarray", "xarray")])
def test_a_package_that_is_not_there_is_named_in_one_line(product, method, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=rf"^{method} needs {module}.* pip install {module}"
    ) as caught:
        getattr(product, method)()
    assert "\n" not in str(caught.value)


def test_a_product_has_its_axes_as_dimensions(product):
    found = product.to_xarray()
    assert dict(found.sizes) == {"width": 2, "rate": 2, "seed": 3, "evaluation": 2}
    assert found.seed.values.tolist() == [0, 2, 7]
    for row, lane in enumerate(product.lanes):
        place = {name: lane[name] for name in ("width", "rate", "seed")}
        one = found.sel(place)
        assert one.test_loss.values.tolist() == product["test_loss"][row].tolist()
        assert one.status.item() == lane["status"]
        at = one.diverged_at.item()
        assert (None if math.isnan(at) else at) == lane["diverged_at"]
        assert one.diverged.values.tolist() == product.lost([row])[0].tolist()
    assert found.diverged.sum() == 1
    assert found.step.dims == ("evaluation",)
    assert found.step.values.tolist() == [0, 4]
    median = found.test_loss.isel(evaluation=-1).median("seed").sel(width=3, rate=0.5)
    assert median == np.median(product.where(width=3, rate=0.5).final("test_loss"))


def test_lanes_that_are_no_product_stay_lanes(product, run):
    rows = [(lane, lane["seed"], None) for lane in product.lanes[:-1]]
    part = made(rows, ["width", "rate"]).to_xarray()
    assert dict(part.sizes) == {"lane": 11, "evaluation": 2}
    assert part.rate.values.tolist() == [lane["rate"] for lane in product.lanes[:-1]]
    own = run[0].to_xarray()
    assert own.step.dims == ("task", "learning_rate", "batch_size", "seed", "evaluation")
    assert own.step.sel(batch_size=16, task="a", seed=0, learning_rate=0.1).values[-1] == -1
    empty = made([], ["width"], planned=2).to_xarray()
    assert (dict(empty.sizes), empty.attrs["missing"]) == ({"lane": 0, "evaluation": 2}, 2)


ODD = {
    "None": ([None, 0.5], [("None", 1), (0.5, 1)]),
    "types": ([1, 1.0], [("1", 1), ("1.0", 1)]),
    "True": ([True, 1, 2], [("True", 1), ("1", 1), ("2", 1)]),
    "infinity": ([math.inf, 1.0], [(1.0, 1), (math.inf, 1)]),
    "texts": (["a,b", '"', "<b>"], [('"', 1), ("<b>", 1), ("a,b", 1)]),
}


@pytest.mark.parametrize("name", ODD)
def test_a_grouping_drops_and_joins_no_config(name):
    values, groups = ODD[name]
    result = made([({"clip": value}, 0, None) for value in values], ["clip"])
    counted = result.to_pandas().groupby("clip").size()
    assert sorted(counted.items(), key=str) == sorted(groups, key=str)
    assert dict(result.to_xarray().sizes) == {"clip": len(values), "seed": 1, "evaluation": 2}
    text = jaxdl.reporting.frames.to_csv(result.columns())
    assert [row["clip"] for row in csv.DictReader(io.StringIO(text))] == [
        str(value) for value in values
    ]


def test_a_swept_name_that_another_column_has_hides_neither():
    rows = [({"step": 10, "test_loss": 0.5}, 0, None)]
    result = made(rows, ["step", "test_loss"])
    frame = result.to_pandas(curves=True)
    assert frame[["hp.step", "step", "hp.test_loss", "test_loss"]].values.tolist() == [
        [10, 0, 0.5, 0],
        [10, 4, 0.5, 0.125],
    ]
    assert (
        float(result.to_xarray().sel({"hp.step": 10, "hp.test_loss": 0.5}).test_loss[0, 1]) == 0.125
    )


def test_where_takes_the_lanes_that_fit(product):
    part = product.where(width=4, seed=[0, 7])
    assert part.configs == [{"width": 4, "rate": 0.1}, {"width": 4, "rate": 0.5}]
    assert [lane["seed"] for lane in part.lanes] == [7, 0, 7, 0]
    assert part["test_loss"].tolist() == product["test_loss"][[6, 7, 9, 10]].tolist()
    assert (part.complete, part.missing, len(part)) == (True, 0, 4)
    assert len(product.where(rate=[0.1, 0.5])) == len(product.where()) == 12
    assert product.where(width=np.int64(3)).configs == product.where(width=3.0).configs
    by = product.where(rate=0.1).compare("test_accuracy", {"width": 3}, {"width": 4})
    assert (
        by.difference
        == product.compare(
            "test_accuracy", {"width": 3, "rate": 0.1}, {"width": 4, "rate": 0.1}
        ).difference
    )


def test_where_of_a_schedule_of_its_own_has_a_step_a_column(run):
    result, _ = run
    part = result.where(batch_size=16, task="a")
    assert part.steps.tolist() == [0, 3, 4]
    assert "test_hit" not in part.history
    assert "test_accuracy" not in result.where(task="b").history
    rows = sorted(result.rows({"batch_size": 16, "task": "a"}))
    for name in part.history:
        assert np.array_equal(part.final(name), result.final(name)[rows], equal_nan=True)
    both = result.where(learning_rate=1e30)
    config = {"task": "b", "batch_size": 8, "learning_rate": 1e30}
    assert str(both.summary("test_hit", config)) == str(result.summary("test_hit", config))


BAD = {
    "unknown name": ({"widht": 3}, "unknown axis 'widht': .*did you mean 'width'"),
    "a value of no lane": ({"width": 5}, r"width must be a value of some lane \(3, 4\), got 5"),
    "one of several": ({"width": [3, 5]}, "width must be a value of some lane .* got 5"),
    "a seed of no lane": ({"seed": 1}, "seed must be one of the 3 here, got 1"),
    "a bool as a seed": ({"seed": False}, "seed must be one of the 3 here, got False"),
    "no seed": ({"seed": [[7]]}, "seed must be one of the 3 here, got \\[7\\]"),
    "together": ({"width": [], "rate": 0.1}, "some lane must have all of these values"),
}


@pytest.mark.parametrize("name", BAD)
def test_where_refuses_what_no_lane_has(product, name):
    values, message = BAD[name]
    with pytest.raises(ValueError, match=message) as caught:
        product.where(**values)
    assert "\n" not in str(caught.value)


def test_a_part_of_a_partial_result_says_what_it_lacks(tmp_path):
    study = Study(
        tasks.moons(40),
        models.mlp(2, (3,)),
        lambda hp: optax.sgd(hp.learning_rate),
        sweep={"learning_rate": [0.1, 0.2], "batch_size": [8, 16]},
        seeds=7,
        steps=1,
        lane_size=1,
        shapes="bucket",
    )
    result = study.run(tmp_path / "run", shard="0/3")
    assert 0 < result.missing < 28
    for found in (result, load(tmp_path / "run")):
        parts = [found.where(batch_size=size) for size in (8, 16)]
        assert [len(part) + part.missing for part in parts] == [14, 14]
        assert sum(part.missing for part in parts) == found.missing
        for part in parts:
            assert part.complete == (part.missing == 0)
            for rate in (0.1, 0.2):
                one = part.where(learning_rate=rate)
                assert len(one) + one.missing == 7
        assert found.to_pandas().attrs["missing"] == found.missing
    # By hand, a count says not whose lanes are missing: no part of it may claim to be whole.
    assert not made([({"a": 1}, 0, None)], ["a"], planned=2).where(a=1).complete


def test_a_result_is_no_list():
    result = made([({"a": 1}, 0, None)], ["a"])
    assert result.metrics == {"accuracy": True, "loss": False}
    with pytest.raises(TypeError, match="not iterable"):
        list(result)
    with pytest.raises(ValueError, match="unknown metric 'test_acuracy'"):
        result["test_acuracy"]


def test_the_version_is_that_of_the_package():
    root = jaxdl.__path__[0]
    with open(f"{root}/../pyproject.toml", "rb") as file:
        declared = tomllib.load(file)
    assert declared["project"]["dynamic"] == ["version"]
    assert declared["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "jaxdl.__version__"}
    assert jaxdl.__version__.count(".") == 2
