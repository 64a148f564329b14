"""Compares mean squared error with binary cross-entropy on R3's grid, at the same seeds."""

from typing import NamedTuple

import numpy as np

from experiments.columns import spoken
from experiments.frame import Finding, Run
from experiments.xor_networks import PROTOCOL, Cell, cell_of, ranked_finals
from experiments.xor_tables import cell_table
from jaxdl import stats, tables

Accuracies = dict[Cell, np.ndarray]  # (seeds,), a diverged lane lowest


class Pair(NamedTuple):
    """One of R3's tables on a data set under both losses, paired by seed."""

    table: tuple[str, str, str]  # data, activation, optimizer
    bce: Accuracies
    mse: Accuracies

    @property
    def gain(self) -> np.ndarray:
        """The share of its cells that a seed solves under mse minus that under bce, (seeds,)."""
        return share_solved(self.mse) - share_solved(self.bce)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean gain (paired t)."""
        return stats.mean_interval(self.gain)


def share_solved(cells: Accuracies) -> np.ndarray:
    """Gives the share of the cells that each seed solves, (seeds,)."""
    return np.mean([accuracies == 1 for accuracies in cells.values()], axis=0)


def losses_beside(run: Run) -> Finding:
    """Compares the losses, all else as in the grid; nothing where one loss alone was run."""
    pairs = pairs_of(run)
    if not pairs:
        return Finding([])
    text = "\n\n".join(map(str, [*map(cells_table, pairs), gains_table(pairs)]))
    rows = [
        {
            **dict(zip(("data", "activation", "optimizer"), pair.table, strict=True)),
            "loss": "mse",
            "against": "bce",
            "n": len(pair.gain),
            "solved_difference": float(pair.gain.mean()),
            "interval": pair.interval,
        }
        for pair in pairs
    ]
    return Finding(pairs, text, rows)


def pairs_of(run: Run) -> list[Pair]:
    """Pairs R3's tables by loss, over the seeds that both were run with."""
    of_loss: dict[str, Accuracies] = {"bce": {}, "mse": {}}
    first = run.results["grid"].configs[0]
    usual = {name: first[name] for name in PROTOCOL if name != "loss"}
    for result in run.results.values():
        for config, final in ranked_finals(result):
            # Under the other protocols mean squared error is not run.
            if {**config, **usual} == config:
                of_loss[config["loss"]][cell_of(config)] = final
    bce, mse = of_loss["bce"], of_loss["mse"]
    both = [cell for cell in mse if cell in bce]
    pairs = []
    for table in dict.fromkeys(cell.table for cell in both):
        cells = [cell for cell in both if cell.table == table]
        # The variants have fewer seeds than the grid, the same ones first.
        seeds = min(min(len(bce[cell]), len(mse[cell])) for cell in cells)
        of_bce = {cell: bce[cell][:seeds] for cell in cells}
        of_mse = {cell: mse[cell][:seeds] for cell in cells}
        pairs.append(Pair(table, of_bce, of_mse))
    return pairs


def gains_table(pairs: list[Pair]) -> tables.Table:
    """Makes the table of how many cells are solved, by loss."""
    body = []
    for pair in pairs:
        data, activation, optimizer = map(spoken, pair.table)
        bce, mse = (float(share_solved(cells).mean()) for cells in (pair.bce, pair.mse))
        name = f"{data}: {activation}, {optimizer}"
        gain = float(pair.gain.mean())
        body.append((name, len(pair.gain), bce, mse, gain, pair.interval))
    columns = ("table", "n", "BCE", "MSE", "MSE - BCE", "95 % interval")
    title = "Share of its cells that a seed solves, by loss, paired by seed"
    return tables.Table(title, columns, tuple(body))


def cells_table(pair: Pair) -> tables.Table:
    """Makes one of R3's tables with both losses in a cell."""
    data, activation, optimizer = map(spoken, pair.table)
    bce_lost, mse_lost = (diverged(cells) for cells in (pair.bce, pair.mse))
    seeds = len(pair.gain)
    title = (
        f"{activation}, {optimizer} on {data}, mean squared error beside cross-entropy, n={seeds} "
        f"seeds, {bce_lost} and {mse_lost} of {seeds * len(pair.mse)} lanes diverged.\n"
        "A cell: median accuracy %, BCE, MSE (-: half of the seeds diverged) | share of seeds at "
        "100 %, BCE, MSE"
    )
    return cell_table(title, {cell: cell_text(pair, cell) for cell in pair.mse})


def diverged(cells: Accuracies) -> int:
    """Counts the lanes that have diverged."""
    return sum(int(np.isneginf(accuracies).sum()) for accuracies in cells.values())


def cell_text(pair: Pair, cell: Cell) -> str:
    """Writes median and share solved under either loss."""
    both = pair.bce[cell], pair.mse[cell]
    medians = [float(np.median(accuracies)) for accuracies in both]
    words = ", ".join(f"{100 * median:.1f}" if np.isfinite(median) else "-" for median in medians)
    shares = ", ".join(f"{np.mean(accuracies == 1):.0%}" for accuracies in both)
    return f"{words} | {shares}"
