"""How fast is a network of pictures, a lane-step of R5's CNN and MLP against PyTorch on both cores?

R5's networks on random pictures of CIFAR-10's shape, batch 128: the CNN under Adam, the MLP under
SGD with momentum and dropout of one half. Batches are rows of 1024 pictures that lie ready on all
sides; nothing is augmented or evaluated. PyTorch runs an eager loop with all cores, its pictures
channels-last or channels-first, whichever is faster; Flax the same network by `nn.Conv`, one lane
after the other in a loop (`lax.map`), in a compiled step called from Python. Contestants take
turns; an identical twin of ours shows what the machine's noise alone does to a ratio.

Command: python -m benchmarks conv [--rounds N] [--json FILE] [--without-flax]
"""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.timing import (
    Burst,
    command,
    device_name,
    engine_burst,
    interleave,
    spread,
    write_json,
)
from jaxdl import Study, models, tasks
from jaxdl.reporting.tables import Table
from jaxdl.running import compiler

BATCH, ROWS, CLASSES = 128, 1024, 10
CHANNELS = (64, 128, 256, 256, 512, 512)
STRIDES = (2, 1, 1, 1, 1, 1)
POOLS = (True, True, False, True, False, True)
UNITS = (1024, 1024, 1024)
TORCH_STEPS = 2  # in a burst; a step of the CNN takes a third of a second


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Draws float32 (rows, 3, 32, 32) and class numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3, 32, 32)).astype(np.float32)
    return x, rng.integers(0, CLASSES, ROWS)


def ours(network: str, **settings) -> Burst:
    """Makes a burst of lane-steps of the engine's own compiled program."""
    x, targets = pictures()
    task = tasks.from_arrays(x.reshape(ROWS, -1), targets, test_fraction=0.1)
    shaped = task._replace(prepare=lambda x: x.reshape(3, 32, 32, -1))
    study = Study(
        task=shaped,
        model=our_model(network),
        optimizer=our_optimizer(network),
        batch_size=BATCH,
        steps=10**9,
        eval_every=10**9,
        lane_size=1,
        **settings,
    )
    return engine_burst(study)


def our_model(network: str):
    if network == "mlp":
        return models.mlp(3072, UNITS, CLASSES, init="xavier_uniform", dropout_rate=0.5)
    return models.cnn(CHANNELS, CLASSES, strides=STRIDES, pools=POOLS, init="torch")


def our_optimizer(network: str):
    if network == "mlp":
        decay = optax.add_decayed_weights(5e-4)
        return optax.chain(decay, optax.sgd(0.1, momentum=0.9))
    return optax.adam(1e-4)


def pytorch(network: str, channels_last: bool = False) -> Burst:
    """Makes a burst of steps of an eager loop on all cores."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    model = torch.nn.Sequential(*torch_modules(network))
    x, targets = (torch.from_numpy(array) for array in pictures())
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    if network == "mlp":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    steps = TORCH_STEPS * (8 if network == "mlp" else 1)

    def burst() -> float:
        for step in range(steps):
            rows = slice(step % 8 * BATCH, (step % 8 + 1) * BATCH)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), targets[rows]).backward()
            optimizer.step()
        return steps

    return burst


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


def flax(lanes: int = 1) -> Burst:
    """Makes a burst of one step of each of some lanes, Flax's `nn.Conv` under `lax.map`."""
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

    held = [jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), lanes))]

    def burst() -> float:
        held[0] = jax.block_until_ready(run(held[0], x, targets))
        return lanes

    return burst


def contestants(network: str, without_flax: bool) -> dict[str, Burst]:
    """Makes those who take turns, by name."""
    every = {"jaxdl": ours(network), "twin": ours(network), "torch": pytorch(network)}
    if network == "cnn":
        every["torch, channels last"] = pytorch(network, channels_last=True)
        if not without_flax:
            every["flax"] = flax()
    return every


def measure(network: str, rounds: int, without_flax: bool) -> list[dict]:
    """Lists each contestant's rates and the ratios of ours to them."""
    rates = interleave(contestants(network, without_flax), rounds)
    return [
        {
            "network": network,
            "contestant": name,
            "ms": (1e3 / rate).tolist(),
            "images": (BATCH * rate).tolist(),
            "ratio": (rates["jaxdl"] / rate).tolist(),
        }
        for name, rate in rates.items()
    ]


def main(arguments: list[str]) -> None:
    parser = command("conv", __doc__, rounds=5)
    parser.add_argument("--without-flax", action="store_true", help="its step takes seconds")
    parser.add_argument("--networks", nargs="+", choices=["cnn", "mlp"], default=["cnn", "mlp"])
    options = parser.parse_args(arguments)
    compiler.prepare_devices()  # all cores, before the first array starts a backend with one
    begin = time.perf_counter()
    rows = []
    for network in options.networks:
        rows += measure(network, options.rounds, options.without_flax)
    columns = ("network", "contestant", "ms a step", "images a second", "jaxdl's rate to it")
    title = (
        f"A step of batch {BATCH} on {device_name()}, {options.rounds} rounds in turns: "
        "median [min, max]"
    )
    lines = tuple(
        (
            row["network"],
            row["contestant"],
            *(spread(row[key]) for key in ("ms", "images", "ratio")),
        )
        for row in rows
    )
    print(Table(title, columns, lines))
    if options.json:
        write_json(options.json, rows=rows, seconds=time.perf_counter() - begin)
