"""The shapes in public signatures hold: a copy of the library is imported whose functions check
them, and called as a study calls it, traced, vmapped and padded."""

import ast
import importlib
import pathlib
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import TypeCheckError, install_import_hook

ROOT = pathlib.Path(__file__).parents[1] / "jaxdl"
MODULES = (
    "batches",
    "cells",
    "data",
    "losses",
    "metrics",
    "models",
    "sampling",
    "tasks",
    "train",
    "types",
)


@pytest.fixture(scope="module")
def checked():
    """The vocabulary's modules, with every call checked; the other tests' copy comes back."""
    plain = {name: sys.modules.pop(name) for name in list(sys.modules) if belongs(name)}
    with install_import_hook("jaxdl", "beartype.beartype"):
        copies = {name: importlib.import_module(f"jaxdl.{name}") for name in MODULES}
        yield types.SimpleNamespace(**copies)
    for name in list(sys.modules):
        if belongs(name):
            del sys.modules[name]
    sys.modules.update(plain)


def belongs(name: str) -> bool:
    return name.split(".")[0] == "jaxdl"


STUDIES = {
    "moons": lambda c: (c.tasks.moons(20, valid_fraction=0.1), c.models.mlp(2, (3,))),
    "gaussians": lambda c: (c.tasks.gaussians(samples=10), c.models.perceptron()),
    "vanilla": lambda c: (c.tasks.palindromes(4, "number", 8, 8), c.models.rnn(1, 3, 10)),
    "lstm": lambda c: (
        c.tasks.palindromes(4, "one_hot", 8, 8),
        c.models.rnn(10, 3, 10, cell="lstm"),
    ),
    "padded": lambda c: (
        c.tasks.palindromes(c.types.Padded(4, 6), "number", 8, 8),
        c.models.rnn(
            1, c.types.Padded(3, 5), 10, cell="gru", length=c.types.Padded(3, 5), init="torch_rnn"
        ),
    ),
    "numbers": lambda c: (
        c.tasks.from_arrays(np.ones((12, 2)), np.arange(12) / 4),
        c.models.mlp(2, (3,), 1),
    ),
    "two classes": lambda c: (
        c.tasks.from_arrays(
            np.ones((12, 2)), np.arange(12) % 2, loss=c.losses.binary_cross_entropy
        ),
        c.models.mlp(2, (3,), 1),
    ),
}


@pytest.mark.parametrize("name", STUDIES)
def test_shapes_hold_while_lanes_are_traced(checked, name):
    task, model = STUDIES[name](checked)
    sampling = "epoch" if name == "two classes" else None
    settings = {"steps": 2, "batch_size": 3, "sampling": sampling}
    train = checked.train.make_train(task, model, optax.sgd(0.1), **settings)
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    _, _, history = jax.eval_shape(jax.vmap(train), keys)
    assert history["test_loss"].shape == (2, 2)


def test_shapes_hold_where_batches_are_drawn(checked):
    c, n = checked, 9
    dataset = c.types.Dataset(np.ones((2, n)), np.ones(n), np.ones((2, 4)), np.ones(4))

    def shapes_of(sampling, size):
        return jax.eval_shape(
            lambda key, live: c.batches.draw_batch(
                dataset, key, live, size or c.types.Padded(live, 5), sampling=sampling
            ),
            jax.random.key(0),
            jnp.int32(3),
        )

    for sampling in ("step", "epoch"):
        for size, places in ((1, 1), (n, n), (None, 5)):
            x, targets, weight = shapes_of(sampling, size)
            assert (x.shape, targets.shape, weight.shape) == ((2, places), (places,), (places,))
    drawn_before = jax.eval_shape(
        lambda key, order: c.sampling.batch_rows(key, 1, n, 2, "epoch", order),
        jax.random.key(0),
        jnp.arange(n),
    )
    assert drawn_before[0].shape == (2,)


def test_shapes_hold_for_values_at_hand(checked):
    c = checked
    assert c.data.bayes_accuracy(6, 100.0).shape == ()
    assert c.data.encode_digits(np.array([[3], [0]]), "one_hot").shape == (2, 10, 1)
    assert c.types.mask(c.types.Padded(2, 4)).shape == (4,)
    assert c.losses.one_hot(np.array([0, 2]), 4).shape == (4, 2)


CLASSES, SIGNS = np.array([0, 1, 1]), np.array([1.0, -1.0, 1.0])
FIT = [  # loss or metric, shape of the outputs, targets
    ("cross_entropy", (2, 3), CLASSES),
    ("accuracy", (2, 3), CLASSES == 1),
    ("binary_cross_entropy", (1, 3), CLASSES),
    ("binary_accuracy", (2, 3), np.ones((2, 3), np.uint8)),
    ("rounded_accuracy", (1, 3), SIGNS),
    ("perceptron", (1, 3), SIGNS),
    ("perceptron_mistakes", (1, 3), SIGNS[None]),
    ("sign_accuracy", (1, 3), np.int8(SIGNS)),
    ("squared_error", (1, 3), SIGNS),
    ("squared_error", (4, 2, 3), np.ones((4, 2, 3))),
]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shapes_hold_for_losses_and_metrics(checked, dtype):
    for name, shape, targets in FIT:
        outputs = jax.ShapeDtypeStruct(shape, dtype)
        function = getattr(checked.losses, name)
        values = jax.eval_shape(lambda outputs, f=function, y=targets: f(outputs, y), outputs)
        assert values.shape == (3,)
    for name, shape, targets in FIT[:3]:
        outputs = jax.ShapeDtypeStruct(shape, dtype)
        for metric in (checked.metrics.f1(), checked.metrics.auc()):
            weight = np.ones(3, np.float32) if metric.gathered else np.float32(3)

            def value(outputs, metric=metric, y=targets, weight=weight):
                taken = metric.function(outputs, y)
                if not metric.gathered:
                    taken = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=-1), taken)
                return metric.finish(taken, weight)

            assert jax.eval_shape(value, outputs).shape == (), name
    smoothed = checked.losses.smoothed_cross_entropy(0.1)
    outputs = jax.ShapeDtypeStruct((2, 3), dtype)
    assert jax.eval_shape(lambda outputs: smoothed(outputs, CLASSES), outputs).shape == (3,)


REFUSED = {
    "a third target": lambda c: c.losses.cross_entropy(jnp.ones((2, 2)), jnp.zeros(3, jnp.int32)),
    "classes as floats": lambda c: c.losses.accuracy(jnp.ones((2, 3)), jnp.zeros(3)),
    "outputs of one axis": lambda c: c.losses.binary_cross_entropy(jnp.ones(3), jnp.zeros(3)),
    "more outputs than labels": lambda c: c.losses.squared_error(jnp.ones((2, 3)), np.ones((4, 3))),
    "two outputs for a sign": lambda c: c.losses.perceptron(jnp.ones((2, 3)), jnp.ones(3)),
    "integers as outputs": lambda c: c.losses.sign_accuracy(jnp.ones((1, 3), int), jnp.ones(3)),
    "digits of one axis": lambda c: c.data.encode_digits(np.arange(3)),
    "noise of two": lambda c: c.data.moons(jax.random.key(0), 8, jnp.ones(2)),
    "a seed as a key": lambda c: c.data.palindromes(0, 4, 2),
    "several keys": lambda c: c.sampling.stream(jax.random.split(jax.random.key(0)), "data"),
    "places as floats": lambda c: c.sampling.permute(jax.random.key(0), 9, jnp.ones(2)),
    "an order of floats": lambda c: c.sampling.batch_rows(
        jax.random.key(0), 0, 2, 1, "epoch", jnp.ones(2)
    ),
    "a draw of another shape": lambda c: c.sampling.rows(
        jax.random.key(0), lambda key, shape: jnp.ones(5), (2, 3)
    ),
    "a hidden state of another batch": lambda c: c.cells.vanilla(
        c.cells.Gate(c.cells.Dense(np.ones((3, 2)), None), c.cells.Dense(np.ones((3, 3)), None)),
        jnp.ones((3, 4)),
        jnp.ones((2, 5)),
    ),
    "targets of other rows": lambda c: c.tasks.split(np.ones((2, 9)), np.ones(8), 0.2, 0.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_shapes_are_really_checked(checked, name):
    with pytest.raises(TypeCheckError, match=r"parameter|return"):
        REFUSED[name](checked)


ANNOTATED = [
    *(
        ROOT / f"{name}.py"
        for name in ("batches", "cells", "losses", "metrics", "sampling", "tasks")
    ),
    *(ROOT / f"models/{name}.py" for name in ("from_flax", "perceptron", "rnn")),
    *(
        ROOT / f"data/{name}.py"
        for name in ("arrays", "gaussians", "moons", "palindromes", "splits")
    ),
]


@pytest.mark.parametrize("path", ANNOTATED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_arguments_say_what_they_are(path):
    functions = [node for node in ast.parse(path.read_text()).body if is_public(node)]
    bare = [
        f"{function.name}({argument.arg})"
        for function in functions
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.annotation is None
    ]
    assert not bare


def is_public(node) -> bool:
    return isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
