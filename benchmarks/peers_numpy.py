"""Trains the peers' networks in NumPy, gradients by hand, and in scikit-learn."""

import warnings

import numpy as np

from benchmarks.peer_worker import CLIP, RATES, Problem, Trainer, replayed
from experiments import numpy_mlp

DECAY, EPSILON = 0.99, 1e-8  # of RMSprop


def trainer(problem: Problem, threads: int) -> Trainer:
    """Makes a loop of one network."""
    return {"mlp": mlp, "rnn": rnn}[problem.network](problem)


def rows(problem: Problem, generator):
    """Draws the rows of a batch: all of them in order where the batch is as large."""
    n = len(problem.x)
    if problem.batch_size == n:
        return slice(None)
    return generator.permutation(n)[: problem.batch_size]


def mlp(problem: Problem) -> Trainer:
    """Trains R1's MLP, points as columns."""
    first, first_bias, second, second_bias = problem.weights
    weights = numpy_mlp.Weights(first, first_bias[:, None], second, second_bias[:, None])
    generator = np.random.default_rng(0)
    one_hot = np.eye(len(second), dtype=np.float32)

    def points(x, targets) -> numpy_mlp.Points:
        return numpy_mlp.Points(x.T, one_hot[:, targets])

    everything = points(problem.x, problem.targets)

    def step():
        nonlocal weights
        chosen = rows(problem, generator)
        batch = numpy_mlp.Points(everything.x[:, chosen], everything.targets[:, chosen])
        weights = numpy_mlp.stepped(weights, batch, RATES["mlp"])

    def update(x, targets):
        nonlocal weights
        weights = numpy_mlp.stepped(weights, points(x, targets), RATES["mlp"])

    def loss() -> float:
        return float(numpy_mlp.loss(weights, everything))

    return Trainer(replayed(problem, update, loss), step)


def palindromes(generator, count: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws the first digits of palindromes, (count, steps, 1), and their last one, (count,)."""
    half = generator.integers(0, 10, (count, (steps + 2) // 2))
    mirrored = half[:, ::-1][:, (steps + 1) % 2 :]
    x = np.concatenate([half, mirrored], axis=1)[:, :-1, None]
    return x.astype(np.float32), half[:, 0]


def rnn(problem: Problem) -> Trainer:
    """Trains R5's RNN: backpropagation through time, clipping and RMSprop by hand."""
    weights = [each.copy() for each in problem.weights]
    squares = [np.zeros_like(each) for each in weights]
    generator = np.random.default_rng(0)
    length = problem.x.shape[1]

    def update(x, targets):
        gradients = rnn_gradients(weights, x, targets)
        norm = np.sqrt(sum(float((each * each).sum()) for each in gradients))
        factor = np.float32(min(1.0, CLIP / norm))
        for weight, square, gradient in zip(weights, squares, gradients, strict=True):
            clipped = gradient * factor
            square[...] = DECAY * square + np.float32(1 - DECAY) * clipped * clipped
            weight[...] -= RATES["rnn"] * clipped / (np.sqrt(square) + np.float32(EPSILON))

    def loss() -> float:
        probabilities = rnn_forward(weights, problem.x)[1]
        return float(-np.log(probabilities[np.arange(len(problem.x)), problem.targets]).mean())

    def step():
        update(*palindromes(generator, problem.batch_size, length))

    return Trainer(replayed(problem, update, loss), step)


def rnn_forward(weights, x) -> tuple[list, np.ndarray]:
    """Computes the hidden states, from zeros on, and the probabilities, (batch, classes)."""
    into, into_bias, within, within_bias, out, out_bias = weights
    hidden = [np.zeros((len(x), len(into)), np.float32)]
    for step in range(x.shape[1]):
        before = x[:, step] @ into.T + into_bias + hidden[-1] @ within.T + within_bias
        hidden.append(np.tanh(before))
    logits = hidden[-1] @ out.T + out_bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, powers / powers.sum(axis=1, keepdims=True)


def rnn_gradients(weights, x, targets) -> list[np.ndarray]:
    """Computes the gradients of the mean cross-entropy, in the order of the weights."""
    into, into_bias, within, _, out, _ = weights
    hidden, of_logits = rnn_forward(weights, x)
    of_logits[np.arange(len(x)), targets] -= 1  # softmax with cross-entropy: p - y
    of_logits /= np.float32(len(x))
    of_hidden = of_logits @ out
    of_into, of_within = np.zeros_like(into), np.zeros_like(within)
    of_bias = np.zeros_like(into_bias)
    for step in reversed(range(x.shape[1])):
        of_before = of_hidden * (1 - hidden[step + 1] ** 2)
        of_into += of_before.T @ x[:, step]
        of_within += of_before.T @ hidden[step]
        of_bias += of_before.sum(axis=0)
        of_hidden = of_before @ within
    # both biases of the cell are added up, so they have one gradient
    of_out = [of_logits.T @ hidden[-1], of_logits.sum(axis=0)]
    return [of_into, of_bias, of_within, of_bias, *of_out]


def sklearn_trainer(problem: Problem, threads: int) -> Trainer:
    """Makes a loop of `MLPClassifier.partial_fit`, a batch a call."""
    from sklearn.neural_network import MLPClassifier

    first, first_bias, second, second_bias = problem.weights
    network = MLPClassifier(
        (len(first),),
        solver="sgd",
        alpha=0.0,
        batch_size=problem.batch_size,
        learning_rate_init=RATES["mlp"],
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    # Of two classes it would train one logit, which learns half as fast as the difference of two.
    # So it is told of a third, whose probability is exactly zero: then it trains the same.
    warnings.simplefilter("ignore")
    network.partial_fit(problem.x[:1], problem.targets[:1], classes=[0, 1, 2])
    network.coefs_[0][...], network.intercepts_[0][...] = first.T, first_bias
    network.coefs_[1][...], network.intercepts_[1][...] = 0.0, -1e4
    network.coefs_[1][:, :2], network.intercepts_[1][:2] = second.T, second_bias
    generator = np.random.default_rng(0)

    def loss() -> float:
        right = network.predict_proba(problem.x)[np.arange(len(problem.x)), problem.targets]
        return float(-np.log(right).mean())

    def step():
        chosen = rows(problem, generator)
        network.partial_fit(problem.x[chosen], problem.targets[chosen])

    return Trainer(replayed(problem, network.partial_fit, loss), step)
