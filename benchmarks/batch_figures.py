"""Draws how steps and time to a target depend on the batch size, from a record of `bgd_vs_sgd`."""

import textwrap

import numpy as np

from benchmarks.harness import Figures
from benchmarks.report import number
from jaxdl import plots

MARKS = {"fixed": ("s", "--"), "tuned": ("o", "-")}
SIDE = (6.4, 4.6)  # inches of a panel


def figure(record: Figures):
    """Draws a row a network: steps to the targets, with perfect scaling, and engine time to them.

    Points are medians over seeds with 95 % intervals; a median that is never reached has no point.
    """
    networks = [case["case"]["network"] for case in record["cases"]]
    drawing, axes = plots.figure(len(networks), 2, *SIDE)
    for name, (left, right) in zip(networks, axes, strict=True):
        rows = [row for row in record["findings"]["targets"] if row["network"] == name]
        draw_steps(left, rows)
        draw_perfect(left, rows)
        mark_noise(left, record, name)
        draw_time(right, rows)
        plots.style(left, steps_title(record, name), "batch size, examples", "steps to the target")
        plots.style(right, time_title(rows, name), "batch size, examples", "engine time to it, ms")
        for axis in (left, right):
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.grid(alpha=0.25)
            axis.legend(fontsize=plots.FONT - 4)
    return drawing


def groups(rows: list[Figures]) -> dict[tuple[str, float], list[Figures]]:
    """Groups rows by rule and target, those whose median gets there."""
    grouped: dict[tuple[str, float], list[Figures]] = {}
    for row in rows:
        reached = grouped.setdefault((row["rule"], row["target"]), [])
        if row["steps"]:
            reached.append(row)
    return grouped


def draw_steps(axis, rows: list[Figures]) -> None:
    """Draws the median steps with their intervals."""
    targets = sorted({row["target"] for row in rows})
    for (rule, target), each in groups(rows).items():
        sizes = [row["batch_size"] for row in each]
        steps = np.array([row["steps"] for row in each], float)
        ends = [ends_of(row, step) for row, step in zip(each, steps, strict=True)]
        whiskers = np.abs(np.array(ends).reshape(-1, 2).T - steps)
        mark, line = MARKS[rule]
        colour = plots.PALETTE[targets.index(target)]
        label = f"{target:.0%}, {rule} rate"
        axis.errorbar(
            sizes, steps, whiskers, fmt=mark, linestyle=line, color=colour, label=label, capsize=2
        )


def ends_of(row: Figures, step: float) -> list[float]:
    """Gives the interval of a median; where it has no finite end, the whisker is left out."""
    return [step if end is None else end for end in row["steps_interval"]]


def draw_perfect(axis, rows: list[Figures]) -> None:
    """Draws perfect scaling, from the smallest batch of the highest target that is reached."""
    tuned = {key: each for key, each in groups(rows).items() if key[0] == "tuned" and each}
    if not tuned:
        return
    first, *_ = tuned[max(tuned, key=lambda key: key[1])]
    sizes = np.array(sorted({row["batch_size"] for row in rows}), float)
    steps = first["steps"] * first["batch_size"] / sizes
    words = "perfect scaling: twice the batch, half the steps"
    axis.plot(sizes, steps, color="black", linewidth=1, linestyle=":", label=words)


def mark_noise(axis, record: Figures, name: str) -> None:
    """Marks the gradient noise scale at the training's end, where it lies among the sizes."""
    rows = [row for row in record["findings"]["noise"] if row["network"] == name]
    known = [row for row in rows if row["noise_scale"]]
    if known:
        scale = known[-1]["noise_scale"]
        words = f"noise scale after step {known[-1]['step']}: {number(scale)}"
        axis.axvline(scale, color=plots.PALETTE[3], linewidth=1.5, linestyle="-.", label=words)


def draw_time(axis, rows: list[Figures]) -> None:
    """Draws the median time to the targets."""
    targets = sorted({row["target"] for row in rows})
    for (rule, target), each in groups(rows).items():
        timed = [row for row in each if row["seconds"]]
        mark, line = MARKS[rule]
        axis.plot(
            [row["batch_size"] for row in timed],
            [1e3 * row["seconds"] for row in timed],
            marker=mark,
            linestyle=line,
            color=plots.PALETTE[targets.index(target)],
            label=f"{target:.0%}, {rule} rate",
        )


def steps_title(record: Figures, name: str) -> str:
    """States where perfect scaling ends, for the tuned rate and the highest target told."""
    rows = [row for row in record["findings"]["critical"] if row["network"] == name]
    tuned = [row for row in rows if row["rule"] == "tuned" and row["words"] != "not told"]
    seeds = {row["seeds"] for row in record["findings"]["targets"] if row["network"] == name}
    n = f"n={max(seeds)} seeds, medians with 95 % intervals"
    sentence = f"{name}: where perfect scaling ends cannot be told"
    if tuned:
        last = tuned[-1]
        sentence = (
            f"{name}: batch size where perfect scaling to {last['target']:.0%} ends, tuned rate: "
            f"{last['words']}"
        )
    return textwrap.fill(sentence, 52) + "\n" + n


def time_title(rows: list[Figures], name: str) -> str:
    """States which batch size gets to the highest target in the least time."""
    tuned = [row for row in rows if row["rule"] == "tuned" and row["seconds"]]
    if not tuned:
        return f"{name}: no batch size gets there"
    highest = max(row["target"] for row in tuned)
    best = min((r for r in tuned if r["target"] == highest), key=lambda row: row["seconds"])
    sentence = (
        f"{name}: a batch of {best['batch_size']} is first at {highest:.0%}, after "
        f"{number(1e3 * best['seconds'])} ms a lane (tuned rate)"
    )
    return textwrap.fill(sentence, 52)
