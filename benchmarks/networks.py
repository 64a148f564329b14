"""The three networks that batch sizes are compared on: an MLP, a CNN and an RNN, as studies.

Each is small enough for thousands of trainings, has a validation split to tune on, and no batch
size is larger than its training rows.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import optax

from benchmarks.moons_mlp import ENDLESS
from jaxdl import Study, data, models, tasks
from jaxdl.types import Dataset, Model, Task

LENGTH, UNITS = 5, 32  # of the palindromes; of the RNN that reads them
CHANNELS = (8, 16)
EVALUATIONS = 150  # of a training: a step to a target is known to a 150th of the whole
EVALUATED = 200  # training rows: nobody asks for more of them


class Network(NamedTuple):
    """A network with its data, and how it is trained.

    Attributes:
      optimizer: (learning rate) -> optimizer.
      rows: training examples; so many are an epoch.
      fixed: the learning rate that all batch sizes share.
      rates: those that each batch size is tuned over.
      steps: at which batch sizes are compared at equal steps; all are trained at least so long.
      epochs: likewise, at equal epochs.
    """

    task: Task
    model: Model
    optimizer: Callable[[Any], optax.GradientTransformation]
    rows: int
    fixed: float
    rates: tuple[float, ...]
    steps: int
    epochs: int

    def budget(self, batch_size: int) -> int:
        """Gives the steps that a batch size is trained for."""
        return max(self.steps, -(-self.epochs * self.rows // batch_size))


def mlp() -> Network:
    """Makes R1's MLP on two moons: 800 points for training, 200 each to tune and to test on."""
    return Network(
        task=tasks.moons(1200, 0.1, test_fraction=1 / 6, valid_fraction=1 / 6),
        model=models.mlp(2, (20,), 2),
        optimizer=optax.sgd,
        rows=800,
        fixed=0.1,
        rates=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        steps=1500,
        epochs=20,
    )


def cnn() -> Network:
    """Makes a CNN of two blocks on scikit-learn's 8x8 digits."""
    task = tasks.images("digits", valid_fraction=0.2)
    return Network(
        task=task,
        model=models.cnn(CHANNELS, 10, inputs=(1, 8, 8)),
        optimizer=optax.sgd,
        rows=task.data.train_x.shape[-1],  # type: ignore[union-attr]
        fixed=0.03,
        rates=(0.003, 0.01, 0.03, 0.1, 0.3),
        steps=400,
        epochs=4,
    )


def rnn() -> Network:
    """Makes R5's RNN with 32 units on palindromes of 5 digits; 800 fresh ones are an epoch."""

    def optimizer(rate) -> optax.GradientTransformation:
        stepper = optax.rmsprop(rate, decay=0.99, eps=1e-8, eps_in_sqrt=False)
        return optax.chain(optax.clip_by_global_norm(10.0), stepper)

    return Network(
        task=with_validation(tasks.palindromes(LENGTH, train_samples=800)),
        model=models.rnn(1, UNITS, 10, length=data.palindrome_steps(LENGTH)),
        optimizer=optimizer,
        rows=800,
        fixed=1e-3,
        rates=(3e-4, 1e-3, 3e-3, 1e-2),
        steps=2000,
        epochs=20,
    )


NETWORKS: dict[str, Callable[[], Network]] = {"mlp": mlp, "cnn": cnn, "rnn": rnn}


@functools.cache
def network(name: str) -> Network:
    """Makes a network by its name, once."""
    return NETWORKS[name]()


def with_validation(task: Task) -> Task:
    """Gives a task whose data are drawn a validation split as large as its test split."""

    def draw(key) -> Dataset:
        # The same draw under another key: independent, and of the same kind.
        other = task.data(jax.random.fold_in(key, 1))  # type: ignore[operator]
        drawn = task.data(key)  # type: ignore[operator]
        return drawn._replace(valid_x=other.test_x, valid_targets=other.test_targets)

    return task._replace(data=draw)


def step_study(name: str, batch_size: int) -> Study:
    """Makes a network a study without an evaluation, to time a step of."""
    chosen = network(name)
    return Study(
        chosen.task,
        chosen.model,
        chosen.optimizer(chosen.fixed),
        batch_size=batch_size,
        steps=ENDLESS,
        eval_every=ENDLESS,
        eval_train_rows=EVALUATED,
    )


def training_study(name: str, configs: Sequence[dict], seeds, share: float = 1.0) -> Study:
    """Makes a study of batch sizes and learning rates.

    Args:
      configs: dicts of batch_size and learning_rate.
      seeds: how many, or which.
      share: of the budget of steps.
    """
    chosen = network(name)

    def steps(hp) -> int:
        return max(1, round(share * chosen.budget(hp.batch_size)))

    return Study(
        task=chosen.task,
        model=chosen.model,
        optimizer=lambda hp: chosen.optimizer(hp.learning_rate),
        sweep=list(configs),
        seeds=seeds,
        steps=steps,
        eval_every=lambda hp: max(1, steps(hp) // EVALUATIONS),
        eval_train_rows=EVALUATED,
    )
