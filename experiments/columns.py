"""Defines the columns of experiments: each says what its value is, in JSON and as text.

A column takes the `Lanes` of one config and gives the entry that its row has in JSON under the
column's name; its cells make text of that entry. A new statistic is a new function here.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.references import Numbers
from jaxdl import Result, stats, tables

SUMMARY = ("mean", "mean_interval", "sd", "median", "median_interval", "iqm", "iqm_interval")
TRAIN_FRACTION = 0.8  # of the points, in every report
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
      published: the numbers whose place among the lanes it shows, if any.
    """

    name: str
    value: Callable[[Lanes], Any]
    cells: Mapping[str, Callable[[Any, dict], Any]] = {}
    legend: str = ""
    applies: Callable[[Lanes], bool] = everywhere
    published: Numbers | None = None

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
        published=published,
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
        published=published,
    )


def steps_to(
    level: float, *, metric: str = "test_accuracy", published: Numbers | None = None
) -> Column:
    """Tells after how many steps lanes reach an accuracy; those that diverge never do.

    With published numbers also the middle 90 % of the seeds, to judge a number's place by.
    """
    percent = f"{100 * level:.0f}"
    split = metric.removesuffix("accuracy")  # test_ goes without saying
    prefix, words = ("", "") if split == "test_" else (split, f", {spoken(metric)}")

    def value(lanes: Lanes) -> dict:
        # NaN (an evaluation of a lane that has diverged) reaches nothing.
        curves = np.nan_to_num(lanes.curves(metric), nan=0.0)
        reached = stats.first_reached(curves, lanes.steps, level)
        reached = np.where(lanes.diverged, np.inf, reached)
        never = float(np.mean(np.isinf(reached)))
        if published is None:
            return {"median": float(np.median(reached)), "never_reached": never}
        return {**steps_entry(reached, number(lanes, published)), "never_reached": never}

    cells = {
        f"{spoken(prefix)}steps to {percent} %": lambda entry, row: median_and_range(entry),
        "never": lambda entry, row: f"{entry['never_reached']:.0%}",
        **published_cell(published),
    }
    spread = "" if published is None else " [5 %, 95 %]"
    text = f"steps to {percent} %{words}: median{spread}"
    return Column(f"{prefix}steps_to_{percent}", value, cells, text, published=published)


def settles(metric: str, *, published: Numbers | None = None) -> Column:
    """Tells when lanes settle: the first step after which a metric stays within 1 % of its end.

    A lane that diverges never does.
    """
    text = f"{spoken(metric)} settles: steps until it stays within 1 % of its end"
    return _moment(
        f"{metric}_settles", f"{spoken(metric)} settles", settled, metric, text, published
    )


def plateau(metric: str = "train_loss", *, published: Numbers | None = None) -> Column:
    """Tells how long lanes stay where they start: the steps that a metric is within 1 % of it.

    A lane that stays to the end, or diverges, has no end of its plateau: infinity.
    """
    text = "plateau: steps that the loss stays within 1 % of its start"
    return _moment("plateau", "plateau", stayed, metric, text, published)


def stays_below(
    level: float, metric: str = "test_accuracy", *, published: Numbers | None = None
) -> Column:
    """Tells until when lanes are below an accuracy: the last evaluation at which they are.

    A lane that ends below it, or diverges, is so for ever: infinity.
    """
    percent = f"{100 * level:.0f}"
    name = f"{metric}_below_{percent}"
    heading = f"below {percent} % until"
    text = f"{heading}: last evaluation with such a {spoken(metric)}"

    def last(curves: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return last_below(curves, steps, level)

    return _moment(name, heading, last, metric, text, published)


def last_below(curves: np.ndarray, steps: np.ndarray, level: float) -> np.ndarray:
    """Finds the last step at which a curve is below a level.

    Args:
      curves: (lanes, evaluations).
      steps: of the evaluations, (evaluations,).

    Returns:
      (lanes,); infinite where the last value is below it, the first step where none is.

    >>> curves = np.array([[0.5, 0.7, 0.5, 0.8], [0.5, 0.7, 0.8, 0.5], [0.7, 0.7, 0.7, 0.7]])
    >>> last_below(curves, np.arange(0, 40, 10), 0.6).tolist()
    [20.0, inf, 0.0]
    """
    # What is no number has not reached the level.
    below = ~(curves >= level)
    last = curves.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
    moments = np.where(below.any(axis=1), steps[last], float(steps[0]))
    return np.where(below[:, -1], np.inf, moments)


def _moment(
    name: str, heading: str, when: Callable, metric: str, text: str, published: Numbers | None
) -> Column:
    """Makes the column of a step that each lane has, which ``when(curves, steps)`` computes."""

    def value(lanes: Lanes) -> dict:
        moments = lane_moments(lanes, when, metric)
        never = float(np.mean(np.isinf(moments)))
        return {**steps_entry(moments, number(lanes, published)), "never": never}

    cells = {
        heading: lambda entry, row: median_and_range(entry),
        f"{heading}, never": lambda entry, row: f"{entry['never']:.0%}",
        **published_cell(published),
    }
    words = legend(f"{text}: median [5 %, 95 %]", published)
    return Column(name, value, cells, words, published=published)


def lane_moments(lanes: Lanes, when: Callable, metric: str) -> np.ndarray:
    """Computes a step of every lane's curve; infinite where it diverged, (lanes,)."""
    # Configs with fewer evaluations than others are filled up with steps of -1.
    kept = np.flatnonzero(lanes.steps >= 0)
    moments = when(lanes.curves(metric)[:, kept], lanes.steps[kept])
    return np.where(lanes.diverged, np.inf, moments)


def settled(curves: np.ndarray, steps: np.ndarray, tolerance: float = 0.01) -> np.ndarray:
    """Finds the first step from which a curve stays within a share of its last value.

    Args:
      curves: (lanes, evaluations).
      steps: of the evaluations, (evaluations,).

    >>> settled(np.array([[3.0, 1.0, 2.0, 1.005, 1.0]]), np.arange(0, 50, 10)).tolist()
    [30]
    """
    final = curves[:, -1:]
    outside = ~(np.abs(curves - final) <= tolerance * np.abs(final))
    # Counted from the end: one evaluation back inside does not settle a curve that leaves again.
    inside_since = np.argmax(outside[:, ::-1], axis=1)
    first = np.where(outside.any(axis=1), curves.shape[1] - inside_since, 0)
    # A last value that is no number is outside of itself; such a lane has diverged.
    return steps[np.minimum(first, curves.shape[1] - 1)]


def stayed(curves: np.ndarray, steps: np.ndarray, tolerance: float = 0.01) -> np.ndarray:
    """Finds the last step up to which a curve stays within a share of its first value.

    Args:
      curves: (lanes, evaluations).
      steps: of the evaluations, (evaluations,).

    Returns:
      (lanes,); infinite where the curve never leaves.

    >>> stayed(np.array([[1.0, 0.995, 0.9, 1.0], [1.0] * 4]), np.arange(0, 40, 10)).tolist()
    [10.0, inf]
    """
    start = curves[:, :1]
    outside = ~(np.abs(curves - start) <= tolerance * np.abs(start))
    last = np.maximum(np.argmax(outside, axis=1) - 1, 0)
    return np.where(outside.any(axis=1), steps[last], np.inf)


def steps_entry(moments: np.ndarray, published: float | None) -> dict:
    """Describes steps over seeds, with a published number's place among them."""
    low, median, high = stats.quantile(moments, [0.05, 0.5, 0.95])
    return {"median": median, "quantiles": [low, high], **standing(moments, published)}


def accuracy_at(
    step: int, metric: str = "test_accuracy", *, published: Numbers | None = None
) -> Column:
    """Describes an accuracy at a step; configs that are not evaluated there have none."""

    def value(lanes: Lanes) -> dict:
        place = list(lanes.steps).index(step)
        values, lost = lanes.curves(metric)[:, place], lanes.lost[:, place]
        return of_values(values, lost, True, number(lanes, published))

    heading = f"at {step}"
    cells = {heading: lambda entry, row: mean_and_sd(entry), **published_cell(published)}
    text = legend(f"{heading}: {spoken(metric)} at that step, mean (sd)", published)
    name = f"{metric}_at_{step}"
    return Column(name, value, cells, text, lambda lanes: step in lanes.steps, published)


def summed_loss(*, start: Numbers | None = None, end: Numbers | None = None) -> Sequence[Column]:
    """Describes the training loss summed over the training points, at the start and at the end."""

    def summed(place: int, published: Numbers | None) -> Callable[[Lanes], dict]:
        def value(lanes: Lanes) -> dict:
            kept = np.flatnonzero(lanes.steps >= 0)
            points = round(TRAIN_FRACTION * lanes.settings["samples"])
            # Cut to whole nats, as the report prints them: 800 ln 2 = 554.52 stands there as 554.
            values = np.floor(points * lanes.curves("train_loss")[:, kept[place]])
            lost = lanes.lost[:, kept[place]]
            return of_values(values, lost, False, number(lanes, published))

        return value

    columns = []
    for name, place, published in (("start", 0, start), ("end", -1, end)):
        heading = f"summed loss at its {name}"
        cells = {heading: lambda entry, row: entry["median"], **published_cell(published)}
        text = legend(f"{heading}: median, train", published)
        value = summed(place, published)
        columns.append(Column(f"summed_loss_{name}", value, cells, text, published=published))
    return columns


def oscillation() -> Column:
    """Describes how much lanes swing: the spread within each lane's last fifth of evaluations.

    Per lane the standard deviation of the test accuracy, and the range of the loss of batches.
    """

    def value(lanes: Lanes) -> dict:
        swing = lane_swing(lanes)
        width = stats.ranked(lane_batch_range(lanes), lanes.diverged, False)
        low, median, high = stats.quantile(width, [0.05, 0.5, 0.95])
        of_accuracy = of_values(swing, lanes.diverged, False)
        of_loss = {"median": median, "quantiles": [low, high]}
        return {"accuracy_sd": of_accuracy, "batch_loss_range": of_loss}

    cells = {
        "swing of accuracy": lambda entry, row: f"{entry['accuracy_sd']['median']:.4f}",
        "95 % interval": lambda entry, row: tuple(entry["accuracy_sd"]["median_interval"]),
        "range of batch loss": lambda entry, row: median_and_range(entry["batch_loss_range"]),
    }
    text = (
        "swing of accuracy: sd of a lane's test accuracy over its last fifth of evaluations, median"
        "\nrange of batch loss: largest less smallest batch loss there, median [5 %, 95 %]"
    )
    return Column("oscillation", value, cells, text)


def lane_swing(lanes: Lanes) -> np.ndarray:
    """Computes the sd of each lane's test accuracy over its last fifth of evaluations, (lanes,)."""
    return np.std(lanes.curves("test_accuracy")[:, last_fifth(lanes.steps)], axis=1)


def lane_batch_range(lanes: Lanes) -> np.ndarray:
    """Computes the range of each lane's batch losses over the same evaluations, (lanes,)."""
    part = last_fifth(lanes.steps)
    high = lanes.curves("batch_loss_max")[:, part].max(axis=1)
    return high - lanes.curves("batch_loss_min")[:, part].min(axis=1)


def last_fifth(steps: np.ndarray) -> np.ndarray:
    """Gives the places of the last fifth of the evaluations, at least one; step 0 is none of them.

    >>> last_fifth(np.array([0, 10, 20, 30, 40, 50, -1])).tolist()
    [5]
    """
    places = np.flatnonzero(steps > 0)
    return places[-max(1, len(places) // 5) :]


def batch_loss() -> Column:
    """Gives the smallest and the largest loss of any batch of any lane."""

    def value(lanes: Lanes) -> dict:
        # Not a number at step 0, before any batch.
        low, high = lanes.curves("batch_loss_min"), lanes.curves("batch_loss_max")
        return {"smallest": float(np.nanmin(low)), "largest": float(np.nanmax(high))}

    def text(entry: dict, row: dict) -> str:
        return f"{tables.cell(entry['smallest'])} to {tables.cell(entry['largest'])}"

    return Column("batch_loss", value, {"batch loss": text}, "batch loss: smallest to largest")


def batch_loss_ends(*, least: Numbers, largest: Numbers) -> Sequence[Column]:
    """Describes each lane's own least and largest loss of a batch, with the published ones."""

    def end_of(reduce: Callable, metric: str, published: Numbers) -> Callable[[Lanes], dict]:
        def value(lanes: Lanes) -> dict:
            # Not a number at step 0, before any batch, and where a lane has diverged.
            curves = lanes.curves(metric)
            ends = np.full(len(curves), np.nan)
            known = ~np.isnan(curves).all(axis=1)
            ends[known] = reduce(curves[known], axis=1)
            return of_values(ends, lanes.diverged, False, number(lanes, published))

        return value

    columns = []
    for name, reduce, published in (("min", np.nanmin, least), ("max", np.nanmax, largest)):
        heading = f"{name} batch loss"
        cells = {heading: lambda entry, row: entry["median"], **published_cell(published)}
        text = legend(f"{heading}: of a lane's whole run, median", published)
        value = end_of(reduce, f"batch_loss_{name}", published)
        columns.append(Column(f"{name}_batch_loss", value, cells, text, published=published))
    return columns


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
    return of_values(lanes.final(metric), lanes.diverged, higher_is_better, published)


def of_values(
    values: np.ndarray, diverged: np.ndarray, higher_is_better: bool, published: float | None = None
) -> dict:
    """Describes values over seeds, with the place of a published number among them."""
    summary = stats.summarise(values, diverged, higher_is_better)
    entry = {name: getattr(summary, name) for name in SUMMARY}
    # Ranked: a diverged lane is worse than any number, whichever way is better.
    ranks = stats.ranked(values, diverged, higher_is_better)
    return {**entry, **standing(ranks, published)}


def standing(ranks: np.ndarray, published: float | None) -> dict:
    """Places a published number among the seeds: its percentile, and how many lie on either side.

    Args:
      ranks: (seeds,), a diverged lane's infinite.
    """
    if published is None:
        return {"published": None, "published_percentile": None}
    counts = {"below": 0, "tied": 0, "above": 0}
    sides = {100.0: "below", 50.0: "tied", 0.0: "above"}
    for rank, seeds in zip(*np.unique(ranks, return_counts=True), strict=True):
        # The percentile's own comparison: what ties there, by rounding, ties here.
        counts[sides[stats.percentile([rank], published)]] += int(seeds)
    return {
        "published": published,
        "published_percentile": stats.percentile(ranks, published),
        "published_counts": counts,
        "middle_90": stats.quantile(ranks, [0.05, 0.5, 0.95]).tolist(),
    }


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
