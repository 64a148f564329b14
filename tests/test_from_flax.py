"""Flax modules as models: the same numbers as our own MLP, running statistics, dropout by key, and
whole studies."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from jaxdl import Study, models, tasks

pytestmark = pytest.mark.full  # others' numbers
X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)  # the user's layout


class LinenMLP(linen.Module):
    width: int = 4

    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.Dense(self.width)(x))
        return linen.Dense(2)(x)


class LinenNorm(linen.Module):
    rate: float = 0.5

    @linen.compact
    def __call__(self, x, train):
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(linen.Dense(4)(x))
        x = linen.Dropout(self.rate, deterministic=not train)(x)
        return linen.Dropout(self.rate, deterministic=not train)(x)


class LinenDeterministic(linen.Module):
    @linen.compact
    def __call__(self, x, deterministic):
        return linen.Dropout(0.5)(linen.Dense(2)(x), deterministic=deterministic)


class NNXMLP(nnx.Module):
    def __init__(self, width=4, *, rngs):
        self.first, self.second = nnx.Linear(3, width, rngs=rngs), nnx.Linear(width, 2, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


class NNXNorm(nnx.Module):
    def __init__(self, rate=0.5, features=3, *, rngs):
        self.dense = nnx.Linear(features, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.drops = nnx.List([nnx.Dropout(rate, rngs=rngs), nnx.Dropout(rate, rngs=rngs)])

    def __call__(self, x):
        x = self.norm(self.dense(x))
        self.normed = nnx.Intermediate(x)
        return self.drops[1](self.drops[0](x))


class NNXTrain(nnx.Module):
    """Told about training by an argument, and with the streams as they came."""

    def __init__(self, *, rngs):
        self.dense, self.drop, self.rngs = nnx.Linear(3, 2, rngs=rngs), nnx.Dropout(0.5), rngs

    def __call__(self, x, train):
        return self.drop(self.dense(x), deterministic=not train, rngs=self.rngs)


class NNXCareless(nnx.Module):
    """Noise in evaluation as well."""

    def __init__(self, *, rngs):
        self.dense, self.rngs = nnx.Linear(3, 2, rngs=rngs), rngs

    def __call__(self, x):
        return self.dense(x) + self.rngs.normal((2,))[None]


class LinenCareless(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dropout(0.5, deterministic=False)(linen.Dense(2)(x))


NORMS = {"linen": LinenNorm(), "nnx": NNXNorm}
ALL = {
    **NORMS,
    "linen mlp": LinenMLP(),
    "nnx mlp": NNXMLP,
    "nnx train": NNXTrain,
    "linen deterministic": LinenDeterministic(),
}


def flax_params(kind, ours):
    """Our params in Flax's layout: kernels (in, out)."""
    names = ("Dense_0", "Dense_1") if kind == "linen" else ("first", "second")
    return {
        name: {"kernel": layer.weight.T, "bias": layer.bias}
        for name, layer in zip(names, ours, strict=True)
    }


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_outputs_and_gradients_equal_our_mlps(kind):
    ours, theirs = (
        models.mlp(3, (4,), 2),
        models.from_flax(LinenMLP() if kind == "linen" else NNXMLP, X),
    )
    own, _ = ours.init(jax.random.key(5))
    params, state = theirs.init(jax.random.key(5))
    assert state == ()
    assert jax.tree.structure(params) == jax.tree.structure(flax_params(kind, own))

    def loss(model, params):
        outputs, _ = model.apply(params, (), X.T, key=jax.random.key(5), train=True)
        return jnp.sum(outputs**2), outputs

    grads, outputs = jax.grad(lambda p: loss(ours, p), has_aux=True)(own)
    their_grads, their_outputs = jax.grad(lambda p: loss(theirs, p), has_aux=True)(
        flax_params(kind, own)
    )
    assert outputs.shape == their_outputs.shape == (2, 12)
    np.testing.assert_allclose(their_outputs, outputs, rtol=1e-5, atol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        their_grads,
        flax_params(kind, grads),
    )


@pytest.mark.parametrize("name", NORMS)
def test_running_statistics_move_in_training_alone_and_to_the_right_values(name):
    model = models.from_flax(NORMS[name], X)
    params, state = model.init(jax.random.key(5))
    dense = params["Dense_0" if name == "linen" else "dense"]
    hidden = np.asarray(X @ dense["kernel"] + dense["bias"][None])
    outputs, same = model.apply(params, state, X.T)
    jax.tree.map(np.testing.assert_array_equal, same, state)
    np.testing.assert_allclose(outputs.T, hidden / np.sqrt(1 + 1e-5), rtol=1e-5, atol=1e-5)
    _, after = model.apply(params, state, X.T, key=jax.random.key(5), train=True)
    (statistics,) = (after["batch_stats"] if name == "linen" else after).values()
    statistics = jax.tree.map(np.asarray, statistics)
    np.testing.assert_allclose(statistics["mean"], 0.1 * hidden.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        statistics["var"], 0.9 + 0.1 * hidden.var(axis=0), rtol=1e-4, atol=1e-6
    )
    assert jax.tree.structure(after) == jax.tree.structure(state)
    later, _ = model.apply(params, after, X.T)
    expected = (hidden - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5)
    np.testing.assert_allclose(later.T, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*NORMS, "nnx train", "linen deterministic"])
def test_dropout_differs_by_key_and_only_in_training(name):
    model = models.from_flax(ALL[name], X)
    params, state = model.init(jax.random.key(5))
    apply = jax.jit(model.apply, static_argnames="train")
    one, two = (
        apply(params, state, X.T, key=jax.random.key(seed), train=True)[0] for seed in (1, 2)
    )
    assert (np.asarray(one) != np.asarray(two)).any()
    np.testing.assert_array_equal(
        one, apply(params, state, X.T, key=jax.random.key(1), train=True)[0]
    )
    calm = [
        apply(params, state, X.T, key=key, train=False)[0]
        for key in (None, jax.random.key(1), jax.random.key(2))
    ]
    assert calm[0].tobytes() == calm[1].tobytes() == calm[2].tobytes()
    assert (np.asarray(calm[0]) != 0).all()
    assert (np.asarray(one) == 0).any()


@pytest.mark.parametrize("name", NORMS)
def test_two_dropout_layers_drop_different_places(name):
    wide = np.random.default_rng(1).normal(size=(2000, 3)).astype(np.float32)
    model = models.from_flax(NORMS[name], wide)
    params, state = model.init(jax.random.key(5))
    outputs, _ = model.apply(params, state, wide.T, key=jax.random.key(5), train=True)
    assert np.mean(np.asarray(outputs) != 0) == pytest.approx(
        0.25, abs=0.03
    )  # 0.5 if both dropped the same


def test_randomness_without_a_key_is_an_error():
    for module in (NNXCareless, LinenCareless()):
        model = models.from_flax(module, X)
        params, state = model.init(jax.random.key(5))
        model.apply(params, state, X.T, key=jax.random.key(5), train=True)
        for train, key in ((False, jax.random.key(5)), (False, None), (True, None)):
            with pytest.raises(
                Exception,
                match=r'random numbers, which needs train=True and a key|needs PRNG for "dropout"',
            ):
                model.apply(params, state, X.T, key=key, train=train)


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_and_vmapped_lanes_are_reproducible_and_equal_lanes_alone(name):
    model = models.from_flax(ALL[name], X.astype(np.float64))

    def lane(key):
        params, state = model.init(jax.random.fold_in(key, 0))
        outputs, state = model.apply(params, state, X.T, key=jax.random.fold_in(key, 1), train=True)
        return params, state, outputs

    keys = jax.random.split(jax.random.key(5), 3)
    found, again = jax.jit(jax.vmap(lane))(keys), jax.jit(jax.vmap(lane))(keys)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(found))
    jax.tree.map(np.testing.assert_array_equal, found, again)
    assert not np.array_equal(found[2][0], found[2][1])
    for place in range(3):
        alone = lane(keys[place])
        jax.tree.map(
            lambda a, b, i=place: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-5),
            found,
            alone,
        )


@pytest.mark.parametrize(
    "model",
    [
        lambda hp: models.from_flax(
            linen.Sequential([linen.Dense(hp.width), linen.tanh, linen.Dense(2)]), np.zeros((1, 2))
        ),
        lambda hp: (
            models.from_flax(functools.partial(NNXNorm, 0.1, 2), np.zeros((1, 2)))
            if hp.width
            else None
        ),
        lambda hp: models.from_flax(
            lambda rngs: nnx.Sequential(
                nnx.Linear(2, hp.width, rngs=rngs), nnx.tanh, nnx.Linear(hp.width, 2, rngs=rngs)
            ),
            np.zeros((1, 2)),
        ),
    ],
    ids=["linen", "nnx with batch norm and dropout", "nnx function"],
)
def test_a_study_trains(model):
    study = Study(
        task=tasks.moons(200, 0.1),
        model=model,
        optimizer=lambda hp: optax.adam(hp.learning_rate),
        defaults={"width": 8},
        sweep={"learning_rate": [0.02, 0.05]},
        seeds=4,
        steps=80,
        eval_every=80,
        batch_size=40,
    )
    assert study.plan().programs[0].axes["learning_rate"].kind == "traced"
    result = study.run()
    assert result.final("train_loss").mean() < 0.6 * result.history["train_loss"][:, 0].mean()
    assert result.final("test_accuracy").mean() > 0.8
    config, row = {"learning_rate": 0.02}, result.rows({"learning_rate": 0.02})[1]
    _, state, history = study.replay(config, seed=1)
    assert history["test_loss"].tobytes() == result.history["test_loss"][row].tobytes()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_images_and_tokens_have_their_batch_axis_moved():
    images = models.from_flax(linen.Conv(5, (3, 3)), np.zeros((10, 8, 8, 3)))
    outputs, _ = images.apply(*images.init(jax.random.key(5)), jnp.ones((8, 8, 3, 4)))
    assert outputs.shape == (8, 8, 5, 4)
    tokens = models.from_flax(linen.Embed(7, 5), jax.ShapeDtypeStruct((10, 6), jnp.int32))
    outputs, _ = tokens.apply(*tokens.init(jax.random.key(5)), jnp.zeros((6, 4), jnp.int32))
    assert outputs.shape == (6, 5, 4)


class NNXConv(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 5, (3, 3), rngs=rngs)

    def __call__(self, x):
        return self.conv(x)


@pytest.mark.parametrize("module", [linen.Conv(5, (3, 3)), NNXConv])
def test_channels_come_last_where_a_convolution_of_flax_reads_them(module):
    pictures = jax.random.normal(jax.random.key(1), (3, 8, 6, 4))
    as_flax_has_them = jnp.transpose(pictures, (3, 1, 2, 0))
    model = models.from_flax(module, as_flax_has_them, channels_last=True)
    params, state = model.init(jax.random.key(5))
    outputs, _ = model.apply(params, state, pictures)
    plain = models.from_flax(module, as_flax_has_them)
    expected, _ = plain.apply(params, state, jnp.moveaxis(as_flax_has_them, 0, -1))
    np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize(
    ("sample", "channels_last", "comes"),
    [((2, 8, 6, 3), False, "3, 8, 6"), ((2, 3, 8, 6), True, "8, 6, 3")],
)
@pytest.mark.parametrize("module", [linen.Conv(5, (3, 3)), NNXConv])
def test_pictures_in_another_order_of_axes_are_refused(module, sample, channels_last, comes):
    model = models.from_flax(module, np.zeros(sample), channels_last=channels_last)
    params, state = model.init(jax.random.key(5))
    message = (
        rf"x of shape \(3, 8, 6, batch\) .* \(batch, {comes}\) under channels_last={channels_last}"
    )
    with pytest.raises(ValueError, match=message):
        model.apply(params, state, jnp.zeros((3, 8, 6, 4)))


@pytest.mark.parametrize(
    ("module", "sample", "message"),
    [
        (LinenMLP, X, "module must be a Linen instance, got the class LinenMLP"),
        (NNXMLP(rngs=nnx.Rngs(0)), X, "module must be an NNX class, .* got an instance of NNXMLP"),
        (
            "mlp",
            X,
            "module must be a Linen instance, or an NNX class or function called with rngs= alone, got 'mlp'",
        ),
        (dict, X, "module must be a Linen instance, or .*, got <class 'dict'>"),
        (nnx.Linear, X, "module must be .*missing a required argument: 'in_features'"),
        (models.mlp(2), X, "module must be a Linen instance"),
        (
            lambda rngs: 3,
            X,
            "module must make an NNX module when called with rngs=, got one that makes int",
        ),
        (
            LinenMLP(),
            np.zeros(3),
            r"sample_x must be an example batch, \(n_samples, features...\), got shape \(3,\)",
        ),
    ],
)
def test_bad_input_is_one_line(module, sample, message):
    with pytest.raises(ValueError, match=message) as caught:
        models.from_flax(module, sample)
    assert "\n" not in str(caught.value)


def test_flax_is_imported_only_where_it_is_used():
    code = "import sys, jaxdl.models; assert 'flax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
