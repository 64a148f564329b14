"""Draws the figures that experiments share; each function here makes a drawer ``(run) -> Figure``.

Every curve is a distribution over seeds: a median with bands for the middle 50 and 90 %.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.columns import Lanes, described, spoken
from experiments.frame import Drawer, Run
from experiments.references import Numbers
from jaxdl import Result, Study, plots, stats
from jaxdl.sampling import seed_key

DIAMOND = {"color": "black", "markerfacecolor": "white", "markersize": 7}
DARK = 0.62  # cells above this value are light in the colour map, so their text is dark
Groups = Callable[[Run], dict[str, list[dict]]]  # title of a row of panels -> its configs


class Panel(NamedTuple):
    """What one panel of curves shows.

    Attributes:
      metric: of the history.
      words: for the title and the y axis.
      higher_is_better: what is worst, a diverged lane's place.
      log: whether the y axis is logarithmic.
      limits: of the y axis.
      share: draws, in place of a band, the share of the seeds at exactly this value.
      recorded: whether it is a running value, which has none at step 0.
      mark: (run) -> a value to draw a line at, and its name.
    """

    metric: str
    words: str
    higher_is_better: bool = True
    log: bool = False
    limits: tuple[float, float] | None = None
    share: float | None = None
    recorded: bool = False
    mark: Callable[[Run], tuple[float, str] | None] | None = None


def all_configs(run: Run) -> dict[str, list[dict]]:
    """Puts all configs of the first study into one group."""
    return {"": run.result.configs}


def curves(
    *panels: Panel,
    groups: Groups = all_configs,
    x: str = "step",
    unit: Callable[[dict], int] = lambda config: 1,
    headline: Callable[[Run], str] | None = None,
) -> Drawer:
    """Draws median curves with bands, a column a panel, a row a group, a curve a config.

    Args:
      panels: what the columns show.
      groups: which configs each row shows.
      x: the name of the x axis.
      unit: (config) -> steps that one of it has, such as those of an epoch.
      headline: (run) -> what is found, the figure's title.
    """

    def draw(run: Run):
        rows = groups(run)
        figure, axes = plots.figure(len(rows), len(panels), width=6.5, sharex=True)
        for axes_row, (title, configs) in zip(axes, rows.items(), strict=True):
            for axis, panel in zip(axes_row, panels, strict=True):
                draw_panel(axis, panel, run, configs, unit)
                where = f"{title}: {panel.words}" if title else panel.words
                plots.style(axis, where, x, panel.words)
            axes_row[0].legend(fontsize=plots.FONT - 3)
        seeds = len(run.result.rows(run.result.configs[0]))
        spread = f"median, middle 50 and 90 % of n={seeds} seeds"
        figure.suptitle(title_of(run, headline, spread), fontsize=plots.FONT + 1)
        return figure

    return draw


def title_of(run: Run, headline: Callable[[Run], str] | None, spread: str) -> str:
    """Puts what is found above what is drawn; a quick run finds nothing."""
    if headline is None:
        return spread
    return f"{'A quick run: it proves nothing' if run.request.quick else headline(run)}\n{spread}"


def draw_panel(axis, panel: Panel, run: Run, configs: list[dict], unit: Callable[[dict], int]):
    """Draws one panel of curves, one a config."""
    labels = labels_of(configs)
    colours = plots.colours(len(configs))
    styles = itertools.cycle(plots.LINES)
    for config, label, colour, line in zip(configs, labels, colours, styles, strict=False):
        result = run.result
        lanes = Lanes(result, config, {}, result.rows(config))
        first = 1 if panel.recorded else 0
        # Configs with fewer evaluations than others are filled up with steps of -1.
        kept = np.flatnonzero(lanes.steps >= 0)[first:]
        steps = lanes.steps[kept] / unit(config)
        values = lanes.curves(panel.metric)[:, kept]
        lost = result.lost(lanes.places)[:, kept]
        if panel.share is not None:
            reached = ((values == panel.share) & ~lost).mean(axis=0)
            axis.plot(steps, reached, color=colour, linestyle=line, label=label)
        else:
            better = panel.higher_is_better
            plots.band(axis, steps, values, label, colour, line, better, lost)
    if panel.log:
        axis.set_yscale("log")
    if panel.limits:
        axis.set_ylim(*panel.limits)
    marked = panel.mark(run) if panel.mark else None
    if marked:
        mark_line(axis, *marked)


def mark_line(axis, value: float, name: str):
    """Draws a dotted line at a value, with its name."""
    axis.axhline(value, color="black", linewidth=1, linestyle=":")
    left = axis.get_xlim()[0]
    axis.annotate(name, (left, value), (2, 3), textcoords="offset points")


def final_distributions(
    metric: str, over: str, published: Numbers, study: str | None = None
) -> Drawer:
    """Draws a metric's last values as boxes over one hyper-parameter, a panel a protocol.

    Args:
      metric: of the history.
      over: the hyper-parameter on the x axis; a protocol is the values of the others.
      published: the report's numbers, drawn as diamonds.
      study: by name; the first one if not given.
    """

    def draw(run: Run):
        result = run.results[run.name if study is None else study]
        groups = protocols(result.configs, over)
        figure, axes = grid_of_panels(len(groups), width=6.5, height=3.6)
        for axis, (protocol, configs) in zip(axes.flat, groups.items(), strict=False):
            values = [result.final(metric)[result.rows(config)] for config in configs]
            labels = [str(config[over]) for config in configs]
            plots.distributions(axis, values, labels, plots.colours(len(configs)))
            numbers = [published(config) for config in configs]
            draw_published(axis, range(1, len(configs) + 1), numbers, published.report)
            plots.style(axis, protocol, spoken(over), f"final {spoken(metric)}")
        seeds = len(result.rows(result.configs[0]))
        title = f"How much the seed alone decides: final {spoken(metric)} over n={seeds} seeds"
        figure.suptitle(f"{title}\nboxes: middle 50 %, whiskers: 90 %", fontsize=plots.FONT + 1)
        return figure

    return draw


def draw_published(axis, places, numbers: Sequence[float | None], label: str):
    """Draws published numbers as diamonds where there are some."""
    printed = [pair for pair in zip(places, numbers, strict=True) if pair[1] is not None]
    if printed:
        axis.plot(*zip(*printed, strict=True), "D", label=label, **DIAMOND)
        axis.legend(fontsize=plots.FONT - 2, loc="lower right")


def finals_against(
    metric: str,
    over: str,
    *,
    published: Numbers,
    mark: tuple[float, str],
    headline: Callable[[Run], str],
) -> Drawer:
    """Draws a metric's last values against a numeric hyper-parameter, a band a protocol.

    Every seed is a dot; published numbers are diamonds.
    """

    def draw(run: Run):
        result, groups = run.result, protocols(run.result.configs, over)
        figure, axes = plots.figure(width=8.5, height=5)
        axis, styles = axes[0, 0], itertools.cycle(plots.LINES)
        colours = plots.colours(len(groups))
        for (name, configs), colour, line in zip(groups.items(), colours, styles, strict=False):
            places = [config[over] for config in configs]
            values, lost = finals(result, metric, configs)
            plots.band(axis, places, values, f"{name} (n={len(values)})", colour, line, True, lost)
            for seed in values:
                axis.plot(places, seed, ".", color=colour, markersize=3, alpha=0.6)
        some = [config for config in result.configs if published(config) is not None]
        printed = {config[over]: published(config) for config in some}
        draw_published(axis, printed, list(printed.values()), f"{published.report}, one run")
        mark_line(axis, *mark)
        title = title_of(run, headline, "median, middle 50 and 90 % of seeds, every seed a dot")
        plots.style(axis, title, spoken(over), spoken(metric))
        axis.set_ylim(-0.02, 1.03)
        axis.legend(fontsize=plots.FONT - 2)
        return figure

    return draw


def finals(result: Result, metric: str, configs: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Gives a metric's last values, and which lanes diverged, both (seeds, configs)."""
    places = [result.rows(config) for config in configs]
    values = result.final(metric)
    columns = [values[rows] for rows in places], [result.diverged[rows] for rows in places]
    return np.stack(columns[0], axis=1), np.stack(columns[1], axis=1)


def regions(groups: Groups = all_configs, metric: str = "test_accuracy") -> Drawer:
    """Draws the decision regions of each config's median lane over its own training data."""

    def draw(run: Run):
        ((title, configs),) = groups(run).items()
        figure, axes = plots.figure(1, len(configs), 4.0, 3.8, sharex=True, sharey=True)
        for axis, config, label in zip(axes[0], configs, labels_of(configs), strict=True):
            lane = median_lane(run.studies[run.name], run.result, config, metric)
            data = lane.dataset
            points, targets = np.asarray(data.train_x), np.asarray(data.train_targets)
            plots.regions(axis, lane.classes, points, targets)
            accuracy = lane.history[metric][-1]
            which = f"(seed {lane.seed}, the median of {lane.of})"
            plots.style(axis, f"{label}: {accuracy:.1%}\n{which}", "x1", "x2")
        words = "Decision regions of the median lane over its training data"
        where = f" ({title})" if title else ""
        figure.suptitle(words + where, fontsize=plots.FONT + 1)
        return figure

    return draw


class MedianLane(NamedTuple):
    """The lane whose last value is the median of its config's, trained again."""

    seed: int
    of: int  # lanes
    params: Any
    history: dict
    dataset: Any
    outputs: Callable  # (x) -> outputs of the trained model

    def classes(self, x):
        """Gives the class of every point."""
        return self.outputs(x).argmax(axis=0)


def median_lane(study: Study, result: Result, config: dict, metric: str) -> MedianLane:
    """Trains the median lane of a config again."""
    places = result.rows(config)
    final = stats.ranked(result.final(metric)[places], result.diverged[places], True)
    order = np.argsort(final, kind="stable")
    seed = result.lanes[places[order[len(places) // 2]]]["seed"]
    params, state, history = study.replay(config, seed)
    recipe = study.recipe(config)
    data = recipe.task.data
    dataset = data(seed_key(seed)) if callable(data) else data

    def outputs(x):
        return recipe.model.apply(params, state, x)[0]

    return MedianLane(seed, len(places), params, history, dataset, outputs)


def heat_map(axis, cells: dict, rows: Sequence, columns: Sequence, title: str):
    """Draws a table of values in [0, 1] as colours with words over them.

    Args:
      cells: (row, column) -> (value, words); a dash where there is none.
    """
    values = np.full((len(rows), len(columns)), np.nan)
    for i, j in np.ndindex(values.shape):
        value, words = cells.get((rows[i], columns[j]), (np.nan, "-"))
        values[i, j] = value
        colour = "white" if value <= DARK else "black"
        look = {"ha": "center", "va": "center", "fontsize": plots.FONT - 2}
        axis.text(j, i, words, color=colour, **look)
    image = axis.imshow(values, vmin=0.0, vmax=1.0, cmap="cividis", aspect="auto")
    axis.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
    axis.set_yticks(range(len(rows)), [f"{value:g}" for value in rows])
    axis.set_title(title, fontsize=plots.FONT)
    return image


def grid_of_panels(count: int, *, columns: int = 2, width: float, height: float):
    """Makes a figure with `count` panels, `columns` a row; panels that are over are hidden."""
    across = min(columns, count)
    down = -(-count // across)
    figure, axes = plots.figure(down, across, width, height, sharex=True, sharey=True)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def protocols(configs: list[dict], over: str) -> dict[str, list[dict]]:
    """Groups the configs that differ in `over` alone, by what the others are, in words."""
    groups: dict[str, list[dict]] = {}
    for config in configs:
        others = {name: value for name, value in config.items() if name != over}
        groups.setdefault(described(others, empty=""), []).append(config)
    return groups


def labels_of(configs: list[dict]) -> list[str]:
    """Names each config by what tells it from the others of a figure."""
    values: dict[str, set] = {}
    for config in configs:
        for name, value in config.items():
            values.setdefault(name, set()).add(str(value))
    varying = [name for name, different in values.items() if len(different) > 1]
    return [
        described({name: config[name] for name in varying if name in config}, empty="all lanes")
        for config in configs
    ]
