"""Products of large weights with small batches, whose gradient is computed in a form of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.layers import Dense, dense
from jaxdl.lowering import product as lowering
from jaxdl.lowering.product import product

LARGE = (256, 300)  # weights: enough of them for the form of their own


def arrays(columns, shape=LARGE):
    rng = np.random.default_rng(0)
    outputs, inputs = shape
    weight = rng.normal(size=shape).astype(np.float32) / np.sqrt(inputs)
    x = rng.normal(size=(inputs, columns)).astype(np.float32)
    g = rng.normal(size=(outputs, columns)).astype(np.float32)
    return weight, x, g


def in_float64(weight, x, g):
    """What NumPy computes: the product and its gradients."""
    weight, x, g = (array.astype(np.float64) for array in (weight, x, g))
    return weight @ x, g @ x.T, weight.T @ g


@pytest.mark.parametrize("columns", [1, 32, lowering.MOST_COLUMNS, lowering.MOST_COLUMNS + 1])
def test_values_and_gradients_are_those_of_numpy(columns):
    weight, x, g = arrays(columns)
    y, pull = jax.vjp(product, weight, x)
    for ours, exact in zip((y, *pull(g)), in_float64(weight, x, g), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_the_form_of_its_own_is_taken_and_survives_xla():
    weight, x, _ = arrays(32)

    def loss(x):
        return jnp.sum(jnp.square(product(weight, x)))

    plain_form = f"f32[{LARGE[1]},32]"
    turned_form = f"f32[32,{LARGE[1]}]"
    text = jax.jit(jax.grad(loss)).lower(x).compile().as_text()
    products = [line for line in text.splitlines() if " dot(" in line or "ynn" in line]
    assert any(turned_form in line for line in products), text
    assert not any(f"= {plain_form}" in line for line in products), text


def test_derivatives_of_every_kind_are_there():
    weight, x, g = arrays(3)

    def energy(product):
        return lambda weight, x: jnp.sum(jnp.tanh(product(weight, x)) * g)

    ours = energy(product)
    plain = energy(jnp.matmul)
    tangents = jnp.ones_like(weight), jnp.cos(x)
    pairs = [
        (jax.jvp(f, (weight, x), tangents) for f in (ours, plain)),
        # over what is differentiated once alone
        (jax.grad(f, argnums=1)(weight, x) for f in (ours, plain)),
        # the product of the Hessian with a direction, in both orders of modes
        (jax.jvp(jax.grad(f, (0, 1)), (weight, x), tangents) for f in (ours, plain)),
        (
            jax.grad(lambda w, x, f=f: jax.jvp(f, (w, x), tangents)[1], (0, 1))(weight, x)
            for f in (ours, plain)
        ),
    ]
    for pair in pairs:
        one, other = map(jax.tree.leaves, pair)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_lanes_are_computed_together():
    weight, x, g = arrays(16)
    weights = jnp.stack([weight, 2 * weight])
    xs = jnp.stack([x, -x])
    y, pull = jax.vjp(jax.vmap(product), weights, xs)
    np.testing.assert_allclose(y[1], -2 * (weight @ x), rtol=1e-4, atol=1e-4)
    _, d_xs = pull(jnp.stack([jnp.asarray(g)] * 2))
    np.testing.assert_allclose(d_xs[1], 2 * (weight.T @ g), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.float16, jnp.int32])
def test_other_types_are_multiplied_as_they_are(kind):
    weight, x, _ = arrays(4)
    weight, x = jnp.asarray(weight * 8, kind), jnp.asarray(x * 8, kind)
    y = dense(Dense(weight, None), x)
    assert y.dtype == kind
    np.testing.assert_array_equal(y, weight @ x)


def test_inputs_that_are_not_differentiated_cost_no_product():
    weight, x, _ = arrays(32)

    def loss(weight, x):
        return jnp.sum(jnp.sin(product(weight, x)))

    counts = []
    for of in (0, 1, (0, 1)):
        text = str(jax.make_jaxpr(jax.grad(loss, of))(weight, x))
        counts.append((text.count("dot_general["), text.count("optimization_barrier")))
    assert counts == [(2, 0), (2, 1), (3, 1)]
