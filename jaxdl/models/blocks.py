"""Blocks of convolutional networks: convolution, norm, activation and pool; maybe a shortcut."""

from typing import Any, NamedTuple

import jax

from jaxdl import layers
from jaxdl.layers import Conv2d, Norm
from jaxdl.models.pictures import apply_norm, init_norm_of
from jaxdl.types import Size

POOLS = {"max": layers.max_pool, "avg": layers.avg_pool}
MONOTONE = ("relu", "tanh", "sigmoid", "identity")  # the largest input has the largest output


class Block(NamedTuple):
    """Parameters of a block."""

    conv: Conv2d
    norm: Norm | None = None
    shortcut: Conv2d | None = None


class Design(NamedTuple):
    """What all blocks of a network share."""

    kernel: tuple[int, int]
    scheme: Any
    activation: Any
    commutes: bool  # whether a max pool may come before bias and activation
    norm: str | None
    groups: int
    pool: str
    window: tuple[int, int, int]  # size, stride and padding of the pool
    method: str | None


class Layer(NamedTuple):
    """One block's own sizes."""

    outputs: Size
    inputs: Size
    stride: int
    pooled: bool
    residual: bool


def init_block(key, design: Design, layer: Layer):
    """Draws a block; its running statistics are None without batch norm."""
    # the shortcut has a key of its own, so that blocks with and without have the same weights
    conv_key, shortcut_key = jax.random.split(key)
    scheme = design.scheme
    conv = layers.init_conv2d(conv_key, layer.outputs, layer.inputs, design.kernel, scheme)
    norm, running = init_norm_of(design.norm, layer.outputs)
    shortcut = None
    if layer.residual:
        shortcut = layers.init_residual(
            shortcut_key,
            layer.outputs,
            layer.inputs,
            layer.stride,
            scheme,
        )
    return Block(conv, norm, shortcut), running


# The largest of some numbers stays the largest when each is added to and goes through a monotone
# function. So a max pool comes first where it may, and bias and activation act on a quarter of the
# places.
def apply_block(
    design: Design,
    layer: Layer,
    block: Block,
    running,
    x,
    train: bool,
):
    """Computes a block: (outputs, running statistics)."""
    early = layer.pooled and design.commutes
    bias = block.conv.bias[:, None, None, None]
    padding = tuple(side // 2 for side in design.kernel)
    bare = block.conv._replace(bias=None)
    y = layers.conv2d(bare, x, layer.stride, padding, method=design.method)
    if design.norm is not None:
        y, running = apply_norm(
            design.norm, block.norm, running, y + bias, layer.outputs, design.groups, train
        )
    elif not early:
        y = y + bias
    if layer.residual:
        y = layers.residual(block.shortcut, x, y, layer.stride, method=design.method)
    if early:
        y = _pooled(design, y)
        y = y if design.norm is not None else y + bias
    # an activation may have another value than 0 at 0: dead channels are cleared behind it
    y = layers.keep(design.activation(y), layer.outputs)
    if layer.pooled and not early:
        y = _pooled(design, y)
    return y, running


def _pooled(design: Design, x):
    pool = POOLS[design.pool]
    return pool(x, *design.window, method=design.method)
