"""The gradients that a step hands to the optimizer, against finite differences in float64 and against backpropagation by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import losses, models, train
from jaxdl.layers import ACTIVATIONS, Dense, dense
from jaxdl.types import Dataset, Task

NUMPY = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "identity": lambda z: z}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 12)), RNG.integers(0, 4, 12)
EVERYTHING, SHORT = np.ones(12), np.arange(12) < 5  # weights of a whole batch and of a short one
LAYERS = [(RNG.normal(size=(out, into)), RNG.normal(size=out)) for out, into in ((6, 3), (5, 6), (4, 5))]


@functools.cache
def step_gradients(activation, reduction):
    """The gradients of one step of `train.step`, caught by an optimizer that keeps them as its state: (weight) -> gradients."""
    catch = optax.GradientTransformation(lambda params: params, lambda grads, state, params: (params, grads))
    params = tuple(Dense(np.float32(matrix), np.float32(bias)) for matrix, bias in LAYERS)
    model = models.mlp(3, (6, 5), 4, activation=activation)._replace(init=lambda key: (params, ()))

    @jax.jit
    def gradients(weight):
        task = Task(None, lambda *_: (jnp.float32(X), jnp.int32(Y), weight), losses.cross_entropy, {})
        recipe, dataset, key = train.Recipe(task, model, catch, len(Y), reduction), Dataset(X, Y, X, Y), jax.random.key(0)
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
            expected = finite_differences(lambda: objective(layers, activation, reduction, weight), array)
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
        expected.append((delta @ inputs[number].T, delta.sum(axis=1)))  # linear: dW = delta x', db = sum of delta
        delta = (
            (LAYERS[number][0].T @ delta) * (pre[number - 1] > 0) if number else delta
        )  # dx = W' delta, ReLU passes where z > 0
    for found, (matrix, bias) in zip(step_gradients("relu", reduction)(np.float32(EVERYTHING)), reversed(expected), strict=True):
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
    found = jax.grad(lambda logits: losses.cross_entropy(logits, jnp.int32(Y)).sum())(jnp.float32(logits))
    np.testing.assert_allclose(found, softmax(logits) - np.eye(4)[:, Y], rtol=1e-5, atol=1e-6)


def test_losses_and_accuracy_by_hand():
    logits = jnp.array([[0.0, 3.0, 1.0, 500.0], [0.0, 1.0, 1.0, -500.0]])
    targets = jnp.array([0, 1, 1, 1])
    np.testing.assert_allclose(
        losses.cross_entropy(logits, targets), [np.log(2), np.log1p(np.exp(2)), np.log(2), 1000], rtol=1e-6
    )
    assert losses.accuracy(logits, targets).tolist() == [1, 0, 0, 0]  # a tie goes to the lower class
    assert losses.squared_error(logits, jnp.ones((2, 4))).tolist() == [2, 4, 0, 499**2 + 501**2]
    assert losses.squared_error(logits[:1], jnp.array([1.0, 1.0, 1.0, 1.0])).tolist() == [1, 4, 0, 499**2]
