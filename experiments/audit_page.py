"""Writes the audit as Markdown, and in short for a terminal."""

import datetime
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence

import jax

from experiments import audit_looks, verdicts
from jaxdl import tables

Row = Mapping
HEAD = """# The audit: where every published number and claim falls among the seeds

Made by `{command}`, {time}; {machine}. The numbers are data in `references.py`, the claims in
`claims.py`; every protocol is that of an experiment, run by the commands below.

A number is taken as one more draw beside those of n seeds: its two-sided p comes from its rank, and
is never below 2 / (n + 1), however far away it lies. The cells of a table (and of tables that come
from the same networks) are judged together under one protocol, their p adjusted by Benjamini and
Hochberg: of the numbers called unlikely at most 5 % are expected to be likely ones. Holm's
correction, which excludes a single false call, needs 40 seeds for every cell of a table however
many of them are extreme; this one needs 40 m / k for k extreme cells of m. R3's tables are ten, one
a data set, activation and optimizer. What a report leaves open is
run in variants. The verdict is under the one protocol, of those that the report's statements allow,
under which most of the table's numbers are likely: the report has the benefit of the doubt, but not
cell by cell.

{meanings}

Percentiles give ties half. `likely under` counts all protocols and readings that were run in full,
those that the report does not state included; few seeds make a number likely under many.
"""


PROTOCOLS = """Every protocol that four cells of a table or more were run under. A number of the
same protocol lies beyond every one of n seeds with a probability of 2 / (n + 1) at most, so as many
are expected; seeds that cells share do not change that."""
LEAST_CELLS = 4
SHOWN = 8  # protocols that a line names


def protocols_table(rows: Sequence[Row]) -> str:
    """Counts by table and protocol how many numbers are likely, and lie beyond every seed."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for each in row["variants"]:
            if each["p"] is not None:
                groups.setdefault((row["table"], each["under"]), []).append(each)
    body = []
    for (name, under), each in groups.items():
        if len(each) >= LEAST_CELLS:
            seeds = sorted({variant["n"] for variant in each})
            beyond = sum(variant["beyond"] for variant in each)
            expected = sum(2 / (variant["n"] + 1) for variant in each)
            likely = sum(variant["verdict"] == verdicts.LIKELY for variant in each)
            n = " to ".join(str(end) for end in dict.fromkeys((seeds[0], seeds[-1])))
            body.append((name, under, n, len(each), likely, beyond, f"{expected:.2g}"))
    columns = (
        "table",
        "protocol",
        "n",
        "cells",
        "likely",
        "beyond every seed",
        "expected, at most",
    )
    return table(columns, body) if body else "None was run in full."


def number(value) -> str:
    """Writes a number, None as a dash."""
    return tables.cell(value if not isinstance(value, int) else float(value))


def line(cells: Sequence) -> str:
    """Makes a row of a table; a bar would end a cell."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def table(columns: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Makes a table."""
    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def page(rows: Sequence[Row], command: str, parts: Sequence[tuple[str, float]]) -> str:
    """Makes the whole page.

    Args:
      rows: of numbers and of claims.
      command: the audit's own.
      parts: (command, seconds) of what was run for it.
    """
    meanings = [f"- **{word}**: {text}" for word, text in verdicts.MEANINGS.items()]
    seconds = sum(each for _, each in parts)
    head = HEAD.format(
        command=command,
        time=f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s",
        machine=machine(),
        meanings="\n".join(meanings),
    )
    numbers = [row for row in rows if row["kind"] == "number"]
    claims = [row for row in rows if row["kind"] == "claim"]
    pieces = [head, "## In short", counts_table(rows)]
    pieces += ["## Claims", claims_head(), claims_table(claims)]
    pieces += ["### Claim by claim", looks_table(claims)]
    for report in dict.fromkeys(row["report"] for row in numbers):
        pieces.append(f"## {report}'s numbers")
        mine = [row for row in numbers if row["report"] == report]
        pieces += [PROTOCOLS, protocols_table(mine)]
        for name in dict.fromkeys(row["table"] for row in mine):
            cells = [row for row in mine if row["table"] == name]
            # Larger tables have their protocols above.
            few = cells if len(cells) < LEAST_CELLS else []
            pieces += [f"### {report}, {name}", f"Protocol: {cells[0]['protocol']}."]
            lines = [likely_line(row) for row in few if row["judged_under"]]
            pieces += [cells_table(cells), *lines]
    ran = [(f"`{words}`", f"{each:.0f}") for words, each in parts]
    pieces += ["## What was run", table(("command", "seconds"), ran)]
    return "\n\n".join(pieces) + "\n"


def machine() -> str:
    """Names the machine and when it was."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return f"{today}, {cores}, Python {platform.python_version()}, jax {jax.__version__}"


def counts_table(rows: Sequence[Row]) -> str:
    """Counts the verdicts by report."""
    body = []
    for kind in ("number", "claim"):
        each = [row for row in rows if row["kind"] == kind]
        for report in dict.fromkeys(row["report"] for row in each):
            words = Counter(row["verdict"] for row in each if row["report"] == report)
            said = ", ".join(f"{count} {word}" for word, count in words.most_common())
            body.append((report, f"{kind}s", sum(words.values()), said))
    return table(("report", "of", "how many", "verdicts"), body)


def claims_head() -> str:
    """Says what has to be seen for a claim to hold."""
    lines = [f"- *{kind}*: {text}" for kind, text in audit_looks.KINDS.items()]
    return "\n".join(
        [
            "P(A > B) is over pairs of the same seed, a tie counting half (or the share of seeds",
            "of which A holds), with its 95 % interval (Wilson's, Tango's with ties); shown is",
            "the comparison that speaks least for the claim. A claim of several comparisons holds",
            "where all do; it is contradicted where one is, at 0.05 by a sign test that Holm's",
            "correction adjusts. A universal claim is contradicted by one seed.",
            "",
            *lines,
        ]
    )


def claims_table(claims: Sequence[Row]) -> str:
    """Makes a row a claim."""
    body = []
    for row in claims:
        body.append(
            (
                row["report"],
                row["sentence"],
                row["must"],
                row["a"],
                row["b"],
                probability(row),
                row["n"] or "-",
                where(row),
                f"**{row['verdict']}**{tally(row)}",
            )
        )
    columns = ("report", "claim", "kind", "A", "B", "P(A > B)", "n", "where", "verdict")
    return table(columns, body)


def tally(row: Row) -> str:
    """Counts a claim's verdicts where its protocols differ in them."""
    words = Counter(each["verdict"] for each in row["protocols"].values())
    if len(words) < 2:
        return ""
    return ": " + ", ".join(f"{word} in {count}" for word, count in words.most_common())


def where(row: Row) -> str:
    """Says of which comparison a claim's figures are."""
    if row["where"] is None:
        return row["done"] or "-"
    return f"{row['where']}; {row['pair']}" + (f" ({row['done']})" if row["done"] else "")


def probability(row: Row) -> str:
    """Writes a probability with its interval."""
    if row["probability"] is None:
        return "-"
    low, high = row["interval"]
    return f"{row['probability']:.2f} [{low:.2f}, {high:.2f}]"


def looks_table(claims: Sequence[Row]) -> str:
    """Makes a row a protocol of a claim: its verdict there, and the comparison that says least."""
    body = []
    for row in claims:
        for protocol, each in row["protocols"].items():
            body.append(
                (
                    row["report"],
                    row["sentence"],
                    protocol,
                    f"{each['comparisons']}",
                    each["pair"],
                    probability(each),
                    each["n"],
                    each["done"] or each["verdict"],
                )
            )
    columns = (
        "report",
        "claim",
        "protocol",
        "comparisons",
        "the least of them",
        "P",
        "n",
        "verdict",
    )
    return table(columns, body)


def cells_table(cells: Sequence[Row]) -> str:
    """Makes a row a published number."""
    body = []
    for row in cells:
        low, median, high = row["middle_90"] or (None, None, None)
        spread = "-" if median is None else f"{number(median)} [{number(low)}, {number(high)}]"
        word = f"**{row['verdict']}**"
        if row["done"]:
            word += f", {row['done']}"
        if row["verdict"] == verdicts.UNDECIDED:
            word += f", {row['settled_by']} seeds would tell"
        likely = f"{row['likely_under']} of {row['judged_under']}" if row["judged_under"] else "-"
        body.append(
            (
                cell_words(row["cell"]),
                f"{row['published']:.6g}",
                row["under"] or "-",
                row["n"] or "-",
                row["survived"] if row["n"] else "-",
                spread,
                number(row["percentile"]),
                number(row["p_adjusted"]),
                word,
                likely,
            )
        )
    columns = (
        "cell",
        "published",
        "judged under",
        "n",
        "survived",
        "median [5 %, 95 %]",
        "percentile",
        "p adjusted",
        "verdict",
        "likely under",
    )
    return table(columns, body)


def likely_line(row: Row) -> str:
    """Says under which protocols a number is likely, with their seeds; of many, the first."""
    likely = [each for each in row["variants"] if each["verdict"] == verdicts.LIKELY]
    named = [f"{each['under']} (n={each['n']})" for each in likely[:SHOWN]]
    more = f"; and {len(likely) - SHOWN} more" if len(likely) > SHOWN else ""
    where = "; ".join(named) or "none of the protocols"
    return f"{cell_words(row['cell'])}: likely under {where}{more}."


def cell_words(cell: Mapping) -> str:
    """Writes the place of a number in its table."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in cell.items()) or "-"


def short(rows: Sequence[Row]) -> str:
    """Makes the text for a terminal: counts, claims, and the numbers that are not likely."""
    claims = [
        (row["report"], row["sentence"], probability(row), row["n"] or "-", row["verdict"])
        for row in rows
        if row["kind"] == "claim"
    ]
    columns = ("report", "claim", "P(A > B) [95 %], least", "n", "verdict")
    numbers = [row for row in rows if row["kind"] == "number"]
    odd = []
    for row in numbers:
        if row["verdict"] not in (verdicts.LIKELY, verdicts.NOT_RUN):
            name = f"{row['table']}; {cell_words(row['cell'])}"
            place = (number(row["percentile"]), number(row["p_adjusted"]), row["n"])
            odd.append((row["report"], name, f"{row['published']:.6g}", *place, row["verdict"]))
    headings = ("report", "number", "published", "percentile", "p adjusted", "n", "verdict")
    counts = []
    for kind in ("number", "claim"):
        each = [row for row in rows if row["kind"] == kind]
        words = Counter(row["verdict"] for row in each)
        said = ", ".join(f"{count} {word}" for word, count in words.most_common())
        counts.append(f"{len(each)} published {kind}s: {said}.")
    return "\n\n".join(
        [
            "\n".join(counts),
            str(tables.Table("Claims", columns, tuple(claims))),
            str(tables.Table("Numbers that are not simply likely", headings, tuple(odd))),
        ]
    )
