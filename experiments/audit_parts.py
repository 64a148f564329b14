"""Runs what the audit needs: experiments with few configs, each by a command line of its own.

A part is an experiment's command with as many seeds as an audit of twenty minutes has time for; the
protocol, its studies and its columns are the experiment's.
"""

import importlib
import pathlib
import shlex
import time
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import NamedTuple

from experiments import frame
from experiments import options as command_line
from jaxdl.planning.config import config_key
from jaxdl.running.progress import say


class Part(NamedTuple):
    """A command of an experiment, as words: in a full audit, and in a quick one.

    Attributes:
      reports: those that it says something about.
      quick: None leaves it out of a quick audit.
    """

    experiment: str
    reports: tuple[str, ...]
    full: str
    quick: str | None


ONE_BY_ONE = "--sweep batch=one --sweep loss=bce"
FULL_BATCH = "--sweep batch=full --sweep loss=bce"
FEW_CELLS = "--sweep activation=tanh --sweep optimizer=sgd --sweep learning_rate=0.1,0.01"
PARTS = {
    "separability": Part(
        "perceptron_separability",
        ("R1",),
        # 150 means of 20 runs: fewer could not call two of six numbers impossible.
        "--seeds 3000 --sweep distance=0.5,6.0,7.0,8.0 --sweep variance=0.05,0.1,0.25,0.5,100.0",
        "--seeds 20 --sweep rule=batch --sweep distance=0.5,6.0 --sweep variance=0.5,100.0",
    ),
    "batch_size": Part(
        "batch_size",
        ("R1",),
        "--seeds 200 --sweep batch_size=1,32,128,800",
        "--seeds 4 --sweep batch_size=1,32,128,800 --sweep reduction=mean",
    ),
    "perceptron_grid": Part(
        "perceptron_grid",
        ("R2", "R4"),
        "--seeds 1000",
        "--seeds 6 --sweep rule=majority --sweep 'variant=scalar gradient,literal'",
    ),
    "moons_mlp": Part(
        "moons_mlp",
        ("R1", "R2", "R4"),
        "--seeds 200 --sweep layers=1",
        "--seeds 3 --sweep layers=1 --sweep init=0.01 --sweep reduction=mean --sweep bias=True",
    ),
    "batch_epochs": Part(
        "batch_epochs",
        ("R2",),
        "--seeds 40",
        "--seeds 3 --sweep batch_size=200,500 --sweep reduction=mean",
    ),
    "sgd_vs_bgd": Part(
        "sgd_vs_bgd",
        ("R4",),
        "--seeds 60 --sweep init=he,0.01,0.0001",
        "--seeds 3 --steps 3000 --sweep init=0.01 --sweep learning_rate=0.01",
    ),
    "xor_full_batch": Part(
        "xor_grid",
        ("R3",),
        f"--seeds 30 {FULL_BATCH} --sweep bias=True",
        f"--seeds 2 {FULL_BATCH} --sweep bias=True --sweep data=xor {FEW_CELLS} --sweep width=1,4",
    ),
    "xor_one_by_one": Part(
        "xor_grid", ("R3",), f"--seeds 10 {ONE_BY_ONE} --sweep bias=False", None
    ),
    "convolution": Part("conv1d_linear", ("R3",), "--seeds 300", "--seeds 4"),
    "palindrome_5": Part(
        "palindrome_5",
        ("R5",),
        "--seeds 4 --sweep optimizer=rmsprop,adam",
        None,
    ),
    "palindrome_length": Part(
        "palindrome_length", ("R5",), "--seeds 6", "--seeds 2 --steps 20 --sweep length=5,15"
    ),
    "clipping": Part(
        "palindrome_length", ("R5",), "--seeds 6 --sweep length=8,9,10 --sweep clip=None", None
    ),
    "cells": Part(
        "palindrome_length", ("R5",), "--seeds 3 --sweep length=10,12 --sweep cell=gru,lstm", None
    ),
    "frameworks": Part(
        "frameworks", ("R5",), "--seeds 200", "--seeds 3 --steps 100 --sweep variant=protocol"
    ),
}


class Done(NamedTuple):
    """A part that was run.

    Attributes:
      command: the experiment's, without its folder.
      full_steps: (study, config's key) -> the updates of the protocol.
    """

    name: str
    command: str
    run: frame.Run
    experiment: frame.Experiment
    full_steps: Mapping[tuple, int]
    seconds: float

    def of(self, study: str, config: dict) -> int:
        """The updates that the protocol takes."""
        return self.full_steps[study, config_key(config)]

    def short(self, study: str, config: dict, steps: int) -> str:
        """Says how far a config was trained, where the protocol goes on; else nothing."""
        of = self.of(study, config)
        return "" if steps >= of else f"{steps} of {of} steps"


def module_of(part: Part) -> ModuleType:
    """Imports a part's experiment."""
    return importlib.import_module(f"experiments.{part.experiment}")


def wanted(only: Iterable[str], quick: bool) -> dict[str, str]:
    """Maps the parts that say something about some reports to their words."""
    words = {}
    for name, part in PARTS.items():
        of_part = part.quick if quick else part.full
        if of_part is not None and set(only) & set(part.reports):
            words[name] = of_part
    return words


def without_steps(words: list[str]) -> list[str]:
    """Leaves out of a command line what cuts a protocol short.

    >>> without_steps(["--seeds", "2", "--steps", "20"])
    ['--seeds', '2']
    """
    if "--steps" not in words:
        return words
    place = words.index("--steps")
    return words[:place] + words[place + 2 :]


def run_part(name: str, words: str, folder: pathlib.Path) -> Done:
    """Runs a part into its folder, or goes on with what lies there."""
    part = PARTS[name]
    experiment = module_of(part).EXPERIMENT
    say(f"audit: {part.experiment} {words}")
    each = shlex.split(words)
    options = read(part.experiment, [*each, "--out", str(folder / name)])
    request = frame.request_of(experiment, options)
    begin = time.monotonic()
    studies = frame.build(experiment, request)
    results = frame.run_studies(studies, folder / name, options)
    rows: list[dict] = []
    for study, result in results.items():
        columns = experiment.columns_of(study)
        rows += frame.rows_of(study, result, columns, request.defaults)
    run = frame.Run(request, studies, results, rows)
    whole = frame.request_of(experiment, read(part.experiment, without_steps(each)))
    full = studies if whole == request else frame.build(experiment, whole)
    seconds = time.monotonic() - begin
    command = f"python -m experiments {part.experiment} {words}"
    return Done(name, command, run, experiment, steps_of(full), seconds)


def read(experiment: str, words: list[str]):
    """Reads an experiment's command line."""
    return command_line.parser(experiment).parse_args([experiment, *words])


def steps_of(studies: Mapping) -> dict[tuple, int]:
    """Maps every config of some studies to its updates."""
    steps = {}
    for name, study in studies.items():
        for config in study.spec.configs:
            steps[name, config_key(config.values)] = config.schedule.steps
    return steps
