"""Writes what an experiment found beside its figures: report.html, and findings.json for others.

The page has the question, what is said about the reports, the tables with the published numbers,
the figures, and then the report of every study. `findings.json` is what the gallery reads.
"""

import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jaxdl import Result, tables
from jaxdl.pages import comparisons, figures, measured, report
from jaxdl.reporting.html import Grid, Links, Note, Page, Picture, Section, Text, render
from jaxdl.running.files import write_atomically

FINDINGS = "findings.json"
LARGEST = 2_000_000  # bytes of a page: pictures beyond are linked
QUICK = "A quick run shows that it works; it proves nothing, so nothing is concluded."


def command_of(name: str, options) -> str:
    """Gives the command that runs an experiment again as it was run."""
    words = getattr(options, "words", None) or [name]
    return shlex.join(["python", "-m", "experiments", *map(str, words)])


def write(
    folder: pathlib.Path,
    question: str,
    command: str,
    results: Mapping[str, Result],
    made: Sequence[tables.Table],
    texts: Sequence[str],
    quick: bool,
) -> pathlib.Path:
    """Writes report.html into a run folder.

    Args:
      question: its title.
      command: that runs it again.
      results: of its studies, by name.
      made: its tables.
      texts: what was found, in words.
      quick: whether it was a quick run, which proves nothing.
    """
    lead: list[Any] = [Note(QUICK)] if quick else []
    found = [Text(text) for text in texts] or [Text("Nothing was concluded.")]
    before = [Section("What was found", found)]
    grids = [_grid(table, results) for table in made]
    before.append(Section("Tables", grids))
    runs = [report.reported(name, result) for name, result in results.items()]
    page = report.page(runs, question, before, lead, command)
    path = folder / report.REPORT
    return report.write(path, with_pictures(page, folder, 2))


def _grid(table: tables.Table, results: Mapping[str, Result]) -> Grid:
    """A table whose rows are named by the axes of the study that has them all."""
    words = {name.replace("_", " ") for result in results.values() for name in result.axes}
    headers = 0
    for column in table.columns:
        if column not in words:
            break
        headers += 1
    return Grid(table, headers)


def with_pictures(page: Page, folder: pathlib.Path, place: int) -> Page:
    """Puts the figures of a run folder into a page, as many as it has room for; links the others.

    Args:
      place: of their section.
    """
    size = len(render(page).encode())
    blocks: list[Any] = []
    links = []
    for path in sorted((folder / "figures").glob("*.png")):
        content = path.read_bytes()
        size += len(content) * 4 // 3 + 1000  # as base64 writes it
        name = spoken(path.stem)
        if size < LARGEST:
            words = f"Figure: {name}. Its numbers are those of the tables on this page."
            blocks.append(Picture(words, content, "png", name))
        else:
            size -= len(content) * 4 // 3 + 1000
            links.append((name, f"figures/{path.name}"))
    if links:
        blocks += [Text("Figures beside this page:"), Links(links)]
    if not blocks:
        return page
    sections = list(page.sections)
    sections.insert(place, Section("Figures", blocks))
    return page._replace(sections=sections)


def spoken(name: str) -> str:
    """Writes a file's name as people do."""
    return name.replace("_", " ")


def keep(
    folder: pathlib.Path,
    experiment: str,
    question: str,
    command: str,
    results: Mapping[str, Result],
    texts: Sequence[str],
    quick: bool,
) -> pathlib.Path:
    """Writes what the gallery says of a run: its answer in words, made from its lanes."""
    runs = [report.reported(name, result) for name, result in results.items()]
    records = [run.record for run in runs if run.record]
    seconds = 0.0
    for record in records:
        seconds += sum(event.get("seconds", 0) for event in record.events)
    found = {
        "experiment": experiment,
        "question": question,
        "command": command,
        "quick": quick,
        "lanes": sum(len(result.lanes) for result in results.values()),
        "seconds": round(seconds, 1),
        "answer": answer(next(iter(results.values()))),
        "found": list(texts),
    }
    path = folder / FINDINGS
    write_atomically(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    return path


def answer(result: Result) -> str:
    """Says in a sentence or two what the metric that a result is about shows, with intervals."""
    lanes = measured.lanes_of(result)
    names = measured.metrics_of(result)
    metric = measured.measured(result, names[0], lanes)
    return f"{figures.ends(metric)}{_differing(metric)}"


def _differing(metric: measured.Measured) -> str:
    count = len(metric.lanes)
    if metric.higher_is_better is None or not 1 < count <= comparisons.MOST_CONFIGS:
        return ""
    pairs = comparisons.pairs_of(metric)
    differ = int((pairs.corrected < comparisons.LEVEL).sum())
    return (
        f" {differ} of {len(pairs.p)} pairs of configs are told apart (sign test by seed, Holm's "
        f"correction).{comparisons.too_few(pairs)}"
    )
