"""The planner: what is traced, padded and static is found out rightly, traps included; groups of
sizes are cheapest."""

import collections
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, models, tasks
from jaxdl.planning import cost, grouping, trial
from jaxdl.planning.config import Config
from jaxdl.train import Schedule
from jaxdl.types import Model


def kinds(optimizer=None, model=None, task=None, **options):
    study = Study(
        task=task or tasks.moons(60, 0.1),
        model=model or models.mlp(2, (3,), 2),
        optimizer=optimizer or optax.sgd(0.1),
        seeds=2,
        **{"steps": 20, "batch_size": 10, **options},
    )
    return {
        name: axis.kind for program in study.plan().programs for name, axis in program.axes.items()
    }


OPTIMIZERS = {
    "sgd learning rate": (lambda hp: optax.sgd(hp.v), [0.1, 0.2], "traced"),
    "sgd momentum": (lambda hp: optax.sgd(0.1, momentum=hp.v), [0.5, 0.9], "traced"),
    "sgd momentum with zero": (lambda hp: optax.sgd(0.1, momentum=hp.v), [0, 0.9], "traced"),
    "nesterov": (lambda hp: optax.sgd(0.1, momentum=0.9, nesterov=hp.v), [False, True], "static"),
    "adam b1": (lambda hp: optax.adam(0.01, b1=hp.v), [0.5, 0.9], "traced"),
    "adam b2": (lambda hp: optax.adam(0.01, b2=hp.v), [0.9, 0.99], "traced"),
    "adam eps": (lambda hp: optax.adam(0.01, eps=hp.v), [1e-8, 1e-3], "traced"),
    "adamw weight decay": (lambda hp: optax.adamw(0.01, weight_decay=hp.v), [1e-4, 0.1], "traced"),
    "lamb weight decay": (lambda hp: optax.lamb(0.01, weight_decay=hp.v), [1e-4, 0.1], "traced"),
    "rmsprop decay": (lambda hp: optax.rmsprop(0.01, decay=hp.v), [0.9, 0.99], "traced"),
    "rmsprop centered": (lambda hp: optax.rmsprop(0.01, centered=hp.v), [False, True], "static"),
    "clip by global norm": (
        lambda hp: optax.chain(optax.clip_by_global_norm(hp.v), optax.sgd(0.1)),
        [0.1, 1.0],
        "traced",
    ),
    "clip by value": (
        lambda hp: optax.chain(optax.clip(hp.v), optax.sgd(0.1)),
        [0.1, 1.0],
        "traced",
    ),
    "cosine init_value": (
        lambda hp: optax.sgd(optax.cosine_decay_schedule(hp.v, 20)),
        [0.1, 0.2],
        "traced",
    ),
    "cosine decay_steps": (
        lambda hp: optax.sgd(optax.cosine_decay_schedule(0.1, hp.v)),
        [10, 20],
        "static",
    ),
    "exponential decay rate": (
        lambda hp: optax.sgd(optax.exponential_decay(0.1, 10, hp.v)),
        [0.5, 0.9],
        "static",
    ),
    "polynomial transition steps": (
        lambda hp: optax.sgd(optax.polynomial_schedule(0.1, 0.0, 2, hp.v)),
        [5, 10],
        "static",
    ),
    "warm-up steps": (
        lambda hp: optax.sgd(optax.warmup_cosine_decay_schedule(0.0, 0.1, hp.v, 20)),
        [2, 4],
        "static",
    ),
    "choice by name": (
        lambda hp: {"sgd": optax.sgd, "adam": optax.adam}[hp.v](0.01),
        ["sgd", "adam"],
        "static",
    ),
    "a branch on the value": (
        lambda hp: optax.sgd(0.1 if hp.v > 0.15 else 0.2),
        [0.1, 0.2],
        "static",
    ),
    "a value as a key": (lambda hp: optax.sgd({0.1: 0.5, 0.2: 0.7}[hp.v]), [0.1, 0.2], "static"),
    "trap: isinstance float": (
        lambda hp: optax.sgd(hp.v if isinstance(hp.v, float) else 0.5),
        [0.1, 0.2],
        "static",
    ),
    "trap: isinstance int": (
        lambda hp: optax.sgd(0.1 * hp.v if isinstance(hp.v, int) else 0.5),
        [1, 2],
        "static",
    ),
    "trap: str": (lambda hp: optax.sgd(len(str(hp.v)) / 10), [0.1, 0.25], "static"),
    "trap: is": (lambda hp: optax.sgd(0.1 if hp.v is True else 0.01), [True, False], "static"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_schedules_and_traps(name):
    optimizer, values, kind = OPTIMIZERS[name]
    assert kinds(optimizer, sweep={"v": values}) == {"v": kind}


def test_momentum_none_gets_its_own_program():
    study = Study(
        tasks.moons(60),
        models.mlp(2),
        lambda hp: optax.sgd(0.1, momentum=hp.v),
        sweep={"v": [None, 0.5, 0.9]},
        steps=4,
        batch_size=10,
    )
    assert [
        (len(program.configs), program.axes["v"].kind) for program in study.plan().programs
    ] == [(1, "static"), (2, "traced")]


def test_width_and_batch_size_are_padded_and_depth_is_static():
    def model(hp):
        return models.mlp(2, (hp.width,) * hp.depth, 2)

    found = kinds(
        model=model,
        sweep={"width": [2, 3, 5], "batch_size": [4, 8], "depth": [1, 2]},
        batch_size=None,
        shapes="pad",
    )
    assert found == {"width": "padded", "batch_size": "padded", "depth": "static"}


def noisy(grads):
    """Draws that a wider layer does not share: the key runs along the units."""
    return grads + jax.random.normal(jax.random.key(0), grads.shape[::-1]).T


PADDING_BREAKERS = {
    "adam without eps": lambda hp: optax.adam(0.01, eps=0.0, eps_root=0.0),
    "gradient noise": lambda hp: optax.chain(
        optax.stateless(lambda g, p: jax.tree.map(noisy, g)), optax.sgd(0.1)
    ),
    "adafactor": lambda hp: optax.adafactor(0.1, min_dim_size_to_factor=2),
    "a norm that counts units": lambda hp: optax.chain(
        optax.stateless(lambda g, p: jax.tree.map(lambda leaf: leaf / leaf.size, g)), optax.sgd(0.1)
    ),
}


@pytest.mark.parametrize("name", PADDING_BREAKERS)
def test_optimizers_that_see_the_padding_are_noticed(name):
    found = kinds(
        PADDING_BREAKERS[name],
        lambda hp: models.mlp(2, (hp.width,), 2),
        sweep={"width": [2, 7]},
        shapes="pad",
    )
    assert found == {"width": "static"}


def test_a_model_without_a_mask_is_noticed():
    """A sigmoid makes dead units 0.5; without a mask they reach the next layer."""

    def model(hp):
        inner = models.mlp(2, (hp.width,), 2, activation="sigmoid")

        def apply(params, state, x, *, key=None, train=False):
            hidden = jax.nn.sigmoid(params[0].weight @ x + params[0].bias[:, None])
            return params[1].weight @ hidden + jnp.sum(hidden, axis=0, keepdims=True), state

        return Model(inner.init, apply)

    assert kinds(model=model, sweep={"width": [2, 7]}, shapes="pad") == {"width": "static"}


def test_batch_size_is_not_padded_for_a_model_with_state():
    def apply(params, state, x, *, key=None, train=False):
        mean = jnp.mean(x, axis=1) if train else state
        return params @ (x - mean[:, None]), mean

    model = Model(lambda key: (jax.random.normal(key, (2, 2)), jnp.zeros(2)), apply)
    assert kinds(model=model, sweep={"batch_size": [4, 8]}, batch_size=None, shapes="pad") == {
        "batch_size": "static"
    }


def test_an_axis_spoilt_by_another_is_classified_beside_it():
    """The width is traced with SGD and would be with any optimizer, but the optimizer's branch
    needs its value."""

    def optimizer(hp):
        return optax.sgd(0.1 if hp.width > 2 else 0.2) if hp.careful else optax.sgd(0.1)

    study = Study(
        tasks.moons(60),
        lambda hp: models.mlp(2, (hp.width,), 2),
        optimizer,
        shapes="pad",
        sweep={"careful": [False, True], "width": [2, 3]},
        steps=4,
        batch_size=10,
    )
    found = [
        (program.configs[0].values["careful"], program.axes["width"].kind)
        for program in study.plan().programs
    ]
    assert found == [(False, "padded"), (True, "static"), (True, "static")]


def test_a_study_that_does_not_trace_raises_the_users_exception_with_a_note():
    def model(hp):
        raise RuntimeError("no such model")

    with pytest.raises(RuntimeError, match="no such model") as caught:
        kinds(model=model, sweep={"learning_rate": [0.1]})
    assert any("learning_rate" in note for note in caught.value.__notes__)


def test_shapes_pad_and_bucket_are_the_two_ends():
    def plan(shapes):
        return Study(
            tasks.moons(60),
            lambda hp: models.mlp(2, (hp.width,), 2),
            optax.sgd(0.1),
            sweep={"width": [2, 3, 5]},
            steps=4,
            batch_size=10,
            shapes=shapes,
        ).plan()

    assert [len(plan(shapes).programs) for shapes in ("pad", "bucket", "auto")] == [1, 3, 1]
    assert plan("pad").useful[0] < 1
    assert plan("bucket").useful == (1.0, 1.0, 1.0)
    assert "padding" in str(plan("pad"))


def test_the_measured_plan_shows_memory_and_time():
    study = Study(
        tasks.moons(60), models.mlp(2), optax.sgd(0.1), steps=4, batch_size=10, lane_size=2, seeds=3
    )
    assert "memory" not in str(study.plan()).splitlines()[2]
    plan = study.plan(measure=True)
    assert "memory, MB" in str(plan)
    datasets = 4 * 60 * 3 * 2 * len(jax.local_devices())  # bytes of the lanes' data alone
    assert plan.bytes > datasets
    assert plan.seconds > 0


def test_functions_of_settings_are_called_once_a_config(tmp_path):
    calls = collections.Counter()

    def counted(name, function):
        return lambda hp: calls.update([(name, hp.rate, hp.width)]) or function(hp)

    study = Study(
        tasks.moons(40),
        lambda hp: models.mlp(2, (hp.width,), 2),
        lambda hp: optax.sgd(hp.rate),
        sweep={"rate": [0.1, 0.2], "width": [2, 3]},
        steps=counted("steps", lambda hp: 2 * hp.width),
        batch_size=counted("batch_size", lambda hp: np.int64(4 * hp.width)),
        eval_every=counted("eval_every", lambda hp: None),
        reduction=counted("reduction", lambda hp: "sum"),
        sampling=counted("sampling", lambda hp: "epoch"),
        lane_size=1,
    )
    config = study.spec.configs[1]
    assert config.values == {"rate": 0.1, "width": 3}
    assert config.settings == {
        "batch_size": 12,
        "steps": 6,
        "eval_every": 1,
        "reduction": "sum",
        "sampling": "epoch",
    }
    assert config.schedule == Schedule(6, 1)
    study.plan()
    for _ in range(2):
        assert study.run(tmp_path / "run").complete
    study.replay({"rate": 0.1, "width": 3}, 0)
    assert study.recipe({"rate": 0.1, "width": 3}).batch_size == 12
    assert len(calls) == 5 * 4
    assert set(calls.values()) == {1}


def test_functions_of_settings_that_use_jax_leave_it_with_a_device_a_core():
    code = """
import jax, optax
from jaxdl import Study, models, tasks
Study(tasks.moons(40), models.mlp(2), optax.sgd(0.1), steps=lambda hp: int(jax.numpy.ceil(2.5)))
print(len(jax.local_devices()))
"""
    chosen = ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= 2


def test_a_name_that_settings_alone_read_is_no_mistake():
    study = Study(
        tasks.moons(40),
        models.mlp(2),
        optax.sgd(0.1),
        sweep={"epochs": [1, 2]},
        steps=lambda hp: 3 * hp.epochs,
        batch_size=8,
    )
    assert [program.schedule.steps for program in study.plan().programs] == [3, 6]


def test_a_functions_own_error_says_at_which_config():
    with pytest.raises(ZeroDivisionError) as caught:
        Study(
            tasks.moons(40),
            models.mlp(2),
            optax.sgd(0.1),
            sweep={"epochs": [1, 0]},
            steps=lambda hp: 6 // hp.epochs,
        )
    assert caught.value.__notes__ == ["at config {'epochs': 0}"]


def sized(**sizes):
    return Config(sizes, {}, Schedule(1, 1))


def price_of(compiling, padded=("width",), fixed=0):
    """A program's price: to compile it, and for every lane a fixed part and its padded sizes."""

    def price(configs):
        largest = [max(config.values[name] for config in configs) for name in padded]
        return compiling + len(configs) * (fixed + math.prod(largest))

    return price


def cheapest_of_all(configs, price):
    """The price of the cheapest of all partitions of sorted configs into contiguous groups."""
    best = [0.0]
    for end in range(1, len(configs) + 1):
        best.append(min(best[begin] + price(configs[begin:end]) for begin in range(end)))
    return best[-1]


def test_cuts_are_within_a_tenth_of_the_cheapest_partition():
    random = np.random.default_rng(0)
    ratios = []
    for _ in range(500):
        sizes = sorted({int(2**place) for place in random.uniform(0, 8, random.integers(2, 11))})
        configs = [sized(width=size) for size in sizes]
        price = price_of(2 ** random.uniform(0, 12), fixed=random.choice([0, 5, 20]))
        groups = grouping.cheapest_cuts(configs, ["width"], price)
        assert [config for group in groups for config in group] == configs
        ratios.append(sum(map(price, groups)) / cheapest_of_all(configs, price))
    assert max(ratios) < 1.1
    assert np.mean(np.array(ratios) < 1.0001) > 0.95


def test_cuts_go_along_the_axis_where_they_save():
    configs = [sized(width=w, batch_size=b) for w in (4, 5) for b in (1, 2, 100)]
    padded = ["width", "batch_size"]
    groups = grouping.cheapest_cuts(configs, padded, price_of(300, padded))
    sizes = [[config.values["batch_size"] for config in group] for group in groups]
    assert sizes == [[1, 2, 1, 2], [100, 100]]
    assert grouping.cheapest_cuts(configs, padded, price_of(1e6, padded)) == [configs]
    alone = grouping.cheapest_cuts(configs, padded, price_of(0, padded))
    assert sorted(alone, key=lambda group: tuple(group[0].values.values())) == [
        [config] for config in configs
    ]
    assert grouping.by_sizes(configs, ["batch_size"]) == [configs[place::3] for place in range(3)]


@pytest.mark.parametrize(("name", "sizes"), [("width", [2, 9, 30]), ("batch_size", [3, 20, 45])])
def test_padding_is_told_as_each_size_traced_by_itself_would_tell(name, sizes):
    def padded():
        return Study(
            tasks.moons(60),
            lambda hp: models.mlp(2, (hp.width,), 2),
            optax.sgd(0.1),
            defaults={key: 5 for key in ("width", "batch_size") if key != name},
            sweep={name: sizes},
            steps=4,
            shapes="pad",
        )

    study = padded()
    (program,), (useful,) = study.plan().programs, study.plan().useful
    # Each size in a program of its own that still pads: with its mask, as the common one has it.
    alone = [
        trial.work(study.spec.parts, program._replace(configs=(config,))).seconds(1, 0)
        for config in program.configs
    ]
    assert useful == pytest.approx(np.mean(alone) / max(alone), rel=0.01)


def test_work_counts_products_and_the_arrays_of_a_step():
    def train(weight, stop):
        def one_step(i, weight):
            return weight @ jnp.ones((4, 4))

        return jax.lax.fori_loop(
            0, stop, lambda i, w: jax.lax.fori_loop(0, stop, one_step, w), weight
        )

    work = cost.work_of(jax.make_jaxpr(train)(jnp.ones((3, 4)), 5).jaxpr)
    assert work.step_flops == 2 * 3 * 4 * 4
    assert work.widest == 3 * 4 * 4


def test_work_counts_convolutions_and_their_gradients():
    def train(weight, x, stop):
        def loss(weight):
            y = jax.lax.conv_general_dilated(
                x, weight, (2, 1), "VALID", dimension_numbers=("CHWN", "OIHW", "CHWN")
            )
            return jnp.sum(y**2)

        step = lambda i, weight: weight - jax.grad(loss)(weight)
        return jax.lax.fori_loop(0, stop, lambda i, w: jax.lax.fori_loop(0, stop, step, w), weight)

    jaxpr = jax.make_jaxpr(train)(jnp.ones((5, 3, 3, 3)), jnp.ones((3, 9, 8, 4)), 5)
    work = cost.work_of(jaxpr.jaxpr)
    once = 2 * (5 * 4 * 6 * 4) * (3 * 3 * 3)  # outputs times taps and channels
    assert work.step_flops == 2 * once  # forwards, and for the kernel; the input needs none
    assert work.convolutions == 2
    assert work.lane_size() == 1
    small = work._replace(convolutions=0, widest=3000.0)
    assert small.lane_size() == 64


def test_lanes_of_a_network_of_products_go_one_by_one_where_its_arrays_are_large():
    rows = jnp.zeros((64, 768))
    task = tasks.from_arrays(rows, jnp.arange(64) % 2)._replace(
        prepare=lambda x: x.reshape(3, 16, 16, -1)
    )
    cnn = lambda channels: models.cnn(channels, 2, inputs=(3, 16, 16), method="taps")
    plan = lambda model: Study(task, model, optax.sgd(0.1), batch_size=32, steps=2).plan()
    (program,) = plan(cnn((32, 64))).programs
    assert program.lane_size == 1
