"""Per-example losses and metrics: ``(outputs, targets) -> (batch,)``."""

import jax
import jax.numpy as jnp


def one_hot(targets, classes: int):
    """Class numbers (batch,) as columns (classes, batch) of float32."""
    return (jnp.arange(classes)[:, None] == targets[None, :]).astype(jnp.float32)


def cross_entropy(outputs, targets):
    """Softmax cross-entropy, -log softmax(outputs)[target].

    Written as a one-hot product: the gradient of an indexed look-up is a scatter, which is slow on CPUs.

    Args:
      outputs: logits (classes, batch).
      targets: class numbers (batch,), int.

    >>> cross_entropy(jnp.zeros((2, 1)), jnp.array([1])).round(4).tolist()
    [0.6931]
    """
    log_probabilities = jax.nn.log_softmax(outputs, axis=0)
    return -jnp.sum(one_hot(targets, outputs.shape[0]) * log_probabilities, axis=0)


def squared_error(outputs, targets):
    """Squared error, summed over the outputs.

    Args:
      outputs: (outputs, batch).
      targets: (outputs, batch) or, for one output, (batch,).
    """
    return jnp.sum((outputs - targets.reshape(outputs.shape)) ** 2, axis=0)


def accuracy(outputs, targets):
    """1 where the largest logit is the target's, else 0; ties go to the lower class.

    Args:
      outputs: logits (classes, batch).
      targets: class numbers (batch,), int.
    """
    return (jnp.argmax(outputs, axis=0) == targets).astype(jnp.float32)
