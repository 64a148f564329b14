"""Draws R3's tables beside ours as heat maps, and the base run's predictions beside the truth."""

from collections.abc import Mapping

import numpy as np

from experiments.columns import spoken
from experiments.drawing import MedianLane, heat_map, median_lane
from experiments.frame import Run
from experiments.references import R3
from experiments.unit_square import xor_points
from experiments.xor_networks import PROTOCOL
from experiments.xor_tables import table_number
from jaxdl import Result, plots

MARKS = (("o", plots.PALETTE[0]), ("^", plots.PALETTE[1]))
RESOLUTION = 121  # points along a side of the plane


def grid_maps(run: Run) -> dict:
    """Draws the heat maps of every table under the grid's protocol."""
    return maps(run.rows_of("grid"))


def likeliest_maps(run: Run) -> dict:
    """Draws those of the likeliest protocol; none where that is the grid's, or none is judged."""
    return maps(likeliest_rows(run))


def likeliest_rows(run: Run) -> list[dict]:
    """Gives the rows of the variants under the likeliest protocol."""
    ranked = run.findings.get("likelihoods")
    if not ranked:
        return []
    return [row for row in run.rows_of("variants") if {**row, **ranked[0].protocol} == row]


def maps(rows: list[dict]) -> dict:
    """Draws a figure a table: name -> figure."""
    pairs = dict.fromkeys((row["activation"], row["optimizer"]) for row in rows)
    return {f"{pair[0]}_{pair[1]}": table_figure(rows, pair) for pair in pairs}


def table_figure(rows: list[dict], pair: tuple[str, str]):
    """Draws R3's numbers, medians and shares at 100 % side by side, a row of panels a data set."""
    rows = [row for row in rows if (row["activation"], row["optimizer"]) == pair]
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plots.figure(len(names), 3, width=4.6, height=3.7)
    best = []
    for panels, name in zip(axes, names, strict=True):
        mine = [row for row in rows if row["data"] == name]
        image = draw_maps(panels, mine, spoken(name))
        figure.colorbar(
            image,
            ax=panels.tolist(),
            label="accuracy or share",
            shrink=0.9,
        )
        share = max(row["solved"]["share"] for row in mine)
        best.append(f"{spoken(name)} {share:.0%}")
    words = f"{spoken(pair[0])}, {spoken(pair[1])}, {protocol_words(rows[0])}"
    seeds = f"n={rows[0]['n']} seeds a cell"
    found = f"seeds at 100 % in the best cell: {', '.join(best)} ({seeds})"
    figure.suptitle(f"{table_number(pair)}{words}\n{found}", fontsize=plots.FONT + 1)
    return figure


def draw_maps(panels, rows: list[dict], name: str):
    """Draws a table on one data set three times: R3's numbers, medians, shares at 100 %."""
    rates = list(dict.fromkeys(row["learning_rate"] for row in rows))
    widths = list(dict.fromkeys(row["width"] for row in rows))
    printed, medians, shares = {}, {}, {}
    for row in rows:
        cell = row["learning_rate"], row["width"]
        printed[cell] = percent(row["test_accuracy"]["published"])
        medians[cell] = percent(row["test_accuracy"]["median"])
        shares[cell] = percent(row["solved"]["share"])
    titles = ("R3 (1 seed)", "median accuracy", "share of seeds at 100 %")
    for axis, cells, title in zip(panels, (printed, medians, shares), titles, strict=True):
        image = heat_map(axis, cells, rates, widths)
        plots.style(axis, f"{name}: {title}", "hidden units h", "learning rate")
    return image


def percent(value: float | None) -> tuple[float, str]:
    """Gives a cell's value, and words for it; a dash for what is missing."""
    if value is None or not np.isfinite(value):
        return np.nan, "-"
    return value, f"{100 * value:.1f}".removesuffix(".0")


def protocol_words(config: Mapping) -> str:
    """Writes what R3 leaves open in words."""
    batch = "one example a step" if config["batch"] == "one" else "full batch"
    return f"{batch}, {'' if config['bias'] else 'no '}trained bias"


def base_of(result: Result, name: str, protocol: Mapping) -> dict:
    """Finds the config on a data set that has most of the base run's values."""
    wanted = {"data": name, **protocol}
    fitting = [config for config in result.configs if {**config, **wanted} == config]
    base = R3.base_run.items()
    return max(fitting, key=lambda config: sum(config[key] == value for key, value in base))


def base_groups(run: Run) -> dict[str, list[dict]]:
    """Groups what differs from the base run in activation and optimizer alone, by data set."""
    groups = {}
    for name in dict.fromkeys(config["data"] for config in run.result.configs):
        base = base_of(run.result, name, {})
        same = {key: base[key] for key in ("data", "learning_rate", "width", *PROTOCOL)}
        configs = [config for config in run.result.configs if {**config, **same} == config]
        title = f"{spoken(name)}, rate {base['learning_rate']:g}, h = {base['width']}"
        groups[title] = configs
    return groups


def best_medians(run: Run) -> str:
    """Says which is the best median at the end on each data set."""
    words = []
    for title, configs in base_groups(run).items():
        medians = [run.result.summary("test_accuracy", config).median for config in configs]
        words.append(f"{title.partition(',')[0]} {max(medians):.0%}")
    return f"Best final median: {', '.join(words)}"


def base_run(run: Run):
    """Draws the base run under the grid's protocol."""
    return base_figure(run, "grid", {})


def likeliest_base_run(run: Run):
    """Draws the base run under the likeliest protocol, where that is another."""
    if not likeliest_rows(run):
        return None
    return base_figure(run, "variants", run.findings["likelihoods"][0].protocol)


def base_figure(run: Run, study: str, protocol: Mapping):
    """Draws the truth beside what the median lane of the base run predicts, a row a data set."""
    result = run.results[study]
    # A protocol may have been run on one of the data sets alone.
    fitting = [config for config in result.configs if {**config, **protocol} == config]
    names = list(dict.fromkeys(config["data"] for config in fitting))
    figure, axes = plots.figure(len(names), 2, width=5.2, height=4.4)
    words = []
    for name, panels in zip(names, axes, strict=True):
        config = base_of(result, name, protocol)
        lane = median_lane(run.studies[study], result, config)
        image = draw_predictions(panels, name, lane, config["loss"])
        figure.colorbar(image, ax=panels.tolist(), label="probability of class 1")
        final = result.final("test_accuracy")[result.rows(config)]
        words.append(f"{spoken(name)} {np.mean(final == 1):.0%}")
    functions = f"{spoken(config['activation'])}, {spoken(config['optimizer'])}"
    sizes = f"{config['width']} hidden units, rate {config['learning_rate']:g}"
    found = f"seeds at 100 %: {', '.join(words)} (n={lane.of} each)"
    title = f"{sizes}, {functions}, {protocol_words(config)}:\n{found}"
    figure.suptitle(title, fontsize=plots.FONT + 1)
    return figure


def draw_predictions(panels, name: str, lane: MedianLane, loss: str):
    """Draws the truth and a lane's predictions over the plane."""
    left, right = panels
    x = np.asarray(lane.dataset.test_x)
    targets = np.asarray(lane.dataset.test_targets)

    def predict(grid):
        return probability(lane.outputs(grid), loss)

    draw_plane(left, truth(name), x, targets)
    image = draw_plane(right, predict, x, targets)
    nearest = " (nearest point's class)" if name == "xor" else ""
    plots.style(left, f"{spoken(name)}: the truth{nearest}", "x1", "x2")
    accuracy = lane.history["test_accuracy"][-1]
    which = f"(seed {lane.seed}, the median of {lane.of})"
    title = f"{spoken(name)}: predicted, {accuracy:.1%} right\n{which}"
    plots.style(right, title, "x1", "x2")
    return image


def truth(name: str):
    """Makes the class of every point of the plane, that of the nearest of XOR's points."""

    def nearest(grid):
        points, targets = xor_points()
        distance = np.sum((grid[:, :, None] - points[:, None, :]) ** 2, axis=0)
        return targets[np.argmin(distance, axis=1)]

    def below_the_diagonal(grid):
        return (grid[0] > grid[1]).astype(float)

    return nearest if name == "xor" else below_the_diagonal


def probability(outputs, loss: str) -> np.ndarray:
    """Computes the probability of class 1: of a logit, or of a regression cut to [0, 1]."""
    # Outputs of wide networks overflow an exponential; 500 is as sure as can be told.
    values = np.asarray(outputs[0], float)
    if loss == "mse":
        return np.clip(values, 0, 1)
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))


def draw_plane(axis, predict, x, targets):
    """Draws a function over the unit square and a margin, with the points over it."""
    # A little beyond the unit square, whose corners are points of XOR.
    along = np.linspace(-0.1, 1.1, RESOLUTION)
    first, second = np.meshgrid(along, along)
    grid = np.stack([first.ravel(), second.ravel()]).astype(np.float32)
    values = np.asarray(predict(grid), float).reshape(first.shape)
    levels = np.linspace(0, 1, 11)
    image = axis.contourf(along, along, values, levels=levels, cmap="RdBu_r", alpha=0.55)
    axis.contour(along, along, values, levels=[0.5], colors="black", linewidths=1.2)
    for number, (mark, colour) in enumerate(MARKS):
        points = x[:, targets == number]
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.5}
        axis.plot(*points, mark, color=colour, markersize=5, **edge)
    axis.set_aspect("equal")
    return image
