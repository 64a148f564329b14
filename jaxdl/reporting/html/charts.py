"""Draws SVG: curves with bands, and how values are distributed.

Colours are classes of the page's style sheet, so that a chart holds by day and by night; curves
differ by their dashes as well. Everything is drawn 360 wide, a phone's width, and never smaller.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxdl.reporting.html.markup import Markup, element, joined
from jaxdl.reporting.html.scales import Scale, tick_text

STYLES = 8  # ways to draw a curve that are told apart
WIDTH, HEIGHT = 360.0, 232.0
TOP, RIGHT, BOTTOM = 24.0, 10.0, 36.0
LETTER = 6.4  # wide, at most, at the size of the numbers beside an axis
ROW = 48.0  # high, in a chart of distributions
MOST_DOTS = 5  # one above the other; where more would be, a histogram is drawn
DOT = 3.5  # from one to the next above it
BINS = 30


class Curve(NamedTuple):
    """A curve over steps, with its bands where it has any.

    Attributes:
      style: from 0 to `STYLES` - 1.
      quantiles: 5, 25, 50, 75 and 95 %, (5, points), or the values of a bare curve, (1, points);
        nothing is drawn where one is not finite.
    """

    style: int
    steps: Float[np.ndarray, " points"]
    quantiles: Float[np.ndarray, "quantiles points"]


class Row(NamedTuple):
    """The values of one config, one a seed; those of lost lanes are not among them."""

    name: str
    values: Float[np.ndarray, " n"]
    note: str = ""  # beside the name


def lines(
    curves: Sequence[Curve],
    x: Scale,
    y: Scale,
    titles: tuple[str, str],
    words: str,
) -> Markup:
    """Draws curves, the bands behind all of them.

    Args:
      titles: of the x and the y axis.
      words: what the drawing shows, with its numbers, for those who do not see it.
    """
    names = [tick_text(value) for value in y.ticks()]
    left = 8 + LETTER * max(map(len, names))
    plane = _Plane(x, y, left, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(plane, titles)]
    for curve in curves:
        if len(curve.quantiles) == 5:
            q5, q25, _, q75, q95 = curve.quantiles
            parts.append(_band(plane, curve, q5, q95, "wide"))
            parts.append(_band(plane, curve, q25, q75, "narrow"))
    for curve in curves:
        middle = curve.quantiles[len(curve.quantiles) // 2]
        path = _path(plane, curve.steps, middle)
        parts.append(element("path", d=path, class_=f"line s{curve.style}"))
    return _svg(WIDTH, HEIGHT, words, parts)


def rows(groups: Sequence[Row], x: Scale, title: str, words: str) -> Markup:
    """Draws one row a config: its middle 90 and 50 %, median, and seeds (of many their histogram).

    Args:
      title: of the axis.
      words: as of `lines`.
    """
    bottom = TOP + ROW * len(groups)
    plane = _Plane(x, Scale(0, 1), 8, WIDTH - RIGHT, bottom, TOP - 12)
    parts = [*_vertical(plane), element("text", title, x=8, y=bottom + 31, class_="name")]
    for number, group in enumerate(groups):
        parts += _row(plane, group, TOP + ROW * number)
    return _svg(WIDTH, bottom + BOTTOM, words, parts)


def sample(style: int) -> Markup:
    """Draws how a curve of a style looks, for a legend."""
    path = element("path", d="M2,6L34,6", class_=f"line s{style}")
    return element("svg", path, viewBox="0 0 36 12", class_="sample", aria_hidden="true")


class _Plane(NamedTuple):
    """Where axes lie in a drawing."""

    x: Scale
    y: Scale
    left: float
    right: float
    bottom: float
    top: float

    def across(self, values) -> Any:
        return self.left + (self.right - self.left) * self.x.share(values)

    def up(self, values) -> Any:
        return self.bottom - (self.bottom - self.top) * self.y.share(values)


def _svg(width: float, height: float, words: str, parts: Sequence[Markup]) -> Markup:
    box = f"0 0 {width:g} {height:g}"
    return element("svg", joined(parts), viewBox=box, role="img", aria_label=words, class_="chart")


def _grid(plane: _Plane, titles: tuple[str, str]) -> list[Markup]:
    """The lines behind curves, the numbers beside them, and the names of the axes."""
    parts = _vertical(plane)
    for value in plane.y.ticks():
        at = float(plane.up(value))
        level = f"M{plane.left:.1f},{at:.1f}H{plane.right:.1f}"
        parts.append(element("path", d=level, class_="grid"))
        beside = {"x": f"{plane.left - 4:.1f}", "y": f"{at + 4:.1f}"}
        parts.append(element("text", tick_text(value), class_="end", **beside))
    x_title, y_title = titles
    y_title += " (log scale)" if plane.y.log else ""
    middle = f"{(plane.left + plane.right) / 2:.1f}"
    parts.append(element("text", y_title, x=4, y=14, class_="name"))
    parts.append(element("text", x_title, x=middle, y=HEIGHT - 4, class_="name mid"))
    return parts


def _vertical(plane: _Plane) -> list[Markup]:
    """The upright lines, and the numbers below them."""
    parts = []
    for value in plane.x.ticks():
        at = float(plane.across(value))
        upright = f"M{at:.1f},{plane.top:.1f}V{plane.bottom:.1f}"
        parts.append(element("path", d=upright, class_="grid"))
        text = tick_text(value)
        # A number at the very edge is moved in, so that nothing of it is cut off.
        half = LETTER * len(text) / 2
        inside = min(max(at, half), WIDTH - half)
        below = {"x": f"{inside:.1f}", "y": f"{plane.bottom + 14:.1f}"}
        parts.append(element("text", text, class_="mid", **below))
    return parts


def _band(plane: _Plane, curve: Curve, low, high, kind: str) -> Markup:
    """A surface between two curves; where an end is not finite there is none."""
    pieces = []
    for piece in _finite(np.isfinite(low) & np.isfinite(high)):
        there = _points(plane, curve.steps[piece], high[piece])
        back = _points(plane, curve.steps[piece][::-1], low[piece][::-1])
        pieces.append(f"M{'L'.join([*there, *back])}Z")
    return element("path", d="".join(pieces), class_=f"{kind} s{curve.style}")


def _path(plane: _Plane, steps, values) -> str:
    """A line through points, broken where a value is not finite."""
    pieces = []
    for piece in _finite(np.isfinite(values)):
        points = _points(plane, steps[piece], values[piece])
        # A lone point would be a line of no length, which is not drawn.
        pieces.append(f"M{'L'.join(points if len(points) > 1 else points * 2)}")
    return "".join(pieces)


def _finite(there: Bool[np.ndarray, " points"]) -> list[slice]:
    """The runs of places at which there is something."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    return [slice(begin, end) for begin, end in edges.reshape(-1, 2).tolist()]


def _points(plane: _Plane, steps, values) -> list[str]:
    # Held inside the drawing: an axis may be of other curves' values.
    high = np.clip(plane.up(values), plane.top, plane.bottom)
    return [f"{x:.1f},{y:.1f}" for x, y in zip(plane.across(steps), high, strict=True)]


def _row(plane: _Plane, group: Row, top: float) -> list[Markup]:
    """One config: its name, then what its seeds are like below it."""
    cut = _cut(group.name, group.note)
    name = element("text", cut, x=8, y=f"{top + 4:.1f}", class_="over")
    parts = [name]
    if group.note:
        note = {"x": f"{plane.right:.1f}", "y": f"{top + 4:.1f}"}
        parts.append(element("text", group.note, class_="over end", **note))
    if not len(group.values):
        return parts
    middle = top + 19
    parts.append(_seeds(plane, group.values, middle))
    quantiles = np.quantile(group.values, [0.05, 0.25, 0.5, 0.75, 0.95])
    low, first, median, third, high = plane.across(quantiles).tolist()
    whisker = f"M{low:.1f},{middle:.1f}H{high:.1f}"
    parts.append(element("path", d=whisker, class_="whisker"))
    box = f"M{first:.1f},{middle:.1f}H{third:.1f}"
    parts.append(element("path", d=box, class_="box"))
    tick = f"M{median:.1f},{middle - 7:.1f}V{middle + 7:.1f}"
    parts.append(element("path", d=tick, class_="median"))
    return parts


def _cut(name: str, note: str) -> str:
    """A name that fits beside its note; all of it stands in the figure's table."""
    room = int((WIDTH - 16) / LETTER) - len(note) - 1
    return name if len(name) <= room else name[: room - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _seeds(plane: _Plane, values: Float[np.ndarray, " n"], middle: float) -> Markup:
    """Every seed as a dot, or the histogram of many, hanging below the middle line."""
    # Seeds that fall together hang one below the other: as one dot they would hide how many.
    at = np.round(np.sort(plane.across(values)) / DOT).astype(int)
    _, counts = np.unique(at, return_counts=True)
    if counts.max() > MOST_DOTS:
        return _histogram(plane, values, middle + 4)
    dots = []
    for place, count in zip(np.unique(at).tolist(), counts.tolist(), strict=True):
        for depth in range(count):
            dots.append(f"M{place * DOT:.1f},{middle + 8 + DOT * depth:.1f}h0")
    return element("path", d="".join(dots), class_="dots")


def _histogram(plane: _Plane, values: Float[np.ndarray, " n"], top: float) -> Markup:
    """A histogram whose bars hang from a line, the longest of them 17 long."""
    shares = np.clip(plane.x.share(values), 0, 1)
    counts, edges = np.histogram(shares, bins=BINS, range=(0, 1))
    lengths = 17 * counts / counts.max()
    width = plane.right - plane.left
    bars = []
    for number in np.flatnonzero(counts).tolist():
        left = plane.left + width * float(edges[number])
        bar = f"v{lengths[number]:.1f}h{width / BINS:.1f}V{top:.1f}Z"
        bars.append(f"M{left:.1f},{top:.1f}{bar}")
    return element("path", d="".join(bars), class_="histogram")
