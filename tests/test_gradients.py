"""The gradients that a step hands to the optimizer, against finite differences in float64 and
against backpropagation by hand."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import losses, models, train
from jaxdl.layers import ACTIVATIONS, Dense, dense
from jaxdl.types import Dataset, Task

NUMPY = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "identity": lambda z: z,
}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 12)), RNG.integers(0, 4, 12)
EVERYTHING, SHORT = np.ones(12), np.arange(12) < 5  # weights of a whole batch and of a short one
LAYERS = [
    (RNG.normal(size=(out, into)), RNG.normal(size=out)) for out, into in ((6, 3), (5, 6), (4, 5))
]


@functools.cache
def step_gradients(activation, reduction):
    """The gradients of one step of `train.step`, caught by an optimizer that keeps them as its
    state: (weight) -> gradients."""
    catch = optax.GradientTransformation(
        lambda params: params, lambda grads, state, params: (params, grads)
    )
    params = tuple(Dense(np.float32(matrix), np.float32(bias)) for matrix, bias in LAYERS)
    model = models.mlp(3, (6, 5), 4, activation=activation)._replace(init=lambda key: (params, ()))

    @jax.jit
    def gradients(weight):
        task = Task(
            data=None,
            batch=lambda *_: (jnp.float32(X), jnp.int32(Y), weight),
            loss=losses.cross_entropy,
            metrics={},
        )
        recipe, dataset, key = (
            train.Recipe(task, model, catch, len(Y), reduction),
            Dataset(X, Y, X, Y),
            jax.random.key(0),
        )
        lane = train.init(recipe, key, dataset, train.Schedule(1, 1))
        return train.step(recipe, lane, dataset, train.streams(key), 0).opt_state

    return gradients


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=0))
    return exponentials / exponentials.sum(axis=0)


def objective(layers, activation, reduction, weight):
    """The loss of a batch in float64."""
    h = X
    for matrix, bias in layers[:-1]:
        h = NUMPY[activation](matrix @ h + bias[:, None])
    matrix, bias = layers[-1]
    loss = -np.log(softmax(matrix @ h + bias[:, None])[Y, np.arange(len(Y))])
    return np.sum(loss * weight) / (np.sum(weight) if reduction == "mean" else 1)


def finite_differences(function, array, width=1e-6):
    """Central differences of a function of a closed-over array, one entry after the other."""
    found = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        middle, sides = array[place], []
        for shift in (width, -width):
            array[place] = middle + shift
            sides.append(function())
        array[place] = middle
        found[place] = (sides[0] - sides[1]) / (2 * width)
    return found


@pytest.mark.parametrize("weight", [EVERYTHING, SHORT], ids=["whole", "short"])
@pytest.mark.parametrize("reduction", train.REDUCTIONS)
@pytest.mark.parametrize("activation", NUMPY)
def test_gradients_are_those_of_finite_differences(activation, reduction, weight):
    found = step_gradients(activation, reduction)(np.float32(weight))
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in LAYERS]
    for layer, gradient in zip(layers, found, strict=True):
        for array, of_array in zip(layer, gradient, strict=True):
            expected = finite_differences(
                lambda: objective(layers, activation, reduction, weight), array
            )
            assert np.abs(expected).max() > 1e-3
            np.testing.assert_allclose(of_array, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("reduction", train.REDUCTIONS)
def test_gradients_are_those_of_backpropagation_by_hand(reduction):
    inputs, pre, h = [], [], X
    for matrix, bias in LAYERS:
        inputs.append(h)
        pre.append(matrix @ h + bias[:, None])
        h = np.maximum(pre[-1], 0)
    delta = softmax(pre[-1]) - np.eye(4)[:, Y]  # softmax and cross-entropy together: p - y
    delta = delta / (len(Y) if reduction == "mean" else 1)
    expected = []
    for number in (2, 1, 0):
        expected.append(
            (delta @ inputs[number].T, delta.sum(axis=1))
        )  # linear: dW = delta x', db = sum of delta
        delta = (
            (LAYERS[number][0].T @ delta) * (pre[number - 1] > 0) if number else delta
        )  # dx = W' delta, ReLU passes where z > 0
    for found, (matrix, bias) in zip(
        step_gradients("relu", reduction)(np.float32(EVERYTHING)), reversed(expected), strict=True
    ):
        np.testing.assert_allclose(found.weight, matrix, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.bias, bias, rtol=1e-4, atol=1e-5)


def test_the_backward_pass_of_each_module_by_hand():
    matrix, bias = LAYERS[0]
    z = matrix @ X + bias[:, None]
    g = RNG.normal(size=z.shape)
    _, backward = jax.vjp(dense, Dense(jnp.float32(matrix), jnp.float32(bias)), jnp.float32(X))
    (to_weight, to_bias), to_x = backward(jnp.float32(g))
    for found, expected in ((to_weight, g @ X.T), (to_bias, g.sum(axis=1)), (to_x, matrix.T @ g)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    _, backward = jax.vjp(ACTIVATIONS["relu"], jnp.float32(z))
    np.testing.assert_allclose(backward(jnp.float32(g))[0], g * (z > 0), rtol=1e-6)
    logits = z[:4]
    found = jax.grad(lambda logits: losses.cross_entropy(logits, jnp.int32(Y)).sum())(
        jnp.float32(logits)
    )
    np.testing.assert_allclose(found, softmax(logits) - np.eye(4)[:, Y], rtol=1e-5, atol=1e-6)


def test_losses_and_accuracy_by_hand():
    logits = jnp.array([[0.0, 3.0, 1.0, 500.0], [0.0, 1.0, 1.0, -500.0]])
    targets = jnp.array([0, 1, 1, 1])
    np.testing.assert_allclose(
        losses.cross_entropy(logits, targets),
        [np.log(2), np.log1p(np.exp(2)), np.log(2), 1000],
        rtol=1e-6,
    )
    assert losses.accuracy(logits, targets).tolist() == [
        1,
        0,
        0,
        0,
    ]  # a tie goes to the lower class
    assert losses.squared_error(logits, jnp.ones((2, 4))).tolist() == [2, 4, 0, 499**2 + 501**2]
    assert losses.squared_error(logits[:1], jnp.array([1.0, 1.0, 1.0, 1.0])).tolist() == [
        1,
        4,
        0,
        499**2,
    ]


SIGNS, BITS, PLACES = 2 * RNG.integers(0, 2, 12) - 1, RNG.integers(0, 2, 12), np.arange(12)
LOGITS, ROW = 2 * RNG.normal(size=(4, 12)), 2 * RNG.normal(size=(1, 12))
LOSSES = {  # name -> (outputs, targets, the formula in float64)
    "cross_entropy": (LOGITS, Y, lambda f, y: -np.log(softmax(f)[y, PLACES])),
    "smoothed_cross_entropy": (
        LOGITS,
        Y,
        lambda f, y: -0.8 * np.log(softmax(f)[y, PLACES]) - 0.05 * np.log(softmax(f)).sum(axis=0),
    ),
    "binary_cross_entropy": (ROW, BITS, lambda f, y: np.log1p(np.exp((1 - 2 * y) * f[0]))),
    "squared_error": (ROW, BITS, lambda f, y: (f[0] - y) ** 2),
    "perceptron": (ROW, SIGNS, lambda f, y: np.where(y * f[0] <= 0, -y * f[0], 0)),
    "perceptron_mistakes": (
        ROW,
        SIGNS,
        lambda f, y: np.where(np.where(f[0] >= 0, 1, -1) != y, -y * f[0], 0),
    ),
}


BOUND = {"smoothed_cross_entropy": losses.smoothed_cross_entropy(0.2)}  # what makes a loss, made


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_its_formula_and_the_gradient_of_finite_differences(name):
    outputs, targets, formula = LOSSES[name]
    outputs, pull = (
        outputs.copy(),
        np.linspace(0.5, 2.0, 12),
    )  # another weight a column, so that columns cannot be mixed up
    function = BOUND.get(name, getattr(losses, name))
    np.testing.assert_allclose(
        function(jnp.float32(outputs), jnp.int32(targets)),
        formula(outputs, targets),
        rtol=1e-5,
        atol=1e-6,
    )
    found = jax.grad(lambda f: jnp.sum(function(f, jnp.int32(targets)) * jnp.float32(pull)))(
        jnp.float32(outputs)
    )
    expected = finite_differences(lambda: np.sum(formula(outputs, targets) * pull), outputs)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_every_loss_is_tested():
    metrics = {
        "accuracy",
        "binary_accuracy",
        "rounded_accuracy",
        "sign_accuracy",
        "one_hot",
        "sign",
    }
    functions = inspect.getmembers(losses, inspect.isfunction)
    own = {name for name, each in functions if each.__module__ == losses.__name__}
    public = {name for name in own if name[0] != "_"} - {"plain"}
    assert public - metrics == set(LOSSES)


def gelu(z):
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_the_gradient_of_finite_differences(name):
    formula = {**NUMPY, "gelu": gelu, "silu": lambda z: z / (1 + np.exp(-z))}[name]
    z = np.linspace(-4, 4, 34)  # without 0, where ReLU has none
    found = jax.vmap(jax.grad(ACTIVATIONS[name]))(jnp.float32(z))
    expected = finite_differences(lambda: np.sum(formula(z)), z)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("logit", [-1e30, -200.0, 0.0, 200.0, 1e30])
@pytest.mark.parametrize("target", [0, 1])
def test_binary_cross_entropy_overflows_nowhere(logit, target):
    value, slope = jax.value_and_grad(
        lambda z: losses.binary_cross_entropy(z[None, None], jnp.array([target]))[0]
    )(jnp.float32(logit))
    away = -logit if target else logit
    np.testing.assert_allclose(value, max(away, 0) if logit else np.log(2), rtol=1e-6)
    np.testing.assert_allclose(
        slope, {0.0: 0.5, 1.0: 1.0, -1.0: 0.0}[np.sign(away)] * (1 - 2 * target), atol=1e-6
    )


def test_one_logit_is_cut_at_zero_and_a_regression_at_a_half():
    outputs, targets = jnp.array([[0.4, 0.6, 0.0, -1.0]]), jnp.array([1, 1, 0, 1])
    assert losses.binary_accuracy(outputs, targets).tolist() == [1, 1, 1, 0]
    assert losses.rounded_accuracy(outputs, targets).tolist() == [0, 1, 1, 0]


def test_the_formulas_that_reports_r2_and_r4_print_are_our_gradients():
    """Softmax with cross-entropy: p - y; linear: dW = delta x', db = delta, dx = W' delta; ReLU:
    delta where z > 0, else 0: as student reports R2 (part II) and R4 (part II) print them
    (experiments/references.py), against ours and against central differences in float64."""
    x, classes = X[:, :5], Y[:5]
    hidden, output = ((matrix.copy(), bias.copy()) for matrix, bias in (LAYERS[0], LAYERS[2]))
    output = (output[0][:, [0, 1, 2, 3, 4, 0]].copy(), output[1])

    def forward(x):
        z = hidden[0] @ x + hidden[1][:, None]
        return z, output[0] @ np.maximum(z, 0) + output[1][:, None]

    def loss():
        return -np.log(softmax(forward(x)[1])[classes, np.arange(5)]).sum()

    def ours(layers, x):
        z = dense(Dense(*layers[0]), x)
        logits = dense(Dense(*layers[1]), ACTIVATIONS["relu"](z))
        return losses.cross_entropy(logits, jnp.int32(classes)).sum()

    z, logits = forward(x)
    to_logits = softmax(logits) - np.eye(4)[:, classes]
    to_z = (output[0].T @ to_logits) * (z > 0)
    printed = (
        (to_z @ x.T, to_z.sum(axis=1)),
        (to_logits @ np.maximum(z, 0).T, to_logits.sum(axis=1)),
        hidden[0].T @ to_z,
    )
    x = x.copy()
    arrays = (hidden, output, x)
    numbers = jax.tree.map(np.float32, arrays)
    computed = jax.grad(ours, argnums=(0, 1))(numbers[:2], numbers[2])
    computed = (*computed[0], computed[1])
    for formula, gradient, array in zip(
        *map(jax.tree.leaves, (printed, computed, arrays)), strict=True
    ):
        np.testing.assert_allclose(gradient, formula, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(formula, finite_differences(loss, array), rtol=1e-5, atol=1e-7)
