"""A planned lane equals the plain run in everything that is kept: numbers keep their Python
meaning, or their axis is static."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.perceptrons import perceptron_majority
from jaxdl import Metric, Study, losses, make_train, models, tasks, train
from jaxdl.sampling import batch_rows, seed_key
from jaxdl.types import Dataset, Model, Padded, Task

TASK = tasks.moons(60, 0.1)
MLP = models.mlp(2, (3,), 2)
RECORD = {"norm": lambda info: optax.tree.norm(info.params)}


def lanes_and_runs(optimizer, values, task=TASK, model=MLP, **settings):
    """The curves of every value's lane at seed 1, and of the bare run with the value as Python has
    it."""
    settings = {"steps": 12, "batch_size": 10, "eval_every": 4, "record": RECORD, **settings}
    named = lambda thing: (
        thing if callable(thing) and not isinstance(thing, tuple) else lambda hp: thing
    )
    study = Study(task, model, optimizer, sweep={"v": values}, seeds=[1], **settings)
    result = study.run()
    pairs = []
    for row, value in enumerate(values):
        hp = type("hp", (), {"v": value})
        run = make_train(named(task)(hp), named(model)(hp), named(optimizer)(hp), **settings)
        _, _, history = run(seed_key(1))
        pairs.append(({name: curve[row] for name, curve in result.history.items()}, history))
    return study, pairs


def assert_same(pairs):
    for lane, run in pairs:
        for name, curve in lane.items():
            np.testing.assert_allclose(curve, run[name], rtol=2e-4, atol=1e-6, err_msg=name)


INTEGERS = {
    "weight decay": (lambda hp: optax.adamw(1e-2, weight_decay=10**-hp.v), [1, 2, 3]),
    "eps": (lambda hp: optax.adam(1e-2, eps=10**-hp.v), [1, 2, 3]),
    "a rate": (lambda hp: optax.sgd(2**-hp.v), [0, 3]),
    "beyond int32": (lambda hp: optax.sgd(1e-12 * 10**hp.v), [10, 11]),
    "a product beyond int32": (lambda hp: optax.sgd(hp.v * 3_000_000_000 / 1e11), [1, 2]),
    "division": (lambda hp: optax.sgd(1 / hp.v), [10, 3]),
    "floor division": (lambda hp: optax.sgd(0.1 * (hp.v // 2)), [3, 5]),
    "negative": (lambda hp: optax.sgd(0.1 * 2**hp.v), [-1, -3]),
    "large": (lambda hp: optax.sgd(hp.v / 2**26), [2**24 + 1, 2**24 + 3]),
    "mixed with floats": (lambda hp: optax.sgd(10**-hp.v), [1, 1.5]),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_means_what_python_says(name):
    _, pairs = lanes_and_runs(*INTEGERS[name])
    assert_same(pairs)


def test_an_integer_in_a_metric_means_what_python_says():
    def task(hp):
        def near(outputs, targets):
            return jnp.abs(outputs[0] - outputs[1]) < 10**-hp.v

        return TASK._replace(metrics={"near": Metric(near, higher_is_better=True)})

    study, pairs = lanes_and_runs(optax.sgd(0.1), [0, 1, 2], task)
    assert_same(pairs)
    finals = study.run().final("test_near")
    assert finals[0] > finals[1] > 0


def test_an_integer_may_be_an_index():
    rates = jnp.array([0.1, 0.2, 0.5])
    study, pairs = lanes_and_runs(lambda hp: optax.sgd(rates[hp.v]), [2, 0, 1])
    assert {name: axis.kind for name, axis in study.plan().programs[0].axes.items()} == {
        "v": "traced"
    }
    assert_same(pairs)


def test_an_integer_may_be_an_index_and_an_exponent_where_only_the_end_of_a_run_shows_it():
    rates = jnp.array([0.1, 0.1, 0.1, 0.02, 0.03])
    x = np.random.default_rng(0).normal(size=(40, 2))

    def task(hp):
        def near(outputs, targets):
            return jnp.abs(outputs[0] - targets) < 10**-hp.v

        metrics = {"near": Metric(near, higher_is_better=True)}
        return tasks.from_arrays(x, x @ [1.0, -2.0] + 5, metrics=metrics)

    settings = {"steps": 400, "batch_size": None, "eval_every": 200}
    _, pairs = lanes_and_runs(
        lambda hp: optax.sgd(rates[hp.v]), [3, 4], task, models.mlp(2, (), 1), **settings
    )
    assert_same(pairs)
    assert [float(lane["test_near"][-1]) for lane, _ in pairs] == [1.0, 1.0]


def floats_only(plain, other):
    """`plain` for a Python float, `other` under a trace: what a careless branch does."""
    return lambda value: plain if isinstance(value, float) else other


TRAPS = {
    "a decay of 1e-3": lambda hp: optax.adamw(1e-3, weight_decay=floats_only(1e-3, 0.0)(hp.v)),
    "an eps": lambda hp: optax.adam(1e-3, eps=floats_only(1e-4, 1e-8)(hp.v)),
    "a moment": lambda hp: optax.adam(1e-3, b1=floats_only(0.9, 0.9005)(hp.v)),
    "a clip": lambda hp: optax.chain(
        optax.clip_by_global_norm(floats_only(0.1, 0.1005)(hp.v)), optax.sgd(0.1)
    ),
    "a rate that falls at step 100": lambda hp: optax.sgd(
        optax.piecewise_constant_schedule(0.1, {100: floats_only(0.1, 1.0)(hp.v)})
    ),
    "a rate that falls near the end": lambda hp: optax.sgd(
        optax.piecewise_constant_schedule(0.1, {190: floats_only(0.1, 1.0)(hp.v)})
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_small_and_late_differences_demote_an_axis(name):
    study = Study(TASK, MLP, TRAPS[name], sweep={"v": [0.1, 0.2]}, steps=200, batch_size=10)
    assert {program.axes["v"].kind for program in study.plan().programs} == {"static"}


def width_study(**changes):
    return Study(
        TASK,
        lambda hp: models.mlp(2, (hp.width,), 2),
        optax.sgd(0.1),
        **{"sweep": {"width": [2, 8]}, "steps": 10, "batch_size": 10, "shapes": "pad", **changes},
    )


def kind_of(study, name="width"):
    return {program.axes[name].kind for program in study.plan().programs}


COUNTS_DEAD = {"mean": lambda info: jnp.mean(jnp.abs(info.params[0].weight))}


@pytest.fixture(scope="module")
def two_units_alone():
    return width_study(record=COUNTS_DEAD, sweep={"width": [2]}).run()


@pytest.mark.parametrize("widths", [[2, 8], [8, 2], [8, 3, 2]])
def test_a_record_that_counts_dead_units_demotes_the_width(widths, two_units_alone):
    study = width_study(record=COUNTS_DEAD, sweep={"width": widths})
    assert kind_of(study) == {"static"}
    result, alone = study.run(), two_units_alone
    np.testing.assert_allclose(
        result.final("mean_mean")[result.rows({"width": 2})], alone.final("mean_mean"), rtol=1e-5
    )


def test_a_metric_or_one_unit_too_many_demotes_the_width():
    def one_too_many(hp):
        inner = models.mlp(2, (hp.width,), 2)

        def apply(params, state, x, *, key=None, train=False):
            outputs, state = inner.apply(params, state, x)
            units = hp.width.size + 1 if isinstance(hp.width, Padded) else hp.width
            return outputs / units, state

        return Model(inner.init, apply)

    study = Study(
        TASK,
        one_too_many,
        optax.sgd(0.1),
        sweep={"width": [20, 30]},
        steps=5,
        batch_size=10,
        shapes="pad",
    )
    assert kind_of(study) == {"static"}

    def task(hp):
        def width(outputs, targets):
            size = hp.width.max if isinstance(hp.width, Padded) else hp.width
            return jnp.full(targets.shape, 1.0 * size)

        return TASK._replace(metrics={"width": Metric(width, higher_is_better=True)})

    assert kind_of(
        width_study(task=task)
        if False
        else Study(
            task,
            lambda hp: models.mlp(2, (hp.width,), 2),
            optax.sgd(0.1),
            sweep={"width": [2, 8]},
            steps=5,
            batch_size=10,
            shapes="pad",
        )
    ) == {"static"}


def batch_norm_of_the_mean() -> Model:
    """A model whose state is the running mean of its inputs."""

    def apply(params, state, x, *, key=None, train=False):
        if not train:
            return params @ (x - state[:, None]), state
        mean = jnp.mean(x, axis=1)
        return params @ (x - mean[:, None]), mean

    return Model(lambda key: (jnp.ones((2, 1)), jnp.zeros(1)), apply)


@pytest.mark.parametrize("vmapped", [False, True])
def test_a_short_last_batch_gives_the_statistics_of_its_live_rows(vmapped):
    x = np.arange(1.0, 8.0, dtype=np.float32)[None]  # 7 rows: batches of 3, 3 and 1
    targets = np.zeros(7, np.int32)
    task = tasks.classification(Dataset(x, targets, x, targets))
    states = []
    for steps in range(1, 7):
        settings = {"steps": steps, "batch_size": 3, "sampling": "epoch"}
        trained = make_train(task, batch_norm_of_the_mean(), optax.sgd(0.0), **settings)
        lanes = jax.jit(jax.vmap(trained)) if vmapped else trained
        _, state, _ = lanes(jnp.stack([seed_key(0)]) if vmapped else seed_key(0))
        states.append(float(np.ravel(state)[0]))
    # a pass sees every row once: the sum of 1..7 is 28
    for first, second, last in (states[:3], states[3:]):
        assert 3 * first + 3 * second + last == pytest.approx(28, rel=1e-5)
        assert last == pytest.approx(round(last), abs=1e-5)


def centred(outputs, targets):
    return (outputs[0] - jnp.mean(outputs[0]) - targets) ** 2


def standardised() -> Model:
    """A model without state that looks at its batch as a whole."""

    def apply(params, state, x, *, key=None, train=False):
        return params @ (x - jnp.mean(x, axis=1, keepdims=True)), state

    return Model(lambda key: (jnp.ones((1, 2)), ()), apply)


LINEAR = Model(
    lambda key: (jnp.ones((1, 2)), ()),
    lambda params, state, x, *, key=None, train=False: (params @ x, state),
)
LOOKS_AT_ITS_BATCH = {
    "a loss": (LINEAR, centred),
    "a model": (standardised(), losses.squared_error),
    "the majority rule": (LINEAR, perceptron_majority),
}


@pytest.mark.parametrize("name", LOOKS_AT_ITS_BATCH)
def test_what_looks_at_a_batch_as_a_whole_sees_the_live_rows_of_a_short_one(name):
    model, loss = LOOKS_AT_ITS_BATCH[name]
    x = (
        np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32)
    )  # 5 rows: batches of 3 and 2
    targets = np.array([1, -1, 1, -1, -1], np.float32)
    dataset = Dataset(x, targets, x, targets)
    settings = {
        "steps": 8,
        "batch_size": 3,
        "sampling": "epoch",
        "eval_every": 1,
        "record": {"g": lambda info: info.grads.sum()},
    }
    _, _, history = make_train(
        Task(data=dataset, loss=loss, metrics={}), model, optax.sgd(0.0), **settings
    )(seed_key(3))
    key = train.streams(seed_key(3)).shuffle
    for step in range(8):
        rows, weight = batch_rows(key, step, 5, 3, "epoch")
        live = np.asarray(rows)[np.asarray(weight) > 0]
        assert len(live) == (3, 2)[step % 2]

        def mean(params, live=live):
            return loss(model.apply(params, (), x[:, live], train=True)[0], targets[live]).mean()

        value, grads = jax.value_and_grad(mean)(jnp.ones((1, 2)))
        np.testing.assert_allclose(
            history["batch_loss_mean"][step + 1], value, rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(history["g_mean"][step + 1], grads.sum(), rtol=1e-5, atol=1e-6)


def test_a_batch_size_that_a_loss_sees_gets_a_program_a_size():
    x = np.random.default_rng(1).normal(size=(2, 7)).astype(np.float32)
    task = Task(data=Dataset(x, x[0], x, x[0]), loss=centred, metrics={})
    for sampling in ("step", "epoch"):
        study = Study(
            task,
            LINEAR,
            optax.sgd(0.1),
            sweep={"batch_size": [5, 3]},
            steps=6,
            sampling=sampling,
            shapes="pad",
        )
        assert kind_of(study, "batch_size") == {"static"}


def test_a_task_with_batches_of_its_own_takes_no_sampling():
    def batch(dataset, key, step, batch_size):
        return (
            dataset.train_x[:, :batch_size],
            dataset.train_targets[:batch_size],
            jnp.ones(batch_size),
        )

    task = TASK._replace(batch=batch)
    message = "sampling must not be given for a task that brings its own batches, got 'epoch'"
    with pytest.raises(ValueError, match=message):
        make_train(task, MLP, optax.sgd(0.1), steps=2, sampling="epoch")
    for place in (
        {"sampling": "epoch"},
        {"defaults": {"sampling": "epoch"}},
        {"sampling": lambda hp: "epoch"},
        {"sweep": {"sampling": ["epoch"]}},
    ):
        with pytest.raises(ValueError, match=message):
            Study(task, MLP, optax.sgd(0.1), steps=2, batch_size=4, **place).plan()
    with pytest.raises(ValueError, match="got 'step'"):
        Study(task, MLP, optax.sgd(0.1), steps=2, batch_size=4, sampling="step").plan()
    Study(task, MLP, optax.sgd(0.1), steps=2, batch_size=4).plan()


def numpy_model(hp=None):
    def init(key):
        return jnp.asarray(np.random.default_rng(0).normal(size=(2, 2)), jnp.float32), ()

    return Model(init, lambda params, state, x, *, key=None, train=False: (params @ x, state))


@pytest.mark.parametrize(
    ("model", "said"), [(numpy_model(), True), (models.perceptron(2), True), (MLP, False)]
)
def test_the_plan_says_where_initial_weights_do_not_depend_on_the_seed(model, said):
    task = tasks.gaussians() if model.apply.__module__.endswith("perceptron") else TASK
    plan = Study(task, model, optax.sgd(0.1), steps=2, batch_size=4, reduction="sum").plan()
    assert ("initial weights do not depend on the seed" in str(plan)) == said
