"""How fast is a recurrent network, a lane-step of R5's against PyTorch's loop on both cores?

R5's network: a vanilla cell of 128 units on digits as numbers, batch 128, RMSprop, gradients
clipped at norm 10; a fresh batch is drawn at every step on both sides, nothing is evaluated.
PyTorch runs the reports' loop (a `Linear` a map, a Python loop over time) and `torch.nn.RNN`, each
with all cores. A step of T - 1 digits counts as 3 (T - 1) products of 2 x 128 x 128 x 128
operations, on all sides: the first one, with a zero state, is skipped by ours and needed by nobody.

Command: python -m benchmarks rnn_rate
"""

import functools
import os

import numpy as np
import optax

from benchmarks.harness import Benchmark, Case, Column, Contestant, Figures, Quick, Setting, product
from benchmarks.moons_mlp import ENDLESS, on_threads
from benchmarks.timing import Burst, engine_burst, repeated
from jaxdl import Study, data, models, tasks
from jaxdl.types import Model, Task

UNITS = BATCH = 128


def parts(length: int, batch_size: int = BATCH) -> tuple[Task, Model]:
    """Makes R5's task and network."""
    model = models.rnn(1, UNITS, 10, length=data.palindrome_steps(length))
    return tasks.palindromes(length, train_samples=batch_size), model


def optimizer() -> optax.GradientTransformation:
    """Makes R5's optimizer."""
    stepper = optax.rmsprop(1e-3, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    return optax.chain(optax.clip_by_global_norm(10.0), stepper)


def study(length: int, batch_size: int = BATCH, **settings) -> Study:
    """Makes R5's network a study that is evaluated at its start and its end."""
    chosen = {"steps": ENDLESS, "eval_every": ENDLESS, "lane_size": 1, **settings}
    made = parts(length, batch_size)
    return Study(*made, optimizer(), batch_size=batch_size, **chosen)


def ours(case: Case, setting: Setting) -> Burst:
    """Makes a burst of lane-steps of the engine."""
    return engine_burst(study(case["length"]), setting.seconds)


def pytorch(fused: bool, case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of an eager loop: over time in Python, or `torch.nn.RNN`."""
    import torch

    length = case["length"]
    batch_size = case.get("batch_size", BATCH)
    network = torch_network(fused)
    trained = []
    for name, parameter in network.named_parameters():
        if not fused or not name.startswith("h"):  # hx and hh have no part in the fused one
            trained.append(parameter)
    optimizer = torch.optim.RMSprop(trained, lr=1e-3)

    def step():
        # A palindrome without its last digit, which is to be told.
        half = torch.randint(0, 10, ((length + 1) // 2, batch_size, 1))
        mirrored = half.flip(0)[length % 2 :]
        x = torch.cat([half, mirrored])[:-1].float()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), half[0, :, 0]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()

    return on_threads(os.cpu_count() or 1, repeated(step, setting.seconds))


def torch_network(fused: bool):
    """Builds R5's network, with a loop over time or with `torch.nn.RNN`."""
    import torch

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

    return Network()


def gigaflops(case: Figures, entry: Figures) -> str:
    """Gives the operations a second, in units of 10^9."""
    operations = 3 * (case["case"]["length"] - 1) * 2 * UNITS * UNITS * BATCH
    return f"{np.median(entry['rates']) * operations / 1e9:.3g}"


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(length=[5, 15]),
    contestants={
        "jaxdl": Contestant(ours, ours=True),
        "pytorch loop": Contestant(functools.partial(pytorch, False), needs=("torch",)),
        "torch.nn.RNN": Contestant(functools.partial(pytorch, True), needs=("torch",)),
    },
    quick=Quick(seconds=0.1),
    scale=("ms", 1e3),
    columns=[Column("GFLOP/s", gigaflops)],
    headline=({"length": 5}, "pytorch loop"),
)
