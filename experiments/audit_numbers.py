"""Places every published number among the seeds, under its protocol and the variants of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import verdicts
from experiments.audit_parts import Done
from experiments.audit_sources import DATA, Source
from experiments.columns import described, standing
from experiments.references import Numbers, Printed


class Evidence(NamedTuple):
    """Seeds of one cell under one protocol.

    Attributes:
      settings: what the report leaves open, or a variant, by name; "reading" is one of them.
      median: with the ends of the middle 90 % on either side.
      done: how far it was trained, if not in full.
    """

    settings: dict[str, Any]
    n: int
    survived: int
    counts: dict[str, int]
    percentile: float
    median: tuple[float, float, float]
    done: str = ""


Cells = dict[tuple, list[Evidence]]  # the values of a cell -> its seeds, by protocol


def collect(printed: Printed, source: Source, done: Mapping[str, Done]) -> Cells:
    """Gathers the seeds of every cell of a printed table, of as many protocols as were run."""
    cells: Cells = {values: [] for values in printed.numbers.values}
    for name in source.parts:
        if name in done:
            part = done[name]
            for study, result in part.run.results.items():
                if source.studies and study not in source.studies:
                    continue
                rows = part.run.rows_of(study)
                for config, row in zip(result.configs, rows, strict=True):
                    place = cell_of(printed.numbers, {**part.run.request.defaults, **config})
                    if place is None:
                        continue
                    for each in evidence_of(part, study, config, row, printed, source):
                        add(cells[place], each)
    return cells


def cell_of(numbers: Numbers, settings: Mapping) -> tuple | None:
    """Finds the cell of a table that a config is run for; None where it is for none."""
    values = tuple(settings.get(name) for name in numbers.names)
    return values if numbers(dict(settings)) is not None else None


def add(known: list[Evidence], new: Evidence):
    """Adds seeds under a protocol; of two runs of one protocol the one with more seeds stays."""
    for place, each in enumerate(known):
        if each.settings == new.settings:
            known[place] = max(each, new, key=lambda evidence: evidence.n)
            return
    known.append(new)


def evidence_of(
    part: Done, study: str, config: dict, row: dict, printed: Printed, source: Source
) -> Iterable[Evidence]:
    """Gives the seeds of one row, under every reading that it has."""
    result = part.run.results[study]
    kept = result.steps if result.steps.ndim == 1 else result.steps[result.rows(config)[0]]
    trained = int(np.max(kept))
    full = part.of(study, config) if source.steps is None else source.steps
    done = "" if trained >= full else f"{trained} of {full} steps"
    settings = {name: row[name] for name in result.axes if is_open(name, printed.numbers)}
    # What may be swept but is not has its default: so runs of two commands stand side by side.
    for name in source.stated:
        if name in part.run.request.defaults and name not in settings:
            settings[name] = part.run.request.defaults[name]
    for reading, path in source.readings.items():
        entry, n = entry_at(row, path)
        if entry is None:
            continue
        named = {**settings, "reading": reading} if len(source.readings) > 1 else settings
        placed = printed.numbers({**part.run.request.defaults, **config})
        if not math.isclose(entry["published"], float(placed or 0)):
            raise ValueError(f"{printed.table} must be {placed}, got {entry['published']} in a row")
        survived = row["survived"] if n == row["n"] else n
        yield of_entry(entry, named, n, survived, done)


def is_open(name: str, numbers: Numbers) -> bool:
    """Tells whether an axis is one that a table's cells leave open."""
    return name not in (*numbers.names, *numbers.only, *DATA)


def entry_at(row: dict, path: str) -> tuple[dict | None, int]:
    """Finds an entry of a row with a published number, and how many seeds it is of."""
    entry, n = row, row["n"]
    for name in path.split("."):
        if entry is None or name not in entry:
            return None, 0
        entry = entry[name]
        n = entry.get("n", n) if entry else 0
    return (entry, n) if entry and entry.get("published") is not None else (None, 0)


def of_entry(entry: dict, settings: dict, n: int, survived: int, done: str) -> Evidence:
    """Makes evidence of a column's entry."""
    low, median, high = entry["middle_90"]
    return Evidence(
        settings,
        n,
        survived,
        entry["published_counts"],
        entry["published_percentile"],
        (low, median, high),
        done,
    )


def of_values(values: np.ndarray, published: float, settings: dict, done: str = "") -> Evidence:
    """Makes evidence of values, one a seed, none of which is lost."""
    entry = standing(np.asarray(values, float), published)
    return of_entry(entry, settings, len(values), len(values), done)


class Judged(NamedTuple):
    """Seeds of a cell under one protocol, with what they say about its number."""

    evidence: Evidence
    p: float
    p_adjusted: float
    verdict: str
    cells: int  # that were judged together


def judge(
    cells: Sequence[list[Evidence]],
    better: Sequence[bool | None],
    families: Sequence[tuple] | None = None,
) -> list[list[Judged]]:
    """Judges the cells of tables that belong together, protocol by protocol.

    Under each protocol all cells of a family that were run in full are adjusted together.

    Args:
      better: of each cell, see `Source`.
      families: which one each cell is of; all of one if not given.
    """
    places: dict[tuple, list[tuple[int, int]]] = {}
    for cell, each in enumerate(cells):
        family_of_cell = () if families is None else families[cell]
        for number, evidence in enumerate(each):
            key = (family_of_cell, described(evidence.settings))
            places.setdefault(key, []).append((cell, number))
    judged: list[list[Judged | None]] = [[None] * len(each) for each in cells]
    for family in places.values():
        members = [cells[cell][number] for cell, number in family]
        p_values = [math.nan if each.done else verdicts.p_value(each.counts) for each in members]
        adjusted = verdicts.adjusted(p_values)
        count = sum(not each.done for each in members)
        figures = zip(family, members, p_values, adjusted, strict=True)
        for (cell, number), seeds, p, p_adjusted in figures:
            word = verdicts.verdict(seeds.counts, p_adjusted, better[cell])
            judged[cell][number] = Judged(seeds, p, p_adjusted, word, count)
    return [[each for each in of_cell if each is not None] for of_cell in judged]


def headline(
    cells: Sequence[list[Judged]], stated: Sequence[Mapping[str, Any]]
) -> list[Judged | None]:
    """Chooses the protocol that each cell is finally judged under.

    It is one for all cells: of the protocols that agree with what the report states, the one under
    which most of the numbers are likely, the first of equals. So a report has the benefit of the
    doubt, but not cell by cell.

    Returns:
      None for a cell of which nothing was run.
    """
    scores = scores_of(cells, stated)
    order = sorted(scores, key=lambda key: scores[key], reverse=True)  # of equals the first stays
    rank = {key: place for place, key in enumerate(order)}

    def place(each: Judged) -> tuple[int, float]:
        return rank[protocol_of(each.evidence)], -score(each)[1]

    chosen: list[Judged | None] = []
    for of_cell, known in zip(cells, stated, strict=True):
        fitting = [each for each in of_cell if agrees(each, known)]
        chosen.append(min(fitting, key=place, default=None))
    return chosen


def scores_of(
    cells: Sequence[list[Judged]], stated: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[int, float]]:
    """Counts the numbers that are likely under each protocol that agrees with what is stated."""
    scores: dict[str, tuple[int, float]] = {}
    for of_cell, known in zip(cells, stated, strict=True):
        best: dict[str, tuple[int, float]] = {}
        for each in of_cell:
            if agrees(each, known):
                key = protocol_of(each.evidence)
                # A number that may be read in two ways counts once, as it is likelier.
                best[key] = max(best.get(key, (0, 0.0)), score(each))
        for key, (hits, p) in best.items():
            before = scores.get(key, (0, 0.0))
            scores[key] = (before[0] + hits, before[1] + p)
    return scores


def score(judged: Judged) -> tuple[int, float]:
    """Gives how likely a number is: 1 where it is at all, then its p."""
    p = 0.0 if math.isnan(judged.p) else judged.p
    return int(judged.verdict == verdicts.LIKELY), p


def agrees(judged: Judged, stated: Mapping[str, Any]) -> bool:
    """Tells whether a protocol is one that the report's statements allow."""
    settings = judged.evidence.settings
    return all(name not in settings or settings[name] == value for name, value in stated.items())


def protocol_of(evidence: Evidence) -> str:
    """Names a protocol, however its numbers are read."""
    named = dict(evidence.settings)
    named.pop("reading", None)
    return described(named)
