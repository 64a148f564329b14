"""Trains a report's MLP with one hidden layer in NumPy alone: data, backward pass and steps.

Arrays may have leading axes, such as one of seeds; points are columns. The backward pass is that
which `references.R2` prints: softmax with cross-entropy gives ``p - y``, a linear map ``d x^T`` and
``W^T d``, ReLU lets through what was above zero.
"""

from typing import NamedTuple

import numpy as np

TEST = 0.2  # share of the points


class Weights(NamedTuple):
    """The weights, or their gradients."""

    first: np.ndarray  # (..., hidden, 2)
    first_bias: np.ndarray  # (..., hidden, 1)
    second: np.ndarray  # (..., 2, hidden)
    second_bias: np.ndarray  # (..., 2, 1)


class Points(NamedTuple):
    """Points in the plane and their classes."""

    x: np.ndarray  # (..., 2, points)
    targets: np.ndarray  # one-hot, (..., 2, points)


def outputs(weights: Weights, x):
    """Computes the logits, (..., 2, points)."""
    hidden = np.maximum(weights.first @ x + weights.first_bias, 0)
    return weights.second @ hidden + weights.second_bias


def softmax(logits):
    """Computes the probabilities of both classes."""
    powers = np.exp(logits - logits.max(axis=-2, keepdims=True))
    return powers / powers.sum(axis=-2, keepdims=True)


def loss(weights: Weights, points: Points):
    """Computes the mean cross-entropy, (...)."""
    probabilities = softmax(outputs(weights, points.x))
    return -np.log((probabilities * points.targets).sum(axis=-2)).mean(axis=-1)


def gradients(weights: Weights, points: Points) -> Weights:
    """Computes the gradients of the mean cross-entropy by hand."""
    before = weights.first @ points.x + weights.first_bias
    hidden = np.maximum(before, 0)
    logits = weights.second @ hidden + weights.second_bias
    # softmax with cross-entropy: p - y, over the batch for a mean
    of_logits = (softmax(logits) - points.targets) / np.float32(points.x.shape[-1])
    of_hidden = _transposed(weights.second) @ of_logits
    of_before = of_hidden * (before > 0)
    return Weights(
        of_before @ _transposed(points.x),
        of_before.sum(axis=-1, keepdims=True),
        of_logits @ _transposed(hidden),
        of_logits.sum(axis=-1, keepdims=True),
    )


def _transposed(matrix):
    return np.swapaxes(matrix, -1, -2)


def stepped(weights: Weights, points: Points, rate: float) -> Weights:
    """Takes a step of gradient descent."""
    of_weights = gradients(weights, points)
    pairs = zip(weights, of_weights, strict=True)
    return Weights(*(value - np.float32(rate) * slope for value, slope in pairs))


def accuracy(weights: Weights, points: Points):
    """Computes the share of points right, (...)."""
    right = outputs(weights, points.x).argmax(axis=-2) == points.targets.argmax(axis=-2)
    return right.mean(axis=-1)


def moons(generator, samples: int, noise: float) -> Points:
    """Draws two half circles with normal noise, in random order."""
    angles = np.linspace(0, np.pi, samples // 2), np.linspace(0, np.pi, samples - samples // 2)
    upper = np.stack([np.cos(angles[0]), np.sin(angles[0])])
    lower = np.stack([1 - np.cos(angles[1]), 0.5 - np.sin(angles[1])])
    x = np.concatenate([upper, lower], axis=1)
    x = x + noise * generator.standard_normal(x.shape)
    targets = np.repeat(np.eye(2), [samples // 2, samples - samples // 2], axis=1)
    order = generator.permutation(samples)
    return Points(x[:, order].astype(np.float32), targets[:, order].astype(np.float32))


def initial(generator, width: int) -> Weights:
    """Draws Xavier's uniform weights; biases are zero."""
    zeros = np.zeros((width, 1), np.float32), np.zeros((2, 1), np.float32)
    first, second = _xavier(generator, width, 2), _xavier(generator, 2, width)
    return Weights(first, zeros[0], second, zeros[1])


def _xavier(generator, out: int, into: int):
    bound = np.sqrt(6 / (out + into))
    return generator.uniform(-bound, bound, (out, into)).astype(np.float32)


def stacked(lanes: list):
    """Puts tuples of arrays, one a seed, into one tuple with a leading axis of seeds."""
    return type(lanes[0])(*map(np.stack, zip(*lanes, strict=True)))


def train(seeds, steps: int, settings: dict) -> np.ndarray:
    """Trains a network a seed, all at once; each has a generator of its own.

    Args:
      settings: samples, noise, width, learning_rate and batch_size.

    Returns:
      test accuracies, (seeds,).
    """
    generators = [np.random.default_rng(seed) for seed in seeds]
    data = [moons(each, settings["samples"], settings["noise"]) for each in generators]
    lanes_weights = [initial(each, settings["width"]) for each in generators]
    points, weights = stacked(data), stacked(lanes_weights)
    train_size = settings["samples"] - round(settings["samples"] * TEST)
    train_part, test_part = (
        Points(points.x[..., place], points.targets[..., place])
        for place in (slice(train_size), slice(train_size, None))
    )
    lanes, batch_size = np.arange(len(generators))[:, None], settings["batch_size"]
    begin = train_size
    for _ in range(steps):
        if begin >= train_size:
            order = np.stack([each.permutation(train_size) for each in generators])
            # an index beside a slice puts its axes first: (seeds, points, 2)
            shuffled = Points(
                *(_transposed(part.swapaxes(1, 2)[lanes, order]) for part in train_part)
            )
            begin = 0
        end = begin + batch_size
        batch = Points(shuffled.x[..., begin:end], shuffled.targets[..., begin:end])
        weights = stepped(weights, batch, settings["learning_rate"])
        begin = end
    return accuracy(weights, test_part)
