"""Data sets against scikit-learn, splits, and what is said about user arrays that will not do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons

from jaxdl import Metric, data, losses, tasks
from jaxdl.sampling import seed_key
from jaxdl.types import Dataset

RNG = np.random.default_rng(0)
moons = jax.jit(data.moons, static_argnums=1)


@pytest.mark.parametrize("samples", [40, 41])
def test_moons_without_noise_are_those_of_scikit_learn(samples):
    x, targets = moons(seed_key(0), samples, 0.0)
    assert (x.shape, x.dtype, targets.dtype) == ((2, samples), jnp.float32, jnp.int32)
    expected_x, expected_targets = make_moons(samples, shuffle=False, noise=None)
    distance = np.abs(np.asarray(x.T)[:, None] - expected_x).max(axis=2)
    partner = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-6
    assert sorted(partner) == list(range(samples))
    assert sorted(partner) != partner.tolist()  # shuffled
    np.testing.assert_array_equal(targets, expected_targets[partner])


def test_moons_noise_is_normal_with_its_sd():
    clean, noisy = (np.asarray(moons(seed_key(1), 5000, noise)[0]) for noise in (0.0, 0.2))
    noise = noisy - clean
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.2, rel=0.02)
    assert np.mean(np.abs(noise) > 0.4) == pytest.approx(0.0455, abs=0.006)
    assert abs(np.corrcoef(noise)[0, 1]) < 0.05


def test_moons_are_drawn_anew_for_every_key():
    datasets = jax.jit(jax.vmap(lambda seed: tasks.moons(60).data(seed_key(seed))))(
        jnp.uint32([0, 1, 0])
    )
    np.testing.assert_array_equal(datasets.train_x[0], datasets.train_x[2])
    assert not np.isclose(datasets.train_x[0], datasets.train_x[1]).all(axis=0).any()


@given(n=st.integers(3, 200), test=st.floats(0.1, 0.6), valid=st.floats(0, 0.3))
def test_a_split_takes_every_row_once(n, test, valid):
    x, targets = np.arange(2 * n).reshape(2, n), np.arange(n)
    if (
        (test > 0 and round(n * test) < 1)
        or round(n * test) + round(n * valid) >= n
        or (valid > 0 and round(n * valid) < 1)
    ):
        with pytest.raises(ValueError, match="test_fraction"):
            tasks.split(x, targets, test, valid)
        return
    dataset = tasks.split(x, targets, test, valid)
    parts = [
        part
        for part in (dataset.train_targets, dataset.test_targets, dataset.valid_targets)
        if part is not None
    ]
    assert len(dataset.test_targets) == round(n * test)
    assert sum(map(len, parts)) == n
    assert len(dataset.train_targets) == n - round(n * test) - round(n * valid)
    assert sorted(np.concatenate(parts)) == list(range(n))
    for part_x, part in zip(
        (dataset.train_x, dataset.test_x),
        (dataset.train_targets, dataset.test_targets),
        strict=True,
    ):
        np.testing.assert_array_equal(part_x, x[:, part])


def test_the_moons_task_has_the_shapes_of_its_contract():
    dataset = jax.jit(tasks.moons(50, test_fraction=0.2, valid_fraction=0.1).data)(seed_key(0))
    assert dataset.weights is None
    shapes = {
        name: (part.shape, part.dtype.name)
        for name, part in zip(dataset._fields[:6], dataset, strict=False)
    }
    assert shapes == {
        "train_x": ((2, 35), "float32"),
        "train_targets": ((35,), "int32"),
        "test_x": ((2, 10), "float32"),
        "test_targets": ((10,), "int32"),
        "valid_x": ((2, 5), "float32"),
        "valid_targets": ((5,), "int32"),
    }
    points = np.concatenate([dataset.train_x, dataset.test_x, dataset.valid_x], axis=1)
    assert len(np.unique(points, axis=1).T) == 50


def test_from_arrays_turns_user_arrays_batch_last_and_keeps_rows_together():
    X = np.arange(40 * 3 * 2).reshape(40, 3, 2)  # (n_samples, ...), any number type
    task = tasks.from_arrays(X, list(range(40)), test_fraction=0.25, valid_fraction=0.1)
    dataset = task.data
    assert isinstance(dataset, Dataset)
    assert (dataset.train_x.shape, dataset.test_x.shape, dataset.valid_x.shape) == (
        (3, 2, 26),
        (3, 2, 10),
        (3, 2, 4),
    )
    assert (dataset.train_x.dtype, dataset.train_targets.dtype) == (np.float32, np.int32)
    rows = np.concatenate([dataset.train_targets, dataset.test_targets, dataset.valid_targets])
    assert sorted(rows) == list(range(40))
    np.testing.assert_array_equal(dataset.train_x, np.moveaxis(X[dataset.train_targets], 0, -1))
    assert dataset.test_targets.tolist() != sorted(
        dataset.test_targets.tolist()
    )  # a random choice of rows
    assert (task.loss, task.metrics) == (
        losses.cross_entropy,
        {"accuracy": Metric(losses.accuracy, True)},
    )


def test_from_arrays_splits_by_its_seed_alone():
    X, y = RNG.normal(size=(30, 2)), np.arange(30)
    first, again, other = (
        tasks.from_arrays(X, y, split_seed=seed).data.test_targets.tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_from_arrays_takes_float_targets():
    task = tasks.from_arrays(RNG.normal(size=(10, 3)), RNG.normal(size=(10, 2)))
    assert (task.data.train_targets.shape, task.data.train_targets.dtype) == ((2, 8), np.float32)
    assert (task.loss, task.metrics) == (losses.squared_error, {})
    assert tasks.from_arrays(
        RNG.normal(size=(10, 3)), RNG.normal(size=10)
    ).data.train_targets.shape == (8,)


GOOD_X, GOOD_Y = np.zeros((10, 2)), np.arange(10) % 2


def with_one(value):
    return np.where(np.arange(20).reshape(10, 2) == 7, value, 0.0)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("X", {"X": with_one(np.nan)}),
        ("X", {"X": with_one(np.inf)}),
        ("X", {"X": with_one(1e39)}),  # infinite as float32
        ("y", {"y": with_one(-np.inf)[:, 1]}),
        ("X and y", {"y": GOOD_Y[:9]}),
        ("X", {"X": np.zeros((0, 2)), "y": GOOD_Y[:0]}),
        ("y", {"y": GOOD_Y - 1}),
        ("y", {"y": GOOD_Y + 2**32}),  # 0 and 1 as int32
        ("y", {"y": GOOD_Y[:, None] + [0, 1]}),
        ("X", {"X": [["a", "b"]] * 10}),
        ("X", {"X": [[0.0, 1.0], [2.0]] * 5}),
        ("X", {"X": np.float64(1.0)}),
        ("test_fraction", {"test_fraction": 1.0}),
        ("test_fraction", {"test_fraction": "0.2"}),
        ("valid_fraction", {"valid_fraction": -0.1}),
        ("valid_fraction", {"test_fraction": 0.5, "valid_fraction": 0.5}),
    ],
)
def test_from_arrays_names_what_is_wrong_in_one_line(name, arguments):
    with pytest.raises(ValueError) as error:
        tasks.from_arrays(**{"X": GOOD_X, "y": GOOD_Y, **arguments})
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(name) or f"+ {name} must" in message
    assert "got" in message


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("samples", {"samples": 0}),
        ("samples", {"samples": 10.5}),
        ("noise", {"noise": -0.1}),
        ("noise", {"noise": float("nan")}),
        ("test_fraction", {"test_fraction": 1.5}),
        ("valid_fraction", {"valid_fraction": True}),
    ],
)
def test_moons_names_what_is_wrong_in_one_line(name, arguments):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got .*$"):
        tasks.moons(**arguments)
