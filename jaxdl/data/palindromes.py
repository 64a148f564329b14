"""Palindromes of digits: the last digit can be told from the first, if that is still remembered."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Real

from jaxdl.checks import integer, one_of
from jaxdl.sampling import rows
from jaxdl.types import AnyArray, Padded, Size, capacity, check_padded, live, mask

DIGITS = 10
SHORTEST = 2
ENCODINGS = ("number", "one_hot")


def palindromes(key: PRNGKeyArray, length: Size, batch: int) -> Int[Array, "time batch"]:
    """Draws random palindromes: d_t = d_(T-1-t), the first half (with the middle, where T is odd)
    uniform on 0..9.

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
    # A row, and so a key, for each position of the half. Ten times a uniform number, rounded down,
    # takes half the time of randint, to compile and to run.
    uniform = rows(key, jax.random.uniform, ((steps + 1) // 2, batch))
    half = (DIGITS * uniform).astype(jnp.int32)
    # Position t of a palindrome of length T shows digit min(t, T-1-t) of the half. With a padded T
    # the mirror stands where the live part ends; beyond it t runs past T-1, to negative places,
    # which are read as place 0 and then blanked.
    place = jnp.arange(steps)
    mirrored = jnp.maximum(jnp.minimum(place, live(length) - 1 - place), 0)
    alive = mask(length)
    digits = half.at[mirrored].get(mode="promise_in_bounds")
    return digits if alive is None else jnp.where(alive[:, None], digits, 0)


def palindrome_examples(
    key: PRNGKeyArray, length: Size, batch: int, encoding: str = "number"
) -> tuple[Float[Array, "time features batch"], Int[Array, "batch"]]:
    """Draws the first T - 1 digits of random palindromes, and the last one.

    Args:
      key, length, batch: as for `palindromes`.
      encoding: see `encode_digits`.

    Returns:
      (x, targets): float32 (time, features, batch), where time is T - 1 and what lies past the live
      end is zero; int32 (batch,).
    """
    digits = palindromes(key, length, batch)
    # Where the length is padded, the row of the last digit may lie within x: it must not be read.
    alive = mask(palindrome_steps(length))
    x = encode_digits(digits[:-1], encoding)
    readable = x if alive is None else jnp.where(alive[:, None, None], x, 0)
    return readable, digits[0]  # the last digit is the first


def palindrome_steps(length: Size) -> Size:
    """Computes T - 1, the digits that are read of a palindrome of length T; an int or `Padded`, as
    the length is.

    >>> palindrome_steps(5), palindrome_steps(Padded(5, max=9))
    (4, Padded(size=4, max=8))
    """
    check_length(length)
    return Padded(length.size - 1, length.max - 1) if isinstance(length, Padded) else length - 1


def encode_digits(
    digits: Real[AnyArray, "time batch"], encoding: str = "number"
) -> Float[Array, "time features batch"]:
    """Turns digits into features.

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
        _check_digits(np.asarray(digits))
    if encoding == "number":
        return jnp.asarray(digits, jnp.float32)[:, None, :]
    one_hot = jnp.arange(DIGITS)[None, :, None] == jnp.asarray(digits)[:, None, :]
    return one_hot.astype(jnp.float32)


def _check_digits(values: np.ndarray):
    odd = values[(values < 0) | (values >= DIGITS) | (values != np.floor(values))]
    if odd.size:
        raise ValueError(f"digits must be integers from 0 to {DIGITS - 1}, got {odd.tolist()[0]!r}")


def check_length(length: Size):
    """Raises a ValueError for a length that no palindrome with something to predict has."""
    if isinstance(length, Padded):
        check_padded("length", length, SHORTEST)
    elif not integer(length) or length < SHORTEST:
        raise ValueError(f"length must be an integer from {SHORTEST} up, got {length!r}")
