"""Writes a page as HTML: one file that needs no network and no script."""

import base64
import importlib.resources
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from jaxdl.reporting.html import charts, contents
from jaxdl.reporting.html.markup import Markup, element, escaped, joined
from jaxdl.reporting.tables import cell

# A browser loads nothing and runs nothing of a page, whatever stands in it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SHADES = 7  # of a heat map, from low to high


class _Place(NamedTuple):
    """Where on a page a block stands: its heading's level, and the numbers that are left."""

    level: int
    numbers: Iterator[int]

    def name(self, kind: str) -> str:
        """A name that no other element of the page has."""
        return f"{kind}-{next(self.numbers)}"


def render(page: contents.Page) -> str:
    """Gives the HTML of a page."""
    place = _Place(2, count(1))
    sections = [(place.name("part"), section) for section in page.sections]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", page.title),
        element("style", Markup(_style())),
    )
    skip = element("a", "Skip to the results", href="#results", class_="skip")
    title = element("header", element("h1", page.title), *_blocks(page.lead, place))
    main = [_section(section, place, name) for name, section in sections]
    body = element(
        "body",
        skip,
        title,
        _contents(sections),
        element("main", *main, id="results", tabindex="-1"),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _style() -> str:
    file = importlib.resources.files("jaxdl.reporting.html") / "style.css"
    return file.read_text(encoding="utf-8")


def _contents(sections: Sequence[tuple[str, contents.Section]]) -> Markup:
    items = []
    for name, section in sections:
        items.append(element("li", element("a", section.heading, href=f"#{name}")))
    if len(items) < 2:
        return Markup("")
    return element("nav", element("ul", *items), aria_label="Contents")


def _section(section: contents.Section, place: _Place, name: str = "") -> Markup:
    """A heading and what stands under it, one level down."""
    heading = element(f"h{min(place.level, 6)}", section.heading)
    blocks = _blocks(section.blocks, place._replace(level=place.level + 1))
    if section.folded:
        summary = element("summary", heading)
        return element("details", summary, *blocks, class_="part", id=name or None)
    return element("section", heading, *blocks, id=name or None)


def _blocks(blocks: Sequence[Any], place: _Place) -> list[Markup]:
    return [_WRITERS[type(block)](block, place) for block in blocks]


def _text(block: contents.Text, place: _Place) -> Markup:
    return element("p", joined(block.text.splitlines(), Markup("<br>")))


def _note(block: contents.Note, place: _Place) -> Markup:
    return element("p", joined(block.text.splitlines(), Markup("<br>")), class_="note")


def _code(block: contents.Code, place: _Place) -> Markup:
    return element("pre", element("code", block.text))


def _terms(block: contents.Terms, place: _Place) -> Markup:
    pairs = []
    for name, value in block.pairs:
        pairs.append(element("div", element("dt", name), element("dd", value)))
    return element("dl", *pairs)


def _links(block: contents.Links, place: _Place) -> Markup:
    items = [element("li", element("a", words, href=to)) for words, to in block.pairs]
    return element("ul", *items)


def _grid(block: contents.Grid, place: _Place) -> Markup:
    """A table in a box of its own, which scrolls where the table is wider than the page."""
    table = block.table
    caption = place.name("table")
    names = [element("th", name, scope="col") for name in table.columns]
    body = []
    for row in table.rows:
        cells = [_cell(value, number < block.headers) for number, value in enumerate(row)]
        body.append(element("tr", *cells))
    words = element("span", joined(table.title.splitlines(), Markup("<br>")))
    parts = [element("thead", element("tr", *names)), element("tbody", *body)]
    written = element("table", element("caption", words, id=caption), *parts)
    footer = [element("p", table.footer, class_="foot")] if table.footer else []
    return joined([_scrolling(written, caption), *footer])


def _cell(value: Any, heads: bool) -> Markup:
    if isinstance(value, Markup):
        return element("td", value)
    return element("th", cell(value), scope="row") if heads else element("td", cell(value))


def _scrolling(content: Markup, caption: str) -> Markup:
    # What scrolls must be reached by the keyboard, and say what it is.
    return element(
        "div", content, class_="scroll", role="group", tabindex="0", aria_labelledby=caption
    )


def _figure(block: contents.Figure, place: _Place) -> Markup:
    """Panels, their legends, and their numbers folded away below."""
    name = place.name("figure")
    # Panels that have one legend share it.
    shared = len({tuple(panel.lines) for panel in block.panels}) == 1
    panels = []
    for panel in block.panels:
        title = [element("p", panel.title, class_="panel")] if panel.title else []
        legend = [] if shared else _legend(panel.lines)
        panels.append(element("div", *title, panel.drawing, *legend))
    parts = [element("figcaption", block.caption, id=name)]
    parts.append(element("div", *panels, class_="panels"))
    if shared:
        parts += _legend(block.panels[0].lines)
    summary = element("summary", "The numbers of this figure")
    parts.append(element("details", summary, _grid(block.numbers, place)))
    return element("figure", *parts, aria_labelledby=name)


def _legend(lines: Sequence[contents.Line]) -> list[Markup]:
    entries = []
    for line in lines:
        entries.append(element("li", charts.sample(line.style), escaped(line.name)))
    return [element("ul", *entries, class_="legend")] if entries else []


def _heat_map(block: contents.HeatMap, place: _Place) -> Markup:
    """A table whose cells are coloured: its numbers are there to be read as they are."""
    caption = place.name("table")
    corner = element("th", f"{block.corner[0]} \\ {block.corner[1]}", scope="col")
    names = [element("th", name, scope="col") for name in block.columns]
    body = []
    for i, row in enumerate(block.rows):
        cells = [_shaded(block.cells.get((i, j))) for j in range(len(block.columns))]
        body.append(element("tr", element("th", row, scope="row"), *cells))
    table = element(
        "table",
        element("caption", element("span", block.caption), id=caption),
        element("thead", element("tr", corner, *names)),
        element("tbody", *body),
        class_="heat",
    )
    return _scrolling(table, caption)


def _shaded(entry: tuple[float, str] | None) -> Markup:
    if entry is None:
        return element("td", "-")
    share, words = entry
    # Neither NaN nor what lies beyond the scale has a colour of it.
    if not 0 <= share <= 1:
        return element("td", words)
    shade = min(int(share * SHADES), SHADES - 1)
    return element("td", words, class_=f"h{shade}")


def _picture(block: contents.Picture, place: _Place) -> Markup:
    data = base64.b64encode(block.content).decode()
    image = element("img", src=f"data:image/{block.kind};base64,{data}", alt=block.words)
    caption = [element("figcaption", block.caption)] if block.caption else []
    return element("figure", image, *caption, class_="picture")


_WRITERS: dict[type, Callable[[Any, _Place], Markup]] = {
    contents.Text: _text,
    contents.Note: _note,
    contents.Code: _code,
    contents.Terms: _terms,
    contents.Links: _links,
    contents.Grid: _grid,
    contents.Figure: _figure,
    contents.HeatMap: _heat_map,
    contents.Picture: _picture,
    contents.Section: _section,
}
