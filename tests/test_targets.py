"""What data, targets, losses and metrics may be: refused in a line where that can be seen, NaN
where it shows per lane."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen
from scipy import special

from jaxdl import Metric, Study, losses, make_train, models, tasks
from jaxdl.sampling import permute, seed_key
from jaxdl.types import Dataset, Task

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(24, 3)), np.arange(24) % 2
POINTS = np.float32(X.T)
LOGITS = np.float32(RNG.normal(size=(3, 24)))


def shared(targets, test_targets=None):
    targets = np.asarray(targets)
    return Dataset(
        POINTS, targets, POINTS, targets if test_targets is None else np.asarray(test_targets)
    )


def drawn(targets):
    """Data of a key, labels among them: nothing is known of these before they are drawn."""

    def data(key):
        for_labels, for_x = jax.random.split(key)
        labels = jnp.asarray(targets)[jax.random.permutation(for_labels, 24)]
        return Dataset(jax.random.normal(for_x, (3, 24)), labels, jnp.asarray(POINTS), labels)

    return data


def history_of(task, outputs=2, model=None, **settings):
    run = make_train(
        task,
        model or models.mlp(3, (4,), outputs),
        optax.sgd(0.1),
        **{"steps": 2, "batch_size": 6, **settings},
    )
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(jax.vmap(seed_key)(jnp.arange(2))))[2]


def planned(task, outputs=2, model=None, **settings):
    model = model or models.mlp(3, (4,), outputs)
    return Study(task, model, optax.sgd(0.1), **{"steps": 2, "batch_size": 6, **settings}).plan()


def refused(call, kind=(ValueError, TypeError)) -> str:
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


BAD_LABELS = {
    "signs as classes": (tasks.classification, 2, Y * 2 - 1),
    "classes from 1": (tasks.classification, 2, Y + 1),
    "classes from 5": (tasks.classification, 2, Y + 5),
    "one class too many": (tasks.classification, 2, np.arange(24) % 3),
    "a class beyond uint8": (tasks.classification, 2, np.uint8(Y * 255)),
    "signs as two classes": (tasks.binary, 1, Y * 2 - 1),
    "two classes from 1": (tasks.binary, 1, Y + 1),
    "a probability of 1.5": (tasks.binary, 1, np.float32(Y * 1.5)),
    "classes as signs": (tasks.signed, 1, Y),
    "halves as signs": (tasks.signed, 1, np.float32(Y - 0.5)),
}


@functools.cache
def with_drawn_labels(make, outputs):
    """Gives (labels, seeds) -> the lanes' histories; labels of one type share a compiled program."""

    def lane(labels, seed):
        task, model = make(drawn(labels)), models.mlp(3, (4,), outputs)
        run = make_train(task, model, optax.sgd(0.1), steps=2, batch_size=6)
        return run(seed_key(seed))[2]

    return jax.jit(jax.vmap(lane, (None, 0)))


@pytest.mark.parametrize("name", BAD_LABELS)
def test_drawn_labels_out_of_range_make_their_lane_nan(name):
    make, outputs, labels = BAD_LABELS[name]
    together = with_drawn_labels(make, outputs)(jnp.asarray(labels), jnp.arange(2))
    history = jax.tree.map(np.asarray, together)
    assert history["diverged_at"].tolist() == [0, 0]
    for metric in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        assert np.isnan(history[metric]).all()


@pytest.mark.parametrize("wrap", [functools.partial, lambda loss: lambda *each: 1 * loss(*each)])
def test_a_loss_around_cross_entropy_gives_nan_where_shared_labels_are_out_of_range(wrap):
    history = history_of(Task(data=shared(Y + 1), loss=wrap(losses.cross_entropy), metrics={}))
    assert np.isnan(history["test_loss"]).all()
    assert history["diverged_at"].tolist() == [0, 0]


@pytest.mark.parametrize("where", ["train_targets", "test_targets", "valid_targets"])
@pytest.mark.parametrize("name", BAD_LABELS)
def test_shared_labels_out_of_range_are_refused_in_every_split(name, where):
    make, outputs, labels = BAD_LABELS[name]
    good = (np.where(Y == 1, 1, -1) if make is tasks.signed else Y).astype(labels.dtype)
    data = shared(good)._replace(valid_x=POINTS, valid_targets=good)
    task = lambda: make(data._replace(**{where: labels}))
    message = refused(lambda: history_of(task(), outputs), ValueError)
    assert message.startswith(f"{where} must be")
    assert "got" in message
    if where == "test_targets":
        assert refused(lambda: planned(task(), outputs), ValueError) == message


def test_labels_beyond_the_outputs_are_refused_where_the_outputs_are_swept():
    task = tasks.from_arrays(X, np.arange(24) % 3)
    message = refused(
        lambda: planned(
            task, model=lambda hp: models.mlp(3, (4,), hp.outputs), sweep={"outputs": [3, 2]}
        )
    )
    assert message.startswith(
        "train_targets must be class numbers below the model's 2 outputs, got 2"
    )


def test_one_output_is_no_classification():
    model = models.mlp(2, (4,), 1)
    for call in (planned, history_of):
        message = refused(lambda call=call: call(tasks.moons(30), model=model), ValueError)
        assert "at least 2 classes, got 1" in message
        assert "tasks.binary" in message
        assert refused(
            lambda call=call: call(tasks.classification(shared(Y)), 1), ValueError
        ).endswith(message[-30:])


def test_places_without_an_example_may_hold_any_label():
    def batch(dataset, key, step, batch_size):
        weight = jnp.arange(6) < 4
        return (
            dataset.train_x[:, :6],
            jnp.where(weight, dataset.train_targets[:6], -1),
            weight.astype(jnp.float32),
        )

    history = history_of(tasks.classification(drawn(Y))._replace(batch=batch))
    assert (history["diverged_at"] == -1).all()
    assert (history["batch_loss_mean"][:, 1] > 0.1).all()


def test_losses_and_metrics_by_hand():
    log_p = special.log_softmax(np.float64(LOGITS), axis=0)
    classes = np.arange(24) % 3
    np.testing.assert_allclose(
        losses.cross_entropy(LOGITS, classes), -log_p[classes, np.arange(24)], rtol=1e-5
    )
    labels = RNG.integers(0, 2, (3, 24))
    p = special.expit(np.float64(LOGITS))
    each = -np.log(np.where(labels == 1, p, 1 - p))
    np.testing.assert_allclose(
        losses.binary_cross_entropy(LOGITS, labels), each.mean(axis=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        losses.binary_cross_entropy(LOGITS[:1], labels[0]), each[0], rtol=1e-4
    )
    np.testing.assert_allclose(
        losses.binary_accuracy(LOGITS, labels), ((p > 0.5) == labels).mean(axis=0), rtol=1e-6
    )
    soft = np.float32(RNG.random((3, 24)))
    expected = -(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean(axis=0)
    np.testing.assert_allclose(losses.binary_cross_entropy(LOGITS, soft), expected, rtol=1e-4)
    np.testing.assert_allclose(
        losses.binary_accuracy(LOGITS, soft), ((p > 0.5) == (soft > 0.5)).mean(axis=0), rtol=1e-6
    )
    np.testing.assert_allclose(
        losses.squared_error(LOGITS, soft), ((LOGITS - soft) ** 2).sum(axis=0), rtol=1e-5
    )
    images = np.float32(RNG.normal(size=(2, 3, 4, 5)))
    np.testing.assert_allclose(
        losses.squared_error(images, 0 * images), (images**2).sum(axis=(0, 1, 2)), rtol=1e-5
    )


@pytest.mark.parametrize("loss", losses.SIGNED)
def test_a_perceptron_whose_output_is_nan_has_no_loss_of_zero(loss):
    values = loss(jnp.array([[jnp.nan, jnp.nan, 1.0]]), jnp.array([1, -1, 1]))
    assert np.isnan(values).tolist()[:2] == [True, True]


BINARY, SQUARED = losses.binary_cross_entropy, losses.squared_error
MISFITS = {
    "one-hot targets": (
        losses.cross_entropy,
        (2, 6),
        np.eye(2, dtype=np.float32)[:, Y[:6]],
        r"targets\.argmax\(0\)",
    ),
    "one-hot integers": (
        losses.accuracy,
        (2, 6),
        np.eye(2, dtype=int)[:, Y[:6]],
        r"targets\.argmax\(0\)",
    ),
    "one-hot of as many classes as examples": (
        losses.cross_entropy,
        (3, 3),
        np.eye(3, dtype=int),
        r"targets\.argmax\(0\)",
    ),
    "float classes": (losses.cross_entropy, (2, 6), np.float32(Y[:6]), "integers, got float32"),
    "float classes in a metric": (
        losses.accuracy,
        (2, 6),
        np.float32(Y[:6]),
        "integers, got float32",
    ),
    "classes, batch first": (
        losses.cross_entropy,
        (6, 2),
        Y[:6],
        r"shape \(2,\), got shape \(6,\)",
    ),
    "a column of classes": (losses.cross_entropy, (2, 6), Y[:6, None], r"got shape \(6, 1\)"),
    "one class": (losses.accuracy, (1, 6), Y[:6], "at least 2 classes, got 1"),
    "no axis of classes": (
        losses.cross_entropy,
        (6,),
        Y[:6],
        r"\(classes, batch\), got shape \(6,\)",
    ),
    "three logits of one label": (BINARY, (3, 6), Y[:6], r"outputs \(3, 6\) and targets \(6,\)"),
    "three logits of three examples": (
        BINARY,
        (3, 3),
        Y[:3],
        r"outputs \(3, 3\) and targets \(3,\)",
    ),
    "labels, batch first": (
        BINARY,
        (3, 6),
        np.zeros((6, 3)),
        r"outputs \(3, 6\) and targets \(6, 3\)",
    ),
    "a logit of many labels": (
        BINARY,
        (1, 6),
        np.zeros((3, 6)),
        r"outputs \(1, 6\) and targets \(3, 6\)",
    ),
    "labels in a metric": (
        losses.binary_accuracy,
        (3, 6),
        Y[:6],
        r"outputs \(3, 6\) and targets \(6,\)",
    ),
    "rounded": (losses.rounded_accuracy, (2, 6), Y[:6], "binary_accuracy takes targets of"),
    "regression, batch first": (
        SQUARED,
        (2, 6),
        np.zeros((6, 2)),
        r"outputs \(2, 6\) and targets \(6, 2\)",
    ),
    "a column of targets": (
        SQUARED,
        (1, 6),
        np.zeros((6, 1)),
        r"outputs \(1, 6\) and targets \(6, 1\)",
    ),
    "a number for two outputs": (
        SQUARED,
        (2, 6),
        np.zeros(6),
        r"outputs \(2, 6\) and targets \(6,\)",
    ),
    "two outputs of a perceptron": (
        losses.perceptron,
        (2, 6),
        np.ones((2, 6)),
        r"one output, \(1, batch\), got shape \(2, 6\)",
    ),
    "two outputs, one sign": (
        losses.sign_accuracy,
        (2, 6),
        np.ones(6),
        r"outputs \(2, 6\) and targets \(6,\)",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_shapes_and_types_that_do_not_fit_are_named(name):
    function, shape, targets, message = MISFITS[name]
    with pytest.raises(ValueError, match=message) as caught:
        jax.eval_shape(
            function, jnp.zeros(shape), jnp.asarray(targets, targets.dtype.name.replace("64", "32"))
        )
    assert "\n" not in str(caught.value)


def regression(**changes):
    return tasks.from_arrays(X, X.sum(axis=1))._replace(**changes)


NO_VALUE_PER_EXAMPLE = {
    "a loss of all pairs": (
        regression(loss=lambda outputs, targets: (outputs.T - targets[None]) ** 2),
        r"^loss must give one value",
    ),
    "a mean loss": (
        regression(loss=lambda outputs, targets: jnp.mean(outputs)),
        r"^loss must give one value .* got shape \(\)",
    ),
    "a loss of rows": (
        regression(loss=lambda outputs, targets: outputs - targets[None]),
        r"got shape \(1, \d+\)",
    ),
    "a number": (
        regression(loss=lambda outputs, targets: 0.0),
        r"^loss must give one value .* got float",
    ),
    "a pair": (
        regression(loss=lambda outputs, targets: (outputs[0], targets)),
        r"^loss must give one value .* got tuple",
    ),
    "a loss of bools": (
        regression(loss=lambda outputs, targets: outputs[0] > targets),
        "^loss must give floats.* got bool",
    ),
    "a loss of integers": (
        regression(loss=lambda outputs, targets: jnp.int32(outputs[0])),
        "^loss must give floats.* got int32",
    ),
    "an accuracy as a loss": (
        regression(loss=lambda outputs, targets: 1.0 * (outputs[0] > targets)),
        "^loss must have a gradient",
    ),
    "a loss of a sign": (
        regression(loss=lambda o, t: jnp.where(jnp.sign(o[0]) == t, 0.0, 1.0)),
        "^loss must have a gradient",
    ),
    "a loss of targets": (
        regression(loss=lambda outputs, targets: targets**2),
        "^loss must have a gradient",
    ),
    "a complex metric": (
        regression(metrics={"fft": Metric(lambda o, t: jnp.fft.fft(o[0]), False)}),
        "^metric 'fft' must give real",
    ),
    "a mean metric": (
        regression(metrics={"mae": Metric(lambda o, t: jnp.mean(o), False)}),
        r"^metric 'mae' .* got shape \(\)",
    ),
}


@pytest.mark.parametrize("name", NO_VALUE_PER_EXAMPLE)
def test_what_gives_no_value_per_example_is_named_before_anything_runs(name):
    task, message = NO_VALUE_PER_EXAMPLE[name]
    for call in (history_of, planned):
        with pytest.raises(ValueError, match=message):
            call(task, outputs=1)


def test_a_loss_of_a_constant_gradient_or_of_a_traced_value_trains():
    history = history_of(regression(loss=lambda outputs, targets: -2 * outputs[0]), outputs=1)
    assert (history["train_loss"][:, 1] < history["train_loss"][:, 0]).all()
    task = lambda hp: regression(loss=lambda outputs, targets: hp.scale * outputs[0])
    assert (
        planned(task, outputs=1, sweep={"scale": [1.0, 2.0]}).programs[0].axes["scale"].kind
        == "traced"
    )


@pytest.mark.parametrize(
    "weight", [jnp.ones((6, 1)), jnp.ones(5), jnp.float32(1)], ids=["column", "short", "number"]
)
def test_weights_that_are_not_one_an_example_are_named(weight):
    batch = lambda dataset, key, step, batch_size: (
        dataset.train_x[:, :6],
        dataset.train_targets[:6],
        weight,
    )
    with pytest.raises(
        ValueError, match=r"^batch must give one weight per example, shape \(6,\), got shape"
    ):
        history_of(tasks.classification(drawn(Y))._replace(batch=batch))


def test_several_labels_a_sample_train():
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 0] > X[:, 2]], axis=1).astype(int)
    task = tasks.from_arrays(X, labels, loss=losses.binary_cross_entropy)
    history = history_of(task, outputs=3, steps=200, batch_size=None, eval_every=200)
    assert (history["train_loss"][:, 1] < 0.8 * history["train_loss"][:, 0]).all()
    assert (history["train_accuracy"][:, 1] > 0.7).all()
    assert task.metrics == {"accuracy": Metric(losses.binary_accuracy, True)}


GOOD = {"train_x": POINTS, "train_targets": Y, "test_x": POINTS, "test_targets": Y}
BAD_DATA = {
    "one target for all rows": (
        {"test_targets": Y[:1]},
        "test_x and test_targets must have the same length",
    ),
    "a target too few": (
        {"train_targets": Y[:-1]},
        "train_x and train_targets must have the same length",
    ),
    "a validation target too many": (
        {"valid_x": POINTS[:, 1:], "valid_targets": Y},
        "valid_x and valid_targets must have",
    ),
    "batch first": (
        {"train_x": POINTS.T},
        "train_x and train_targets must have the same length, batch axis last, got 3 and 24",
    ),
    "other features": (
        {"test_x": POINTS[:2]},
        r"test_x must have examples of train_x's shape \(3,\), got \(2,\)",
    ),
    "other targets": (
        {"test_targets": np.stack([Y, Y])},
        "test_targets must have examples of train_targets's shape",
    ),
    "another type of x": (
        {"test_x": np.uint8(POINTS > 0)},
        "test_x must have train_x's dtype float32, got uint8",
    ),
    "another type of targets": (
        {"test_targets": np.float32(Y)},
        "test_targets must have train_targets's dtype int32, got float32",
    ),
    "no validation targets": (
        {"valid_x": POINTS},
        "valid_x and valid_targets must be given both or neither",
    ),
    "no validation x": (
        {"valid_targets": Y},
        "valid_x and valid_targets must be given both or neither",
    ),
    "an empty split": (
        {"test_x": POINTS[:, :0], "test_targets": Y[:0]},
        r"test_x must hold at least one example.* \(3, 0\)",
    ),
    "a list": (
        {"train_targets": Y.tolist()},
        "train_targets must be a NumPy or JAX array, got list",
    ),
    "nothing": (
        {"test_x": None},
        "test_x and test_targets must be given both or neither, got one of them",
    ),
    "integers that wrap around": (
        {"train_targets": Y + 2**32, "test_targets": Y + 2**32},
        "train_targets must be finite and fit",
    ),
}
ON_THE_HOST = {
    "masked": ({"test_x": np.ma.masked_less(POINTS, -9)}, "test_x must not be masked"),
    "strings": ({"train_targets": Y.astype(str)}, "train_targets must hold numbers"),
    "objects": ({"train_targets": Y.astype(object)}, "train_targets must hold numbers"),
    "dates": ({"train_targets": Y.astype("datetime64[s]")}, "train_targets must hold numbers"),
}


@pytest.mark.parametrize("name", [*BAD_DATA, *ON_THE_HOST])
def test_data_that_do_not_fit_each_other_are_named(name):
    changes, message = {**BAD_DATA, **ON_THE_HOST}[name]
    data = Dataset(**{**GOOD, **changes})
    calls = [
        lambda: planned(tasks.classification(data)),
        lambda: history_of(tasks.classification(data)),
    ]
    if name in BAD_DATA:
        calls += [
            lambda: planned(tasks.classification(lambda key: data)),
            lambda: history_of(tasks.classification(lambda key: data)),
        ]
    for call in calls:
        with pytest.raises(ValueError, match=f"^{message}") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_types_that_the_device_makes_equal_are_equal():
    mixed = Dataset(
        X.T, Y, jnp.asarray(POINTS), jnp.asarray(Y)
    )  # float64 and int64 beside float32 and int32
    assert np.isfinite(history_of(tasks.classification(mixed))["test_loss"]).all()


def within(outputs, targets):
    return jnp.abs(outputs[0] - targets) < 0.1


SPOILT = {
    "NaN in a row": tasks.classification(
        shared(Y)._replace(test_x=np.where(np.arange(24) == 3, np.nan, POINTS))
    ),
    "infinity in a row": tasks.classification(
        shared(Y)._replace(test_x=np.where(np.arange(24) == 3, np.inf, POINTS))
    ),
    "NaN as a target": Task(
        data=shared(np.float32(Y), np.where(np.arange(24) == 3, np.nan, np.float32(Y))),
        loss=losses.squared_error,
        metrics={"accuracy": Metric(within, True)},
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_row_spoils_its_split_and_no_other(name):
    task = SPOILT[name]
    history = history_of(task, outputs=1 if task.loss is losses.squared_error else 2)
    assert np.isnan(history["test_accuracy"]).all()
    assert np.isnan(history["test_loss"]).all()
    assert np.isfinite(history["train_accuracy"]).all()
    assert history["diverged_at"].tolist() == [-1, -1]


LARGE = np.where(np.arange(72).reshape(24, 3) == 10, 2**24 + 1, 5)  # row 3, column 1
REFUSED = {
    "masked": ({"X": np.ma.masked_less(X, -9)}, "X must not be masked"),
    "masked rows": ({"X": [np.ma.masked_less(row, 0) for row in X]}, "X must not be masked"),
    "a masked target": ({"y": np.ma.masked_equal(Y, 1)}, "y must not be masked"),
    "missing values": (
        {"X": np.where(X > 9, X, None)},
        "X must hold numbers, got None in column 0: fill or drop what is missing",
    ),
    "dates": ({"X": X.astype("datetime64[s]")}, "X must hold numbers, got dtype datetime64"),
    "complex": ({"X": X * 1j}, "X must hold numbers, got dtype complex128"),
    "strings": (
        {"y": Y.astype(str), "loss": losses.squared_error},
        "y must hold numbers, got '0' in row 0",
    ),
    "large integers": (
        {"X": LARGE},
        "X must hold integers from -16777216 to 16777216.* got 16777217 in column 1: .*keep_integers",
    ),
    "large negative integers": ({"X": -LARGE}, "X must hold integers .* got -16777217 in column 1"),
    "large unsigned integers": (
        {"X": LARGE.astype(np.uint64) * 2**38},
        "X must hold integers .* got 1374389534720 in column 0",
    ),
    "large integers in images": (
        {"X": LARGE[:, :, None]},
        "X must hold integers .* in column 1, 0",
    ),
    "large integers in a vector": (
        {"X": LARGE[:, 1]},
        "X must hold integers .* got 16777217 in row 3",
    ),
    "integers beyond int32": (
        {"X": LARGE * 2**9, "keep_integers": True},
        "X must be finite and fit int32, got 1 values",
    ),
    "floats as integers": (
        {"X": X, "keep_integers": True},
        "X must hold integers where keep_integers is True, got dtype float64",
    ),
    "targets beyond int32": ({"y": Y * 2**31}, "y must be finite and fit int32, got 12 values"),
    "one-hot rows": (
        {"y": np.eye(2, dtype=int)[Y]},
        r"y must be one-dimensional class numbers .* y\.argmax\(1\)",
    ),
    "one-hot floats": (
        {"y": np.eye(2)[Y], "loss": losses.cross_entropy},
        r"y must be one-dimensional class .* y\.argmax\(1\)",
    ),
    "float classes": (
        {"y": Y / 1, "loss": losses.cross_entropy},
        r"y must be integers.* got float64: y\.astype\(int\)",
    ),
    "negative classes": (
        {"y": Y - 1},
        "y of integers must be .*: for a regression take loss=losses.squared_error",
    ),
    "two classes from 1": (
        {"y": Y + 1, "loss": losses.binary_cross_entropy},
        "y must be 0, 1 or between them .* got 2",
    ),
    "a negative seed": (
        {"split_seed": -1},
        "split_seed must be an integer from 0 to 4294967295, got -1",
    ),
    "half a seed": ({"split_seed": 0.5}, "split_seed must be an integer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_from_arrays_refuses_what_it_would_change(name):
    arguments, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        tasks.from_arrays(**{"X": X, "y": Y, **arguments})
    assert "\n" not in str(caught.value)


def test_integers_up_to_2_to_the_24_are_exact():
    whole = np.where(LARGE > 5, 2**24, -(2**24))
    data = tasks.from_arrays(whole, Y).data
    assert sorted(np.concatenate([data.train_x, data.test_x], axis=1)[1].tolist()) == sorted(
        whole[:, 1].tolist()
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("uint8", "uint8"),
        ("int8", "int32"),
        ("uint16", "int32"),
        ("int64", "int32"),
        ("uint64", "int32"),
    ],
)
def test_integers_are_kept_where_that_is_asked_for(given, kept):
    data = tasks.from_arrays(np.arange(72, dtype=given).reshape(24, 3), Y, keep_integers=True).data
    assert data.train_x.dtype == data.test_x.dtype == kept
    assert sorted(np.concatenate([data.train_x, data.test_x], axis=1).ravel().tolist()) == list(
        range(72)
    )


class Reader(linen.Module):
    """Token numbers to classes, through an embedding."""

    @linen.compact
    def __call__(self, tokens):
        return linen.Dense(2)(linen.Embed(5, 4)(tokens).mean(axis=1))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_an_embedding_trains_on_tokens(dtype):
    tokens = RNG.integers(0, 5, (60, 4)).astype(dtype)
    task = tasks.from_arrays(tokens, (tokens == 3).any(axis=1).astype(int), keep_integers=True)
    study = Study(
        task,
        models.from_flax(Reader(), tokens),
        optax.adam(0.1),
        steps=60,
        batch_size=16,
        eval_every=60,
    )
    assert study.run().final("train_accuracy")[0] > 0.9


def test_integer_targets_of_a_regression_are_numbers():
    years = np.array([-3, 1999, 2024] * 8)
    task = tasks.from_arrays(X, years, loss=losses.squared_error)
    assert (task.data.train_targets.dtype, task.metrics) == (np.float32, {})
    assert sorted(
        np.concatenate([task.data.train_targets, task.data.test_targets]).tolist()
    ) == sorted(years.tolist())
    outputs, targets = jnp.zeros((1, 19)), task.data.train_targets
    np.testing.assert_allclose(task.loss(outputs, targets), np.float64(targets) ** 2, rtol=1e-6)
    two = tasks.from_arrays(X, np.stack([years, -years], axis=1), loss=losses.squared_error)
    assert np.isfinite(history_of(two, outputs=2, steps=1)["test_loss"]).all()
    huber = lambda outputs, targets: optax.losses.huber_loss(outputs[0], targets)
    assert np.isfinite(
        history_of(tasks.from_arrays(X, -Y, loss=huber), outputs=1)["test_loss"]
    ).all()


def alone(task, rate):
    """The last test loss of a plain run."""
    run = make_train(task, models.mlp(3), optax.sgd(rate), steps=2, batch_size=4)
    return float(jax.jit(run)(seed_key(0))[2]["test_loss"][-1])


def test_from_arrays_may_stand_in_a_function_of_hp():
    rates = [0.1, 0.2]
    study = Study(
        lambda hp: tasks.from_arrays(X, Y),
        models.mlp(3),
        lambda hp: optax.sgd(hp.rate),
        sweep={"rate": rates},
        steps=2,
        batch_size=4,
    )
    (program,) = study.plan().programs
    assert program.axes["rate"].kind == "traced"
    expected = [alone(tasks.from_arrays(X, Y), rate) for rate in rates]
    np.testing.assert_allclose(study.run().final("test_loss"), expected, rtol=1e-5)


def split_by(name, value):
    return tasks.from_arrays(X, Y, **{name: value})


@pytest.mark.parametrize(
    ("name", "values"), [("split_seed", [0, 1]), ("test_fraction", [0.25, 0.5])]
)
def test_an_axis_that_decides_the_split_gets_a_program_a_value(name, values):
    study = Study(
        lambda hp: split_by(name, hp.v),
        models.mlp(3),
        optax.sgd(0.1),
        sweep={"v": values},
        steps=2,
        batch_size=4,
    )
    axes = [program.axes["v"] for program in study.plan().programs]
    assert [axis.kind for axis in axes] == ["static", "static"]
    assert axes[0].reason.startswith(f"TypeError: {name} must be known")
    expected = [alone(split_by(name, value), 0.1) for value in values]
    np.testing.assert_allclose(study.run().final("test_loss"), expected, rtol=1e-5)


def test_a_split_is_the_permutation_of_its_seed_under_any_trace():
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 7)
    expected = X[np.asarray(permute(key, 24, np.arange(24)))[:5]].T

    def test_x(number):
        return tasks.from_arrays(X, Y, split_seed=7).data.test_x

    np.testing.assert_array_equal(test_x(0), np.float32(expected))
    np.testing.assert_array_equal(jax.jit(test_x)(0), np.float32(expected))
    np.testing.assert_array_equal(
        jax.vmap(test_x, out_axes=None)(jnp.arange(2)), np.float32(expected)
    )
    message = refused(lambda: jax.jit(lambda x: tasks.from_arrays(x, Y))(X), TypeError)
    assert message.startswith("X must be known when from_arrays splits the rows on the host")


def test_losses_of_bfloat16_outputs_are_those_of_the_same_numbers():
    half = jnp.bfloat16(LOGITS)
    same = half.astype(jnp.float32)
    for function, targets in (
        (losses.cross_entropy, Y),
        (losses.binary_cross_entropy, LOGITS > 0),
        (losses.squared_error, LOGITS),
    ):
        values = function(half, targets)
        assert values.dtype == jnp.float32
        np.testing.assert_array_equal(values, function(same, targets))


def test_bfloat16_is_averaged_in_float32():
    n = 3000  # a bfloat16 sum of 0.1 stops at 32
    x = np.ones((1, n), np.float32)
    model = models.mlp(1, ())._replace(
        apply=lambda params, state, x, **_: (jnp.full((1, x.shape[-1]), 0.1, jnp.bfloat16), state)
    )
    tenth = lambda outputs, targets: outputs[0]
    task = Task(data=Dataset(x, x[0], x, x[0]), loss=tenth, metrics={"tenth": Metric(tenth, False)})
    record = {"loss": lambda info: info.loss, "low": lambda info: jnp.bfloat16(info.loss)}
    history = history_of(
        task, model=model, steps=600, batch_size=None, eval_every=600, record=record
    )
    value = float(jnp.bfloat16(0.1))
    for name in ("train_loss", "test_tenth", "batch_loss_mean", "loss_mean", "low_mean"):
        assert history[name].dtype == np.float32
        np.testing.assert_allclose(history[name][:, -1], value, rtol=1e-5)


def entropy_of_softmax(logits, classes):
    """The cross-entropy of two classes as it is written for any number of them."""
    log_p = jax.nn.log_softmax(logits, axis=0)
    return -jnp.where(classes == 1, log_p[1], log_p[0])


EXTREME = [0.0, 1e-3, 1.0, 20.0, 88.0, 104.0, 1e4, 1e30, 3e38]


def test_two_classes_cost_what_a_softmax_says_at_any_logits_with_its_gradient():
    values = np.float32([*EXTREME, *(-each for each in EXTREME)])
    first, second = (each.ravel() for each in np.meshgrid(values, values))
    # a difference that no float32 holds is a loss that is not finite, and has no gradient
    with np.errstate(over="ignore"):
        held = np.isfinite(first - second)
    logits = jnp.stack([first[held], second[held]])
    for classes in (jnp.zeros(held.sum(), int), jnp.ones(held.sum(), bool)):
        ours, plain = losses.cross_entropy(logits, classes), entropy_of_softmax(logits, classes)
        np.testing.assert_allclose(ours, plain, rtol=1e-6, atol=1e-6)
        gradients = [
            jax.grad(lambda z, f=f, y=classes: f(z, y).sum())(logits)
            for f in (losses.cross_entropy, entropy_of_softmax)
        ]
        np.testing.assert_allclose(*gradients, atol=1e-6)


def test_two_classes_have_no_loss_where_a_softmax_has_none():
    values = [0.0, 3e38, -3e38, np.inf, -np.inf, np.nan]
    logits = jnp.stack([each.ravel() for each in np.meshgrid(*[np.float32(values)] * 2)])
    # of three classes, the third too small to matter, the general form is computed
    third = jnp.full((1, logits.shape[1]), -3e38)
    for target in (0, 1):
        classes = jnp.full(logits.shape[1], target)
        ours = losses.cross_entropy(logits, classes)
        general = losses.cross_entropy(jnp.concatenate([logits, third]), classes)
        spoilt = ~np.isfinite(logits).all(axis=0)
        assert not np.isfinite(ours[spoilt]).any()
        assert not np.isfinite(general[spoilt]).any()
    assert np.isnan(losses.cross_entropy(jnp.zeros((2, 2)), jnp.array([2, -1]))).all()
