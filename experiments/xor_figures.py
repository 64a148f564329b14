"""The figures of xor_grid: R3's tables beside ours as heat maps, learning curves, predictions beside the truth."""

import numpy as np

from experiments import r3
from experiments.report import written
from jaxdl import plots, stats
from jaxdl.data import xor
from jaxdl.sampling import seed_key
from jaxdl.study import Result, Study

LIGHT = 0.72  # cells above this value are light in the colour map: dark text
BASE = {"activation": "sigmoid", "optimizer": "sgd", "learning_rate": 0.01, "width": 16}
MARKS = (("o", plots.PALETTE[0]), ("^", plots.PALETTE[1]))


def table_figure(rows: list[dict], activation: str, optimizer: str):
    """R3's table, the median and the share of seeds at 100 % side by side, a row of panels a data set."""
    rows = [row for row in rows if (row["activation"], row["optimizer"]) == (activation, optimizer)]
    names = list(dict.fromkeys(row["data"] for row in rows))
    rates, widths = (list(dict.fromkeys(row[name] for row in rows)) for name in ("learning_rate", "width"))
    made, axes = plots.figure(len(names), 3, width=4.6, height=3.7)
    n, best = rows[0]["n"], {}
    for panels, name in zip(axes, names, strict=True):
        mine = {(row["learning_rate"], row["width"]): row for row in rows if row["data"] == name}
        best[name] = max(row["solved"]["share"] for row in mine.values())
        of_data = np.array([[_values(mine[rate, width]) for width in widths] for rate in rates], float)
        titles = (
            f"{written(name)}: R3 (1 seed)",
            f"{written(name)}: median accuracy",
            f"{written(name)}: share of seeds at 100 %",
        )
        for place, (panel, title) in enumerate(zip(panels, titles, strict=True)):
            image = _heat(panel, of_data[..., place], rates, widths, title)
        made.colorbar(image, ax=panels.tolist(), label="accuracy or share", shrink=0.9)
    number = f"Table {r3.PAIRS.index((activation, optimizer)) + 1}, " if (activation, optimizer) in r3.PAIRS else ""
    shares = ", ".join(f"{written(name)} {share:.0%}" for name, share in best.items())
    made.suptitle(
        f"{number}{written(activation)}, {written(optimizer)}, {how(rows[0])}: seeds at 100 % in the best cell: {shares} (n={n} seeds a cell)",
        fontsize=plots.FONT + 1,
    )
    return made


def how(config: dict) -> str:
    """What R3 leaves open, in words."""
    return f"{'one example a step' if config['batch'] == 'one' else 'full batch'}, {'' if config['bias'] else 'no '}trained bias"


def _values(row: dict) -> tuple:
    entry = row["test_accuracy"]
    return (np.nan if entry["published"] is None else entry["published"], entry["median"], row["solved"]["share"])


def _heat(panel, values: np.ndarray, rates, widths, title: str):
    shown = np.where(np.isfinite(values), values, np.nan)
    image = panel.imshow(shown, vmin=0.0, vmax=1.0, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        words = "-" if np.isnan(value) else f"{100 * value:.1f}".removesuffix(".0")
        panel.text(
            column,
            row,
            words,
            ha="center",
            va="center",
            fontsize=plots.FONT - 2,
            color="black" if not value <= LIGHT else "white",
        )
    panel.set_xticks(range(len(widths)), [str(width) for width in widths])
    panel.set_yticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    plots.style(panel, title, "hidden units h", "learning rate")
    return image


def base_of(result: Result, name: str, protocol: dict | None = None) -> dict:
    """The config on a data set (and under a protocol) nearest to R3's base run: as many of its values as were run."""
    wanted = {"data": name, **(protocol or {})}
    fitting = [config for config in result.configs if {**config, **wanted} == config]
    return max(fitting, key=lambda config: sum(config[key] == value for key, value in BASE.items()))


def curves_figure(result: Result):
    """Accuracy and loss against the epoch at the base run's rate and width, a curve an activation and optimizer."""
    names = list(dict.fromkeys(lane["data"] for lane in result.lanes))
    groups = r3.lanes_by_config(result)
    made, axes = plots.figure(2, len(names), sharex=True)
    ends: list[str] = []
    for name, panels in zip(names, axes.T, strict=True):
        base = base_of(result, name)
        same = ("data", "learning_rate", "width", *r3.PROTOCOL)
        shown = [(config, lanes) for config, lanes in groups if all(config[key] == base[key] for key in same)]
        for (config, lanes), colour, line in zip(shown, plots.colours(len(shown)), plots.LINES * 8, strict=False):
            steps = (result.steps if result.steps.ndim == 1 else result.steps[lanes[0]]) / epoch_steps(config)
            kept = steps >= 0
            for panel, metric in zip(panels, ("test_accuracy", "train_loss"), strict=True):
                label = f"{written(config['activation'])}, {written(config['optimizer'])}"
                plots.band(panel, steps[kept], result.metric(metric)[lanes][:, kept], label, colour, line, metric == "test_accuracy",
                           result.lost(lanes)[:, kept])  # fmt: skip
        where = f"{written(name)}: rate {base['learning_rate']:g}, h = {base['width']}, n={len(shown[0][1])} seeds"
        plots.style(panels[0], where, "epoch", "accuracy")
        plots.style(panels[1], f"{written(name)}: loss", "epoch", f"loss ({base['loss'].upper()})")
        panels[1].set_yscale("log")
        ends.append(f"{written(name)} {max(np.median(result.final('test_accuracy')[lanes]) for _, lanes in shown):.0%}")
    axes[0, 0].legend(fontsize=plots.FONT - 2, loc="lower right")
    made.suptitle(f"Learning curves: median, 50 and 90 % of seeds\nbest final median: {', '.join(ends)}", fontsize=plots.FONT + 1)
    return made


def epoch_steps(config: dict) -> int:
    """Updates of an epoch."""
    return r3.POINTS[config["data"]] if config["batch"] == "one" else 1


def base_figure(study: Study, result: Result, protocol: dict | None = None):
    """The truth over the plane beside what the median lane of the base run predicts (under a protocol), a row a data set."""
    names = list(dict.fromkeys(lane["data"] for lane in result.lanes))
    made, axes = plots.figure(len(names), 2, width=5.2, height=4.4)
    final, said = result.final("test_accuracy"), []
    for name, (left, right) in zip(names, axes, strict=True):
        config = base_of(result, name, protocol)
        lanes = result.rows(config)
        order = np.argsort(stats.ranked(final[lanes], result.diverged[lanes], True), kind="stable")
        seed = result.lanes[lanes[order[len(lanes) // 2]]]["seed"]
        params, state, history = study.replay(config, seed)
        recipe = study.recipe(config)
        data = recipe.task.data(seed_key(seed)) if callable(recipe.task.data) else recipe.task.data
        x, targets = np.asarray(data.test_x), np.asarray(data.test_targets)
        share = np.mean(final[lanes] == 1)
        said.append(f"{written(name)} {share:.0%}")
        _plane(left, truth(name), x, targets)
        shown = _plane(right, prediction(recipe.model, params, state, config), x, targets)
        plots.style(left, f"{written(name)}: the truth" + (" (nearest point's class)" if name == "xor" else ""), "x1", "x2")
        plots.style(
            right,
            f"{written(name)}: predicted, {history['test_accuracy'][-1]:.1%} right\n(seed {seed}, the median of {len(lanes)})",
            "x1",
            "x2",
        )
        made.colorbar(shown, ax=[left, right], label="probability of class 1")
    words = f"{config['width']} hidden units, rate {config['learning_rate']:g}, {written(config['activation'])}, {written(config['optimizer'])}"
    found = f"seeds at 100 %: {', '.join(said)} (n={len(lanes)} each)"
    made.suptitle(f"{words}, {how(config)}:\n{found}", fontsize=plots.FONT + 1)
    return made


def prediction(model, params, state, config: dict):
    """The probability of class 1 as a function of points (2, batch)."""
    return lambda grid: probability(model.apply(params, state, grid)[0], config)


def truth(name: str):
    """The class of every point of the plane: below the diagonal, or that of the nearest of XOR's points."""

    def nearest(grid):
        points, targets = xor()
        distance = np.sum((grid[:, :, None] - points[:, None, :]) ** 2, axis=0)
        return targets[np.argmin(distance, axis=1)]

    return nearest if name == "xor" else lambda grid: (grid[0] > grid[1]).astype(float)


def probability(outputs, config: dict) -> np.ndarray:
    """The probability of class 1: of a logit, or a regression cut to [0, 1]."""
    values = np.asarray(outputs[0], float)
    return np.clip(values, 0, 1) if config["loss"] == "mse" else 1 / (1 + np.exp(-np.clip(values, -500, 500)))


def _plane(panel, predict, x, targets, resolution: int = 121):
    """A function over the unit square and a margin, with the points over it."""
    along = np.linspace(-0.1, 1.1, resolution)
    grid = np.stack([part.ravel() for part in np.meshgrid(along, along)]).astype(np.float32)
    values = np.asarray(predict(grid), float).reshape(resolution, resolution)
    shown = panel.contourf(along, along, values, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.55)
    panel.contour(along, along, values, levels=[0.5], colors="black", linewidths=1.2)
    for number, (mark, colour) in enumerate(MARKS):
        panel.plot(*x[:, targets == number], mark, color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.5)
    panel.set_aspect("equal")
    return shown
