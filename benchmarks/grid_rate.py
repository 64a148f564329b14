"""How long does R3's grid take, every seed of it, against an eager PyTorch loop over the same networks?

The command `xor_grid` is run as a person would: tables 1 to 5 on XOR and the line, full batch, 2000 epochs, tables and
figures included. A PyTorch loop on one thread trains one network of every width, activation, optimizer and data set for
some epochs, once before and once after; its time for the whole grid follows from its mean time per epoch.

Command: python -m benchmarks grid_rate [--seeds N] [--json FILE]
"""

import argparse
import subprocess
import sys
import tempfile
import time

from benchmarks.timing import device_name, write_json
from experiments.references import R3
from jaxdl.reporting.tables import Table

EPOCHS, RATES = 2000, 5  # of R3; learning rates a table
SAMPLE = 100  # epochs of a network that are timed


def pytorch(data: str, activation: str, optimizer: str, width: int, epochs: int) -> float:
    """Seconds per epoch of one network, full batch, on one thread."""
    import torch

    torch.set_num_threads(1)
    between = {
        "sigmoid": torch.nn.Sigmoid,
        "relu": torch.nn.ReLU,
        "tanh": torch.nn.Tanh,
        "identity": torch.nn.Identity,
    }[activation]
    net = torch.nn.Sequential(
        torch.nn.Linear(2, width),
        between(),
        torch.nn.Linear(width, width),
        between(),
        torch.nn.Linear(width, 1),
    )
    chosen = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](
        net.parameters(), lr=0.01
    )
    x = torch.rand(R3.points[data], 2)
    y = (x[:, :1] > x[:, 1:]).float()
    loss = torch.nn.BCEWithLogitsLoss()
    for epoch in range(epochs + 10):
        if epoch == 10:  # warm
            begin = time.perf_counter()
        chosen.zero_grad()
        loss(net(x), y).backward()
        chosen.step()
    return (time.perf_counter() - begin) / epochs


def sample() -> float:
    """Seconds per epoch, the mean over the grid's networks (their rates cost the same)."""
    grid = [(data, *pair, width) for data in R3.points for pair in R3.pairs for width in R3.widths]
    return sum(pytorch(*cell, SAMPLE) for cell in grid) / len(grid)


def command(seeds: int, folder: str) -> float:
    """Seconds of the whole command."""
    protocol = [
        word for value in ("loss=bce", "batch=full", "bias=True") for word in ("--sweep", value)
    ]
    arguments = ["xor_grid", *protocol, "--seeds", str(seeds), "--out", folder]
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "experiments", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begin


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks grid_rate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument(
        "--json", metavar="FILE", help="also writes the figures, with the device's name"
    )
    options = parser.parse_args(arguments)
    before = sample()
    with tempfile.TemporaryDirectory() as folder:
        seconds = command(options.seeds, folder + "/run")
    after = sample()
    steps = len(R3.points) * len(R3.pairs) * len(R3.widths) * RATES * EPOCHS * options.seeds
    eager = [steps * per_epoch for per_epoch in (before, after)]
    ratios = [each / seconds for each in eager]
    found = {
        "seeds": options.seeds,
        "steps": steps,
        "command_seconds": seconds,
        "pytorch_epoch_seconds": [before, after],
        "pytorch_grid_seconds": eager,
        "ratio": ratios,
    }
    columns = (
        "seeds",
        "lane-steps",
        "command, s",
        "PyTorch, us an epoch",
        "PyTorch's grid, h",
        "ratio before, after",
    )
    row = (
        options.seeds,
        steps,
        seconds,
        f"{1e6 * before:.0f}, {1e6 * after:.0f}",
        sum(eager) / 7200,
        "{:.0f}, {:.0f}".format(*ratios),
    )
    print(
        Table(f"R3's grid on {device_name()}, one command against an eager loop", columns, (row,))
    )
    if options.json:
        write_json(options.json, **found)
