"""Convolutions over tiles: one function with convolutions by taps, from fewer products."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

from jaxdl.layers import Conv2d, conv2d
from jaxdl.lowering import winograd
from jaxdl.lowering.windows import windows_of

# height, width, padding; and how many products of matrices each takes
PICTURES = {
    "tiles": ((4, 6), 1, 16),
    "pairs": ((2, 2), 1, 9),
    "pairs down, tiles across": ((2, 4), 1, 12),
    "tiles down, pairs across": ((6, 2), 1, 12),
    "no padding": ((4, 8), 0, 16),
    "another padding on every side": ((2, 5), ((2, 0), (0, 3)), 16),
    "two places that see only one": ((2, 2), ((0, 2), (2, 0)), 16),
    "much padding": ((1, 2), ((3, 2), (4, 2)), 16),
    "odd sides": ((3, 7), 1, 16),
    "one place": ((1, 1), 1, 16),
}
LARGE = 64, 64, (8, 8)  # outputs, inputs, sides


def arrays(outputs, inputs, sides, dtype=np.float64, batch=3):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(outputs, inputs, 3, 3)) / np.sqrt(9 * inputs)
    x = rng.normal(size=(inputs, *sides, batch))
    return weight.astype(dtype), x.astype(dtype)


def by_hand(weight, x, padding):
    """What NumPy adds up: over every tap, of every place."""
    sides = x.shape[1:-1]
    down, across = windows_of(3, 1, padding, sides)
    pads = (0, 0), down[2:], across[2:], (0, 0)
    padded = np.pad(x, pads)
    outputs = np.zeros((len(weight), down.places(sides[0]), across.places(sides[1]), x.shape[-1]))
    for row, column in itertools.product(range(3), repeat=2):
        seen = padded[:, row : row + outputs.shape[1], column : column + outputs.shape[2]]
        outputs += np.einsum("oi,ihwb->ohwb", weight[:, :, row, column], seen)
    return outputs


def products_in(function, *given) -> list[tuple[int, ...]]:
    """Lists the shapes of all matrix products of a function."""
    shapes = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                shapes.append(equation.outvars[0].aval.shape)
            for part in jaxprs_in_params(equation.params):
                visit(part)

    visit(jax.make_jaxpr(function)(*given).jaxpr)
    return shapes


@pytest.mark.parametrize("name", PICTURES)
def test_values_are_those_of_numpy(name):
    sides, padding, _ = PICTURES[name]
    weight, x = arrays(3, 2, sides)
    with jax.enable_x64(True):
        outputs = conv2d(Conv2d(weight, None), x, 1, padding, method="winograd")
    assert outputs.dtype == np.float64
    np.testing.assert_allclose(outputs, by_hand(weight, x, padding), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PICTURES)
def test_so_many_products_are_computed(name):
    sides, padding, count = PICTURES[name]
    weight, x = arrays(3, 2, sides, np.float32)
    layer = lambda weight, x: conv2d(Conv2d(weight, None), x, 1, padding, method="winograd")
    large = [shape for shape in products_in(layer, weight, x) if len(shape) == 3]
    _, height, width, batch = by_hand(weight, x, padding).shape
    tiles = math.ceil(height / 2) * math.ceil(width / 2)
    assert large == [(count, 3, tiles * batch)]


@pytest.mark.parametrize("name", ["odd sides", "pairs", "another padding on every side"])
def test_derivatives_of_both_modes_and_of_second_order_are_finite_differences(name):
    sides, padding, _ = PICTURES[name]
    layer = lambda weight, x: jnp.sin(
        conv2d(Conv2d(weight, None), x, 1, padding, method="winograd")
    )
    with jax.enable_x64(True):
        check_grads(jax.jit(layer), arrays(2, 2, sides, batch=2), order=2, eps=1e-5)


def test_lanes_together_are_lanes_alone():
    weights, pictures = (np.stack([a, a[::-1]]) for a in arrays(4, 4, (4, 4), np.float32))
    layer = lambda weight, x: conv2d(Conv2d(weight, None), x, 1, 1, method="winograd")
    together = jax.jit(jax.vmap(layer))(weights, pictures)
    for lane, weight, x in zip(together, weights, pictures, strict=True):
        np.testing.assert_allclose(lane, layer(weight, x), rtol=0, atol=1e-6)


# Halves and ones are exact in float32, so tiles add no factor that would blow rounding up.
@pytest.mark.parametrize("sides", [(2, 2), (8, 8)])
def test_rounding_is_that_of_taps(sides):
    weight, x = arrays(64, 256, sides, np.float32, batch=16)
    exact = by_hand(weight.astype(np.float64), x.astype(np.float64), 1)
    errors = {}
    for method in ("taps", "winograd"):
        outputs = conv2d(Conv2d(weight, None), x, 1, 1, method=method)
        errors[method] = np.sqrt(np.mean(np.square(outputs - exact)))
    assert errors["winograd"] < 3 * errors["taps"] < 3e-6


@pytest.mark.parametrize("scheme", [winograd.TILE, winograd.PAIR])
@given(
    inputs=st.lists(st.integers(-50, 50), min_size=4, max_size=4),
    taps=st.lists(st.integers(-50, 50), min_size=3, max_size=3),
)
def test_a_scheme_adds_up_to_both_places(scheme, inputs, taps):
    for place in range(4):
        if place not in scheme.reads:
            inputs[place] = 0
    expected = [sum(taps[k] * inputs[place + k] for k in range(3)) for place in range(2)]
    products = (scheme.of_taps @ taps) * (scheme.of_inputs @ np.take(inputs, scheme.reads))
    assert (scheme.of_products @ products).tolist() == expected


def is_tiled(outputs, inputs, sides, stride=1, dtype=np.float32, method=None) -> bool:
    weight, x = (jnp.asarray(array, dtype) for array in arrays(outputs, inputs, sides))
    layer = lambda weight, x: conv2d(Conv2d(weight, None), x, stride, 1, method=method)
    return any(len(shape) == 3 for shape in products_in(layer, weight, x))


def test_tiles_are_the_default_where_they_are_possible_and_pay():
    assert is_tiled(*LARGE)
    assert is_tiled(8, 1, (8, 8))
    assert not is_tiled(*LARGE, method="taps")
    assert is_tiled(64, 64, (3, 3))
    assert not is_tiled(64, 64, (1, 1))  # one place that sees one input
    assert not is_tiled(*LARGE, stride=2)
    assert not is_tiled(*LARGE, dtype=jnp.bfloat16)  # sums would be rounded
    assert not is_tiled(*LARGE, dtype=np.int32, method="winograd")
    assert not is_tiled(64, 3, (32, 32))  # many outputs of few products
    assert is_tiled(64, 3, (32, 32), method="winograd")


def test_another_backend_convolves_by_its_own_operation(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not is_tiled(*LARGE)
