"""How fast is a recurrent network, a lane-step of R5's against PyTorch's loop on both cores?

R5's network: a vanilla cell of 128 units on digits as numbers, batch 128, RMSprop, gradients
clipped at norm 10; a fresh batch is drawn at every step on both sides, nothing is evaluated.
PyTorch runs the reports' loop (a `Linear` a map, a Python loop over time) and `torch.nn.RNN`, each
with all cores. Contestants take turns; a second, identical copy of ours shows what the machine's
noise alone does to a ratio. A step of T - 1 digits counts as 3 (T - 1) products of
2 x 128 x 128 x 128 operations, on all sides: the first one, with a zero state, is skipped by ours
and needed by nobody.

Command: python -m benchmarks rnn_rate [--rounds N] [--json FILE]
"""

import os

import optax

from benchmarks.timing import (
    BURST_SECONDS,
    Burst,
    command,
    device_name,
    engine_burst,
    interleave,
    spread,
    write_json,
)
from jaxdl import Study, data, models, tasks
from jaxdl.reporting.tables import Table

LENGTHS = (5, 15)
UNITS = BATCH = 128


def ours(length: int, cell: str = "vanilla", lane_size: int = 1) -> Burst:
    """Makes a burst of lane-steps of the engine's own compiled program."""
    study = Study(
        task=tasks.palindromes(length),
        model=models.rnn(1, UNITS, 10, cell=cell, length=data.palindrome_steps(length)),
        optimizer=optax.chain(
            optax.clip_by_global_norm(10.0),
            optax.rmsprop(1e-3, decay=0.99, eps=1e-8, eps_in_sqrt=False),
        ),
        batch_size=BATCH,
        steps=10**9,
        eval_every=10**9,
        lane_size=lane_size,
    )
    return engine_burst(study)


def pytorch(length: int, fused: bool) -> Burst:
    """Makes a burst of steps of an eager loop: over time in Python, or `torch.nn.RNN`."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hx = torch.nn.Linear(1, UNITS)
            self.hh = torch.nn.Linear(UNITS, UNITS)
            self.out = torch.nn.Linear(UNITS, 10)
            self.rnn = torch.nn.RNN(1, UNITS) if fused else None

        def forward(self, x):
            if self.rnn is not None:
                return self.out(self.rnn(x)[1][0])
            h = torch.zeros(x.shape[1], UNITS)
            for now in x:
                h = torch.tanh(self.hx(now) + self.hh(h))
            return self.out(h)

    network = Network()
    trained = []
    for name, parameter in network.named_parameters():
        if not fused or not name.startswith("h"):  # hx and hh have no part in the fused one
            trained.append(parameter)
    optimizer = torch.optim.RMSprop(trained, lr=1e-3)
    steps = max(1, int(BURST_SECONDS / (5e-4 * (length - 1))))

    def burst() -> float:
        for _ in range(steps):
            half = torch.randint(0, 10, ((length + 1) // 2, BATCH, 1))
            mirrored = half.flip(0)[length % 2 :]
            x = torch.cat([half, mirrored])[:-1].float()
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), half[0, :, 0]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
        return steps

    return burst


def measure(length: int, rounds: int) -> dict:
    """Measures one length's times, ratios and operations a second."""
    contestants = {
        "jaxdl": ours(length),
        "twin": ours(length),
        "loop": pytorch(length, False),
        "torch.nn.RNN": pytorch(length, True),
    }
    rates = interleave(contestants, rounds)
    operations = 3 * (length - 1) * 2 * UNITS * UNITS * BATCH
    figures: dict = {"length": length}
    for name, rate in rates.items():
        figures[f"{name}_ms"] = (1e3 / rate).tolist()
    for name in ("twin", "loop", "torch.nn.RNN"):
        figures[f"ratio_to_{name}"] = (rates["jaxdl"] / rates[name]).tolist()
    figures["gflops"] = (rates["jaxdl"] * operations / 1e9).tolist()
    return figures


# Heading of a column -> what stands in it.
COLUMNS = {
    "jaxdl, ms": "jaxdl_ms",
    "GFLOP/s": "gflops",
    "PyTorch loop, ms": "loop_ms",
    "ratio to it": "ratio_to_loop",
    "torch.nn.RNN, ms": "torch.nn.RNN_ms",
    "ratio to RNN": "ratio_to_torch.nn.RNN",
    "identical twin": "ratio_to_twin",
}


def main(arguments: list[str]) -> None:
    options = command("rnn_rate", __doc__).parse_args(arguments)
    figures = [measure(length, options.rounds) for length in LENGTHS]
    rows = []
    for of_length in figures:
        cells = [spread(of_length[name]) for name in COLUMNS.values()]
        rows.append((of_length["length"], *cells))
    title = (
        f"A lane-step of a recurrent network on {device_name()}, {options.rounds} rounds in "
        "turns: median [min, max]"
    )
    print(Table(title, ("length", *COLUMNS), tuple(rows)))
    if options.json:
        write_json(options.json, rows=figures)
