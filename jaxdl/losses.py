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

    >>> [f"{loss:.4f}" for loss in cross_entropy(jnp.zeros((2, 1)), jnp.array([1]))]
    ['0.6931']
    """
    log_probabilities = jax.nn.log_softmax(outputs, axis=0)
    return -jnp.sum(one_hot(targets, outputs.shape[0]) * log_probabilities, axis=0)


def binary_cross_entropy(outputs, targets):
    """Cross-entropy of one logit z: log(1 + exp(-z)) for class 1, log(1 + exp(z)) for class 0.

    Written as softplus(z) - z y, which overflows nowhere: softplus(z) = max(z, 0) + log1p(exp(-|z|)).

    Args:
      outputs: z, (1, batch).
      targets: 0 or 1, (batch,).

    >>> binary_cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1, 1])).tolist()
    [0.0, 10000.0]
    """
    logit = outputs[0]
    return jax.nn.softplus(logit) - logit * targets


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


def binary_accuracy(outputs, targets):
    """1 where a logit is above 0 for class 1 and not above it for class 0, else 0.

    Args:
      outputs: logit, (1, batch).
      targets: 0 or 1, (batch,).

    >>> binary_accuracy(jnp.array([[0.5, 0.0, -3.0]]), jnp.array([1, 1, 0])).tolist()
    [1.0, 0.0, 1.0]
    """
    return ((outputs[0] > 0) == (targets > 0)).astype(jnp.float32)


def rounded_accuracy(outputs, targets):
    """1 where an output that regresses on 0 and 1 is on its target's side of 1/2, else 0; 1/2 counts as class 0.

    Args as for `binary_accuracy`, the output in the targets' units.

    >>> rounded_accuracy(jnp.array([[0.6, 0.5, 0.4]]), jnp.array([1, 1, 0])).tolist()
    [1.0, 0.0, 1.0]
    """
    return binary_accuracy(outputs - 0.5, targets)


def sign(outputs):
    """+1 where an output is at least 0, else -1: sign(0) = +1."""
    return jnp.where(outputs >= 0, 1.0, -1.0)


def sign_accuracy(outputs, targets):
    """1 where sign(f) is the target, with sign(0) = +1, else 0.

    Args:
      outputs: f, (1, batch).
      targets: +1 or -1, (batch,).

    >>> sign_accuracy(jnp.array([[0.0, 0.0, -3.0]]), jnp.array([1, -1, -1])).tolist()
    [1.0, 0.0, 1.0]
    """
    return (sign(outputs[0]) == targets).astype(jnp.float32)


def perceptron(outputs, targets):
    """Perceptron criterion: -y f where y f <= 0, else 0 (Rosenblatt, 1958).

    Its gradient is the rule ``if y f <= 0: w += lr y x``. It is active at y f = 0, hence at a zero start, where
    the gradient of max(0, -y f) would be half of that.

    Args:
      outputs: f, (1, batch).
      targets: +1 or -1, (batch,).

    >>> perceptron(jnp.array([[2.0, 2.0]]), jnp.array([1, -1])).tolist()
    [0.0, 2.0]
    """
    margin = targets * outputs[0]
    return jnp.where(margin <= 0, -margin, 0.0)


def perceptron_mistakes(outputs, targets):
    """-y f where sign(f) is not y, else 0: the points that report R1's listing sums over.

    It differs from `perceptron` at f = 0 alone, where sign(0) = +1 leaves out the points of class +1.
    Args as for `perceptron`.

    >>> jax.grad(lambda f: perceptron_mistakes(f, jnp.array([1, -1])).sum())(jnp.zeros((1, 2))).tolist()
    [[-0.0, 1.0]]
    """
    return jnp.where(sign(outputs[0]) != targets, -targets * outputs[0], 0.0)


SIGNED = (perceptron, perceptron_mistakes)  # criteria whose targets are +1 and -1
