"""`check_model`: the checks that every model passes."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxdl.sampling import seed_key
from jaxdl.testing.compare import corner, finite, float32, named, same, same_structure
from jaxdl.types import Model, Padded

PADDING_TOLERANCE = 1e-5


def check_model(
    model_of: Model | Callable[[Any], Model],
    sample_x: ArrayLike,
    *,
    padded: tuple[int, int] | None = None,
) -> None:
    """Checks that a model is what a study needs.

    jit and vmap change no value; keys are used once and decide alone; examples do not mix where
    ``train=False``; gradients are finite; float32 stays float32; the state keeps its structure; a
    padded size computes what the size does.

    Args:
      model_of: a `Model`; with `padded` a function ``(size) -> Model``, whose size may be a
        `Padded`.
      sample_x: inputs as ``apply`` takes them, batch axis last, at least two examples.
      padded: (size, max). What is live stands first along every axis, and the rest of the params is
        exactly zero.

    Raises:
      AssertionError: a line that names the check and what it found.

    >>> from jaxdl import models
    >>> x = jnp.linspace(-1.0, 1.0, 10).reshape(2, 5)
    >>> check_model(models.mlp(2, (3,)), x)
    >>> check_model(lambda width: models.mlp(2, (width,)), x, padded=(3, 4))
    """
    with named("check_model", "model_of is a Model, or with padded a function of a size"):
        model: Any = model_of
        if padded is not None:
            model = model_of(padded[0])  # type: ignore[operator]
        x = jnp.asarray(sample_x)
        if not isinstance(model, Model):
            raise AssertionError(f"it gives {type(model).__name__}")
    for name, check in CHECKS.items():
        with named("check_model", name):
            check(model, x)
    if padded is not None:
        with named("check_model", "a padded size computes what the size does"):
            _padding(model_of, x, *padded)


def _lane(model: Model, x, key) -> dict:
    """Computes all that a model gives for a key."""
    init_key, train_key = jax.random.split(key)
    params, state = model.init(init_key)
    trained, after = model.apply(params, state, x, key=train_key, train=True)
    outputs, _ = model.apply(params, state, x, key=None, train=False)
    return {
        "params": params,
        "state": state,
        "outputs in training": trained,
        "state after training": after,
        "outputs": outputs,
    }


def _same_lane(actual: dict, expected: dict, where: str, tolerance: float):
    for name, values in expected.items():
        same(actual[name], values, f"{where} {name}", tolerance)


def _evaluated(model: Model):
    """Returns the outputs as a function of x alone."""
    params, state = model.init(seed_key(0))
    return lambda x: model.apply(params, state, x)[0]


def _gradient(model: Model, x, key, live=None):
    """Computes the gradient of half the sum of squares of the outputs, or of their corner of shape
    `live`."""
    init_key, train_key = jax.random.split(key)
    params, state = model.init(init_key)

    # Squares, not a plain sum: all outputs of a normalised layer add up to a constant, and the
    # gradient of that is zero whatever the layer does wrong.
    def loss(params):
        outputs, _ = model.apply(params, state, x, key=train_key, train=True)
        outputs = outputs if live is None else outputs[corner(live)]
        leaves = jax.tree.leaves(outputs)
        return sum(jnp.sum(leaf**2) / 2 for leaf in leaves)

    grads = jax.grad(loss)(params)
    return grads, params


def _batch_last(model: Model, x):
    lane = _lane(model, x, seed_key(0))
    batch = x.shape[-1]
    both = lane["outputs"], lane["outputs in training"]
    for leaf in jax.tree.leaves(both):
        if leaf.shape[-1:] != (batch,):
            raise AssertionError(f"the shape is {leaf.shape} for a batch of {batch}")


def _float32(model: Model, x):
    def lane_of(x):
        return _lane(model, x, seed_key(0))

    def gradients_of(x):
        grads, _ = _gradient(model, x, seed_key(0))
        return grads

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lane = jax.eval_shape(lane_of, x)
        lane["gradients"] = jax.eval_shape(gradients_of, x)
    for name, values in lane.items():
        float32(values, name)
    messages = [str(warning.message) for warning in caught]
    asked = [message for message in messages if "float64" in message]
    # Shapes tell of float16 alone: with 64 bits switched off jax gives float32, and a warning.
    if asked:
        raise AssertionError(asked[0].strip())


def _keys(model: Model, x):
    # jax follows keys through one traced program: a key that is used twice raises there.
    with jax.debug_key_reuse(True):
        jax.jit(lambda key: _lane(model, x, key))(seed_key(0))


def _same_key(model: Model, x):
    first = _lane(model, x, seed_key(0))
    again = _lane(model, x, seed_key(0))
    _same_lane(again, first, "the second time", tolerance=0.0)


def _jit(model: Model, x):
    # compiled, XLA fuses and reorders sums: float32 rounding differs, a mistake differs more
    jitted = jax.jit(lambda key: _lane(model, x, key))
    lane = jitted(seed_key(0))
    _same_lane(lane, _lane(model, x, seed_key(0)), "under jit", tolerance=1e-4)


def _vmap(model: Model, x):
    def lane_of(seed):
        return _lane(model, x, seed_key(seed))

    seeds = (0, 1, 2)
    lanes = jax.jit(jax.vmap(lane_of))(jnp.array(seeds, jnp.uint32))
    for place, seed in enumerate(seeds):
        lane = jax.tree.map(lambda leaf, place=place: leaf[place], lanes)
        _same_lane(lane, lane_of(seed), "under vmap", tolerance=1e-4)


def _columns(tree, which):
    """Takes some examples of every array in a tree."""
    return jax.tree.map(lambda leaf: leaf[..., which], tree)


def _order(model: Model, x):
    evaluate = _evaluated(model)
    order = np.random.default_rng(0).permutation(x.shape[-1])
    expected = _columns(evaluate(x), order)
    same(evaluate(x[..., order]), expected, "outputs of a permuted batch")


def _single(model: Model, x):
    evaluate = _evaluated(model)
    # The first and the last example: what leaks along the batch (a shift, a cumulative sum)
    # reaches one of them.
    for place in (0, x.shape[-1] - 1):
        alone = slice(place, place + 1)
        expected = _columns(evaluate(x), alone)
        same(evaluate(x[..., alone]), expected, "outputs of an example alone")


def _gradients(model: Model, x):
    grads, params = _gradient(model, x, seed_key(0))
    same_structure(grads, params, "gradients")
    finite(grads, "gradients")


def _state(model: Model, x):
    params, state = model.init(seed_key(0))
    _, after = model.apply(params, state, x, key=seed_key(1), train=True)
    same_structure(after, state, "states after a step in training")
    shapes, expected = _shapes(after), _shapes(state)
    if shapes != expected:
        raise AssertionError(
            f"states after a step in training have shapes {shapes} instead of {expected}"
        )
    same(model.apply(params, state, x)[1], state, "where train=False, states", tolerance=0.0)


def _shapes(tree) -> list[tuple]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _padding(model_of, x, size: int, most: int):
    """Compares a model of a size with one of a padded size, whose live part is traced as in a
    study."""
    plain = _lane(model_of(size), x, seed_key(0))
    shape = getattr(plain["outputs"], "shape", None)
    plain["gradients"], _ = _gradient(model_of(size), x, seed_key(0))

    def padded_lane(live):
        model = model_of(Padded(live, most))
        lane = _lane(model, x, seed_key(0))
        lane["gradients"], _ = _gradient(model, x, seed_key(0), shape)
        return lane

    wide = jax.jit(padded_lane)(jnp.int32(size))
    for name, expected in plain.items():
        same_structure(wide[name], expected, name)
        live = jax.tree.map(lambda leaf, to: leaf[corner(to.shape)], wide[name], expected)
        same(live, expected, f"live {name}", PADDING_TOLERANCE)
        if name in ("params", "gradients"):
            _zero_beyond(wide[name], expected, name)


def _zero_beyond(wide, plain, name: str):
    """Raises where a padded tree is not exactly zero outside of the plain one's shapes.

    Small numbers there would do no harm at first; an optimizer's moments and the norm of the
    weights would see them.
    """

    def without_live(leaf, to):
        live = corner(to.shape)
        return leaf.at[live].set(0)

    beyond = jax.tree.map(without_live, wide, plain)
    zeros = jax.tree.map(jnp.zeros_like, beyond)
    same(beyond, zeros, f"{name} beyond the size must be zero:", tolerance=0.0)


CHECKS = {
    "float32 stays float32": _float32,
    "outputs have the batch axis last": _batch_last,
    "the same key gives the same result": _same_key,
    "keys are used once": _keys,
    "jit changes no value": _jit,
    "vmapped over keys a lane is what it is alone": _vmap,
    "the order of the batch does not matter": _order,
    "a single example gives what it gives in a batch": _single,
    "gradients are finite and of the params' structure": _gradients,
    "the state keeps its structure and changes in training only": _state,
}
