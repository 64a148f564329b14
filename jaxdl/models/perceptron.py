"""The perceptron: one linear threshold unit."""

import jax.numpy as jnp

from jaxdl.checks import flag, positive_int
from jaxdl.layers import Dense, check_features
from jaxdl.types import Model


def perceptron(inputs: int = 2, *, bias: bool = True) -> Model:
    """Computes f = w x + b from a zero start; the class is sign(f), with sign(0) = +1 (Rosenblatt,
    1958).

    The rule that trains it is a criterion of `losses` (`perceptron`, `perceptron_mistakes`)
    under plain SGD, with ``reduction="sum"``.

    Args:
      inputs: number of features.
      bias: False leaves out b: the separating line goes through the origin.

    Returns:
      A `Model` with ``apply`` from (inputs, batch) to (1, batch); params are a `layers.Dense`,
      weight (1, inputs).

    >>> params, state = perceptron(3, bias=False).init(None)
    >>> params.weight.tolist(), params.bias
    ([[0.0, 0.0, 0.0]], None)
    """
    positive_int("inputs", inputs)
    flag("bias", bias)

    def initialise(key):
        weight = jnp.zeros((1, inputs))
        offset = jnp.zeros(1) if bias else None
        return Dense(weight, offset), ()

    def apply(params, state, x, *, key=None, train=False):
        check_features(x, inputs)
        # one row: a product and a sum fuse, a matmul does not
        outputs = jnp.sum(params.weight.T * x, axis=0, keepdims=True)
        if params.bias is not None:
            outputs = outputs + params.bias[:, None]
        return outputs, state

    return Model(initialise, apply)
