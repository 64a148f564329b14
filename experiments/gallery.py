"""Makes one page of all experiments: question, figure, answer with its interval, command, time.

``python -m experiments gallery`` reads what finished runs have left under runs/; an answer is what
a run computed, and an experiment without a run is named as not run.
"""

import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.options import experiments, first_line, usual_time
from experiments.pages import FINDINGS, QUICK, spoken
from jaxdl.pages.record import duration
from jaxdl.pages.report import REPORT, write
from jaxdl.reporting.html import Code, Links, Note, Page, Picture, Section, Terms, Text

WIDEST = 900  # pixels of a picture
MOST_WORDS = 900  # letters of an answer; all of it stands in the run's own report


def gallery(runs: pathlib.Path, out: pathlib.Path | None = None) -> str:
    """Writes the page.

    Args:
      runs: the folder that the run folders lie in.
      out: the file; gallery.html in that folder by default.

    Returns:
      A line that says what was written.
    """
    path = runs / "gallery.html" if out is None else out
    found = best_runs(runs)
    known = experiments()
    sections = []
    for name, docstring in known.items():
        entry = found.get(name)
        sections.append(section(name, docstring, entry, path.parent))
    lead = [Text(f"{len(found)} of {len(known)} experiments have been run here.")]
    page = Page("What the experiments found", lead, sections)
    write(path, page)
    return f"{path}: {len(found)} of {len(known)} experiments"


def best_runs(runs: pathlib.Path) -> dict[str, tuple[pathlib.Path, dict]]:
    """Finds the run of each experiment that says most: no quick one if possible, of most lanes."""
    found: dict[str, tuple[pathlib.Path, dict]] = {}
    for path in sorted(runs.glob(f"*/{FINDINGS}")):
        entry = json.loads(path.read_text())
        name = entry["experiment"]
        if name not in found or _weight(entry) > _weight(found[name][1]):
            found[name] = (path.parent, entry)
    return found


def _weight(entry: Mapping[str, Any]) -> tuple[bool, int]:
    return not entry["quick"], entry["lanes"]


def section(
    name: str,
    docstring: str,
    found: tuple[pathlib.Path, dict] | None,
    beside: pathlib.Path,
) -> Section:
    """Makes the section of one experiment.

    Args:
      found: its run folder and what is kept of it; None where it has not been run.
      beside: the folder of the page.
    """
    question = first_line(docstring)
    if found is None:
        command = Code(f"python -m experiments {name}")
        return Section(question, [Note("Not run here."), command, Text(usual_time(docstring))])
    folder, entry = found
    # A quick run has an answer too, and it may be wrong: it says so first.
    blocks: list[Any] = [Note(QUICK)] if entry["quick"] else []
    blocks += [Text(shortened(text)) for text in entry["found"][:1]]
    blocks.append(Text(entry["answer"]))
    picture = picture_of(folder / "figures")
    blocks += [picture] if picture else []
    blocks.append(Code(entry["command"]))
    lanes = f"{entry['lanes']:,} lanes, {duration(entry['seconds'])} of training"
    blocks.append(Terms([("Experiment", name), ("Size", lanes)]))
    report = folder / REPORT
    if report.exists():
        blocks.append(Links([("The whole report", relative(report, beside))]))
    return Section(question, blocks)


def relative(path: pathlib.Path, folder: pathlib.Path) -> str:
    """Writes an address of a file from a page in a folder; with `file:` where it lies elsewhere."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.resolve().as_uri()


def shortened(text: str) -> str:
    """Cuts a long answer at the end of a line or sentence."""
    if len(text) <= MOST_WORDS:
        return text
    start = text[:MOST_WORDS]
    end = max(start.rfind("\n"), start.rfind(". ") + 1)
    return start[: end if end > 0 else MOST_WORDS] + " ..."


def picture_of(figures: pathlib.Path) -> Picture | None:
    """Reads the first figure of a run, made small."""
    from PIL import Image

    paths = sorted(figures.glob("*.png"))
    if not paths:
        return None
    image = Image.open(paths[0]).convert("RGB")
    image.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=80)
    words = f"Figure: {spoken(paths[0].stem)}. The whole report has its numbers in tables."
    return Picture(words, buffer.getvalue(), "webp")
