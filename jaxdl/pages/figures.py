"""Draws a metric of a result: curves with bands, distributions, a heat map of two axes."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from jaxdl.pages.measured import Lanes, Measured, Spread, varying_axes, written
from jaxdl.reporting import stats, tables
from jaxdl.reporting.html import Figure, Grid, HeatMap, Line, Panel, charts
from jaxdl.reporting.html.scales import Scale, scale_of

MOST_CONFIGS = 64  # that a figure, or a table of a metric that is not the first, shows
MOST_CURVES = 4  # in a panel: the bands of more hide each other
MOST_NAME = 42  # letters beside the rows of a figure
MOST_POINTS = 50  # at which a curve is drawn
MOST_COLUMNS = 6  # evaluations in the table below curves
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FIVE = ("5 %", "25 %", "median", "75 %", "95 %")


def curves(metric: Measured, points: int = MOST_POINTS) -> Figure:
    """Draws the median of every config with the bands that hold its middle 50 and 90 % of seeds.

    Args:
      points: at how many evaluations, spread evenly, at most.
    """
    shown = metric.lanes[:MOST_CONFIGS]
    drawn = {lanes.name: _curve(metric, lanes, points) for lanes in shown}
    last = max(int(steps[-1]) for steps, _ in drawn.values())
    heights = [quantiles.ravel() for _, quantiles in drawn.values()]
    x, y = Scale(0, max(last, 1)), scale_of(np.concatenate(heights), _may_be_log(metric))
    groups = grouped(metric.result, shown)
    panels = []
    for title, members in groups:
        lines = [charts.Curve(style, *drawn[lanes.name]) for style, lanes, _ in members]
        start = f"Curves of {metric.name}. {title}"
        words = _words(start, metric, [lanes for _, lanes, _ in members])
        drawing = charts.lines(lines, x, y, ("step", metric.name), words)
        legend = [Line(style, name) for style, _, name in members]
        panels.append(Panel(title, drawing, legend))
    caption = (
        f"{metric.name}: the median over seeds, and bands that hold the middle 50 and 90 % of them."
        f"{_only(shown, metric)}{_lost_words(metric)}"
    )
    return Figure(caption, panels, _curve_table(metric, shown))


def _lost_words(metric: Measured) -> str:
    if not metric.diverged.any():
        return ""
    return " A diverged lane counts as the worst; nothing is drawn where that has no height."


def _may_be_log(metric: Measured) -> bool:
    # A share between 0 and 1 that is to be high is read on a linear axis.
    return metric.higher_is_better is not True


def _only(shown: Sequence[Lanes], metric: Measured) -> str:
    if len(shown) == len(metric.lanes):
        return ""
    return f" The first {len(shown)} of {len(metric.lanes)} configs are shown."


def _curve(metric: Measured, lanes: Lanes, most: int):
    """The steps and quantiles of a config's curves, thinned to so many evaluations."""
    result = metric.result
    steps = result.steps if result.steps.ndim == 1 else result.steps[lanes.rows[0]]
    due = np.flatnonzero(steps >= 0)
    kept = due[np.unique(np.linspace(0, len(due) - 1, most).round().astype(int))]
    values = result.metric(metric.name)[lanes.rows][:, kept]
    lost = result.lost(lanes.rows)[:, kept]
    # Where there is no better end, a lane that was lost is drawn as the largest.
    ranks = stats.ranked(values, lost, bool(metric.higher_is_better))
    quantiles = stats.quantile(ranks, QUANTILES)
    return steps[kept], np.where(np.isfinite(quantiles), quantiles, np.nan)


def grouped(result, lanes: Sequence[Lanes]) -> list[tuple[str, list[tuple[int, Lanes, str]]]]:
    """Spreads configs over panels, `MOST_CURVES` to each, by the values of all axes but one.

    Returns:
      (title, [(style, lanes, name in the legend)]) of each panel.
    """
    if len(lanes) <= MOST_CURVES:
        return [("", [(style, each, each.name) for style, each in enumerate(lanes)])]
    axes = varying_axes(result)
    own = _legend_axis(axes, lanes)
    values = list(dict.fromkeys(_text(each, own, result) for each in lanes))
    panels: dict[tuple[str, int], list[tuple[int, Lanes, str]]] = {}
    for each in lanes:
        fixed = [f"{axis}={_text(each, axis, result)}" for axis in axes if axis != own]
        value = _text(each, own, result)
        number = values.index(value)
        entry = (number % charts.STYLES, each, f"{own}={value}")
        panels.setdefault((", ".join(fixed), number // MOST_CURVES), []).append(entry)
    # The parts of one group stand side by side; their legends say which values they show.
    order = list(dict.fromkeys(others for others, _ in panels))
    places = sorted(panels, key=lambda place: (order.index(place[0]), place[1]))
    return [(place[0], panels[place]) for place in places]


def _legend_axis(axes: Sequence[str], lanes: Sequence[Lanes]) -> str:
    """The axis whose values share a panel: that with most of them which curves can tell apart."""
    counts = {axis: len({repr(each.config[axis]) for each in lanes}) for axis in axes}
    fitting = [axis for axis in axes if counts[axis] <= charts.STYLES]
    return fitting[0] if fitting else axes[-1]


def _text(lanes: Lanes, axis: str, result) -> str:
    return tables.cell(lanes.values[result.axes.index(axis)])


def _words(start: str, metric: Measured, lanes: Sequence[Lanes]) -> str:
    """What a drawing shows, with the last median and middle 90 % of each config."""
    parts = []
    for each in lanes[: charts.STYLES]:
        spread = metric.spread(each)
        middle = f"{written(spread.low)} to {written(spread.high)}"
        parts.append(f"{each.name}: {written(spread.median)} ({middle})")
    rest = len(lanes) - len(parts)
    more = f"; and {rest} more in the table" if rest else ""
    return f"{start.strip()} Last median (middle 90 %): {'; '.join(parts)}{more}."


def _curve_table(metric: Measured, shown: Sequence[Lanes]) -> Grid:
    result = metric.result
    header = (*result.axes, "step", "n", "median", "middle 50 %", "middle 90 %")
    rows = []
    for lanes in shown:
        steps, quantiles = _curve(metric, lanes, MOST_COLUMNS)
        for step, values in zip(steps.tolist(), quantiles.T.tolist(), strict=True):
            low, first, median, third, high = values
            cells = (step, len(lanes.rows), median, _range(first, third), _range(low, high))
            rows.append((*lanes.values, *cells))
    title = f"{metric.name} at some of the evaluations; a dash where lanes were lost"
    return Grid(tables.Table(title, header, tuple(rows)), len(result.axes) + 1)


def _range(low: float, high: float) -> str:
    return f"{tables.cell(low)} to {tables.cell(high)}"


def distributions(metric: Measured) -> Figure:
    """Draws how the last values of each config are spread over its seeds."""
    shown = metric.lanes[:MOST_CONFIGS]
    rows, every = [], []
    for lanes in shown:
        values, lost = metric.final[lanes.rows], metric.diverged[lanes.rows]
        alive = values[~stats.missing(values, lost)].astype(float)
        gone = len(values) - len(alive)
        note = f"n={len(values)}" + (f", {gone} lost" if gone else "")
        rows.append(charts.Row(lanes.name, alive, note))
        every.append(alive)
    rows, named = _named(metric, rows, shown)
    scale = scale_of(np.concatenate(every), _may_be_log(metric))
    title = f"{metric.name} at the last evaluation{' (log scale)' if scale.log else ''}"
    words = _words(f"Distributions of {metric.name}.", metric, shown)
    drawing = charts.rows(rows, scale, title, words)
    caption = (
        f"{metric.name} at the last evaluation, over seeds: thin line the middle 90 %, thick line "
        "the middle 50 %, upright line the median, below them every seed or the histogram of "
        f"many. Of the lanes that survived.{named}{_only(shown, metric)}"
    )
    return Figure(caption, [Panel("", drawing)], spread_table(metric))


def _named(metric: Measured, rows: list[charts.Row], shown: Sequence[Lanes]):
    """The rows, named by values alone where whole names are too long; and how they are named."""
    if max(len(row.name) for row in rows) <= MOST_NAME:
        return rows, ""
    axes = varying_axes(metric.result)
    short = []
    for row, lanes in zip(rows, shown, strict=True):
        values = [_text(lanes, axis, metric.result) for axis in axes]
        short.append(row._replace(name=", ".join(values)))
    return short, f" Rows are named by {', '.join(axes)}."


def spread_table(metric: Measured) -> Grid:
    """Tabulates the quantiles of a metric's last value; a diverged lane ranks worst."""
    axes = metric.result.axes
    shown = metric.lanes[:MOST_CONFIGS]
    rows = []
    for lanes in shown:
        ranks = metric.ranks(lanes)
        alive = int(np.isfinite(ranks).sum())
        quantiles = [_quantile(value) for value in stats.quantile(ranks, QUANTILES).tolist()]
        rows.append((*lanes.values, len(lanes.rows), alive, *quantiles))
    title = f"{metric.name} at the last evaluation: quantiles over seeds"
    if metric.higher_is_better is not None:
        title += ", a diverged lane ranked worst"
    header = (*axes, "n", "survived", *FIVE)
    footer = _only(shown, metric).strip()
    return Grid(tables.Table(title, header, tuple(rows), footer), len(axes))


def _quantile(value: float) -> float | str:
    return "diverged" if math.isinf(value) else value


def heat_maps(metric: Measured, most: int = 8) -> list[HeatMap]:
    """Draws the medians over two axes, a map for each combination of the others.

    None where fewer than two axes vary, or more maps would be needed than are looked at.
    """
    result = metric.result
    axes = varying_axes(result)
    if len(axes) < 2:
        return []
    across, down, others = axes[0], axes[1], axes[2:]
    groups: dict[str, list[Lanes]] = {}
    for lanes in metric.lanes:
        title = ", ".join(f"{axis}={_text(lanes, axis, result)}" for axis in others)
        groups.setdefault(title, []).append(lanes)
    medians = {lanes.name: metric.spread(lanes) for lanes in metric.lanes}
    if len(groups) > most or len(medians) < len(metric.lanes):
        return []
    scale = _plain_scale([spread.median for spread in medians.values()], _may_be_log(metric))
    return [
        _heat_map(metric, title, members, (down, across), medians, scale)
        for title, members in groups.items()
    ]


def _plain_scale(values: Sequence[float], log: bool) -> Scale:
    """The scale of colours: from the smallest to the largest, both of them on it."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low == high:
        return Scale(low - 1, high + 1)
    return Scale(low, high, scale_of(np.array(finite), log).log)


def ends(metric: Measured) -> str:
    """Says between which medians the configs lie, each with the 95 % interval of a median."""
    described = []
    for lanes in metric.lanes:
        spread = metric.spread(lanes)
        if not math.isnan(spread.median):
            described.append((spread.median, lanes.name, spread))
    if not described:
        return f"{metric.name}: no lane has a value."
    lowest = min(described, key=lambda each: each[0])
    highest = max(described, key=lambda each: each[0])
    if len(described) == 1:
        return f"Median {metric.name} at the last evaluation: {_median(lowest)}."
    if lowest[0] == highest[0]:
        return (
            f"Median {metric.name} at the last evaluation: {written(lowest[0])} in all "
            f"{len(described)} configs (n={_seeds(spread for _, _, spread in described)})."
        )
    return (
        f"Median {metric.name} at the last evaluation: from {_median(lowest)} to "
        f"{_median(highest)}, the lowest and the highest of {len(described)} configs; 95 % "
        "intervals of one config each, not corrected for that choice."
    )


def _seeds(spreads: Iterable[Spread]) -> str:
    """How many seeds configs have: a number, or from which to which."""
    counts = sorted({spread.n for spread in spreads})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _median(described: tuple[float, str, Spread]) -> str:
    median, name, spread = described
    low, high = spread.interval
    interval = f"[{written(low)}, {written(high)}]"
    if math.isnan(low):
        interval = "(no interval)" if spread.n > 5 else "(too few seeds for an interval)"
    return f"{written(median)} {interval} ({name}, n={spread.n})"


def _heat_map(
    metric: Measured,
    title: str,
    members: Sequence[Lanes],
    axes: tuple[str, str],
    medians: dict[str, Spread],
    scale: Scale,
) -> HeatMap:
    result = metric.result
    down, across = axes
    rows = list(dict.fromkeys(_text(lanes, down, result) for lanes in members))
    columns = list(dict.fromkeys(_text(lanes, across, result) for lanes in members))
    cells = {}
    for lanes in members:
        row = rows.index(_text(lanes, down, result))
        column = columns.index(_text(lanes, across, result))
        spread = medians[lanes.name]
        lost = spread.n - spread.survived
        words = written(spread.median) + (f" ({lost} of {spread.n} lost)" if lost else "")
        share = float(scale.share(np.array(spread.median)))
        cells[row, column] = (share, words)
    seeds = _seeds(medians.values())
    where = f" at {title}" if title else ""
    how = ", colours on a log scale" if scale.log else ""
    caption = f"Median {metric.name} at the last evaluation{where}; n={seeds} seeds a cell{how}"
    return HeatMap(caption, axes, rows, columns, cells)
