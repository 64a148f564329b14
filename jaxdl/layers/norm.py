"""Normalisation: of a batch's channels with running statistics, or of every example alone."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxdl.checks import brief, positive_int
from jaxdl.layers.units import keep
from jaxdl.types import Padded, Size, capacity, live


class Norm(NamedTuple):
    """Parameters of a normalisation: what its outputs are multiplied by, and what is added."""

    scale: Any  # (channels,), or the shape of all axes that are normalised
    offset: Any  # of scale's shape


class Running(NamedTuple):
    """State of a batch norm: what an evaluation normalises by."""

    mean: Any  # (channels,)
    variance: Any  # (channels,)


def init_norm(channels: Size, *places: int) -> Norm:
    """Makes ones and zeros; those beyond a padded number of channels are zeros both.

    Args:
      channels: an int or `Padded`.
      places: sizes of further axes that `layer_norm` is to normalise over.
    """
    shape = capacity(channels), *places
    return Norm(keep(jnp.ones(shape), channels), jnp.zeros(shape))


def init_batch_norm(channels: Size) -> tuple[Norm, Running]:
    """Makes the parameters and the state of a batch norm: running mean 0 and variance 1."""
    params = init_norm(channels)
    return params, Running(jnp.zeros_like(params.scale), params.scale)


def batch_norm(
    params: Norm,
    state: Running,
    x: Num[Array, "channels *places batch"],
    *,
    train: bool,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
) -> tuple[Num[Array, "channels *places batch"], Running]:
    """Computes y = (x - mean) / sqrt(variance + epsilon) * scale + offset, a channel at a time.

    Mean and variance are those over places and batch in training, and the running ones in
    evaluation (Ioffe and Szegedy, 2015). As in PyTorch, the running ones move by `momentum` towards
    the batch's mean and its unbiased variance.

    Args:
      params, state: each (channels,); see `init_batch_norm`.
      x: (channels, ..., batch).
      train: whether this is a step of training.
      momentum: share of the batch in the new running statistics, as in PyTorch; Flax calls the
        rest so.

    Returns:
      (y, state): the state as it was where `train` is False.

    Raises:
      ValueError: a batch with one value a channel, which would be its own mean.
    """
    wide = _wide(x)
    if not train:
        y = _affine(params, wide, state.mean, state.variance, epsilon)
        return y.astype(x.dtype), state
    axes = tuple(range(1, x.ndim))
    # Places count as examples: a channel of a picture is one feature, seen at all its places.
    count = math.prod(x.shape[1:])
    if count < 2:
        raise ValueError(
            f"batch norm needs more than one value a channel in training, got x of shape {x.shape}"
        )
    mean = jnp.mean(wide, axes)
    variance = jnp.var(wide, axes)
    y = _affine(params, wide, mean, variance, epsilon).astype(x.dtype)

    def moved(old, new):
        after = (1 - momentum) * old + momentum * new
        return after.astype(old.dtype)

    # Two variances, as in PyTorch: outputs are divided by the deviation of the batch itself, while
    # the running one estimates that of the data, of which a batch's own is (n - 1) / n on average.
    unbiased = variance * (count / (count - 1))
    after = Running(moved(state.mean, mean), moved(state.variance, unbiased))
    return y, after


def layer_norm(
    params: Norm,
    x: Num[Array, "channels *places batch"],
    *,
    axes: Sequence[int] = (0,),
    size: Size | None = None,
    epsilon: float = 1e-5,
) -> Num[Array, "channels *places batch"]:
    """Normalises every example over its features: mean 0, variance 1, then scale and offset.

    As `torch.nn.LayerNorm` over the same axes (Ba, Kiros and Hinton, 2016). Of a picture the
    channels are normalised at every place, unless `axes` names the places too.

    Args:
      params: `Norm` of the shape of `axes` in x.
      x: (channels, ..., batch).
      axes: that are normalised over, the first of them 0.
      size: of the channels, where they are padded; x is zero beyond.
    """
    axes = tuple(axes)
    shape = tuple(side if axis in axes else 1 for axis, side in enumerate(x.shape))
    if jnp.size(params.scale) != math.prod(shape):
        wanted = f"a scale of shape {tuple(side for side in shape if side > 1)}"
        raise ValueError(f"params must have {wanted} for axes {axes}, got {brief(params.scale)}")
    y = _standardised(_wide(x), axes, size, epsilon)
    y = _scaled(params, y, shape)
    return y.astype(x.dtype)


def group_norm(
    params: Norm,
    x: Num[Array, "channels *places batch"],
    groups: int,
    *,
    size: Size | None = None,
    epsilon: float = 1e-5,
) -> Num[Array, "channels *places batch"]:
    """Normalises every example over the places and channels of each group of channels.

    As `torch.nn.GroupNorm` (Wu and He, 2018); one group is a layer norm over channels and places
    with a scale a channel.

    Args:
      params: each (channels,).
      x: (channels, ..., batch).
      groups: a divisor of the number of channels.
      size: of the channels, where they are padded; then one group is all there may be.
    """
    positive_int("groups", groups)
    # One group of padded channels is all the live ones, whose mean a mask can take. Of several, the
    # bounds would depend on the size: in one program each lane would need other reshapes.
    if isinstance(size, Padded) and groups == 1:
        y = _standardised(_wide(x), tuple(range(x.ndim - 1)), size, epsilon)
    else:
        channels = x.shape[0] if size is None else size
        if channels % groups:  # refuses a padded size, too
            raise ValueError(f"groups must divide the {channels} channels, got {groups}")
        parts = _wide(x).reshape(groups, -1, *x.shape[1:])
        y = _standardised(parts, tuple(range(1, x.ndim)), None, epsilon).reshape(x.shape)
    y = _scaled(params, y, _channel_shape(x))
    return y.astype(x.dtype)


def _wide(x):
    """Gives `x` in a type that sums keep their digits in."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return x.astype(wide)


def _channel_shape(x) -> tuple[int, ...]:
    """Makes the shape in which a number a channel meets x: (channels, 1, ...)."""
    return (-1, *[1] * (x.ndim - 1))


def _scaled(params: Norm, y, shape: tuple[int, ...]):
    """Multiplies by the scale and adds the offset, both brought to a shape."""
    scaled = y * params.scale.reshape(shape)
    return scaled + params.offset.reshape(shape)


# Scale and deviation are one factor, a number a channel, so that the picture is multiplied once.
def _affine(params: Norm, x, mean, variance, epsilon: float):
    """Normalises by a mean and a variance a channel, then scales and shifts."""
    shape = _channel_shape(x)
    factor = params.scale * jax.lax.rsqrt(variance + epsilon)
    centred = x - mean.reshape(shape)
    return centred * factor.reshape(shape) + params.offset.reshape(shape)


# The mean first, then the squares of what is left: a mean of squares minus the square of a mean
# loses all digits where the mean is large beside the deviation.
def _standardised(x, axes, size: Size | None, epsilon: float):
    """Subtracts the mean over some axes and divides by the standard deviation; live rows alone."""
    size = x.shape[axes[0]] if size is None else size
    count = live(size) * math.prod(x.shape[axis] for axis in axes[1:])
    x = keep(x, size, axis=axes[0])  # no gradient beyond either
    mean = jnp.sum(x, axes, keepdims=True) / count
    centred = keep(x - mean, size, axis=axes[0])
    variance = jnp.sum(centred**2, axes, keepdims=True) / count
    return centred * jax.lax.rsqrt(variance + epsilon)
