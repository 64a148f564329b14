"""How many training steps a second: lanes of one program against an eager PyTorch loop.

The network is R1's: 2-20-2, ReLU, cross-entropy, SGD, 800 training points, batches drawn without replacement at
every step, no evaluation. PyTorch runs one network on one thread, as the reports' code did. Contestants
take turns; a second, identical copy of ours shows what the machine's noise alone does to a ratio.

Command: make bench   (or: python -m benchmarks lane_rate [--rounds N] [--json FILE])
"""

import argparse
import json

import jax
import numpy as np
import optax

from benchmarks.timing import interleave, spread
from jaxdl import Study, compiler, models, tasks
from jaxdl.tables import Table

BATCH_SIZES = (1, 32, 128, 800)
BURST = 1_500_000  # of lanes times examples in a burst: about a third of a second, as a segment of a run


def ours(batch_size: int, lane_size: int | None = None):
    """A burst of lane-steps of the engine's own compiled program."""
    study = Study(
        task=tasks.moons(1000, 0.1),
        model=models.mlp(2, (20,), 2),
        optimizer=optax.sgd(0.1),
        batch_size=batch_size,
        steps=10**9,
        eval_every=10**9,
        lane_size=lane_size,
    )
    devices = compiler.prepare_devices()
    program = study.plan().programs[0]
    compiled = compiler.compile_programs(study.spec, {0: program}, devices)[0].result()
    seeds = np.arange(compiled.lanes, dtype=np.uint32)
    lane, dataset = compiled.init(seeds, {}, None)
    steps = max(20, 5 * BURST // (compiled.lanes * batch_size + 400))
    held = [compiled.segment(lane, dataset, seeds, {}, np.int32(0), np.int32(1))]

    def burst() -> float:
        held[0] = jax.block_until_ready(compiled.segment(held[0], dataset, seeds, {}, np.int32(1), np.int32(1 + steps)))
        return steps * compiled.lanes

    return burst


def pytorch(batch_size: int):
    """A burst of steps of an eager PyTorch loop on one thread."""
    import torch

    torch.set_num_threads(1)
    x, y = torch.randn(800, 2), torch.randint(0, 2, (800,))
    net = torch.nn.Sequential(torch.nn.Linear(2, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loss_function = torch.nn.CrossEntropyLoss()

    def burst() -> float:
        for _ in range(300):
            rows = torch.randperm(800)[:batch_size] if batch_size < 800 else slice(None)
            optimizer.zero_grad()
            loss_function(net(x[rows]), y[rows]).backward()
            optimizer.step()
        return 300

    return burst


def measure(batch_size: int, rounds: int) -> dict:
    """One batch size's rates and ratios."""
    contestants = {"jaxdl": ours(batch_size), "twin": ours(batch_size), "pytorch": pytorch(batch_size)}
    rates = interleave(contestants, rounds)
    ratio, noise = rates["jaxdl"] / rates["pytorch"], rates["jaxdl"] / rates["twin"]
    return {
        "batch_size": batch_size,
        **{f"{name}_per_second": float(np.median(rate)) for name, rate in rates.items()},
        "ratio": ratio.tolist(),
        "twin_ratio": noise.tolist(),
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks lane_rate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="also writes the figures, with the device's name")
    options = parser.parse_args(arguments)
    found = [measure(batch_size, options.rounds) for batch_size in BATCH_SIZES]
    rows = tuple(
        (
            row["batch_size"],
            1e6 / row["jaxdl_per_second"],
            1e6 / row["pytorch_per_second"],
            spread(row["ratio"]),
            spread(row["twin_ratio"]),
        )
        for row in found
    )
    columns = ("batch size", "jaxdl, us a lane-step", "PyTorch, us a step", "ratio: median [min, max]", "identical twin")
    device = f"{len(jax.local_devices())} x {jax.local_devices()[0].device_kind}"
    print(Table(f"Lane rate on {device}, {options.rounds} rounds in turns", columns, rows))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"device": device, "jax": jax.__version__, "rows": found}, file, indent=1)
