"""How many training steps a second: lanes of one program against an eager PyTorch loop?

The network is R1's: 2-20-2, ReLU, cross-entropy, SGD, 800 training points, batches drawn without
replacement at every step, no evaluation. PyTorch runs one network on one thread, as the reports'
code did. Contestants take turns; a second, identical copy of ours shows what the machine's noise
alone does to a ratio.

With --lanes: how wide to vmap, and in which layout. The same network with so many lanes vmapped
together on each device, with the batch last (ours) and first (points (batch, features), weights
(in, out), as most libraries have it), without PyTorch. The largest number is one wide vmap, the
smaller ones are chunks of it; the planner's lane_size is marked.

Command: make bench
     or: python -m benchmarks lane_rate [--rounds N] [--lanes N ...] [--batch-sizes N ...]
                                        [--json FILE]
"""

import itertools

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
from jaxdl.batches import draw_batch
from jaxdl.reporting.tables import Table
from jaxdl.types import Dataset, Model, Task

BATCH_SIZES = (1, 32, 128, 800)
TASK, NETWORK = tasks.moons(1000, 0.1), models.mlp(2, (20,), 2)
POINTS, FEATURES = 800, 2
BURST_STEPS = 300  # of PyTorch


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


def renamed(points):
    """Calls points (batch, features) (features, batch): no transpose, the same memory."""
    return points.reshape(points.shape[::-1])


def batch_first() -> tuple[Task, Model]:
    """Makes the same data and network with points (batch, features) and weights (in, out)."""
    # The points lie in memory with the features of each beside each other. Between the functions
    # here they are called (features, batch), as the library wants it: the same memory, and
    # `reshape` back costs nothing.

    def draw(key) -> Dataset:
        drawn = TASK.data(key)
        train_x, test_x = renamed(drawn.train_x.T), renamed(drawn.test_x.T)
        return drawn._replace(train_x=train_x, test_x=test_x)

    def batch(dataset, key, step, batch_size):
        # Row numbers take the place of points: what is drawn is which rows.
        numbers = jnp.arange(dataset.train_targets.shape[-1])
        columns = dataset._replace(train_x=numbers[None, :])
        rows, targets, weight = draw_batch(columns, key, step, batch_size)
        points = dataset.train_x.reshape(-1, FEATURES).at[rows[0]].get(mode="promise_in_bounds")
        return renamed(points), targets, weight

    def loss(outputs, targets):
        classes = jnp.arange(outputs.shape[1])
        wanted = (targets[:, None] == classes[None, :]).astype(jnp.float32)
        return -jnp.sum(wanted * jax.nn.log_softmax(outputs, axis=1), axis=1)

    def init(key):
        params, state = NETWORK.init(key)
        return tuple((layer.weight.T, layer.bias) for layer in params), state

    def apply(params, state, x, *, key=None, train=False):
        x = x.reshape(-1, FEATURES)
        (first, first_bias), (second, second_bias) = params
        hidden = jax.nn.relu(x @ first + first_bias[None, :])
        return hidden @ second + second_bias[None, :], state

    return Task(data=draw, batch=batch, loss=loss, metrics={}), Model(init, apply)


def pytorch(batch_size: int) -> Burst:
    """Makes a burst of steps of an eager PyTorch loop on one thread."""
    import torch

    torch.set_num_threads(1)
    x, y = torch.randn(POINTS, FEATURES), torch.randint(0, 2, (POINTS,))
    network = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2)
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    loss_function = torch.nn.CrossEntropyLoss()

    def draw():
        if batch_size == POINTS:
            return slice(None)
        return torch.randperm(POINTS)[:batch_size]

    def burst() -> float:
        for _ in range(BURST_STEPS):
            rows = draw()
            optimizer.zero_grad()
            loss_function(network(x[rows]), y[rows]).backward()
            optimizer.step()
        return BURST_STEPS

    return burst


def measure(batch_size: int, rounds: int) -> dict:
    """Measures one batch size's rates and ratios."""
    contestants = {
        "jaxdl": engine_burst(study(batch_size)),
        "twin": engine_burst(study(batch_size)),
        "pytorch": pytorch(batch_size),
    }
    rates = interleave(contestants, rounds)
    figures: dict = {"batch_size": batch_size}
    for name, rate in rates.items():
        figures[f"{name}_per_second"] = float(np.median(rate))
    figures["ratio"] = (rates["jaxdl"] / rates["pytorch"]).tolist()
    figures["twin_ratio"] = (rates["jaxdl"] / rates["twin"]).tolist()
    return figures


def layouts(batch_size: int, lane_sizes: list[int], rounds: int) -> list[dict]:
    """Measures one batch size's lane-step by lanes vmapped together and layout.

    Returns:
      a dict a lane size, with times in us by round; none where memory does not suffice.
    """
    contestants = {}
    parts = {"last": (TASK, NETWORK), "first": batch_first()}
    for layout, lane_size in itertools.product(parts, lane_sizes):
        try:
            burst = engine_burst(study(batch_size, lane_size, *parts[layout]))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
        else:
            contestants[layout, lane_size] = burst
    rates = interleave(contestants, rounds)
    figures = []
    for lane_size in lane_sizes:
        row: dict = {"batch_size": batch_size, "lane_size": lane_size}
        for layout in parts:
            rate = rates.get((layout, lane_size), np.array([]))
            row[f"batch_{layout}_us"] = (1e6 / rate).tolist()
        figures.append(row)
    return figures


def compare(options) -> tuple[Table, list[dict]]:
    """Makes the table of our rate beside PyTorch's, and its figures."""
    figures, rows = [], []
    for batch_size in options.batch_sizes:
        of_size = measure(batch_size, options.rounds)
        row = (
            batch_size,
            1e6 / of_size["jaxdl_per_second"],
            1e6 / of_size["pytorch_per_second"],
            spread(of_size["ratio"]),
            spread(of_size["twin_ratio"]),
        )
        figures.append(of_size)
        rows.append(row)
    columns = (
        "batch size",
        "jaxdl, us a lane-step",
        "PyTorch, us a step",
        "ratio: median [min, max]",
        "identical twin",
    )
    title = f"Lane rate on {device_name()}, {options.rounds} rounds in turns"
    return Table(title, columns, tuple(rows)), figures


def widths(options) -> tuple[Table, list[dict]]:
    """Makes the table of lanes vmapped together and layouts, and its figures."""
    figures = []
    for batch_size in options.batch_sizes:
        planned = study(batch_size).plan().programs[0].lane_size
        lane_sizes = sorted({*options.lanes, planned})
        for row in layouts(batch_size, lane_sizes, options.rounds):
            figures.append({**row, "planned": planned})
    columns = (
        "batch size",
        "lanes a device",
        "batch last, us a lane-step",
        "batch first, us",
        "batch first / last",
    )
    title = f"Lanes vmapped together on {device_name()}, {options.rounds} rounds in turns"
    return Table(title, columns, tuple(map(width_row, figures))), figures


def width_row(figures: dict) -> tuple:
    """Makes the row of one batch size and lane size."""
    lane_size = figures["lane_size"]
    mark = " (planned)" if lane_size == figures["planned"] else ""
    last, first = figures["batch_last_us"], figures["batch_first_us"]
    times = [spread(us) if us else "out of memory" for us in (last, first)]
    ratio = spread(np.divide(first, last)) if last and first else "-"
    return (figures["batch_size"], f"{lane_size}{mark}", *times, ratio)


def main(arguments: list[str]) -> None:
    parser = command("lane_rate", __doc__)
    parser.add_argument(
        "--lanes",
        type=int,
        nargs="+",
        metavar="N",
        help="compare so many lanes a device, in both layouts",
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", metavar="N", default=BATCH_SIZES)
    options = parser.parse_args(arguments)
    table, figures = widths(options) if options.lanes else compare(options)
    print(table)
    if options.json:
        write_json(options.json, rows=figures)
