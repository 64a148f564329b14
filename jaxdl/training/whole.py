"""What a metric of a whole split gives: of each example some numbers, of all of them one."""

import jax
import jax.numpy as jnp

from jaxdl.checks import brief
from jaxdl.types import SplitMetric


def of_each(name: str, tree, spoilt):
    """Checks what a metric took of every example; returns it as float32.

    Args:
      name: of the metric, for the message.
      tree: arrays (..., batch).
      spoilt: which examples have no value, bool (batch,): what is taken of them becomes NaN.

    Raises:
      ValueError: nothing, another last axis, or no real numbers.
    """
    leaves = jax.tree.leaves(tree)
    wanted = f"metric {name!r} must give arrays of real numbers, shape (..., {len(spoilt)})"
    if not leaves:
        raise ValueError(f"{wanted}, got {brief(tree)}")
    for leaf in leaves:
        if jnp.shape(leaf)[-1:] != spoilt.shape or jnp.iscomplexobj(leaf):
            raise ValueError(f"{wanted}, got {brief(leaf)}")

    def marked(leaf):
        values = jnp.asarray(leaf, jnp.float32)
        return jnp.where(jnp.broadcast_to(spoilt, values.shape), jnp.nan, values)

    return jax.tree.map(marked, tree)


def finished(name: str, metric: SplitMetric, taken, weight):
    """Computes the value of a whole split, a float32 scalar: NaN if any example has none.

    Args:
      name: of the metric, for the message.
      taken, weight: what its `finish` is called with.

    Raises:
      ValueError: no real scalar.
    """
    value = metric.finish(taken, weight)
    if jnp.shape(value) != () or jnp.iscomplexobj(value):
        raise ValueError(f"finish of metric {name!r} must give a real scalar, got {brief(value)}")
    # Whatever the user's function makes of a NaN: a comparison would hide it, or a sort.
    spoilt = jnp.zeros((), bool)
    for leaf in jax.tree.leaves(taken):
        spoilt |= jnp.isnan(leaf).any()
    return jnp.where(spoilt, jnp.nan, value).astype(jnp.float32)
