"""A lane's bits do not depend on its place among the lanes that are vmapped together.

Sizes are odd ones: where rows or columns of all lanes lie behind each other in one product, those
at the end are added up by other instructions.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, models, tasks
from jaxdl.types import Model

pytestmark = pytest.mark.full  # bits
LANES = 3
STEPS = 100  # for a difference in a last bit to grow into one that is seen


def rows_times_weights(inputs, hidden):
    """An MLP as other libraries write it: examples before features, weights (in, out)."""

    def init(key):
        first, second = jax.random.split(key)
        shapes = (inputs, hidden), (hidden, 3)
        return [
            jax.random.normal(k, s) / 8 for k, s in zip((first, second), shapes, strict=True)
        ], ()

    def apply(params, state, x, *, key=None, train=False):
        first, second = params
        return (jnp.tanh(x.T @ first) @ second).T, state

    return Model(init, apply)


def features(count, rows):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, count)).astype(np.float32)
    return tasks.from_arrays(x, rng.integers(0, 3, rows), test_fraction=0.25)


# task, model, batch size
CASES = {
    "few inputs": (tasks.moons(140), models.mlp(2, (17, 5), 2), 33),
    "few inputs, the full batch": (features(2, 44), models.mlp(2, (17,), 3), None),
    "one feature": (features(1, 40), models.mlp(1, (9,), 3), None),
    "many features, the full batch": (features(70, 44), models.mlp(70, (17,), 3), None),
    "examples before features": (features(250, 40), rows_times_weights(250, 100), None),
    "no hidden layer": (features(70, 44), models.mlp(70, (), 3), None),
    "rnn": (tasks.palindromes(5), models.rnn(1, 17, 10), 33),
    "convolutions by tiles": (tasks.images("digits"), models.cnn((5, 7), inputs=(1, 8, 8)), 7),
}


def histories(case, seeds, rates):
    task, model, batch_size = CASES[case]
    rows = task.data.train_targets.shape[-1] if batch_size is None else batch_size
    study = Study(
        task=task,
        model=model,
        optimizer=lambda hp: optax.sgd(hp.learning_rate, momentum=0.9),
        sweep={"learning_rate": rates},
        seeds=seeds,
        batch_size=rows,
        steps=STEPS,
        eval_every=STEPS // 2,
        lane_size=LANES,
    )
    result = study.run(progress=False)
    found = {}
    for row, lane in enumerate(result.lanes):
        if lane["learning_rate"] == 0.05:
            found[lane["seed"]] = {k: v[row].tobytes() for k, v in result.history.items()}
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_lane_has_the_same_bits_wherever_it_stands(case):
    in_order = histories(case, list(range(7)), [0.05])
    moved, beside_lost_ones = [6, 3, 1, 0, 5, 2, 4], [1e30, 0.05]
    assert histories(case, moved, beside_lost_ones) == in_order
