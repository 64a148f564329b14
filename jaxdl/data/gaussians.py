"""Two classes of points in the plane, each from a normal distribution of its own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from jaxdl.checks import positive_int
from jaxdl.sampling import rows

# an eigenvalue below this share of the trace is float32 rounding: the covariance counts as singular
ROUNDING = 1e-6


def gaussians(
    key: PRNGKeyArray, means: Any, covariances: Any, sizes: tuple[int, int]
) -> tuple[Float[Array, "2 first"], Float[Array, "2 second"]]:
    """Draws points of two normal distributions; a singular covariance puts them on a line, a zero
    one on a point.

    Args:
      key: consumed.
      means: (2, 2), a row a class; may be traced.
      covariances: a symmetric positive semi-definite matrix a class, (2, 2, 2), or what `spread`
        makes of less; may be traced.
      sizes: points of each class.

    Returns:
      The points of the first class, float32 (2, sizes[0]), and those of the second, (2, sizes[1]).

    >>> first, second = gaussians(jax.random.key(0), jnp.eye(2), 0.0, (3, 1))
    >>> first.tolist(), second.tolist()
    ([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [[0.0], [1.0]])
    """
    means = jnp.asarray(means, jnp.float32)
    roots = square_root(spread(covariances))

    keys = jax.random.split(key, 2)
    # A row, and so a key, for each coordinate: more points begin with those of fewer.
    draws = [rows(keys[index], jax.random.normal, (2, size)) for index, size in enumerate(sizes)]

    def points(index: int):
        return means[index][:, None] + _times(roots[index], draws[index])

    return points(0), points(1)


def _times(root, draw):
    """Multiplies (2, n) by a 2 x 2 matrix, as sums: a matrix product may round its factors on some
    devices."""
    return root[:, :1] * draw[:1] + root[:, 1:] * draw[1:]


def square_root(covariance: Float[Array, "*matrices 2 2"]) -> Float[Array, "*matrices 2 2"]:
    """Computes the symmetric square root of positive semi-definite 2 x 2 matrices, singular ones
    included.

    With eigenvalues p >= q >= 0 it is (C + sqrt(p q) I) / (sqrt(p) + sqrt(q)) (Cayley and
    Hamilton).

    Args:
      covariance: (..., 2, 2).

    Returns:
      (..., 2, 2).

    >>> square_root(jnp.array([[2.0, 2.0], [2.0, 2.0]])).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    larger, smaller = _eigenvalues(covariance)
    # In closed form: no Cholesky factor, which a singular matrix lacks, and no eigenvectors, whose
    # signs and order jump as a traced covariance changes.
    total = jnp.sqrt(larger) + jnp.sqrt(smaller)
    root_of_product = jnp.sqrt(larger * smaller)[..., None, None]
    shift = root_of_product * jnp.broadcast_to(jnp.eye(2), covariance.shape)
    # the zero matrix is its own root, and has the total 0
    return (covariance + shift) / jnp.where(total > 0, total, 1.0)[..., None, None]


def _eigenvalues(covariance):
    """Computes the two eigenvalues, larger first; one that is rounding is zero."""
    a = covariance[..., 0, 0]
    b = covariance[..., 0, 1]
    d = covariance[..., 1, 1]
    middle = (a + d) / 2
    radius = jnp.sqrt(jnp.square((a - d) / 2) + jnp.square(b))
    smaller = middle - radius  # of a singular matrix, the rounding of two equal numbers
    return middle + radius, jnp.where(smaller > ROUNDING * (a + d), smaller, 0.0)


def bayes_accuracy(
    distance: Real[ArrayLike, "*any"], variance: Real[ArrayLike, "*any"]
) -> Float[Array, "*any"]:
    """Computes the best accuracy there is for two equally frequent normals with covariance
    ``variance * I``: Phi(d / (2 s)).

    Args:
      distance: between the means, >= 0.
      variance: s**2, > 0.

    >>> round(float(bayes_accuracy(6.0, 100.0)), 3)
    0.618
    """
    return norm.cdf(jnp.asarray(distance) / (2.0 * jnp.sqrt(jnp.asarray(variance))))


def spread(covariances: Any) -> Float[Array, "2 2 2"]:
    """Turns covariances into a matrix a class.

    Args:
      covariances: (2, 2, 2); one matrix for both, (2, 2); or a number, that variance times the
        identity.
    """
    matrices = jnp.asarray(covariances, jnp.float32)
    matrices = matrices * jnp.eye(2) if matrices.ndim == 0 else matrices
    return jnp.broadcast_to(matrices, (2, 2, 2))


def check(means: Any, covariances: Any):
    """Raises a ValueError for means or covariances that will not do; values that are traced pass.

    Args:
      means: two points, (2, 2).
      covariances: a number, (2, 2) or (2, 2, 2).
    """
    centres = _concrete(means)
    if centres is not None and (centres.shape != (2, 2) or not np.isfinite(centres).all()):
        raise ValueError(f"means must be two points of two finite numbers, got {_brief(means)}")
    given = _concrete(covariances)
    if given is not None:
        _check_covariances(given, covariances)


def _check_covariances(given: np.ndarray, covariances):
    """Refuses variances below 0 and matrices that are no covariances; what was handed in is shown
    as it was."""
    is_finite = np.isfinite(given).all()
    if given.ndim == 0 and not (is_finite and given >= 0):
        raise ValueError(
            f"covariances must be a finite variance from 0 up, got {_brief(covariances)}"
        )
    is_matrix = given.shape in ((2, 2), (2, 2, 2))
    if given.ndim and not (is_matrix and is_finite):
        raise ValueError(
            "covariances must be one or two 2 x 2 matrices of finite numbers, got "
            f"{_brief(covariances)}"
        )
    for matrix in given.reshape(-1, 2, 2) if given.ndim else ():
        _check_matrix(matrix)


def class_sizes(
    samples: int | tuple[int, int], test_fraction: float, valid_fraction: float
) -> tuple[int, int]:
    """Returns the points of either class.

    Raises:
      ValueError: no positive integers, or a split that would have none of a class.
    """
    sizes = tuple(samples) if isinstance(samples, (tuple, list)) else (samples, samples)
    if len(sizes) != 2:
        raise ValueError(f"samples must be one number or one a class of two, got {samples!r}")
    for size in sizes:
        positive_int("samples", size)
        test, valid = round(size * test_fraction), round(size * valid_fraction)
        if test < 1 or (valid_fraction > 0 and valid < 1) or size - test - valid < 1:
            raise ValueError(
                f"samples must leave a point of each class in every split, got {size} points of a "
                f"class at test_fraction {test_fraction}, valid_fraction {valid_fraction}"
            )
    return sizes[0], sizes[1]


def _check_matrix(matrix):
    scale = np.abs(matrix).max()
    if abs(matrix[0, 1] - matrix[1, 0]) > ROUNDING * scale:
        raise ValueError(f"covariances must be symmetric, got {matrix.tolist()}")
    smallest = np.linalg.eigvalsh(matrix).min()
    if smallest < -ROUNDING * scale:
        raise ValueError(
            f"covariances must be positive semi-definite, got {matrix.tolist()} with the "
            f"eigenvalue {float(smallest):.4g}"
        )


def _concrete(values) -> np.ndarray | None:
    """Returns the values as a float array; None where some are traced."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values)):
        return None
    try:
        return np.asarray(values, float)
    except (TypeError, ValueError):
        return np.full(1, np.nan)  # ragged, or no numbers: fails the checks of shape


def _brief(values) -> str:
    return " ".join(str(values.tolist() if hasattr(values, "tolist") else values).split())
