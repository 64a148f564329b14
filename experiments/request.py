"""Reads what a command line asks of an experiment: sizes, sweeps and the run folder."""

import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from jaxdl.checks import one_of, positive_int, positive_number, unknown
from jaxdl.planning.spec import SETTINGS

# Of the experiments; a study may go beyond.
RANGES: dict[str, Callable] = {"learning_rate": positive_number, "width": positive_int}


class Size(NamedTuple):
    """How much is run where the command line says nothing; None leaves it to the study."""

    seeds: int
    steps: int | None = None
    eval_every: int | None = None
    sweep: Mapping[str, list] = {}  # values in place of the experiment's
    defaults: Mapping[str, Any] = {}  # likewise


class Request(NamedTuple):
    """What the command line asks of an experiment.

    Attributes:
      sweep: name -> values, those of the command line in the place of the experiment's.
      defaults: name -> value of what is not swept.
      given: the names that the command line sweeps.
      quick: whether few seeds and steps are wanted, and no conclusions.
      seeds: how many.
      steps, eval_every: None where neither the command line nor the experiment says.
      shapes, lane_size: see `Study`.
      data_dir: where the images are looked for; None for the usual places.
    """

    sweep: dict[str, list]
    defaults: dict[str, Any]
    given: frozenset[str]
    quick: bool
    seeds: int
    steps: int | None
    eval_every: int | None
    shapes: str
    lane_size: int | str | None
    data_dir: pathlib.Path | None = None

    @property
    def study(self) -> dict[str, Any]:
        """The arguments of `Study` that the command line decides."""
        asked = self.unswept(steps=self.steps, eval_every=self.eval_every)
        return {
            "seeds": self.seeds,
            "shapes": self.shapes,
            "lane_size": self.lane_size,
            **{name: value for name, value in asked.items() if value is not None},
        }

    def unswept(self, **settings) -> dict[str, Any]:
        """The settings that are not swept: a study takes each of them in one place."""
        return {name: value for name, value in settings.items() if name not in self.sweep}

    def settings(self, config: dict) -> dict[str, Any]:
        """Gives every hyper-parameter's value under a config, swept or not."""
        return {**self.defaults, **config}

    def product(self, *names: str) -> list[dict]:
        """All combinations of the swept values of some names."""
        values = itertools.product(*(self.sweep[name] for name in names))
        return [dict(zip(names, each, strict=True)) for each in values]


def merge_sweeps(
    sweep: Mapping, defaults: Mapping, given: list[tuple[str, list]]
) -> tuple[dict, dict]:
    """Merges the command line's sweep into an experiment's sweep and defaults.

    Raises:
      ValueError: a name that is neither swept nor a default, a value out of the experiment's range.
    """
    sweep, defaults = dict(sweep), dict(defaults)
    for name, values in given:
        if name not in sweep and name not in defaults and name not in SETTINGS:
            raise unknown("hyper-parameter", name, dict.fromkeys((*sweep, *defaults, *SETTINGS)))
        # A study takes a name in one place: what is swept is no default any more.
        defaults.pop(name, None)
        sweep[name] = values
    for name in RANGES.keys() & sweep.keys():
        for value in sweep[name]:
            RANGES[name](name, value)
    return sweep, defaults


def with_options(defaults: Mapping, options) -> dict:
    """Puts ``--dataset`` and ``--epochs`` in the place of an experiment's defaults.

    Raises:
      ValueError: such an option, or ``--data-dir``, for an experiment without images.
    """
    asked = {"dataset": options.dataset, "epochs": options.epochs}
    given = {name: value for name, value in asked.items() if value is not None}
    if options.data_dir is not None:
        # A folder is only ever needed for the images that no package brings along.
        given.setdefault("dataset", "cifar10")
    for name in given.keys() - defaults.keys():
        option = "data-dir" if name == "dataset" and options.dataset is None else name
        raise ValueError(
            f"--{option} must be given to an experiment on images only, got it for "
            f"{options.experiment}"
        )
    return {**defaults, **given}


def check_allowed(sweep: dict[str, list], allowed: Mapping[str, Iterable]):
    """Refuses a swept value that is not among the allowed ones of its name.

    Raises:
      ValueError: such a value, with the nearest allowed one.
    """
    for name, values in allowed.items():
        for value in sweep.get(name, ()):
            one_of(name, value, values)


def run_folder(options, sweep: dict, usual: dict) -> pathlib.Path:
    """Names the run folder: ``--out``, or after what makes it another study than the usual one.

    Seeds and swept values may grow within a folder; steps, evaluations, shapes and axes may not
    differ.
    """
    if options.out is not None:
        return options.out
    # What may not differ within a folder is in its name, so two such runs do not meet.
    parts = [options.experiment, *(["quick"] if options.quick else [])]
    if options.dataset is not None or options.data_dir is not None:
        parts.append(options.dataset or "cifar10")
    for name in ("epochs", "steps", "eval_every", "lane_size"):
        value = getattr(options, name)
        parts += [f"{name}={value}"] if value is not None else []
    parts += [options.shapes] if options.shapes != "auto" else []
    parts += [f"by-{name}" for name in sweep if name not in usual]
    return pathlib.Path("runs") / "-".join(parts)


def check_folder(folder: pathlib.Path, studies: Iterable[str]):
    """Refuses a folder that holds something beside the runs of these studies, before any is run.

    Raises:
      ValueError: the run of another experiment, or no run at all, lies there.
    """
    # An only study is called "", and has the folder itself: it looks at what is in it.
    names = {*studies, "figures", "report.html", "findings.json"}
    if "" in names or not folder.exists():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in names)
    if others:
        raise ValueError(
            "--out must be a new folder or one that this experiment has written, got "
            f"{folder}, which holds {others[0]}"
        )
