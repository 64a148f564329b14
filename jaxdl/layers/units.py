"""What acts on every unit alone: masks of padded sizes, dropout, the layout of inputs."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from jaxdl.checks import brief
from jaxdl.types import Size, mask


def keep(x, size: Size, axis: int = 0):
    """Sets everything beyond a padded size along `axis` to zero; returns `x` itself for an int."""
    alive = mask(size)
    if alive is None:
        return x
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    alive = alive.reshape(shape)
    # selected, not multiplied by 0: a dead place that is NaN or infinite would stay NaN
    return jnp.where(alive, x, 0)


def dropout(x: Num[Array, "*units batch"], key: PRNGKeyArray, rate) -> Num[Array, "*units batch"]:
    """Sets units to zero with probability `rate` and scales the others by 1 / (1 - rate).

    One key for every unit, so that a wider layer drops the same places.

    Args:
      x: (units, batch), or pictures (channels, height, width, batch), each place a unit.
      key: consumed.
      rate: in [0, 1), may be traced.
    """
    kept = _uniform(key, x.shape) >= rate
    scaled = x / (1.0 - rate)
    dropped = jnp.where(kept, scaled, 0.0)
    return dropped.astype(x.dtype)


# One draw of the whole shape would put other numbers in the same place of a wider layer. Splits and
# uniform draws are prefix-stable along their leading axis, so every axis gets keys of its own: a
# padded width, and a picture of more channels, drop what the plain one drops.
def _uniform(key, shape):
    """Draws from U(0, 1) with a key a place of every axis but the last, each from its axis's."""
    if len(shape) == 1:
        return jax.random.uniform(key, shape)
    length, *rest = shape

    def row(row_key):
        return _uniform(row_key, rest)

    keys = jax.random.split(key, length)
    return jax.vmap(row)(keys)


def flatten(x: Num[Array, "*units batch"]) -> Num[Array, "features batch"]:
    """Reads all axes but the last as one of features, the last of them fastest.

    >>> flatten(jnp.zeros((3, 32, 32, 7))).shape
    (3072, 7)
    """
    *axes, batch = x.shape
    return x.reshape(math.prod(axes), batch)


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
