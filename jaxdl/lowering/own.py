"""Arrays that all lanes share, as each lane's own, so that its last bits are its own too.

A product of a lane's array with one that all lanes share becomes, under `jax.vmap`, one product
whose rows or columns are those of all lanes, one lane behind the other. XLA's CPU may add up those
at an end in another order than the others (it does where a matrix meets a vector, or few rows
`x @ W`), and then a lane's last bits depend on where it stands. With an axis of lanes on both
sides each lane has a product of its own.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

Arrays = TypeVar("Arrays")


def own(shared: Arrays, lane) -> Arrays:
    """Returns the same values, with an axis of lanes under `jax.vmap` where a lane's array has one.

    Args:
      shared: array or pytree of arrays.
      lane: an array or key of the lane's own, not empty; its values do not matter.

    >>> import jax
    >>> product = lambda weight, x: weight @ own(x, weight)
    >>> shapes = jax.make_jaxpr(jax.vmap(product, in_axes=(0, None)))
    >>> "([0], [0])" in str(shapes(jnp.ones((3, 2, 5)), jnp.ones((5, 1))))  # lanes on both sides
    True
    """
    if jnp.issubdtype(lane.dtype, jax.dtypes.prng_key):
        lane = jax.random.key_data(lane)
    # a choice between equals: nothing that a lane holds, NaN neither, can change what comes out
    either = jnp.ravel(lane)[0] == 0
    return jax.tree.map(lambda array: jnp.where(either, array, array), shared)
