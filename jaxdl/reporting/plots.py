"""Figures for people: colour-blind safe, every curve a distribution, n in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Real

from jaxdl.reporting.stats import quantile, ranked

__all__ = [
    "LINES",
    "PALETTE",
    "band",
    "colours",
    "distributions",
    "figure",
    "regions",
    "style",
]

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
    """Gives colours that the colour-blind tell apart: a palette, or viridis beyond its length."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](place) for place in np.linspace(0.0, 0.95, count)]


def figure(
    rows: int = 1,
    columns: int = 1,
    width: float = 6.0,
    height: float = 4.2,
    **options,
) -> tuple[Figure, np.ndarray]:
    """Makes a figure, which a notebook shows, and its axes, shape (rows, columns)."""
    from jaxdl.reporting.pictures import Picture

    # No pyplot: it keeps figures, and may open a window.
    size = (width * columns, height * rows)
    drawing = Picture(figsize=size, layout="constrained", dpi=110)
    axes = drawing.subplots(rows, columns, squeeze=False, **options)
    return drawing, np.atleast_2d(axes)


def style(
    axes: Axes,
    title: str,
    x: str,
    y: str,
):
    """Sets title and labels in a size that is readable at half size."""
    axes.set_title(title, fontsize=FONT)
    axes.set_xlabel(x, fontsize=FONT)
    axes.set_ylabel(y, fontsize=FONT)
    axes.tick_params(labelsize=FONT - 1)
    axes.spines[["top", "right"]].set_visible(False)


def band(
    axes: Axes,
    steps: Real[np.ndarray, " evaluations"] | Sequence,
    curves: Real[np.ndarray, "lanes evaluations"] | Sequence,
    label: str,
    colour,
    line: str = "-",
    higher_is_better: bool = True,
    diverged: Bool[np.ndarray, "lanes evaluations"] | None = None,
    bands: bool = True,
):
    """Draws a median curve with bands that hold the middle 50 and 90 % of the lanes.

    Args:
      diverged: counted as worst; none where not given.
      bands: whether they are drawn.
    """
    lost = np.zeros(np.shape(curves), bool) if diverged is None else diverged
    values = ranked(curves, lost, higher_is_better)
    quantiles = quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    # An edge that diverged lanes reach is left out: there is no height to draw it at.
    finite = np.where(np.isfinite(quantiles), quantiles, np.nan)
    q5, q25, median, q75, q95 = finite
    if bands:
        axes.fill_between(steps, q5, q95, color=colour, alpha=0.12, linewidth=0)
        axes.fill_between(steps, q25, q75, color=colour, alpha=0.28, linewidth=0)
    axes.plot(
        steps,
        median,
        color=colour,
        linestyle=line,
        linewidth=1.8,
        label=label,
        # A single point has no line to be seen by.
        marker="o" if np.isfinite(median).sum() == 1 else None,
    )


def distributions(
    axes: Axes,
    groups: Sequence,
    labels: Sequence[str],
    palette: Sequence,
):
    """Draws one box a group: the middle half with the median, whiskers from 5 to 95 %.

    Every value beyond is a dot; values that are not finite are left out.

    Args:
      groups: of values.
    """
    finite = [np.asarray(group)[np.isfinite(group)] for group in groups]
    boxes = axes.boxplot(
        finite,
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


def regions(
    axes: Axes,
    predict: Callable,
    x: Real[np.ndarray, "2 batch"],
    targets: Real[np.ndarray, " batch"],
    margin: float = 0.4,
    resolution: int = 150,
):
    """Draws the classes that a model assigns to the plane, under points that it has seen or not.

    Args:
      predict: function from points (2, batch) to class numbers (batch,).
      x: the points.
      targets: their class numbers.
      margin: around the points, in their unit.
      resolution: of the grid, along each side.
    """
    low = np.min(x, axis=1) - margin
    high = np.max(x, axis=1) + margin
    sides = [np.linspace(low[side], high[side], resolution) for side in range(2)]
    first, second = np.meshgrid(*sides)
    grid = np.stack([first.ravel(), second.ravel()]).astype(np.float32)
    classes = np.asarray(predict(grid)).reshape(first.shape)
    largest = int(max(classes.max(), np.max(targets)))
    # The colour of a class lies between two levels, half a number below and above it.
    levels = np.arange(-0.5, largest + 1)
    palette = colours(len(levels) - 1) if len(levels) > 2 else PALETTE[:2]
    axes.contourf(first, second, classes, levels=levels, colors=palette, alpha=0.22)
    for number, colour in enumerate(palette):
        mine = np.asarray(targets) == number
        axes.plot(
            x[0][mine],
            x[1][mine],
            "os^D"[number % 4],
            color=colour,
            markersize=3,
            markeredgewidth=0,
        )
