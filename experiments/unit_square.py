"""Gives R3's two data sets in the unit square (`references.R3`): two diagonals, and a line."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import losses, tasks
from jaxdl.checks import positive_int
from jaxdl.sampling import rows, stream
from jaxdl.types import Dataset, Task


def xor_points() -> tuple[np.ndarray, np.ndarray]:
    """Gives R3's 21 points of exclusive or.

    The diagonal (i / 10, i / 10) is class 0, the antidiagonal without its middle class 1.

    Returns:
      (x, targets): float32 (2, 21) and int32 (21,), the 11 points of class 0 first.

    >>> x, targets = xor_points()
    >>> x[:, [1, 11]].round(1).tolist(), targets[[1, 11]].tolist()
    ([[0.10000000149011612, 0.0], [0.10000000149011612, 1.0]], [0, 1])
    """
    along = np.arange(11) / 10
    off = np.delete(along, 5)
    x = np.stack([np.concatenate([along, off]), np.concatenate([along, 1 - off])])
    return x.astype(np.float32), np.repeat(np.array([0, 1], np.int32), [11, 10])


def line_points(key, samples: int) -> tuple[jax.Array, jax.Array]:
    """Draws points uniform in the unit square; class 1 is where the first coordinate is larger.

    Args:
      key: consumed.
      samples: number of points.

    Returns:
      (x, targets): float32 (2, samples) and int32 (samples,).

    >>> x, targets = line_points(jax.random.key(0), 5)
    >>> bool(((x[0] > x[1]) == targets).all())
    True
    """
    x = rows(key, jax.random.uniform, (2, samples))
    return x, (x[0] > x[1]).astype(jnp.int32)


def xor(loss=losses.binary_cross_entropy) -> Task:
    """Makes the task of R3's points, the same for all lanes; training and test set at once.

    Args:
      loss: see `tasks.binary`.

    >>> task = xor()
    >>> task.data.train_x.shape, float(task.data.test_targets.mean().round(4))
    ((2, 21), 0.4762)
    """
    x, targets = xor_points()
    return tasks.binary(Dataset(x, targets, x, targets), loss)


def linear(samples: int = 100, loss=losses.binary_cross_entropy) -> Task:
    """Makes the task of a line, class 1 where x1 > x2, drawn anew for every seed.

    Training and test set at once, as in R3.

    Args:
      samples: number of points.
      loss: see `tasks.binary`.
    """
    positive_int("samples", samples)

    def draw(key):
        x, targets = line_points(stream(key, "data"), samples)
        return Dataset(x, targets, x, targets)

    return tasks.binary(draw, loss)
