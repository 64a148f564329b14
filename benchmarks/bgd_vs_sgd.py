"""What does a full batch cost and buy: batch sizes 1 to 800 by time, steps, epochs and accuracy?

R1's MLP on two moons, a CNN on 8x8 digits, an RNN on palindromes of 5 digits (`networks`). Timed
is a step at every batch size, in the engine, in PyTorch and, for the MLP, in NumPy, all taking
turns; an epoch is as many steps as go through the training rows (800 for the palindromes, which are
always fresh). Then every batch size is trained over 64 seeds, at a fixed learning rate and at one
tuned on the validation split for each batch size and target (`batch_training`).

Findings. `targets`: steps, epochs and engine seconds to 90 and 97 % test accuracy, median over
seeds with its interval; a seed that never gets there counts as infinite (null). `equal`: test
accuracy at equal steps, epochs and engine time. `noise`: the gradient noise scale along a training.
`critical`: the batch size at which twice as many steps are needed as perfect scaling promises,
fitted to the steps to a target. `claim`: R1's, that a full batch costs over 10 times the time of a
smaller one, step for step.

Command: python -m benchmarks bgd_vs_sgd
"""

import functools
import os
from typing import Any

import numpy as np

from benchmarks import batch_figures, moons_mlp, report
from benchmarks.batch_training import (
    Size,
    critical_rows,
    equal_rows,
    noise_rows,
    target_rows,
    train,
)
from benchmarks.harness import (
    Benchmark,
    Case,
    Contestant,
    Context,
    Figures,
    Quick,
    Setting,
    entry_of,
    product,
    quartiles,
    ratios,
)
from benchmarks.networks import CHANNELS, LENGTH, UNITS, network, step_study
from benchmarks.timing import Burst, engine_burst, repeated
from jaxdl import stats
from jaxdl.reporting.tables import Table

BATCH_SIZES = (1, 10, 32, 50, 128, 200, 500, 800)
QUICK_SIZES = (1, 32, 800)
LIBRARIES = ("jaxdl", "pytorch", "numpy")
SMALLER = (1, 32, 128)  # R1's other batch sizes
LEAST = 6  # values that have an interval of their median
CLAIMED = 10.0  # R1: a full batch costs over so many times the time
QUICK = Size(
    seeds=16, tuning_seeds=8, share=0.2, rates=2, draws=16, noise_seeds=8, noise_shares=(0.0, 1.0)
)


def ours(batch_size: int, case: Case, setting: Setting) -> Burst:
    """Makes a burst of lane-steps of the engine."""
    return engine_burst(step_study(case["network"], batch_size), setting.seconds)


def numpy_loop(batch_size: int, case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of a NumPy loop."""
    return moons_mlp.numpy_loop({"batch_size": batch_size}, setting)


def pytorch(batch_size: int, case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of an eager PyTorch loop: one thread for the MLP, else all cores."""
    import torch

    if case["network"] == "mlp":
        return moons_mlp.pytorch({"batch_size": batch_size}, setting)
    model, x, targets = torch_network(case["network"])
    if case["network"] == "cnn":
        optimizer: Any = torch.optim.SGD(model.parameters(), lr=0.03)
    else:
        optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)

    def step():
        rows = torch.randperm(len(x))[:batch_size]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), targets[rows]).backward()
        if case["network"] == "rnn":
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()

    burst = repeated(step, setting.seconds)
    return moons_mlp.on_threads(os.cpu_count() or 1, burst)


def torch_network(name: str) -> tuple[Any, Any, Any]:
    """Builds the CNN or the RNN in PyTorch, with as many random examples as an epoch has."""
    import torch
    from torch import nn

    count = network(name).rows
    targets = torch.randint(0, 10, (count,))
    if name == "cnn":
        first, second = CHANNELS
        layers: list = [nn.Conv2d(1, first, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        layers += [nn.Conv2d(first, second, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        layers += [nn.Flatten(), nn.Linear(4 * second, 10)]
        return nn.Sequential(*layers), torch.randn(count, 1, 8, 8), targets

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.RNN(1, UNITS, batch_first=True), nn.Linear(UNITS, 10)

        def forward(self, x):
            return self.out(self.rnn(x)[1][0])

    return Recurrent(), torch.randn(count, LENGTH - 1, 1), targets


def contestants() -> dict[str, Contestant]:
    """Lists every batch size in every library."""
    makers = {"jaxdl": ours, "pytorch": pytorch, "numpy": numpy_loop}
    needs = {"pytorch": ("torch",)}
    listed = {}
    for library in LIBRARIES:
        for size in BATCH_SIZES:
            listed[f"{library}, {size}"] = Contestant(
                functools.partial(makers[library], size),
                needs=needs.get(library, ()),
                ours=library == "jaxdl",
                takes_part=functools.partial(takes_part, library, size),
            )
    return listed


def takes_part(library: str, size: int, case: Case) -> bool:
    """Tells whether a library has the network, and a quick run the batch size."""
    is_asked = size in case["batch_sizes"]
    return is_asked and (library != "numpy" or case["network"] == "mlp")


# --- findings --------------------------------------------------------------------------------


def learning(context: Context) -> dict[str, list[Figures]]:
    """Trains all networks: the rows of every finding about learning."""
    size = QUICK if context.setting.quick else Size()
    rows: dict[str, list[Figures]] = {"targets": [], "equal": [], "noise": [], "critical": []}
    for case in context.cases:
        name, sizes = case["case"]["network"], case["case"]["batch_sizes"]
        seconds = {batch: step_seconds(case, batch) for batch in sizes}
        best, curves = train(name, sizes, size)
        reached = target_rows(name, sizes, best, curves, seconds)
        rows["targets"] += reached
        rows["equal"] += equal_rows(name, sizes, best, curves, seconds)
        rows["critical"] += critical_rows(reached, curves, name)
        rows["noise"] += noise_rows(name, size)
    return rows


def step_seconds(case: Figures, batch_size: int) -> float:
    """Gives the median seconds of a lane-step of the engine."""
    entry = entry_of(case, f"jaxdl, {batch_size}")
    return np.nan if entry is None else float(np.median(1 / np.asarray(entry["rates"])))


def claim(context: Context) -> dict[str, list[Figures]]:
    """Judges R1's claim on the MLP, in every library, against every smaller batch of its table."""
    rows = []
    cases = [case for case in context.cases if case["case"]["network"] == "mlp"]
    for case in cases:
        for library in LIBRARIES:
            full = f"{library}, {BATCH_SIZES[-1]}"
            for size in SMALLER:
                small = f"{library}, {size}"
                if entry_of(case, small) and entry_of(case, full):
                    rows.append(claim_row(context, library, size, ratios(case, small, full)))
    return {"claim": rows}


def claim_row(context: Context, library: str, size: int, cost: np.ndarray) -> Figures:
    """Says whether a full batch costs over 10 times a smaller one: by the median's interval."""
    low, high = stats.median_interval(cost)
    verdict = "not decided"  # too few rounds have NaN for ends, which decides nothing
    if low > CLAIMED:
        verdict = "holds"
    elif high < CLAIMED:
        verdict = "does not hold"
    device = context.setting.platform if library == "jaxdl" else "cpu"
    return {
        "library": library,
        "device": device,
        "against": size,
        "rounds": len(cost),
        "cost": float(np.median(cost)),
        "interval": [low, high],
        "verdict": verdict,
    }


# --- tables ----------------------------------------------------------------------------------


def tables(record: Figures) -> list[Table]:
    """Makes all tables of a record."""
    of_findings = {
        "targets": (TARGET_TITLE, TARGET_COLUMNS),
        "equal": (EQUAL_TITLE, EQUAL_COLUMNS),
        "noise": (NOISE_TITLE, NOISE_COLUMNS),
        "critical": (CRITICAL_TITLE, CRITICAL_COLUMNS),
        "claim": (CLAIM_TITLE, CLAIM_COLUMNS),
    }
    made = [step_table(record)]
    for name, (title, columns) in of_findings.items():
        made.append(rows_table(record["findings"].get(name, []), title, columns))
    return [table for table in made if table.rows]


TARGET_TITLE = "Steps to a test accuracy: median over seeds [95 %]."
EQUAL_TITLE = (
    "Test accuracy after equal steps, epochs or engine time,\n"
    "the amount of it in s: median over seeds [95 %]."
)
NOISE_TITLE = "Gradient noise scale, examples [95 %]."
CRITICAL_TITLE = (
    "Batch size at which perfect scaling ends:\ntwice its steps are needed; fit [95 %]."
)
CLAIM_TITLE = (
    "R1: a full batch of 800 costs over 10 times the time.\n"
    "MLP, a step over one of a smaller batch, by round: median [95 %]."
)


def interval(ends, n: int = LEAST, infinite: str = "inf") -> str:
    """Writes an interval, whose ends are null where infinite, or both where n was too small."""
    if n < LEAST:
        return "n too small"
    low, high = (infinite if end is None else report.number(end) for end in ends)
    return f"[{low}, {high}]"


def told(row: Figures, name: str) -> str:
    """Writes the interval of a figure that may be beyond what was tried, or not be told at all."""
    is_told = row[name] is not None or row.get("words", "").startswith("beyond")
    return interval(row["interval"]) if is_told else "-"


def cell(value) -> str:
    """Writes a median; null is infinite: never."""
    return "never" if value is None else report.number(value)


TARGET_COLUMNS = {
    "net": lambda row: row["network"],
    "rate": lambda row: f"{row['rule']} {row['learning_rate']:g}",
    "target": lambda row: f"{row['target']:g}",
    "batch": lambda row: row["batch_size"],
    "reached": lambda row: f"{row['reached']}/{row['seeds']}",
    "steps": lambda row: cell(row["steps"]),
    "95 %": lambda row: interval(row["steps_interval"], row["seeds"], "never"),
    "epochs": lambda row: cell(row["epochs"]),
    "engine ms": lambda row: cell(row["seconds"] and 1e3 * row["seconds"]),
}
EQUAL_COLUMNS = {
    "net": lambda row: row["network"],
    "rate": lambda row: row["rule"],
    "equal": lambda row: row["equal"],
    "amount": lambda row: cell(row["amount"]),
    "batch": lambda row: row["batch_size"],
    "n": lambda row: row["seeds"],
    "accuracy": lambda row: cell(row["accuracy"]),
    "95 %": lambda row: interval(row["interval"], row["seeds"]),
}
NOISE_COLUMNS = {
    "net": lambda row: row["network"],
    "after step": lambda row: row["step"],
    "n": lambda row: row["seeds"],
    "noise scale": lambda row: (
        "not told" if row["noise_scale"] is None else cell(row["noise_scale"])
    ),
    "95 %": lambda row: told(row, "noise_scale"),
}
CRITICAL_COLUMNS = {
    "net": lambda row: row["network"],
    "rate": lambda row: row["rule"],
    "target": lambda row: f"{row['target']:g}",
    "critical batch": lambda row: row["words"],
    "95 %": lambda row: told(row, "critical_batch"),
}
CLAIM_COLUMNS = {
    "in": lambda row: row["library"],
    "on": lambda row: row["device"],
    "800 against": lambda row: row["against"],
    "rounds": lambda row: row["rounds"],
    "cost": lambda row: report.number(row["cost"]),
    "95 %": lambda row: interval(row["interval"], row["rounds"]),
    "over 10 times": lambda row: row["verdict"],
}


def rows_table(rows: list[Figures], title: str, columns: dict) -> Table:
    """Tabulates the rows of a finding."""
    body = tuple(tuple(write(row) for write in columns.values()) for row in rows)
    return Table(title, tuple(columns), body)


def step_table(record: Figures) -> Table:
    """Tabulates the time of a step and of an epoch, and the cost relative to the smallest batch."""
    rows = []
    for case in record["cases"]:
        name = case["case"]["network"]
        for library in LIBRARIES:
            smallest = f"{library}, {case['case']['batch_sizes'][0]}"
            for size in case["case"]["batch_sizes"]:
                entry = entry_of(case, f"{library}, {size}")
                if entry is None:
                    continue
                step = report.times(entry, 1e6)
                epoch = 1e-3 * step["median"] * network_rows(name) / size
                cost = report.spread(quartiles(ratios(case, smallest, entry["name"])))
                cells = (report.spread(step), report.number(epoch), cost)
                rows.append((name, library, size, *cells))
    title = (
        f"Time of a step and of an epoch, {record['rounds']} rounds in turns:\n"
        "median [quartiles]; last: over the time at the smallest batch."
    )
    columns = ("net", "in", "batch", "us a step", "ms an epoch", "to smallest")
    return Table(title, columns, tuple(rows))


def network_rows(name: str) -> int:
    """Gives how many examples are an epoch."""
    return network(name).rows


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(network=["mlp", "cnn", "rnn"], batch_sizes=[list(BATCH_SIZES)]),
    contestants=contestants(),
    quick=Quick(cases=[{"network": "mlp", "batch_sizes": list(QUICK_SIZES)}], seconds=0.05),
    findings=[learning, claim],
    tables=tables,
    figure=batch_figures.figure,
    headline=({"network": "mlp"}, "jaxdl, 800"),
)
