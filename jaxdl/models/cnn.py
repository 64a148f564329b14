"""Convolutional networks: blocks of convolution, norm, activation and pool; then one affine map."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

from jaxdl import layers
from jaxdl.checks import brief, flag, fraction, one_of, positive_int
from jaxdl.layers import Conv2d, Norm
from jaxdl.layers.conv import kernel_of
from jaxdl.layers.pool import pool_windows
from jaxdl.lowering.windows import method_of, windows_of
from jaxdl.models.pictures import (
    NORMS,
    apply_norm,
    check_groups,
    check_picture,
    check_size,
    init_norm_of,
    picture_of,
)
from jaxdl.types import Model, Padded, Size, capacity, live, traced

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


def cnn(
    channels,
    outputs: Size = 10,
    *,
    inputs: tuple[int, int, int] = (3, 32, 32),
    kernel=3,
    strides=1,
    pools=True,
    pool: str = "max",
    pool_window: int = 3,
    pool_stride: int = 2,
    pool_padding: int = 1,
    norm: str | None = None,
    groups: int = 8,
    residual: bool = False,
    dropout_rate=0.0,
    global_average: bool = False,
    activation="relu",
    init="he_normal",
    method: str | None = None,
) -> Model:
    """Builds x -> f(norm(W * x + b)), pooled, for each block; then an affine map of all units.

    Args:
      channels: of every block, ints or `Padded`.
      outputs: number of outputs (logits).
      inputs: (channels, height, width) of a picture.
      kernel: side of the kernels, or (rows, columns); padded by half of it.
      strides: of the convolutions: one for all blocks or one a block.
      pools: whether a block ends with a pool: one answer for all blocks or one a block.
      pool: ``"max"`` or ``"avg"``.
      pool_window, pool_stride, pool_padding: of every pool.
      norm: None, ``"batch"`` (then the model has state), ``"layer"`` (over channels, at every
        place) or ``"group"``.
      groups: of a group norm.
      residual: whether blocks but the first add their input, through a 1x1 convolution where its
        shape is another.
      dropout_rate: of the units that the affine map reads, in [0, 1); may be traced.
      global_average: whether it reads the mean of every channel instead of all places.
      activation: a name of `layers.ACTIVATIONS` or a function with f(x) of x's shape.
      init: a name of `layers.INITS` or a scheme ``(key, outputs, inputs) -> Dense``.
      method: see `layers.conv2d`.

    Returns:
      A `Model` with ``apply`` from (channels, height, width, batch) to (outputs, batch); params are
      (blocks, head), a tuple of `Block` and a `layers.Dense`; state is a tuple of `layers.Running`
      with batch norm, else ().

    >>> model = cnn((4, 8), inputs=(1, 8, 8))
    >>> (blocks, head), state = model.init(jax.random.key(0))
    >>> [block.conv.weight.shape for block in blocks], head.weight.shape
    ([(4, 1, 3, 3), (8, 4, 3, 3)], (10, 32))
    """
    design = Design(
        kernel=kernel_of(kernel),
        scheme=layers.scheme_of("init", init),
        activation=layers.activation_of("activation", activation),
        commutes=pool == "max" and activation in MONOTONE,
        norm=one_of("norm", norm, NORMS),
        groups=positive_int("groups", groups),
        pool=one_of("pool", pool, POOLS),
        window=(pool_window, pool_stride, pool_padding),
        method=method if method is None else method_of(method),
    )
    if not traced(dropout_rate):
        fraction("dropout_rate", dropout_rate)
    drops = traced(dropout_rate) or dropout_rate > 0
    inputs = picture_of(inputs)
    blocks = _layers(channels, inputs[0], strides, pools, flag("residual", residual))
    check_size("outputs", outputs)
    for layer in blocks:
        check_groups(norm, groups, layer.outputs)
    places = (1, 1) if flag("global_average", global_average) else _places(design, blocks, inputs)
    units = _times(blocks[-1].outputs, places[0] * places[1])

    def initialise(key):
        *keys, head_key = jax.random.split(key, len(blocks) + 1)
        pairs = [_init_block(k, design, layer) for k, layer in zip(keys, blocks, strict=True)]
        head = layers.init_dense(head_key, outputs, units, design.scheme)
        state = tuple(running for _, running in pairs) if norm == "batch" else ()
        return (tuple(block for block, _ in pairs), head), state

    def apply(params, state, x, *, key=None, train=False):
        check_picture(x, inputs, any_side=global_average)
        moved = []
        for index, (block, layer) in enumerate(zip(params[0], blocks, strict=True)):
            running = state[index] if state else None
            x, running = _apply_block(design, layer, block, running, x, train)
            moved.append(running)
        x = layers.global_avg_pool(x) if global_average else layers.flatten(x)
        if train and drops:
            x = layers.dropout(x, key, dropout_rate)
        return layers.dense(params[1], x), tuple(moved) if state else state

    return Model(initialise, apply)


def _init_block(key, design: Design, layer: Layer):
    """Draws a block; its running statistics are None without batch norm."""
    conv_key, shortcut_key = jax.random.split(key)
    conv = layers.init_conv2d(conv_key, layer.outputs, layer.inputs, design.kernel, design.scheme)
    norm, running = init_norm_of(design.norm, layer.outputs)
    shortcut = None
    if layer.residual:
        shortcut = layers.init_residual(
            shortcut_key, layer.outputs, layer.inputs, layer.stride, design.scheme
        )
    return Block(conv, norm, shortcut), running


def _apply_block(design: Design, layer: Layer, block: Block, running, x, train: bool):
    """Computes a block: (outputs, running statistics).

    The largest of some numbers stays the largest when each is added to and goes through a monotone
    function. So a max pool comes first where it may, and both act on a quarter of the places.
    """
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
    y = layers.keep(design.activation(y), layer.outputs)
    return (_pooled(design, y) if layer.pooled and not early else y), running


def _pooled(design: Design, x):
    return POOLS[design.pool](x, *design.window, method=design.method)


def _layers(channels, inputs: int, strides, pools, residual: bool) -> list[Layer]:
    """The blocks' sizes, one by one."""
    single = isinstance(channels, (str, Padded)) or not isinstance(channels, Iterable)
    channels = () if single else tuple(channels)
    if not channels:
        raise ValueError("channels must be a sequence of at least one number of channels")
    for size in channels:
        check_size("channels", size)
    strides = [positive_int("strides", each) for each in _each("strides", strides, len(channels))]
    pools = [flag("pools", each) for each in _each("pools", pools, len(channels))]
    sizes = zip(channels, (inputs, *channels[:-1]), strides, pools, strict=True)
    return [Layer(*size, residual and index > 0) for index, size in enumerate(sizes)]


def _each(name: str, value, count: int) -> list:
    """One value for every block."""
    values = list(value) if isinstance(value, (tuple, list)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name} must be one value or one for each of {count}, got {brief(value)}")
    return values


def _places(design: Design, blocks: list[Layer], inputs) -> tuple[int, int]:
    """The sides of the pictures behind the last block."""
    sides = list(inputs[1:])
    padding = tuple(side // 2 for side in design.kernel)
    for layer in blocks:
        sides = _sides(sides, windows_of(design.kernel, layer.stride, padding, sides))
        if layer.pooled:
            sides = _sides(sides, pool_windows(sides, *design.window))
    return sides[0], sides[1]


def _sides(sides, windows) -> list[int]:
    return [window.places(side) for window, side in zip(windows, sides, strict=True)]


def _times(size: Size, factor: int) -> Size:
    if isinstance(size, Padded):
        return Padded(live(size) * factor, capacity(size) * factor)
    return size * factor
