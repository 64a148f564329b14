"""What the tests of experiments share: running one as a person does, its JSON, and how it refuses
bad input."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def command(*arguments):
    """`python -m experiments` with these arguments, from the repository's root."""
    return subprocess.run(
        [sys.executable, "-m", "experiments", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )


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
