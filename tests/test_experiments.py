"""The command line: help without jax, valid JSON, one-line errors, figures."""

import ast
import json
import pathlib
import subprocess
import sys
import types

import pytest
from commands import command as in_this_process

from experiments import batch_size, frame, perceptron_grid
from experiments.options import experiments
from experiments.references import Numbers

pytestmark = pytest.mark.full  # what users run
ROOT = pathlib.Path(__file__).parent.parent


def command(*arguments, folder=ROOT):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=folder, timeout=300
    )


def test_help_and_list_do_not_import_jax():
    for arguments in (["--help"], [], ["batch_size", "--help"]):
        code = f"import runpy, sys; sys.argv = ['experiments', *{arguments!r}]\n"
        code += "try: runpy.run_module('experiments', run_name='__main__')\nexcept SystemExit as end: assert not end.code\n"
        code += "assert not {'jax', 'numpy', 'matplotlib'} & set(sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        assert "batch_size" in done.stdout
        assert "Time:" in done.stdout


def test_batch_size_prints_json_and_nothing_else(tmp_path):
    done = command(
        "experiments",
        "batch_size",
        "--quick",
        "--steps",
        "30",
        "--seeds",
        "3",
        "--json",
        "--out",
        str(tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert report["experiment"] == "batch_size"
    assert report["run"] == str(tmp_path / "run")
    row = next(
        row
        for row in report["rows"]
        if (row["batch_size"], row["learning_rate"], row["reduction"]) == (800, 0.1, "mean")
    )
    assert (row["n"], row["survived"]) == (3, 3)
    assert set(row["test_accuracy"]) >= {
        "mean",
        "sd",
        "median",
        "iqm",
        "iqm_interval",
        "published",
        "published_percentile",
    }
    assert 0 <= row["test_accuracy"]["median"] <= 1
    assert row["test_accuracy"]["published"] == 0.99
    assert len(row["test_accuracy"]["iqm_interval"]) == 2
    assert set(row["steps_to_90"]) >= {"median", "never_reached"}
    assert "final_loss" in row
    assert row["numpy_seconds"]["published"] == 6.8
    assert row["numpy_seconds"]["median"] > 0
    assert row["min_batch_loss"]["median"] <= row["max_batch_loss"]["median"]
    figures = sorted(path.name for path in (tmp_path / "run" / "figures").iterdir())
    assert figures == ["accuracy.png", "boundaries.png", "final_accuracy.png", "loss.png"]
    assert "batch_size" in (tmp_path / "run" / "manifest.json").read_text()


def imported(path):
    """The modules of experiments/ that a file imports, and those that it takes names of the folder
    from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "experiments":
            yield from node.module.split(".")[1:] or [alias.name for alias in node.names]


def test_no_file_imports_an_experiment_and_each_is_found_without_importing_it():
    names = set(experiments())
    assert names >= {"batch_size", "xor_grid", "palindrome_5"}
    for path in sorted((ROOT / "experiments").glob("*.py")):
        assert not names & set(imported(path)), path
    for name in names:
        assert f"python -m experiments {name}" in experiments()[name]


def run_of(quick, rows, **findings):
    """A finished run of batch sizes with these rows."""
    result = types.SimpleNamespace(axes=("batch_size", "reduction"))
    request = types.SimpleNamespace(quick=quick)
    return frame.Run(request, {}, {"": result}, rows, findings)


def row_of(reduction, *percentiles):
    """A row whose published numbers lie at these percentiles of the seeds."""
    places = dict(zip(batch_size.NUMBERS, percentiles, strict=True))
    return {
        "batch_size": 1,
        "reduction": reduction,
        **{name: {"published_percentile": place} for name, place in places.items()},
    }


def test_protocols_that_are_likeliest_alike_are_all_named():
    rows = [row_of("mean", 50, 50, 99), row_of("sum", 1, 50, 50), row_of("other", 1, 1, 50)]
    finding = batch_size.likeliest(run_of(False, rows))
    assert finding.value == ["reduction mean", "reduction sum"]
    assert "alike under reduction mean and reduction sum" in finding.text
    scores = {"as meant": 0.5, "literal": 0.5, "scalar gradient": 0.1}
    assert perceptron_grid.likeliest(run_of(False, [], closeness=scores)).value == [
        "as meant",
        "literal",
    ]


@pytest.mark.parametrize("quick", [False, True])
def test_a_quick_run_draws_no_conclusion(quick):
    # What is measured, here a time, is measured under --quick as well.
    experiment = batch_size.EXPERIMENT._replace(measurements={})
    run, findings = frame.conclude(experiment, run_of(quick, [row_of("mean", 50, 50, 50)]))
    assert len(findings) == (not quick)
    assert set(run.findings) == (set() if quick else {"likeliest"})


def test_a_published_number_is_of_the_configs_that_a_report_speaks_of():
    numbers = Numbers("R5", ("length",), {(5,): 1.0}, only={"cell": "vanilla"})
    assert numbers({"length": 5, "cell": "vanilla", "clip": None}) == 1.0
    assert (
        numbers({"length": 6, "cell": "vanilla"})
        is numbers({"length": 5, "cell": "gru"})
        is numbers({"length": 5})
        is None
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["batch_sise"], "did you mean 'batch_size'"),
        (["batch_size", "--seeds", "0"], "--seeds: must be a positive integer, got '0'"),
        (["batch_size", "--steps", "1.5"], "--steps: must be a positive integer, got '1.5'"),
        (["batch_size", "--sweep", "batch_size=0"], "batch_size must be a positive integer, got 0"),
        (
            ["batch_size", "--sweep", "batch_size=801"],
            "batch_size must be an integer from 1 to 800, got 801",
        ),
        (
            ["batch_size", "--sweep", "learning_rate=-1"],
            "learning_rate must be a finite number above 0, got -1",
        ),
        (
            ["batch_size", "--sweep", "learning_rate=nan"],
            "learning_rate must be a finite number above 0, got nan",
        ),
        (["batch_size", "--sweep", "learning_rate="], "must hold at least one value"),
        (["batch_size", "--sweep", "widht=3"], "did you mean 'width'"),
        (
            ["batch_size", "--lane-size", "-4"],
            "--lane-size: must be a positive integer or 'measure', got '-4'",
        ),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(arguments, message, tmp_path):
    check_refused(in_this_process, arguments, message, tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["batch_size", "--seeds", "0"], "--seeds: must be a positive integer, got '0'"),
        (["batch_size", "--sweep", "widht=3"], "did you mean 'width'"),
    ],
    ids=["by argparse", "by the study"],
)
def test_bad_input_ends_a_process_of_its_own_alike(arguments, message, tmp_path):
    def process(*words):
        return command("experiments", *words)

    check_refused(process, arguments, message, tmp_path / "run")


def check_refused(run, arguments, message, folder):
    done = run(*arguments, *(["--out", str(folder)] if len(arguments) > 1 else []))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert message in line
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "0.1"], "use --sweep learning_rate=0.1"),
        (["--width=8"], "use --sweep width=8"),
        (["--sweeep", "width=8"], "did you mean --sweep?"),
        (["--sweep", "lr=0.1"], "did you mean 'learning_rate'?"),
    ],
)
def test_a_hyper_parameter_is_told_where_it_belongs(arguments, message):
    done = in_this_process("batch_size", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert message in line


def test_a_plan_is_told_as_json():
    sweep = ["--sweep", "batch_size=8", "--sweep", "learning_rate=0.1,0.2"]
    done = in_this_process("batch_size", "--quick", "--plan", "--json", "--seeds", "2", *sweep)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout, parse_constant=pytest.fail)
    (plan,) = told["plans"].values()
    assert plan["axes"]["learning_rate"]["kind"] == "traced"
    assert plan["lanes"] == sum(program["lanes"] for program in plan["programs"])
    configs = [config for program in plan["programs"] for config in program["configs"]]
    assert {config["learning_rate"] for config in configs} == {0.1, 0.2}
    assert plan["measured"] is True
    assert plan["seconds"] > 0
