"""A data set cut into train, validation and test columns."""

import jax.numpy as jnp
from jaxtyping import Shaped

from jaxdl.types import AnyArray, Dataset


def split(
    x: Shaped[AnyArray, "*example rows"],
    targets: Shaped[AnyArray, "*label rows"],
    test_fraction: float,
    valid_fraction: float,
) -> Dataset:
    """Cuts arrays that are in random order into train, test and (if asked for) validation columns.

    Sizes are ``round(n * fraction)``; the test columns come first, then validation, then training.
    A split of share 0 is not there.

    Raises:
      ValueError: a split that would have no row.
    """
    n = targets.shape[-1]
    test, valid = round(n * test_fraction), round(n * valid_fraction)
    if n - test - valid < 1:
        raise ValueError(
            f"test_fraction + valid_fraction must leave a training row of {n}, got {test_fraction} "
            f"+ {valid_fraction}"
        )
    if (test_fraction > 0 and test < 1) or (valid_fraction > 0 and valid < 1):
        raise ValueError(
            f"test_fraction and valid_fraction must give a row each of {n}, got {test_fraction}, "
            f"{valid_fraction}"
        )

    def columns(start: int, stop: int) -> tuple:
        return x[..., start:stop], targets[..., start:stop]

    # Test columns first: a validation split that is asked for later leaves them as they are.
    end = test + valid
    first, validation, rest = columns(0, test), columns(test, end), columns(end, n)
    nothing = (None, None)
    return Dataset(*rest, *(first if test else nothing), *(validation if valid else nothing))


def join(first: Dataset, second: Dataset) -> Dataset:
    """Puts the columns of two data sets side by side, split by split."""

    def side_by_side(one, other):
        return None if one is None else jnp.concatenate([one, other], axis=-1)

    return Dataset(*map(side_by_side, first, second))
