"""Values as people read them, and tables of them as HTML for a notebook."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

LEFT = "text-align: left; white-space: pre-line"


def cell(value: Any) -> str:
    """Writes a value as a person reads it: four significant digits, a dash for what is missing.

    ``never`` stands for infinity, "n too small" for an interval without ends.
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return _number_cell(value)
    if isinstance(value, tuple):
        return _interval_cell(value)
    return str(value)


def _number_cell(value: float) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never" if value > 0 else "diverged"
    return f"{value + 0.0:.4g}"  # + 0.0: no negative zero


def _interval_cell(ends: tuple) -> str:
    cells = [cell(end) for end in ends]
    if cells and all(each == "-" for each in cells):
        return "n too small"
    return "[" + ", ".join(cells) + "]"


def html_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence],
    notes: Iterable[str] = (),
) -> str:
    """Writes a table as HTML; titles, names and values are anybody's text, and escaped.

    Args:
      notes: lines below it.

    >>> html_table("a < b", ["x"], [[0.5]]).splitlines()[2:]
    ['<tr><th>x</th></tr>', '<tr><td>0.5</td></tr>', '</table>']
    """
    lines = [
        "<table>",
        f'<caption style="caption-side: top; {LEFT}">{html.escape(title)}</caption>',
    ]
    lines.append(_row("th", columns))
    lines += [_row("td", map(cell, row)) for row in rows]
    lines.append("</table>")
    lines += [f'<div style="{LEFT}">{html.escape(note)}</div>' for note in notes if note]
    return "\n".join(lines)


def _row(tag: str, cells: Iterable[str]) -> str:
    written = [f"<{tag}>{html.escape(each)}</{tag}>" for each in cells]
    return f"<tr>{''.join(written)}</tr>"
