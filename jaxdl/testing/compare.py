"""Comparisons that raise an AssertionError of one line where something is not as it should be."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# between programs that compute the same: relative for large values, absolute for small ones
TOLERANCE = 1e-4


@contextlib.contextmanager
def named(caller: str, check: str):
    """Turns whatever a check raises into an AssertionError of one line that names it."""
    # A check may use a key twice on purpose, to see the same numbers; that of the keys turns the
    # checker on again for what it runs.
    try:
        with jax.debug_key_reuse(False):
            yield
    except Exception as error:
        is_ours = isinstance(error, AssertionError)
        kind = "" if is_ours else f"{type(error).__name__}: "
        lines = str(error).strip().splitlines()
        line = lines[0] if lines else ""
        raise AssertionError(f"{caller}: {check}, but {kind}{line}") from error


def same(actual: Any, expected: Any, what: str, tolerance: float = TOLERANCE):
    """Raises where two trees differ in structure, shapes or values."""
    same_structure(actual, expected, what)
    for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a = np.asarray(left)
        b = np.asarray(right)
        if a.shape != b.shape:
            raise AssertionError(f"{what} have shape {a.shape} instead of {b.shape}")
        if np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            continue
        # times 1.0: booleans cannot be subtracted
        distances = np.abs(a * 1.0 - b)
        raise AssertionError(f"{what} differ by up to {np.nanmax(distances):.3g}")


def same_structure(actual: Any, expected: Any, what: str):
    """Raises where two trees have their leaves in different places."""
    left: Any = jax.tree.structure(actual)
    if left != jax.tree.structure(expected):
        raise AssertionError(f"{what} have another structure")


def finite(tree: Any, what: str):
    """Raises where a tree holds NaN or infinity."""
    for leaf in jax.tree.leaves(tree):
        is_finite = np.isfinite(np.asarray(leaf))
        if not is_finite.all():
            raise AssertionError(f"{what} hold NaN or infinity")


def float32(tree: Any, what: str):
    """Raises where a tree holds floats of another precision."""
    for leaf in jax.tree.leaves(tree):
        is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
        if is_float and leaf.dtype != jnp.float32:
            raise AssertionError(f"{what} are {leaf.dtype}")


def corner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Makes the index of what is live in an array that is padded beyond `shape`."""
    return tuple(slice(0, size) for size in shape)
