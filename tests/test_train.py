"""A lane: its history, its reductions, its divergence, and that neither vmap nor segments change it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxdl import make_train, models, tasks, train
from jaxdl.layers import Dense
from jaxdl.sampling import seed_key
from jaxdl.types import Dataset

SEEDS = jnp.arange(4, dtype=jnp.uint32)
MOONS = tasks.moons(40, valid_fraction=0.1)
MLP = models.mlp(2, (6,), activation="tanh")
RECORD = {"grad_norm": lambda info: optax.global_norm(info.grads), "step": lambda info: jnp.float32(info.step)}


def trained(optimizer=None, task=MOONS, model=MLP, seed=0, **settings):
    """One lane, as NumPy arrays."""
    run = make_train(task, model, optimizer or optax.sgd(0.1), **{"steps": 20, **settings})
    return jax.tree.map(np.asarray, jax.jit(run)(seed_key(seed)))


def assert_trees_close(tree, other, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), tree, other)


def test_vmapped_lanes_are_those_trained_one_by_one():
    run = make_train(MOONS, MLP, optax.adam(0.05), steps=20, batch_size=8, eval_every=5)
    together = jax.jit(jax.vmap(lambda seed: run(seed_key(seed))))(SEEDS)
    alone = jax.jit(lambda seed: run(seed_key(seed)))
    for lane, seed in enumerate(SEEDS):
        one = jax.tree.map(lambda leaf, lane=lane: leaf[lane], together)
        assert_trees_close(one, alone(seed), rtol=1e-4, atol=1e-5)
    assert len(set(together[2]["test_loss"][:, -1].tolist())) == len(SEEDS)


def test_a_dataset_handed_in_is_trained_on():
    run = make_train(MOONS, MLP, optax.sgd(0.1), steps=5)
    own = MOONS.data(seed_key(3))
    train_on = jax.jit(run)
    assert_trees_close(train_on(seed_key(3), own), train_on(seed_key(3)), rtol=1e-5, atol=1e-6)
    other = own._replace(train_targets=1 - own.train_targets)
    assert abs(train_on(seed_key(3), other)[2]["train_loss"][0] - train_on(seed_key(3))[2]["train_loss"][0]) > 1e-3


@pytest.mark.parametrize(
    ("steps", "every", "due"), [(6, 3, (0, 3, 6)), (7, 3, (0, 3, 6, 7)), (2, 5, (0, 2)), (3, 1, (0, 1, 2, 3))]
)
def test_columns_are_the_steps_0_k_2k_and_the_last(steps, every, due):
    assert train.Schedule(steps, every).due() == due
    params, _, history = trained(steps=steps, eval_every=every, record=RECORD)
    splits = [f"{split}_{name}" for split in ("train", "valid", "test") for name in ("loss", "accuracy")]
    recorded = [f"{name}_{kind}" for name in ("batch_loss", "grad_norm", "step") for kind in ("min", "mean", "max")]
    assert sorted(history) == sorted([*splits, *recorded, "diverged_at"])
    assert all(history[name].shape == (len(due),) and history[name].dtype == np.float32 for name in (*splits, *recorded))
    assert all(np.isfinite(history[name]).all() for name in splits)
    assert np.isnan(history["step_mean"][0])  # no step yet
    np.testing.assert_array_equal(history["step_min"][1:], due[:-1])  # the steps between two evaluations
    np.testing.assert_array_equal(history["step_max"][1:], np.array(due[1:]) - 1)
    # the loss falls and a batch is all rows: the largest loss between two evaluations is that of the first one
    np.testing.assert_allclose(history["batch_loss_max"][1:], history["train_loss"][:-1], rtol=1e-5)
    data = MOONS.data(seed_key(0))
    for split, x, targets in (("valid", data.valid_x, data.valid_targets), ("test", data.test_x, data.test_targets)):
        outputs, _ = MLP.apply(params, (), x)
        for name, function in {"loss": MOONS.loss, **MOONS.metrics}.items():
            assert float(function(outputs, targets).mean()) == pytest.approx(history[f"{split}_{name}"][-1], rel=1e-5)
    assert history["diverged_at"] == -1


def softmax_regression(x, targets, rows, learning_rate):
    """Losses and gradient norms of every step, and the weights, in float64 by hand."""
    weight, bias = np.zeros((2, 2)), np.zeros(2)
    found_losses, norms = [], []
    for batch in rows:
        inputs, wanted = x[:, batch], np.eye(2)[:, targets[batch]]
        exponentials = np.exp(weight @ inputs + bias[:, None])
        p = exponentials / exponentials.sum(axis=0)
        delta = (p - wanted) / len(batch)
        to_weight, to_bias = delta @ inputs.T, delta.sum(axis=1)
        found_losses.append(-np.log((p * wanted).sum(axis=0)).mean())
        norms.append(np.sqrt((to_weight**2).sum() + (to_bias**2).sum()))
        weight, bias = weight - learning_rate * to_weight, bias - learning_rate * to_bias
    return np.array(found_losses), np.array(norms), weight


def test_recorded_values_are_min_mean_and_max_over_the_steps_between():
    rng = np.random.default_rng(0)
    x, targets = np.float32(rng.normal(size=(2, 12))), rng.integers(0, 2, 12)
    rows = np.stack([rng.permutation(12)[:3] for _ in range(7)])

    def batch(dataset, key, step, batch_size):
        chosen = jnp.asarray(rows)[step]
        return dataset.train_x[:, chosen], dataset.train_targets[chosen], jnp.ones(3)

    task = tasks.classification(Dataset(x, np.int32(targets), x, np.int32(targets)))._replace(batch=batch)
    model = models.mlp(2, (), init=lambda key, out, into: Dense(jnp.zeros((out, into)), jnp.zeros(out)))
    params, _, history = trained(optax.sgd(0.5), task, model, steps=7, eval_every=3, batch_size=3, record=RECORD)
    losses, norms, weight = softmax_regression(x.astype(float), targets, rows, 0.5)
    np.testing.assert_allclose(params[0].weight, weight, rtol=1e-5, atol=1e-6)
    for name, values in (("batch_loss", losses), ("grad_norm", norms)):
        parts = [values[0:3], values[3:6], values[6:7]]
        for kind, reduce in (("min", np.min), ("mean", np.mean), ("max", np.max)):
            np.testing.assert_allclose(history[f"{name}_{kind}"][1:], [reduce(part) for part in parts], rtol=1e-5)


@pytest.mark.parametrize("sampling", ["step", "epoch"])
def test_a_summed_loss_is_an_averaged_one_with_a_larger_rate(sampling):
    settings = {"batch_size": 9, "sampling": sampling, "eval_every": 10}  # 9 divides the 27 training rows of an epoch
    task = tasks.moons(36, test_fraction=0.25)
    mean, _, mean_history = trained(optax.sgd(0.9), task, reduction="mean", **settings)
    summed, _, sum_history = trained(optax.sgd(0.1), task, reduction="sum", **settings)
    assert_trees_close(mean, summed, rtol=1e-4, atol=1e-5)
    assert_trees_close(mean_history, sum_history, rtol=1e-4, atol=1e-5)  # the batch loss is the mean under both


def test_a_lane_that_explodes_is_frozen_before_its_first_step():
    params, _, history = trained(optax.sgd(1e30), eval_every=5, record=RECORD)
    start, _ = MLP.init(train.stream(seed_key(0), "init"))
    assert history["diverged_at"] == 0
    assert_trees_close(params, start, rtol=1e-6)
    for name in ("train_loss", "test_accuracy"):
        assert (history[name] == history[name][0]).all()
    assert np.isnan(history["grad_norm_mean"]).all()  # no step was accepted


def test_a_saturated_lane_is_caught_by_the_bound_on_its_norm():
    clipped = optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(1e30))  # tanh saturates: every loss is finite
    params, _, history = trained(clipped)
    assert history["diverged_at"] == 0
    assert optax.global_norm(params) < 100
    assert np.isfinite(history["test_loss"]).all()


def test_a_lane_freezes_before_the_update_that_takes_its_norm_beyond_the_bound(monkeypatch):
    settings = {"optimizer": optax.sgd(0.5), "eval_every": 1, "record": {"norm": lambda info: optax.global_norm(info.params)}}
    free, _, history = trained(**settings)
    norms = np.append(history["norm_mean"][1:], optax.global_norm(free))  # before every step, and at the end
    bound = (norms[11] + norms[12]) / 2
    monkeypatch.setattr(train, "NORM_BOUND", float(bound))
    params, _, history = trained(**settings)
    assert history["diverged_at"] == np.argmax(norms > bound) - 1 == 11
    assert float(optax.global_norm(params)) == pytest.approx(norms[11], rel=1e-5)


def test_a_lane_freezes_at_the_first_loss_that_is_not_finite():
    def batch(dataset, key, step, batch_size):
        return dataset.train_x, dataset.train_targets, jnp.where(step == 7, jnp.nan, 1.0) * jnp.ones(len(dataset.train_targets))

    params, _, history = trained(task=MOONS._replace(batch=batch), eval_every=4)
    healthy, _, _ = trained(task=MOONS, steps=7)
    assert history["diverged_at"] == 7
    assert_trees_close(params, healthy, rtol=1e-4, atol=1e-5)


def test_a_diverged_lane_leaves_its_neighbours_alone():
    def run(learning_rate, seed):
        return make_train(MOONS, MLP, optax.sgd(learning_rate), steps=20)(seed_key(seed))

    rates = jnp.array([0.1, 1e30, 0.1, 0.1])
    _, _, mixed = jax.jit(jax.vmap(run))(rates, SEEDS)
    _, _, healthy = jax.jit(jax.vmap(run))(jnp.full(4, 0.1), SEEDS)
    assert mixed["diverged_at"].tolist() == [-1, 0, -1, -1]
    for lane in (0, 2, 3):
        np.testing.assert_array_equal(mixed["test_loss"][lane], healthy["test_loss"][lane])


@pytest.fixture(scope="module")
def advance():
    """A jitted chunk of lanes with dropout, Adam and recorded values: (lane or None, start, stop) -> lane; and its data."""
    schedule, model = train.Schedule(23, 5), models.mlp(2, (6,), dropout_rate=0.3)
    recipe = train.Recipe(MOONS, model, optax.adam(0.05), 8, record=RECORD)
    dataset = jax.vmap(lambda seed: MOONS.data(seed_key(seed)))(SEEDS)
    start = jax.jit(jax.vmap(lambda seed, data: train.init(recipe, seed_key(seed), data, schedule)))(SEEDS, dataset)

    def one(lane, data, seed, begin, end):
        return train.segment(recipe, schedule, lane, data, train.streams(seed_key(seed)), begin, end)

    segment = jax.jit(jax.vmap(one, (0, 0, 0, None, None)))

    def run(cuts):
        lane = start
        for begin, end in zip((0, *cuts), (*cuts, 24), strict=True):
            lane = segment(lane, dataset, SEEDS, begin, end)
        return lane

    return run


@given(cuts=st.sets(st.integers(1, 23), max_size=8))
def test_segments_of_any_lengths_change_no_bit(advance, cuts):
    whole, cut = advance(()), advance(sorted(cuts))
    jax.tree.map(np.testing.assert_array_equal, whole, cut)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("steps", {"steps": 0}),
        ("steps", {"steps": 1.5}),
        ("eval_every", {"eval_every": 0}),
        ("batch_size", {"batch_size": 0}),
        ("batch_size", {"batch_size": 29}),
        ("reduction", {"reduction": "avg"}),
        ("sampling", {"sampling": "epochs"}),
    ],
)
def test_settings_that_will_not_do_are_named(name, settings):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got .*$"):
        make_train(MOONS, MLP, optax.sgd(0.1), **{"steps": 2, **settings})(seed_key(0))
