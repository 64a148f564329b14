"""Convolutional networks: blocks of convolution, norm, activation and pool; then one affine map."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from jaxdl import layers
from jaxdl.checks import brief, flag, fraction, one_of, positive_int
from jaxdl.layers.conv import kernel_of
from jaxdl.layers.pool import pool_windows
from jaxdl.lowering.windows import method_of, windows_of
from jaxdl.models.blocks import MONOTONE, POOLS, Block, Design, Layer, apply_block, init_block
from jaxdl.models.pictures import (
    NORMS,
    check_groups,
    check_picture,
    check_size,
    picture_of,
)
from jaxdl.types import Model, Padded, Size, capacity, live, traced


class Network(NamedTuple):
    """All that `cnn` was asked for, checked."""

    design: Design
    blocks: list[Layer]
    inputs: tuple[int, int, int]
    outputs: Size
    dropout_rate: Any
    global_average: bool


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
    inputs = picture_of(inputs)
    blocks = _layers(channels, inputs[0], strides, pools, flag("residual", residual))
    check_size("outputs", outputs)
    for layer in blocks:
        check_groups(norm, groups, layer.outputs)
    flag("global_average", global_average)
    network = Network(design, blocks, inputs, outputs, dropout_rate, global_average)
    return Model(_initialiser(network), _applier(network))


def _initialiser(network: Network) -> Callable:
    """Makes the function that draws a network: ``(key) -> (params, state)``."""
    design = network.design
    units = _units(network)

    def initialise(key):
        *keys, head_key = jax.random.split(key, len(network.blocks) + 1)
        blocks = []
        state = []
        for block_key, layer in zip(keys, network.blocks, strict=True):
            block, running = init_block(block_key, design, layer)
            blocks.append(block)
            state.append(running)
        head = layers.init_dense(head_key, network.outputs, units, design.scheme)
        has_state = design.norm == "batch"
        return (tuple(blocks), head), tuple(state) if has_state else ()

    return initialise


def _applier(network: Network) -> Callable:
    """Makes the function that computes a network, as `Model.apply` is."""
    rate = network.dropout_rate
    drops = traced(rate) or rate > 0

    def apply(params, state, x, *, key=None, train=False):
        check_picture(x, network.inputs, any_side=network.global_average)
        blocks, head = params
        after = []
        for index, (block, layer) in enumerate(zip(blocks, network.blocks, strict=True)):
            running = state[index] if state else None
            x, running = apply_block(network.design, layer, block, running, x, train)
            after.append(running)
        x = layers.global_avg_pool(x) if network.global_average else layers.flatten(x)
        if train and drops:
            x = layers.dropout(x, key, rate)
        outputs = layers.dense(head, x)
        return outputs, tuple(after) if state else state

    return apply


def _layers(
    channels,
    inputs: int,
    strides,
    pools,
    residual: bool,
) -> list[Layer]:
    """Lists the blocks' sizes, one by one."""
    single = isinstance(channels, (str, Padded)) or not isinstance(channels, Iterable)
    channels = () if single else tuple(channels)
    if not channels:
        raise ValueError("channels must be a sequence of at least one number of channels")
    for size in channels:
        check_size("channels", size)
    before = (inputs, *channels[:-1])
    strides = _each("strides", strides, len(channels))
    pools = _each("pools", pools, len(channels))
    blocks = []
    for index, sizes in enumerate(zip(channels, before, strides, pools, strict=True)):
        outputs, inputs, stride, pooled = sizes
        layer = Layer(
            outputs=outputs,
            inputs=inputs,
            stride=positive_int("strides", stride),
            pooled=flag("pools", pooled),
            residual=residual and index > 0,
        )
        blocks.append(layer)
    return blocks


def _each(name: str, value, count: int) -> list:
    """Gives one value for every block."""
    values = list(value) if isinstance(value, (tuple, list)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name} must be one value or one for each of {count}, got {brief(value)}")
    return values


def _units(network: Network) -> Size:
    """Counts what the affine map reads: every channel, at all places unless they are averaged."""
    channels = network.blocks[-1].outputs
    if network.global_average:
        return channels
    height, width = _places(network)
    return _times(channels, height * width)


def _places(network: Network) -> tuple[int, int]:
    """Computes the sides of the pictures behind the last block."""
    _, *sides = network.inputs
    kernel = network.design.kernel
    padding = tuple(side // 2 for side in kernel)
    for layer in network.blocks:
        windows = windows_of(kernel, layer.stride, padding, sides)
        sides = _sides(sides, windows)
        if layer.pooled:
            windows = pool_windows(sides, *network.design.window)
            sides = _sides(sides, windows)
    height, width = sides
    return height, width


def _sides(sides, windows) -> list[int]:
    return [window.places(side) for window, side in zip(windows, sides, strict=True)]


def _times(size: Size, factor: int) -> Size:
    if isinstance(size, Padded):
        return Padded(live(size) * factor, capacity(size) * factor)
    return size * factor


__all__ = ["Block", "cnn"]
