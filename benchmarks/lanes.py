"""How wide to vmap, and in which layout: lanes of R1's network together on each device?

The network of `lane_rate` with so many lanes vmapped together on each device, with the batch last
(ours) and first (points (batch, features), weights (in, out), as most libraries have it). The
largest number is one wide vmap, the smaller ones are chunks of it; "planned" is the planner's
choice.

The finding `roofline`: what R1's MLP, R5's RNN and CNN do of the operations and bytes a second that
this very machine can, measured in turns with them: products of large float32 matrices on every
device, and a sum of two arrays beyond any cache. The operations of a step are those of its products
and convolutions, its bytes those of all arrays that it computes (`planning.cost`): fused, it moves
fewer, and what stays in a core's cache does not wait for the memory that the sums do.

Command: python -m benchmarks lanes
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import conv, lane_figures, report, rnn_rate
from benchmarks.harness import (
    ROUNDS,
    Benchmark,
    Case,
    Column,
    Contestant,
    Context,
    Figures,
    Quick,
    Setting,
    Work,
    product,
)
from benchmarks.moons_mlp import FEATURES, NETWORK, TASK, study
from benchmarks.timing import (
    Burst,
    by_rows,
    compiled_program,
    engine_burst,
    everywhere,
    interleave,
    on_devices,
    repeated,
)
from jaxdl.batches import draw_batch
from jaxdl.reporting.tables import Table
from jaxdl.types import Dataset, Model, Task

SIZES = (1, 16, 128, 1024, 4096, 16384)
SIDE = 2048  # of the matrices of the products
LENGTH = 2**24  # of the arrays that are added up: 64 MB each
PEAKS = ("products", "sums")


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


def vmapped(lane_size: int | None, is_first: bool, case: Case, setting: Setting) -> Work:
    """Makes a burst of so many lanes a device; None: of as many as the planner takes."""
    parts = batch_first() if is_first else (TASK, NETWORK)
    chosen = study(case["batch_size"], lane_size, *parts)
    compiled = compiled_program(chosen)
    burst = engine_burst(chosen, setting.seconds, compiled)
    lane_size = chosen.plan().programs[0].lane_size
    return Work(burst, facts={"lane_size": lane_size, "bytes": compiled.bytes})


def contestants() -> dict[str, Contestant]:
    """Lists every number of lanes in both layouts; the planner's choice comes first."""
    listed = {"planned": Contestant(functools.partial(vmapped, None, False), ours=True)}
    for name, is_first in (("", False), (", batch first", True)):
        for size in SIZES:
            make = functools.partial(vmapped, size, is_first)
            chosen = functools.partial(is_asked, size)
            listed[f"{size}{name}"] = Contestant(make, ours=not is_first, takes_part=chosen)
    return listed


def is_asked(size: int, case: Case) -> bool:
    """Tells whether a number of lanes is measured in a case."""
    return size in case["lanes"]


def megabytes(case: Figures, entry: Figures) -> str:
    """Gives the memory that the program takes, all devices together."""
    size = entry["facts"].get("bytes")
    return "-" if size is None else report.number(size / 1e6)


# --- roofline --------------------------------------------------------------------------------


def products(seconds: float) -> Burst:
    """Makes a burst of products of large matrices, one on every device: units are operations."""
    count = len(jax.local_devices())
    matrix = everywhere(jnp.ones((SIDE, SIDE)))
    multiply = on_devices(lambda x, y: x @ y, 2)
    x = by_rows(jnp.ones((count * SIDE, SIDE)))
    return repeated(lambda: multiply(x, matrix), seconds, units=2.0 * count * SIDE**3)


def sums(seconds: float) -> Burst:
    """Makes a burst of sums of large arrays on every device: units are bytes read and written."""
    count = len(jax.local_devices())
    add = on_devices(lambda x, y: x + 0.5 * y, 2, split=(True, True))
    x = by_rows(jnp.ones((count * LENGTH // 1024, 1024)))
    y = by_rows(jnp.zeros((count * LENGTH // 1024, 1024)))
    return repeated(lambda: add(x, y), seconds, units=4.0 * 3 * x.size)


def roofline(context: Context) -> dict[str, list[Figures]]:
    """Measures the networks and the machine's peaks in turns: a row a network."""
    seconds = context.setting.seconds
    studies = {"MLP, batch 32": study(32), "MLP, batch 800": study(800)}
    studies["RNN, length 5"] = rnn_rate.study(5)
    if not context.setting.quick:
        studies["CNN"] = conv.study("cnn")
    bursts = {name: engine_burst(each, seconds) for name, each in studies.items()}
    rates = interleave({"products": products(seconds), "sums": sums(seconds), **bursts}, ROUNDS)
    rows = [peak_row(name, rates[name]) for name in PEAKS]
    for name, each in studies.items():
        (work,) = each.plan().works
        operations = rates[name] * work.step_flops
        share = operations / rates["products"]
        rows.append(
            {
                "name": name,
                "per_second": float(np.median(operations)),
                "intensity": work.step_flops / work.step_bytes,
                "share": quantiles(share),
                "bytes_share": quantiles(rates[name] * work.step_bytes / rates["sums"]),
            }
        )
    return {"roofline": rows}


def peak_row(name: str, rates: np.ndarray) -> Figures:
    """Describes a peak: operations, or bytes, a second."""
    best = float(np.median(rates))
    return {"name": name, "per_second": best, "intensity": None, "share": None, "bytes_share": None}


def quantiles(values: np.ndarray) -> list[float]:
    """Gives the lower quartile, the median and the upper quartile."""
    return np.quantile(values, [0.25, 0.5, 0.75]).tolist()


def percent(values) -> str:
    """Writes quartiles as percentages."""
    if values is None:
        return "-"
    low, median, high = (report.number(100 * value) for value in values)
    return f"{median} [{low}, {high}]"


def tables(record: Figures) -> list[Table]:
    """Makes the table of times, and that of the roofline."""
    rows = []
    for row in record["findings"].get("roofline", []):
        intensity = "-" if row["intensity"] is None else report.number(row["intensity"])
        unit = "GB/s" if row["name"] == "sums" else "GFLOP/s"
        speed = f"{row['per_second'] / 1e9:.3g} {unit}"
        cells = (percent(row["share"]), percent(row["bytes_share"]))
        rows.append((row["name"], speed, intensity, *cells))
    columns = ("what", "speed", "operations a byte", "% of products", "bytes, % of sums")
    title = "Of this machine's peaks, in turns with them: median [quartiles]."
    made = [report.time_table(BENCHMARK, record)]
    return [*made, Table(title, columns, tuple(rows))] if rows else made


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(batch_size=[1, 32, 128, 800], lanes=[list(SIZES)]),
    contestants=contestants(),
    quick=Quick(cases=product(batch_size=[32], lanes=[[16, 1024]]), seconds=0.05),
    columns=[Column("MB", megabytes)],
    findings=[roofline],
    tables=tables,
    figure=lane_figures.figure,
    headline=({"batch_size": 32}, "1024"),
)
