"""The multi-layer perceptron."""

from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, flag, fraction, positive_int
from jaxdl.layers import (
    activation_of,
    check_features,
    dense,
    dropout,
    flatten,
    init_dense,
    keep,
    scheme_of,
)
from jaxdl.models.depth import apply_deep, check_depth, init_deep
from jaxdl.types import Model, Padded, Size, capacity, check_padded, traced


def mlp(
    inputs: Size,
    hidden: Sequence[Size] = (20,),
    outputs: Size = 2,
    *,
    activation="relu",
    init="he_normal",
    bias: bool = True,
    dropout_rate=None,
    depth: Size | None = None,
) -> Model:
    """Builds h_i = f(W_i h_(i-1) + b_i), outputs = W_n h_(n-1) + b_n.

    Args:
      inputs: number of features: the product of all axes of an example.
      hidden: width of every hidden layer; ints or `Padded`.
      outputs: number of outputs (logits).
      activation: a name of `layers.ACTIVATIONS` or a function with f(x) of x's shape.
      init: a name of `layers.INITS` or a scheme ``(key, outputs, inputs) -> Dense``, such as
        ``layers.normal(0.1)``.
      bias: False leaves out every bias, which equals biases that start at zero and are never
        updated.
      dropout_rate: after each hidden layer, in [0, 1), may be traced; None or 0 for no dropout.
      depth: so many hidden layers of the one width in `hidden`; an int or `Padded`: layers beyond
        the live number hand their input on. Each has the same draws at every depth, so has the
        output layer. None: as many layers as `hidden` has widths.

    Returns:
      A `Model` with ``apply`` from (inputs, batch) to (outputs, batch), pictures and sequences
      read as one axis of features; params are a tuple of `layers.Dense`, with a depth a
      `depth.Deep` of them.

    >>> params, state = mlp(2, (3,), 2).init(jax.random.key(0))
    >>> [layer.weight.shape for layer in params]
    [(3, 2), (2, 3)]
    """
    hidden = _widths(hidden)
    if dropout_rate is not None and not traced(dropout_rate):
        fraction("dropout_rate", dropout_rate)
    flag("bias", bias)
    sizes = (inputs, *hidden, outputs)
    _check_sizes(inputs, hidden, outputs)
    scheme = scheme_of("init", init)
    nonlinear = activation_of("activation", activation)
    if depth is not None:
        check_depth(depth, hidden)

    def initialise(key):
        if depth is not None:
            return init_deep(key, inputs, hidden[0], outputs, depth, scheme, bias), ()
        keys = jax.random.split(key, len(sizes) - 1)
        layers = []
        for layer_key, width, before in zip(keys, sizes[1:], sizes[:-1], strict=True):
            layer = init_dense(layer_key, width, before, scheme, bias)
            layers.append(layer)
        return tuple(layers), ()

    def apply(params, state, x, *, key=None, train=False):
        x = flatten(x) if jnp.ndim(x) > 2 else x
        check_features(x, capacity(inputs))
        drops = train and (traced(dropout_rate) or bool(dropout_rate))
        if depth is not None:
            drops_with = (key, dropout_rate) if drops else ()
            return apply_deep(params, x, hidden[0], depth, nonlinear, *drops_with), state
        *inner, last = params
        for index, (layer, width) in enumerate(zip(inner, hidden, strict=True)):
            # An activation may have another value than 0 at 0 (a sigmoid's is 1/2): units beyond a
            # padded width are cleared behind it, else the next layer would see them.
            x = keep(nonlinear(dense(layer, x)), width)
            if drops:
                own_key = jax.random.fold_in(key, index)
                x = dropout(x, own_key, dropout_rate)
        return dense(last, x), state

    return Model(initialise, apply)


def _check_sizes(inputs: Size, hidden: tuple, outputs: Size):
    """Refuses sizes that are neither positive ints nor padded."""
    named = [("inputs", inputs)]
    named += [("hidden", width) for width in hidden]
    named.append(("outputs", outputs))
    for name, size in named:
        if isinstance(size, Padded):
            check_padded(name, size)
        else:
            positive_int(name, size)


def _widths(hidden) -> tuple:
    """Lists the widths of the hidden layers, one each."""
    single = isinstance(hidden, (str, Mapping, Padded)) or not isinstance(hidden, Iterable)
    if single or getattr(hidden, "ndim", 1) != 1:
        remedy = f"write hidden=({hidden if isinstance(hidden, (int, Padded)) else 20!r},)"
        raise ValueError(f"hidden must be a sequence of widths, got {brief(hidden)}: {remedy}")
    return tuple(hidden)
