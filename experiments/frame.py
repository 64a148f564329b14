"""Runs an experiment that is given as data: folder, plan, run, rows, table, JSON, figures, page.

An experiment's file holds an `EXPERIMENT`: which studies it runs, which columns its rows have,
which figures it draws, and what it concludes. A column is one place (`columns`), a figure is one
place (`figures`), a published number is one place (`references`).
"""

import itertools
import json
import math
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import pages
from experiments.columns import Column, Lanes
from experiments.options import Stop, first_line
from experiments.references import Reference
from experiments.request import (
    Request,
    Size,
    check_allowed,
    check_folder,
    merge_sweeps,
    run_folder,
    with_options,
)
from jaxdl import Result, Study, tables
from jaxdl.cli import table_width
from jaxdl.planning.show import plan_json, plan_text


class Run(NamedTuple):
    """A finished run: what figures, tables and conclusions are made from.

    Attributes:
      findings: the values of measurements and conclusions by name; under ``--quick`` the
        conclusions are not there.
    """

    request: Request
    studies: dict[str, Study]
    results: dict[str, Result]
    rows: list[dict]
    findings: Mapping[str, Any] = {}

    def rows_of(self, study: str) -> list[dict]:
        """The rows of one study."""
        return [row for row in self.rows if row.get("study", "") == study]

    @property
    def name(self) -> str:
        """The first study, which the shared figures are drawn of."""
        return next(iter(self.results))

    @property
    def result(self) -> Result:
        """The first study's result."""
        return self.results[self.name]

    @property
    def seeds(self) -> int:
        """How many seeds a config of the first study has."""
        return len(self.result.rows(self.result.configs[0]))

    def lanes(self, config: dict) -> Lanes:
        """The lanes of a config of the first study."""
        return Lanes(self.result, config, self.request.defaults, self.result.rows(config))


class Finding(NamedTuple):
    """What is found beyond the rows of single configs.

    Attributes:
      value: for the figures and tables, under the finding's name.
      text: for people, below the tables.
      rows: further rows of the JSON.
      additions: (config, entries) that belong into the row of that config.
    """

    value: Any = None
    text: str = ""
    rows: Sequence[dict] = ()
    additions: Sequence[tuple[dict, dict]] = ()


Drawer = Callable[[Run], Any]  # gives a Figure, figures by name, or None for nothing to draw


class Experiment(NamedTuple):
    """An experiment as data.

    Attributes:
      doc: the file's docstring: the question, then protocol, command, time and what is expected.
      reference: the reports whose numbers it asks about.
      sweep, defaults: hyper-parameters by name; the command line may change both.
      full, quick: sizes without and with ``--quick``.
      sizes: name of a data set -> both sizes, for one that needs others.
      studies: name -> what builds it; the name "" is that of an only study. None: nothing to run.
      columns: what a row has beside its config; by study, where these differ.
      figures: name -> what draws it.
      titles: the title of each study's table.
      allowed: name -> the only values that it may be swept over.
      make_tables: makes other tables than one a study.
      measurements: what is looked at beyond the rows, always.
      conclusions: what is said about the reports; never under ``--quick``, which proves nothing.
    """

    doc: str
    reference: Sequence[type[Reference]]
    sweep: dict[str, list]
    full: Size
    quick: Size
    studies: Mapping[str, Callable[[Request], Study | None]]
    columns: Sequence[Column] | Mapping[str, Sequence[Column]]
    figures: Mapping[str, Drawer]
    titles: Mapping[str, str] = {}
    sizes: Mapping[str, tuple[Size, Size]] = {}
    defaults: Mapping[str, Any] = {}
    allowed: Mapping[str, Iterable] = {}
    make_tables: Callable[[Run], Sequence[tables.Table]] | None = None
    measurements: Mapping[str, Callable[[Run], Finding]] = {}
    conclusions: Mapping[str, Callable[[Run], Finding]] = {}

    @property
    def question(self) -> str:
        """What the experiment asks."""
        return first_line(self.doc)

    @property
    def heading(self) -> str:
        """The question, and the reports whose numbers stand in the tables."""
        lines = [self.question]
        for report in self.reference:
            about = first_line(report.__doc__ or "")
            lines.append(f"{report.__name__}: {about} (experiments/references.py)")
        return "\n".join(lines)

    def columns_of(self, study: str) -> Sequence[Column]:
        """The columns of one study."""
        return self.columns[study] if isinstance(self.columns, Mapping) else self.columns


class Report(NamedTuple):
    """An experiment's findings: rows for JSON, text for people."""

    experiment: str
    run: str
    rows: list[dict]
    text: str

    def json(self) -> dict:
        """The findings as plain JSON; what is infinite or missing is null."""
        return {"experiment": self.experiment, "run": self.run, "rows": plain(self.rows)}


def run(experiment: Experiment, options) -> Report:
    """Runs an experiment the way the command line asks.

    Raises:
      ValueError: a name or value that the experiment does not take.
      Stop: a plan was asked for, or blocks of other shards are missing.
    """
    request = request_of(experiment, options)
    studies = build(experiment, request)
    folder = run_folder(options, request.sweep, experiment.sweep)
    if not options.plan:
        check_folder(folder, experiment.studies)
    is_fresh, begin = not folder.exists(), time.monotonic()
    results = run_studies(studies, folder, options)
    if is_fresh and "dataset" in request.defaults:
        say_speed(results, request.defaults, time.monotonic() - begin)
    rows: list[dict] = []
    # One list for all studies: JSON has no tables, and a row says which study it is of.
    for name, result in results.items():
        rows += rows_of(name, result, experiment.columns_of(name), request.defaults)
    finished, findings = conclude(experiment, Run(request, studies, results, rows))
    save_figures(experiment, finished, folder / "figures")
    make_tables = experiment.make_tables or (lambda run: tables_of(experiment, run))
    made = make_tables(finished)
    texts = [finding.text for finding in findings if finding.text]
    width = table_width(options.wide)
    parts = [experiment.heading, *(table.fitted(width) for table in made), *texts]
    if request.quick:
        parts.append(pages.QUICK)
    question, command = experiment.question, pages.command_of(options.experiment, options)
    page = pages.write(folder, question, command, results, made, texts, request.quick)
    pages.keep(folder, options.experiment, question, command, results, texts, request.quick)
    text = "\n\n".join([*parts, f"Figures: {folder / 'figures'}\nReport: {page}"])
    further = [row for finding in findings for row in finding.rows]
    return Report(options.experiment, str(folder), [*finished.rows, *further], text)


def request_of(experiment: Experiment, options) -> Request:
    """Puts the command line's values in the place of the experiment's.

    Raises:
      ValueError: a name that is neither swept nor a default, a value out of the experiment's range.
    """
    images = str(with_options(experiment.defaults, options).get("dataset"))
    full, quick = experiment.sizes.get(images, (experiment.full, experiment.quick))
    size = quick if options.quick else full
    usual = {**experiment.sweep, **size.sweep}
    # The command line's options come last: they are in the place of a size's defaults too.
    usual_defaults = with_options({**experiment.defaults, **size.defaults}, options)
    sweep, defaults = merge_sweeps(usual, usual_defaults, options.sweep)
    for name in ("dataset", "epochs"):
        if name in sweep and name in usual_defaults:
            raise ValueError(f"{name} must be given as --{name}, got it in --sweep")
    check_allowed(sweep, experiment.allowed)
    return Request(
        sweep,
        defaults,
        frozenset(name for name, _ in options.sweep),
        options.quick,
        options.seeds or size.seeds,
        options.steps or size.steps,
        options.eval_every or size.eval_every,
        options.shapes,
        options.lane_size,
        options.data_dir,
    )


def build(experiment: Experiment, request: Request) -> dict[str, Study]:
    """Builds the studies that there is something to run of."""
    studies = {name: make(request) for name, make in experiment.studies.items()}
    return {name: study for name, study in studies.items() if study is not None}


def run_studies(studies: dict[str, Study], folder: pathlib.Path, options) -> dict[str, Result]:
    """Runs the studies, each in a folder of its name below `folder`, progress on stderr.

    Raises:
      Stop: the plan was asked for, or this is a shard and blocks of other shards are missing.
    """
    if options.plan:
        raise Stop(plans_of(studies, options))
    results = {}
    # An only study is called "", and so has the run folder itself.
    for name, study in studies.items():
        results[name] = study.run(folder / name, progress=True, shard=options.shard)
    # A shard's rows would be of some seeds or configs only: it says so and stops.
    stored = sum(len(result.lanes) for result in results.values())
    missing = sum(result.missing for result in results.values())
    if missing:
        of = f"{stored} of {stored + missing} lanes"
        raise Stop(f"this shard is done: {of} are stored in {folder}")
    return results


def plans_of(studies: dict[str, Study], options) -> str:
    """Plans the studies; returns what the command prints of them, text or JSON."""
    plans = {name: study.plan(measure=True) for name, study in studies.items()}
    if options.json:
        made = {name: plan_json(plan) for name, plan in plans.items()}
        return json.dumps({"experiment": options.experiment, "plans": made}, allow_nan=False)
    width = table_width(options.wide)
    return "\n\n".join(f"{name} {plan_text(plan, width)}".strip() for name, plan in plans.items())


def say_speed(results: Mapping[str, Result], defaults: dict[str, Any], seconds: float):
    """Says on stderr how many training examples a second a whole run has gone through."""
    count = 0
    for result in results.values():
        for config in result.configs:
            lanes = Lanes(result, config, defaults, result.rows(config))
            count += len(lanes.places) * int(lanes.steps[-1]) * lanes.settings["batch_size"]
    speed = f"{count / max(seconds, 1e-3):,.0f} images a second"
    whole = "compiling and evaluation included"
    print(f"{count:,} images in {seconds:.0f} s: {speed}, {whole}", file=sys.stderr)


def rows_of(
    study: str, result: Result, columns: Sequence[Column], defaults: dict[str, Any]
) -> list[dict]:
    """Makes one row a config: its values, n, survived, and what every column makes of its lanes."""
    rows = []
    for config in result.configs:
        lanes = Lanes(result, config, defaults, result.rows(config))
        row: dict[str, Any] = {"study": study} if study else {}
        row |= {**config, "n": len(lanes.places), "survived": int((~lanes.diverged).sum())}
        # After the config, so that a column may put a name in the place of a swept number.
        for column in columns:
            if column.applies(lanes):
                row[column.name] = column.value(lanes)
        rows.append(row)
    return rows


def conclude(experiment: Experiment, run: Run) -> tuple[Run, list[Finding]]:
    """Takes the measurements and, unless it is quick, draws the conclusions, in order."""
    wanted = dict(experiment.measurements)
    if not run.request.quick:
        wanted |= experiment.conclusions
    findings = []
    # In order, because a conclusion may build on a measurement.
    for name, find in wanted.items():
        finding = find(run)
        findings.append(finding)
        rows = list(run.rows)
        for config, entries in finding.additions:
            for place, row in enumerate(rows):
                if {**row, **config} == row:
                    rows[place] = {**row, **entries}
        run = run._replace(rows=rows, findings={**run.findings, name: finding.value})
    return run, findings


def save_figures(experiment: Experiment, run: Run, folder: pathlib.Path):
    """Draws every figure into a folder; one that gives several saves each under both names."""
    # The run folder is there; had nothing been run, there would be nothing to draw.
    folder.mkdir(exist_ok=True)
    for name, draw in experiment.figures.items():
        drawing = draw(run)
        several = drawing if isinstance(drawing, dict) else {"": drawing}
        for end, figure in several.items():
            if figure is not None:
                figure.savefig(folder / f"{name}{end}.png")


def tables_of(experiment: Experiment, run: Run) -> list[tables.Table]:
    """Makes one table a study: the values of its axes, n, survived, the cells of its columns."""
    return [
        table_of(experiment.titles[name], result, run.rows_of(name), experiment.columns_of(name))
        for name, result in run.results.items()
    ]


def table_of(title: str, result: Result, rows: list[dict], columns) -> tables.Table:
    """Makes a study's table; a column that no row has is left out, as is its legend."""
    named = set().union(*rows)
    present = [column for column in columns if column.name in named]
    headings = itertools.chain(*(column.cells for column in present))
    axes = [name.replace("_", " ") for name in result.axes]
    body = []
    for row in rows:
        cells = [row[name] for name in (*result.axes, "n", "survived")]
        for column in present:
            cells += column.texts(row)
        body.append(tuple(cells))
    # Each column explains itself; two that say the same say it once.
    legend = dict.fromkeys(column.legend for column in present if column.legend)
    full_title = "\n".join([title, *legend])
    return tables.Table(full_title, (*axes, "n", "survived", *headings), tuple(body))


def plain(value: Any):
    """Makes a value as JSON knows it: numpy scalars as Python's, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    # A number of numpy is none of JSON's, though it prints like one.
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
