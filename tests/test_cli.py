"""``jaxdl show`` and ``jaxdl export``: text and CSV that say what the result says."""

import csv
import re
import shutil
import subprocess
import sys

import numpy as np
import optax
import pytest

import jaxdl
from jaxdl import Study, cli, load, models, tasks
from jaxdl.reporting.tables import Table, cell
from jaxdl.running.progress import Forecast


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
        (["shw"], "invalid choice: 'shw'"),
        (["show"], "the following arguments are required: RUN"),
        (["list", "nowhere"], "path must hold a run, got nowhere"),
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


def test_bare_jaxdl_helps_and_the_version_is_said(capsys):
    assert cli.main([]) == 0
    assert "usage: jaxdl" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"jaxdl {jaxdl.__version__}\n"


def copied(folder, *places):
    """A run's folder, copied to places; the last one without its blocks."""
    for place in places:
        shutil.copytree(folder, place)
    shutil.rmtree(places[-1] / "blocks")


def test_a_folder_of_runs_is_listed_and_shown(run, tmp_path, capsys):
    _, folder = run
    copied(folder, tmp_path / "a" / "first", tmp_path / "a" / "second", tmp_path / "begun")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.json").write_text("{")
    assert cli.main(["list", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "4 runs in" in text
    rows = {line.split()[0]: line.split()[1:4] for line in text.splitlines() if "/" in line}
    assert rows[str(tmp_path / "a" / "first")] == ["12", "12", "3"]
    assert rows[str(tmp_path / "begun")] == ["0", "12", "3"]
    assert rows[str(tmp_path / "bad")][0] == "damaged"
    # What an experiment of two studies writes has its runs below it.
    assert cli.main(["show", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.count("lanes     12 of 12 trained") == 2


def test_tables_fit_a_terminal_and_nothing_else(run, capsys, monkeypatch):
    result, folder = run
    monkeypatch.setenv("COLUMNS", "50")
    cli.main(["show", str(folder)])
    in_a_pipe = capsys.readouterr().out
    assert str(result.table("test_accuracy")) in in_a_pipe
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    cli.main(["show", str(folder), "--wide"])
    assert capsys.readouterr().out == in_a_pipe
    cli.main(["show", str(folder)])
    _, table = capsys.readouterr().out.split("\n\n", 1)
    assert max(map(len, table.splitlines())) <= 50
    assert str(result.table("test_accuracy")) not in table


def test_the_cache_is_told_and_cleared(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAXDL_CACHE", "on")
    (tmp_path / "jaxdl" / "plans").mkdir(parents=True)
    (tmp_path / "jaxdl" / "plans" / "a.json").write_bytes(b"x" * 2_000_000)
    (tmp_path / "other").write_text("stays")
    cli.main(["cache"])
    assert "1 file, 2.0 MB of at most 1000" in capsys.readouterr().out
    cli.main(["cache", "--clear"])
    assert "deleted 1 file, 2.0 MB" in capsys.readouterr().out
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["other"]
    monkeypatch.setenv("JAXDL_CACHE", "off")
    cli.main(["cache"])
    assert "There is no cache" in capsys.readouterr().out


def test_a_shell_completes_what_there_is(capsys, tmp_path):
    pytest.importorskip("shtab")
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "completion"
    # The shell's own answer to "jaxdl re<TAB>".
    script.write_text(
        capsys.readouterr().out
        + "\nCOMP_WORDS=(jaxdl re); COMP_CWORD=1; _shtab_jaxdl; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True)
    assert done.stdout.split() == ["report"], done.stderr


def test_completion_without_shtab_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "zsh"]) == 2
    assert capsys.readouterr().err == "error: completion needs shtab: pip install shtab\n"


# --- tables in a narrow place -----------------------------------------------------------------------

LONG = Table(
    "a title that is longer than eighty characters, and so is broken between words where it has to",
    (
        "learning rate",
        "batch size",
        "n",
        "survived",
        "mean",
        "95 % interval",
        "of the best, in words",
    ),
    tuple((0.1 * row, 2**row, 100, 99, 0.987654, (0.5, 0.625), "as told") for row in range(9)),
    "a footer that says more than fits into a line of forty characters",
)


@pytest.mark.parametrize("width", [200, 80, 40, 25, 1])
def test_no_cell_is_lost_or_cut_in_a_narrow_table(width):
    text = LONG.fitted(width)
    words = set(text.replace("\n", " ").split())
    for column in LONG.columns:
        assert set(column.split()) <= words
    for row in LONG.rows:
        for value in row:
            assert set(cell(value).split()) <= words
    assert set(LONG.title.split()) | set(LONG.footer.split()) <= words or width < 10
    assert text.count("[0.5, 0.625]") == len(LONG.rows)
    if width >= 40:
        # Every part begins with what its rows are.
        rules = sum(line.startswith(" ──") for line in text.splitlines())
        assert text.split().count("256") == rules
        assert max(map(len, text.splitlines())) <= width
    assert LONG.fitted(None) == LONG.fitted(1000) == str(LONG)


def test_odd_tables_fit_too():
    for table in (
        Table("t" * 90, (), ()),
        Table("", ("n",), (("x",),)),
        Table("one long word", ("a" * 60,), (("b" * 70,),)),
        Table("empty cells", ("a", "b"), (("", "c d e f g h i j k l m"),)),
    ):
        words = set(table.fitted(20).split())
        assert all(set(column.split()) <= words for column in table.columns)


def test_the_forecast_leaves_compiling_out():
    now = 0.0
    forecast = Forecast(total=100.0, clock=lambda: now)
    assert forecast.left() is None
    now = 500.0  # compiling
    forecast.begin()
    assert forecast.left() is None
    now = 502.0
    forecast.advance(10.0)
    assert forecast.left() == pytest.approx(18.0)
    now = 900.0  # another program is compiled
    forecast.begin()
    now = 901.0
    forecast.advance(40.0)
    # 50 in 3 seconds: the other 50 take 3.
    assert forecast.left() == pytest.approx(3.0)
    forecast.advance(60.0)  # more than was planned
    assert forecast.left() == 0.0


def test_a_run_names_planning_compiling_and_training(capsys):
    study().run(progress=True)
    lines = capsys.readouterr().err.splitlines()
    # On a slow machine there are lines on how far it is, too.
    words = [line.split()[1] for line in lines if "%" not in line]
    assert lines[0] == "jaxdl: planned 12 lanes in 2 programs"
    assert {"planned", "training"} <= set(words) <= {"planned", "compiling", "training"}
    assert words.count("planned") == 1


def test_a_refusal_stands_alone(capsys):
    refused = study(sweep={"batch_size": [8, 801]}, optimizer=optax.sgd(0.1), steps=4)
    with pytest.raises(ValueError, match="batch_size must be an integer from 1 to"):
        refused.run(progress=True)
    assert capsys.readouterr().err == ""
