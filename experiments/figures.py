"""Makes the figures that experiments share; each function here gives a drawer ``(run) -> Figure``.

Every curve is a distribution over seeds: a median with bands for the middle 50 and 90 %.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.columns import Lanes, spoken
from experiments.drawing import (
    Configs,
    draw_published,
    finals,
    grid_of_panels,
    labels_of,
    mark_line,
    median_lane,
    protocols,
)
from experiments.frame import Drawer, Run
from experiments.references import Numbers
from jaxdl import plots

Groups = Callable[[Run], dict[str, Configs]]  # title of a row of panels -> its configs
Headline = Callable[[Run], str]  # says what is found
Unit = Callable[[dict], int]  # (config) -> steps that one unit of the x axis has
Words = Callable[[dict], dict]  # a config -> the same with names that people know
Mark = Callable[[Run], tuple[float, str] | None]  # a value to draw a line at, and its name


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
    mark: Mark | None = None


def all_configs(run: Run) -> dict[str, Configs]:
    """Puts all configs of the first study into one group."""
    return {"": run.result.configs}


def steps_of_one(config: dict) -> int:
    """Leaves steps as they are."""
    return 1


def curves(
    *panels: Panel,
    groups: Groups = all_configs,
    x: str = "step",
    unit: Unit = steps_of_one,
    headline: Headline | None = None,
    words: Words = dict,
) -> Drawer:
    """Draws median curves with bands, a column a panel, a row a group, a curve a config.

    Args:
      panels: what the columns show.
      groups: which configs each row shows.
      x: the name of the x axis.
      unit: (config) -> steps that one of it has, such as those of an epoch.
      headline: (run) -> what is found, the figure's title.
      words: what a config is called in the legend.
    """

    def draw(run: Run):
        rows = groups(run)
        figure, axes = plots.figure(len(rows), len(panels), width=6.5, sharex=True)
        for axes_row, (title, configs) in zip(axes, rows.items(), strict=True):
            for axis, panel in zip(axes_row, panels, strict=True):
                draw_panel(axis, panel, run, configs, unit, words)
                where = f"{title}: {panel.words}" if title else panel.words
                plots.style(axis, where, x, panel.words)
            axes_row[0].legend(fontsize=plots.FONT - 3)
        spread = f"median, middle 50 and 90 % of n={run.seeds} seeds"
        title = title_of(run, headline, spread)
        figure.suptitle(title, fontsize=plots.FONT + 1)
        return figure

    return draw


def title_of(run: Run, headline: Headline | None, spread: str) -> str:
    """Puts what is found above what is drawn; a quick run finds nothing."""
    if headline is None:
        return spread
    if run.request.quick:
        return f"A quick run: it proves nothing\n{spread}"
    return f"{headline(run)}\n{spread}"


def draw_panel(axis, panel: Panel, run: Run, configs: Configs, unit: Unit, words: Words = dict):
    """Draws one panel of curves, one a config."""
    looks = zip(
        configs,
        labels_of([words(config) for config in configs]),
        plots.colours(len(configs)),
        # Lines differ too, for those who do not tell the colours apart.
        itertools.cycle(plots.LINES),
        strict=False,
    )
    for config, label, colour, line in looks:
        draw_curve(axis, panel, run.lanes(config), unit(config), label, colour, line)
    if panel.log:
        axis.set_yscale("log")
    if panel.limits:
        axis.set_ylim(*panel.limits)
    marked = panel.mark(run) if panel.mark else None
    if marked:
        mark_line(axis, *marked)


def draw_curve(axis, panel: Panel, lanes: Lanes, unit: int, label: str, colour, line: str):
    """Draws the curve of one config."""
    # Configs with fewer evaluations than others are filled up with steps of -1.
    kept = np.flatnonzero(lanes.steps >= 0)
    if panel.recorded:
        kept = kept[1:]
    steps = lanes.steps[kept] / unit
    values = lanes.curves(panel.metric)[:, kept]
    lost = lanes.lost[:, kept]
    if panel.share is None:
        better = panel.higher_is_better
        plots.band(axis, steps, values, label, colour, line, better, lost)
    else:
        reached = (values == panel.share) & ~lost
        share = reached.mean(axis=0)
        axis.plot(steps, share, color=colour, linestyle=line, label=label)


def final_distributions(
    metric: str,
    over: str,
    published: Numbers,
    study: str | None = None,
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
        final = result.final(metric)
        groups = protocols(result.configs, over)
        figure, axes = grid_of_panels(len(groups), width=6.5, height=3.6)
        for axis, (protocol, configs) in zip(axes.flat, groups.items(), strict=False):
            values = [final[result.rows(config)] for config in configs]
            labels = [str(config[over]) for config in configs]
            colours = plots.colours(len(configs))
            plots.distributions(axis, values, labels, colours)
            # Boxes stand at 1, 2, ... whatever they are of.
            numbers = {place: published(each) for place, each in enumerate(configs, 1)}
            draw_published(axis, numbers, published.report)
            plots.style(axis, protocol, spoken(over), f"final {spoken(metric)}")
        words = f"How much the seed alone decides: final {spoken(metric)}"
        legend = f"n={len(values[0])} seeds; boxes: middle 50 %, whiskers: 90 %"
        figure.suptitle(f"{words}\n{legend}", fontsize=plots.FONT + 1)
        return figure

    return draw


def finals_against(
    metric: str,
    over: str,
    *,
    published: Numbers,
    mark: tuple[float, str],
    headline: Headline,
) -> Drawer:
    """Draws a metric's last values against a numeric hyper-parameter, a band a protocol.

    Every seed is a dot; published numbers are diamonds.
    """

    def draw(run: Run):
        result = run.result
        groups = protocols(result.configs, over)
        figure, axes = plots.figure(width=8.5, height=5)
        axis = axes[0, 0]
        looks = zip(
            groups.items(),
            plots.colours(len(groups)),
            itertools.cycle(plots.LINES),
            strict=False,
        )
        for (name, configs), colour, line in looks:
            # A line needs its points in order, whatever order they were asked for in.
            ordered = sorted(configs, key=lambda config: config[over])
            places = [config[over] for config in ordered]
            values, lost = finals(result, metric, ordered)
            label = f"{name} (n={len(values)})"
            plots.band(axis, places, values, label, colour, line, True, lost)
            for seed in values:
                axis.plot(places, seed, ".", color=colour, markersize=3, alpha=0.6)
        numbers = {}
        for config in result.configs:
            number = published(run.request.settings(config))
            if number is not None:
                numbers[config[over]] = number
        draw_published(axis, numbers, f"{published.report}, one run")
        mark_line(axis, *mark)
        spread = "median, middle 50 and 90 % of seeds, every seed a dot"
        title = title_of(run, headline, spread)
        plots.style(axis, title, spoken(over), spoken(metric))
        axis.set_ylim(-0.02, 1.03)
        axis.legend(fontsize=plots.FONT - 2)
        return figure

    return draw


def regions(groups: Groups = all_configs, metric: str = "test_accuracy") -> Drawer:
    """Draws the decision regions of each config's median lane over its own training data."""

    def draw(run: Run):
        ((title, configs),) = groups(run).items()
        figure, axes = grid_of_panels(
            len(configs),
            columns=len(configs),
            width=4.0,
            height=3.8,
        )
        study = run.studies[run.name]
        for axis, config, label in zip(axes[0], configs, labels_of(configs), strict=True):
            lane = median_lane(study, run.result, config, metric)
            points = np.asarray(lane.dataset.train_x)
            targets = np.asarray(lane.dataset.train_targets)
            plots.regions(axis, lane.classes, points, targets)
            accuracy = lane.history[metric][-1]
            which = f"(seed {lane.seed}, the median of {lane.of})"
            plots.style(axis, f"{label}: {accuracy:.1%}\n{which}", "x1", "x2")
        words = "Decision regions of the median lane over its training data"
        # On a line of its own: beside the words it is wider than a figure of two panels.
        where = f"\n({title})" if title else ""
        figure.suptitle(words + where, fontsize=plots.FONT + 1)
        return figure

    return draw
