"""Residual connections: what a block computes, added to what it was given."""

import jax.numpy as jnp
from jaxtyping import Array, Num, PRNGKeyArray

from jaxdl.layers.conv import Conv2d, conv2d, init_conv2d
from jaxdl.types import Size


def init_residual(
    key: PRNGKeyArray,
    outputs: Size,
    inputs: Size,
    stride: int,
    scheme,
    bias: bool = False,
) -> Conv2d | None:
    """Draws the shortcut of a block: a 1x1 convolution, or None where the input fits as it is.

    Args:
      key: consumed.
      outputs, inputs: channels behind and before the block; padded ones fit if they are one size,
        the same object.
      stride: of the block; 1 where it leaves the picture's sides as they are.
      scheme, bias: see `init_dense`.
    """
    # padded sizes are traced, so that only the same object is known to be the same size
    if stride == 1 and (outputs is inputs or outputs == inputs):
        return None
    return init_conv2d(key, outputs, inputs, 1, scheme, bias)


def residual(
    params: Conv2d | None,
    x: Num[Array, "inputs height width batch"],
    y: Num[Array, "outputs places_down places_across batch"],
    stride: int = 1,
    *,
    method: str | None = None,
) -> Num[Array, "outputs places_down places_across batch"]:
    """Computes y + x, or y + a projection of x where the block changes its shape.

    The projection is a 1x1 convolution (He et al., 2016, option B).

    Args:
      params: see `init_residual`.
      x: what the block was given.
      y: what it computed.
      stride: of the block.
      method: see `conv2d`.

    Raises:
      ValueError: the two differ in shape.
    """
    shortcut = x if params is None else conv2d(params, x, stride, method=method)
    if jnp.shape(shortcut) != jnp.shape(y):
        raise ValueError(
            f"y must have the shape of its shortcut, {jnp.shape(shortcut)}, got {jnp.shape(y)}"
        )
    return y + shortcut
