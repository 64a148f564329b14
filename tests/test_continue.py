"""A run goes on as it was begun: however it is declared, stopped, or was found to be run best."""

import os
import shutil
import signal

import numpy as np
import optax
import pytest

from experiments.__main__ import main as command
from experiments.request import check_folder
from jaxdl import Result, Study, cli, load, models, tasks
from jaxdl.running import blocks, configs, engine, manifest, store, tune


def study(**changes):
    declared = {
        "task": tasks.moons(40),
        "model": models.mlp(2, (2,), 2),
        "optimizer": optax.sgd(0.1),
        "seeds": 3,
        "steps": 4,
        "eval_every": 2,
        "batch_size": 8,
        "lane_size": 2,
    }
    return Study(**{**declared, **changes})


def content(run):
    """The bytes of every file of a run."""
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


# --- 1 and 1.0 -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A run that was grown from 1 to 1.0."""
    run = tmp_path_factory.mktemp("mixed") / "run"
    for rate in (1, 1.0):
        rates = [{"rate": rate}]
        alone = study(sweep=rates, optimizer=lambda hp: optax.sgd(hp.rate)).run(run)
        assert len(alone.lanes) == 3
        assert type(alone.lanes[0]["rate"]) is type(rate)
    return run


def test_a_run_may_hold_values_of_two_types(mixed):
    both = load(mixed)
    assert [type(config["rate"]) for config in both.configs] == [int, float]
    for value in (1, 1.0, np.float64(1), np.int64(1)):
        assert both.summary("train_loss", {"rate": value}).n == 3
        kinds = {type(both.lanes[row]["rate"]) for row in both.rows({"rate": value})}
        assert kinds == {type(np.asarray(value).item())}
    assert both.compare("train_loss", {"rate": 1}, {"rate": 1.0}).n == 3


def test_values_of_two_types_are_told_apart():
    """By hand: 1 has the values 1 and 2 at seeds 0 and 1, 1.0 has 4 and 8."""
    found = [(1, 0, 1), (1.0, 0, 4), (1, 1, 2), (1.0, 1, 8)]
    lanes = [
        {"n": n, "seed": seed, "status": "finished", "diverged_at": None} for n, seed, _ in found
    ]
    curves = np.array([[value] for *_, value in found], np.float32)
    result = Result(lanes, {"loss": curves}, np.array([0]), ["n"], metrics={"loss": False})
    assert result.rows({"n": 1}).tolist() == [0, 2]
    assert result.rows({"n": 1.0}).tolist() == [1, 3]
    assert result.summary("loss", {"n": 1.0}).mean == 6.0
    compared = result.compare("loss", {"n": 1}, {"n": 1.0})
    assert (compared.n, compared.difference, compared.improvement) == (2, -4.5, 1.0)
    assert result.best("loss", over="n") == [{"n": 1}]
    assert type(result.best("loss", over="n")[0]["n"]) is int
    with pytest.raises(ValueError, match=r"config must name one config, got .*True.* which fits 2"):
        result.compare("loss", {"n": True}, {"n": 1})


def test_values_of_two_types_read_differently(mixed, capsys):
    both = load(mixed)
    assert [row[0] for row in both.table("train_loss").rows] == ["1", "1.0"]
    assert cli.main(["show", str(mixed)]) == 0
    assert "axis      rate: 1, 1.0\n" in capsys.readouterr().out
    labels = both.plot("train_loss").axes[0].get_legend_handles_labels()[1]
    assert labels == ["rate=1 (n=3)", "rate=1.0 (n=3)"]


def test_a_value_of_another_type_is_found_where_only_one_is_there():
    alone = [{"rate": 1.0, "width": 3}, {"rate": 0.5, "width": 3.0}]
    assert configs.match(alone, {"rate": 1}) == alone[:1]
    assert configs.match(alone, {"rate": 1, "width": 3}) == alone[:1]
    assert configs.match(alone, {"width": 3}) == alone[:1]
    assert configs.match(alone, {"rate": 0.5, "width": 3}) == alone[1:]
    assert configs.match(alone, {"width": True}) == []


# --- names in another order ----------------------------------------------------------------------

CONFIGS = [{"rate": 0.1, "momentum": 0.5}, {"rate": 0.2, "momentum": 0.0}]
MORE = {"rate": 0.3, "momentum": 0.9}


def by_two(*configs):
    return study(sweep=configs, optimizer=lambda hp: optax.sgd(hp.rate, momentum=hp.momentum))


def turned(config):
    return dict(reversed(config.items()))


def test_the_order_of_names_in_a_config_does_not_matter(tmp_path):
    run = tmp_path / "run"
    first = by_two(*CONFIGS).run(run)
    before = content(run)
    again = by_two(*map(turned, CONFIGS)).run(run)
    assert content(run) == before
    assert again.lanes == first.lanes
    grown = by_two(*map(turned, (*CONFIGS, MORE))).run(run)
    assert len(grown.lanes) == 9
    assert {tuple(lane)[:2] for lane in grown.lanes} == {("rate", "momentum")}
    rows = grown.rows(turned(CONFIGS[1]))
    mine = first.rows(CONFIGS[1])
    assert grown.final("test_loss")[rows].tolist() == first.final("test_loss")[mine].tolist()
    straight = by_two(*CONFIGS, MORE).run(run)
    assert straight.lanes == grown.lanes
    with pytest.raises(
        ValueError, match=r"axes is \['rate', 'momentum'\] there and \['rate'\] here"
    ):
        study(sweep=[{"rate": 0.1}]).run(run)


# --- a lane_size that was measured ---------------------------------------------------------------


def test_a_measured_run_goes_on_with_the_size_that_it_began_with(tmp_path, monkeypatch):
    """It was stopped in its second block, and what was measured is forgotten."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(manifest, "CHUNKS", 1)
    monkeypatch.setattr(tune, "climb", lambda seconds, start, most: 2)
    monkeypatch.setattr(engine, "next_length", lambda *args: 3)  # no block is one segment
    train, trained = engine.run_block, []

    def interrupted(*arguments):
        trained.append(1)
        if len(trained) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return train(*arguments)

    monkeypatch.setattr(engine, "run_block", interrupted)
    with pytest.raises(KeyboardInterrupt, match="the same call continues"):
        study(lane_size="measure", seeds=9).run(tmp_path / "run")
    assert store.read_checkpoint(tmp_path / "run", 1) is not None
    monkeypatch.setattr(engine, "run_block", train)
    shutil.rmtree(tmp_path / "cache")

    def measured_anew(seconds, start, most):
        raise AssertionError("the run says how many lanes it vmaps")

    monkeypatch.setattr(tune, "climb", measured_anew)
    result = study(lane_size="measure", seeds=9).run(tmp_path / "run")
    assert result.complete
    study(lane_size=2, seeds=9).run(tmp_path / "whole")
    for number in range(len(store.finished_blocks(tmp_path / "whole"))):
        path = store.block_path(tmp_path / "run", number)
        assert path.read_bytes() == store.block_path(tmp_path / "whole", number).read_bytes()
    assert number > 0
    assert blocks.stored(store.read_manifest(tmp_path / "run"), tmp_path / "run").keys() == {
        *range(number + 1)
    }


# --- a folder of another experiment --------------------------------------------------------------

FOLDERS = {
    "several studies where one lies": ("", "perceptron_grid", "which holds blocks"),
    "several studies where others lie": ("grid", "perceptron_grid", "which holds grid"),
    "one study where several lie": ("grid", "batch_size", "which holds something else"),
    "one study where another lies": ("", "batch_size", "holds another study: axes is"),
}


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    run = tmp_path_factory.mktemp("another") / "run"
    study().run(run)
    return run


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folder_of_another_experiment_is_refused_in_a_line(name, another, tmp_path, capsys):
    theirs, experiment, words = FOLDERS[name]
    shutil.copytree(another, tmp_path / "run" / theirs)
    before = content(tmp_path)
    assert command([experiment, "--quick", "--out", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert str(tmp_path / "run") in line
    assert out == ""
    assert content(tmp_path) == before


def test_an_experiment_goes_on_in_its_own_folder(tmp_path):
    for name in ("figures", "groups"):
        (tmp_path / name).mkdir()
    check_folder(tmp_path, ["sweeps", "groups"])
    check_folder(tmp_path / "new", ["sweeps", "groups"])
    with pytest.raises(ValueError, match=r"^--out must be a new folder .* which holds groups$"):
        check_folder(tmp_path, ["r2", "r4"])
