"""Curves of many configs in panels: every config in sight, and said which it is."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxdl.reporting import looks, plots

if TYPE_CHECKING:  # matplotlib takes half a second: it is imported where a figure is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BANDS = 12  # curves of a panel whose bands can still be told apart
COLUMNS = 3  # panels side by side
DECADES = 1000  # a panel whose values are so many times apart is logarithmic
TITLE = 54  # characters of a title's line: it stands beside a legend
ENTRY = 34  # characters of a legend's line


class Curves(NamedTuple):
    """The curves of one config's lanes."""

    config: dict
    steps: Int[np.ndarray, " evaluations"]
    values: Float[np.ndarray, "lanes evaluations"]
    diverged: Bool[np.ndarray, "lanes evaluations"]  # by then

    @property
    def lost(self) -> int:
        """How many of the lanes have diverged by the end."""
        return int(self.diverged[:, -1].sum()) if self.diverged.shape[1] else 0

    @property
    def label(self) -> str:
        """Says which config it is, and of how many lanes."""
        lost = f", {self.lost} diverged" if self.lost else ""
        words = looks.label(self.config, [*self.config]) or "all lanes"
        return f"{words} (n={len(self.values)}{lost})"


def draw(
    curves: Sequence[Curves],
    axes: Sequence[str],
    name: str,
    higher_is_better: bool,
    given: looks.Roles,
    ax: Axes | None = None,
    part: str = "",
) -> Figure:
    """Draws every config's median curve, with bands that hold 50 and 90 % of its lanes.

    Args:
      curves: of each config.
      axes: the swept names.
      name: of the metric.
      given: the axes that the user wants as colour, line style, panel.
      ax: where to draw; a figure of its own where None.
      part: what a partial result says.

    Raises:
      ValueError: roles that do not fit.
    """
    configs = [each.config for each in curves]
    roles = looks.place(configs, axes, given, ax is None)
    scale = looks.scale(configs, roles.hue)
    lines = _lines(configs, roles, scale)
    columns = looks.levels(configs, roles.col) or {(): ""}
    figure, panels = _panels(len(columns), ax)
    crowded = max([*_counts(configs, roles.col), 0]) > MOST_BANDS
    for each in curves:
        panel = panels[list(columns).index(looks.level(each.config, roles.col))]
        plots.band(
            panel,
            each.steps,
            each.values,
            each.label,
            scale.colours[looks.level(each.config, roles.hue)],
            lines[looks.level(each.config, (*roles.hue, *roles.style))],
            higher_is_better,
            each.diverged,
            not crowded,
        )
    words = _title(curves, axes, name, crowded, part)
    _finish(panels, name, words, list(columns.values()))
    if len(columns) > 1:
        figure.suptitle(words, fontsize=plots.FONT + 1)
    _explain(figure, panels, curves, roles, scale, lines, ax)
    return figure


def _counts(configs: Sequence[dict], names: Sequence[str]) -> list[int]:
    """How many configs each panel has."""
    counts: dict[looks.Level, int] = {}
    for config in configs:
        key = looks.level(config, names)
        counts[key] = counts.get(key, 0) + 1
    return list(counts.values())


def _panels(count: int, ax: Axes | None) -> tuple[Any, list]:
    if ax is not None:
        return ax.figure, [ax]
    across = min(count, COLUMNS)
    down = math.ceil(count / across)
    size = (8.8, 5.0) if count == 1 else (4.6, 4.0)
    figure, grid = plots.figure(down, across, *size, sharex=True, sharey=True)
    panels = list(grid.ravel())
    panels[0].locator_params(axis="x", integer=True)  # steps; all panels share it
    for spare in panels[count:]:
        spare.set_axis_off()
    # A panel above a place that is left free has to name its own steps.
    for panel in panels[max(0, count - across) : count]:
        panel.tick_params(labelbottom=True)
    return figure, panels[:count]


def _lines(configs: Sequence[dict], roles: looks.Roles, scale: looks.Scale) -> dict:
    """The line style of every level of colour and style together."""
    styles = list(looks.levels(configs, roles.style))
    shades = list(scale.colours)
    lines = {}
    for config in configs:
        number = styles.index(looks.level(config, roles.style))
        if not roles.style and scale.bar is None:
            # Nothing else is a line style: it goes with the colours, for those who cannot tell
            # these apart.
            number = shades.index(looks.level(config, roles.hue)) % len(looks.LINES)
        lines[looks.level(config, (*roles.hue, *roles.style))] = looks.DASHES[number]
    return lines


def _title(
    curves: Sequence[Curves],
    axes: Sequence[str],
    name: str,
    crowded: bool,
    part: str,
) -> str:
    """What is drawn, of how many lanes, at which values that all configs share."""
    configs = [each.config for each in curves]
    shared = [axis for axis in axes if len(looks.levels(configs, [axis])) == 1]
    where = f" at {_plain(looks.label(configs[0], shared))}" if shared and len(configs) > 1 else ""
    what = "median of seeds" if crowded else "median, middle 50 % and 90 % of seeds"
    counts = sorted({len(each.values) for each in curves}) or [0]
    many = f"n={counts[0]}" if len(counts) == 1 else f"n={counts[0]} to {counts[-1]}"
    lost, lanes = sum(each.lost for each in curves), sum(len(each.values) for each in curves)
    fate = f", {lost} of {lanes} lanes diverged" if lost else ""
    lines = [*textwrap.wrap(f"{name}{where}: {what}", TITLE), f"{many}{fate}"]
    return "\n".join([*lines, part] if part else lines)


def _finish(panels: list, name: str, words: str, titles: list[str]):
    """Titles, labels and limits, which are those of what is drawn."""
    for number, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        is_first = number % COLUMNS == 0
        heading = words if len(panels) == 1 else _written(title)
        is_last = number + COLUMNS >= len(panels)
        plots.style(panel, heading, "step" if is_last else "", name if is_first else "")
        panel.margins(x=0.01, y=0.04)
    drawn = [panel.dataLim for panel in panels if np.isfinite(panel.dataLim.get_points()).all()]
    low = min((box.y0 for box in drawn), default=0.0)
    high = max((box.y1 for box in drawn), default=0.0)
    if low > 0 and high / low > DECADES:
        for panel in panels:
            panel.set_yscale("log")


def _explain(
    figure,
    panels: list,
    curves: Sequence[Curves],
    roles: looks.Roles,
    scale: looks.Scale,
    lines: dict,
    ax: Axes | None,
):
    """Says which config is which, with a legend, a colour bar or both."""
    handles = []
    if scale.bar is not None:
        _add_bar(figure, panels, roles, scale)
    elif any(scale.labels):
        handles += _colour_entries(curves, roles, scale, lines)
    if roles.style:
        configs = [each.config for each in curves]
        styles = looks.levels(configs, roles.style).values()
        for words, line in zip(styles, looks.DASHES, strict=False):
            handles.append(_entry(words, "black", line))
    if not handles:
        return
    size = plots.FONT - 2
    if ax is None:
        figure.legend(handles=handles, loc="outside right center", fontsize=size)
    else:
        ax.legend(handles=handles, fontsize=size)


def _colour_entries(
    curves: Sequence[Curves], roles: looks.Roles, scale: looks.Scale, lines: dict
) -> list:
    """The entries of a legend that say what colours mean."""
    alone = not roles.style and not roles.col
    own = {looks.level(each.config, roles.hue): each.label for each in curves}
    entries = []
    for key, shade in scale.colours.items():
        # One curve a colour says all of itself; else a colour is a part of what it is.
        words = own[key] if alone else scale.labels[key]
        entries.append(_entry(words, shade, "-" if roles.style else lines[key]))
    return entries


def _entry(words: str, colour: Any, line: Any):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linestyle=line, linewidth=1.8, label=_written(words))


def _written(words: str) -> str:
    """A label in lines that leave room for the figure."""
    return textwrap.fill(_plain(words), ENTRY)


def _plain(words: str) -> str:
    """Values as they are: between two dollars matplotlib would see a formula."""
    return words.replace("$", r"\$")


def _add_bar(figure, panels: list, roles: looks.Roles, scale: looks.Scale):
    bar = figure.colorbar(scale.bar, ax=panels)
    bar.set_label(", ".join(roles.hue), fontsize=plots.FONT)
    if scale.ticks is not None:
        places, texts = scale.ticks
        bar.set_ticks(places, labels=[_written(text) for text in texts])
