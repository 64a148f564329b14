"""Draws a record of `lanes`: the rate against lanes vmapped together, and the roofline."""

import textwrap

import numpy as np

from benchmarks.harness import Figures, entry_of
from benchmarks.report import number
from jaxdl import plots

LAYOUTS = {"": ("o", "-", "batch last"), ", batch first": ("s", "--", "batch first")}


def figure(record: Figures):
    """Draws the lane-steps a second by lanes a device, and the roofline where it was measured."""
    rows = record["findings"].get("roofline", [])
    drawing, axes = plots.figure(1, 2 if rows else 1, width=7.0, height=5.0)
    draw_lanes(axes[0, 0], record)
    if rows:
        draw_roofline(axes[0, 1], {row["name"]: row for row in rows})
    for axis in axes.flat:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(alpha=0.25)
    return drawing


def draw_lanes(axis, record: Figures) -> None:
    """Draws a line a batch size and layout; the planner's choice is a star."""
    colours = plots.colours(len(record["cases"]))
    for case, colour in zip(record["cases"], colours, strict=True):
        size = case["case"]["batch_size"]
        for suffix, (mark, line, words) in LAYOUTS.items():
            names = [entry["name"] for entry in case["contestants"]]
            lanes = [n for n in case["case"]["lanes"] if f"{n}{suffix}" in names]
            entries = [entry_of(case, f"{n}{suffix}") for n in lanes]
            rates = [np.median(entry["rates"]) if entry else np.nan for entry in entries]
            label = f"batch {size}, {words}"
            axis.plot(lanes, rates, mark, linestyle=line, color=colour, label=label)
        planned = entry_of(case, "planned")
        if planned:
            place = planned["facts"]["lane_size"], np.median(planned["rates"])
            axis.plot(*place, "*", color=colour, markersize=15, markeredgecolor="black")
    axis.legend(fontsize=plots.FONT - 4)
    title = textwrap.fill(f"{saturation(record)} (stars: the planner's choice)", 56)
    title += f"\nn={record['rounds']} rounds in turns, medians"
    plots.style(axis, title, "lanes vmapped together on a device", "lane-steps a second")


def saturation(record: Figures) -> str:
    """Says how near the planner's choice comes to the best number of lanes."""
    ratios = []
    for case in record["cases"]:
        planned = entry_of(case, "planned")
        others = [e for e in case["contestants"] if e["name"].isdigit() and e["status"] == "timed"]
        if planned and others:
            best = max(np.median(entry["rates"]) for entry in others)
            ratios.append(np.median(planned["rates"]) / best)
    if not ratios:
        return "Lanes vmapped together"
    worst = number(min(ratios))
    return f"The planner's lanes reach at least {worst} of the best fixed number's rate"


def draw_roofline(axis, rows: dict[str, Figures]) -> None:
    """Draws the two roofs of the machine and the networks below them."""
    operations, bandwidth = rows["products"]["per_second"], rows["sums"]["per_second"]
    networks = {name: row for name, row in rows.items() if row["intensity"]}
    intensities = [row["intensity"] for row in networks.values()]
    ridge = operations / bandwidth
    x = np.geomspace(min(*intensities, ridge) / 4, max(*intensities, ridge) * 4, 100)
    roof = np.minimum(operations, x * bandwidth) / 1e9
    axis.plot(
        x,
        roof,
        color="black",
        label=f"{operations / 1e9:.3g} GFLOP/s, {bandwidth / 1e9:.3g} GB/s, measured",
    )
    for place, (name, row) in enumerate(networks.items()):
        colour, mark = plots.PALETTE[place % 8], "os^Dv"[place % 5]
        label = f"{name}: {row['share'][1]:.0%} of the products' rate"
        axis.plot(row["intensity"], row["per_second"] / 1e9, mark, color=colour, label=label)
    axis.legend(fontsize=plots.FONT - 4, loc="lower right")
    best = max(networks.values(), key=lambda row: row["share"][1])
    finding = f"{best['name']} comes nearest to this machine's peak"
    # faster than all its bytes could come from memory
    if any(row["per_second"] > row["intensity"] * bandwidth for row in networks.values()):
        finding += "; what lies above the slope, which is its memory's, stays in a cache"
    title = textwrap.fill(finding, 56)
    words = "operations a byte of the arrays computed", "GFLOP/s"
    plots.style(axis, title, *words)
