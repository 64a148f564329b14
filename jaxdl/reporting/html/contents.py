"""What a page is made of: a title, and sections of text, tables and figures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxdl.reporting.html.markup import Markup
from jaxdl.reporting.tables import Table


class Text(NamedTuple):
    """A paragraph; a line break in it stays one."""

    text: str


class Note(NamedTuple):
    """A paragraph that must not be overlooked."""

    text: str


class Code(NamedTuple):
    """What is typed: a command, or text whose columns are aligned."""

    text: str


class Terms(NamedTuple):
    """Names and what they are."""

    pairs: Sequence[tuple[str, Any]]


class Links(NamedTuple):
    """Links: (words, address)."""

    pairs: Sequence[tuple[str, str]]


class Grid(NamedTuple):
    """A table; its first `headers` columns say what a row is of."""

    table: Table
    headers: int = 0


class Line(NamedTuple):
    """An entry of a legend: how a curve is drawn, and its name."""

    style: int
    name: str


class Panel(NamedTuple):
    """A drawing with its title and legend."""

    title: str
    drawing: Markup
    lines: Sequence[Line] = ()


class Figure(NamedTuple):
    """Panels under one caption.

    Attributes:
      numbers: what is drawn, for those who do not see it; folded away below the figure.
    """

    caption: str
    panels: Sequence[Panel]
    numbers: Grid


class HeatMap(NamedTuple):
    """A table whose cells have a colour.

    Attributes:
      caption: what the cells are.
      corner: the names of rows and columns.
      cells: (row, column) -> (share of the colour scale, words); a dash where there is none.
    """

    caption: str
    corner: tuple[str, str]
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[int, int], tuple[float, str]]


class Picture(NamedTuple):
    """A picture that was drawn elsewhere.

    Attributes:
      words: what it shows, for those who do not see it.
      content: of its file.
      kind: ``"png"`` or ``"webp"``.
      caption: below it.
    """

    words: str
    content: bytes
    kind: str
    caption: str = ""


class Section(NamedTuple):
    """Blocks under a heading, shown or `folded` away."""

    heading: str
    blocks: Sequence[Any]
    folded: bool = False


class Page(NamedTuple):
    """A page: its title, what stands before its sections, and these."""

    title: str
    lead: Sequence[Any]
    sections: Sequence[Section]
