"""What acts on every unit alone: masks of padded sizes, dropout, the layout of inputs."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from jaxdl.checks import brief
from jaxdl.types import Size, mask


def keep(x, size: Size, axis: int = 0):
    """`x` with everything beyond a padded size along `axis` set to zero; `x` itself for an int."""
    alive = mask(size)
    if alive is None:
        return x
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    return jnp.where(alive.reshape(shape), x, 0)


def dropout(x: Num[Array, "*units batch"], key: PRNGKeyArray, rate) -> Num[Array, "*units batch"]:
    """Sets units to zero with probability `rate` and scales the others by 1 / (1 - rate).

    One key for every unit, so that a wider layer drops the same places.

    Args:
      x: (units, batch), or pictures (channels, height, width, batch), each place a unit.
      key: consumed.
      rate: in [0, 1), may be traced.
    """
    kept = _uniform(key, x.shape) >= rate
    return jnp.where(kept, x / (1.0 - rate), 0.0).astype(x.dtype)


def _uniform(key, shape):
    """Draws from U(0, 1) with a key a place of every axis but the last, each from its axis's."""
    if len(shape) == 1:
        return jax.random.uniform(key, shape)
    return jax.vmap(lambda row_key: _uniform(row_key, shape[1:]))(jax.random.split(key, shape[0]))


def flatten(x: Num[Array, "*units batch"]) -> Num[Array, "features batch"]:
    """Reads all axes but the last as one of features, the last of them fastest.

    >>> flatten(jnp.zeros((3, 32, 32, 7))).shape
    (3072, 7)
    """
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def check_features(x, features: int, dimensions: int = 2):
    """Refuses inputs that a model does not take.

    Args:
      x: (..., features, batch).
      features: that the model takes.
      dimensions: that x must have: 2 for points, 3 for sequences.
    """
    layout = {2: "(features, batch)", 3: "(time, features, batch)"}[dimensions]
    if jnp.ndim(x) != dimensions:
        raise ValueError(f"x must be {layout} for this model, got {brief(x)}")
    if x.shape[-2] != features:
        given = f"data with {x.shape[-2]} (x of shape {x.shape}, {layout})"
        raise ValueError(f"model takes {features} features, got {given}")
