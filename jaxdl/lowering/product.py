"""Matrix products, W x, whose gradient XLA's CPU computes fast for a large W and a small batch."""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Num

MOST_COLUMNS = 256  # above them both ways take about the same time
LEAST_WEIGHTS = 2**16  # below them as well


def product(
    weight: Num[Array, "outputs inputs"],
    x: Num[Array, "inputs batch"],
) -> Num[Array, "outputs batch"]:
    """Computes W x, as ``weight @ x`` does; derivatives of every kind and order are there.

    Args:
      weight: (out, in), of any type; float32 has the fast gradient.
      x: (in, batch).

    Returns:
      (out, batch).
    """
    if _is_large_for(weight, x):
        return _product(weight, x)
    return weight @ x


# Two ways to the gradient of x, W^T g: XLA's CPU has no fast kernel whose left side is transposed.
# It copies W into another order, which pays where each weight is then used for many columns: 48
# GFLOP/s on one core for 1024 x 1024 weights and 128 columns. As (g^T W)^T the small sides are
# transposed instead, and the same takes 105, as do W x and the gradient of W.
def _is_large_for(weight, x) -> bool:
    """Tells whether weights are many, and columns few, on a CPU."""
    if jnp.ndim(weight) != 2 or jnp.ndim(x) != 2 or jax.default_backend() != "cpu":
        return False
    is_float32 = jnp.result_type(weight) == jnp.result_type(x) == jnp.float32
    return is_float32 and weight.size >= LEAST_WEIGHTS and x.shape[1] <= MOST_COLUMNS


@jax.custom_jvp
def _product(weight, x):
    return weight @ x


# The tangent is written for what it is transposed to, the gradient: the barrier, there and back,
# keeps XLA from writing (g^T W)^T as W^T g again.
def _product_tangent(primals, tangents):
    """Computes W x, and dW x + W dx."""
    weight, x = primals
    d_weight, d_x = tangents
    outputs = _product(weight, x)
    # what is not differentiated costs no product
    parts = []
    if not isinstance(d_weight, SymbolicZero):
        parts.append(d_weight @ x)
    if not isinstance(d_x, SymbolicZero):
        rows = jax.lax.optimization_barrier(d_x.T)
        parts.append(weight @ rows.T)
    return outputs, sum(parts[1:], parts[0])


_product.defjvp(_product_tangent, symbolic_zeros=True)
