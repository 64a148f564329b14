"""Checks of the samples that statistics are of: real numbers and flags, one a seed."""

import numpy as np
from jaxtyping import Bool, Float


def sample_of(name: str, values) -> Float[np.ndarray, " n"]:
    """Makes floats of values, or raises an error of one line that names them."""
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name} must not be a masked array: fill it with NaN ({name}.filled(nan))")
    try:
        given = np.asarray(values)
        # Complex numbers, texts and times become floats by losing something.
        if given.dtype.kind in "cSUmM":
            raise TypeError(given.dtype)
        numbers = given.astype(float)
    except (TypeError, ValueError):
        refusal = f"{name} must be real numbers, one a seed, got {start_of(values)}"
        raise TypeError(refusal) from None
    if numbers.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, one a seed, got shape {numbers.shape}")
    return numbers


def start_of(value) -> str:
    """Gives the first characters of a value, in one line."""
    words = " ".join(repr(value).split())
    return words if len(words) <= 60 else words[:57] + "..."


def flags_of(name: str, diverged, n: int) -> Bool[np.ndarray, " n"]:
    """Makes bools of flags; steps at which lanes diverged (-1: never) are refused."""
    flags = np.asarray(diverged)
    if flags.shape != (n,):
        raise ValueError(f"{name} must hold {n} bools, one a value, got shape {flags.shape}")
    if flags.dtype != bool and not np.isin(flags, (0, 1)).all():
        raise TypeError(f"{name} must hold bools, one a value, got {start_of(diverged)}")
    return flags.astype(bool)
