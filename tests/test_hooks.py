"""What a run tells the function `on_event`, and the recipes of docs/hooks.md against the packages
that they are for."""

import json
import pathlib
import re

import numpy as np
import optax
import pytest

from jaxdl import Narrow, Seeds, Study, load, models, tasks

ROOT = pathlib.Path(__file__).parent.parent
RATES = [0.1, 0.2]


def make_study(sweep=None, **settings):
    return Study(
        tasks.moons(40, valid_fraction=0.2),
        models.mlp(2, (3,)),
        lambda hp: optax.sgd(hp.rate),
        sweep={"rate": RATES} if sweep is None else sweep,
        **{"seeds": 3, "steps": 4, "batch_size": 8, "eval_every": 2, **settings},
    )


@pytest.fixture(scope="module")
def study():
    return make_study()


def test_a_run_tells_what_it_stores(study, tmp_path):
    told = []
    result = study.run(tmp_path / "run", on_event=told.append)
    assert [event["event"] for event in told] == ["started", "block", "done"]
    started, block, done = told
    assert (started["configs"], started["seeds"], started["lanes"]) == (2, 3, 6)
    assert "jax" in started["versions"]
    assert done == {"event": "done", "lanes": 6, "diverged": 0, "missing": 0}
    (line,) = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert {name: block[name] for name in ("block", "program", "finished", "seconds")} == {
        name: kept[name] for name in ("block", "program", "finished", "seconds")
    }
    rows = [(lane["config"]["rate"], lane["seed"]) for lane in block["lanes"]]
    assert rows == [(rate, seed) for rate in RATES for seed in range(3)]
    for row, lane in enumerate(block["lanes"]):
        assert (lane["status"], lane["diverged_at"]) == ("finished", None)
        assert lane["history"].keys() == result.history.keys()
        assert lane["steps"].tolist() == [0, 2, 4]
        for name, curve in lane["history"].items():
            np.testing.assert_array_equal(curve, result.history[name][row])
            np.testing.assert_equal(lane["last"][name], float(curve[-1]))


def test_an_exception_ends_a_run_with_its_block_saved(study, tmp_path):
    told = []

    def fail(event):
        told.append(event["event"])
        if event["event"] == "block":
            raise OSError("the tracker is away")

    with pytest.raises(OSError, match="the tracker is away"):
        study.run(tmp_path / "run", on_event=fail)
    assert told == ["started", "block"]
    assert load(tmp_path / "run").complete
    told.clear()
    study.run(tmp_path / "run", on_event=fail)  # nothing is trained, and so told, again
    assert told == ["started", "done"]


def test_a_lane_that_diverged_is_told_so():
    told = []
    sweep = {"rate": [0.1, 1e12]}
    make_study(sweep, norm_bound=1e3, seeds=1).run(on_event=told.append)
    lanes = [lane for event in told if event["event"] == "block" for lane in event["lanes"]]
    assert [lane["status"] for lane in lanes] == ["finished", "diverged"]
    assert lanes[1]["diverged_at"] is not None
    assert told[-1]["diverged"] == 1


def test_only_the_lanes_of_a_study_are_told(study, tmp_path):
    study.run(tmp_path / "run")
    told = []
    make_study(seeds=4).run(tmp_path / "run", on_event=told.append)
    lanes = [lane for event in told if event["event"] == "block" for lane in event["lanes"]]
    assert [lane["seed"] for lane in lanes] == [3, 3]


def test_seeds_a_stream_are_told(tmp_path):
    told = []
    make_study(seeds=Seeds(init=range(2), data=[0])).run(on_event=told.append)
    lanes = [lane for event in told if event["event"] == "block" for lane in event["lanes"]]
    assert [(lane["seed"], lane["seed_init"]) for lane in lanes] == [(0, 0), (1, 1)] * 2


def test_a_run_until_narrow_starts_and_is_done_once():
    told = []
    narrow = Narrow("test_loss", width=1e-9, most=5)
    make_study(seeds=4).run(until=narrow, on_event=told.append)
    names = [event["event"] for event in told]
    assert (names[0], names[-1], set(names[1:-1])) == ("started", "done", {"block"})
    assert told[-1]["lanes"] == 10


@pytest.mark.parametrize("wrong", ["print", lambda: None])
def test_what_is_no_function_of_an_event_is_refused(study, wrong):
    with pytest.raises(ValueError, match=r"^on_event must be a function \(event\)"):
        study.run(on_event=wrong)


# --- recipes -----------------------------------------------------------------------------------


def recipe(package):
    """The code of a recipe; skips the test where its package is not there."""
    pytest.importorskip(package, reason="pip install -e '.[outside]'")
    text = (ROOT / "docs" / "hooks.md").read_text()
    (code,) = re.findall(rf"```python {package}\n(.*?)```", text, re.DOTALL)
    return code


def follow(package, study, folder, monkeypatch):
    """Runs a recipe in a folder of its own, and gives its names."""
    code = recipe(package)
    monkeypatch.chdir(folder)
    names = {"study": study, "make_study": make_study}
    exec(compile(code, f"docs/hooks.md, {package}", "exec"), names)
    return names


@pytest.mark.outside
@pytest.mark.filterwarnings("default")
def test_weights_and_biases(study, tmp_path, monkeypatch):
    for name, value in (("MODE", "offline"), ("SILENT", "true"), ("DIR", str(tmp_path))):
        monkeypatch.setenv(f"WANDB_{name}", value)
    follow("wandb", study, tmp_path, monkeypatch)
    files = list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 6
    assert all(b"test_accuracy" in file.read_bytes() for file in files)


@pytest.mark.outside
@pytest.mark.filterwarnings("default")
def test_mlflow(study, tmp_path, monkeypatch):
    names = follow("mlflow", study, tmp_path, monkeypatch)
    runs = names["mlflow"].search_runs(output_format="list")
    kept = {}
    for run in runs:
        params = run.data.params
        kept[params["rate"], params["seed"]] = run.data.metrics["test_loss"]
    result = load(tmp_path / "runs" / "my_study")
    last = result.final("test_loss").tolist()
    expected = {
        (str(lane["rate"]), str(lane["seed"])): value
        for lane, value in zip(result.lanes, last, strict=True)
    }
    assert kept == pytest.approx(expected)


@pytest.mark.outside
@pytest.mark.filterwarnings("default")
def test_tensorboard(study, tmp_path, monkeypatch):
    follow("tensorboardX", study, tmp_path, monkeypatch)
    folders = sorted(path.name for path in (tmp_path / "boards").iterdir())
    assert folders == [f"rate={rate},seed={seed}" for rate in RATES for seed in range(3)]
    for file in (tmp_path / "boards").glob("*/events.*"):
        assert b"test_accuracy" in file.read_bytes()


@pytest.mark.outside
@pytest.mark.filterwarnings("default")
def test_optuna(study, tmp_path, monkeypatch):
    search = follow("optuna", study, tmp_path, monkeypatch)["search"]
    assert [trial.state.name for trial in search.trials] == ["COMPLETE"] * 8
    best = make_study([search.best_params]).run()
    assert search.best_value == pytest.approx(best.final("valid_accuracy").mean())
