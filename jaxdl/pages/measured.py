"""One metric of a result, config by config: what tables and figures of it are made from."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxdl.metrics import is_cell
from jaxdl.reporting import stats, tables

ORDER = ("test_", "valid_", "train_")  # splits, as they are shown


class Lanes(NamedTuple):
    """The lanes of one config, by seed.

    Attributes:
      name: what tells the config from the others of the run.
      values: of every swept name, as cells.
      rows: their places in the result.
    """

    name: str
    config: dict
    values: tuple
    rows: Int[np.ndarray, " lanes"]


class Spread(NamedTuple):
    """How a metric is spread over the seeds of one config.

    Attributes:
      low, median, high: the quantiles at 5, 50 and 95 %, infinite where diverged lanes reach them.
      interval: of the median, at 95 %.
    """

    n: int
    survived: int
    low: float
    median: float
    high: float
    interval: tuple[float, float]


class Measured(NamedTuple):
    """A metric at the last evaluation.

    Attributes:
      higher_is_better: None of a recorded value, which has no direction.
      lanes: of the configs whose task has the metric.
      final: (lanes of the result,).
    """

    result: Any
    name: str
    higher_is_better: bool | None
    lanes: Sequence[Lanes]
    final: Float[np.ndarray, " lanes"]
    diverged: Bool[np.ndarray, " lanes"]

    def spread(self, lanes: Lanes) -> Spread:
        """Describes the seeds of a config, without what takes time: an interval of an IQM."""
        ranks = self.ranks(lanes)
        low, median, high = stats.quantile(ranks, [0.05, 0.5, 0.95]).tolist()
        survived = int(np.isfinite(ranks).sum())
        # Crossed lanes share seeds, and are no independent sample.
        crossed = self.result.crossed
        interval = (math.nan, math.nan) if crossed else stats.median_interval(ranks)
        return Spread(len(lanes.rows), survived, low, median, high, interval)

    def ranks(self, lanes: Lanes) -> Float[np.ndarray, " lanes"]:
        """Gives the values of a config's seeds, the worst possible one for those that were lost.

        Where there is no better end, those of the survivors.
        """
        values, lost = self.final[lanes.rows], self.diverged[lanes.rows]
        if self.higher_is_better is None:
            return values[~stats.missing(values, lost)].astype(float)
        return stats.ranked(values, lost, self.higher_is_better)


def lanes_of(result) -> list[Lanes]:
    """Lists the lanes of each config of a result, in order."""
    configs = result.configs
    cells = {}
    for axis in result.axes:
        cells[axis] = tables.config_cells([config[axis] for config in configs])
    varying = [axis for axis in result.axes if len({tables.cell(each) for each in cells[axis]}) > 1]
    every = []
    for number, config in enumerate(configs):
        pairs = [f"{axis}={tables.cell(cells[axis][number])}" for axis in varying]
        values = tuple(cells[axis][number] for axis in result.axes)
        name = ", ".join(pairs) or "all lanes"
        every.append(Lanes(name, config, values, result.rows(config)))
    return every


def measured(result, name: str, lanes: Sequence[Lanes]) -> Measured:
    """Takes one metric out of a result; configs whose task lacks it are left out."""
    absent = result.absent(name)
    having = [each for each in lanes if not absent.issuperset(each.rows.tolist())]
    better = result.better(name)
    return Measured(result, name, better, having, result.final(name), result.diverged)


def metrics_of(result) -> list[str]:
    """Lists the names of a result's history, the one that a report is about first.

    That is the last metric of the test split, or of the next split that has some; a loss or a cell
    of a confusion matrix only if there is no other. The rest stand by split, recorded values last.
    """
    names = list(result.history)
    if not names:
        return []
    ordered = sorted(names, key=_split)
    first = [name for name in ordered if _split(name) == _split(ordered[0])]
    primary = sorted(first, key=lambda name: not name.endswith("_loss") and not is_cell(name))[-1]
    return [primary, *(name for name in ordered if name != primary)]


def _split(name: str) -> int:
    starts = [place for place, split in enumerate(ORDER) if name.startswith(split)]
    return starts[0] if starts else len(ORDER)


def varying_axes(result) -> list[str]:
    """Lists the axes that have more than one value, those with most of them first."""
    values = {}
    for axis in result.axes:
        values[axis] = len({repr(config[axis]) for config in result.configs})
    several = [axis for axis in result.axes if values[axis] > 1]
    return sorted(several, key=lambda axis: -values[axis])


def written(value: float) -> str:
    """Writes a figure in a sentence: four digits, or that it is of lanes that were lost."""
    return "diverged" if math.isinf(value) else tables.cell(value)
