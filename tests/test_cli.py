"""``jaxdl show`` and ``jaxdl export``: text and CSV that say what the result says."""

import csv
import re
import subprocess
import sys

import numpy as np
import optax
import pytest

from jaxdl import Study, cli, load, models, tasks


def study(**changes):
    declared = dict(
        task=tasks.moons(40),
        model=models.mlp(2, (3,)),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        sweep={"learning_rate": [0.1, 1e30], "batch_size": [8, 16]},
        seeds=3,
        steps=lambda hp: 64 // hp.batch_size,
        eval_every=3,
    )
    return Study(**{**declared, **changes})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return study().run(folder), folder


def test_show_says_what_the_folder_holds(run, capsys):
    result, folder = run
    assert cli.main(["show", str(folder)]) == 0
    text = capsys.readouterr().out
    diverged = int(result.diverged.sum())
    assert 0 < diverged < 12
    for line in (
        str(folder),
        "sampling=None",
        "axis      learning_rate: 0.1, 1e+30",
        "axis      batch_size: 8, 16",
        "seeds     3",
        f"lanes     12 of 12 trained: {12 - diverged} finished, {diverged} diverged",
        "blocks    2 of 2",
        "versions  jax=",
        "program 0 2 configs, lane_size",
        "8 steps; learning_rate traced, batch_size static",
        "test_accuracy at the last evaluation",
    ):
        assert line in text
    cli.main(["show", str(folder), "--metric", "train_loss"])
    assert str(result.table("train_loss")) in capsys.readouterr().out


def test_show_reads_an_unfinished_run(run, tmp_path, capsys):
    _, folder = run
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    assert cli.main(["show", str(tmp_path)]) == 0
    assert "lanes     0 of 12 trained" in capsys.readouterr().out
    assert cli.main(["export", str(tmp_path)]) == 0


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def same_bits(text, value):
    return np.isnan(value) if text == "" else np.float32(text) == value


def test_csv_read_back_equals_the_result(run, tmp_path, capsys):
    result, folder = run
    out = tmp_path / "made" / "here"
    before = sorted(folder.rglob("*"))
    assert cli.main(["export", str(folder), "--out", str(out)]) == 0
    assert (
        f"{out / 'lanes.csv'}: 12 rows, {out / 'history.csv'}: {6 * 4 + 6 * 3} rows"
        in capsys.readouterr().out
    )
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "lanes.csv"]
    assert sorted(folder.rglob("*")) == before
    lanes, history = read(out / "lanes.csv"), read(out / "history.csv")
    assert list(lanes[0]) == [
        "lane",
        "learning_rate",
        "batch_size",
        "seed",
        "status",
        "diverged_at",
        *result.history,
    ]
    for row, (lane, expected) in enumerate(zip(lanes, result.lanes, strict=True)):
        assert int(lane["lane"]) == row
        assert {
            name: "" if expected[name] is None else str(expected[name]) for name in expected
        } == {name: lane[name] for name in expected}
        assert all(same_bits(lane[name], result.final(name)[row]) for name in result.history)
    for entry in history:
        row = int(entry["lane"])
        (column,) = np.flatnonzero(result.steps[row] == int(entry["step"]))
        assert all(
            same_bits(entry[name], result.history[name][row, column]) for name in result.history
        )


def test_shared_steps_and_no_axes(tmp_path, capsys):
    result = study(sweep=None, optimizer=optax.sgd(0.1), steps=4, eval_every=2, batch_size=8).run(
        tmp_path
    )
    assert cli.main(["export", str(tmp_path)]) == 0
    assert [int(entry["step"]) for entry in read(tmp_path / "history.csv")] == [0, 2, 4] * 3
    assert cli.main(["show", str(tmp_path)]) == 0
    assert "1 config, lane_size" in capsys.readouterr().out
    assert load(tmp_path).lanes == result.lanes  # an export in a run folder disturbs nothing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["shw"], "invalid choice: 'shw'"),
        (["show"], "the following arguments are required: RUN"),
        (["show", "nowhere"], "path must be a run folder, got nowhere, which has no manifest.json"),
        (["export", "nowhere"], "path must be a run folder, got nowhere"),
        (
            ["show", "RUN", "--metric", "test_acuracy"],
            "unknown metric 'test_acuracy': .*did you mean 'test_accuracy'",
        ),
        (["export", "RUN", "--out", "RUN/manifest.json"], "File exists"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(run, arguments, message, capsys):
    _, folder = run
    arguments = [argument.replace("RUN", str(folder)) for argument in arguments]
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    out, errors = capsys.readouterr()
    (line,) = errors.splitlines()
    assert not out
    assert line.startswith("error: ")
    assert re.search(message, line)


@pytest.mark.parametrize("arguments", [["--help"], ["show", "--help"], ["export", "--help"]])
def test_help_does_not_import_jax(arguments):
    code = f"import runpy, sys; sys.argv = ['jaxdl', *{arguments!r}]\n"
    code += "try: runpy.run_module('jaxdl', run_name='__main__')\nexcept SystemExit as end: assert not end.code\n"
    code += "assert not {'jax', 'numpy', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: jaxdl" in done.stdout
