"""Puts the report of one or several runs together, and writes it."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxdl.pages import comparisons, figures, losses, record
from jaxdl.pages.measured import Lanes, lanes_of, measured, metrics_of, varying_axes
from jaxdl.pages.record import Record
from jaxdl.reporting.html import Grid, Page, Section, Text, render
from jaxdl.running import store
from jaxdl.running.files import write_atomically

REPORT = "report.html"
# Points that the curves of all metrics but the first share: what keeps a page below 2 MB.
SHARED_POINTS = 6000
FEWEST_POINTS = 8


class Reported(NamedTuple):
    """A run in a report.

    Attributes:
      name: of the run, where a report is of several.
      result: its `Result`.
      record: what its folder says beside lanes; None for a result in memory.
    """

    name: str
    result: Any
    record: Record | None = None


def reported(name: str, result) -> Reported:
    """Reads what a result's folder says beside its lanes."""
    run = result.path
    manifest = None if run is None else store.read_manifest(run)
    if manifest is None:
        return Reported(name, result)
    # Two events of one block are of one training and its repetition: its time counts once.
    events = {event.get("block"): event for event in store.read_events(run)}
    known = Record(manifest, list(events.values()), store.read_sessions(run))
    return Reported(name, result, known)


def page(
    runs: Sequence[Reported],
    question: str | None = None,
    before: Sequence[Section] = (),
    lead: Sequence[Any] = (),
    command: str | None = None,
) -> Page:
    """Makes the page of runs.

    Args:
      question: its title; made of what was swept and measured where not given.
      before: sections that come first, such as what was found.
      lead: what stands below the title.
      command: that makes the runs anew, where the caller knows it.
    """
    sections = list(before)
    for run in runs:
        parts = sections_of(run, command)
        sections += parts if len(runs) == 1 else [Section(run.name, parts)]
    first = [*lead]
    for run in runs:
        first += _counts(run, len(runs) > 1)
    title = question or " ".join(dict.fromkeys(asked(run.result) for run in runs))
    return Page(title, first, sections)


def asked(result) -> str:
    """Words the question that a study asks, from what is swept and what is measured."""
    metric = next(iter(metrics_of(result)), "what is measured")
    axes = varying_axes(result)
    if not axes:
        return f"How does {metric} vary between seeds?"
    *others, last = axes
    names = f"{', '.join(others)} and {last}" if others else last
    return f"How does {metric} depend on {names}?"


def _counts(run: Reported, several: bool) -> list:
    result = run.result
    finished = len(result.lanes) - int(result.diverged.sum())
    named = f"{run.name}: " if several or run.name else ""
    words = (
        f"{named}{len(result.configs)} configs, {len(result.lanes)} lanes: {finished} finished, "
        f"{len(result.lanes) - finished} diverged, {result.missing} missing."
    )
    return [Text(words), *losses.partial(result)]


def sections_of(run: Reported, command: str | None = None) -> list[Section]:
    """Makes the sections of one run: its metrics, the first one at length, then how it was made."""
    result = run.result
    lanes = lanes_of(result)
    names = [name for name in metrics_of(result) if measured(result, name, lanes).lanes]
    sections = []
    if names:
        sections.append(_first_metric(result, names[0], lanes))
        sections.append(_other_metrics(result, names[1:], lanes))
    manifest = run.record.manifest if run.record else None
    sections.append(losses.diverged(result, lanes))
    sections.append(losses.missing(result, manifest))
    if run.record:
        sections.append(record.plan(run.record))
        sections.append(record.made(run.record, command))
    else:
        sections.append(Section("How it was made", [Text("In memory: no run folder says how.")]))
    return sections


def _first_metric(result, name: str, lanes: Sequence[Lanes]) -> Section:
    metric = measured(result, name, lanes)
    blocks: list[Any] = [Text(figures.ends(metric)), Grid(result.table(name), len(result.axes))]
    blocks.append(Section("Curves", [figures.curves(metric)]))
    blocks.append(Section("Distributions over seeds", [figures.distributions(metric)]))
    maps = figures.heat_maps(metric)
    if maps:
        blocks.append(Section("Heat map", maps))
    blocks.append(comparisons.comparisons(metric))
    return Section(name, blocks)


def _other_metrics(result, names: Sequence[str], lanes: Sequence[Lanes]) -> Section:
    """The further metrics, each folded away."""
    parts: list[Any] = []
    drawn = max(1, min(len(lanes), figures.MOST_CONFIGS) * len(names))
    points = max(FEWEST_POINTS, min(figures.MOST_POINTS, SHARED_POINTS // drawn))
    for name in names:
        metric = measured(result, name, lanes)
        blocks = [figures.curves(metric, points), figures.distributions(metric)]
        parts.append(Section(name, blocks, folded=True))
    return Section("Other metrics", parts or [Text("There is none.")])


def write(path: pathlib.Path, made: Page) -> pathlib.Path:
    """Writes a page; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render(made).encode())
    return path
