"""Data as people have them: frames, labels, given splits, weights of rows and classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight
from test_targets import history_of

from jaxdl import Study, losses, make_train, models, tasks
from jaxdl.batches import draw_batch
from jaxdl.datasets import check_dataset
from jaxdl.planning.identity import _places, data_digest
from jaxdl.sampling import seed_key
from jaxdl.types import Dataset, Model, RowWeights

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(8)
N = 24
X, Y = RNG.normal(size=(N, 3)), np.arange(N) % 3
NAMES = np.array(["owl", "ant", "bee"])  # sorted: ant, bee, owl
SORTED = np.array([2, 0, 1])  # the number of each name
FRAME = pd.DataFrame({"height": X[:, 0], "age": np.arange(N), "tall": X[:, 0] > 0})
REST = {"X_test": X[:6], "y_test": Y[:6]}


def rows_of(dataset):
    """The pairs of all splits, to compare as a set."""
    pairs = []
    for x, targets in zip(dataset[0:6:2], dataset[1:6:2], strict=True):
        if x is not None:
            pairs.extend(
                (*row, target) for row, target in zip(x.T.tolist(), targets.tolist(), strict=True)
            )
    return sorted(pairs)


# --- splits ------------------------------------------------------------------------------------


def test_given_splits_stay_as_they_are():
    task = tasks.from_arrays(X, Y, X_test=X[:6], y_test=Y[:6], X_valid=X[6:8], y_valid=Y[6:8])
    data = task.data
    np.testing.assert_array_equal(data.train_x, np.float32(X).T)
    np.testing.assert_array_equal(data.train_targets, Y)
    np.testing.assert_array_equal(data.test_x, np.float32(X[:6]).T)
    np.testing.assert_array_equal(data.valid_targets, Y[6:8])


def test_a_share_may_be_set_aside_beside_a_given_split():
    data = tasks.from_arrays(X, Y, valid_fraction=0.25, **REST).data
    assert (data.train_x.shape, data.valid_x.shape, data.test_x.shape) == ((3, 18), (3, 6), (3, 6))
    own = data._replace(test_x=None, test_targets=None)
    given = zip(np.float32(X).tolist(), Y.tolist(), strict=True)
    assert rows_of(own) == sorted((*row, target) for row, target in given)
    other = tasks.from_arrays(X, Y, valid_fraction=0.25, split_seed=1, **REST).data
    assert not np.array_equal(other.valid_x, data.valid_x)


def test_without_a_test_split_nothing_is_said_of_one():
    task = tasks.from_arrays(X, Y, test_fraction=0)
    assert (task.data.test_x, task.data.train_x.shape) == (None, (3, N))
    result = Study(task, models.mlp(3, (), 3), optax.sgd(0.1), steps=2, batch_size=4).run()
    assert not [name for name in result.history if name.startswith(("test", "valid"))]
    assert "train_accuracy" in str(result.table("train_accuracy"))
    assert "train_" in result._repr_html_()


REFUSED = {
    "half a split": ({"X_test": X}, "X_test and y_test must be given both or neither"),
    "a share beside it": (
        {**REST, "test_fraction": 0},
        "test_fraction must not be given beside X_test, got 0",
    ),
    "other features": (
        {"X_valid": X[:, :2], "y_valid": Y},
        "valid_x must have examples of train_x's shape",
    ),
    "other lengths": (
        {"X_test": X, "y_test": Y[:5]},
        "X_test and y_test must have the same length, got 24 and 5",
    ),
    "labels that training lacks": (
        {"y": NAMES[Y], "X_test": X[:2], "y_test": ["ant", "cat"]},
        "y_test must hold labels that y has, got 'cat'",
    ),
    "labels of two kinds": (
        {"y": NAMES[Y], "X_test": X[:2], "y_test": [0, 1]},
        "y_test must hold labels of the kind of y",
    ),
    "text and numbers": (
        {"y": np.array(["a", 1] * 12, object)},
        "y must hold labels of one kind, got text and 1",
    ),
    "a missing label": (
        {"y": np.array(["a", "b", None] * 8, object)},
        "y must hold labels, got None in row 2: fill or drop",
    ),
    "a missing category": (
        {"y": pd.Series(["a", "b", None] * 8, dtype="category")},
        "y must hold labels, got nan in row 2: fill or drop",
    ),
    "masked labels": (
        {"y": np.ma.masked_equal(NAMES[Y], "ant")},
        "y must not be masked",
    ),
    "identifiers": ({"y": [f"id{i}" for i in range(N)]}, "y must hold labels that repeat, got 24"),
    "numbers as text": (
        {"y": (Y / 2).astype(str)},
        "y must hold class names or numbers, got numbers as text such as '0.0': y.astype",
    ),
    "one-hot floats": (
        {"y": np.eye(3)[Y]},
        r"y must have its loss named .* y.argmax\(1\)",
    ),
    "one-hot bools": (
        {"y": pd.get_dummies(NAMES[Y])},
        r"y must be one-dimensional class numbers .* y\.argmax\(1\)",
    ),
    "float classes": (
        {"y": Y / 1.0},
        r"y must be integers for classes, .* from 0 to 2: y.astype\(int\) for classes, loss=",
    ),
    "float signs": ({"y": np.where(Y, 1.0, -1.0)}, "y must be integers for classes, .* -1 to 1"),
    "a column of text": (
        {"X": FRAME.assign(city="Ulm")},
        "X must hold numbers, got 'Ulm' in column 'city': drop it, or turn it into numbers",
    ),
    "a column of dates": (
        {"X": FRAME.assign(day=pd.Timestamp("2020-01-01"))},
        "X must hold numbers, got datetime.* in column 'day': drop it",
    ),
    "a column of categories": (
        {"X": FRAME.assign(city=pd.Categorical(NAMES[Y]))},
        "X must hold numbers, got categories in column 'city': pandas.get_dummies",
    ),
    "a column with gaps": (
        {"X": FRAME.assign(age=FRAME["age"].where(Y > 0))},
        "X must be finite, got 8 NaN in column 'age': fill or drop",
    ),
    "a column with gaps of integers": (
        {"X": FRAME.assign(age=FRAME["age"].astype("Int64").where(Y > 0))},
        "X must be finite, got 8 NaN in column 'age': fill or drop",
    ),
    "large integers beside floats": (
        {"X": FRAME.assign(time=2**24 + 1)},
        "X must hold integers .* got 16777217 in column 'time'",
    ),
    "text in an array": (
        {"X": np.array([[1, "a"]] * N, object)},
        "X must hold numbers, got 'a' in column 1: drop it",
    ),
    "sparse": (
        {"X": sparse.csr_matrix(X)},
        r"X must be a dense array, got a sparse one of shape \(24, 3\): X.toarray\(\)",
    ),
    "columns in another order": (
        {"X": FRAME, "X_test": FRAME[["age", "height", "tall"]], "y_test": Y},
        r"X_test must have the columns of X in their order, .*X_test\[X.columns\]",
    ),
    "rows in another order": (
        {"X": FRAME, "y": pd.Series(Y).sort_values(kind="stable")},
        r"X and y must have their rows in one order, .*y.loc\[X.index\]",
    ),
    "a weight of 0": (
        {"sample_weight": [0, *np.ones(N - 1)]},
        "sample_weight must be finite and above 0, got 0: drop rows",
    ),
    "weights of too few": (
        {"sample_weight": [1.0, 2.0]},
        "sample_weight must be one number a row",
    ),
    "weights of one split": (
        {"sample_weight": np.ones(N), **REST},
        "sample_weight must be given for every split or none: sample_weight, sample_weight_test",
    ),
    "weights of no split": (
        {"sample_weight_test": np.ones(N)},
        "sample_weight_test must go with X_test",
    ),
    "an unknown class": (
        {"class_weight": {0: 1, 1: 1, 2: 1, 3: 1}},
        "unknown class 3: known are 0, 1, 2",
    ),
    "a class without weight": (
        {"class_weight": {0: 1, 1: 1}},
        "class_weight must give every class a weight, got none of 2",
    ),
    "a negative class weight": (
        {"class_weight": {0: 1, 1: 1, 2: -1}},
        "class_weight of 2 must be a finite number above 0, got -1",
    ),
    "unbalanced": ({"class_weight": "balance"}, "class_weight must be a dict .* got 'balance'"),
    "classes of a regression": (
        {"y": X[:, 0], "class_weight": "balanced"},
        "class_weight must go with targets that are classes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_remedy(name):
    arguments, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        tasks.from_arrays(**{"X": X, "y": Y, **arguments})
    assert "\n" not in str(caught.value)


# --- labels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        NAMES[Y],
        NAMES[Y].tolist(),
        NAMES[Y].astype(object),
        NAMES[Y][:, None],
        pd.Series(NAMES[Y]),
        pd.DataFrame({"kind": NAMES[Y]}),
        pd.Series(NAMES[Y], dtype="category"),
        pd.Series(NAMES[Y], dtype="string"),
    ],
)
def test_strings_are_numbered_in_sorted_order(labels):
    task = tasks.from_arrays(X, labels, X_test=X[:2], y_test=labels[:2])
    assert task.classes == ("ant", "bee", "owl")
    assert task.data.train_targets.dtype == np.int32
    np.testing.assert_array_equal(task.data.train_targets, SORTED[Y])
    np.testing.assert_array_equal(task.data.test_targets, SORTED[Y][:2])
    assert list(task.metrics) == ["accuracy"]


def test_categories_keep_the_order_that_they_declare():
    sizes = pd.Categorical(["mid", "low", "high"] * 8, categories=["low", "mid", "high"])
    task = tasks.from_arrays(X, sizes, test_fraction=0)
    assert task.classes == ("low", "mid", "high")
    np.testing.assert_array_equal(task.data.train_targets, [1, 0, 2] * 8)


@pytest.mark.parametrize("dtype", [bool, object, "boolean"])
def test_false_is_0_and_true_is_1(dtype):
    labels = pd.Series(Y > 0).astype(dtype)
    task = tasks.from_arrays(X, labels, test_fraction=0)
    assert task.classes == (False, True)
    np.testing.assert_array_equal(task.data.train_targets, Y > 0)
    number = tasks.from_arrays(X, Y > 0, test_fraction=0, loss=losses.squared_error)
    assert (number.classes, number.data.train_targets.dtype) == (None, np.float32)


def test_numbers_stay_numbers():
    assert tasks.from_arrays(X, Y).classes is None
    column = tasks.from_arrays(X, Y[:, None], test_fraction=0).data.train_targets
    np.testing.assert_array_equal(column, Y)
    years = np.arange(N) / 1.0  # whole floats that do not repeat are quantities
    assert tasks.from_arrays(X, years).loss is losses.squared_error
    asked = tasks.from_arrays(X, Y / 1.0, loss=losses.squared_error)
    assert asked.data.train_targets.dtype == np.float32


def test_frames_are_the_arrays_of_their_columns():
    expected = np.stack([X[:, 0], np.arange(N), X[:, 0] > 0]).astype(np.float32)
    for frame in (FRAME, FRAME.astype({"age": "Int64"}), FRAME.astype(object)):
        data = tasks.from_arrays(frame, pd.Series(Y), test_fraction=0).data
        np.testing.assert_array_equal(data.train_x, expected)
    shuffled = FRAME.sample(frac=1.0, random_state=0)
    data = tasks.from_arrays(shuffled, pd.Series(Y).loc[shuffled.index], test_fraction=0).data
    np.testing.assert_array_equal(data.train_targets, Y[shuffled.index])


# --- weights -----------------------------------------------------------------------------------


def repeated(counts):
    """Rows as often as they count, and nothing weighed."""
    rows = np.repeat(np.arange(N), counts)
    return tasks.from_arrays(X[rows], Y[rows], X_test=X[rows], y_test=Y[rows])


COUNTS = 1 + np.arange(N) % 4


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_a_weight_of_2_is_a_row_twice(scale):
    weight = scale * COUNTS
    weighed = tasks.from_arrays(
        X, Y, X_test=X, y_test=Y, sample_weight=weight, sample_weight_test=weight
    )
    settings = dict(outputs=3, steps=3, eval_every=1)
    own = history_of(weighed, **settings, batch_size=N)
    expected = history_of(repeated(COUNTS), **settings, batch_size=int(COUNTS.sum()))
    for name in ("train_loss", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(own[name], expected[name], rtol=2e-5)
    plain = history_of(tasks.from_arrays(X, Y, **REST), **settings, batch_size=N)
    assert not np.allclose(own["train_loss"], plain["train_loss"], rtol=1e-3)


def test_chunks_of_an_evaluation_weigh_what_all_at_once_do(monkeypatch):
    weight = COUNTS
    task = tasks.from_arrays(X, Y, test_fraction=0.3, sample_weight=weight)
    settings = dict(outputs=3, batch_size=1, steps=2, eval_train_rows=13)
    whole = history_of(task, **settings)
    monkeypatch.setattr("jaxdl.training.chunks.MOST_ROWS", 4)
    chunks = history_of(task, **settings)
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(chunks[name], whole[name], rtol=1e-5)


@pytest.mark.parametrize("most", [4, 1024])
def test_where_all_are_right_a_weighed_share_is_1(monkeypatch, most):
    monkeypatch.setattr("jaxdl.training.chunks.MOST_ROWS", most)
    same = np.zeros(N, int)
    weight = RNG.lognormal(sigma=3, size=N)
    task = tasks.from_arrays(X, same, 0.3, sample_weight=weight)
    model = Model(lambda key: (jnp.zeros(2), ()), lambda p, s, x, **_: (ahead(p, x), s))
    history = history_of(task, model=model, batch_size=1, steps=1)
    assert (history["train_accuracy"] == 1).all()
    assert (history["test_accuracy"] == 1).all()


def ahead(params, x):
    """Logits of which the first is the larger."""
    return jnp.stack([1 + 0 * x[0], 0 * x[0]]) + params[:, None]


def test_weights_follow_their_rows_into_splits_and_batches():
    weight = 1.0 + np.arange(N)  # of the row that begins with it
    rows = np.stack([weight, np.zeros(N)], axis=1)
    task = tasks.from_arrays(rows, Y, 0.25, 0.25, sample_weight=weight)
    data = task.data
    np.testing.assert_array_equal(data.weights.train, data.train_x[0])
    np.testing.assert_array_equal(data.weights.batch, data.train_x[0])
    np.testing.assert_array_equal(data.weights.test, data.test_x[0])
    np.testing.assert_array_equal(data.weights.valid, data.valid_x[0])
    x, _, drawn = draw_batch(data, jax.random.key(0), 3, 5)
    np.testing.assert_array_equal(drawn, x[0])


def test_balanced_is_what_scikit_learn_calls_so():
    labels = NAMES[np.r_[np.zeros(12, int), np.ones(8, int), np.full(4, 2)]]
    for weight in (None, COUNTS / 2.0):
        task = tasks.from_arrays(
            X, labels, test_fraction=0, class_weight="balanced", sample_weight=weight
        )
        each = compute_class_weight(
            "balanced", classes=np.unique(labels), y=labels, sample_weight=weight
        )
        expected = each[task.data.train_targets] * (1.0 if weight is None else weight)
        np.testing.assert_allclose(task.data.weights.batch, expected, rtol=1e-6)


def test_class_weights_count_in_steps_and_not_in_evaluations():
    by_class = {"ant": 1, "bee": 3, "owl": 2}
    task = tasks.from_arrays(X, NAMES[Y], test_fraction=0, class_weight=by_class)
    expected = np.array([1, 3, 2])[task.data.train_targets]
    np.testing.assert_array_equal(task.data.weights.batch, expected)
    counted = tasks.from_arrays(
        X, NAMES[Y], test_fraction=0, sample_weight=np.array([1, 3, 2])[SORTED[Y]]
    )
    plain = tasks.from_arrays(X, NAMES[Y], test_fraction=0)
    settings = dict(outputs=3, steps=4, eval_every=4, batch_size=N)
    own, all_weighed, none = (history_of(t, **settings) for t in (task, counted, plain))
    # before the first step the evaluation is the plain one; after it the weights are the others
    np.testing.assert_array_equal(own["train_loss"][:, 0], none["train_loss"][:, 0])
    assert not np.allclose(own["train_loss"][:, -1], none["train_loss"][:, -1], rtol=1e-4)
    of_class_weight, of_sample_weight = (
        make_train(t, models.mlp(3, (4,), 3), optax.sgd(0.1), steps=4, batch_size=N)
        for t in (task, counted)
    )
    params = [run(seed_key(0))[0] for run in (of_class_weight, of_sample_weight)]
    # another program, as its evaluation has no weights: equal to rounding
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), *params)
    assert not np.allclose(all_weighed["train_loss"][:, 0], none["train_loss"][:, 0], rtol=1e-3)


def test_weights_of_a_data_set_are_one_a_row():
    data = Dataset(np.float32(X.T), Y, None, None)
    good = np.ones(N, np.float32)
    assert check_dataset(data._replace(weights=RowWeights(good, good))) is not None
    for weights in (good, RowWeights(good[1:]), RowWeights(test=good), RowWeights(good * -1)):
        with pytest.raises(ValueError, match=r"^weights"):
            check_dataset(data._replace(weights=weights))


def test_a_data_set_without_weights_is_called_as_before_there_were_any():
    plain = tasks.from_arrays(X, Y).data
    digest = data_digest(plain)
    shape = "PyTreeDef(CustomNode(namedtuple[Dataset], [*, *, *, *, None, None]))"
    assert _places(plain) == shape
    weighed = tasks.from_arrays(X, Y, sample_weight=np.ones(N)).data
    assert data_digest(weighed) != digest
