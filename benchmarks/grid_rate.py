"""How long does R3's grid take, every seed of it, against an eager PyTorch loop?

The command `xor_grid` is run as a person would: tables 1 to 5 on XOR and the line, full batch, 2000
epochs, tables and figures included. A PyTorch loop on one thread trains one network of every width,
activation, optimizer and data set for some epochs, once before and once after; its time for the
whole grid follows from its mean time per epoch.

Command: python -m benchmarks grid_rate [--seeds N] [--json FILE]
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.timing import device_name, write_json
from experiments.references import R3
from jaxdl.reporting.tables import Table

EPOCHS, RATES = 2000, 5  # of R3; learning rates a table
SAMPLE = 100  # epochs of a network that are timed
WARM = 10  # epochs before the clock starts


def pytorch(data: str, activation: str, optimizer: str, width: int, epochs: int) -> float:
    """Times one network, full batch, on one thread: seconds per epoch."""
    import torch

    torch.set_num_threads(1)
    activations = {
        "sigmoid": torch.nn.Sigmoid,
        "relu": torch.nn.ReLU,
        "tanh": torch.nn.Tanh,
        "identity": torch.nn.Identity,
    }
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    between = activations[activation]
    network = torch.nn.Sequential(
        torch.nn.Linear(2, width),
        between(),
        torch.nn.Linear(width, width),
        between(),
        torch.nn.Linear(width, 1),
    )
    stepper = optimizers[optimizer](network.parameters(), lr=0.01)
    x = torch.rand(R3.points[data], 2)
    y = (x[:, :1] > x[:, 1:]).float()
    loss = torch.nn.BCEWithLogitsLoss()
    for epoch in range(WARM + epochs):
        if epoch == WARM:
            begin = time.perf_counter()
        stepper.zero_grad()
        loss(network(x), y).backward()
        stepper.step()
    return (time.perf_counter() - begin) / epochs


def sample() -> float:
    """Times the grid's networks: seconds per epoch, the mean (their rates cost the same)."""
    grid = itertools.product(R3.points, R3.pairs, R3.widths)
    seconds = [pytorch(data, *pair, width, SAMPLE) for data, pair, width in grid]
    return float(np.mean(seconds))


def command(seeds: int, folder: str) -> float:
    """Times the whole command, in seconds."""
    arguments = ["xor_grid", "--seeds", str(seeds), "--out", folder]
    for protocol in ("loss=bce", "batch=full", "bias=True"):
        arguments += ["--sweep", protocol]
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
    networks = len(R3.points) * len(R3.pairs) * len(R3.widths) * RATES
    steps = networks * EPOCHS * options.seeds
    eager = [steps * per_epoch for per_epoch in (before, after)]
    ratios = [each / seconds for each in eager]
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
    title = f"R3's grid on {device_name()}, one command against an eager loop"
    print(Table(title, columns, (row,)))
    if options.json:
        write_json(
            options.json,
            seeds=options.seeds,
            steps=steps,
            command_seconds=seconds,
            pytorch_epoch_seconds=[before, after],
            pytorch_grid_seconds=eager,
            ratio=ratios,
        )
