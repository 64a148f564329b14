"""Tables for people: text in aligned columns, every number with its n and its spread."""

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jaxdl.reporting.intervals import IQM_LEAST, Interval
from jaxdl.reporting.stats import Summary
from jaxdl.reporting.words import cell, html_table

__all__ = [
    "Table",
    "cell",
    "config_cell",
    "config_cells",
    "iqm_interval_cell",
    "summary_cells",
    "summary_table",
]

LONGEST_UNBROKEN = 30  # characters of an interval that stay on one line


class Table(NamedTuple):
    """Rows of values; `str` makes aligned text of them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple, ...]
    footer: str = ""

    def __str__(self) -> str:
        # The same text wherever it goes: no width of some terminal's.
        lines = _drawn(self.title, self.columns, self._cells())
        if self.footer:
            lines.append(f"  {self.footer}")
        return "\n".join(lines)

    def fitted(self, width: int | None) -> str:
        """Makes text that is no wider than a terminal.

        Where `str` does not fit, headings and long texts break between words; where that is not
        enough, the columns come in several tables, each of which begins with the axes. No number
        and no interval is broken.

        Args:
          width: characters a line; None for the text of `str`.
        """
        text = str(self)
        if width is None or max(map(len, text.splitlines()), default=0) <= width:
            return text
        cells = self._cells()
        texts = list(zip(self.columns, *cells, strict=True))
        least = [_longest(column, _unbroken) for column in texts]
        whole = [_longest(column, str.splitlines) for column in texts]
        lines = _wrapped(self.title, width)
        for places in _groups(least, self._axes(), width):
            widths = _widths(
                [least[each] for each in places], [whole[each] for each in places], width
            )
            lines += _drawn("", *_part(places, self.columns, cells), widths)
        lines += _wrapped(self.footer, width, "  ")
        return "\n".join(lines)

    def _cells(self) -> list[list[str]]:
        return [list(map(cell, row)) for row in self.rows]

    def _axes(self) -> int:
        """How many columns name a row: those before n, else the first one."""
        return self.columns.index("n") if "n" in self.columns[1:] else min(1, len(self.columns))

    def _repr_html_(self) -> str:
        return html_table(self.title, self.columns, self.rows, [self.footer])


def _drawn(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int] | None = None,
) -> list[str]:
    """Draws a table: its lines; every column as wide as its cells, or as `widths` says."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    table = RichTable(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        width = None if widths is None else widths[place]
        table.add_column(column, justify="right", no_wrap=widths is None, width=width)
    for row in rows:
        table.add_row(*row)
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=1000,
        no_color=True,
        force_terminal=False,
        highlight=False,
        markup=False,
    )
    console.print(table)
    return [line.rstrip() for line in buffer.getvalue().rstrip().splitlines()]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    lines = []
    for line in text.splitlines():
        lines += textwrap.wrap(line, width, initial_indent=indent, subsequent_indent=indent)
    return lines


def _longest(texts: Sequence[str], split: Callable) -> int:
    """The longest piece of some texts; 1 where there is none."""
    return max((len(piece) for text in texts for piece in split(text)), default=1)


def _unbroken(text: str) -> list[str]:
    """The pieces of a cell that stay on one line: an interval is one, a sentence's words are
    several."""
    is_short = len(text) <= LONGEST_UNBROKEN and text.startswith("[")
    return [text] if is_short else text.split()


def _taken(widths: Iterable[int]) -> int:
    """The characters that columns take on a line: a space before the table, and around each."""
    return 1 + sum(width + 3 for width in widths)


def _groups(least: Sequence[int], axes: int, width: int) -> list[list[int]]:
    """Shares columns out to tables that fit: the places of each; the first ones stand in all."""
    first = list(range(axes))
    groups = [list(first)]
    for place in range(axes, len(least)):
        wanted = [*groups[-1], place]
        # A table of the axes alone would say nothing: one further column it has in any case.
        if _taken(least[each] for each in wanted) > width and groups[-1] != first:
            wanted = [*first, place]
            groups.append(wanted)
        groups[-1] = wanted
    return groups


def _widths(least: Sequence[int], whole: Sequence[int], width: int) -> list[int]:
    """Gives columns what they need, and the first ones more as long as there is room."""
    room = max(0, width - _taken(least))
    widths = []
    for needed, wanted in zip(least, whole, strict=True):
        more = min(wanted - needed, room)
        widths.append(needed + more)
        room -= more
    return widths


def _part(
    places: Sequence[int], columns: Sequence[str], cells: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    rows = [[row[place] for place in places] for row in cells]
    return [columns[place] for place in places], rows


def iqm_interval_cell(interval: Interval, survived: int) -> Interval | str:
    """Gives the interval of an IQM, or the least number of seeds that has one."""
    return f"n<{IQM_LEAST}" if survived < IQM_LEAST else interval


def config_cell(value):
    """Puts a hyper-parameter's value in words where its cell would read like something else.

    All its digits, infinity, None.

    >>> [config_cell(value) for value in (0.1, 0.123456, float("inf"), None, True)]
    [0.1, '0.123456', 'inf', 'None', True]
    """
    if value is None or value in (math.inf, -math.inf):
        return str(value)
    if isinstance(value, float) and float(f"{value:.4g}") != value:
        return str(value)
    return value


def config_cells(values: Sequence) -> list:
    """Gives the cells of an axis; those of values that differ read differently.

    >>> config_cells([1, 0.1]), config_cells([1, 1.0])
    ([1, 0.1], ['1', '1.0'])
    """
    cells = [config_cell(value) for value in values]
    # A run that was grown may hold 1 and 1.0, which are two configs.
    different = {(type(value), value) for value in values}
    if len(set(map(cell, cells))) < len(different):
        return [str(value) for value in values]
    return cells


def summary_table(title: str, axes: Sequence[str], rows: Sequence[tuple[dict, Summary]]) -> Table:
    """Tabulates a metric by config.

    Args:
      title: the metric's name.
      axes: names of the swept hyper-parameters.
      rows: list of (config, Summary).
    """
    columns = (*axes, "n", "survived", "mean", "sd", "median", "IQM", "95 % interval")
    of_axes = []
    for name in axes:
        values = [config[name] for config, _ in rows]
        of_axes.append(config_cells(values))
    body = []
    for row, (_, summary) in enumerate(rows):
        config_row = [cells[row] for cells in of_axes]
        body.append((*config_row, *summary_cells(summary)))
    return Table(title, columns, tuple(body))


def summary_cells(summary: Summary) -> tuple:
    """Gives n, survived, mean, sd, median, IQM and its interval.

    ``diverged`` stands for the median of a config most of whose lanes have diverged.
    """
    median = "diverged" if math.isinf(summary.median) else summary.median
    return (
        summary.n,
        summary.survived,
        summary.mean,
        summary.sd,
        median,
        summary.iqm,
        iqm_interval_cell(summary.iqm_interval, summary.survived),
    )
