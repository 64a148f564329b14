"""Tables for people: text in aligned columns, every number with its n and its spread."""

import io
import math
from typing import Any, NamedTuple

from jaxdl.reporting.intervals import IQM_LEAST
from jaxdl.reporting.stats import Summary


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

        shown = RichTable(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for column in self.columns:
            shown.add_column(column, justify="right", no_wrap=True)
        for row in self.rows:
            shown.add_row(*(cell(value) for value in row))
        buffer = io.StringIO()
        Console(
            file=buffer,
            width=1000,
            no_color=True,
            force_terminal=False,
            highlight=False,
            markup=False,
        ).print(shown)
        lines = [line.rstrip() for line in buffer.getvalue().rstrip().splitlines()]
        return "\n".join([*lines, f"  {self.footer}"] if self.footer else lines)


def iqm_interval_cell(interval: tuple[float, float], survived: int) -> tuple | str:
    """The interval of an IQM, or the least number of seeds that has one."""
    return f"n<{IQM_LEAST}" if survived < IQM_LEAST else interval


def cell(value: Any) -> str:
    """A value as a person reads it: four significant digits, a dash for what is missing.

    ``never`` stands for infinity, "n too small" for an interval without ends.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float) and math.isinf(value):
        return "never" if value > 0 else "diverged"
    if isinstance(value, tuple) and value and all(cell(part) == "-" for part in value):
        return "n too small"  # for an interval
    if isinstance(value, tuple):
        return "[" + ", ".join(cell(part) for part in value) + "]"
    return (
        f"{value + 0.0:.4g}" if isinstance(value, float) else str(value)
    )  # + 0.0: no negative zero


def config_cell(value):
    """A hyper-parameter's value, in words where its cell would read like something else: all its
    digits, infinity, None.

    >>> [config_cell(value) for value in (0.1, 0.123456, float("inf"), None, True)]
    [0.1, '0.123456', 'inf', 'None', True]
    """
    if (
        value is None
        or (isinstance(value, float) and float(f"{value:.4g}") != value)
        or value in (math.inf, -math.inf)
    ):
        return str(value)
    return value


def summary_table(metric: str, axes, rows) -> Table:
    """A metric by config.

    Args:
      metric: its name, for the title.
      axes: names of the swept hyper-parameters.
      rows: list of (config, Summary).
    """
    columns = (*axes, "n", "survived", "mean", "sd", "median", "IQM", "95 % interval")
    body = tuple(
        (*(config_cell(config[name]) for name in axes), *summary_cells(summary))
        for config, summary in rows
    )
    return Table(metric, columns, body)


def summary_cells(summary: Summary) -> tuple:
    """n, survived, mean, sd, median, IQM and its interval; ``diverged`` for the median of most
    lanes."""
    return (
        summary.n,
        summary.survived,
        summary.mean,
        summary.sd,
        "diverged" if math.isinf(summary.median) else summary.median,
        summary.iqm,
        iqm_interval_cell(summary.iqm_interval, summary.survived),
    )
