"""Trains the peers' networks in Flax and optax from a Python loop, and as jit(vmap(train))."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from benchmarks.peer_problems import CHECKED, optimizer_of, parts_of
from benchmarks.peer_worker import LANES, Problem, Trainer, replayed
from benchmarks.peers_numpy import palindromes, rows
from jaxdl import make_train
from jaxdl.sampling import seed_key

PLAIN_EXAMPLES, PLAIN_STEPS = 6400, 2000  # of a whole training, so that it is not all evaluation


class Perceptron(nn.Module):
    """R1's MLP."""

    width: int
    classes: int

    @nn.compact
    def __call__(self, x):
        """Computes the logits, (batch, classes)."""
        hidden = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(self.classes)(hidden)


class Convolutional(nn.Module):
    """The CNN, on pictures with their channels last."""

    channels: tuple[int, ...]
    classes: int

    @nn.compact
    def __call__(self, x):
        """Computes the logits, (batch, classes)."""
        for channels in self.channels:
            x = nn.relu(nn.Conv(channels, (3, 3), padding=1)(x))
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        return nn.Dense(self.classes)(x.reshape(len(x), -1))


class Recurrent(nn.Module):
    """R5's RNN, a loop over time."""

    units: int
    classes: int

    @nn.compact
    def __call__(self, x):
        """Computes the logits, (batch, classes)."""
        into, within = nn.Dense(self.units), nn.Dense(self.units)
        h = jnp.zeros((len(x), self.units))
        for step in range(x.shape[1]):
            h = jnp.tanh(into(x[:, step]) + within(h))
        return nn.Dense(self.classes)(h)


def network_of(problem: Problem) -> tuple[nn.Module, Any]:
    """Builds a network with the problem's weights: (module, variables)."""
    shapes = [each.shape for each in problem.weights]
    classes = shapes[-1][0]
    if problem.network == "mlp":
        network: nn.Module = Perceptron(shapes[0][0], classes)
    elif problem.network == "cnn":
        network = Convolutional(tuple(shape[0] for shape in shapes[1:-2:2]), classes)
    else:
        network = Recurrent(shapes[0][0], classes)
    params, counts = {}, {"Dense": 0, "Conv": 0}
    for weight, bias in zip(problem.weights[::2], problem.weights[1::2], strict=True):
        kind = "Conv" if weight.ndim == 4 else "Dense"
        kernel = kernel_of(problem, weight, channels=shapes[-4][0])
        params[f"{kind}_{counts[kind]}"] = {"kernel": kernel, "bias": bias}
        counts[kind] += 1
    return network, {"params": jax.tree.map(jnp.asarray, params)}


def kernel_of(problem: Problem, weight: np.ndarray, channels: int) -> np.ndarray:
    """Turns a weight the way that Flax has it: inputs before outputs."""
    if weight.ndim == 4:
        return weight.transpose(2, 3, 1, 0)
    if problem.network == "cnn":  # it reads places, their channels last
        return weight.reshape(len(weight), channels, -1).swapaxes(1, 2).reshape(len(weight), -1).T
    return weight.T


def flax(problem: Problem, threads: int) -> Trainer:
    """Makes the loop that a tutorial has: a jitted step, called from Python."""
    network, variables = network_of(problem)
    optimizer = optimizer_of(problem.network)
    opt_state = optimizer.init(variables)
    x = channels_last(problem, problem.x)
    generator = np.random.default_rng(0)

    def loss_of(variables, x, targets):
        logits = network.apply(variables, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    @jax.jit
    def trained(variables, opt_state, x, targets):
        gradients = jax.grad(loss_of)(variables, x, targets)
        updates, opt_state = optimizer.update(gradients, opt_state, variables)
        return optax.apply_updates(variables, updates), opt_state

    def train(x, targets):
        nonlocal variables, opt_state
        variables, opt_state = trained(variables, opt_state, x, targets)

    def step():
        if problem.network == "rnn":
            train(*palindromes(generator, problem.batch_size, problem.x.shape[1]))
        else:
            chosen = rows(problem, generator)
            train(x[chosen], problem.targets[chosen])

    def loss() -> float:
        return float(loss_of(variables, x, problem.targets))

    def update(x, targets):
        train(channels_last(problem, x), targets)

    replay = replayed(problem, update, loss)
    return Trainer(replay, step, lambda: jax.block_until_ready(variables))


def channels_last(problem: Problem, x: np.ndarray) -> np.ndarray:
    """Turns pictures the way that Flax has them."""
    return np.moveaxis(x, 1, -1) if problem.network == "cnn" else x


def plain(problem: Problem, threads: int) -> Trainer:
    """Makes whole trainings of many seeds by `jax.jit(jax.vmap(train))`, evaluated at both ends."""
    task, model = parts_of(problem.network)
    lanes, batch_size = LANES[problem.network], problem.batch_size
    keys = jax.vmap(seed_key)(jnp.arange(lanes, dtype=jnp.uint32))
    optimizer = optimizer_of(problem.network)

    def program(steps: int):
        train = make_train(task, model, optimizer, steps=steps, batch_size=batch_size)
        return jax.jit(jax.vmap(train))

    checked = program(CHECKED)
    steps = min(PLAIN_STEPS, max(CHECKED, PLAIN_EXAMPLES // batch_size))
    timed = checked if steps == CHECKED else program(steps)

    def replay() -> float:
        return float(checked(keys)[2]["train_loss"][0, -1])

    def step():
        jax.block_until_ready(timed(keys))

    return Trainer(replay, step, units=lanes * steps)
