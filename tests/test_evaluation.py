"""Evaluation: chunks of bounded memory give the mean of all rows, and a fixed part of the training
split may stand for it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxdl import Metric, Study, load, make_train, models, tasks, train
from jaxdl.sampling import seed_key
from jaxdl.training import chunks
from jaxdl.types import Dataset, Model, Padded, Task

ROWS = 37  # a prime: no chunk but of 1 or of all rows divides it
RNG = np.random.default_rng(0)
X = np.float32(RNG.normal(size=(2, 3 * ROWS)))
CLASSES = np.int32(X[0] * X[1] > 0)
PARTS = (slice(0, ROWS), slice(ROWS, 2 * ROWS), slice(2 * ROWS, 3 * ROWS))
DATA = Dataset(*(array[..., part] for part in PARTS for array in (X, CLASSES)))
SHARED = tasks.classification(DATA)
MLP = models.mlp(2, (5,))
SGD = optax.sgd(0.1)
PARAMS = MLP.init(seed_key(0))  # and the state


def watched(model: Model, sizes: list) -> Model:
    """The model, which notes how many rows it is evaluated on at a time."""

    def apply(params, state, x, *, key=None, train=False):
        assert not train
        sizes.append(x.shape[-1])
        return model.apply(params, state, x, key=key, train=train)

    return Model(model.init, apply)


def evaluated(task=SHARED, model=MLP, batch_size=4, **settings):
    """The values of an evaluation of fresh weights."""
    recipe = train.Recipe(task, model, SGD, batch_size, **settings)
    params, state = model.init(seed_key(0))
    return jax.tree.map(np.asarray, train.evaluate(recipe, params, state, task.data))


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_ROWS", 10)


def test_chunks_give_the_means_over_all_rows(small_chunks):
    sizes: list[int] = []
    values = evaluated(model=watched(MLP, sizes))
    # one look at the shapes of all rows; then 37 rows in 4 chunks for each of three splits
    assert sizes[0] == ROWS
    assert set(sizes[1:]) == {10}
    for split, part in zip(("train", "test", "valid"), PARTS, strict=True):
        logits = np.asarray(MLP.apply(*PARAMS, X[:, part])[0], float)
        normalised = logits - np.log(np.exp(logits).sum(axis=0))
        losses = -normalised[CLASSES[part], np.arange(ROWS)]
        hits = logits.argmax(axis=0) == CLASSES[part]
        np.testing.assert_allclose(values[f"{split}_loss"], losses.mean(), rtol=1e-6)
        np.testing.assert_allclose(values[f"{split}_accuracy"], hits.mean(), rtol=1e-6)


def test_few_rows_are_one_chunk_and_a_batch_is_never_too_large():
    sizes: list[int] = []
    evaluated(model=watched(MLP, sizes), batch_size=ROWS)
    assert sizes == [ROWS] * 3  # nothing larger than a batch: not even a look at shapes
    evaluated(model=watched(MLP, sizes), batch_size=4)
    assert sizes == [ROWS] * 7


@pytest.mark.parametrize(("batch_size", "rows"), [(2, 5), (9, 8), (Padded(3, 9), 8)])
def test_no_more_rows_are_computed_at_a_time_than_fit(monkeypatch, batch_size, rows):
    """The widest array of a row holds 1000 floats, of which five fit; else it is a batch's rows."""
    monkeypatch.setattr(chunks, "MOST_BYTES", 5 * 4000)
    sizes: list[int] = []
    evaluated(model=watched(models.mlp(2, (1000,)), sizes), batch_size=batch_size)
    assert set(sizes[1:]) == {rows}  # 37 rows in 8 chunks, in 5


def test_arrays_inside_loops_and_branches_are_seen(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_BYTES", 5 * 4000)

    @jax.jit
    def wide_within(x):
        def body(carry, _):
            return carry + jnp.tile(x, (500, 1)).sum(axis=0), None

        return jax.lax.scan(body, jnp.zeros(x.shape[-1]), length=2)[0]

    sizes: list[int] = []
    model = Model(lambda key: ((), ()), lambda p, s, x, *, key, train: (wide_within(x)[None], s))
    task = Task(DATA, lambda outputs, targets: outputs[0], {})
    evaluated(task, watched(model, sizes))
    assert set(sizes[1:]) == {5}


@given(
    values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=12),
    most=st.integers(1, 15),
)
def test_every_row_counts_once(values, most):
    values = np.float32(values)
    examples = chunks.Examples(values[None], values)

    def taken(x, targets, reduce):
        each = {"x": x[0], "square": targets**2}
        return chunks.Collected({name: reduce.mean(each[name]) for name in each}, {}, {})

    means = chunks.collect(taken, examples, most).means
    np.testing.assert_allclose(means["x"], values.mean(dtype=float), rtol=1e-5, atol=1e-5)
    squares = values.astype(float) ** 2
    # the square of the smallest number is none of float32
    np.testing.assert_allclose(means["square"], squares.mean(), rtol=1e-5, atol=1e-30)


def first_output(outputs, targets):
    return outputs[0]


IDENTITY = Model(lambda key: ((), ()), lambda params, state, x, *, key, train: (x, state))


@pytest.mark.parametrize("where", [0, 9, 27, 30, 36])
def test_a_nan_spoils_the_mean_wherever_its_row_is(small_chunks, where):
    recipe = train.Recipe(Task(None, first_output, {}), IDENTITY, SGD, 1)
    mean = jax.jit(lambda x: train.evaluate_split(recipe, (), (), x, np.zeros(ROWS))["loss"])
    x = np.ones((1, ROWS), np.float32)
    x[0, where] = np.nan
    assert np.isnan(mean(x))
    x[0, where] = 38
    assert mean(x) == 2


def test_integers_stay_integers_until_their_chunk_is_prepared(small_chunks):
    """An image data set is a quarter of what it would be in float32."""
    seen: list = []
    pixels = np.uint8(RNG.integers(0, 256, (2, ROWS)))
    data = Dataset(pixels, CLASSES[:ROWS], pixels[:, :11], CLASSES[:11])

    def prepare(x):
        seen.append((str(x.dtype), x.shape[-1]))
        return x.astype(jnp.float32) / 255

    values = evaluated(tasks.classification(data)._replace(prepare=prepare), batch_size=5)
    assert {dtype for dtype, _ in seen} == {"uint8"}
    assert {rows for _, rows in seen[1:]} == {10, 6}
    floats = np.float32(pixels) / 255
    whole = evaluated(tasks.classification(data._replace(train_x=floats, test_x=floats[:, :11])))
    for name, value in whole.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-6)


def test_lanes_with_batches_and_data_of_their_own_are_evaluated_in_chunks(monkeypatch):
    def one(scale, size):
        data = DATA._replace(train_x=DATA.train_x * scale)
        recipe = train.Recipe(tasks.classification(data), MLP, SGD, Padded(size, 3))
        return train.evaluate(recipe, *PARAMS, data)

    lanes = (jnp.array([0.5, 1.0, 2.0]), jnp.array([1, 2, 3]))
    whole = jax.vmap(one)(*lanes)
    assert len(set(whole["train_loss"].tolist())) == 3
    monkeypatch.setattr(chunks, "MOST_ROWS", 10)
    for name, values in jax.vmap(one)(*lanes).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-6)


def powers(rows: int) -> Task:
    """A task whose mean loss says which rows it is the mean of: that of row i is 2**i."""
    x = np.float32(2.0 ** np.arange(rows))[None]
    ones = Metric(lambda outputs, targets: jnp.ones_like(outputs[0]), True)
    return Task(Dataset(x, x[0], x[:, :3], x[0, :3]), first_output, {"one": ones})


@functools.cache
def rows_behind(count: int, rows: int = 20, most: int = 1024) -> frozenset[int]:
    """The rows of the training split that are evaluated, read off the mean loss."""
    values = evaluated(powers(rows), IDENTITY, eval_train_rows=count)
    assert values["test_loss"] == pytest.approx(7 / 3)
    assert values["train_one"] == 1
    total = round(float(values["train_loss"]) * count)
    return frozenset(row for row in range(total.bit_length()) if total >> row & 1)


def test_a_part_of_the_training_split_is_drawn_once_and_grows_by_rows(monkeypatch):
    part = rows_behind(8)
    assert len(part) == 8
    assert max(part) > 7  # not the first rows: those of a user may be sorted
    assert rows_behind(1) < part < rows_behind(11) < rows_behind(20) == frozenset(range(20))
    monkeypatch.setattr(chunks, "MOST_ROWS", 3)
    assert rows_behind(8, most=3) == part


def test_all_rows_are_evaluated_where_no_number_is_given_or_it_is_that_of_all():
    plain = evaluated()
    jax.tree.map(np.testing.assert_array_equal, plain, evaluated(eval_train_rows=ROWS))
    fewer = evaluated(eval_train_rows=ROWS - 1)
    assert fewer["train_loss"] != plain["train_loss"]
    assert fewer["valid_loss"] == plain["valid_loss"]


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "all", ROWS + 1])
def test_a_part_that_the_split_does_not_have_is_refused(count):
    settings = {"steps": 1, "eval_train_rows": count}
    for refused in (
        lambda: make_train(SHARED, MLP, SGD, **settings)(seed_key(0)),
        lambda: Study(SHARED, MLP, SGD, **settings).plan(),
    ):
        with pytest.raises(ValueError, match=r"^eval_train_rows must be ") as error:
            refused()
        allowed = "an integer from 1 to 37" if count == ROWS + 1 else "a positive integer"
        assert str(error.value) == f"eval_train_rows must be {allowed}, got {count!r}"


def test_a_study_on_a_part_of_the_training_split_is_another_study(tmp_path):
    def study(count):
        return Study(powers(20), MODEL, SGD, steps=1, eval_train_rows=count)

    result = study(8).run(tmp_path)
    total = sum(2**row for row in rows_behind(8))
    np.testing.assert_allclose(result.history["train_loss"][0, 0], total / 8, rtol=1e-6)
    assert '"eval_train_rows": 8' in (tmp_path / "manifest.json").read_text()
    assert load(tmp_path).history["train_loss"].tobytes() == result.history["train_loss"].tobytes()
    for other in (None, 6):
        with pytest.raises(ValueError, match="another study: eval_train_rows is 8 there and"):
            study(other).run(tmp_path)


MODEL = Model(  # one that has something to train
    lambda key: (jnp.zeros((1, 1)), ()),
    lambda params, state, x, *, key=None, train=False: (x + params, state),
)
