"""Mean squared error beside binary cross-entropy on R3's grid, at the same seeds."""

from typing import NamedTuple

import numpy as np

from experiments import r3
from experiments.report import written
from jaxdl import stats, tables
from jaxdl.study import Result


class Beside(NamedTuple):
    """One of R3's tables on a data set under both losses, paired by seed."""

    group: tuple  # data, activation, optimizer
    bce: dict[tuple, np.ndarray]  # (rate, width) -> accuracy, (seeds,), a diverged lane lowest
    mse: dict[tuple, np.ndarray]

    @property
    def gain(self) -> np.ndarray:
        """The share of its cells that a seed solves under mean squared error minus that under cross-entropy, (seeds,)."""
        return solved(self.mse) - solved(self.bce)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean gain (paired t)."""
        return stats.mean_interval(self.gain)


def solved(cells: dict[tuple, np.ndarray]) -> np.ndarray:
    """The share of the cells that each seed solves, (seeds,)."""
    return np.mean([values == 1 for values in cells.values()], axis=0)


def beside(results: dict[str, Result]) -> list[Beside]:
    """R3's tables under both losses, all else as in the grid, over the seeds that both were run with."""
    found: dict[str, dict[tuple, np.ndarray]] = {"bce": {}, "mse": {}}
    usual = {name: results["grid"].configs[0][name] for name in r3.PROTOCOL if name != "loss"}
    for result in results.values():
        final, lost = result.final("test_accuracy"), result.diverged
        for config, lanes in r3.lanes_by_config(result):
            if {**config, **usual} == config:
                found[config["loss"]][r3.cell_of(config)] = stats.ranked(final[lanes], lost[lanes], True)
    return [_beside(group, *found.values()) for group in dict.fromkeys(cell[:3] for cell in found["mse"] if cell in found["bce"])]


def _beside(group: tuple, bce: dict, mse: dict) -> Beside:
    cells = [cell for cell in mse if cell[:3] == group and cell in bce]
    seeds = min(len(values[cell]) for values in (bce, mse) for cell in cells)
    return Beside(group, *({cell[3:]: values[cell][:seeds] for cell in cells} for values in (bce, mse)))


def losses_tables(pairs: list[Beside]) -> list[tables.Table]:
    """A table for each of R3's, and one of how many cells are solved more; none where one loss alone was run."""
    if not pairs:
        return []
    body = tuple(
        (f"{written(data)}: {written(activation)}, {written(optimizer)}", len(pair.gain), float(solved(pair.bce).mean()), float(solved(pair.mse).mean()), float(pair.gain.mean()), pair.interval)
        for pair in pairs for data, activation, optimizer in [pair.group]
    )  # fmt: skip
    columns = ("table", "n", "BCE", "MSE", "MSE - BCE", "95 % interval")
    return [*map(_table, pairs), tables.Table("Share of its cells that a seed solves, by loss, paired by seed", columns, body)]


def _table(pair: Beside) -> tables.Table:
    data, activation, optimizer = pair.group
    rates, widths = (list(dict.fromkeys(cell[place] for cell in pair.mse)) for place in (0, 1))
    lost = [sum(int(np.isneginf(values).sum()) for values in of_loss.values()) for of_loss in (pair.bce, pair.mse)]
    title = (
        f"{written(activation)}, {written(optimizer)} on {written(data)}, mean squared error beside cross-entropy, n={len(pair.gain)} seeds, "
        f"{lost[0]} and {lost[1]} of {len(pair.gain) * len(pair.mse)} lanes diverged.\n"
        "A cell: median accuracy %, BCE, MSE (-: half of the seeds diverged) | share of seeds at 100 %, BCE, MSE"
    )
    body = tuple((rate, *(_cell(pair, (rate, width)) for width in widths)) for rate in rates)
    return tables.Table(title, ("rate", *(f"h = {width}" for width in widths)), body)


def _cell(pair: Beside, cell: tuple) -> str:
    both = pair.bce[cell], pair.mse[cell]
    medians = (f"{100 * median:.1f}" if np.isfinite(median) else "-" for median in map(np.median, both))
    return f"{', '.join(medians)} | {', '.join(f'{np.mean(values == 1):.0%}' for values in both)}"


def losses_rows(pairs: list[Beside]) -> list[dict]:
    """The comparisons as JSON."""
    names = ("data", "activation", "optimizer")
    return [
        {**dict(zip(names, pair.group, strict=True)), "loss": "mse", "against": "bce", "n": len(pair.gain),
         "solved_difference": float(pair.gain.mean()), "interval": pair.interval}
        for pair in pairs
    ]  # fmt: skip
