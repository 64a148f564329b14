"""Chosen configs: with each, the runner-up and how surely it is the worse one."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxdl.reporting.stats import Comparison, Summary, preference
from jaxdl.reporting.tables import Table, config_cells

Described = tuple[dict, Summary]  # a config and what its lanes are like
COLUMNS = (
    "n",
    "survived",
    "median",
    "runner-up",
    "its median",
    "difference",
    "95 % interval",
    "told apart",
)


class Choice(NamedTuple):
    """The best config of a group, and the one next to it."""

    config: dict
    summary: Summary
    runner_up: dict | None  # None where no other has a lane that survived
    runner_up_summary: Summary | None
    comparison: Comparison | None  # of the best with the runner-up; None without common seeds
    ties: tuple[dict, ...]  # the others that are exactly as good; the first declared is chosen
    others: int  # configs that it was chosen from, beside itself


class Choices(list):
    """Chosen configs: a list of dicts; printed, a table of how clear each choice is.

    Attributes:
      choices: a `Choice` for each of them.
    """

    def __init__(
        self,
        choices: Iterable[Choice],
        name: str,
        axes: Sequence[str],
        over: Sequence[str],
        higher_is_better: bool,
        footer: str = "",
        independent: bool = True,
    ):
        self.choices = tuple(choices)
        self.name = name
        self.axes = tuple(axes)
        self.over = tuple(over)
        self.higher_is_better = higher_is_better
        self.footer = footer
        self.independent = independent  # whether lanes are, which intervals are for
        super().__init__(choice.config for choice in self.choices)

    def table(self) -> Table:
        """Tabulates the choices, one a row."""
        of_axes = [
            config_cells([choice.config[name] for choice in self.choices]) for name in self.axes
        ]
        rows = []
        for number, choice in enumerate(self.choices):
            values = [cells[number] for cells in of_axes]
            rows.append((*values, *self._cells(choice)))
        notes = [self.footer] if self.footer else []
        most = max((choice.others for choice in self.choices), default=0)
        if most and self.independent:
            notes.append(
                f"difference: best less runner-up, paired by seed. Its interval does not know that "
                f"the best was picked from {most + 1}: fresh seeds would show it smaller"
            )
        title = f"best {self.name} over {', '.join(self.over) or 'no axis'}"
        return Table(title, (*self.axes, *COLUMNS), tuple(rows), "\n  ".join(notes))

    def _cells(self, choice: Choice) -> tuple:
        summary = choice.summary
        start = (summary.n, summary.survived, _median(summary))
        if choice.runner_up is None or choice.runner_up_summary is None:
            return (*start, "-", "-", "-", "-", "-")
        other = ", ".join(f"{name}={choice.runner_up[name]}" for name in self.over)
        compared = choice.comparison
        if compared is not None and not self.independent:
            tie = told_apart(choice, self.higher_is_better) if choice.ties else "-"
            worse = _median(choice.runner_up_summary)
            return (*start, other, worse, compared.difference, "-", tie)
        return (
            *start,
            other,
            _median(choice.runner_up_summary),
            "-" if compared is None else compared.difference,
            "-" if compared is None else compared.difference_interval,
            told_apart(choice, self.higher_is_better),
        )

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _median(summary: Summary) -> float | str:
    return "diverged" if math.isinf(summary.median) else summary.median


def told_apart(choice: Choice, higher_is_better: bool) -> str:
    """Says whether the mean difference to the runner-up is one: that its interval is beyond 0.

    ``tie`` where medians, survivors and IQMs are the same, ``the other way`` where the mean prefers
    the runner-up, which the median does not.
    """
    if choice.ties:
        return f"tie of {len(choice.ties) + 1}"
    if choice.comparison is None:
        return "no common seeds"
    low, high = choice.comparison.difference_interval
    if math.isnan(low) or math.isnan(high):
        return "n too small"
    better, worse = (low > 0, high < 0) if higher_is_better else (high < 0, low > 0)
    if better:
        return "yes"
    return "the other way" if worse else "no"


def ordered(name: str, group: Sequence[Described], higher_is_better: bool) -> list[Described]:
    """Orders the configs of a group that have a lane which survived, the best one first.

    Raises:
      ValueError: there is none.
    """
    alive = [pair for pair in group if pair[1].survived]
    if not alive:
        configs = [config for config, _ in group[:5]]
        raise ValueError(
            f"{name} must be finite in some lane, got none that survived among {configs}"
        )
    # A sort keeps the order of equals, also reversed: configs stand in declared order.
    return sorted(alive, key=lambda pair: preference(pair[1], higher_is_better), reverse=True)


def ties_of(group: Sequence[Described], higher_is_better: bool) -> tuple[dict, ...]:
    """Gives the configs beside the first that are exactly as good as it."""
    first = preference(group[0][1], higher_is_better)
    return tuple(
        config for config, summary in group[1:] if preference(summary, higher_is_better) == first
    )
