"""Defines the columns of experiments: each says what its value is, in JSON and as text.

A column takes the `Lanes` of one config and gives the entry that its row has in JSON under the
column's name; its cells make text of that entry. A new statistic is a new function here.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.references import Numbers
from jaxdl import Result, stats, tables

SUMMARY = ("mean", "mean_interval", "sd", "median", "median_interval", "iqm", "iqm_interval")
WORDS = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "nesterov": "Nesterov",
    "rmsprop": "RMSprop",
    "relu": "ReLU",
    "gru": "GRU",
    "lstm": "LSTM",
    "xor": "XOR",
}


class Lanes(NamedTuple):
    """The lanes of one config, ordered by seed.

    Attributes:
      defaults: the values of what is not swept.
      places: their row numbers in the result.
    """

    result: Result
    config: dict
    defaults: dict
    places: np.ndarray

    @property
    def settings(self) -> dict:
        """Every hyper-parameter's value, swept or not."""
        return {**self.defaults, **self.config}

    @property
    def diverged(self) -> np.ndarray:
        """Which of the lanes have diverged, (lanes,)."""
        return self.result.diverged[self.places]

    @property
    def steps(self) -> np.ndarray:
        """The steps of the evaluations, (evaluations,)."""
        steps = self.result.steps
        return steps if steps.ndim == 1 else steps[self.places[0]]

    @property
    def lost(self) -> np.ndarray:
        """Which of them have diverged by each evaluation, (lanes, evaluations)."""
        return self.result.lost(self.places)

    def final(self, metric: str) -> np.ndarray:
        """A metric at the last evaluation, (lanes,)."""
        return self.result.final(metric)[self.places]

    def curves(self, metric: str) -> np.ndarray:
        """A metric at every evaluation, (lanes, evaluations)."""
        return self.result.metric(metric)[self.places]


def everywhere(lanes: Lanes) -> bool:
    """Tells that a column applies to every config."""
    return True


class Column(NamedTuple):
    """One statistic of a config's lanes.

    Attributes:
      name: its key in a JSON row.
      value: (lanes) -> the JSON entry.
      cells: heading -> (entry, row) -> what a table shows.
      legend: what the title of a table says about it.
      applies: (lanes) -> whether the config has it.
    """

    name: str
    value: Callable[[Lanes], Any]
    cells: Mapping[str, Callable[[Any, dict], Any]] = {}
    legend: str = ""
    applies: Callable[[Lanes], bool] = everywhere

    def texts(self, row: dict) -> list:
        """The cells of a row, dashes where it has no such entry."""
        if self.name not in row:
            return ["-"] * len(self.cells)
        return [cell(row[self.name], row) for cell in self.cells.values()]


def accuracy(
    metric: str = "test_accuracy",
    *,
    label: str = "test acc",
    published: Numbers | None = None,
) -> Column:
    """Describes an accuracy's distribution over seeds, with a published number's place in it."""
    cells = {
        label: lambda entry, row: mean_and_sd(entry),
        "median": lambda entry, row: entry["median"],
        "IQM [95 %]": lambda entry, row: iqm_cell(entry, row["survived"]),
        **published_cell(published),
    }
    return Column(
        metric,
        lambda lanes: distribution(lanes, metric, True, number(lanes, published)),
        cells,
        legend(f"{label}: mean (sd)", published),
    )


def final_loss(*, published: Numbers | None = None) -> Column:
    """Describes the training loss at the end, with a published number's place in it."""
    cells = {
        "final loss": lambda entry, row: entry["median"],
        **published_cell(published),
    }
    return Column(
        "final_loss",
        lambda lanes: distribution(lanes, "train_loss", False, number(lanes, published)),
        cells,
        "final loss: median, train",
    )


def steps_to(level: float, *, published: Numbers | None = None) -> Column:
    """Tells after how many steps lanes reach a test accuracy; those that diverge never do.

    With published numbers also the middle 90 % of the seeds, to judge a number's place by.
    """
    percent = f"{100 * level:.0f}"

    def value(lanes: Lanes) -> dict:
        # NaN (an evaluation of a lane that has diverged) reaches nothing.
        curves = np.nan_to_num(lanes.curves("test_accuracy"), nan=0.0)
        reached = stats.first_reached(curves, lanes.steps, level)
        reached = np.where(lanes.diverged, np.inf, reached)
        never = float(np.mean(np.isinf(reached)))
        if published is None:
            return {"median": float(np.median(reached)), "never_reached": never}
        low, median, high = stats.quantile(reached, [0.05, 0.5, 0.95])
        claim = number(lanes, published)
        return {
            "median": median,
            "quantiles": [low, high],
            "never_reached": never,
            "published": claim,
            "published_percentile": None if claim is None else stats.percentile(reached, claim),
        }

    cells = {
        f"steps to {percent} %": lambda entry, row: median_and_range(entry),
        "never": lambda entry, row: f"{entry['never_reached']:.0%}",
        **published_cell(published),
    }
    spread = "" if published is None else " [5 %, 95 %]"
    return Column(f"steps_to_{percent}", value, cells, f"steps to {percent} %: median{spread}")


def batch_loss() -> Column:
    """Gives the smallest and the largest loss of any batch of any lane."""

    def value(lanes: Lanes) -> dict:
        # Not a number at step 0, before any batch.
        low, high = lanes.curves("batch_loss_min"), lanes.curves("batch_loss_max")
        return {"smallest": float(np.nanmin(low)), "largest": float(np.nanmax(high))}

    def text(entry: dict, row: dict) -> str:
        return f"{tables.cell(entry['smallest'])} to {tables.cell(entry['largest'])}"

    return Column("batch_loss", value, {"batch loss": text}, "batch loss: smallest to largest")


def solved() -> Column:
    """Gives the share of seeds that end with every test point right."""
    cells = {
        "at 100 %": lambda entry, row: f"{entry['share']:.1%}",
        "95 % interval": lambda entry, row: entry["interval"],
    }

    def value(lanes: Lanes) -> dict:
        return share((lanes.final("test_accuracy") == 1) & ~lanes.diverged)

    return Column("solved", value, cells, "at 100 %: share of seeds, with its interval (Wilson)")


def recorded(name: str, published: float, applies=everywhere) -> Column:
    """Describes the last value of a recorded quantity, with a published number's place in it."""
    return Column(
        name,
        lambda lanes: distribution(lanes, f"{name}_mean", True, published),
        applies=applies,
    )


def constant(name: str, value: Callable[[Lanes], Any], heading: str = "") -> Column:
    """Gives what follows from a config alone."""
    return Column(name, value, {heading: lambda entry, row: entry} if heading else {})


def number(lanes: Lanes, published: Numbers | None) -> float | None:
    """Looks up the published number of the lanes' config."""
    return None if published is None else published(lanes.settings)


def distribution(
    lanes: Lanes, metric: str, higher_is_better: bool, published: float | None = None
) -> dict:
    """Describes a metric's last value over seeds, with the place of a published number in it."""
    values, diverged = lanes.final(metric), lanes.diverged
    summary = stats.summarise(values, diverged, higher_is_better)
    entry = {name: getattr(summary, name) for name in SUMMARY}
    place = None
    # Ranked: a diverged lane is worse than any number, whichever way is better.
    if published is not None:
        place = stats.percentile(stats.ranked(values, diverged, higher_is_better), published)
    return {**entry, "published": published, "published_percentile": place}


def share(seeds: np.ndarray) -> dict:
    """Gives the share of seeds of which something holds, with its 95 % interval (Wilson)."""
    count, n = int(np.sum(seeds)), len(seeds)
    return {"share": count / n, "interval": stats.share_interval(count, n)}


def inside(entry: dict, level: float = 95.0) -> bool | None:
    """Tells whether a published number lies within the middle `level` % of the seeds.

    None where none was published.
    """
    place = entry["published_percentile"]
    return None if place is None else (100 - level) / 2 <= place <= (100 + level) / 2


def place(entry: dict) -> str:
    """Writes a published number with its percentile."""
    if entry["published"] is None:
        return "-"
    return f"{entry['published']:g} ({entry['published_percentile']:.3g})"


def published_cell(published: Numbers | None) -> dict:
    """Makes the cell of a published number, headed by its report; none without such numbers."""
    if published is None:
        return {}
    return {f"{published.report} (pct)": lambda entry, row: place(entry)}


def legend(text: str, published: Numbers | None) -> str:
    """Adds to a legend what the percentile is."""
    if published is None:
        return text
    return (
        f"{text}; {published.report} (pct): the published number and its percentile among the seeds"
    )


def mean_and_sd(entry: dict) -> str:
    """Writes mean and sd of a metric."""
    return f"{entry['mean']:.3f} ({entry['sd']:.3f})"


def median_and_range(entry: dict) -> str:
    """Writes a median, and the middle 90 % where they are given."""
    median = tables.cell(float(entry["median"]))
    if "quantiles" not in entry:
        return median
    low, high = (tables.cell(float(end)) for end in entry["quantiles"])
    return f"{median} [{low}, {high}]"


def iqm_cell(entry: dict, survived: int) -> str:
    """Writes an IQM with its interval, or that there are too few seeds for one."""
    low, high = entry["iqm_interval"]
    ends = f"[{low:.3f}, {high:.3f}]"
    if math.isnan(low):
        ends = tables.cell(tables.iqm_interval_cell((low, high), survived))
    return f"{entry['iqm']:.3f} {ends}"


def spoken(value) -> str:
    """Writes a name or value as people do: SGD, ReLU, batch size; others as they are."""
    return WORDS.get(value, str(value).replace("_", " "))


def described(config: dict, empty: str = "the one protocol run") -> str:
    """Writes a config in words."""
    return ", ".join(f"{spoken(name)} {spoken(value)}" for name, value in config.items()) or empty


def listed(words: Iterable) -> str:
    """Joins words with commas; ``none`` for no words."""
    return ", ".join(map(str, words)) or "none"
