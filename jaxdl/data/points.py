"""Two small data sets in the unit square, of report R3: exclusive or on two diagonals, and a line."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.sampling import rows


def xor() -> tuple[np.ndarray, np.ndarray]:
    """The 21 points of report R3: the diagonal (i / 10, i / 10) is class 0, the antidiagonal without its middle class 1.

    Returns:
      (x, targets): float32 (2, 21) and int32 (21,); 11 points of class 0 come first, then 10 of class 1.

    >>> x, targets = xor()
    >>> x[:, [1, 11]].round(1).tolist(), targets[[1, 11]].tolist()
    ([[0.10000000149011612, 0.0], [0.10000000149011612, 1.0]], [0, 1])
    """
    along = np.arange(11) / 10
    off = np.delete(along, 5)
    x = np.stack([np.concatenate([along, off]), np.concatenate([along, 1 - off])])
    return x.astype(np.float32), np.repeat(np.array([0, 1], np.int32), [11, 10])


def linear(key, samples: int) -> tuple[jax.Array, jax.Array]:
    """Points uniform in the unit square; class 1 lies below the diagonal, where the first coordinate is larger.

    Args:
      key: consumed.
      samples: number of points.

    Returns:
      (x, targets): float32 (2, samples) and int32 (samples,).

    >>> x, targets = linear(jax.random.key(0), 5)
    >>> bool(((x[0] > x[1]) == targets).all())
    True
    """
    x = rows(key, jax.random.uniform, (2, samples))
    return x, (x[0] > x[1]).astype(jnp.int32)
