"""Draws the perceptron experiments: R2's table as heat maps, R1's sweeps and groups."""

import operator
from typing import NamedTuple

import numpy as np

from experiments.drawing import MedianLane, draw_published, finals, heat_map, median_lane
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
    means = sorted({row["mean"] for row in rows}, reverse=True)
    covariances = sorted({row["variance"] for row in rows}, reverse=True)
    panels = {"R2, published (1 seed)": printed_cells()}
    scores = run.findings["closeness"]
    for variant in variants:
        # Only where one of R2's own cells was run is there a distance to its table.
        close = f": {scores[variant]:.1%} close" if variant in scores else ""
        mine = [row for row in rows if row["variant"] == variant]
        panels[variant + close] = our_cells(mine)
    figure, axes = plots.figure(1, len(panels), width=4.1, height=4.2)
    for axis, (title, cells) in zip(axes[0], panels.items(), strict=True):
        image = heat_map(axis, cells, means, covariances)
        plots.style(axis, title, "covariance c", "mean m")
    figure.colorbar(image, ax=axes[0, -1], label="test accuracy", shrink=0.8)
    best = run.findings.get("likeliest")
    headline = f"R2's table is likeliest under {' and '.join(best)}. " if best else ""
    words = f"Median test accuracy over n={rows[0]['n']} seeds"
    legend = "in %: seeds within one test point; titles: geometric mean"
    figure.suptitle(f"{headline}{words}; {legend}", fontsize=plots.FONT + 1)
    return figure


def printed_cells() -> dict:
    """Gives R2's numbers, with words for them."""
    return {cell: (value, f"{value:g}") for cell, value in R2.grid.values.items()}


def our_cells(rows: list[dict]) -> dict:
    """Gives a variant's medians, with words for them."""
    cells = {}
    for row in rows:
        cells[row["mean"], row["variance"]] = median_and_closeness(row)
    return cells


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
    draw_sweep(axes[:, 0], result, rows, "distance", "variance", R1.variance)
    draw_sweep(axes[:, 1], result, rows, "variance", "distance", R1.distance)
    for axis in axes[:, 1]:
        axis.set_xscale("log")
    axes[0, 0].legend(fontsize=plots.FONT - 2)
    axes[1, 1].legend(fontsize=plots.FONT - 2)
    data_sets = f"n={rows[0]['n']} data sets a point"
    figure.suptitle(f"{separable_from(run, rows)}{data_sets}", fontsize=plots.FONT + 1)
    return figure


def draw_sweep(axes, result: Result, rows: list[dict], over: str, fixed: str, value: float):
    """Draws one sweep, the other hyper-parameter fixed: shares above, accuracies below."""
    shares, accuracies = axes
    on_line = [row for row in rows if row[fixed] == value]
    # The sweeps share the point where they meet, which stands at the end of one of them.
    on_line.sort(key=operator.itemgetter(over))
    for rule in dict.fromkeys(row["rule"] for row in rows):
        mine = [row for row in on_line if row["rule"] == rule]
        draw_shares(shares, mine, over, rule)
        draw_accuracies(accuracies, result, mine, over, rule)
    draw_ceiling(accuracies, on_line, over)
    claims = {row[over]: row["test_accuracy"]["published"] for row in on_line}
    draw_published(accuracies, claims, f"R1, {R1.runs} runs")
    where = f"{over} ({fixed} {value:g})"
    plots.style(shares, f"Share that converges, by {over}", where, "share, 95 % interval")
    title = f"Test accuracy, by {over}: median, 50 and 90 %"
    plots.style(accuracies, title, where, "test accuracy (40 points)")


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
    # Wilson's interval is not symmetric about the share: its ends as distances.
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


def groups_figure(run: Run):
    """Draws the points of one seed in every group, its separating lines, and other seeds'."""
    result = run.results["groups"]
    rules = list(dict.fromkeys(config["rule"] for config in result.configs))
    figure, axes = plots.figure(1, len(R1.groups), width=4.2, height=4.3)
    for number, (axis, group) in enumerate(zip(axes[0], R1.groups, strict=True)):
        same = {"group": number, **others(result)}
        lane = draw_group(axis, run, rules, same)
        mine = [row for row in run.rows_of("groups") if row["group"] == group]
        means = [f"{row['rule']} {row['test_accuracy']['mean']:.1%}" for row in mine]
        title = f"{group} (seed {lane.seed})\nmean test acc: {', '.join(means)}"
        plots.style(axis, title, "x1", "x2")
    axes[0, 0].legend(fontsize=plots.FONT - 2, loc="upper left")
    thin = f"thin: {rules[-1]} rule, {DRAWN} other seeds"
    title = f"R1's groups and lines of the median seed ({thin}; n={lane.of} in the means)"
    figure.suptitle(title, fontsize=plots.FONT + 1)
    return figure


def draw_group(axis, run: Run, rules: list[str], same: dict) -> MedianLane:
    """Draws one group; gives the lane that is drawn, the median under the first rule."""
    study = run.studies["groups"]
    result = run.results["groups"]
    lane = median_lane(study, result, {"rule": rules[0], **same})
    draw_points(axis, lane.dataset)
    draw_other_lines(axis, result, {"rule": rules[-1], **same})
    for rule in rules:
        # The same data under every rule: seeds are paired.
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
    return lane


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
    numbers = []
    for name in R1.weights:
        # Recorded at every step, so that no lane need be trained again.
        numbers.append(result.final(f"{name}_mean")[places])
    for first, second, bias in zip(*numbers, strict=True):
        draw_line(axis, (first, second), bias, color="grey", linewidth=0.6, alpha=0.45)


def draw_line(axis, weight, bias: float, **look):
    """Draws the line w x + b = 0, long enough to cross the panel; nothing for w = 0."""
    weight = np.asarray(weight, float)
    square = float(weight @ weight)
    if square > 0:
        # From the foot of the perpendicular along the line, far beyond the panel.
        foot = -bias * weight / square
        along = np.array([-weight[1], weight[0]]) / np.sqrt(square)
        ends = foot[:, None] + 1e3 * along[:, None] * np.array([-1, 1])
        axis.plot(*ends, scalex=False, scaley=False, **look)
