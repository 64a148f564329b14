"""Draws the parts that figures are made of: marks, heat maps, grids of panels, the median lane."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.columns import described
from jaxdl import Result, Study, plots, stats
from jaxdl.sampling import seed_key

# Published numbers are white diamonds everywhere: no colour, as they are of no config of ours.
DIAMOND = {"color": "black", "markerfacecolor": "white", "markersize": 7}
DARK = 0.62  # cells above this value are light in the colour map, so their text is dark
Configs = list[dict]


def mark_line(axis, value: float, name: str):
    """Draws a dotted line at a value, with its name."""
    axis.axhline(value, color="black", linewidth=1, linestyle=":")
    left = axis.get_xlim()[0]
    axis.annotate(name, (left, value), (2, 3), textcoords="offset points")


def draw_published(axis, numbers: Mapping[Any, float | None], label: str):
    """Draws published numbers as diamonds where there are some.

    Args:
      numbers: place on the x axis -> number.
    """
    printed = {place: value for place, value in numbers.items() if value is not None}
    # Without a number an empty entry would stand in the legend.
    if printed:
        axis.plot(list(printed), list(printed.values()), "D", label=label, **DIAMOND)
        axis.legend(fontsize=plots.FONT - 2)


def heat_map(axis, cells: Mapping, rows: Sequence, columns: Sequence):
    """Draws a table of values in [0, 1] as colours with words over them.

    Args:
      cells: (row, column) -> (value, words); a dash where there is none.
    """
    missing = (np.nan, "-")
    values = np.full((len(rows), len(columns)), np.nan)
    for i, j in np.ndindex(values.shape):
        values[i, j], words = cells.get((rows[i], columns[j]), missing)
        # The colours end in yellow, on which white is not read; NaN is drawn white.
        colour = "white" if values[i, j] <= DARK else "black"
        axis.text(
            j,
            i,
            words,
            color=colour,
            ha="center",
            va="center",
            fontsize=plots.FONT - 2,
        )
    image = axis.imshow(values, vmin=0.0, vmax=1.0, cmap="cividis", aspect="auto")
    axis.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
    axis.set_yticks(range(len(rows)), [f"{value:g}" for value in rows])
    return image


def grid_of_panels(count: int, *, columns: int = 2, width: float, height: float):
    """Makes a figure with `count` panels, `columns` a row; panels that are over are hidden."""
    # Fewer panels than columns make a narrower figure, not an emptier one.
    across = min(columns, count)
    down = -(-count // across)
    figure, axes = plots.figure(
        down,
        across,
        width,
        height,
        sharex=True,
        sharey=True,
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def protocols(configs: Iterable[dict], over: str) -> dict[str, Configs]:
    """Groups the configs that differ in `over` alone, by what the others are, in words."""
    groups: dict[str, Configs] = {}
    for config in configs:
        others = {name: value for name, value in config.items() if name != over}
        name = described(others, empty="")
        groups.setdefault(name, []).append(config)
    return groups


def labels_of(configs: Configs) -> list[str]:
    """Names each config by what tells it from the others of a figure."""
    values: dict[str, set] = {}
    for config in configs:
        for name, value in config.items():
            # As text: a value may be a list, which no set takes.
            values.setdefault(name, set()).add(str(value))
    varying = [name for name, different in values.items() if len(different) > 1]
    labels = []
    for config in configs:
        own = {name: config[name] for name in varying if name in config}
        labels.append(described(own, empty="all lanes"))
    return labels


def finals(result: Result, metric: str, configs: Configs) -> tuple[np.ndarray, np.ndarray]:
    """Gives a metric's last values, and which lanes diverged, both (seeds, configs)."""
    final = result.final(metric)
    diverged = result.diverged
    values, lost = [], []
    for config in configs:
        places = result.rows(config)
        values.append(final[places])
        lost.append(diverged[places])
    return np.stack(values, axis=1), np.stack(lost, axis=1)


class MedianLane(NamedTuple):
    """The lane whose last value is the median of its config's, trained again."""

    seed: int
    of: int  # lanes
    params: Any
    history: dict
    dataset: Any
    outputs: Callable  # (x) -> outputs of the trained model; x as the task has it

    def classes(self, x):
        """Gives the class of every point."""
        return self.outputs(x).argmax(axis=0)


def median_lane(
    study: Study,
    result: Result,
    config: dict,
    metric: str = "test_accuracy",
) -> MedianLane:
    """Trains the median lane of a config again."""
    return lane_at(study, result, config, 0.5, metric)


def lane_at(
    study: Study,
    result: Result,
    config: dict,
    share: float,
    metric: str = "test_accuracy",
) -> MedianLane:
    """Trains that lane of a config again which so large a share of its lanes is worse than.

    Args:
      share: 0 for the worst lane, 0.5 for the median.
    """
    places = result.rows(config)
    values = result.final(metric)[places]
    ranked = stats.ranked(values, result.diverged[places], True)
    # A stable sort: of seeds that tie the first is shown, today and tomorrow.
    order = np.argsort(ranked, kind="stable")
    row = places[order[int(share * len(places))]]
    seed = result.lanes[row]["seed"]
    # A lane of a long training takes its time again: how long is shown.
    params, state, history = study.replay(config, seed, progress=True)
    recipe = study.recipe(config)
    # Data that all lanes share are at hand, others are drawn from the seed.
    data = recipe.task.data
    dataset = data(seed_key(seed)) if callable(data) else data

    def outputs(x):
        inputs = x if recipe.task.prepare is None else recipe.task.prepare(x)
        return recipe.model.apply(params, state, inputs)[0]

    return MedianLane(seed, len(places), params, history, dataset, outputs)
