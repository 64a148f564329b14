"""The common checks, over everything that there is; and each of them seen to fail."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_from_flax import ALL, X

from jaxdl import Metric, losses, models, tasks
from jaxdl.batches import draw_batch
from jaxdl.layers import ACTIVATIONS, INITS, Dense, dense, init_dense, normal
from jaxdl.sampling import rows
from jaxdl.testing import check_model, check_task
from jaxdl.types import Dataset, Model, Task, capacity

COLUMNS = X.T
RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("activation", "init"), [*zip(ACTIVATIONS, [*INITS, normal(0.3)] * 2, strict=False)]
)
def test_our_mlps_pass(activation, init):
    check_model(
        lambda width: models.mlp(3, (width, 4), 2, activation=activation, init=init),
        COLUMNS,
        padded=(3, 5),
    )


@pytest.mark.parametrize(
    "changes", [{"bias": False}, {"dropout_rate": 0.5}, {"hidden": ()}], ids=str
)
def test_other_mlps_pass(changes):
    check_model(models.mlp(3, **changes), COLUMNS)


def test_padded_outputs_and_layers_pass():
    check_model(lambda size: models.mlp(3, (4,), size, dropout_rate=0.3), COLUMNS, padded=(2, 5))
    check_model(
        lambda size: models.mlp(3, (size, size), 2, dropout_rate=0.3), COLUMNS, padded=(5, 5)
    )


@pytest.mark.parametrize("name", ALL)
def test_flax_models_pass(name):
    check_model(models.from_flax(ALL[name], X), COLUMNS)


TASKS = {
    "moons": tasks.moons(40),
    "moons with validation": tasks.moons(40, 0.2, valid_fraction=0.2),
    "classification": tasks.from_arrays(RNG.normal(size=(30, 4)), RNG.integers(0, 3, 30)),
    "regression": tasks.from_arrays(
        RNG.normal(size=(30, 4)), RNG.normal(size=30), valid_fraction=0.2
    ),
    "regression of two": tasks.from_arrays(RNG.normal(size=(30, 4)), RNG.normal(size=(30, 2))),
    "images": tasks.from_arrays(RNG.normal(size=(30, 4, 4, 1)), RNG.integers(0, 3, 30)),
    "epochs": tasks.moons(40)._replace(batch=functools.partial(draw_batch, sampling="epoch")),
}


@pytest.mark.parametrize("name", TASKS)
def test_our_tasks_pass(name):
    check_task(TASKS[name])


GOOD = models.mlp(3, (4,), 2)
CALLS = itertools.count(1)


def changed(function):
    """A good model with its outputs changed."""

    def apply(params, state, x, *, key=None, train=False):
        return function(GOOD.apply(params, state, x)[0], key, train), state

    return GOOD._replace(apply=apply)


def with_state(before, after, always=False):
    """A good model with a state."""

    def apply(params, state, x, *, key=None, train=False):
        return GOOD.apply(params, (), x)[0], after(state) if train or always else state

    return Model(lambda key: (GOOD.init(key)[0], before), apply)


def reuse(outputs, key, train):
    return (
        outputs + jax.random.normal(key, outputs.shape) * jax.random.uniform(key, outputs.shape)
        if train
        else outputs
    )


def under_jit(outputs, key, train):
    return outputs + isinstance(outputs, jax.core.Tracer)


def under_vmap(outputs, key, train):
    return outputs * (2 if "BatchTracer" in type(outputs).__name__ else 1)


BROKEN_MODELS = {
    "no model": (max, "model_of is a Model, .* but it gives builtin_function_or_method"),
    "batch first": (
        changed(lambda outputs, *_: outputs.T),
        r"batch axis last, but the shape is \(12, 2\) for a batch of 12",
    ),
    "a mean over the batch": (
        changed(lambda outputs, *_: outputs.mean(axis=-1)),
        "batch axis last, but the shape",
    ),
    "float16": (
        changed(lambda outputs, *_: outputs.astype(jnp.float16)),
        "float32 stays float32, but outputs.* are float16",
    ),
    "float64": (
        changed(lambda outputs, *_: outputs.astype(jnp.float64)),
        "float32 stays float32, but .*float64",
    ),
    "float16 params": (
        GOOD._replace(init=lambda key: jax.tree.map(jnp.float16, GOOD.init(key))),
        "float32, but params are float16",
    ),
    "impure": (
        changed(lambda outputs, *_: outputs + next(CALLS)),
        "the same key gives the same result, but the second time .* differ",
    ),
    "a key used twice": (changed(reuse), "keys are used once, but KeyReuseError"),
    "jit seen": (
        changed(under_jit),
        "jit changes no value, but under jit outputs in training differ by up to 1",
    ),
    "a Python branch": (
        changed(lambda outputs, *_: outputs if outputs.sum() > 0 else 2 * outputs),
        "but TracerBoolConversionError",
    ),
    "vmap seen": (
        changed(under_vmap),
        "vmapped over keys a lane is what it is alone, but under vmap",
    ),
    "a sum along the batch": (
        changed(lambda outputs, *_: jnp.cumsum(outputs, axis=-1)),
        "the order of the batch does not matter, but",
    ),
    "the batch's mean": (
        changed(lambda outputs, *_: outputs - outputs.mean(axis=-1, keepdims=True)),
        "a single example gives what it gives in a batch",
    ),
    "no batch of one": (
        changed(
            lambda outputs, *_: outputs + outputs.shape[-1] // 2 * 0 + 1 // (outputs.shape[-1] - 1)
        ),
        "a single example.* but ZeroDivisionError",
    ),
    "NaN gradient": (
        changed(lambda outputs, *_: jnp.sqrt(jnp.maximum(outputs - 1e9, 0)[:, :1]) + outputs),
        "gradients are finite .*but gradients hold NaN",
    ),
    "random in evaluation": (
        changed(lambda outputs, key, train: outputs + jax.random.normal(key, outputs.shape)),
        "but TypeError",
    ),
    "a growing state": (
        with_state((), lambda state: (*state, jnp.zeros(1))),
        "the state keeps its structure .*but states after a step in training have another structure",
    ),
    "a state of another shape": (
        with_state(jnp.zeros(2), lambda state: jnp.zeros(3)),
        "the state keeps its structure .*but states after a step in training have shapes",
    ),
    "a state that changes in evaluation": (
        with_state(jnp.zeros(2), lambda state: state + 1, always=True),
        "changes in training only, but where train=False",
    ),
}


@pytest.mark.parametrize("name", BROKEN_MODELS)
def test_a_broken_model_is_named_in_one_line(name):
    model, message = BROKEN_MODELS[name]
    with pytest.raises(AssertionError, match=f"^check_model: .*{message}") as caught:
        check_model(model, COLUMNS)
    assert "\n" not in str(caught.value)


def padded_mlp(initialise, activation=jnp.tanh):
    """A model of a width that is written without `keep`."""

    def model_of(width):
        def init(key):
            one, two = jax.random.split(key)
            return (initialise(one, width, 3), init_dense(two, 2, width, "he_normal")), ()

        def apply(params, state, x, *, key=None, train=False):
            return dense(params[1], activation(dense(params[0], x))), state

        return Model(init, apply)

    return model_of


def by_capacity(key, outputs, inputs):
    """The fan of the padded width."""
    weight = rows(key, jax.random.normal, (capacity(outputs), inputs)) / jnp.sqrt(capacity(outputs))
    return Dense(
        jnp.where(jnp.arange(capacity(outputs))[:, None] < 3, weight, 0),
        jnp.zeros(capacity(outputs)),
    )


def unmasked(key, outputs, inputs):
    return Dense(
        rows(key, jax.random.normal, (capacity(outputs), inputs)), jnp.zeros(capacity(outputs))
    )


BROKEN_PADDING = {
    "fan of the capacity": (padded_mlp(by_capacity), "live params differ by up to"),
    "no mask in init": (padded_mlp(unmasked), "params beyond the size must be zero"),
    "no mask after sigmoid": (
        padded_mlp(lambda *args: init_dense(*args, "he_normal"), jax.nn.sigmoid),
        "gradients beyond the size must be zero",
    ),
    "a branch on the size": (
        lambda width: models.mlp(3, (width if width > 2 else 2,)),
        "TypeError: a padded size has no single value",
    ),
    "another model where padded": (
        lambda width: models.mlp(
            3, (width,), activation="relu" if isinstance(width, int) else "tanh"
        ),
        "live outputs in training differ",
    ),
    "another structure": (
        lambda width: models.mlp(3, (width,), bias=isinstance(width, int)),
        "params have another structure",
    ),
}


@pytest.mark.parametrize("name", BROKEN_PADDING)
def test_broken_padding_is_named_in_one_line(name):
    model_of, message = BROKEN_PADDING[name]
    with pytest.raises(
        AssertionError,
        match=f"^check_model: a padded size computes what the size does, but .*{message}",
    ):
        check_model(model_of, COLUMNS, padded=(3, 5))


MOONS = tasks.moons(40)
DATA = MOONS.data(jax.random.key(8))


def batch_of(function):
    return MOONS._replace(
        batch=lambda dataset, key, step, size: function(draw_batch(dataset, key, step, size), size)
    )


def data_of(**changes):
    return MOONS._replace(
        data=lambda key: (data := MOONS.data(key))._replace(
            **{name: make(data, key) for name, make in changes.items()}
        )
    )


def measured(**changes):
    return MOONS._replace(**changes)


def jittery(outputs, targets):
    return losses.cross_entropy(outputs, targets) + isinstance(outputs, jax.core.Tracer)


BROKEN_TASKS = {
    "NaN": (
        data_of(test_x=lambda data, key: data.test_x.at[0, 0].set(jnp.nan)),
        "data are finite.* but test data hold NaN",
    ),
    "batch first": (
        data_of(train_x=lambda data, key: data.train_x.T),
        "batch-last .*but train x have shape \\(32, 2\\) and targets \\(32,\\)",
    ),
    "another number of features": (
        data_of(test_x=lambda data, key: data.test_x[:1]),
        "but test x and targets have shapes",
    ),
    "float16": (
        data_of(train_x=lambda data, key: data.train_x.astype(jnp.float16)),
        "but train data are float16",
    ),
    "one data set for all keys": (
        MOONS._replace(data=lambda key: DATA),
        "the key decides the data, but two keys give the same data",
    ),
    "data of a clock": (
        data_of(train_x=lambda data, key: data.train_x + next(CALLS)),
        "the key decides the data, but data of the same key",
    ),
    "shapes by key": (
        MOONS._replace(
            data=lambda key: tasks.moons(40 + int(jax.random.key_data(key)[0] % 97)).data(key)
        ),
        "the key decides the data, but training data of two keys have shapes",
    ),
    "data on the host": (
        data_of(train_x=lambda data, key: jnp.asarray(np.asarray(data.train_x))),
        "jit changes no data, but TracerArrayConversionError",
    ),
    "batches of ten": (
        MOONS._replace(batch=lambda dataset, key, step, size: draw_batch(dataset, key, step, 10)),
        "batches have the size asked for, but a batch of 1 has shapes",
    ),
    "no weight": (
        batch_of(lambda batch, size: (*batch[:2], 0 * batch[2])),
        "batches have the size asked for, but a batch of 1 has weights from 0.0 to 0.0",
    ),
    "a batch that sees jit": (
        batch_of(
            lambda batch, size: (batch[0] + isinstance(batch[0], jax.core.Tracer), *batch[1:])
        ),
        "jit changes no batch, but",
    ),
    "weight beyond": (
        batch_of(lambda batch, size: (*batch[:2], jnp.ones_like(batch[2]))),
        "a padded batch is the plain one.*has weight beyond its size",
    ),
    "other rows where padded": (
        batch_of(
            lambda batch, size: batch if isinstance(size, int) else (batch[0] + 1, *batch[1:])
        ),
        "a padded batch is the plain one.* differ by up to 1",
    ),
    "sizes as numbers": (
        batch_of(lambda batch, size: (batch[0] * (size > 0), *batch[1:])),
        "a padded batch .*TypeError: a padded size has no single value",
    ),
    "a summed loss": (
        measured(loss=lambda outputs, targets: losses.cross_entropy(outputs, targets).sum()),
        "loss is one finite value per example, but its shape is \\(\\)",
    ),
    "an infinite metric": (
        measured(metrics={"log": Metric(lambda outputs, targets: jnp.log(0.0 * targets), True)}),
        "log is one finite value per example, but values hold NaN or infinity",
    ),
    "a loss by place": (
        measured(
            loss=lambda outputs, targets: (
                losses.cross_entropy(outputs, targets) * jnp.arange(targets.size)
            )
        ),
        "loss does not depend on the order of the batch, but",
    ),
    "a loss of ranks": (
        measured(loss=lambda outputs, targets: outputs[0] - outputs[0].mean()),
        "loss of an example does not depend on the others, but",
    ),
    "a loss that sees jit": (
        measured(loss=jittery),
        "loss is the same under jit, but values differ by up to 1",
    ),
    "a loss without gradient": (
        measured(loss=lambda outputs, targets: jnp.sqrt(outputs[0] * 0)),
        "the gradient of the loss is finite, but",
    ),
}


@pytest.mark.parametrize("name", BROKEN_TASKS)
def test_a_broken_task_is_named_in_one_line(name):
    task, message = BROKEN_TASKS[name]
    with pytest.raises(AssertionError, match=f"^check_task: .*{message}") as caught:
        check_task(task)
    assert "\n" not in str(caught.value)


def test_a_task_may_do_without_padded_batches_and_have_outputs_of_its_own():
    check_task(BROKEN_TASKS["sizes as numbers"][0], padded=False)
    shared = Dataset(COLUMNS, COLUMNS[0], COLUMNS, COLUMNS[0])
    check_task(
        Task(
            data=shared,
            loss=lambda outputs, targets: (outputs.sum(axis=(0, 1)) - targets) ** 2,
            metrics={},
        ),
        outputs=(2, 3),
    )
