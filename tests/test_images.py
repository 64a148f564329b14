"""Tasks of images: what they hold, how they are split and normalised, what they refuse."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from jaxdl import augment, make_train, models, tasks
from jaxdl.types import Model

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 5, 4, 3), dtype=np.uint8)
Y = np.arange(40) % 7
LAST = dict(test_fraction=0.25, valid_fraction=0.1)


def splits(task):
    """name -> (images as users have them, classes)."""
    parts = task.data._asdict()
    return {
        name: (parts[f"{name}_x"].transpose(3, 1, 2, 0), parts[f"{name}_targets"])
        for name in ("train", "valid", "test")
        if parts[f"{name}_x"] is not None
    }


def rows_of(task, x):
    """Which rows of x each split has."""
    places = {image.tobytes(): row for row, image in enumerate(x)}
    return {
        name: [places[np.ascontiguousarray(image).tobytes()] for image in part]
        for name, (part, _) in splits(task).items()
    }


def test_digits_are_those_of_scikit_learn_each_once():
    digits = load_digits()
    for valid_fraction, sizes in ((0.0, [1438, 359]), (0.1, [1258, 180, 359])):
        task = tasks.images("digits", valid_fraction=valid_fraction)
        parts = splits(task)
        assert [len(y) for _, y in parts.values()] == sizes
        assert task.data.train_x.shape == (1, 8, 8, sizes[0])
        assert (task.data.train_x.dtype, task.data.train_targets.dtype) == (np.uint8, np.int32)
        drawn = [
            (x.tobytes(), int(y)) for part in parts.values() for x, y in zip(*part, strict=True)
        ]
        wanted = zip(digits.images.astype(np.uint8), digits.target, strict=True)
        assert sorted(drawn) == sorted((x.tobytes(), int(y)) for x, y in wanted)


def test_the_split_of_the_digits_is_fixed():
    first, again, other = tasks.images(), tasks.images("digits"), tasks.images(split_seed=1)
    np.testing.assert_array_equal(first.data.test_x, again.data.test_x)
    assert (first.data.test_targets != other.data.test_targets).any()
    # so that figures of one version can be compared with those of another
    assert first.data.test_targets[:12].tolist() == [2, 8, 2, 6, 6, 7, 1, 9, 8, 5, 2, 8]
    held_out = tasks.images(valid_fraction=0.2)
    np.testing.assert_array_equal(held_out.data.test_x, first.data.test_x)


def test_digits_are_normalised_by_their_training_images():
    task = tasks.images("digits")
    prepared = np.asarray(task.prepare(task.data.train_x))
    scaler = StandardScaler().fit(task.data.train_x.reshape(-1, 1))
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(
        prepared.ravel(), scaler.transform(task.data.train_x.reshape(-1, 1)).ravel(), atol=1e-5
    )


def test_user_images_are_batch_last_and_split_once():
    task = tasks.images_from_arrays(X, Y, **LAST)
    assert {name: len(rows) for name, rows in rows_of(task, X).items()} == {
        "train": 26,
        "valid": 4,
        "test": 10,
    }
    assert sorted(itertools.chain(*rows_of(task, X).values())) == list(range(40))
    for name, rows in rows_of(task, X).items():
        np.testing.assert_array_equal(splits(task)[name][1], Y[rows])
    assert task.data.train_x.shape == (3, 5, 4, 26)
    assert rows_of(tasks.images_from_arrays(X, Y, **LAST, split_seed=2), X) != rows_of(task, X)


def test_given_test_images_stay_in_order_and_all_others_are_for_training():
    task = tasks.images_from_arrays(X[:30], Y[:30], x_test=X[30:], y_test=Y[30:])
    assert rows_of(task, X) == {"train": [*range(30)], "test": [*range(30, 40)]}
    task = tasks.images_from_arrays(
        X[:30], Y[:30], x_test=X[30:], y_test=Y[30:], valid_fraction=0.2
    )
    rows = rows_of(task, X)
    assert len(rows["valid"]) == 6
    assert sorted(rows["train"] + rows["valid"]) == [*range(30)]
    assert rows["test"] == [*range(30, 40)]


@pytest.mark.parametrize(
    ("mean", "std"), [((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), (0.5, 0.25)]
)
def test_bytes_are_normalised_as_in_torchvision(mean, std):
    task = tasks.images_from_arrays(X, Y, mean=mean, std=std)
    expected = (X / 255 - np.array(mean)) / np.array(std)
    prepared = task.prepare(X.transpose(3, 1, 2, 0))
    np.testing.assert_allclose(prepared, expected.transpose(3, 1, 2, 0), rtol=1e-5, atol=1e-5)
    assert prepared.dtype == jnp.float32
    black = augment.crop(padding=9)(jax.random.key(0), jnp.asarray(task.data.train_x), None)[0]
    outside = np.asarray(task.prepare(black)).min(axis=(1, 2, 3))
    np.testing.assert_allclose(outside, np.broadcast_to(-np.array(mean) / std, 3), rtol=1e-5)


@pytest.mark.parametrize("x", [X, X.astype(np.float64) * 3 + 1000], ids=["bytes", "floats"])
def test_by_default_training_images_are_normalised_to_mean_0_and_sd_1(x):
    task = tasks.images_from_arrays(x, Y)
    prepared = np.asarray(task.prepare(task.data.train_x), np.float64)
    np.testing.assert_allclose(prepared.mean(axis=(1, 2, 3)), 0, atol=2e-4)
    np.testing.assert_allclose(prepared.std(axis=(1, 2, 3)), 1, atol=2e-4)
    # test images by the moments of the training ones
    raw = [np.asarray(part, np.float64) for part in (task.data.train_x, task.data.test_x)]
    centre, spread = (f(raw[0], axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.std))
    np.testing.assert_allclose(
        task.prepare(task.data.test_x), (raw[1] - centre) / spread, atol=2e-3
    )


def test_a_channel_that_never_changes_is_divided_by_1():
    for x, black in ((np.zeros((9, 2, 2, 1), np.uint8), 0), (np.full((9, 2, 2), 7.5), 7.5)):
        task = tasks.images_from_arrays(x, np.zeros(9, int))
        assert not np.asarray(task.prepare(task.data.train_x)).any()
        brighter = np.full((1, 2, 2, 1), black + 1, x.dtype)
        unit = 255 if x.dtype == np.uint8 else 1
        np.testing.assert_allclose(task.prepare(brighter), 1 / unit)


@pytest.mark.parametrize(
    ("x", "dtype", "shape"),
    [
        (X[..., 0], np.uint8, (1, 5, 4, 32)),
        (X[..., :1] > 100, np.uint8, (1, 5, 4, 32)),
        (X.astype(np.int64), np.uint8, (3, 5, 4, 32)),
        (X / 255, np.float32, (3, 5, 4, 32)),
        (jnp.asarray(X / 255, jnp.bfloat16), np.float32, (3, 5, 4, 32)),
        (X.tolist(), np.uint8, (3, 5, 4, 32)),
        (X[:, :1, :1, :1], np.uint8, (1, 1, 1, 32)),
    ],
)
def test_kinds_of_images_that_are_taken(x, dtype, shape):
    data = tasks.images_from_arrays(x, Y).data
    assert (data.train_x.dtype, data.train_x.shape) == (dtype, shape)


@pytest.mark.parametrize("y", [Y[:, None], Y.astype(np.uint8), Y.tolist(), jnp.asarray(Y)])
def test_kinds_of_classes_that_are_taken(y):
    task = tasks.images_from_arrays(X, y)
    rows = rows_of(task, X)["train"]
    np.testing.assert_array_equal(task.data.train_targets, Y[rows])
    assert task.data.train_targets.dtype == np.int32


NAN = np.where(np.arange(40)[:, None, None] == 3, np.nan, X[..., 0] / 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(x=X[0]), r"x and y must have the same length, got 5 and 40"),
        (dict(x=X[:, 0, 0]), r"x must be images, .*got shape \(40, 3\)"),
        (dict(x=X[:0], y=Y[:0]), r"x must be images, .*at least one, got shape \(0, 5, 4, 3\)"),
        (dict(x=NAN), "x must be finite and fit float32, got nan"),
        (dict(x=X * 1e40), "x must be finite and fit float32, got"),
        (dict(x=X.astype(int) - 1), "x must be finite and fit uint8, got -1"),
        (dict(x=X.astype(int) * 2), "x must be finite and fit uint8, got"),
        (dict(x=X.astype(str)), "x must hold numbers, got dtype <U"),
        (dict(x=[[[1]], [[1, 2]]]), "x must hold rows of one shape"),
        (dict(x=np.ma.masked_equal(X, 3)), "x must not be masked"),
        (dict(y=Y[:-1]), "x and y must have the same length, got 40 and 39"),
        (dict(y=Y - 1), "y must be class numbers from 0 to 2147483647, got -1"),
        (dict(y=Y / 1.0), "y must be integers, class numbers from 0 up, got float64"),
        (dict(y=np.eye(10)[Y]), r"y must be class numbers, .*\(40, 10\).*argmax"),
        (dict(x_test=X), "x_test and y_test must be given both or neither"),
        (dict(x_test=X[:, :4], y_test=Y), r"x_test must have images like those of x"),
        (dict(x_test=X / 1.0, y_test=Y), r"x_test must have images like .*float32"),
        (dict(x_test=X, y_test=Y, test_fraction=0.2), "test_fraction must not be given beside"),
        (dict(test_fraction=0), "must leave a row each for testing and training"),
        (dict(test_fraction=0.5, valid_fraction=0.5), "must leave a row each"),
        (dict(valid_fraction=1e-9), "valid_fraction must give a row of 40, got 1e-09"),
        (dict(test_fraction=1.0), "test_fraction must be a number from 0"),
        (
            dict(mean=(1, 2)),
            r"mean must be a finite number or 3 of them, one a channel, got \(1, 2\)",
        ),
        (dict(mean="dark"), "mean must be a finite number or 3 of them, one a channel, got 'dark'"),
        (dict(std=(1, np.nan, 1)), "std must be a finite number or 3"),
        (dict(std=0), "std must be above 0, got"),
        (dict(augment=lambda x: x), r"augment must be a function \(key, x, targets\)"),
        (dict(split_seed=-1), "split_seed must be an integer from 0"),
    ],
)
def test_refusals_of_user_images_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        tasks.images_from_arrays(**{"x": X, "y": Y, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="cifar"), "name must be one of 'digits', 'cifar10', got 'cifar'; did you mean"),
        (dict(name=None), "name must be one of"),
        (dict(data_dir="/tmp"), "data_dir must not be given for 'digits'"),
        (dict(valid_fraction=0.9), "must leave a row each for testing and training of 1797"),
        (dict(valid_fraction="all"), "valid_fraction must be a number from 0"),
    ],
)
def test_refusals_of_known_images_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        tasks.images(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "x", [X[:4], X[0], X[..., 0].transpose(1, 2, 0)], ids=["channels last", "one image", "grey"]
)
def test_new_images_of_another_shape_are_refused(x):
    with pytest.raises(ValueError, match=r"x must be images of shape \(3, height, width, batch\)"):
        tasks.images_from_arrays(X, Y).prepare(x)


def test_a_traced_array_is_refused():
    with pytest.raises(TypeError, match="x must be known on the host, got a traced value"):
        jax.jit(lambda x: tasks.images_from_arrays(x, Y).data.train_x)(X)


# ---- trained


def flat(hidden=(8,)):
    """A small perceptron of the digits, whose pixels it takes in a row."""
    model = models.mlp(64, hidden, 10)

    def apply(params, state, x, *, key=None, train=False):
        assert x.dtype == jnp.float32  # prepared, in training and evaluation alike
        return model.apply(params, state, x.reshape(64, x.shape[-1]), key=key, train=train)

    return Model(model.init, apply)


def test_a_model_is_asked_about_new_images_by_prepare():
    moved = augment.compose(augment.crop(padding=1), augment.flip(0.1))
    task = tasks.images("digits", augment=moved)
    train = make_train(task, flat(), optax.adam(0.01), steps=100, batch_size=50)
    params, state, history = jax.jit(train)(jax.random.key(0))
    outputs, _ = flat().apply(params, state, task.prepare(task.data.test_x))
    accuracy = float((np.asarray(outputs).argmax(axis=0) == task.data.test_targets).mean())
    assert accuracy == pytest.approx(float(history["test_accuracy"][-1]))
    assert accuracy > 0.3


def trained_in_passes(moved, prepare=None):
    """The weights after a pass of 20 images in batches of 12, and how often its step is traced."""
    shape = (20, 4, 4, 1)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    task = tasks.images_from_arrays(pixels, np.arange(20) % 3, x_test=pixels, y_test=Y[:20] * 0)
    task = task._replace(augment=moved, prepare=prepare or task.prepare)
    model = models.mlp(16, (4,), 3)
    train = make_train(task, model, optax.sgd(0.1), steps=2, batch_size=12, sampling="epoch")
    params, *_ = jax.jit(train)(jax.random.key(0))
    return params, str(jax.make_jaxpr(train)(jax.random.key(0))).count("dot_general")


def test_the_short_batch_of_a_pass_needs_no_step_of_its_own_where_rows_are_alone():
    ours = augment.compose(augment.crop(padding=1), augment.flip(0.5))
    _, products = trained_in_passes(ours)
    # What is not known to treat each row alone has a step for the live rows: the same numbers.
    theirs = augment.compose(functools.partial(ours))
    ours_again = augment.compose(ours)
    others, more = trained_in_passes(theirs)
    same, as_many = trained_in_passes(ours_again)
    assert as_many == products < more
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), same, others)
    assert trained_in_passes(ours, lambda x: x.astype(jnp.float32))[1] > products
