"""How long does R3's grid take, every seed of it, against an eager PyTorch loop?

The command `xor_grid` is run as a person would: tables 1 to 5 on XOR and the line, full batch, 2000
epochs, tables and figures included, in a process of its own. A PyTorch loop on one thread trains
one network of every width, activation, optimizer and data set for some epochs (their rates cost the
same). What is timed is an epoch of a lane; a burst of ours takes minutes, so the twin is PyTorch's.
Under --quick the study alone of one activation and data set, in this process.

Command: python -m benchmarks grid_rate
"""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Case, Contestant, Quick, Setting, Work, product
from benchmarks.moons_mlp import on_threads
from experiments import frame
from experiments.references import R3

EPOCHS, RATES = 2000, 5  # of R3; learning rates a table
SAMPLE = 100  # epochs of a network that are timed
QUICK_SAMPLE = 5
PROTOCOLS = ("loss=bce", "batch=full", "bias=True")
SMALL = (*PROTOCOLS, "activation=sigmoid", "data=xor")


def pytorch(case: Case, setting: Setting) -> Work:
    """Makes a burst of some epochs of every network of the grid."""
    # Of every network, since width, activation and optimizer all have a price.
    grid = list(itertools.product(R3.points, R3.pairs, R3.widths))
    epochs = QUICK_SAMPLE if setting.quick else SAMPLE
    loops = [epoch_loop(data, *pair, width) for data, pair, width in grid]

    def burst() -> float:
        for loop in loops:
            loop(epochs)
        return epochs * len(loops)

    return Work(on_threads(1, burst))


def epoch_loop(data: str, activation: str, optimizer: str, width: int):
    """Makes what trains one network for so many epochs, full batch."""
    import torch

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

    def train(epochs: int) -> None:
        for _ in range(epochs):
            stepper.zero_grad()
            loss(network(x), y).backward()
            stepper.step()

    return train


def grid(case: Case, setting: Setting) -> Work:
    """Makes a burst of the whole command; under --quick of the study alone, made small."""
    seeds = case["seeds"]
    words = ["xor_grid", "--seeds", str(seeds)]
    if setting.quick:
        return small_grid([*words, "--quick", *swept(SMALL)])
    networks = len(R3.points) * len(R3.pairs) * len(R3.widths) * RATES
    return Work(lambda: command([*words, *swept(PROTOCOLS)], networks * EPOCHS * seeds))


def swept(values: Sequence[str]) -> list[str]:
    """Makes the options of a command that sweep values."""
    words = []
    for each in values:
        words += ["--sweep", each]
    return words


def small_grid(words: list[str]) -> Work:
    """Makes a burst of a small grid in this process, its programs compiled before."""
    from experiments import options, xor_grid

    parsed = options.parser("xor_grid").parse_args(words)
    study = xor_grid.grid_study(frame.request_of(xor_grid.EXPERIMENT, parsed))
    result = study.run()
    units = len(result.lanes) * float(result.steps.max())

    def burst() -> float:
        study.run()
        return units

    return Work(burst)


def command(words: list[str], steps: int) -> float:
    """Runs the experiment in a process of its own, as a person does; returns its lane-steps."""
    with tempfile.TemporaryDirectory() as folder:
        process = [sys.executable, "-m", "experiments", *words, "--out", f"{folder}/run"]
        subprocess.run(process, check=True, capture_output=True)
    return steps


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-epoch",
    cases=product(seeds=[100]),
    contestants={
        "jaxdl": Contestant(grid, ours=True),
        "pytorch": Contestant(pytorch, needs=("torch",)),
    },
    quick=Quick(cases=product(seeds=[8])),
    twin="pytorch",
)
