"""How many training steps a second: lanes of one program against an eager PyTorch loop.

The network is R1's: 2-20-2, ReLU, cross-entropy, SGD, 800 training points, batches drawn without replacement at
every step, no evaluation. PyTorch runs one network on one thread, as the reports' code did. Contestants
take turns; a second, identical copy of ours shows what the machine's noise alone does to a ratio.

With --lanes: how wide to vmap, and in which layout. The same network with so many lanes vmapped together on each device,
with the batch last (ours) and first (points (batch, features), weights (in, out), as most libraries have it), without
PyTorch. The largest number is one wide vmap, the smaller ones are chunks of it; the planner's lane_size is marked.

Command: make bench   (or: python -m benchmarks lane_rate [--rounds N] [--lanes N ...] [--batch-sizes N ...] [--json FILE])
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.timing import device_name, engine_burst, interleave, spread, write_json
from jaxdl import Study, models, tasks
from jaxdl.batches import draw_batch
from jaxdl.reporting.tables import Table
from jaxdl.types import Dataset, Model, Task

BATCH_SIZES = (1, 32, 128, 800)
TASK, NETWORK = tasks.moons(1000, 0.1), models.mlp(2, (20,), 2)


def study(
    batch_size: int,
    lane_size: int | None = None,
    task: Task = TASK,
    model: Model = NETWORK,
    steps: int = 10**9,
) -> Study:
    """R1's network, evaluated at its start and its end."""
    return Study(
        task,
        model,
        optax.sgd(0.1),
        batch_size=batch_size,
        steps=steps,
        eval_every=steps,
        lane_size=lane_size,
    )


FEATURES = 2


def renamed(points):
    """Points (batch, features) under the shape (features, batch): no transpose, the same memory."""
    return points.reshape(points.shape[::-1])


def batch_first() -> tuple[Task, Model]:
    """The same data and network with points (batch, features) and weights (in, out).

    The points lie in memory with the features of each beside each other. Between the functions here they are
    called (features, batch), as the library wants it: the same memory, and `reshape` back costs nothing.
    """

    def draw(key) -> Dataset:
        drawn = TASK.data(key)
        return drawn._replace(train_x=renamed(drawn.train_x.T), test_x=renamed(drawn.test_x.T))

    def batch(dataset, key, step, batch_size):
        columns = dataset._replace(train_x=jnp.arange(dataset.train_targets.shape[-1])[None, :])
        rows, targets, weight = draw_batch(columns, key, step, batch_size)
        points = dataset.train_x.reshape(-1, FEATURES).at[rows[0]].get(mode="promise_in_bounds")
        return renamed(points), targets, weight

    def loss(outputs, targets):
        wanted = (targets[:, None] == jnp.arange(outputs.shape[1])[None, :]).astype(jnp.float32)
        return -jnp.sum(wanted * jax.nn.log_softmax(outputs, axis=1), axis=1)

    def init(key):
        params, state = NETWORK.init(key)
        return tuple((layer.weight.T, layer.bias) for layer in params), state

    def apply(params, state, x, *, key=None, train=False):
        x = x.reshape(-1, FEATURES)
        (first, first_bias), (second, second_bias) = params
        return jax.nn.relu(x @ first + first_bias[None, :]) @ second + second_bias[None, :], state

    return Task(data=draw, batch=batch, loss=loss, metrics={}), Model(init, apply)


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
    contestants = {name: engine_burst(study(batch_size)) for name in ("jaxdl", "twin")}
    contestants["pytorch"] = pytorch(batch_size)
    rates = interleave(contestants, rounds)
    ratio, noise = rates["jaxdl"] / rates["pytorch"], rates["jaxdl"] / rates["twin"]
    return {
        "batch_size": batch_size,
        **{f"{name}_per_second": float(np.median(rate)) for name, rate in rates.items()},
        "ratio": ratio.tolist(),
        "twin_ratio": noise.tolist(),
    }


def layouts(batch_size: int, lane_sizes: list[int], rounds: int) -> list[dict]:
    """One batch size's time of a lane-step by lanes vmapped together and layout; empty where memory does not suffice."""
    contestants = {}
    for layout, parts in {"last": (TASK, NETWORK), "first": batch_first()}.items():
        for lane_size in lane_sizes:
            try:
                contestants[layout, lane_size] = engine_burst(study(batch_size, lane_size, *parts))
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
    rates = interleave(contestants, rounds)
    times = {key: (1e6 / rate).tolist() for key, rate in rates.items()}
    return [
        {
            "batch_size": batch_size,
            "lane_size": n,
            **{f"batch_{layout}_us": times.get((layout, n), []) for layout in ("last", "first")},
        }
        for n in lane_sizes
    ]


def compare(options) -> tuple[Table, list[dict]]:
    """The table of our rate beside PyTorch's, and its figures."""
    found = [measure(batch_size, options.rounds) for batch_size in options.batch_sizes]
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
    columns = (
        "batch size",
        "jaxdl, us a lane-step",
        "PyTorch, us a step",
        "ratio: median [min, max]",
        "identical twin",
    )
    return Table(
        f"Lane rate on {device_name()}, {options.rounds} rounds in turns", columns, rows
    ), found


def widths(options) -> tuple[Table, list[dict]]:
    """The table of lanes vmapped together and layouts, and its figures."""
    found, rows = [], []
    for batch_size in options.batch_sizes:
        planned = study(batch_size).plan().programs[0].lane_size
        for row in layouts(batch_size, sorted({*options.lanes, planned}), options.rounds):
            last, first = (row[f"batch_{layout}_us"] for layout in ("last", "first"))
            ratio = spread(np.divide(first, last)) if last and first else "-"
            size = f"{row['lane_size']}{' (planned)' * (row['lane_size'] == planned)}"
            rows.append(
                (
                    batch_size,
                    size,
                    *(spread(times) if times else "out of memory" for times in (last, first)),
                    ratio,
                )
            )
            found.append({**row, "planned": planned})
    columns = (
        "batch size",
        "lanes a device",
        "batch last, us a lane-step",
        "batch first, us",
        "batch first / last",
    )
    return Table(
        f"Lanes vmapped together on {device_name()}, {options.rounds} rounds in turns",
        columns,
        tuple(rows),
    ), found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks lane_rate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--lanes",
        type=int,
        nargs="+",
        metavar="N",
        help="compare so many lanes a device, in both layouts",
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", metavar="N", default=BATCH_SIZES)
    parser.add_argument(
        "--json", metavar="FILE", help="also writes the figures, with the device's name"
    )
    options = parser.parse_args(arguments)
    table, found = widths(options) if options.lanes else compare(options)
    print(table)
    if options.json:
        write_json(options.json, rows=found)
