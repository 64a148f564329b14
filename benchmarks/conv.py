"""How fast is a network of pictures, a lane-step of R5's CNN and MLP against PyTorch on both cores?

R5's networks on random pictures of CIFAR-10's shape, batch 128: the CNN under Adam, the MLP under
SGD with momentum and dropout of one half. Batches are rows of 1024 pictures that lie ready on all
sides; nothing is augmented or evaluated. PyTorch runs an eager loop with all cores, its pictures
channels-first or channels-last (nhwc); Flax the same network by `nn.Conv`, one lane after the other
in a loop (`lax.map`), in a compiled step called from Python. (Its step takes seconds on a CPU:
`--without flax` spares them.)

Command: python -m benchmarks conv
"""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.harness import Benchmark, Case, Column, Contestant, Figures, Quick, Setting, product
from benchmarks.moons_mlp import ENDLESS, on_threads
from benchmarks.timing import Burst, engine_burst, repeated
from jaxdl import Study, models, tasks
from jaxdl.running import engine

BATCH, ROWS, CLASSES = 128, 1024, 10
CHANNELS = (64, 128, 256, 256, 512, 512)
STRIDES = (2, 1, 1, 1, 1, 1)
POOLS = (True, True, False, True, False, True)
UNITS = (1024, 1024, 1024)


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Draws float32 (rows, 3, 32, 32) and class numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3, 32, 32)).astype(np.float32)
    return x, rng.integers(0, CLASSES, ROWS)


def ours(case: Case, setting: Setting) -> Burst:
    """Makes a burst of lane-steps of the engine."""
    return engine_burst(study(case["network"]), setting.seconds)


def study(network: str, **settings) -> Study:
    """Makes a network a study that is evaluated at its start and its end."""
    x, targets = pictures()
    task = tasks.from_arrays(x.reshape(ROWS, -1), targets, test_fraction=0.1)
    shaped = task._replace(prepare=lambda x: x.reshape(3, 32, 32, -1))
    return Study(
        task=shaped,
        model=our_model(network),
        optimizer=our_optimizer(network),
        batch_size=BATCH,
        steps=ENDLESS,
        eval_every=ENDLESS,
        lane_size=1,
        **settings,
    )


def our_model(network: str):
    if network == "mlp":
        return models.mlp(3072, UNITS, CLASSES, init="xavier_uniform", dropout_rate=0.5)
    return models.cnn(CHANNELS, CLASSES, strides=STRIDES, pools=POOLS, init="torch")


def our_optimizer(network: str):
    if network == "mlp":
        decay = optax.add_decayed_weights(5e-4)
        return optax.chain(decay, optax.sgd(0.1, momentum=0.9))
    return optax.adam(1e-4)


def pytorch(channels_last: bool, case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of an eager loop on all cores."""
    import torch

    network = case["network"]
    model: Any = torch.nn.Sequential(*torch_modules(network))
    optimizer: Any
    x, targets = (torch.from_numpy(array) for array in pictures())
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    if network == "mlp":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    begin = 0

    def step():
        nonlocal begin
        rows = slice(begin, begin + BATCH)
        begin = (begin + BATCH) % ROWS
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), targets[rows]).backward()
        optimizer.step()

    return on_threads(os.cpu_count() or 1, repeated(step, setting.seconds))


def torch_modules(network: str) -> list:
    """Lists the modules of a network, in order."""
    from torch import nn

    if network == "mlp":
        modules: list = [nn.Flatten()]
        for into, units in zip((3072, *UNITS), UNITS, strict=False):
            modules += [nn.Linear(into, units), nn.ReLU(), nn.Dropout(0.5)]
        return [*modules, nn.Linear(UNITS[-1], CLASSES)]
    modules = []
    sizes = zip((3, *CHANNELS), CHANNELS, STRIDES, POOLS, strict=False)
    for into, channels, stride, pooled in sizes:
        modules += [nn.Conv2d(into, channels, 3, stride, 1), nn.ReLU()]
        modules += [nn.MaxPool2d(3, 2, 1)] if pooled else []
    return [*modules, nn.Flatten(), nn.Linear(CHANNELS[-1], CLASSES)]


def flax(case: Case, setting: Setting) -> Burst:
    """Makes a burst of steps of one lane, Flax's `nn.Conv` under `lax.map`."""
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            for channels, stride, pooled in zip(CHANNELS, STRIDES, POOLS, strict=True):
                x = nn.relu(nn.Conv(channels, (3, 3), stride, padding=1)(x))
                x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1))) if pooled else x
            return nn.Dense(CLASSES)(x.reshape(len(x), -1))

    rows, classes = pictures()
    x, targets = jnp.asarray(np.moveaxis(rows[:BATCH], 1, -1)), jnp.asarray(classes[:BATCH])
    optimizer, network = optax.adam(1e-4), Network()

    def start(key):
        params = network.init(key, x)
        return params, optimizer.init(params)

    def step(lane, x, targets):
        params, opt_state = lane

        def loss(params):
            logits = network.apply(params, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    @jax.jit
    def run(lane, x, targets):
        return jax.lax.map(lambda each: step(each, x, targets), lane)

    lane = jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), 1))

    def call():
        nonlocal lane
        lane = run(lane, x, targets)
        return lane

    return repeated(call, setting.seconds)


def is_cnn(case: Case) -> bool:
    """Tells whether a case has convolutions."""
    return case["network"] == "cnn"


def images(case: Figures, entry: Figures) -> str:
    """Gives the images a second."""
    return f"{BATCH * np.median(entry['rates']):.3g}"


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(network=["cnn", "mlp"]),
    contestants={
        "jaxdl": Contestant(ours, ours=True),
        "torch": Contestant(functools.partial(pytorch, False), needs=("torch",)),
        "torch, nhwc": Contestant(
            functools.partial(pytorch, True), needs=("torch",), takes_part=is_cnn
        ),
        "flax": Contestant(flax, needs=("flax",), takes_part=is_cnn),
    },
    quick=Quick(cases=product(network=["mlp"]), seconds=0.1),
    scale=("ms", 1e3),
    columns=[Column("images/s", images)],
    seconds=engine.SEGMENT_SECONDS,
    headline=({"network": "cnn"}, "torch, nhwc"),
)
