"""R1's network, 2-20-2 on two moons, as a study and as the loops that others write.

ReLU, cross-entropy, SGD, 800 training points, batches drawn without replacement at every step. The
loops of NumPy and PyTorch run one network on one thread, as the reports' code did.
"""

import numpy as np
import optax

from benchmarks.harness import Case, Setting
from benchmarks.timing import Burst, engine_burst, repeated
from experiments import numpy_mlp
from jaxdl import Study, models, tasks
from jaxdl.types import Model, Task

TASK, NETWORK = tasks.moons(1000, 0.1), models.mlp(2, (20,), 2)
POINTS, FEATURES, WIDTH, RATE = 800, 2, 20, 0.1
ENDLESS = 10**9  # steps that no burst comes to the end of


def study(
    batch_size: int,
    lane_size: int | None = None,
    task: Task = TASK,
    model: Model = NETWORK,
    steps: int = ENDLESS,
) -> Study:
    """Makes R1's network a study that is evaluated at its start and its end."""
    return Study(
        task,
        model,
        optax.sgd(RATE),
        batch_size=batch_size,
        steps=steps,
        eval_every=steps,
        lane_size=lane_size,
    )


def ours(case: Case, setting: Setting) -> Burst:
    """Makes a burst of lane-steps of the engine."""
    return engine_burst(study(case["batch_size"]), setting.seconds)


def pytorch(case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of an eager PyTorch loop on one thread."""
    import torch

    batch_size = case["batch_size"]
    x, y = torch.randn(POINTS, FEATURES), torch.randint(0, 2, (POINTS,))
    network = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 2)
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    loss_function = torch.nn.CrossEntropyLoss()

    def step():
        rows = slice(None) if batch_size == POINTS else torch.randperm(POINTS)[:batch_size]
        optimizer.zero_grad()
        loss_function(network(x[rows]), y[rows]).backward()
        optimizer.step()

    return on_threads(1, repeated(step, setting.seconds))


def on_threads(count: int, burst: Burst) -> Burst:
    """Makes a burst of PyTorch that sets its number of threads first: it holds for a process."""
    import torch

    def on_so_many() -> float:
        torch.set_num_threads(count)
        return burst()

    on_so_many()
    return on_so_many


def numpy_loop(case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of a NumPy loop in float32, gradients by hand."""
    batch_size = case["batch_size"]
    generator = np.random.default_rng(0)
    points = numpy_mlp.moons(generator, POINTS, 0.1)
    weights = numpy_mlp.initial(generator, WIDTH)

    def step():
        nonlocal weights
        batch = points
        if batch_size < POINTS:
            rows = generator.permutation(POINTS)[:batch_size]
            batch = numpy_mlp.Points(points.x[:, rows], points.targets[:, rows])
        weights = numpy_mlp.stepped(weights, batch, RATE)

    return repeated(step, setting.seconds)
