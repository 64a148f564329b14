"""Palindromes of digits: the last digit can be told from the first, if that is still remembered."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import integer, one_of
from jaxdl.sampling import rows
from jaxdl.types import Padded, Size, capacity, check_padded, live, mask

DIGITS = 10
SHORTEST = 2
ENCODINGS = ("number", "one_hot")


def palindromes(key, length: Size, batch: int) -> jax.Array:
    """Random palindromes: d_t = d_(T-1-t), the first half (with the middle, where T is odd) uniform
    on 0..9.

    One key a position of the half, so that a shorter sequence has the first digits of a longer one,
    and a smaller batch is a prefix of a larger one.

    Args:
      key: consumed.
      length: T, from 2 up; an int or `Padded`.
      batch: number of sequences.

    Returns:
      int32 (time, batch), zero past the length.

    >>> palindromes(jax.random.key(0), 5, 2).T.tolist()
    [[8, 0, 9, 0, 8], [1, 0, 9, 0, 1]]
    """
    check_length(length)
    steps = capacity(length)
    drawn = rows(
        key, jax.random.uniform, ((steps + 1) // 2, batch)
    )  # half the time, to compile and to run, of randint
    half = (DIGITS * drawn).astype(jnp.int32)
    place = jnp.arange(steps)
    mirrored = jnp.maximum(jnp.minimum(place, live(length) - 1 - place), 0)
    alive = mask(length)
    digits = half.at[mirrored].get(mode="promise_in_bounds")
    return digits if alive is None else jnp.where(alive[:, None], digits, 0)


def palindrome_examples(
    key, length: Size, batch: int, encoding: str = "number"
) -> tuple[jax.Array, jax.Array]:
    """The first T - 1 digits of random palindromes, and the last one.

    Args:
      key, length, batch: as for `palindromes`.
      encoding: see `encode_digits`.

    Returns:
      (x, targets): float32 (time, features, batch), where time is T - 1 and what lies past the live
      end is zero; int32 (batch,).
    """
    digits = palindromes(key, length, batch)
    alive = mask(palindrome_steps(length))
    x = encode_digits(digits[:-1], encoding)
    return (x if alive is None else jnp.where(alive[:, None, None], x, 0)), digits[
        0
    ]  # the last digit is the first


def palindrome_steps(length: Size) -> Size:
    """T - 1, the digits that are read of a palindrome of length T; an int or `Padded`, as the
    length is.

    >>> palindrome_steps(5), palindrome_steps(Padded(5, max=9))
    (4, Padded(size=4, max=8))
    """
    check_length(length)
    return Padded(length.size - 1, length.max - 1) if isinstance(length, Padded) else length - 1


def encode_digits(digits, encoding: str = "number") -> jax.Array:
    """Digits as features.

    Args:
      digits: int (time, batch), in 0..9.
      encoding: ``"number"``: one feature, the digit itself; ``"one_hot"``: ten.

    Returns:
      float32 (time, features, batch).

    Raises:
      ValueError: an unknown encoding, or digits out of range, where they are at hand.

    >>> digits = np.array([[3], [0]])
    >>> encode_digits(digits).shape, encode_digits(digits, "one_hot").shape
    ((2, 1, 1), (2, 10, 1))
    """
    one_of("encoding", encoding, ENCODINGS)
    if not isinstance(digits, jax.core.Tracer):
        values = np.asarray(digits)
        if odd := values[(values < 0) | (values >= DIGITS) | (values != np.floor(values))].tolist():
            raise ValueError(f"digits must be integers from 0 to {DIGITS - 1}, got {odd[0]!r}")
    if encoding == "number":
        return jnp.asarray(digits, jnp.float32)[:, None, :]
    return (jnp.arange(DIGITS)[None, :, None] == jnp.asarray(digits)[:, None, :]).astype(
        jnp.float32
    )


def check_length(length: Size):
    """Raises a ValueError for a length that no palindrome with something to predict has."""
    if isinstance(length, Padded):
        check_padded("length", length, SHORTEST)
    elif not integer(length) or length < SHORTEST:
        raise ValueError(f"length must be an integer from {SHORTEST} up, got {length!r}")
