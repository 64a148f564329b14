"""Convolutions and pools against PyTorch, and each way to compute them against the other."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxdl.layers import (
    Conv1d,
    Conv2d,
    avg_pool,
    conv1d,
    conv2d,
    global_avg_pool,
    init_conv2d,
    max_pool,
)
from jaxdl.lowering.windows import METHODS, Window, groups, method_of, windows_of
from jaxdl.types import Padded

GOLDEN = pathlib.Path(__file__).parent / "golden" / "pictures.npz"
CONVOLUTIONS = {  # stride, padding, as in golden/pictures.py
    "same": (1, 1),
    "strided": (2, 1),
    "oblong": ((1, 3), (2, 0)),
    "tiny": (1, 1),
}
POOLS = {"overlapping": (3, 2, 1), "tiling": (2, 2, 0), "oblong": ((3, 2), (1, 3), (1, 0))}
KINDS = {
    "max": max_pool,
    "avg": avg_pool,
    "avg_seen": lambda *given, **how: avg_pool(*given, count_include_pad=False, **how),
}


def case(name: str) -> dict:
    """The arrays of one case, pictures batch-last."""
    with np.load(GOLDEN) as file:
        arrays = {key.split("/")[1]: file[key] for key in file if key.startswith(f"{name}/")}
    pictures = ("x", "x_grad", "outputs", "pull")
    return {
        key: np.moveaxis(array, 0, -1) if key in pictures else array
        for key, array in arrays.items()
    }


@pytest.fixture(scope="module")
def computed():
    """Outputs and gradients of all cases by both methods, from one program."""

    def outcome(function, golden, *leaves):
        weighted = lambda *leaves: jnp.sum(function(*leaves) * golden["pull"])
        grads = jax.grad(weighted, argnums=tuple(range(len(leaves))))(*leaves)
        return function(*leaves), grads

    def conv(golden, stride, padding, method):
        layer = lambda x, weight, bias: conv2d(
            Conv2d(weight, bias), x, stride, padding, method=method
        )
        return outcome(layer, golden, golden["x"], golden["weight"], golden["bias"])

    def pool(kind, golden, shape, method):
        layer = lambda x: KINDS[kind](x, *shape, method=method)
        return outcome(layer, golden, golden["x"])

    golden = {f"conv_{name}": case(f"conv_{name}") for name in CONVOLUTIONS}
    golden |= {f"{kind}_{name}": case(f"{kind}_{name}") for kind in KINDS for name in POOLS}

    @jax.jit
    def run(golden):
        found = {}
        for method in METHODS:
            for name, shape in CONVOLUTIONS.items():
                found[f"conv_{name}", method] = conv(golden[f"conv_{name}"], *shape, method)
            for kind in KINDS:
                for name, shape in POOLS.items():
                    label = f"{kind}_{name}"
                    found[label, method] = pool(kind, golden[label], shape, method)
        return found

    return golden, run(jax.tree.map(jnp.asarray, golden))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_their_gradients_are_those_of_pytorch(computed, name, method):
    golden, found = computed[0][f"conv_{name}"], computed[1][f"conv_{name}", method]
    outputs, (to_x, to_weight, to_bias) = found
    near = {"rtol": 1e-4, "atol": 2e-5}
    np.testing.assert_allclose(outputs, golden["outputs"], **near)
    np.testing.assert_allclose(to_x, golden["x_grad"], **near)
    np.testing.assert_allclose(to_weight, golden["weight_grad"], **near)
    np.testing.assert_allclose(to_bias, golden["bias_grad"], **near)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_pools_and_their_gradients_are_those_of_pytorch_ties_too(computed, kind, name, method):
    golden, found = computed[0][f"{kind}_{name}"], computed[1][f"{kind}_{name}", method]
    outputs, (to_x,) = found
    np.testing.assert_allclose(outputs, golden["outputs"], rtol=1e-6)
    np.testing.assert_allclose(to_x, golden["x_grad"], rtol=1e-5, atol=1e-6)


def test_the_stored_pools_have_ties():
    x = case("max_tiling")["x"]
    windows = x.reshape(3, 3, 2, 3, 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4)
    largest = windows == windows.max(axis=1, keepdims=True)
    assert (largest.sum(axis=1) > 1).mean() > 0.3


def test_a_tie_goes_to_the_first_place_in_reading_order():
    x = jnp.array([[1.0, 5.0, 5.0], [5.0, 0.0, 5.0], [5.0, 5.0, 5.0]]).reshape(1, 3, 3, 1)
    for method in METHODS:
        grads = jax.grad(lambda x, method=method: jnp.sum(max_pool(x, 3, method=method)))(x)
        assert grads[0, :, :, 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


# Kernels larger than the picture, many groups, a padded axis, windows that see nothing, gaps
# between windows, one place, another padding on every side.
SHAPES = [
    ((2, 4, 5), (3, 2, 5, 5), 1, 2),
    ((2, 9, 8), (3, 2, 7, 3), 1, (3, 1)),
    ((1, 3, 3), (2, 1, 1, 1), 1, 1),
    ((2, 1, 8), (2, 2, 3, 2), (2, 3), (1, 0)),
    ((2, 6, 5), (2, 2, 4, 3), 2, ((0, 3), (2, 0))),
    ((2, 6, 5), (2, 2, 4, 3), (2, 1), "same"),
]


def test_both_ways_to_convolve_are_one_function():
    """In float64, values and gradients, lanes vmapped and alone."""

    def outcome(method, weight, x, stride, padding):
        def total(weight, x):
            return jnp.sum(jnp.sin(conv2d(Conv2d(weight, None), x, stride, padding, method=method)))

        return jax.value_and_grad(total, argnums=(0, 1))(weight, x)

    rng = np.random.default_rng(0)
    arrays = [
        (rng.normal(size=(2, *weight)), rng.normal(size=(2, *x, 3))) for x, weight, *_ in SHAPES
    ]

    def run(arrays):
        found = []
        for (weights, x), (*_, stride, padding) in zip(arrays, SHAPES, strict=True):
            taps = lambda w, x, s=stride, p=padding: outcome("taps", w, x, s, p)
            alone = outcome("xla", weights[1], x[1], stride, padding)
            found.append((jax.vmap(taps)(weights, x), alone))
        return found

    with jax.enable_x64(True):
        for lanes, alone in jax.jit(run)(arrays):
            for ours, theirs in zip(*map(jax.tree.leaves, (lanes, alone)), strict=True):
                assert ours.dtype == np.float64
                np.testing.assert_allclose(ours[1], theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_finite_differences():
    rng = np.random.default_rng(1)

    def layer(weight, bias, x):
        y = conv2d(Conv2d(weight, bias), x, 1, 1, method="taps")
        return avg_pool(max_pool(y, 3, 2, 1, method="taps"), 2, 1, 1, method="taps")

    with jax.enable_x64(True):
        arrays = [rng.normal(size=shape) for shape in ((2, 1, 3, 3), (2,), (1, 4, 3, 2))]
        check_grads(jax.jit(layer), arrays, order=1, modes=("rev",), eps=1e-6)


@given(
    size=st.integers(1, 7),
    stride=st.integers(1, 4),
    low=st.integers(0, 4),
    high=st.integers(0, 4),
    inputs=st.integers(1, 12),
)
def test_groups_are_the_places_at_which_the_same_taps_see_the_picture(
    size, stride, low, high, inputs
):
    window = Window(size, stride, low, high)
    if window.places(inputs) < 1:
        return
    seen = []  # of every place, by looking at each tap
    for place in range(window.places(inputs)):
        reads = [place * stride + tap - low for tap in range(size)]
        assert max(reads) < inputs + high
        seen.append([tap for tap, read in enumerate(reads) if 0 <= read < inputs])
    parts = groups(window, inputs)
    assert [part.first for part in parts] + [window.places(inputs)] == [0] + [
        part.last for part in parts
    ]
    for part in parts:
        for place in range(part.first, part.last):
            assert seen[place] == list(range(part.first_tap, part.last_tap))
    if stride == 1 and low == high == size // 2 and size % 2:
        assert len(parts) <= size


def test_same_is_as_many_places_as_inputs_over_the_stride():
    for inputs in range(1, 9):
        for size in range(1, 6):
            for stride in (1, 2, 3):
                (window,) = windows_of(size, stride, "same", (inputs,))
                assert window.places(inputs) == -(-inputs // stride)
                assert window.high - window.low in (0, 1)


def test_the_backend_decides_unless_it_is_said(monkeypatch):
    assert method_of(None) == "taps"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert method_of(None) == "xla"
    assert method_of("taps") == "taps"
    text = lambda method: str(
        jax.make_jaxpr(
            lambda x: max_pool(conv2d(Conv2d(jnp.ones((2, 1, 3, 3)), None), x, method=method))
        )(jnp.ones((1, 6, 6, 2)))
    )
    assert "conv_general_dilated" in text(None)
    assert "conv_general_dilated" not in text("taps")


def test_sequences_are_pooled_along_time_and_convolved_with_stride_and_padding():
    x = np.float32(np.random.default_rng(2).normal(size=(7, 2, 3)))
    params = Conv1d(np.float32(np.random.default_rng(3).normal(size=(3, 2, 3))), None)

    @jax.jit
    def run(params, x):
        whole = conv1d(params, jnp.pad(x, ((1, 1), (0, 0), (0, 0))))
        return max_pool(x, 3, 2), avg_pool(x, 2), conv1d(params, x, 2, 1), whole

    largest, mean, strided, whole = run(params, x)
    np.testing.assert_array_equal(largest, [x[i : i + 3].max(0) for i in (0, 2, 4)])
    np.testing.assert_allclose(mean, [x[i : i + 2].mean(0) for i in (0, 2, 4)], rtol=1e-5)
    np.testing.assert_allclose(strided, whole[::2], rtol=1e-5, atol=1e-6)


def test_the_mean_of_a_picture():
    x = np.random.default_rng(3).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(
        global_avg_pool(jnp.float32(x)), x.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("method", METHODS)
def test_types_stay_and_integers_become_floats(method):
    x = np.random.default_rng(4).integers(0, 255, (1, 6, 6, 2)).astype(np.uint8)
    params = Conv2d(np.ones((2, 1, 3, 3), np.float32), np.zeros(2, np.float32))

    @jax.jit
    def run(params, x):
        half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
        y = conv2d(half, x.astype(jnp.bfloat16), method=method)
        pools = max_pool(y, method=method), avg_pool(y, method=method)
        whole = max_pool(x, 6, method=method), avg_pool(x, 6, method=method)
        return conv2d(params, x, method=method), pools, whole

    y, pools, (largest, mean) = run(params, x)
    assert y.dtype == jnp.float32
    assert {pool.dtype for pool in pools} == {jnp.dtype(jnp.bfloat16)}
    assert largest.dtype == np.uint8
    np.testing.assert_array_equal(largest[0, 0, 0], x.max((0, 1, 2)))
    np.testing.assert_allclose(mean, x.mean((1, 2), keepdims=True), rtol=1e-5)


def test_a_nan_is_the_largest():
    x = jnp.ones((1, 4, 4, 1)).at[0, 1, 1, 0].set(jnp.nan)
    for method in METHODS:
        pooled = max_pool(x, method=method)
        assert np.isnan(pooled[0, 0, 0, 0])
        assert np.isfinite(pooled).sum() == 3


@pytest.mark.parametrize("scheme", ["he_normal", "xavier_uniform", "torch"])
def test_draws_are_those_of_a_padded_layer_and_of_a_wider_one(scheme):
    @jax.jit
    def draw(outputs, inputs):
        sizes = (Padded(outputs, 5), Padded(inputs, 4)), (3, 2), (4, 2)
        return [init_conv2d(jax.random.key(0), *pair, (3, 2), scheme) for pair in sizes]

    padded, plain, wider = draw(3, 2)
    assert plain.weight.shape == (3, 2, 3, 2)
    np.testing.assert_allclose(padded.weight[:3, :2], plain.weight, rtol=1e-6)
    np.testing.assert_allclose(padded.bias[:3], plain.bias, rtol=1e-6)
    assert np.count_nonzero(padded.weight) == plain.weight.size
    assert not np.any(padded.bias[3:])
    ratio = wider.weight[:3] / plain.weight  # Xavier's bound knows the number of outputs
    np.testing.assert_allclose(ratio, ratio.ravel()[0], rtol=1e-5)


def test_a_scheme_of_ones_own_is_asked_for_both_fans():
    asked = []

    def scheme(key, outputs, inputs):
        asked.append((outputs, inputs))
        return jnp.ones((outputs, inputs)), None

    params = init_conv2d(jax.random.key(0), 2, 3, (3, 5), scheme)
    assert asked == [(30, 45)]
    assert params.weight.shape == (2, 3, 3, 5)
    assert params.bias is None


def conv_of(x=(1, 5, 5, 2), weight=(2, 1, 3, 3), **how):
    return conv2d(Conv2d(jnp.ones(weight), None), jnp.ones(x), **how)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_of(x=(2, 5, 5, 2)), r"^model takes 1 channels, got data with 2 \(x of shape"),
        (lambda: conv_of(x=(5, 5, 2)), r"^x must be \(channels, height, width, batch\) for this"),
        (lambda: conv_of(x=(1, 2, 5, 2)), "^kernel must be at most the picture's side 2, got 3$"),
        (
            lambda: conv_of(x=(1, 5, 2, 2), weight=(1, 1, 3, 5), padding=(0, 1)),
            "^kernel must be at most the picture's side 2, padded to 4, got 5$",
        ),
        (lambda: conv_of(stride=0), "^stride must be a positive integer, got 0$"),
        (lambda: conv_of(stride=(1, 2, 3)), r"^stride must be an integer or 2 of them, got \(1, 2"),
        (lambda: conv_of(padding=-1), "^padding must be an integer from 0 up, .*got -1$"),
        (lambda: conv_of(padding=1.5), "^padding must be an integer from 0 up, .*got 1.5$"),
        (lambda: conv_of(padding=(1, 1, 1)), "^padding must be .*got \\(1, 1, 1\\)$"),
        (lambda: conv_of(padding="smae"), "did you mean 'same'"),
        (lambda: conv_of(method="tap"), "^method must be one of .*did you mean 'taps'"),
        (lambda: max_pool(jnp.ones((2, 3))), r"^x must be \(channels, height, width, batch\) or"),
        (lambda: max_pool(jnp.ones((1, 2, 3, 1)), 3), "^window must be at most the picture's side"),
        (
            lambda: max_pool(jnp.ones((1, 9, 9, 1)), 2, 2, 2),
            "^padding must be at most half the window, 1, got 2$",
        ),
        (
            lambda: init_conv2d(jax.random.key(0), 1, 1, (3, 3, 3), "torch"),
            r"^kernel must be a positive integer or two of them, got \(3, 3, 3\)$",
        ),
        (
            lambda: init_conv2d(jax.random.key(0), 1, 1, 0, "torch"),
            "^kernel must be a positive integer, got 0$",
        ),
        (
            lambda: conv1d(Conv1d(jnp.ones((1, 2, 2)), None), jnp.ones((3, 1, 4))),
            "^model takes 2 channels, got data with 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
