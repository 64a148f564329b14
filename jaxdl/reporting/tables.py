"""Tables for people: text in aligned columns, every number with its n and its spread."""

import io
import math
from collections.abc import Sequence
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


class Table(NamedTuple):
    """Rows of values; `str` makes aligned text of them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple, ...]
    footer: str = ""

    def __str__(self) -> str:
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for column in self.columns:
            table.add_column(column, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*map(cell, row))
        # The same text wherever it goes: no colours, and no width of some terminal's.
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
        lines = [line.rstrip() for line in buffer.getvalue().rstrip().splitlines()]
        if self.footer:
            lines.append(f"  {self.footer}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(self.title, self.columns, self.rows, [self.footer])


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
