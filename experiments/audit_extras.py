"""Gives the audit what no study of an experiment holds: times, other frameworks, given runs."""

import importlib
import json
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks import timing
from experiments import audit_numbers, frame, numpy_mlp, rivals
from experiments.audit_numbers import Cells, Evidence
from experiments.audit_parts import Done
from experiments.audit_sources import Source
from experiments.images import DEFAULTS, NOT_TRAINED_WITH, TRAINING_ROWS
from experiments.references import R1, R5, Printed
from jaxdl import Result, load
from jaxdl.running.files import write_atomically
from jaxdl.running.progress import say

STEPS = 1500  # that R1's seconds are of
TIMES = "step_seconds.json"
CIFAR10_ROWS = 45_000  # for training, as the experiments split it
EPOCHS = {"cifar_mlp": R5.mlp_epochs, "cifar_cnn": R5.cnn_epochs}


# --- times -----------------------------------------------------------------------------------


def step_seconds(folder: pathlib.Path, rounds: int) -> dict[int, np.ndarray]:
    """Measures a step of R1's MLP in NumPy at its batch sizes, in turns, once for a folder.

    One network on one thread, in shuffled passes, evaluated at the end only.

    Returns:
      batch size -> seconds a step, (rounds,).
    """
    path = folder / TIMES
    if not path.exists():
        say(f"audit: NumPy's seconds a step, {rounds} rounds")
        bursts = {size: burst(size) for (size,) in R1.batch_size_seconds.values}
        rates = timing.interleave(bursts, rounds)
        seconds = {str(size): (1 / rate).tolist() for size, rate in rates.items()}
        # Stored: the same command prints the same numbers for as long as the folder lives.
        write_atomically(path, json.dumps(seconds).encode())
    stored = json.loads(path.read_text())
    return {int(size): np.array(each) for size, each in stored.items()}


def burst(batch_size: int) -> Callable[[], float]:
    """Makes what trains one network and gives its number of steps."""
    settings = {
        "samples": 1000,
        "noise": 0.1,
        "width": 20,
        "learning_rate": 0.01,
        "batch_size": batch_size,
    }

    def run() -> float:
        numpy_mlp.train([0], STEPS, settings)
        return STEPS

    return run


def of_times(printed: Printed, seconds: Mapping[int, np.ndarray] | None) -> Cells:
    """Places R1's seconds among those of this machine."""
    cells: Cells = {values: [] for values in printed.numbers.values}
    if seconds is not None:
        for (size,), published in printed.numbers.values.items():
            total = STEPS * seconds[size]
            settings = {"framework": "NumPy, this machine"}
            cells[size,].append(audit_numbers.of_values(total, published, settings))
    return cells


# --- frameworks ------------------------------------------------------------------------------


class Frameworks(NamedTuple):
    """Each framework's accuracies of R5's MLP.

    Attributes:
      done: how far they were trained, if not in full.
    """

    accuracies: dict[str, np.ndarray]
    done: str


def frameworks(part: Done) -> Frameworks:
    """Trains R5's MLP in NumPy and PyTorch as the experiment does, or reads what is stored."""
    say("audit: R5's MLP in NumPy and in PyTorch")
    found = rivals.frameworks(part.run)
    accuracies = {name: runs.accuracies for name, runs in found.value.items()}
    config = part.run.result.configs[0]
    done = part.short(part.run.name, config, rivals.settings_of(part.run)["steps"])
    return Frameworks(accuracies, done)


def of_frameworks(printed: Printed, part: Done, others: Frameworks) -> Cells:
    """Places a number of R5's MLP among the seeds of every framework, and of jaxdl's variants."""
    published = printed.numbers.values[()]
    evidence: list[Evidence] = []
    for name, values in others.accuracies.items():
        # jaxdl's lanes come below, with those that have diverged.
        if name != "jaxdl":
            settings = {"framework": name}
            # 0.955 in float32 is not the 0.955 of float64.
            rounded = np.asarray(values, float).round(6)
            of_name = audit_numbers.of_values(rounded, published, settings, others.done)
            evidence.append(of_name)
    is_numpys = math.isclose(published, R5.moons_numpy.values[()])
    column = "numpys_number" if is_numpys else "test_accuracy"
    source = Source((), {"": column})
    for study, result in part.run.results.items():
        rows = part.run.rows_of(study)
        for config, row in zip(result.configs, rows, strict=True):
            for each in audit_numbers.evidence_of(part, study, config, row, printed, source):
                named = each._replace(settings={"framework": "jaxdl", **each.settings})
                evidence.append(named)
    return {(): evidence}


# --- given runs ------------------------------------------------------------------------------


class Given(NamedTuple):
    """A run of an experiment on images that somebody has made.

    Attributes:
      epochs: (config's batch size) -> how many it was trained.
    """

    experiment: str
    result: Result
    path: pathlib.Path


def read_given(path: pathlib.Path) -> Given:
    """Reads a run folder of `cifar_mlp` or `cifar_cnn`, finished or not.

    Raises:
      ValueError: it is none of these, not on CIFAR-10, or not of the report's settings.
    """
    result = load(path)
    study = json.loads((path / "manifest.json").read_text())["study"]
    return Given(checked(study, result.axes, path), result, path)


def checked(study: Mapping[str, Any], axes: Iterable[str], path: pathlib.Path) -> str:
    """Tells which experiment a run is of, by the settings that its manifest holds.

    Raises:
      ValueError: see `read_given`.
    """
    name = "cifar_cnn" if "residual" in study else "cifar_mlp" if "dropout" in study else ""
    if not name:
        raise ValueError(f"--runs must be a run of cifar_mlp or cifar_cnn, got {path}")
    if study.get("eval_train_rows") != TRAINING_ROWS:
        raise ValueError(f"--runs must be a run on CIFAR-10, got {path}, which is of other images")
    experiment = experiment_of(name)
    strange = set(axes) ^ set(experiment.sweep)
    if strange:
        raise ValueError(
            f"--runs must sweep {', '.join(experiment.sweep)}, got {path}, which differs in "
            f"{', '.join(sorted(strange))}"
        )
    for setting, value in {**DEFAULTS, **experiment.defaults}.items():
        # What an older run does not have yet is as it always was.
        found = study.get(setting, value)
        if found != value and setting not in NOT_TRAINED_WITH:
            raise ValueError(
                f"--runs must be of the report's settings, {setting} {value}, got {path}, which "
                f"has {found}"
            )
    return name


def experiment_of(name: str) -> frame.Experiment:
    """Imports an experiment."""
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def of_given(printed: Printed, source: Source, runs: Iterable[Given]) -> Cells:
    """Places a number of CIFAR-10 among the seeds of the runs that were given."""
    cells: Cells = {values: [] for values in printed.numbers.values}
    for given in runs:
        if given.experiment not in source.parts:
            continue
        full = EPOCHS[given.experiment]
        # So that the columns place the number; whether the run is that long is judged below.
        defaults = {"dataset": "cifar10", "epochs": full}
        columns = experiment_of(given.experiment).columns_of("")
        rows = frame.rows_of("", given.result, columns, defaults)
        for config, row in zip(given.result.configs, rows, strict=True):
            epochs = epochs_of(given.result, config)
            done = "" if epochs >= full else f"{epochs:g} of {full} epochs"
            settings = {name: row[name] for name in given.result.axes}
            entry, n = audit_numbers.entry_at(row, source.readings[""])
            if entry is not None:
                evidence = audit_numbers.of_entry(entry, settings, n, row["survived"], done)
                for each in cells.values():
                    audit_numbers.add(each, evidence)
    return cells


def epochs_of(result: Result, config: dict) -> float:
    """Counts the epochs that a config was trained."""
    steps = result.steps if result.steps.ndim == 1 else result.steps[result.rows(config)[0]]
    per_epoch = math.ceil(CIFAR10_ROWS / config["batch_size"])
    return round(int(np.max(steps)) / per_epoch, 1)
