"""Makes text and figures for people from the record of a benchmark."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.harness import TWIN, Benchmark, Column, Figures, entry_of, quartiles, ratios
from jaxdl import plots
from jaxdl.reporting.tables import Table

WIDTH = 100  # characters of a line of text
TITLE = 62  # characters of a line of a figure's title
MARKS = "os^DvP*X"


def spread(figures: Mapping[str, float] | None, scale: float = 1.0) -> str:
    """Writes a median with its quartiles; a dash for None.

    >>> spread({"median": 2.0, "lower": 1.0, "upper": 4.0}, scale=10)
    '20 [10, 40]'
    """
    if figures is None:
        return "-"
    names = ("median", "lower", "upper")
    median, lower, upper = (number(scale * figures[name]) for name in names)
    return f"{median} [{lower}, {upper}]"


def number(value: float) -> str:
    """Writes three significant digits, large numbers in full.

    >>> number(0.01234), number(1234.5)
    ('0.0123', '1234')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def times(entry: Figures, scale: float = 1.0) -> dict[str, float]:
    """Gives the quartiles of the time of a unit, in seconds times the scale."""
    values = scale / np.asarray(entry["rates"])
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(median), "lower": float(lower), "upper": float(upper)}


def time_table(benchmark: Benchmark, record: Figures) -> Table:
    """Tabulates the times of all contestants in all cases."""
    unit, scale = benchmark.scale
    axes = list(shown(record["cases"][0])) if record["cases"] else []
    rows = []
    for case in record["cases"]:
        start = [case["case"][name] for name in axes]
        for entry in case["contestants"]:
            cells = row_cells(benchmark.columns, case, entry, scale)
            rows.append((*start, entry["name"], *cells))
    firsts = list(dict.fromkeys(case["reference"] for case in record["cases"]))
    first = firsts[0] if len(firsts) == 1 and len(firsts[0]) <= 12 else "the first"
    headings = (*(name.replace("_", " ") for name in axes), "contestant")
    further = [column.heading for column in benchmark.columns]
    columns = (*headings, f"{unit} a {benchmark.unit}", f"{first}'s rate to it", *further)
    title = f"{record['rounds']} rounds in turns: median [quartiles]."
    return Table(title, (*columns, "set-up, s"), tuple(rows))


def row_cells(columns: Sequence[Column], case: Figures, entry: Figures, scale: float) -> list:
    """Makes the cells of a contestant; one that was not timed says why."""
    if entry["status"] != "timed":
        return [entry["status"], *["-"] * (len(columns) + 2)]
    further = [column.value(case, entry) for column in columns]
    ratio = "-" if entry["ratio"] is None else spread(entry["ratio"])
    return [spread(times(entry, scale)), ratio, *further, f"{entry['setup_seconds']:.1f}"]


def titled(table: Table) -> str:
    """Writes a table below its title, which the table itself would break where it ends."""
    return f"{wrapped(table.title)}\n{table._replace(title='')}"


def shown(case: Figures) -> Figures:
    """Gives a case's values but for lists, which say no more than who takes part."""
    return {name: value for name, value in case["case"].items() if not isinstance(value, list)}


def text(benchmark: Benchmark, record: Figures) -> str:
    """Makes all that is printed of a record: tables, who is left out and why, on what, when."""
    make = benchmark.tables or (lambda record: [time_table(benchmark, record)])
    parts = [wrapped(benchmark.question), *map(titled, make(record))]
    reasons = left_out(record)
    if reasons:
        parts.append("\n".join(wrapped(f"  left out: {reason}") for reason in reasons))
    parts.append("\n".join(wrapped(line) for line in (headline(benchmark, record), where(record))))
    return "\n\n".join(parts)


def left_out(record: Figures) -> list[str]:
    """Lists once who did not take part, and why."""
    reasons: dict[str, list[str]] = {}
    for case in record["cases"]:
        for entry in case["contestants"]:
            if entry["status"] != "timed":
                line = f"{entry['name']}: {entry['status']} ({entry['reason']})"
                reasons.setdefault(line, []).append(case_words(case))
    everywhere = len(record["cases"])
    return [
        line if len(cases) == everywhere else f"{line} at {'; '.join(cases)}"
        for line, cases in reasons.items()
    ]


def case_words(case: Figures) -> str:
    """Writes a case in words."""
    pairs = shown(case).items()
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in pairs)


def where(record: Figures) -> str:
    """Says on what machine a record was made, when, and how busy that was."""
    device, machine = record["device"], record["machine"]
    loads = [record["load"][when] for when in ("before", "after")]
    busy = "unknown"
    if None not in loads:
        busy = f"{loads[0][0]:.1f} before, {loads[1][0]:.1f} after"
        # The run itself takes all cores, so what counts is who else was there before it.
        others = record["load"].get("others")
        others = loads[0][0] if others is None else others
        if others > machine["cores"] / 2:
            busy += " (A BUSY MACHINE: made again on a quiet one, ratios will differ)"
    return (
        f"  {device['count']} x {device['kind']} ({machine['processor']}, {machine['cores']} "
        f"cores), load {busy}; {record['date']}, {record['seconds']:.0f} s, "
        f"jax {record['versions']['jax']}"
    )


def headline(benchmark: Benchmark, record: Figures) -> str:
    """Says in one line how the reference compares, and what the twin says about noise."""
    chosen = headline_case(benchmark, record)
    if chosen is None:
        return f"{record['benchmark']}: nobody to compare with"
    case, entry = chosen
    line = f"{case['reference']} / {entry['name']} {spread(entry['ratio'])}"
    twin = entry_of(case, TWIN)
    original = None if twin is None else entry_of(case, twin["twin_of"])
    if twin is not None and original is not None:
        noise = spread(quartiles(ratios(case, original["name"], TWIN)))
        line += f", twin of {original['name']} {noise}"
    at = case_words(case)
    return f"{record['benchmark']}: {line}" + (f" at {at}" if at else "")


def headline_case(benchmark: Benchmark, record: Figures) -> tuple[Figures, Figures] | None:
    """Chooses the case and the contestant that stand for all; None where nobody was timed."""
    wanted, rival = benchmark.headline or ({}, None)
    # The last case that fits: under --quick the wanted one may not be there.
    fitting = [case for case in record["cases"] if {**case["case"], **wanted} == case["case"]]
    for case in [*reversed(fitting), *reversed(record["cases"])]:
        timed = [entry for entry in case["contestants"] if entry.get("ratio")]
        others = [e for e in timed if e["name"] not in (case["reference"], TWIN)]
        # Those of other projects first: they are what a reader compares with.
        others.sort(key=lambda entry: (entry["name"] != rival, entry["ours"]))
        if others:
            return case, others[0]
    return None


def wrapped(lines: str, width: int = WIDTH - 2) -> str:
    """Breaks lines that are too long."""
    broken = [textwrap.fill(line, width, subsequent_indent="  ") for line in lines.splitlines()]
    return "\n".join(broken)


# --- figures ---------------------------------------------------------------------------------


def time_figure(benchmark: Benchmark, record: Figures):
    """Draws the time of a unit of every contestant, a row a case, with quartiles."""
    cases = record["cases"]
    names = list(dict.fromkeys(e["name"] for case in cases for e in case["contestants"]))
    height = 1.6 + 0.26 * len(cases) * len(names)
    figure, axes = plots.figure(1, 1, width=9.0, height=max(3.4, height))
    axis = axes[0, 0]
    for place, (name, colour) in enumerate(zip(names, plots.colours(len(names)), strict=True)):
        offset = 0.7 * ((place + 0.5) / len(names) - 0.5)
        draw_contestant(axis, cases, name, offset, benchmark.scale[1], colour, MARKS[place % 8])
    axis.set_yticks(range(len(cases)), [case_words(case) or "all" for case in cases])
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.grid(axis="x", alpha=0.3)
    title = title_of(benchmark, record)
    plots.style(axis, title, f"{benchmark.scale[0]} a {benchmark.unit} (log scale)", "")
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=plots.FONT - 3, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def draw_contestant(axis, cases, name: str, offset: float, scale: float, colour, mark: str) -> None:
    """Draws one contestant's medians and quartiles, in the cases that it was timed in."""
    places, spreads = [], []
    for row, case in enumerate(cases):
        entry = entry_of(case, name)
        if entry is not None:
            places.append(row + offset)
            spreads.append(times(entry, scale))
    medians = np.array([each["median"] for each in spreads])
    lower = medians - [each["lower"] for each in spreads]
    upper = np.array([each["upper"] for each in spreads]) - medians
    if places:
        whiskers = [lower, upper]
        axis.errorbar(medians, places, xerr=whiskers, fmt=mark, color=colour, label=name)


def title_of(benchmark: Benchmark, record: Figures) -> str:
    """States what was found: the headline's ratio in words, with n and the spread."""
    chosen = headline_case(benchmark, record)
    if chosen is None:
        return textwrap.fill(benchmark.question, TITLE)
    case, entry = chosen
    at = case_words(case)
    faster = f"{case['reference']} does {spread(entry['ratio'])} times as many"
    sentence = f"{faster} {benchmark.unit}s a second as {entry['name']}"
    sentence += f" ({at})" if at else ""
    of = f"n={record['rounds']} rounds in turns: medians and quartiles"
    return textwrap.fill(sentence, TITLE) + "\n" + of
