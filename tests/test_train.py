"""A lane: its history, its reductions, its divergence, and that neither vmap nor segments change
it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons

from jaxdl import make_train, models, tasks, train
from jaxdl.layers import Dense
from jaxdl.losses import accuracy
from jaxdl.sampling import seed_key, stream
from jaxdl.types import Dataset

SEEDS = jnp.arange(4, dtype=jnp.uint32)
DRAWN = tasks.moons(40)
SHARED = tasks.from_arrays(
    *make_moons(36, noise=0.1, random_state=0), test_fraction=0.15, valid_fraction=0.1
)
N = SHARED.data.train_targets.size  # 27
MLP = models.mlp(2, (6,), activation="tanh")
FAST = {
    "xla_backend_optimization_level": 0
}  # half the time to compile, where values are compared and not bits
RECORD = {
    "grad_norm": lambda info: optax.tree.norm(info.grads),
    "step": lambda info: jnp.float32(info.step),
}


def trained(optimizer, task=SHARED, model=MLP, **settings):
    """The first seed's lane, as NumPy arrays."""
    run = make_train(task, model, optimizer, **{"steps": 20, **settings})
    return jax.tree.map(np.asarray, jax.jit(run, compiler_options=FAST)(seed_key(0)))


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), tree, other)


@pytest.fixture(scope="module")
def lanes():
    """A vmapped run: learning rates -> (params, history, initial params, dataset) of the lanes."""

    def one(learning_rate, seed):
        key = seed_key(seed)
        params, _, history = run_with(learning_rate)(key)
        return params, history, MLP.init(stream(key, "init"))[0], DRAWN.data(key)

    together = jax.jit(jax.vmap(one))
    return lambda rates: jax.tree.map(np.asarray, together(jnp.float32(rates), SEEDS))


def run_with(learning_rate):
    return make_train(DRAWN, MLP, optax.sgd(learning_rate), steps=20, batch_size=8, eval_every=5)


def test_vmapped_lanes_are_those_trained_one_by_one_on_their_data(lanes):
    params, history, _, datasets = lanes([0.1] * 4)
    alone = jax.jit(
        lambda seed, dataset: run_with(0.1)(seed_key(seed), dataset), compiler_options=FAST
    )
    for lane, seed in enumerate(SEEDS):
        mine = jax.tree.map(lambda leaf, lane=lane: leaf[lane], (params, (), history))
        dataset = jax.tree.map(lambda leaf, lane=lane: leaf[lane], datasets)
        assert_close(mine, alone(seed, dataset))
    assert len(set(history["test_loss"][:, -1].tolist())) == len(SEEDS)
    _, _, mislabelled = alone(seed, dataset._replace(test_targets=1 - dataset.test_targets))
    np.testing.assert_allclose(
        mislabelled["test_accuracy"], 1 - history["test_accuracy"][-1], atol=1e-6
    )


def test_a_lane_that_explodes_is_frozen_at_its_first_step_and_disturbs_no_other(lanes):
    params, mixed, start, _ = lanes([0.1, 1e30, 0.1, 0.1])
    _, healthy, _, _ = lanes([0.1] * 4)
    assert mixed["diverged_at"].tolist() == [-1, 0, -1, -1]
    jax.tree.map(
        lambda after, before: np.testing.assert_array_equal(after[1], before[1]), params, start
    )
    np.testing.assert_allclose(mixed["test_loss"][1], mixed["test_loss"][1, 0], rtol=1e-6)
    assert np.isnan(mixed["batch_loss_mean"][1]).all()  # no step was accepted
    np.testing.assert_array_equal(mixed["test_loss"][[0, 2, 3]], healthy["test_loss"][[0, 2, 3]])


@pytest.mark.parametrize(
    ("steps", "every", "due"),
    [(6, 3, (0, 3, 6)), (7, 3, (0, 3, 6, 7)), (2, 5, (0, 2)), (3, 1, (0, 1, 2, 3)), (1, 1, (0, 1))],
)
def test_evaluations_are_due_at_0_k_2k_and_at_the_last_step(steps, every, due):
    assert train.Schedule(steps, every).due() == due


def test_every_column_is_of_its_step():
    due = (0, 3, 6, 7)
    params, _, history = trained(optax.sgd(0.1), steps=7, eval_every=3, record=RECORD)
    splits = [
        f"{split}_{name}" for split in ("train", "valid", "test") for name in ("loss", "accuracy")
    ]
    recorded = [
        f"{name}_{kind}"
        for name in ("batch_loss", "grad_norm", "step")
        for kind in ("min", "mean", "max")
    ]
    assert sorted(history) == sorted([*splits, *recorded, "diverged_at"])
    assert all(
        history[name].shape == (len(due),) and history[name].dtype == np.float32
        for name in (*splits, *recorded)
    )
    assert all(np.isfinite(history[name]).all() for name in splits)
    assert np.isnan(history["step_mean"][0])  # no step yet
    np.testing.assert_array_equal(
        history["step_min"][1:], due[:-1]
    )  # the steps between two evaluations
    np.testing.assert_array_equal(history["step_max"][1:], np.array(due[1:]) - 1)
    # the loss falls and a batch is all rows: the largest loss between two evaluations is that of
    # the first one
    np.testing.assert_allclose(history["batch_loss_max"][1:], history["train_loss"][:-1], rtol=1e-5)
    data = SHARED.data
    for split, x, targets in (
        ("valid", data.valid_x, data.valid_targets),
        ("test", data.test_x, data.test_targets),
    ):
        outputs, _ = MLP.apply(params, (), x)
        for name, function in {"loss": SHARED.loss, "accuracy": accuracy}.items():
            assert float(function(outputs, targets).mean()) == pytest.approx(
                history[f"{split}_{name}"][-1], rel=1e-5
            )
    assert history["diverged_at"] == -1


def softmax_regression(x, targets, rows, learning_rate):
    """The loss and the gradient's norm of every step, and the weights, by hand in float64."""
    weight, bias = np.zeros((2, 2)), np.zeros(2)
    losses, norms = [], []
    for batch in rows:
        inputs, wanted = x[:, batch], np.eye(2)[:, targets[batch]]
        exponentials = np.exp(weight @ inputs + bias[:, None])
        p = exponentials / exponentials.sum(axis=0)
        delta = (p - wanted) / len(batch)
        to_weight, to_bias = delta @ inputs.T, delta.sum(axis=1)
        losses.append(-np.log((p * wanted).sum(axis=0)).mean())
        norms.append(np.sqrt((to_weight**2).sum() + (to_bias**2).sum()))
        weight, bias = weight - learning_rate * to_weight, bias - learning_rate * to_bias
    return np.array(losses), np.array(norms), weight


def test_recorded_values_are_min_mean_and_max_over_the_steps_between():
    rng = np.random.default_rng(0)
    x, targets = np.float32(rng.normal(size=(2, 12))), np.int32(rng.integers(0, 2, 12))
    rows = np.stack([rng.permutation(12)[:3] for _ in range(7)])

    def batch(dataset, key, step, batch_size):
        chosen = jnp.asarray(rows)[step]
        return (
            jnp.asarray(dataset.train_x)[:, chosen],
            jnp.asarray(dataset.train_targets)[chosen],
            jnp.ones(3),
        )

    task = tasks.classification(Dataset(x, targets, x, targets))._replace(batch=batch)
    model = models.mlp(
        2, (), init=lambda key, out, into: Dense(jnp.zeros((out, into)), jnp.zeros(out))
    )
    params, _, history = trained(
        optax.sgd(0.5), task, model, steps=7, eval_every=3, batch_size=3, record=RECORD
    )
    losses, norms, weight = softmax_regression(x.astype(float), targets, rows, 0.5)
    np.testing.assert_allclose(params[0].weight, weight, rtol=1e-5, atol=1e-6)
    for name, values in (("batch_loss", losses), ("grad_norm", norms)):
        for kind, reduce in (("min", np.min), ("mean", np.mean), ("max", np.max)):
            expected = [reduce(part) for part in (values[0:3], values[3:6], values[6:7])]
            np.testing.assert_allclose(history[f"{name}_{kind}"][1:], expected, rtol=1e-5)


def test_a_summed_loss_is_an_averaged_one_with_a_larger_rate():
    settings = {
        "batch_size": 9,
        "sampling": "epoch",
        "eval_every": 10,
    }  # 9 divides the 27 rows: no batch is short
    mean, _, mean_history = trained(optax.sgd(0.9), reduction="mean", **settings)
    summed, _, sum_history = trained(optax.sgd(0.1), reduction="sum", **settings)
    assert_close(mean, summed)
    assert_close(mean_history, sum_history)  # the batch loss is the mean under both
    assert mean_history["train_loss"][-1] < 0.8 * mean_history["train_loss"][0]


def test_a_saturated_lane_is_caught_by_the_bound_on_its_norm():
    clipped = optax.chain(
        optax.clip_by_global_norm(1.0), optax.rmsprop(1e30)
    )  # tanh saturates: every loss is finite
    params, _, history = trained(clipped)
    assert history["diverged_at"] == 0
    assert optax.tree.norm(params) < 100
    assert np.isfinite(history["test_loss"]).all()


def test_a_lane_freezes_before_the_update_that_takes_its_norm_beyond_the_bound():
    settings = {
        "optimizer": optax.sgd(0.5),
        "eval_every": 1,
        "record": {"norm": lambda info: optax.tree.norm(info.params)},
    }
    free, _, history = trained(**settings)
    norms = np.append(
        history["norm_mean"][1:], optax.tree.norm(free)
    )  # before every step, and at the end
    bound = (norms[11] + norms[12]) / 2
    params, _, history = trained(**settings, norm_bound=float(bound))
    assert history["diverged_at"] == np.argmax(norms[1:] > bound) == 11
    assert float(optax.tree.norm(params)) == pytest.approx(norms[11], rel=1e-5)


def test_a_lane_freezes_at_the_first_loss_that_is_not_finite():
    def batch(dataset, key, step, batch_size):
        return (
            dataset.train_x,
            (dataset.train_targets, jnp.where(step == 7, jnp.inf, 0.0)),
            jnp.ones(N),
        )

    def loss(outputs, targets):  # infinite at step 7, with gradients as finite as ever
        targets, extra = targets if isinstance(targets, tuple) else (targets, 0.0)
        return SHARED.loss(outputs, targets) + extra

    _, _, history = trained(
        optax.sgd(0.1), SHARED._replace(batch=batch, loss=loss), eval_every=4, record=RECORD
    )
    assert history["diverged_at"] == 7
    np.testing.assert_array_equal(history["step_max"], [np.nan, 3, 6, np.nan, np.nan, np.nan])
    assert history["train_loss"][0] > history["train_loss"][1] > history["train_loss"][2]
    assert len(set(history["train_loss"][2:].tolist())) == 1


@pytest.fixture(scope="module")
def advance():
    """A chunk of lanes with dropout, Adam and recorded values, trained in segments: (steps to cut
    at) -> Lane."""
    schedule, model = train.Schedule(23, 5), models.mlp(2, (6,), dropout_rate=0.3)
    recipe = train.Recipe(SHARED, model, optax.adam(0.05), 8, record=RECORD)
    data = SHARED.data
    start = jax.jit(jax.vmap(lambda seed: train.init(recipe, seed_key(seed), data, schedule)))(
        SEEDS
    )

    def one(lane, data, seed, begin, end):
        return train.segment(
            recipe, schedule, lane, data, train.streams(seed_key(seed)), begin, end
        )

    segment = jax.jit(jax.vmap(one, (0, None, 0, None, None)))

    def run(cuts):
        lane = start
        for begin, end in zip((0, *cuts), (*cuts, 24), strict=True):
            lane = segment(lane, data, SEEDS, begin, end)
        return lane

    return run


@given(cuts=st.sets(st.integers(1, 23), max_size=8))
def test_segments_of_any_lengths_change_no_bit(advance, cuts):
    jax.tree.map(np.testing.assert_array_equal, advance(()), advance(sorted(cuts)))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("steps", {"steps": 0}),
        ("steps", {"steps": 1.5}),
        ("eval_every", {"eval_every": 0}),
        ("batch_size", {"batch_size": 0}),
        ("batch_size", {"batch_size": N + 1}),
        ("reduction", {"reduction": "avg"}),
        ("sampling", {"sampling": "epochs"}),
    ],
)
def test_settings_that_will_not_do_are_named(name, settings):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got .*$"):
        make_train(SHARED, MLP, optax.sgd(0.1), **{"steps": 2, **settings})(seed_key(0))
