"""Draws the figures of MLPs on moons: data, decision regions, plateaus against initial weights."""

from collections.abc import Callable

import numpy as np

from experiments.columns import lane_moments, spoken, stayed
from experiments.drawing import draw_published, grid_of_panels, lane_at
from experiments.figures import title_of
from experiments.frame import Drawer, Run
from experiments.moons import INITS, by_scale, in_words
from experiments.references import Numbers
from jaxdl import plots
from jaxdl.sampling import seed_key
from jaxdl.train import Recipe

LANES = {"median": 0.5, "worst": 0.0}  # shares of the lanes that are worse


def within(run: Run, study: str) -> Run:
    """Gives the part of a run that is of one study, for figures of the first one."""
    return run._replace(results={study: run.results[study]}, rows=run.rows_of(study))


def each_of(studies: dict[str, str], draw: Callable[[Run], object]) -> Drawer:
    """Makes a drawer of one figure a study: ``studies`` has the end of its file's name by study."""

    def draw_all(run: Run):
        present = {name: end for name, end in studies.items() if name in run.results}
        return {end: draw(within(run, name)) for name, end in present.items()}

    return draw_all


def data_figure(run: Run):
    """Draws the data of one seed, a panel a data set."""
    recipes: dict[tuple, Recipe] = {}
    for name, result in run.results.items():
        config = result.configs[0]
        sort = (config["samples"], config["noise"])
        recipes.setdefault(sort, run.studies[name].recipe(config))
    figure, axes = grid_of_panels(len(recipes), columns=len(recipes), width=5.0, height=4.0)
    for axis, ((samples, noise), recipe) in zip(axes[0], recipes.items(), strict=True):
        dataset = recipe.task.data(seed_key(0))
        x, targets = np.asarray(dataset.train_x), np.asarray(dataset.train_targets)
        for number, mark in enumerate("os"):
            own = targets == number
            colour = plots.PALETTE[number]
            axis.plot(*x[:, own], mark, color=colour, markersize=3, label=f"class {number}")
        title = f"{samples} points, noise {noise:g}: {len(targets)} for training"
        plots.style(axis, title, "x1 (no unit)", "x2 (no unit)")
        axis.legend(fontsize=plots.FONT - 3)
    words = "Two moons: no line separates them, with noise or without"
    figure.suptitle(f"{words}\nseed 0 of n={run.seeds}; every seed draws its own", fontsize=13)
    return figure


def regions_of_two(run: Run):
    """Draws the decision regions of the median and of the worst lane, a row a config."""
    configs = run.result.configs
    figure, axes = plots.figure(len(configs), len(LANES), 5.4, 3.8, sharex=True, sharey=True)
    ranges = []
    for row, config in zip(axes, configs, strict=True):
        ends = []
        for axis, (which, share) in zip(row, LANES.items(), strict=True):
            lane = lane_at(run.studies[run.name], run.result, config, share)
            x, targets = np.asarray(lane.dataset.test_x), np.asarray(lane.dataset.test_targets)
            plots.regions(axis, lane.classes, x, targets)
            accuracy = lane.history["test_accuracy"][-1]
            ends.append(accuracy)
            title = f"{which} of n={lane.of}: {accuracy:.1%} (seed {lane.seed})"
            rate = f"rate {config['learning_rate']:g}, {config['reduction']}"
            plots.style(axis, f"{rate}: {title}", "x1 (no unit)", "x2 (no unit)")
        # Within a config: between configs not the seed alone differs.
        ranges.append((max(ends) - min(ends), min(ends), max(ends)))
    _, low, high = max(ranges)
    words = f"{run.name}: the seed alone moves test accuracy from {low:.1%} to {high:.1%}"
    title = title_of(run, lambda run: words, "test points over the regions")
    figure.suptitle(title, fontsize=plots.FONT + 1)
    return figure


def plateau_figure(published: Numbers, studies: tuple[str, ...]) -> Drawer:
    """Makes a drawer of the plateau's length against the initial weights, a panel a rate.

    Args:
      studies: the first of them that was run is drawn.
    """

    def draw(run: Run):
        present = [name for name in studies if name in run.results]
        if not present:
            return None
        part = within(run, present[0])
        groups: dict[float, dict] = {}
        for config in part.result.configs:
            by_init = groups.setdefault(config["learning_rate"], {})
            by_init.setdefault(config["init"], config)  # the first of everything else
        ordered = dict(sorted(groups.items()))
        figure, axes = grid_of_panels(len(ordered), columns=2, width=6.0, height=4.2)
        for axis, (rate, by_init) in zip(axes.flat, ordered.items(), strict=False):
            by_size = {init: by_init[init] for init in sorted(by_init, key=by_scale)}
            draw_plateaus(axis, part, by_size, published)
            title = f"learning rate {rate:g}"
            plots.style(axis, title, "initial weights", "plateau, steps")
        words = "How long the training loss stays within 1 % of its start"
        # Short lines: a figure of one panel is narrow.
        spread = f"{spoken(part.name)}, n={part.seeds} seeds; boxes hold 50 %, whiskers 90 %"
        spread += "\nin words: share of seeds that never leaves it"
        figure.suptitle(title_of(run, lambda run: words, spread), fontsize=plots.FONT + 1)
        return figure

    return draw


def draw_plateaus(axis, run: Run, by_init: dict[int, dict], published: Numbers):
    """Draws a box of plateaus for each kind of initial weights."""
    groups, labels, never = [], [], []
    for init, config in by_init.items():
        moments = lane_moments(run.lanes(config), stayed, "train_loss")
        finite = moments[np.isfinite(moments)]
        groups.append(finite if len(finite) else [np.nan])
        never.append(f"{np.mean(np.isinf(moments)):.0%} never")
        labels.append(spoken(INITS[init]))
    plots.distributions(axis, groups, labels, plots.colours(len(groups)))
    # Half of the boxes are at zero: a logarithmic axis that begins linearly.
    axis.set_yscale("symlog", linthresh=10)
    axis.set_ylim(-1, 30 * run.result.steps.max())  # room for the legend above all boxes
    # Inside the panel: the labels of the axis are shared, and would be those of the last panel.
    for place, words in enumerate(never, 1):
        axis.annotate(words, (place, 0.35), (0, 3), textcoords="offset points", ha="center")
    first = next(iter(by_init.values()))
    numbers = {place: published(first) for place in range(1, len(groups) + 1)}
    draw_published(axis, numbers, f"{published.report}, one run")


def called(config: dict) -> dict:
    """Names a config in a legend by what was open."""
    return in_words({name: config[name] for name in config if name not in ("samples", "noise")})
