"""What the experiments rebuild of the reports: data sets, a model, a rule, against hand
computation."""

import doctest
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from experiments.convolution import convolution
from experiments.perceptrons import perceptron_majority
from experiments.unit_square import linear, xor, xor_points
from jaxdl import Metric, losses, make_train, models, tasks
from jaxdl.layers import Conv1d, Dense
from jaxdl.sampling import seed_key
from jaxdl.types import Dataset


@pytest.mark.parametrize("name", ["convolution", "perceptrons", "references", "unit_square"])
def test_examples_in_docstrings_run(name):
    done = doctest.testmod(importlib.import_module(f"experiments.{name}"))
    assert (done.failed, done.attempted > 0) == (0, True)


@pytest.mark.parametrize("steps", [1, 2])  # at the second two are right and one is wrong: it stops
def test_the_majority_rule_by_hand(steps):
    x = np.array([[1.0, -2.0, 3.0], [2.0, 1.0, -1.0]], np.float32)
    targets = np.array([1, -1, -1], np.int32)
    task = tasks.signed(Dataset(x, targets, x, targets), perceptron_majority)
    run = make_train(task, models.perceptron(2), optax.sgd(1.0), steps=steps, reduction="sum")
    params, _, _ = jax.jit(run)(seed_key(0))
    np.testing.assert_allclose(params.weight, [[0.0, 2.0]])
    np.testing.assert_allclose(params.bias, [-1.0])


def test_the_gradient_of_the_majority_rule_is_that_of_every_point_while_all_are_wrong():
    outputs, targets = jnp.array([[0.5, -2.0, 1.5]]), jnp.array([-1, 1, -1])
    np.testing.assert_allclose(perceptron_majority(outputs, targets), [0.5, 2.0, 1.5])
    pull = jnp.array([0.5, 1.0, 2.0])
    slopes = jax.grad(lambda f: jnp.sum(perceptron_majority(f, targets) * pull))(outputs)
    np.testing.assert_allclose(slopes, [[0.5, -1.0, 2.0]])


def test_xor_has_the_points_and_the_majority_of_report_r3():
    x, targets = xor_points()
    points = {
        (round(10 * float(a)), round(10 * float(b))): int(y)
        for a, b, y in zip(*x, targets, strict=True)
    }
    assert points == {
        **{(i, i): 0 for i in range(11)},
        **{(i, 10 - i): 1 for i in range(11) if i != 5},
    }
    assert (x.dtype, targets.dtype) == (np.float32, np.int32)
    assert round(100 * np.mean(targets == 0), 2) == 52.38


def test_xor_is_training_and_test_set_at_once():
    dataset = xor().data
    np.testing.assert_array_equal(dataset.train_x, dataset.test_x)
    np.testing.assert_array_equal(dataset.train_targets, dataset.test_targets)
    assert (xor().loss, xor().metrics) == (
        losses.binary_cross_entropy,
        {"accuracy": Metric(losses.binary_accuracy, True)},
    )
    assert xor(losses.squared_error).metrics == {"accuracy": Metric(losses.rounded_accuracy, True)}


def test_linear_points_are_uniform_and_cut_by_the_diagonal():
    draws = jax.jit(jax.vmap(lambda seed: linear().data(seed_key(seed))))(
        jnp.arange(500, dtype=jnp.uint32)
    )
    np.testing.assert_array_equal(draws.train_x, draws.test_x)
    np.testing.assert_array_equal(draws.train_targets, draws.train_x[:, 0] > draws.train_x[:, 1])
    assert draws.train_x.shape == (500, 2, 100)
    for coordinate in np.moveaxis(np.asarray(draws.train_x), 1, 0):
        assert stats.kstest(coordinate.ravel(), stats.uniform.cdf).pvalue > 1e-3
    ones = np.asarray(draws.train_targets.sum(axis=1))
    assert (ones.mean(), ones.std()) == (
        pytest.approx(50, abs=0.7),
        pytest.approx(5, rel=0.1),
    )  # binomial
    majority = np.maximum(ones, 100 - ones) / 100
    assert (
        stats.quantile_test(majority, q=0.54, p=0.5).pvalue > 1e-6
    )  # R3's 54 % is a usual majority


def test_linear_names_what_is_wrong_in_one_line():
    with pytest.raises(ValueError, match=r"^samples must be a positive integer, got 0$"):
        linear(0)


def test_the_convolutional_model_by_hand():
    model = convolution(
        2, hidden=3, channels=2, kernel=2, activation="identity", output_activation="tanh"
    )
    params = (
        Dense(jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), jnp.zeros(3)),
        Conv1d(jnp.array([[[1.0, 1.0]], [[0.0, 2.0]]]), jnp.array([0.0, 0.5])),
    )
    outputs, _ = model.apply(params, (), jnp.array([[0.1], [0.2]]))  # hidden: 0.1, 0.2, 0.3
    np.testing.assert_allclose(outputs[:, 0], np.tanh([0.3, 0.9, 0.5, 1.1]), rtol=1e-6)


@pytest.mark.parametrize("name", ["inputs", "hidden", "channels", "kernel"])
def test_the_convolutional_model_names_what_is_wrong(name):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got 0$"):
        convolution(**{name: 0})
    with pytest.raises(ValueError, match=r"^kernel must be .* from 1 to 3, got 4$"):
        convolution(hidden=3, kernel=4)
    with pytest.raises(ValueError, match=r"^output_activation must be one of"):
        convolution(output_activation="tan")
