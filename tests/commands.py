"""What the tests of experiments share: running one by its command, its JSON, and how it refuses
bad input."""

import contextlib
import io
import json
import subprocess

import pytest

from experiments.__main__ import main


def command(*arguments):
    """`python -m experiments` with these arguments, without a process of its own.

    A process imports jax, scipy and matplotlib anew, which takes longer than most of these commands.
    That the exit code and the streams are those of a real one, tests/test_experiments.py sees.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse's
            code = end.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def report_of(*arguments):
    """What an experiment prints with ``--json``; fails where that is no valid JSON."""
    done = command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def check_refused(arguments, message, run):
    """The arguments are refused with one line on stderr that holds the message, exit code 2, and no
    run folder."""
    done = command(*arguments, "--out", str(run))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert message in line
    assert not run.exists()
