"""The residual network of small pictures: ResNet-20 and its kin, for CIFAR-10."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxdl import layers
from jaxdl.checks import brief, one_of, positive_int
from jaxdl.layers import Conv2d, Norm
from jaxdl.lowering.windows import method_of
from jaxdl.models.pictures import (
    NORMS,
    apply_norm,
    check_groups,
    check_picture,
    check_size,
    init_norm_of,
    picture_of,
)
from jaxdl.types import Model, Size


class Normed(NamedTuple):
    """Parameters of a convolution and the norm behind it."""

    conv: Conv2d
    norm: Norm | None


class ResidualBlock(NamedTuple):
    """Parameters of y = f(N2(W2 * f(N1(W1 * x))) + shortcut(x))."""

    first: Normed
    second: Normed
    shortcut: Conv2d | None


class Sizes(NamedTuple):
    """A block's own sizes."""

    outputs: Size
    inputs: Size
    stride: int


class Design(NamedTuple):
    """What all blocks share."""

    scheme: Any
    activation: Any
    norm: str | None
    groups: int
    method: str | None


def resnet(
    channels=(16, 32, 64),
    blocks: int = 3,
    outputs: Size = 10,
    *,
    inputs: tuple[int, int, int] = (3, 32, 32),
    norm: str | None = "batch",
    groups: int = 8,
    activation="relu",
    init="he_normal",
    method: str | None = None,
) -> Model:
    """Builds the residual network that He et al. (2016, section 4.2) train on CIFAR-10.

    A 3x3 convolution; stages of `blocks` blocks of two 3x3 convolutions, of which all but the first
    stage halve the sides; the mean of every channel; an affine map. Three stages of 3 blocks are
    ResNet-20, of 9 ResNet-56.

    Args:
      channels: of every stage, ints or `Padded`.
      blocks: in every stage.
      outputs: number of outputs (logits).
      inputs: (channels, height, width) of a picture; sides may differ from these.
      norm, groups, activation, init, method: see `models.cnn`.

    Returns:
      A `Model` with ``apply`` from (channels, height, width, batch) to (outputs, batch); params are
      (stem, blocks, head); state is a tuple of `layers.Running` with batch norm, else ().

    >>> model = resnet((4, 8), blocks=1, inputs=(1, 8, 8))
    >>> (stem, blocks, head), state = model.init(jax.random.key(0))
    >>> [block.first.conv.weight.shape for block in blocks], head.weight.shape, len(state)
    ([(4, 4, 3, 3), (8, 4, 3, 3)], (10, 8), 5)
    """
    design = Design(
        scheme=layers.scheme_of("init", init),
        activation=layers.activation_of("activation", activation),
        norm=one_of("norm", norm, NORMS),
        groups=positive_int("groups", groups),
        method=method if method is None else method_of(method),
    )
    inputs = picture_of(inputs)
    check_size("outputs", outputs)
    sizes = _sizes(channels, positive_int("blocks", blocks))
    for size in sizes:
        check_groups(norm, groups, size.outputs)
    initialise = _initialiser(design, sizes, inputs, outputs)
    apply = _applier(design, sizes, inputs)
    return Model(initialise, apply)


def _initialiser(
    design: Design,
    sizes: list[Sizes],
    inputs: tuple[int, int, int],
    outputs: Size,
) -> Callable:
    """Makes the function that draws a network: ``(key) -> (params, state)``."""
    channels, _, _ = inputs
    narrow = sizes[0].inputs
    wide = sizes[-1].outputs

    def initialise(key):
        stem_key, head_key, *keys = jax.random.split(key, len(sizes) + 2)
        stem, running = _init_normed(stem_key, design, narrow, channels)
        blocks = []
        state = [running]
        for block_key, size in zip(keys, sizes, strict=True):
            block, both = _init_block(block_key, size, design)
            blocks.append(block)
            state += both
        head = layers.init_dense(head_key, outputs, wide, design.scheme)
        has_state = design.norm == "batch"
        return (stem, tuple(blocks), head), tuple(state) if has_state else ()

    return initialise


def _applier(design: Design, sizes: list[Sizes], inputs: tuple[int, int, int]) -> Callable:
    """Makes the function that computes a network, as `Model.apply` is."""
    narrow = sizes[0].inputs

    def apply(params, state, x, *, key=None, train=False):
        # the mean of every channel makes pictures of any side the same to the affine map
        check_picture(x, inputs, any_side=True)
        stem, blocks, head = params
        # in the order of the convolutions: that of the stem, then two a block
        running = iter(state or [None] * (1 + 2 * len(sizes)))
        x, first = _normed(design, stem, next(running), x, narrow, 1, train)
        x = layers.keep(design.activation(x), narrow)
        after = [first]
        for block, size in zip(blocks, sizes, strict=True):
            both = next(running), next(running)
            x, both = _apply_block(design, block, both, x, size, train)
            after += both
        x = layers.global_avg_pool(x)
        outputs = layers.dense(head, x)
        return outputs, tuple(after) if state else state

    return apply


def _sizes(channels, blocks: int) -> list[Sizes]:
    """Lists the sizes of all blocks, in order."""
    if not isinstance(channels, (tuple, list)) or not channels:
        wanted = "a sequence of one number of channels a stage"
        raise ValueError(f"channels must be {wanted}, got {brief(channels)}")
    sizes = []
    before = channels[0]
    for stage, width in enumerate(channels):
        check_size("channels", width)
        for block in range(blocks):
            # a stage begins with half the sides, but for the first one
            halves = stage > 0 and block == 0
            stride = 2 if halves else 1
            sizes.append(Sizes(width, before, stride))
            before = width
    return sizes


def _init_normed(key, design: Design, outputs: Size, inputs: Size):
    """Draws a convolution and its norm: (parameters, running statistics)."""
    bias = design.norm is None  # a norm has its own offset
    conv = layers.init_conv2d(key, outputs, inputs, 3, design.scheme, bias)
    norm, running = init_norm_of(design.norm, outputs)
    return Normed(conv, norm), running


def _init_block(key, size: Sizes, design: Design):
    """Draws a block: (parameters, both running statistics)."""
    first_key, second_key, shortcut_key = jax.random.split(key, 3)
    first, before = _init_normed(first_key, design, size.outputs, size.inputs)
    second, behind = _init_normed(second_key, design, size.outputs, size.outputs)
    shortcut = layers.init_residual(
        shortcut_key, size.outputs, size.inputs, size.stride, design.scheme
    )
    block = ResidualBlock(first, second, shortcut)
    return block, (before, behind)


def _normed(
    design: Design,
    params: Normed,
    running,
    x,
    channels: Size,
    stride: int,
    train: bool,
):
    """Computes a convolution and its norm: (outputs, running statistics)."""
    y = layers.conv2d(params.conv, x, stride, 1, method=design.method)
    if design.norm is None:
        return y, running
    return apply_norm(design.norm, params.norm, running, y, channels, design.groups, train)


# As He et al. have it: the norm before the activation, and the second activation behind the sum.
# Dead channels are cleared behind each activation, which may have another value than 0 at 0.
def _apply_block(
    design: Design,
    block: ResidualBlock,
    running,
    x,
    size: Sizes,
    train: bool,
):
    """Computes a block: (outputs, both running statistics)."""
    channels = size.outputs
    before, behind = running
    y, first = _normed(design, block.first, before, x, channels, size.stride, train)
    y = layers.keep(design.activation(y), channels)
    y, second = _normed(design, block.second, behind, y, channels, 1, train)
    y = layers.residual(block.shortcut, x, y, size.stride, method=design.method)
    y = layers.keep(design.activation(y), channels)
    return y, (first, second)
