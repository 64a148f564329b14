"""Where does every published number, and every claim, of five reports fall among the seeds?

Protocol: every number of the reports is data (`references.published`), every claim too (`claims`).
For each the experiments are run that ask about it, under what the report states and the variants of
what it leaves open; a number is placed among the seeds of each, with a two-sided p that is adjusted
for the cells of its table (Benjamini and Hochberg) and a verdict: likely, lucky, unlucky,
impossible (beyond every one of n seeds), undecided (so too, but n is too small to say it). A claim
is P(A > B), paired by seed, with its interval. What was not trained to its end is not run.
CIFAR-10's 100 and 150 epochs are not trained here: --runs takes finished runs of them.
The result stands in AUDIT.md in the run folder; the same command goes on where it was stopped.

Command: python -m experiments audit
Time: 34 minutes of CPU time, an hour beside other work; not measured on a quiet machine.
Expected: 340 of 385 numbers are likely, 7 impossible, 24 undecided; 8 of 27 claims hold and 4 are
contradicted (AUDIT.md beside this file).
"""

import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments import audit_extras, audit_numbers, audit_page, verdicts
from experiments import audit_looks as looks
from experiments.audit_extras import Frameworks, Given
from experiments.audit_numbers import Judged
from experiments.audit_parts import PARTS, Done, run_part, wanted
from experiments.audit_sources import Source, tables_in_groups
from experiments.claim_looks import Evidence
from experiments.claims import CLAIMS, Claim
from experiments.columns import described
from experiments.frame import Report
from experiments.references import Printed
from jaxdl.running.files import write_atomically

REPORTS = ("R1", "R2", "R3", "R4", "R5")
ROUNDS = {False: 20, True: 5}  # of the times, by whether it is quick
SECONDS, PAGE = "seconds.json", "AUDIT.md"


class Gathered(NamedTuple):
    """All that numbers and claims are judged by."""

    parts: Mapping[str, Done]
    times: Mapping | None
    frameworks: Frameworks | None
    given: Sequence[Given]


def run(options) -> Report:
    """Runs what is missing of the audit, judges, and writes its page.

    Raises:
      ValueError: a report that does not exist, a folder that holds something else, a given run
        that is none of the protocol's.
    """
    only = tuple(options.only.split(",")) if options.only else REPORTS
    for report in only:
        if report not in REPORTS:
            raise ValueError(f"--only must name reports of {', '.join(REPORTS)}, got {report!r}")
    given = [audit_extras.read_given(path) for path in options.runs]
    folder = options.out or pathlib.Path("runs") / ("audit-quick" if options.quick else "audit")
    check_folder(folder)
    # Now, not after half an hour.
    if options.markdown and not options.markdown.parent.is_dir():
        raise ValueError(f"--markdown must be in a folder that exists, got {options.markdown}")
    folder.mkdir(parents=True, exist_ok=True)
    gathered = gather(folder, only, options.quick, given)
    rows = [*number_rows(gathered, only), *claim_rows(gathered, only)]
    words = "python -m experiments audit" + (" --quick" if options.quick else "")
    words += f" --only {options.only}" if options.only else ""
    text = audit_page.page(rows, words, ran(folder, gathered))
    for path in (folder / PAGE, *([options.markdown] if options.markdown else [])):
        write_atomically(path, text.encode())
    last = f"The whole audit: {folder / PAGE}"
    if options.quick:
        last = f"A quick audit shows that it works; so few seeds decide next to nothing.\n{last}"
    return Report("audit", str(folder), rows, f"{audit_page.short(rows)}\n\n{last}")


def check_folder(folder: pathlib.Path):
    """Refuses a folder with something in it that no audit has written.

    Raises:
      ValueError: such a folder.
    """
    own = {*PARTS, SECONDS, PAGE, audit_extras.TIMES}
    others = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    strange = sorted(name for name in others if name not in own and not name.startswith("."))
    if strange:
        raise ValueError(
            "--out must be a new folder or one that an audit has written, got "
            f"{folder}, which holds {strange[0]}"
        )


def gather(
    folder: pathlib.Path, only: Sequence[str], quick: bool, given: Sequence[Given]
) -> Gathered:
    """Runs every part, times what is timed, and trains in the other frameworks."""
    parts = {}
    for name, words in wanted(only, quick).items():
        parts[name] = run_part(name, words, folder)
        remember(folder, name, parts[name].seconds)
    times = others = None
    if {"R1", "R4"} & set(only):
        begin = time.monotonic()
        times = audit_extras.step_seconds(folder, ROUNDS[quick])
        remember(folder, "times", time.monotonic() - begin)
    if "frameworks" in parts:
        begin = time.monotonic()
        others = audit_extras.frameworks(parts["frameworks"])
        remember(folder, "NumPy and PyTorch", time.monotonic() - begin)
    return Gathered(parts, times, others, given)


def remember(folder: pathlib.Path, name: str, seconds: float):
    """Stores how long a part took when it was first finished: reading it again is no run."""
    path = folder / SECONDS
    stored = json.loads(path.read_text()) if path.exists() else {}
    if name not in stored:
        write_atomically(path, json.dumps({**stored, name: seconds}).encode())


def ran(folder: pathlib.Path, gathered: Gathered) -> list[tuple[str, float]]:
    """Lists what was run: the command, and its seconds."""
    stored = json.loads((folder / SECONDS).read_text())
    commands = {name: part.command for name, part in gathered.parts.items()}
    commands |= {"times": "seconds a step in NumPy"}
    commands |= {"NumPy and PyTorch": "R5's MLP in NumPy and PyTorch (frameworks)"}
    known = {
        *gathered.parts,
        *(["times"] if gathered.times is not None else []),
        *(["NumPy and PyTorch"] if gathered.frameworks is not None else []),
    }
    listed = [(commands[name], each) for name, each in stored.items() if name in known]
    return [*listed, *((f"given: {run.experiment}, {run.path}", 0.0) for run in gathered.given)]


# --- numbers ---------------------------------------------------------------------------------


def cells_of(printed: Printed, source: Source, gathered: Gathered) -> audit_numbers.Cells:
    """Gathers the seeds of a table's cells from wherever they come."""
    if source.parts == ("times",):
        return audit_extras.of_times(printed, gathered.times)
    if source.parts == ("frameworks",):
        if gathered.frameworks is None:
            return {(): []}
        part = gathered.parts["frameworks"]
        return audit_extras.of_frameworks(printed, part, gathered.frameworks)
    if source.parts[0] in audit_extras.EPOCHS:
        return audit_extras.of_given(printed, source, gathered.given)
    return audit_numbers.collect(printed, source, gathered.parts)


def number_rows(gathered: Gathered, only: Sequence[str]) -> list[dict]:
    """Makes a row a published number, tables in the order of the reports."""
    rows = []
    for group in tables_in_groups():
        if group[0][0].numbers.report in only:
            rows += rows_of_group(group, gathered)
    return rows


def rows_of_group(group: list[tuple[Printed, Source]], gathered: Gathered) -> list[dict]:
    """Judges tables that come from the same networks together."""
    places, evidence, better, stated, families = [], [], [], [], []
    for printed, source in group:
        cells = cells_of(printed, source, gathered)
        for values, each in cells.items():
            places.append((printed, source, values))
            evidence.append(each)
            better.append(source.better)
            stated.append(source.stated)
            named = dict(zip(printed.numbers.names, values, strict=True))
            families.append(tuple(named[name] for name in source.family))
    judged = audit_numbers.judge(evidence, better, families)
    chosen = audit_numbers.headline(judged, stated)
    return [
        number_row(*place, each, head)
        for place, each, head in zip(places, judged, chosen, strict=True)
    ]


def number_row(
    printed: Printed,
    source: Source,
    values: tuple,
    judged: list[Judged],
    head: Judged | None,
) -> dict[str, Any]:
    """Makes the row of one number; of other machines' times there is no verdict."""
    is_time = source.parts == ("times",)
    variants = [judged_row(each, is_time) for each in judged]
    run = [each for each in variants if each["verdict"] != verdicts.NOT_RUN]
    main = judged_row(head, is_time) if head is not None else NOTHING | unseen(source)
    return {
        "kind": "number",
        "report": printed.numbers.report,
        "table": printed.table,
        "cell": dict(zip(printed.numbers.names, values, strict=True)),
        "published": printed.numbers.values[values],
        "protocol": printed.protocol,
        **main,
        "likely_under": sum(each["verdict"] == verdicts.LIKELY for each in run),
        "judged_under": 0 if is_time else len(run),
        "variants": variants,
    }


NOTHING: dict[str, Any] = {
    "under": None,
    "n": 0,
    "survived": 0,
    "beyond": None,
    "percentile": None,
    "middle_90": None,
    "p": None,
    "p_adjusted": None,
    "cells": 0,
    "settled_by": None,
    "verdict": verdicts.NOT_RUN,
    "done": "",
}


def unseen(source: Source) -> dict[str, str]:
    """Says how many epochs were run of what only given runs can show."""
    epochs = audit_extras.EPOCHS.get(source.parts[0])
    return {} if epochs is None else {"done": f"0 of {epochs} epochs"}


def judged_row(judged: Judged, is_time: bool) -> dict[str, Any]:
    """Writes seeds and what they say as a row has them."""
    evidence = judged.evidence
    known = not evidence.done and not is_time
    return {
        "under": described(evidence.settings),
        "n": evidence.n,
        "survived": evidence.survived,
        "beyond": verdicts.is_beyond(evidence.counts),
        "percentile": evidence.percentile,
        "middle_90": list(evidence.median),
        "p": judged.p if known else None,
        "p_adjusted": judged.p_adjusted if known else None,
        "cells": judged.cells,
        "settled_by": verdicts.seeds_needed(judged.cells) if known else None,
        "verdict": verdicts.OTHER_MACHINE if is_time else judged.verdict,
        "done": evidence.done,
    }


# --- claims ----------------------------------------------------------------------------------


def claim_rows(gathered: Gathered, only: Sequence[str]) -> list[dict]:
    """Makes a row a claim."""
    others = gathered.frameworks
    accuracies, done = ({}, "") if others is None else others
    evidence = Evidence(gathered.parts, gathered.times, accuracies, done)
    return [claim_row(claim, evidence) for claim in CLAIMS if claim.report in only]


def claim_row(claim: Claim, evidence: Evidence) -> dict[str, Any]:
    """Looks at a claim and makes its row."""
    known = {"times"} if evidence.step_seconds is not None else set()
    known |= set(evidence.parts)
    # What is looked at in either of two grids is looked at in the one that was run.
    enough = any if set(claim.parts) == {"xor_full_batch", "xor_one_by_one"} else all
    found = claim.look(evidence) if enough(part in known for part in claim.parts) else []
    words = looks.by_protocol(claim.kind, found)
    least = looks.weakest(claim.kind, found)
    protocols = {}
    for protocol, word in words.items():
        mine = [look for look in found if look.protocol == protocol]
        each = looks.weakest(claim.kind, mine)
        protocols[protocol] = {**look_row(each), "comparisons": len(mine), "verdict": word}
    return {
        "kind": "claim",
        "report": claim.report,
        "sentence": claim.sentence,
        "must": claim.kind,
        "a": claim.a,
        "b": claim.b,
        **look_row(least),
        "verdict": verdicts.together(list(words.values())),
        "protocols": protocols,
        "looks": [look_row(look) for look in found],
    }


def look_row(look: looks.Look | None) -> dict[str, Any]:
    """Writes a comparison as a row has it."""
    if look is None:
        names = ("where", "pair", "probability", "interval", "difference", "difference_interval")
        return {**dict.fromkeys(names), "n": 0, "done": ""}
    return {
        "where": look.protocol,
        "pair": look.pair,
        "probability": look.probability,
        "interval": look.interval,
        "difference": look.difference,
        "difference_interval": look.difference_interval,
        "n": look.n,
        "done": look.done,
    }
