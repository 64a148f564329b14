"""How configs look in a figure: which axes are colour, line style and panel, and what those mean.

No two configs look the same: every axis with several values is in one of the three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.reporting.plots import LINES, PALETTE, colours

DASHES: tuple[Any, ...] = (
    *LINES,
    (0, (8, 2)),
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (1, 3)),
    (0, (3, 1, 3, 1, 1, 1)),
)
MOST_PANELS = 24
MOST_FREE_PANELS = 6  # of an axis that nobody asked panels for
MOST_LEGEND = 16  # colours that a legend lists; a bar shows more
MOST_TICKS = 10
DARKEST, LIGHTEST = 0.0, 0.9  # of viridis: its yellow is hard to see on white
WIDE = 30  # values so many times apart get a logarithmic colour bar

Level = tuple  # the values of some axes, each with its type: 1 and 1.0 are two


class Roles(NamedTuple):
    """The axes that stand for each part of a look."""

    hue: tuple[str, ...]
    style: tuple[str, ...]
    col: tuple[str, ...]


class Scale(NamedTuple):
    """The colours of levels, and what says which is which."""

    colours: dict[Level, Any]
    labels: dict[Level, str]
    bar: Any = None  # a matplotlib mappable where there is a colour bar, and no legend
    ticks: tuple[list[float], list[str]] | None = None  # of the bar; matplotlib's own where None


def level(config: dict, names: Sequence[str]) -> Level:
    """Gives a config's values of some axes, as a key."""
    return tuple((type(config[name]).__name__, config[name]) for name in names)


def label(config: dict, names: Sequence[str]) -> str:
    """Writes a config's values of some axes.

    >>> label({"width": 3, "rate": 0.1}, ["rate", "width"])
    'rate=0.1, width=3'
    """
    return ", ".join(f"{name}={config[name]}" for name in names)


def levels(configs: Sequence[dict], names: Sequence[str]) -> dict[Level, str]:
    """Lists the levels of some axes in the order of the configs, with their labels."""
    return {level(config, names): label(config, names) for config in configs}


def place(
    configs: Sequence[dict],
    axes: Sequence[str],
    given: Roles,
    may_have_panels: bool,
) -> Roles:
    """Finds a role for every axis: the given ones, then colour, line style, panels.

    The axis with the most values is coloured, the next one that has few gets line styles, the
    next one panels; colours stand for combinations of what is left.

    Args:
      given: the roles that the user asks for, empty where nothing is said.
      may_have_panels: whether there may be several.

    Raises:
      ValueError: more values than there are line styles, or than fit as panels.
    """
    taken = {*given.hue, *given.style, *given.col}
    counts = {name: len(levels(configs, [name])) for name in axes}
    free = [name for name in axes if name not in taken and counts[name] > 1]
    hue, style, col = given
    if not hue and free:
        hue = (max(free, key=counts.__getitem__),)
        free.remove(hue[0])
    few = [name for name in free if counts[name] <= len(LINES)]
    if not style and few:
        style = (few[0],)
        free.remove(few[0])
    few = [name for name in free if counts[name] <= MOST_FREE_PANELS]
    if not col and few and may_have_panels:
        col = (few[0],)
        free.remove(few[0])
    roles = Roles((*hue, *free), style, col)
    _check("style", configs, roles.style, len(DASHES))
    _check("col", configs, roles.col, MOST_PANELS)
    return roles


def _check(role: str, configs: Sequence[dict], names: tuple[str, ...], most: int):
    count = len(levels(configs, names))
    if count > most:
        given = f"{' x '.join(names)} with {count}"
        raise ValueError(f"{role} must be of at most {most} values, got {given}: colour it (hue=)")


def scale(configs: Sequence[dict], names: tuple[str, ...]) -> Scale:
    """Chooses the colours of the axes that are coloured.

    Up to eight levels have a palette; more of them are shades from dark to light, numbers by their
    size.
    """
    labels = levels(configs, names)
    numbers = [key[0][1] for key in labels] if len(names) == 1 else []
    if len(labels) > len(PALETTE) and numbers and all(map(_is_number, numbers)):
        return _by_size(labels, numbers)
    if len(labels) <= MOST_LEGEND:
        shades = colours(len(labels))
        return Scale(dict(zip(labels, shades, strict=True)), labels)
    return _by_order(labels)


def _is_number(value) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _shades():
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["viridis"](np.linspace(DARKEST, LIGHTEST, 256)))


def _by_size(labels: dict[Level, str], numbers: list) -> Scale:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    low, high = min(numbers), max(numbers)
    norm = LogNorm if low > 0 and high / low > WIDE else Normalize
    bar = ScalarMappable(norm(low, high), _shades())
    shades = bar.to_rgba(np.asarray(numbers, float))
    return Scale(dict(zip(labels, shades, strict=True)), labels, bar)


def _by_order(labels: dict[Level, str]) -> Scale:
    """Colours in the order of the levels, some of which the bar names."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    last = len(labels) - 1
    bar = ScalarMappable(Normalize(0, last), _shades())
    places = np.arange(len(labels))
    shades = dict(zip(labels, bar.to_rgba(places), strict=True))
    named = np.unique(np.linspace(0, last, MOST_TICKS).round()).astype(int)
    texts = list(labels.values())
    ticks = ([float(number) for number in named], [texts[number] for number in named])
    return Scale(shades, labels, bar, ticks)
