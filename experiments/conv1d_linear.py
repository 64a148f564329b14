"""How surely does report R3's one-unit convolution learn to tell the sides of a line?

Protocol: report R3: dense(2 -> 1), tanh, a 1-D convolution over that sequence of length 1 (kernel 1, one channel), tanh again on
the output, binary cross-entropy of it as a logit, Adam at rate 0.1, 2000 epochs of the full batch; 100 points of the unit
square drawn anew for every seed, class 1 where x1 > x2, training set = test set. R3 does not state the initial weights: standard
normal with zero biases as in its other networks, and PyTorch's default, are run; --sweep bias=True,False adds no biases.

Command: python -m experiments conv1d_linear
Time: 20 seconds on 2 CPU cores at the default 500 seeds
Expected: 99.4 % [98.3, 99.8] of 500 seeds reach 100 % from normal weights, 99.8 % [98.9, 100] from PyTorch's.
"""

import numpy as np
import optax

from experiments.options import merge_sweeps, run_folder, run_study
from experiments.perceptrons import place
from experiments.report import Report, metric_entry, rows_of
from jaxdl import Study, models, plots, stats, tables, tasks
from jaxdl.checks import one_of
from jaxdl.layers import normal
from jaxdl.study import Result

INITS = {"normal": normal(1.0), "torch": "torch"}
SWEEP = {"learning_rate": [0.1], "init": list(INITS)}
DEFAULTS = {"bias": True, "samples": 100}
PUBLISHED = {(0.1, True): 1.0}  # (rate, bias) -> accuracy
SEEDS = 500


def build(options) -> tuple[Study, dict]:
    """The study that the options ask for, and its sweep."""
    sweep, defaults = merge_sweeps(SWEEP, DEFAULTS, options.sweep)
    for value in sweep["init"]:
        one_of("init", value, INITS)
    study = Study(
        task=lambda hp: tasks.linear(hp.samples),
        model=lambda hp: models.conv1d(2, init=INITS[hp.init], bias=hp.bias),
        optimizer=lambda hp: optax.adam(hp.learning_rate),
        defaults=defaults,
        sweep=sweep,
        seeds=options.seeds or (16 if options.quick else SEEDS),
        steps=options.steps or (200 if options.quick else 2000),
        eval_every=options.eval_every or (20 if options.quick else 40),
        shapes=options.shapes,
        lane_size=options.lane_size,
    )
    return study, sweep


def run(options) -> Report:
    study, sweep = build(options)
    folder = run_folder(options, sweep, SWEEP)
    result = run_study(study, folder, options)
    rows = rows_of(result, lambda config, lanes: entries(result, config, lanes))
    (folder / "figures").mkdir(exist_ok=True)
    figure(result, rows).savefig(folder / "figures" / "accuracy.png")
    return Report("conv1d_linear", str(folder), rows, f"{table(result, rows)}\nFigures: {folder / 'figures'}")


def entries(result: Result, config: dict, lanes: np.ndarray) -> dict:
    """A row's figures: accuracy with R3's number in it, and the share of seeds at 100 %."""
    final, lost, n = result.final("test_accuracy")[lanes], result.diverged[lanes], len(lanes)
    published = PUBLISHED.get((config["learning_rate"], config.get("bias", True)))
    count = int(np.sum((final == 1) & ~lost))
    return {
        "test_accuracy": metric_entry(final, lost, True, published),
        "solved": {"share": count / n, "interval": stats.share_interval(count, n)},
    }


def table(result: Result, rows: list[dict]) -> tables.Table:
    """A row a config."""
    columns = (*result.axes, "n", "survived", "test acc", "median", "at 100 %", "95 % interval", "R3 (pct)")
    body = []
    for row in rows:
        entry, solved = row["test_accuracy"], row["solved"]
        figures = (f"{entry['mean']:.3f} ({entry['sd']:.3f})", entry["median"], f"{solved['share']:.1%}", solved["interval"])
        body.append((*(row[name] for name in result.axes), row["n"], row["survived"], *figures, place(entry)))
    title = "R3's convolution on the line. test acc: mean (sd); at 100 %: share of seeds, with its interval (Wilson)"
    return tables.Table(title, columns, tuple(body))


def figure(result: Result, rows: list[dict]):
    """Accuracy against the epoch, and the share of seeds that have every point right."""
    made, axes = plots.figure(1, 2)
    palette = plots.colours(len(rows))
    names = []
    for row, colour, line in zip(rows, palette, plots.LINES * len(rows), strict=False):
        config = {name: row[name] for name in result.axes}
        lanes = result.rows(config)
        names.append(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config.items()))
        accuracy, lost = result.metric("test_accuracy")[lanes], result.lost(lanes)
        plots.band(axes[0, 0], result.steps, accuracy, names[-1], colour, line, diverged=lost)
        axes[0, 1].plot(result.steps, ((accuracy == 1) & ~lost).mean(axis=0), color=colour, linestyle=line, label=names[-1])
    plots.style(axes[0, 0], "Accuracy: median, 50 and 90 % of seeds", "epoch", "accuracy (100 points)")
    plots.style(axes[0, 1], "Every point right", "epoch", "share of seeds")
    axes[0, 1].set_ylim(-0.02, 1.03)
    axes[0, 0].legend(fontsize=plots.FONT - 2)
    solved = ", ".join(f"{row['init']} {row['solved']['share']:.0%}" for row in rows) if "init" in result.axes else ""
    made.suptitle(f"R3's convolution: seeds at 100 % after training: {solved} (n={rows[0]['n']} each)", fontsize=plots.FONT + 1)
    return made
