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
    """y = (x - mean) / sqrt(variance + epsilon) * scale + offset, a channel at a time.

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
        return _affine(params, wide, state.mean, state.variance, epsilon).astype(x.dtype), state
    axes = tuple(range(1, x.ndim))
    # Places count as examples: a channel of a picture is one feature, seen at all its places.
    count = math.prod(x.shape[1:])
    if count < 2:
        raise ValueError(
            f"batch norm needs more than one value a channel in training, got x of shape {x.shape}"
        )
    mean, variance = jnp.mean(wide, axes), jnp.var(wide, axes)
    y = _affine(params, wide, mean, variance, epsilon).astype(x.dtype)

    def moved(old, new):
        return ((1 - momentum) * old + momentum * new).astype(old.dtype)

    unbiased = variance * (count / (count - 1))
    return y, Running(moved(state.mean, mean), moved(state.variance, unbiased))


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
    return (y * params.scale.reshape(shape) + params.offset.reshape(shape)).astype(x.dtype)


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
    shape = (-1, *[1] * (x.ndim - 1))
    if isinstance(size, Padded) and groups == 1:
        y = _standardised(_wide(x), tuple(range(x.ndim - 1)), size, epsilon)
    else:
        channels = x.shape[0] if size is None else size
        if channels % groups:  # refuses a padded size, whose groups would differ between lanes
            raise ValueError(f"groups must divide the {channels} channels, got {groups}")
        parts = _wide(x).reshape(groups, -1, *x.shape[1:])
        y = _standardised(parts, tuple(range(1, x.ndim)), None, epsilon).reshape(x.shape)
    return (y * params.scale.reshape(shape) + params.offset.reshape(shape)).astype(x.dtype)


def _wide(x):
    """`x` in a type that sums keep their digits in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _affine(params: Norm, x, mean, variance, epsilon: float):
    shape = (-1, *[1] * (x.ndim - 1))
    factor = params.scale * jax.lax.rsqrt(variance + epsilon)
    return (x - mean.reshape(shape)) * factor.reshape(shape) + params.offset.reshape(shape)


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
