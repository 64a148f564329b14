"""Norms against PyTorch, over padded channels, and what they refuse."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.layers import (
    Norm,
    Running,
    batch_norm,
    group_norm,
    init_batch_norm,
    init_norm,
    keep,
    layer_norm,
)
from jaxdl.types import Padded

GOLDEN = pathlib.Path(__file__).parent / "golden" / "pictures.npz"
KINDS = {  # as in golden/pictures.py
    "batch": lambda params, x: batch_norm(params, START, x, train=True, momentum=0.3)[0],
    "layer": layer_norm,
    "whole": lambda params, x: layer_norm(params, x, axes=(0, 1, 2)),
    "group": lambda params, x: group_norm(params, x, 3),
}
START = Running(jnp.zeros(6), jnp.ones(6))


def case(kind: str) -> dict:
    """The arrays of one norm, pictures batch-last."""
    with np.load(GOLDEN) as file:
        arrays = {key.split("/")[1]: file[key] for key in file if key.startswith(f"{kind}_norm/")}
    return {
        key: np.moveaxis(array, 0, -1) if array.ndim == 4 else array
        for key, array in arrays.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_norms_and_their_gradients_are_those_of_pytorch(kind):
    golden = case(kind)

    @jax.jit
    def run(params, x, pull):
        pulled = lambda params, x: jnp.sum(KINDS[kind](params, x) * pull)
        return KINDS[kind](params, x), jax.grad(pulled, argnums=(0, 1))(params, x)

    params = Norm(golden["weight"], golden["bias"])
    outputs, (to_params, to_x) = run(params, golden["x"], golden["pull"])
    near = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(outputs, golden["outputs"], **near)
    np.testing.assert_allclose(to_params.scale, golden["weight_grad"], **near)
    np.testing.assert_allclose(to_params.offset, golden["bias_grad"], **near)
    np.testing.assert_allclose(to_x, golden["x_grad"], **near)


def test_running_statistics_and_an_evaluation_are_those_of_pytorch():
    golden = case("batch")
    params = Norm(golden["weight"], golden["bias"])

    @jax.jit
    def run(params, x):
        _, state = batch_norm(params, START, x, train=True, momentum=0.3)
        return state, *batch_norm(params, state, x, train=False)

    state, outputs, after = run(params, golden["x"])
    np.testing.assert_allclose(state.mean, golden["mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.variance, golden["variance"], rtol=1e-5)
    np.testing.assert_allclose(outputs, golden["evaluated"], rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after, state)


def test_lanes_have_statistics_of_their_own():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 8)), jnp.float32)
    params, state = init_batch_norm(3)
    apply = lambda x: batch_norm(params, state, x, train=True)
    (y, states), alone = jax.jit(lambda x: (jax.vmap(apply)(x), apply(x[1])))(x)
    np.testing.assert_allclose(y[1], alone[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states.mean[1], alone[1].mean, rtol=1e-5)
    assert abs(states.mean[0] - states.mean[1]).min() > 1e-3


def test_a_padded_layer_has_the_norm_of_its_live_channels_and_zeros_beyond():
    x = np.float32(np.random.default_rng(1).normal(size=(5, 2, 3, 4)))

    @jax.jit
    def run(size):
        live = Padded(size, 5)
        wide, params = keep(x, live), init_norm(live)
        batch, state = init_batch_norm(live)
        return (
            layer_norm(params, wide, size=live),
            layer_norm(init_norm(live, 2, 3), wide, axes=(0, 1, 2), size=live),
            group_norm(params, wide, 1, size=live),
            *batch_norm(batch, state, wide, train=True),
        )

    plain = (
        layer_norm(init_norm(3), x[:3]),
        layer_norm(init_norm(3, 2, 3), x[:3], axes=(0, 1, 2)),
        group_norm(init_norm(3), x[:3], 1),
        *batch_norm(*init_batch_norm(3), x[:3], train=True),
    )
    for padded, expected in zip(*map(jax.tree.leaves, (run(3), plain)), strict=True):
        np.testing.assert_allclose(padded[:3], expected, rtol=1e-5, atol=1e-6)
        assert not np.any(padded[3:])


def test_half_precision_sums_in_single():
    x = jnp.asarray(np.random.default_rng(2).normal(100, 1, size=(2, 4096)), jnp.bfloat16)
    params, state = init_batch_norm(2)
    y, after = batch_norm(params, state, x, train=True)
    assert y.dtype == jnp.bfloat16
    assert after.mean.dtype == jnp.float32
    np.testing.assert_allclose(after.mean, 0.1 * np.float64(x).mean(axis=1), rtol=1e-5)
    assert layer_norm(init_norm(2), x).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: batch_norm(*init_batch_norm(2), jnp.ones((2, 1, 1, 1)), train=True),
            r"^batch norm needs more than one value a channel in training, got x of shape \(2, 1",
        ),
        (
            lambda: group_norm(init_norm(6), jnp.ones((6, 2)), 4),
            "^groups must divide the 6 channels, got 4$",
        ),
        (
            lambda: group_norm(init_norm(6), jnp.ones((6, 2)), 0),
            "^groups must be a positive integer, got 0$",
        ),
        (
            lambda: layer_norm(init_norm(6), jnp.ones((6, 2, 2, 3)), axes=(0, 1, 2)),
            r"^params must have a scale of shape \(6, 2, 2\) for axes \(0, 1, 2\), got an array of",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_groups_of_a_padded_layer_are_refused():
    with pytest.raises(TypeError, match="a padded size has no single value"):
        group_norm(init_norm(4), jnp.ones((4, 2)), 2, size=Padded(2, 4))
