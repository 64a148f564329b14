"""The figures of perceptron_grid: R2's table beside its variants as heat maps, R4's five tests as distributions."""

import numpy as np

from jaxdl import plots
from jaxdl.study import Result

LIGHT = 0.62  # cells above this accuracy are light in the colour map: dark text


def grid_figure(rows: list[dict], scales: dict, published: dict, scores: dict):
    """R2's published table and the median of every variant, with the share of seeds that come close to the table."""
    rows = [row for row in rows if row["study"] == "r2"]
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    means, variances = (sorted({row[name] for row in rows}, reverse=True) for name in scales)
    made, axes = plots.figure(1, len(variants) + 1, width=4.1, height=4.2)
    table = {cell: (value, f"{value:g}") for cell, value in published.items()}
    image = _heat(axes[0, 0], means, variances, table, "R2, published (1 seed)")
    for panel, variant in zip(axes[0, 1:], variants, strict=True):
        mine = {(row["mean"], row["variance"]): row["test_accuracy"] for row in rows if row["variant"] == variant}
        cells = {cell: (entry["median"], _words(entry)) for cell, entry in mine.items()}
        score = f": {10 ** scores[variant]:.1%} close" if variant in scores else ""
        _heat(panel, means, variances, cells, variant + score)
    made.colorbar(image, ax=axes[0, -1], label="test accuracy", shrink=0.8)
    best = f"R2's table is likeliest under '{max(scores, key=lambda name: scores[name])}'" if scores else "R2's grid"
    made.suptitle(
        f"{best}. Median test accuracy over n={rows[0]['n']} seeds; in %: seeds within one test point of R2, titles: geometric mean",
        fontsize=plots.FONT + 1,
    )
    return made


def _words(entry: dict) -> str:
    close = entry.get("within_a_point")
    return f"{entry['median']:.3g}" + ("" if close is None else f"\n{close:.0%}")


def _heat(panel, means, variances, cells: dict, title: str):
    values = np.array([[cells.get((m, c), (np.nan, ""))[0] for c in variances] for m in means])
    image = panel.imshow(values, vmin=0.0, vmax=1.0, cmap="cividis")
    for row, m in enumerate(means):
        for column, c in enumerate(variances):
            value, words = cells.get((m, c), (np.nan, "-"))
            panel.text(
                column, row, words, ha="center", va="center", fontsize=plots.FONT, color="black" if value > LIGHT else "white"
            )
    panel.set_xticks(range(len(variances)), [f"{c:g}" for c in variances])
    panel.set_yticks(range(len(means)), [f"{m:g}" for m in means])
    plots.style(panel, title, "covariance c", "mean m")
    return image


def tests_figure(result: Result, tests):
    """The test accuracies of every test and rule, without and with a bias, with R4's numbers as diamonds."""
    configs = result.configs
    rules, biases = (list(dict.fromkeys(config[name] for config in configs)) for name in ("rule", "bias"))
    numbers = sorted({config["test"] for config in configs})
    made, axes = plots.figure(1, len(biases), width=6.5, height=4.4, sharey=True)
    palette = plots.colours(len(rules))
    for panel, bias in zip(axes[0], biases, strict=True):
        for place, rule in enumerate(rules):
            groups = [result.final("test_accuracy")[result.rows({"rule": rule, "bias": bias, "test": n})] for n in numbers]
            at = [n + (place - (len(rules) - 1) / 2) * 0.36 for n in numbers]
            boxes = panel.boxplot(groups, positions=at, whis=(5, 95), widths=0.3, patch_artist=True, flierprops={"markersize": 2, "alpha": 0.3},
                                  medianprops={"color": "black"}, manage_ticks=False)  # fmt: skip
            for box in boxes["boxes"]:
                box.set(facecolor=palette[place], alpha=0.6)
        (mark,) = panel.plot(
            numbers, [tests[n - 1][-1] for n in numbers], "D", color="black", markerfacecolor="white", markersize=7
        )
        panel.set_xticks(numbers)
        panel.set_ylim(-0.02, 1.04)
        plots.style(panel, "with a bias" if bias else "without a bias (as R4)", "R4's test", "test accuracy (40 points)")
    from matplotlib.patches import Patch

    handles = [*(Patch(facecolor=colour, alpha=0.6) for colour in palette), mark]
    axes[0, -1].legend(handles, [*(f"{rule} rule" for rule in rules), "R4 (1 seed)"], fontsize=plots.FONT - 2, loc="lower left")
    n = len(result.rows(configs[0]))
    made.suptitle(
        f"A bias solves test 5, but not under R4's listed rule, whose bias stays 0 (n={n} seeds; boxes 50 %, whiskers 90 %)",
        fontsize=plots.FONT + 1,
    )
    return made
