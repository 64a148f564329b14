"""How wide to vmap, and in which layout: lanes of R1's network together on each device?

The network of `lane_rate` with so many lanes vmapped together on each device, with the batch last
(ours) and first (points (batch, features), weights (in, out), as most libraries have it). The
largest number is one wide vmap, the smaller ones are chunks of it; "planned" is the planner's
choice.

Command: python -m benchmarks lanes
"""

import functools

import jax
import jax.numpy as jnp

from benchmarks.harness import Benchmark, Case, Contestant, Quick, Setting, Work, product
from benchmarks.moons_mlp import FEATURES, NETWORK, TASK, study
from benchmarks.timing import engine_burst
from jaxdl.batches import draw_batch
from jaxdl.types import Dataset, Model, Task

SIZES = (1, 16, 128, 1024, 4096, 16384)


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
    burst = engine_burst(chosen, setting.seconds)
    return Work(burst, facts={"lane_size": chosen.plan().programs[0].lane_size})


def contestants() -> dict[str, Contestant]:
    """Lists every number of lanes in both layouts; the planner's choice comes first."""
    listed = {"planned": Contestant(functools.partial(vmapped, None, False), ours=True)}
    for name, is_first in (("", False), (", batch first", True)):
        for size in SIZES:
            make = functools.partial(vmapped, size, is_first)
            listed[f"{size}{name}"] = Contestant(make, ours=not is_first)
    return listed


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(batch_size=[1, 32, 128, 800]),
    contestants=contestants(),
    quick=Quick(cases=product(batch_size=[32]), seconds=0.1),
    headline=({"batch_size": 32}, "1024"),
)
