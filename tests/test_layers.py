"""Initial schemes against their closed forms, affine maps and dropout against hand computation,
padding."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.unit_square import xor
from jaxdl import make_train, models
from jaxdl.layers import (
    ACTIVATIONS,
    INITS,
    Conv1d,
    Dense,
    conv1d,
    dense,
    dropout,
    init_conv1d,
    init_dense,
    keep,
    normal,
)
from jaxdl.sampling import seed_key
from jaxdl.types import Padded

SCHEMES = {
    **{name: scheme for name, scheme in INITS.items() if name != "torch_rnn"},
    "normal": normal(0.3),
}
OUT, IN = 150, 60
WEIGHTS = {
    "normal": stats.norm(0, 0.3),
    "he_normal": stats.norm(0, np.sqrt(2 / IN)),
    "xavier_uniform": stats.uniform(-np.sqrt(6 / (IN + OUT)), 2 * np.sqrt(6 / (IN + OUT))),
    "torch": stats.uniform(-1 / np.sqrt(IN), 2 / np.sqrt(IN)),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_weights_have_the_closed_form_distribution_and_biases_zeros_or_that_of_torch(name):
    weight, bias = map(
        np.asarray, jax.jit(lambda key: init_dense(key, OUT, IN, SCHEMES[name]))(jax.random.key(1))
    )
    expected = WEIGHTS[name]
    assert (weight.shape, weight.dtype, bias.shape, bias.dtype) == (
        (OUT, IN),
        np.float32,
        (OUT,),
        np.float32,
    )
    assert stats.kstest(weight.ravel(), expected.cdf).pvalue > 1e-3
    assert weight.std() == pytest.approx(expected.std(), rel=0.03)
    assert weight.min() >= expected.support()[0] - 1e-6
    assert weight.max() <= expected.support()[1] + 1e-6
    assert np.abs(np.corrcoef(weight) - np.eye(OUT)).max() < 0.75  # no two units alike
    if name == "torch":
        assert stats.kstest(bias, expected.cdf).pvalue > 1e-3
        assert np.abs(np.corrcoef(bias, weight.T)[0, 1:]).max() < 0.5
    else:
        assert not bias.any()


@pytest.mark.parametrize("name", SCHEMES)
def test_a_padded_init_is_the_plain_one_and_zero_beyond(name):
    sizes = ((6, 5), (4, 3), (1, 1))

    @jax.jit
    def drawn(sizes_traced):
        padded = [
            init_dense(jax.random.key(3), Padded(out, 6), Padded(into, 5), SCHEMES[name])
            for out, into in sizes_traced
        ]
        return padded, [
            init_dense(jax.random.key(3), out, into, SCHEMES[name]) for out, into in sizes
        ]

    for (out, into), found, plain in zip(
        sizes, *jax.tree.map(np.asarray, drawn(sizes)), strict=True
    ):
        np.testing.assert_allclose(found.weight[:out, :into], plain.weight, rtol=1e-6)
        np.testing.assert_allclose(found.bias[:out], plain.bias, rtol=1e-6)
        assert np.count_nonzero(found.weight) == out * into
        assert not found.bias[out:].any()


def test_a_layer_may_have_no_bias():
    assert init_dense(jax.random.key(2), 3, 4, "he_normal", bias=False).bias is None


def test_dense_by_hand():
    x = jnp.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.5]])  # three examples
    weight = jnp.array([[1.0, -1.0], [0.0, 2.0], [3.0, 4.0], [0.5, 0.0]])
    expected = [[-1.0, -1.0, -1.5], [4.0, 2.0, 1.0], [11.0, 4.0, -1.0], [0.5, 0.0, -0.5]]
    np.testing.assert_array_equal(dense(Dense(weight, None), x), expected)
    bias = jnp.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(
        dense(Dense(weight, bias), x), np.array(expected) + np.arange(1, 5)[:, None]
    )


def affine(weight, bias, x):
    return weight @ x + bias[:, None]


def narrow(weight, bias, x):
    return dense(Dense(weight, bias), x)


SIZES = [(6, 1, 5), (6, 2, 5), (6, 3, 1), (6, 5, 5), (1, 6, 5), (2, 6, 1), (2, 2, 5), (3, 4, 5)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_an_affine_map_of_few_inputs_or_outputs_is_the_plain_product_with_all_derivatives(sizes):
    out, into, batch = sizes
    rng = np.random.default_rng(0)
    shapes = ((4, out, into), (4, out), (4, into, batch))
    arguments = [jnp.float32(rng.normal(size=shape)) for shape in shapes]  # of four lanes
    tangents = tuple(argument[::-1] for argument in arguments)

    def everything(function):
        def loss(*arguments):
            return jnp.sum(jnp.sin(function(*arguments)))

        gradient = jax.grad(loss, argnums=(0, 1, 2))
        return [
            jax.vmap(function)(*arguments),
            jax.vmap(gradient)(*arguments),
            jax.jvp(jax.vmap(function), tuple(arguments), tangents),
            jax.jvp(jax.vmap(gradient), tuple(arguments), tangents),
            jax.vmap(jax.jacfwd(function, argnums=2))(*arguments),
            jax.vmap(jax.hessian(loss))(*arguments),
        ]

    pairs = zip(
        jax.tree.leaves(everything(narrow)), jax.tree.leaves(everything(affine)), strict=True
    )
    for ours, plain in pairs:
        np.testing.assert_allclose(ours, plain, rtol=2e-5, atol=2e-5)


def test_rows_and_columns_beyond_a_padded_size_change_nothing_of_a_narrow_map():
    rng = np.random.default_rng(1)
    weight, bias, x = (jnp.float32(rng.normal(size=shape)) for shape in ((3, 2), (3,), (2, 7)))
    padded = jnp.pad(weight, ((0, 2), (0, 2))), jnp.pad(bias, (0, 2)), jnp.pad(x, ((0, 2), (0, 0)))

    def gradients(*arguments):
        return jax.grad(lambda *each: jnp.sum(jnp.sin(narrow(*each))), argnums=(0, 1))(*arguments)

    np.testing.assert_allclose(narrow(*padded)[:3], affine(weight, bias, x), rtol=1e-6)
    np.testing.assert_array_equal(narrow(*padded)[3:], np.zeros((2, 7)))
    for wide, alone in zip(gradients(*padded), gradients(weight, bias, x), strict=True):
        np.testing.assert_allclose(wide[:3, :2] if wide.ndim > 1 else wide[:3], alone, rtol=1e-6)


def test_a_narrow_map_takes_integers_and_half_precision_as_any_other():
    weight, bias = jnp.array([[1.0, 2.0]]), jnp.array([0.5])
    whole = jnp.array([[1, 2], [3, 4]])
    assert dense(Dense(weight, bias), whole).tolist() == [[7.5, 10.5]]
    half = jax.tree.map(jnp.bfloat16, (Dense(weight, bias), whole))
    assert dense(*half).dtype == jnp.bfloat16


def test_keep_by_hand():
    x = jnp.arange(1.0, 7.0).reshape(2, 3)
    assert keep(x, 2) is x
    np.testing.assert_array_equal(keep(x, Padded(1, 2)), [[1, 2, 3], [0, 0, 0]])
    np.testing.assert_array_equal(keep(x, Padded(2, 3), axis=1), [[1, 2, 0], [4, 5, 0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", lambda z: np.maximum(z, 0)),
        ("tanh", np.tanh),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("identity", lambda z: z),
        ("gelu", lambda z: z * stats.norm.cdf(z)),
        ("silu", lambda z: z / (1 + np.exp(-z))),
    ],
)
def test_activations_by_formula(name, expected):
    z = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(
        ACTIVATIONS[name](jnp.asarray(z, jnp.float32)),
        expected(z),
        atol=1e-3 if name == "gelu" else 1e-6,
    )


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.75])
def test_dropout_zeroes_its_share_and_keeps_the_mean(rate):
    x = jnp.full((50, 400), 3.0)
    dropped = np.asarray(jax.jit(dropout)(x, jax.random.key(0), rate))
    zeros = dropped == 0
    np.testing.assert_allclose(dropped[~zeros], 3 / (1 - rate), rtol=1e-6)
    assert stats.binomtest(int(zeros.sum()), zeros.size, rate).pvalue > 1e-3
    assert dropped.mean() == pytest.approx(3, rel=0.03)


def test_dropout_drops_the_same_places_of_a_wider_layer():
    wide, *parts = jax.jit(
        lambda: [
            dropout(jnp.ones(shape), jax.random.key(1), 0.5) for shape in ((9, 20), (4, 20), (9, 7))
        ]
    )()
    for part in parts:
        np.testing.assert_array_equal(part, wide[: part.shape[0], : part.shape[1]])


def test_dropout_of_an_mlp_is_on_in_training_only_and_differs_by_layer():
    keep_all = {
        "hidden": (30, 30),
        "activation": "identity",
        "init": lambda key, out, into: Dense(jnp.eye(out, into), jnp.zeros(out)),
    }
    with_dropout, without = (
        models.mlp(30, outputs=30, dropout_rate=0.5, **keep_all),
        models.mlp(30, outputs=30, **keep_all),
    )
    params, state = without.init(jax.random.key(0))
    x = jnp.ones((30, 100))
    np.testing.assert_array_equal(
        with_dropout.apply(params, state, x)[0], without.apply(params, state, x)[0]
    )
    dropped = np.asarray(
        jax.jit(lambda key: with_dropout.apply(params, state, x, key=key, train=True)[0])(
            jax.random.key(0)
        )
    )
    assert set(np.unique(dropped)) == {
        0.0,
        4.0,
    }  # two independent masks of a half: a quarter is left, times 2 * 2
    assert np.mean(dropped == 4) == pytest.approx(0.25, abs=0.03)


def batch_last(array):
    """PyTorch's (batch, channels, time) as (time, channels, batch)."""
    return jnp.asarray(np.transpose(array, (2, 1, 0)))


def test_conv1d_and_its_gradients_are_those_of_pytorch():
    with np.load(pathlib.Path(__file__).parent / "golden" / "conv1d.npz") as file:
        golden = dict(file)
    params, pull = (
        Conv1d(jnp.asarray(golden["weight"]), jnp.asarray(golden["bias"])),
        batch_last(golden["pull"]),
    )
    np.testing.assert_allclose(
        conv1d(params, batch_last(golden["x"])), batch_last(golden["outputs"]), rtol=1e-5, atol=1e-5
    )
    found, to_x = jax.grad(lambda params, x: jnp.sum(conv1d(params, x) * pull), argnums=(0, 1))(
        params, batch_last(golden["x"])
    )
    np.testing.assert_allclose(found.weight, golden["weight_grad"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.bias, golden["bias_grad"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_x, batch_last(golden["x_grad"]), rtol=1e-4, atol=1e-5)


@given(
    time=st.integers(1, 8),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 3),
    kernel=st.integers(1, 8),
    bias=st.booleans(),
)
def test_conv1d_is_that_of_lax(time, channels, outputs, kernel, bias):
    weight_key, x_key = jax.random.split(jax.random.key(0))
    params = init_conv1d(weight_key, outputs, channels, kernel, "torch", bias)
    x = jax.random.normal(x_key, (time, channels, 3))
    if kernel > time:
        with pytest.raises(
            ValueError,
            match=rf"^kernel must be at most the sequence's length {time}, got {kernel}$",
        ):
            conv1d(params, x)
        return
    expected = jax.lax.conv_general_dilated(
        x,
        params.weight,
        (1,),
        "VALID",
        dimension_numbers=("HCN", "OIH", "HCN"),
        precision="highest",
    )
    expected = expected if params.bias is None else expected + params.bias[None, :, None]
    assert (params.bias is None) == (not bias)
    np.testing.assert_allclose(conv1d(params, x), expected, rtol=1e-4, atol=1e-5)


def test_conv1d_draws_with_the_fan_in_of_its_window():
    params = init_conv1d(jax.random.key(0), 50, 10, 40, "torch")
    assert params.weight.shape == (50, 10, 40)
    assert 0.049 < np.abs(params.weight).max() <= 0.05  # 1 / sqrt(10 * 40)


@pytest.mark.parametrize("name", INITS)
@pytest.mark.parametrize("sizes", [(50, 10, 40), (20, 30, 3), (40, 20, 1)])
def test_conv1d_draws_with_the_fans_of_its_window(name, sizes):
    """As `torch.nn.init` counts them: channels in times kernel, channels out times kernel."""
    outputs, inputs, kernel = sizes
    fan_in, fan_out = inputs * kernel, outputs * kernel
    sd = {
        "he_normal": np.sqrt(2 / fan_in),
        "xavier_uniform": np.sqrt(2 / (fan_in + fan_out)),
        "torch": np.sqrt(1 / (3 * fan_in)),
        "torch_rnn": np.sqrt(1 / (3 * fan_out)),
    }[name]
    draws = [
        init_conv1d(key, outputs, inputs, kernel, name).weight
        for key in jax.random.split(jax.random.key(0), 8)
    ]
    assert np.std(draws) == pytest.approx(sd, rel=0.06)
    if name != "he_normal":
        assert np.abs(draws).max() <= sd * np.sqrt(3) * (1 + 1e-6)


@pytest.mark.parametrize("name", INITS)
def test_conv1d_draws_are_prefixes_and_a_kernel_of_one_draws_as_a_dense_layer(name):
    draw = lambda function, *sizes, **more: function(jax.random.key(0), *sizes, name, **more)
    narrow, wide = draw(init_conv1d, 3, 4, 5), draw(init_conv1d, 8, 4, 5)
    ratio = np.asarray(wide.weight[:3] / narrow.weight)  # the same draws, under another fan-out
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
    single, plain = draw(init_conv1d, 3, 4, 1), draw(init_dense, 3, 4)
    assert single.weight[:, :, 0].tobytes() == plain.weight.tobytes()
    assert single.bias.tobytes() == plain.bias.tobytes()
    assert draw(init_conv1d, 3, 4, 5, bias=False).bias is None


def test_conv1d_asks_any_scheme_for_both_fans():
    asked = []
    scheme = lambda key, outputs, inputs: (
        asked.append((outputs, inputs)) or Dense(jnp.ones((outputs, inputs)), jnp.ones(outputs))
    )
    params = init_conv1d(jax.random.key(0), 2, 3, 5, scheme)
    assert asked == [(10, 15)]
    assert (params.weight.shape, params.bias.shape) == ((2, 3, 5), (2,))


@pytest.mark.parametrize("bias", [True, False])
def test_an_identity_network_collapses_to_one_linear_map(bias):
    model = models.mlp(2, (7, 5), 1, activation="identity", init="torch", bias=bias)
    params, state = model.init(jax.random.key(0))
    (w1, b1), (w2, b2), (w3, b3) = (
        (np.float64(w), 0.0 if b is None else np.float64(b)) for w, b in params
    )
    x = np.random.default_rng(0).normal(size=(2, 40))
    expected = (w3 @ w2 @ w1) @ x + (w3 @ (w2 @ b1 + b2) + b3 if bias else 0.0)
    np.testing.assert_allclose(
        model.apply(params, state, jnp.float32(x))[0],
        np.reshape(expected, (1, 40)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_without_a_bias_a_network_trains_as_with_zero_biases_that_are_never_updated():
    task = xor()
    model = models.mlp(2, (4, 4), 1, activation="sigmoid", init=normal(1.0))

    def frozen(params, state, x, *, key=None, train=False):
        return model.apply(
            tuple(Dense(w, jax.lax.stop_gradient(b)) for w, b in params),
            state,
            x,
            key=key,
            train=train,
        )

    models_of = (
        model._replace(apply=frozen),
        models.mlp(2, (4, 4), 1, activation="sigmoid", init=normal(1.0), bias=False),
    )
    found = [
        jax.jit(make_train(task, m, optax.adam(0.1), steps=30))(seed_key(0)) for m in models_of
    ]
    assert not any(np.any(layer.bias) for layer in found[0][0])
    for ours, theirs in zip(*(params for params, *_ in found), strict=True):
        np.testing.assert_allclose(ours.weight, theirs.weight, rtol=1e-4, atol=1e-5)
    assert found[0][2]["train_loss"][-1] < 0.99 * found[0][2]["train_loss"][0]
