"""What an experiment hands back: rows for JSON, text for people, figures for the run folder."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxdl import stats, tables
from jaxdl.study import Result

NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "nesterov": "Nesterov", "rmsprop": "RMSprop", "relu": "ReLU", "gru": "GRU",
         "lstm": "LSTM", "xor": "XOR"}  # fmt: skip


def written(value) -> str:
    """A value as people write it: SGD, ReLU, LSTM; others as they are."""
    return NAMES.get(value, str(value))


def curves_of(result: Result, metric: str, lanes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The curves of one config's lanes, also where configs differ in their schedules.

    Returns:
      (steps, curves, lost): (evaluations,); and (lanes, evaluations) twice, lost where a lane has diverged.
    """
    steps = result.steps if result.steps.ndim == 1 else result.steps[lanes[0]]
    there = steps >= 0
    return steps[there], result.metric(metric)[lanes][:, there], result.lost(lanes)[:, there]


class Report(NamedTuple):
    """An experiment's findings."""

    experiment: str
    run: str
    rows: list[dict]
    text: str

    def json(self) -> dict:
        """The findings as plain JSON; what is infinite or missing is null."""
        return {"experiment": self.experiment, "run": self.run, "rows": plain(self.rows)}


def plain(value: Any):
    """A value as JSON knows it: numpy scalars as Python's, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metric_entry(values, diverged, higher_is_better: bool, published: float | None = None) -> dict:
    """A metric's distribution over seeds, with the place of a published number in it."""
    summary = stats.summarise(values, diverged, higher_is_better)
    names = ("mean", "mean_interval", "sd", "median", "median_interval", "iqm", "iqm_interval")
    entry = {name: getattr(summary, name) for name in names}
    place = None if published is None else stats.percentile(stats.ranked(values, diverged, higher_is_better), published)
    return {**entry, "published": published, "published_percentile": place}


def iqm_cell(entry: dict, survived: int) -> str:
    """An IQM with its interval, or that there are too few seeds for one."""
    low, high = entry["iqm_interval"]
    ends = f"[{low:.3f}, {high:.3f}]"
    if math.isnan(low):
        ends = tables.cell(tables.iqm_interval_cell((low, high), survived))
    return f"{entry['iqm']:.3f} {ends}"


def rows_of(result: Result, entries: Callable[[dict, np.ndarray], dict]) -> list[dict]:
    """One row a config: its values, n, survived, and what `entries` makes of (config, rows of its lanes)."""
    rows = []
    for config in result.configs:
        lanes = result.rows(config)
        alive = int((~result.diverged[lanes]).sum())
        rows.append({**config, "n": len(lanes), "survived": alive, **entries(config, lanes)})
    return rows


def inside(entry: dict, level: float = 95.0) -> bool | None:
    """Whether a published number lies within the middle `level` % of the seeds; None where none was published."""
    place = entry["published_percentile"]
    return None if place is None else (100 - level) / 2 <= place <= (100 + level) / 2
