"""Replicates R3's convolutional model (`references.R3`): a convolution along a layer's units."""

import jax

from jaxdl import layers
from jaxdl.checks import flag, positive_int
from jaxdl.layers import (
    activation_of,
    check_features,
    dense,
    init_conv1d,
    init_dense,
    scheme_of,
)
from jaxdl.types import Model


def convolution(
    inputs: int = 2,
    hidden: int = 1,
    channels: int = 1,
    kernel: int = 1,
    *,
    activation="tanh",
    output_activation="tanh",
    init="torch",
    bias: bool = True,
) -> Model:
    """Makes the model h = f(W x + b), outputs = g(conv1d(h)), h read as a sequence of one feature.

    All places and channels are rows. R3's model is the smallest one, all sizes 1; its
    second tanh bounds the logit to (-1, 1).

    Args:
      inputs: number of features.
      hidden: units of the dense layer, the length of the sequence.
      channels: output channels of the convolution.
      kernel: length of its window, at most `hidden`.
      activation, output_activation: f and g, names of `layers.ACTIVATIONS` or functions.
      init: a name of `layers.INITS` or a scheme ``(key, outputs, inputs) -> Dense``.
      bias: False leaves out every bias.

    Returns:
      A `Model` with ``apply`` from (inputs, batch) to ((hidden - kernel + 1) * channels, batch).

    >>> params, state = convolution(2, hidden=5, channels=2, kernel=3).init(jax.random.key(0))
    >>> [layer.weight.shape for layer in params]
    [(5, 2), (2, 1, 3)]
    """
    for name, size in (("inputs", inputs), ("hidden", hidden), ("channels", channels)):
        positive_int(name, size)
    positive_int("kernel", kernel, most=hidden)
    scheme, bias = scheme_of("init", init), flag("bias", bias)
    f = activation_of("activation", activation)
    g = activation_of("output_activation", output_activation)

    def initialise(key):
        first, second = jax.random.split(key)
        units = init_dense(first, hidden, inputs, scheme, bias)
        window = init_conv1d(second, channels, 1, kernel, scheme, bias)
        return (units, window), ()

    def apply(params, state, x, *, key=None, train=False):
        check_features(x, inputs)
        sequence = f(dense(params[0], x))[:, None, :]  # (time, 1, batch)
        outputs = g(layers.conv1d(params[1], sequence))
        return outputs.reshape(-1, x.shape[-1]), state

    return Model(initialise, apply)
