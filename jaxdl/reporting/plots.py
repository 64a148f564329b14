"""Figures for people: colour-blind safe, every curve a distribution, n in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.reporting.stats import quantile, ranked

if TYPE_CHECKING:  # matplotlib takes half a second: it is imported where a figure is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8C6D31",
)  # after Okabe and Ito
LINES = ("-", "--", "-.", ":")
FONT = 12


def colours(count: int) -> list:
    """`count` colours that remain apart for the colour-blind: a fixed palette, or viridis beyond
    its length."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](place) for place in np.linspace(0.0, 0.95, count)]


def figure(
    rows: int = 1, columns: int = 1, width: float = 6.0, height: float = 4.2, **options
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes, shape (rows, columns), with no global state."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=110)
    return made, np.atleast_2d(made.subplots(rows, columns, squeeze=False, **options))


def style(axes: Axes, title: str, x: str, y: str):
    """Title and labels in a size that is readable at half size."""
    axes.set_title(title, fontsize=FONT)
    axes.set_xlabel(x, fontsize=FONT)
    axes.set_ylabel(y, fontsize=FONT)
    axes.tick_params(labelsize=FONT - 1)
    axes.spines[["top", "right"]].set_visible(False)


def band(
    axes: Axes,
    steps,
    curves,
    label: str,
    colour,
    line: str = "-",
    higher_is_better: bool = True,
    diverged=None,
):
    """A median curve with bands that hold the middle 50 and 90 % of the lanes.

    Args:
      steps: (evaluations,).
      curves: (lanes, evaluations).
      diverged: (lanes, evaluations) bool, counted as worst; none where not given.
    """
    lost = np.zeros(np.shape(curves), bool) if diverged is None else diverged
    values = ranked(curves, lost, higher_is_better)
    q5, q25, median, q75, q95 = (
        np.where(np.isfinite(q), q, np.nan) for q in quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    )
    axes.fill_between(steps, q5, q95, color=colour, alpha=0.12, linewidth=0)
    axes.fill_between(steps, q25, q75, color=colour, alpha=0.28, linewidth=0)
    axes.plot(steps, median, color=colour, linestyle=line, linewidth=1.8, label=label)


def distributions(axes: Axes, groups: Sequence, labels: Sequence[str], palette: Sequence):
    """One box a group: the middle half with the median, whiskers from 5 to 95 %, and every value
    beyond as a dot."""
    boxes = axes.boxplot(
        [np.asarray(group)[np.isfinite(group)] for group in groups],
        whis=(5, 95),
        widths=0.6,
        patch_artist=True,
        flierprops={"markersize": 2.5, "alpha": 0.4},
        medianprops={"color": "black"},
    )
    for box, colour in zip(boxes["boxes"], palette, strict=True):
        box.set_facecolor(colour)
        box.set_alpha(0.6)
    axes.set_xticks(range(1, len(labels) + 1), labels)


def regions(axes: Axes, predict, x, targets, margin: float = 0.4, resolution: int = 150):
    """The classes that a model assigns to the plane, under the points it was trained or tested on.

    Args:
      predict: function from points (2, batch) to class numbers (batch,).
      x: (2, batch).
      targets: class numbers (batch,).
    """
    low, high = np.min(x, axis=1) - margin, np.max(x, axis=1) + margin
    first, second = np.meshgrid(*(np.linspace(low[i], high[i], resolution) for i in range(2)))
    classes = np.asarray(
        predict(np.stack([first.ravel(), second.ravel()]).astype(np.float32))
    ).reshape(first.shape)
    levels = np.arange(-0.5, int(max(classes.max(), np.max(targets))) + 1)
    palette = colours(len(levels) - 1) if len(levels) > 2 else PALETTE[:2]
    axes.contourf(first, second, classes, levels=levels, colors=palette, alpha=0.22)
    for number, colour in enumerate(palette):
        chosen = np.asarray(targets) == number
        axes.plot(
            x[0][chosen],
            x[1][chosen],
            "os^D"[number % 4],
            color=colour,
            markersize=3,
            markeredgewidth=0,
        )
