"""A dense layer whose units are read as a sequence by a 1-D convolution: report R3's convolutional model."""

import jax

from jaxdl import layers
from jaxdl.checks import flag, positive_int
from jaxdl.layers import activation_of, check_features, dense, init_conv1d, init_dense, scheme_of
from jaxdl.types import Model


def conv1d(
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
    """h = f(W x + b), read as a sequence of one feature; outputs = g(conv1d(h)), all places and channels as rows.

    Report R3's model is the smallest one, all sizes 1; its second tanh bounds the logit to (-1, 1).

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

    >>> params, state = conv1d(2, hidden=5, channels=2, kernel=3).init(jax.random.key(0))
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
        dense_params = init_dense(first, hidden, inputs, scheme, bias)
        return (dense_params, init_conv1d(second, channels, 1, kernel, scheme, bias)), ()

    def apply(params, state, x, *, key=None, train=False):
        check_features(x, inputs)
        sequence = f(dense(params[0], x))[:, None, :]  # (time, 1, batch)
        outputs = g(layers.conv1d(params[1], sequence))
        return outputs.reshape(-1, x.shape[-1]), state

    return Model(initialise, apply)
