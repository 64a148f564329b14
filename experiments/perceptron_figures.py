"""Draws the perceptron experiments: R2's table as heat maps, R1's sweeps and groups."""

import operator
from typing import NamedTuple

import numpy as np

from experiments.figures import DIAMOND, finals, heat_map, median_lane
from experiments.frame import Run
from experiments.references import R1, R2
from jaxdl import Result, plots
from jaxdl.data import bayes_accuracy

DRAWN = 30  # lines of further seeds in a group's panel
FINE = 200  # points of the Bayes accuracy's curve


class Look(NamedTuple):
    """How a rule is drawn, and how long it was trained."""

    colour: str
    mark: str
    line: str
    label: str


LOOKS = {
    "online": Look(plots.PALETTE[0], "o", "-", "online, 100 epochs"),
    "batch": Look(plots.PALETTE[1], "s", "--", "batch, 1000 epochs"),
    "majority": Look(plots.PALETTE[2], "^", "-.", "majority, 100 epochs"),
}


def grid_figure(run: Run):
    """Draws R2's table beside every variant's medians, with the share of seeds close to it."""
    rows = run.rows_of("r2")
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    means, covariances = (
        sorted({row[name] for row in rows}, reverse=True) for name in R2.grid.names
    )
    figure, axes = plots.figure(1, len(variants) + 1, width=4.1, height=4.2)
    printed = {cell: (value, f"{value:g}") for cell, value in R2.grid.values.items()}
    heat_map(axes[0, 0], printed, means, covariances, "R2, published (1 seed)")
    scores = run.findings["closeness"]
    for axis, variant in zip(axes[0, 1:], variants, strict=True):
        mine = [row for row in rows if row["variant"] == variant]
        cells = {(row["mean"], row["variance"]): median_and_closeness(row) for row in mine}
        close = f": {scores[variant]:.1%} close" if variant in scores else ""
        image = heat_map(axis, cells, means, covariances, variant + close)
    for axis in axes[0]:
        axis.set_xlabel("covariance c")
        axis.set_ylabel("mean m")
    figure.colorbar(image, ax=axes[0, -1], label="test accuracy", shrink=0.8)
    best = run.findings.get("likeliest")
    headline = f"R2's table is likeliest under {' and '.join(best)}. " if best else ""
    words = f"Median test accuracy over n={rows[0]['n']} seeds; in %: seeds within one test point"
    figure.suptitle(f"{headline}{words}; titles: geometric mean", fontsize=plots.FONT + 1)
    return figure


def median_and_closeness(row: dict) -> tuple[float, str]:
    """Gives a cell's median, and words for it with the share of seeds near the report."""
    entry = row["test_accuracy"]
    close = entry.get("within_a_point")
    words = f"{entry['median']:.3g}"
    return entry["median"], words if close is None else f"{words}\n{close:.0%}"


def others(result: Result) -> dict:
    """Gives the first values of further swept names: what a figure is drawn for."""
    own = ("rule", "distance", "variance", "group")
    return {name: value for name, value in result.configs[0].items() if name not in own}


def sweeps_figure(run: Run):
    """Draws convergence share and test accuracy against distance and against variance."""
    result = run.results["sweeps"]
    same = others(result)
    rows = [row for row in run.rows_of("sweeps") if {**row, **same} == row]
    figure, axes = plots.figure(2, 2, sharey="row")
    columns = (("distance", "variance", R1.variance), ("variance", "distance", R1.distance))
    for (shares, accuracies), (over, fixed, value) in zip(axes.T, columns, strict=True):
        on_line = [row for row in rows if row[fixed] == value]
        on_line.sort(key=operator.itemgetter(over))
        for rule in dict.fromkeys(row["rule"] for row in rows):
            mine = [row for row in on_line if row["rule"] == rule]
            draw_shares(shares, mine, over, rule)
            draw_accuracies(accuracies, result, mine, over, rule)
        draw_ceiling(accuracies, on_line, over)
        draw_claims(accuracies, on_line, over)
        where = f"{over} ({fixed} {value:g})"
        plots.style(shares, f"Share that converges, by {over}", where, "share, 95 % interval")
        title = f"Test accuracy, by {over}: median, 50 and 90 %"
        plots.style(accuracies, title, where, "test accuracy (40 points)")
    for axis in axes[:, 1]:
        axis.set_xscale("log")
    axes[0, 0].legend(fontsize=plots.FONT - 2)
    axes[1, 1].legend(fontsize=plots.FONT - 2)
    data_sets = f"n={rows[0]['n']} data sets a point"
    figure.suptitle(f"{separable_from(run, rows)}{data_sets}", fontsize=plots.FONT + 1)
    return figure


def separable_from(run: Run, rows: list[dict]) -> str:
    """Says from which distance on nearly all data sets are separated; nothing in a quick run."""
    at_variance = [row for row in rows if row["variance"] == R1.variance]
    sure = [row["distance"] for row in at_variance if row["converged"]["share"] >= 0.95]
    if run.request.quick or not sure:
        return ""
    return (
        f"At variance {R1.variance:g}, 95 % of data sets converge from distance {min(sure):g} up; "
        "accuracy follows the Bayes bound, "
    )


def draw_shares(axis, rows: list[dict], over: str, rule: str):
    """Draws the share of lanes that converge, with its interval."""
    look = LOOKS[rule]
    share = np.array([row["converged"]["share"] for row in rows])
    ends = np.array([row["converged"]["interval"] for row in rows]).T
    axis.errorbar(
        [row[over] for row in rows],
        share,
        yerr=np.abs(ends - share),
        color=look.colour,
        marker=look.mark,
        linestyle=look.line,
        capsize=3,
        label=look.label,
    )
    axis.set_ylim(-0.03, 1.03)


def draw_accuracies(axis, result: Result, rows: list[dict], over: str, rule: str):
    """Draws the test accuracy's distribution over data sets."""
    look = LOOKS[rule]
    configs = [{name: row[name] for name in result.axes} for row in rows]
    values, lost = finals(result, "test_accuracy", configs)
    at = [row[over] for row in rows]
    plots.band(axis, at, values, rule, look.colour, look.line, diverged=lost)


def draw_ceiling(axis, rows: list[dict], over: str):
    """Draws the Bayes accuracy over the range of a sweep."""
    low, high = float(rows[0][over]), float(rows[-1][over])
    if over == "distance":
        fine = np.linspace(low, high, FINE)
        best = bayes_accuracy(fine, R1.variance)
    else:
        # The axis is logarithmic, so a variance of 0 has no place on it.
        fine = np.geomspace(max(low, 1e-3 * high, 1e-6), max(high, 1e-6), FINE)
        best = bayes_accuracy(R1.distance, fine)
    axis.plot(fine, best, ":", color="black", linewidth=2, label="Bayes accuracy")


def draw_claims(axis, rows: list[dict], over: str):
    """Draws what R1 claims as diamonds."""
    claims = {row[over]: row["test_accuracy"]["published"] for row in rows}
    printed = {at: value for at, value in claims.items() if value is not None}
    if printed:
        label = f"R1, {R1.runs} runs"
        axis.plot(list(printed), list(printed.values()), "D", label=label, **DIAMOND)


def groups_figure(run: Run):
    """Draws the points of one seed in every group, its separating lines, and other seeds'."""
    study, result = run.studies["groups"], run.results["groups"]
    figure, axes = plots.figure(1, len(R1.groups), width=4.2, height=4.3)
    rules = list(dict.fromkeys(config["rule"] for config in result.configs))
    for number, (axis, group) in enumerate(zip(axes[0], R1.groups, strict=True)):
        same = {"group": number, **others(result)}
        lane = median_lane(study, result, {"rule": rules[0], **same}, "test_accuracy")
        draw_points(axis, lane.dataset)
        draw_other_lines(axis, result, {"rule": rules[-1], **same})
        for rule in rules:
            params, _, _ = study.replay({"rule": rule, **same}, lane.seed)
            look = LOOKS[rule]
            draw_line(
                axis,
                np.ravel(params.weight),
                float(params.bias[0]),
                color=look.colour,
                linestyle=look.line,
                linewidth=2,
                label=rule,
            )
        mine = [row for row in run.rows_of("groups") if row["group"] == group]
        means = [f"{row['rule']} {row['test_accuracy']['mean']:.1%}" for row in mine]
        title = f"{group} (seed {lane.seed})\nmean test acc: {', '.join(means)}"
        plots.style(axis, title, "x1", "x2")
    axes[0, 0].legend(fontsize=plots.FONT - 2, loc="upper left")
    thin = f"thin: {rules[-1]} rule, {DRAWN} other seeds"
    title = f"R1's groups and lines of the median seed ({thin}; n={lane.of} in the means)"
    figure.suptitle(title, fontsize=plots.FONT + 1)
    return figure


def draw_points(axis, data):
    """Draws the training points in a square with some room."""
    x, targets = np.asarray(data.train_x), np.asarray(data.train_targets)
    for value, mark, colour in ((1, "o", plots.PALETTE[3]), (-1, "^", plots.PALETTE[5])):
        look = {"color": colour, "markersize": 4, "markeredgewidth": 0}
        axis.plot(*x[:, targets == value], mark, label=f"class {value:+d}", **look)
    low, high = x.min(axis=1), x.max(axis=1)
    half = 0.62 * max(high - low)
    centre = (low + high) / 2
    axis.set_xlim(centre[0] - half, centre[0] + half)
    axis.set_ylim(centre[1] - half, centre[1] + half)


def draw_other_lines(axis, result: Result, config: dict):
    """Draws the separating lines of further seeds."""
    places = result.rows(config)[:DRAWN]
    names = [f"{name}_mean" for name in ("weight_1", "weight_2", "bias")]
    for first, second, bias in np.stack([result.final(name)[places] for name in names], axis=1):
        draw_line(axis, (first, second), bias, color="grey", linewidth=0.6, alpha=0.45)


def draw_line(axis, weight, bias: float, **look):
    """Draws the line w x + b = 0, long enough to cross the panel; nothing for w = 0."""
    weight = np.asarray(weight, float)
    square = float(weight @ weight)
    if square > 0:
        foot = -bias * weight / square
        along = np.array([-weight[1], weight[0]]) / np.sqrt(square)
        ends = foot[:, None] + 1e3 * along[:, None] * np.array([-1, 1])
        axis.plot(*ends, scalex=False, scaley=False, **look)
