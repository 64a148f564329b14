"""Hidden layers whose number may differ between the lanes of one program."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, positive_int
from jaxdl.layers import Dense, dense, dropout, init_dense, keep
from jaxdl.types import Padded, Size, capacity, check_padded, live

# Layers of the scan in one round: so many are one straight program, which XLA fuses as if each had
# been written down; of a deeper network it stays as small.
UNROLLED = 16


class Deep(NamedTuple):
    """Parameters of a network of d hidden layers of one width.

    Attributes:
      first: the first hidden layer.
      later: the other d - 1 with a leading axis of layers; weight (d - 1, width, width).
      read_out: the output layer.
    """

    first: Dense
    later: Dense
    read_out: Dense


def check_depth(depth: Size, hidden: tuple):
    """Refuses a depth that is no positive integer, and one beside several widths."""
    if isinstance(depth, Padded):
        check_padded("depth", depth)
    else:
        positive_int("depth", depth)
    if len(hidden) != 1:
        raise ValueError(
            f"hidden must be one width where depth is given, such as hidden=(20,), got "
            f"{brief(hidden)}"
        )


def init_deep(
    key, inputs: Size, width: Size, outputs: Size, depth: Size, scheme, bias: bool
) -> Deep:
    """Draws the layers; those beyond a padded depth are exactly zero.

    Args:
      key: consumed.
      scheme, bias: see `layers.init_dense`.
    """
    # A layer's key depends on its place alone. The read-out has the second one, not the last one,
    # which would be another at every depth: so a deeper network of a seed is the shallower one with
    # layers put in before its read-out, and at depth 1 it is that of `mlp` without a depth.
    most = capacity(depth)
    first_key, read_out_key, *later_keys = jax.random.split(key, most + 1)
    later = [init_dense(each, width, width, scheme, bias) for each in later_keys]
    first = init_dense(first_key, width, inputs, scheme, bias)
    if later:
        stacked = jax.tree.map(lambda *layers: jnp.stack(layers), *later)
    else:
        stacked = _no_layers(first, width)
    kept = jax.tree.map(lambda leaf: keep(leaf, _later(depth)), stacked)
    return Deep(first, kept, init_dense(read_out_key, outputs, width, scheme, bias))


def _later(depth: Size) -> Size:
    """The number of hidden layers after the first."""
    return Padded(live(depth) - 1, capacity(depth) - 1) if isinstance(depth, Padded) else depth - 1


def _no_layers(first: Dense, width: Size) -> Dense:
    """A stack of no layers: depth 1 has the tree of every other depth, which a plan compares."""
    shape = (0, capacity(width), capacity(width))
    offset = None if first.bias is None else jnp.zeros((0, *first.bias.shape), first.bias.dtype)
    return Dense(jnp.zeros(shape, first.weight.dtype), offset)


def apply_deep(
    params: Deep, x, width: Size, depth: Size, nonlinear: Callable, dropout_key=None, rate=None
):
    """Computes the outputs: h_i = f(W_i h_(i-1) + b_i), and a read-out of the last live layer.

    Args:
      x: (inputs, batch).
      nonlinear: f.
      dropout_key: of dropout at this rate after every hidden layer; None for none.

    Returns:
      (outputs, batch).
    """

    def hidden(layer: Dense, index, h):
        h = keep(nonlinear(dense(layer, h)), width)
        if dropout_key is None:
            return h
        return dropout(h, jax.random.fold_in(dropout_key, index), rate)

    # Lanes of one program go through the layers of the deepest of them. Beyond its own depth a lane
    # hands its hidden units on; the select gives the layers there a gradient of exactly zero.
    def following(before, now):
        index, layer = now
        after = hidden(layer, index, before)
        if isinstance(depth, Padded):
            after = jnp.where(index < live(depth), after, before)
        return after, None

    h = hidden(params.first, 0, x)
    layers = (jnp.arange(1, capacity(depth)), params.later)
    unroll = max(1, min(UNROLLED, capacity(depth) - 1))
    h, _ = jax.lax.scan(following, h, layers, unroll=unroll)
    return dense(params.read_out, h)
