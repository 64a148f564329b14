"""Says what is not as it should be: lanes that diverged, and when; lanes that are missing."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from jaxdl.pages.figures import MOST_CONFIGS, grouped
from jaxdl.pages.measured import Lanes
from jaxdl.planning.config import config_key
from jaxdl.planning.seeds import Seed
from jaxdl.reporting import stats, tables
from jaxdl.reporting.html import Figure, Grid, Line, Note, Panel, Section, Text, charts
from jaxdl.reporting.html.scales import Scale
from jaxdl.running.manifest import config_numbers, planned_lanes
from jaxdl.sampling import STREAMS

Planned = set[tuple[int, Seed]]  # (number of a config, seed)
POINTS = 60  # steps at which the share of diverged lanes is drawn


def diverged(result, every: Sequence[Lanes]) -> Section:
    """Makes the section on the lanes that diverged: of which configs, how many, and when."""
    heading = "Diverged lanes"
    lost = [lanes for lanes in every if result.diverged[lanes.rows].any()]
    total = len(result.lanes)
    count = int(result.diverged.sum())
    if not lost:
        words = f"No lane diverged, of {total}." if total else "There is no lane yet."
        return Section(heading, [Text(words)])
    words = (
        f"{count} of {total} lanes diverged: their loss or weights left all bounds at the step "
        "given, where they were frozen. They are counted in n, and rank worst."
    )
    return Section(heading, [Text(words), _figure(result, lost)])


def _moments(result, lanes: Lanes) -> np.ndarray:
    """The steps at which lanes of a config diverged, in order."""
    at = [result.lanes[row]["diverged_at"] for row in lanes.rows]
    return np.sort(np.array([step for step in at if step is not None], float))


def _figure(result, lost: Sequence[Lanes]) -> Figure:
    """Draws the share of each config's lanes that had diverged by each step."""
    shown = lost[:MOST_CONFIGS]
    last = float(max(result.steps.max(), *(_moments(result, each)[-1] for each in shown)))
    x, y = Scale(0.0, max(last, 1.0)), Scale(0.0, 1.0)
    steps = np.linspace(0.0, x.high, POINTS)
    panels = []
    for title, members in grouped(result, shown):
        lines, words, legend = [], [], []
        for style, lanes, name in members:
            moments = _moments(result, lanes)
            by_then = np.searchsorted(moments, steps, side="right")
            share = by_then / len(lanes.rows)
            lines.append(charts.Curve(style, steps, share[None]))
            legend.append(Line(style, name))
            words.append(f"{lanes.name}: {len(moments)} of {len(lanes.rows)}")
        told = f"Share of lanes that have diverged by each step. At the end: {'; '.join(words)}."
        drawing = charts.lines(lines, x, y, ("step", "share diverged"), told)
        panels.append(Panel(title, drawing, legend))
    caption = "The share of each config's lanes that had diverged by each step."
    if len(shown) < len(lost):
        caption += f" The first {len(shown)} of {len(lost)} configs with diverged lanes."
    return Figure(caption, panels, _table(result, lost))


def _table(result, lost: Sequence[Lanes]) -> Grid:
    rows = []
    for lanes in lost:
        moments = _moments(result, lanes)
        n = len(lanes.rows)
        share = len(moments) / n
        interval = stats.share_interval(len(moments), n)
        when = [float(moments[0]), float(np.median(moments)), float(moments[-1])]
        rows.append((*lanes.values, n, len(moments), share, interval, *when))
    header = ("n", "diverged", "share", "95 % interval", "first at step", "median", "last")
    table = tables.Table("Diverged lanes by config", (*result.axes, *header), tuple(rows))
    return Grid(table, len(result.axes))


def partial(result) -> list[Note]:
    """Says, where lanes are missing, that a result is partial."""
    if result.complete:
        return []
    return [Note(f"Partial: {result.footer}. All figures are of the lanes that are there.")]


def missing(result, manifest: dict | None) -> Section:
    """Makes the section on the lanes that are planned and not there, seed by seed."""
    heading = "Missing lanes"
    planned = len(result.lanes) + result.missing
    if result.complete:
        return Section(heading, [Text(f"None: all {planned} planned lanes are there.")])
    words = (
        f"{result.missing} of {planned} planned lanes are not there: not trained yet, or damaged "
        "on disk. The same command makes up for them."
    )
    blocks: list = [Text(words)]
    every = set() if manifest is None else planned_lanes(manifest)
    # A result of a part of its run knows how many lanes it lacks, but not of what.
    if manifest is not None and len(every) == planned:
        blocks.append(Grid(_missing_table(result, manifest, every), len(result.axes)))
    return Section(heading, blocks)


def _missing_table(result, manifest: dict, every: Planned) -> tables.Table:
    numbers = config_numbers(manifest)
    there = set()
    for lane in result.lanes:
        config = {name: lane[name] for name in result.axes}
        there.add((numbers[config_key(config)], _drawn_from(lane, every)))
    cells = []
    for axis in result.axes:
        cells.append(tables.config_cells([config[axis] for config in manifest["configs"]]))
    rows = []
    for number in range(len(manifest["configs"])):
        planned = {seed for config, seed in every if config == number}
        gone = {seed for seed in planned if (number, seed) not in there}
        if gone:
            values = [column[number] for column in cells]
            rows.append((*values, len(planned), len(gone), _listed(gone)))
    header = (*result.axes, "planned", "missing", "their seeds")
    return tables.Table("Missing lanes by config", header, tuple(rows))


def _listed(seeds: set[Seed]) -> str:
    plain = {seed for seed in seeds if isinstance(seed, int)}
    return ranges(plain) if len(plain) == len(seeds) else f"{len(seeds)} combinations of seeds"


def _drawn_from(lane: dict, every: Planned) -> Seed:
    """The seed of a lane as a manifest holds it: one a stream where its study has `Seeds`."""
    by_stream = any(isinstance(seed, tuple) for _, seed in every)
    return tuple(lane[f"seed_{name}"] for name in STREAMS) if by_stream else lane["seed"]


def ranges(numbers: Iterable[int], most: int = 12) -> str:
    """Writes integers as ranges, the first of them.

    >>> ranges([3, 1, 2, 7])
    '1 to 3, 7'
    """
    parts = []
    by_run = itertools.groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])
    for _, run in by_run:
        members = [number for _, number in run]
        first, last = members[0], members[-1]
        parts.append(str(first) if first == last else f"{first} to {last}")
    more = [f"and {len(parts) - most} further ranges"] if len(parts) > most else []
    return ", ".join([*parts[:most], *more])
