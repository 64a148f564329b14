"""Per-example losses and metrics: ``(outputs, targets) -> (batch,)``.

Shapes and types that do not fit are refused: broadcasting would make a wrong number of them. A
target that a function is not defined for (class 2 of 2, a probability of 1.5) gives NaN, so that
its lane counts as diverged. Losses of outputs of half precision are computed in float32.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Integer, Real

from jaxdl.checks import number_between
from jaxdl.checks.targets import class_count, in_float32, one_output, paired
from jaxdl.types import AnyArray, PerExample, traced

__all__ = [
    "SIGNED",
    "accuracy",
    "binary_accuracy",
    "binary_cross_entropy",
    "cross_entropy",
    "one_hot",
    "perceptron",
    "perceptron_mistakes",
    "rounded_accuracy",
    "sign_accuracy",
    "smoothed_cross_entropy",
    "squared_error",
]

Logits = Float[AnyArray, "classes batch"]
ClassNumbers = Integer[AnyArray, "batch"] | Bool[AnyArray, "batch"]
Output = Float[AnyArray, "1 batch"]  # of a model that has one
Outputs = Float[AnyArray, "labels batch"]
Numbers = Real[AnyArray, "batch"] | Bool[AnyArray, "batch"]  # of one output
Labels = Numbers | Real[AnyArray, "labels batch"] | Bool[AnyArray, "labels batch"]
PerExampleValues = Float[Array, "batch"]


def one_hot(targets: ClassNumbers, classes: int) -> Float[Array, "{classes} batch"]:
    """Turns class numbers (batch,) into columns (classes, batch) of float32."""
    return (jnp.arange(classes)[:, None] == targets[None, :]).astype(jnp.float32)


def cross_entropy(outputs: Logits, targets: ClassNumbers) -> PerExampleValues:
    """Computes the softmax cross-entropy, -log softmax(outputs)[target].

    Written as a one-hot product: the gradient of an indexed look-up is a scatter, which is slow on
    CPUs.

    Args:
      outputs: logits (classes, batch), of two classes or more.
      targets: class numbers 0..classes-1, (batch,), int; another one gives NaN.

    Raises:
      ValueError: other shapes, one-hot targets, floats, a single output.

    >>> [f"{loss:.4f}" for loss in cross_entropy(jnp.zeros((2, 1)), jnp.array([1]))]
    ['0.6931']
    """
    classes = class_count("cross_entropy", outputs, targets)
    outputs = in_float32(outputs)
    if classes == 2:
        loss = _two_class_entropy(outputs, targets)
    else:
        log_probabilities = jax.nn.log_softmax(outputs, axis=0)
        loss = -jnp.sum(one_hot(targets, classes) * log_probabilities, axis=0)
    return jnp.where(_among(targets, classes), loss, jnp.nan)


def _two_class_entropy(outputs, targets):
    """Computes the cross-entropy of two classes from the one number that it depends on.

    -log softmax(z)[target] = log(1 + exp(d)), where d = z[other] - z[target]; written so that it
    overflows nowhere. One exponential in place of two: a step of an MLP 2-20-2 was measured to take
    0.8 to 0.95 of the time from batch 32 on.
    """
    of_class_0 = outputs[1] - outputs[0]
    d = jnp.where(targets == 1, -of_class_0, of_class_0)
    # max(d, 0) and -|d|, selected by one condition: their slopes at 0 have to add up to 1/2, which
    # those of JAX's maximum and absolute value there do not; a network of zeros starts at d = 0
    wrong = d > 0
    loss = jnp.where(wrong, d, 0.0) + jnp.log(1.0 + jnp.exp(jnp.where(wrong, -d, d)))
    # A logit of +-infinity has no softmax in float32: NaN, as with more classes. Here d might be
    # -infinity, and the loss of a lane that has exploded a perfect 0.
    return jnp.where(jnp.isfinite(d), loss, jnp.nan)


def smoothed_cross_entropy(smoothing: Real[ArrayLike, ""]) -> PerExample:
    """Makes the softmax cross-entropy whose labels are smoothed (Szegedy et al., 2016).

    The target has probability 1 - smoothing (1 - 1/classes) and every other class smoothing /
    classes, as under PyTorch's ``label_smoothing``. A task's loss, and so its history, is then this
    one: ``task._replace(loss=losses.smoothed_cross_entropy(hp.smoothing))``.

    Args:
      smoothing: from 0 to 1; may be a value of hp.

    Returns:
      A loss ``(outputs, targets) -> (batch,)`` like `cross_entropy`, with its errors.

    Raises:
      ValueError: a number out of range.

    >>> loss = smoothed_cross_entropy(0.2)
    >>> [f"{value:.4f}" for value in loss(jnp.array([[2.0], [0.0]]), jnp.array([0]))]
    ['0.3269']
    """
    if not traced(smoothing):
        number_between("smoothing", smoothing, 0.0, 1.0)
    return functools.partial(_smoothed_cross_entropy, smoothing=smoothing)


def _smoothed_cross_entropy(outputs: Logits, targets: ClassNumbers, *, smoothing):
    """Computes (1 - s) cross_entropy - s mean(log softmax(outputs))."""
    classes = class_count("smoothed_cross_entropy", outputs, targets)
    log_probabilities = jax.nn.log_softmax(in_float32(outputs), axis=0)
    labels = (1 - smoothing) * one_hot(targets, classes) + smoothing / classes
    loss = -jnp.sum(labels * log_probabilities, axis=0)
    return jnp.where(_among(targets, classes), loss, jnp.nan)


def plain(function: Callable) -> Callable:
    """Gives the function behind a smoothed loss of ours; any other function as it is.

    What a user binds arguments to is theirs: labels may mean something else there.
    """
    ours = getattr(function, "func", None) is _smoothed_cross_entropy
    return _smoothed_cross_entropy if ours else function


def binary_cross_entropy(outputs: Outputs, targets: Labels) -> PerExampleValues:
    """Computes the cross-entropy of one logit z: log(1 + exp(-z)) for class 1, log(1 + exp(z)) for
    class 0.

    Written as softplus(z) - z y, which overflows nowhere: softplus(z) = max(z, 0) +
    log1p(exp(-|z|)).

    Several labels an example are as many losses, of which this is the mean.

    Args:
      outputs: z, (1, batch) or (labels, batch).
      targets: 0, 1 or a probability between them, (batch,) or (labels, batch); another number gives
        NaN.

    Raises:
      ValueError: shapes that do not fit.

    >>> binary_cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1, 1])).tolist()
    [0.0, 10000.0]
    """
    logit, targets = paired("binary_cross_entropy", outputs, targets)
    loss = jax.nn.softplus(logit) - logit * targets
    return _mean_over_labels(jnp.where(_probable(targets), loss, jnp.nan))


def squared_error(
    outputs: Float[AnyArray, "*outputs batch"],
    targets: Numbers | Real[AnyArray, "*outputs batch"] | Bool[AnyArray, "*outputs batch"],
) -> PerExampleValues:
    """Computes the squared error, summed over the outputs.

    Args:
      outputs: (outputs, batch), or of more axes with the batch last.
      targets: of the same shape or, for one output, (batch,).

    Raises:
      ValueError: shapes that do not fit.

    >>> squared_error(jnp.array([[1.0, 2.0], [3.0, 5.0]]), jnp.ones((2, 2))).tolist()
    [4.0, 17.0]
    """
    outputs, targets = paired("squared_error", outputs, targets)
    return jnp.sum((outputs - targets) ** 2, axis=tuple(range(outputs.ndim - 1)))


def accuracy(outputs: Logits, targets: ClassNumbers) -> PerExampleValues:
    """Gives 1 where the largest logit is the target's, else 0; ties go to the lower class.

    Args:
      outputs: logits (classes, batch), of two classes or more.
      targets: class numbers 0..classes-1, (batch,), int; another one gives NaN.

    Raises:
      ValueError: see `cross_entropy`.
    """
    classes = class_count("accuracy", outputs, targets)
    hit = (jnp.argmax(outputs, axis=0) == targets).astype(jnp.float32)
    return jnp.where(_among(targets, classes), hit, jnp.nan)


def binary_accuracy(outputs: Outputs, targets: Labels) -> PerExampleValues:
    """Gives 1 where a logit is above 0 for class 1 and not above it for class 0, else 0; the mean
    over several labels.

    Args:
      outputs: logit, (1, batch) or (labels, batch).
      targets: 0 or 1, (batch,) or (labels, batch). A probability above 1/2 counts as class 1, any
        other as class 0; what lies outside of [0, 1] gives NaN.

    Raises:
      ValueError: shapes that do not fit.

    >>> binary_accuracy(jnp.array([[0.5, 0.0, -3.0]]), jnp.array([1, 1, 0])).tolist()
    [1.0, 0.0, 1.0]
    """
    logit, targets = paired("binary_accuracy", outputs, targets)
    hit = ((logit > 0) == (targets > 0.5)).astype(jnp.float32)
    return _mean_over_labels(jnp.where(_probable(targets), hit, jnp.nan))


def rounded_accuracy(outputs: Outputs, targets: Labels) -> PerExampleValues:
    """Gives 1 where an output that regresses on 0 and 1 is on its target's side of 1/2, else 0; 1/2
    counts as class 0.

    Args as for `binary_accuracy`, the output in the targets' units.

    >>> rounded_accuracy(jnp.array([[0.6, 0.5, 0.4]]), jnp.array([1, 1, 0])).tolist()
    [1.0, 0.0, 1.0]
    """
    return binary_accuracy(outputs - 0.5, targets)


def sign(outputs: Real[AnyArray, "*any"]) -> Float[Array, "*any"]:
    """Gives +1 where an output is at least 0, else -1: sign(0) = +1."""
    return jnp.where(outputs >= 0, 1.0, -1.0)


def sign_accuracy(outputs: Output, targets: Labels) -> PerExampleValues:
    """Gives 1 where sign(f) is the target, with sign(0) = +1, else 0.

    Args:
      outputs: f, (1, batch).
      targets: +1 or -1, (batch,); another number gives NaN.

    Raises:
      ValueError: shapes that do not fit, more than one output.

    >>> sign_accuracy(jnp.array([[0.0, 0.0, -3.0]]), jnp.array([1, -1, -1])).tolist()
    [1.0, 0.0, 1.0]
    """
    f, y = _signed("sign_accuracy", outputs, targets)
    return jnp.where(jnp.isnan(y), jnp.nan, (sign(f) == y).astype(jnp.float32))


def perceptron(outputs: Output, targets: Labels) -> PerExampleValues:
    """Computes the perceptron criterion: -y f where y f <= 0, else 0 (Rosenblatt, 1958).

    Its gradient is the rule ``if y f <= 0: w += lr y x``. It is active at y f = 0, hence at a zero
    start, where the gradient of max(0, -y f) would be half of that.

    Args:
      outputs: f, (1, batch).
      targets: +1 or -1, (batch,); another number gives NaN.

    Raises:
      ValueError: shapes that do not fit, more than one output.

    >>> perceptron(jnp.array([[2.0, 2.0]]), jnp.array([1, -1])).tolist()
    [0.0, 2.0]
    """
    f, y = _signed("perceptron", outputs, targets)
    return _unless(y * f > 0, y * f)


def perceptron_mistakes(outputs: Output, targets: Labels) -> PerExampleValues:
    """Computes -y f where sign(f) is not y, else 0: the sum over misclassified points.

    It differs from `perceptron` at f = 0 alone, where sign(0) = +1 leaves out the points of class
    +1. Args as for `perceptron`.

    >>> loss = lambda f: perceptron_mistakes(f, jnp.array([1, -1])).sum()
    >>> jax.grad(loss)(jnp.zeros((1, 2))).tolist()
    [[-0.0, 1.0]]
    """
    f, y = _signed("perceptron_mistakes", outputs, targets)
    return _unless((sign(f) == y) & ~jnp.isnan(f), y * f)


def _unless(content, margin):
    """Gives 0 where a condition holds, else -y f."""
    # A NaN fails every comparison. With "content" as the condition it falls to -y f, which is NaN;
    # with "wrong" as the condition it would fall to 0, and a broken lane would look perfect.
    return jnp.where(content, 0.0, -margin)


def _among(targets, classes: int):
    """Tells which targets are one of the class numbers, (batch,)."""
    return (targets >= 0) & (targets < classes)


def _probable(targets):
    """Tells which targets are the probability of a class."""
    return (targets >= 0) & (targets <= 1)


def _mean_over_labels(values):
    """Averages over all axes but the batch."""
    return jnp.mean(values, axis=tuple(range(values.ndim - 1))) if values.ndim > 1 else values


def _signed(name: str, outputs, targets):
    """Returns the output f and the target y, (batch,) each; y is NaN where it is neither +1 nor
    -1."""
    f, y = one_output(name, outputs, targets)
    return f, jnp.where(jnp.abs(y) == 1, y, jnp.nan)


SIGNED = (perceptron, perceptron_mistakes)  # criteria whose targets are +1 and -1
OF_SIGNS = (*SIGNED, sign_accuracy)
SHARES = (accuracy, binary_accuracy, rounded_accuracy, sign_accuracy)  # values from 0 to 1
# whose targets are class numbers below the number of outputs
OF_CLASSES = (cross_entropy, _smoothed_cross_entropy, accuracy)
# whose targets are from 0 to 1
OF_PROBABILITIES = (binary_cross_entropy, binary_accuracy, rounded_accuracy)
# Losses that have a gradient; each is of an example alone, whatever the others of its batch are.
WITH_GRADIENT = (
    cross_entropy,
    _smoothed_cross_entropy,
    binary_cross_entropy,
    squared_error,
    *SIGNED,
)
