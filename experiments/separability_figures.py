"""The figures of perceptron_separability: both sweeps against the Bayes accuracy, and R1's groups with their lines."""

import numpy as np

from jaxdl import plots, stats
from jaxdl.data import bayes_accuracy
from jaxdl.sampling import seed_key
from jaxdl.study import Result, Study

COLOURS = {"online": plots.PALETTE[0], "batch": plots.PALETTE[1], "majority": plots.PALETTE[2]}
MARKS = {"online": "o", "batch": "s", "majority": "^"}
LINES = {"online": "-", "batch": "--", "majority": "-."}
DRAWN = 30  # lines of further seeds in a group's panel


def sweeps_figure(result: Result, rows: list[dict]):
    """Convergence share and test accuracy against distance and against variance."""
    extra = _others(result)
    rows = [row for row in rows if row["study"] == "sweeps" and all(row[name] == value for name, value in extra.items())]
    made, axes = plots.figure(2, 2, sharey="row")
    for column, (name, fixed, value) in enumerate((("distance", "variance", 0.5), ("variance", "distance", 6.0))):
        for rule in dict.fromkeys(row["rule"] for row in rows):
            chosen = sorted((row for row in rows if row["rule"] == rule and row[fixed] == value), key=lambda row: row[name])
            _shares(axes[0, column], chosen, name, rule)
            _accuracies(axes[1, column], result, chosen, name, rule)
        _ceiling(axes[1, column], chosen, name)
        claims = [(row[name], row["test_accuracy"]["published"]) for row in chosen if row["test_accuracy"]["published"]]
        if claims:
            axes[1, column].plot(
                *zip(*claims, strict=True), "D", color="black", markerfacecolor="white", markersize=8, label="R1, 20 runs"
            )
        where = f"{name} ({fixed} {value:g})"
        plots.style(axes[0, column], f"Share that converges, by {name}", where, "share, 95 % interval")
        plots.style(axes[1, column], f"Test accuracy, by {name}: median, 50 and 90 %", where, "test accuracy (40 points)")
    for panel in axes[:, 1]:
        panel.set_xscale("log")
    axes[0, 0].legend(fontsize=plots.FONT - 2)
    axes[1, 1].legend(fontsize=plots.FONT - 2)
    made.suptitle(
        f"{_finding(rows)}, n={rows[0]['n']} data sets a point", fontsize=plots.FONT + 1
    )  # fmt: skip
    return made


def _others(result: Result) -> dict:
    """The first values of further swept names: what a figure is drawn for."""
    return {name: value for name, value in result.configs[0].items() if name not in ("rule", "distance", "variance", "group")}


def _finding(rows: list[dict]) -> str:
    sure = [row["distance"] for row in rows if row["variance"] == 0.5 and row["converged"]["share"] >= 0.95]
    if not sure:
        return "Which data sets a perceptron separates"
    return f"At variance 0.5, 95 % of data sets converge from distance {min(sure):g} up; accuracy follows the Bayes bound"


def _shares(panel, rows: list[dict], name: str, rule: str):
    x, share = [row[name] for row in rows], np.array([row["converged"]["share"] for row in rows])
    ends = np.array([row["converged"]["interval"] for row in rows]).T
    label = {"online": "online, 100 epochs", "batch": "batch, 1000 epochs"}.get(rule, rule)
    panel.errorbar(
        x,
        share,
        yerr=np.abs(ends - share),
        color=COLOURS[rule],
        marker=MARKS[rule],
        linestyle=LINES[rule],
        capsize=3,
        label=label,
    )
    panel.set_ylim(-0.03, 1.03)


def _accuracies(panel, result: Result, rows: list[dict], name: str, rule: str):
    names = result.axes
    lanes = [result.rows({axis: row[axis] for axis in names}) for row in rows]
    final = result.final("test_accuracy")
    curves = np.stack([final[chosen] for chosen in lanes], axis=1)
    lost = np.stack([result.diverged[chosen] for chosen in lanes], axis=1)
    plots.band(panel, [row[name] for row in rows], curves, rule, COLOURS[rule], LINES[rule], diverged=lost)


def _ceiling(panel, rows: list[dict], name: str):
    low, high = float(rows[0][name]), float(rows[-1][name])
    fine = np.linspace(low, high, 200) if name == "distance" else np.geomspace(max(low, 1e-3 * high, 1e-6), max(high, 1e-6), 200)
    best = bayes_accuracy(fine, 0.5) if name == "distance" else bayes_accuracy(6.0, fine)
    panel.plot(fine, best, ":", color="black", linewidth=2, label="Bayes accuracy")


def groups_figure(study: Study, result: Result, rows: list[dict], names):
    """The points of one seed in every group, its two separating lines, and those of other seeds."""
    made, axes = plots.figure(1, len(names), width=4.2, height=4.3)
    extra = _others(result)
    rules = list(dict.fromkeys(config["rule"] for config in result.configs))
    for number, (panel, group) in enumerate(zip(axes[0], names, strict=True)):
        lanes = result.rows({"rule": rules[0], "group": number, **extra})
        final = stats.ranked(result.final("test_accuracy")[lanes], result.diverged[lanes], True)
        seed = result.lanes[lanes[np.argsort(final, kind="stable")[len(lanes) // 2]]]["seed"]
        _points(panel, study, {"rule": rules[0], "group": number, **extra}, seed)
        _other_lines(panel, result, {"rule": rules[-1], "group": number, **extra})
        for rule in rules:
            params, _, _ = study.replay({"rule": rule, "group": number, **extra}, seed)
            _line(
                panel,
                np.ravel(params.weight),
                float(params.bias[0]),
                color=COLOURS[rule],
                linestyle=LINES[rule],
                linewidth=2,
                label=rule,
            )
        mine = [row for row in rows if row.get("group") == group]
        means = ", ".join(f"{row['rule']} {row['test_accuracy']['mean']:.1%}" for row in mine)
        plots.style(panel, f"{group} (seed {seed})\nmean test acc: {means}", "x1", "x2")
    axes[0, 0].legend(fontsize=plots.FONT - 2, loc="upper left")
    made.suptitle(
        f"R1's groups: far apart, any line does; close or wide, none can (100 epochs; thin: {rules[-1]} rule, {DRAWN} other seeds; "
        f"n={len(lanes)} in the means)", fontsize=plots.FONT + 1,
    )  # fmt: skip
    return made


def _points(panel, study: Study, config: dict, seed: int):
    data = study.recipe(config).task.data(seed_key(seed))
    x, targets = np.asarray(data.train_x), np.asarray(data.train_targets)
    for value, mark, colour in ((1, "o", plots.PALETTE[3]), (-1, "^", plots.PALETTE[5])):
        panel.plot(*x[:, targets == value], mark, color=colour, markersize=4, markeredgewidth=0, label=f"class {value:+d}")
    margin = 0.12 * np.ptp(x, axis=1)
    low, high = x.min(axis=1) - margin, x.max(axis=1) + margin
    half = max(high - low) / 2
    centre = (low + high) / 2
    panel.set_xlim(centre[0] - half, centre[0] + half)
    panel.set_ylim(centre[1] - half, centre[1] + half)


def _other_lines(panel, result: Result, config: dict):
    lanes = result.rows(config)[:DRAWN]
    first, second, bias = (result.final(f"{name}_mean")[lanes] for name in ("weight_1", "weight_2", "bias"))
    for a, b, c in zip(first, second, bias, strict=True):
        _line(panel, (a, b), c, color="grey", linewidth=0.6, alpha=0.45)


def _line(panel, weight, bias: float, **look):
    """The line w x + b = 0, long enough to cross the panel."""
    weight = np.asarray(weight, float)
    square = float(weight @ weight)
    if square > 0:
        foot, along = -bias * weight / square, np.array([-weight[1], weight[0]]) / np.sqrt(square)
        ends = foot[:, None] + 1e3 * along[:, None] * np.array([-1, 1])
        panel.plot(*ends, scalex=False, scaley=False, **look)
