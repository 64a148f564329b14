"""Random streams, prefix-stable draws, and batches without replacement and without a sort.

Every lane has one seed key. What it is used for is a named stream, ``fold_in(seed_key, stream)``,
so a change in one use (one more dropout layer, say) moves no other draw. Streams do not depend on
the config: seed k sees the same data and the same initial draws under every config, so comparisons
are paired by seed.
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Integer, PRNGKeyArray, Shaped, UInt32

from jaxdl.sizes import Index, Size, capacity, live

__all__ = [
    "STREAMS",
    "batch_rows",
    "pass_order",
    "permute",
    "rows",
    "seed_key",
    "stream",
]

STREAMS = ("init", "data", "shuffle", "dropout", "augment")
ROUNDS = 14  # of the swap-or-not network, after one random multiplication and rotation


@runtime_checkable
class Draw(Protocol):
    """Draws an array of a shape from a key, such as `jax.random.normal`; the key is consumed."""

    def __call__(self, key: PRNGKeyArray, shape: tuple[int, ...], /) -> Shaped[Array, "..."]:
        """Returns an array of this shape."""


def seed_key(seed: Index) -> PRNGKeyArray:
    """Makes the key of a lane, from its seed (an int or a traced uint32); always threefry, on every
    backend."""
    return jax.random.key(seed, impl="threefry2x32")


def stream(key: PRNGKeyArray, name: str) -> PRNGKeyArray:
    """Derives the sub-key of a named stream.

    Args:
      key: a lane's seed key.
      name: one of `STREAMS`.
    """
    return jax.random.fold_in(key, STREAMS.index(name))


def stream_roots(seed: Any) -> Callable[[str], PRNGKeyArray]:
    """Makes the function that gives the seed key which a named stream of a lane is derived from.

    Args:
      seed: of the lane: one for all streams, whose key all of them share; or uint32 (streams,), one
        a stream in the order of `STREAMS`, whose keys are those of ordinary lanes of these seeds.
    """
    if jnp.ndim(seed) == 0:
        key = seed_key(seed)
        return lambda name: key
    return lambda name: seed_key(seed[STREAMS.index(name)])


def rows(
    key: PRNGKeyArray, draw: Draw, shape: tuple[int, int]
) -> Shaped[Array, "{shape[0]} {shape[1]}"]:
    """Draws a matrix with one key per row, so that it is a prefix of any larger draw in both
    directions.

    Args:
      key: consumed.
      draw: ``(key, shape) -> array``, such as `jax.random.normal`.
      shape: ``(rows, columns)``.
    """
    # jax draws are prefix-stable along their first axis alone: a shorter vector begins like a
    # longer one, but a matrix with fewer columns is another matrix. With a key a row both axes are
    # first axes: of the keys that are split off, and of every row.
    row_keys = jax.random.split(key, shape[0])
    return jax.vmap(lambda row_key: draw(row_key, shape[1:]))(row_keys)


def _mix(x):
    """Spreads the bits of a uint32 (Ettinger's lowbias32): each input bit moves all output bits."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _words(key: PRNGKeyArray, count: int) -> UInt32[Array, "count"]:
    """Draws the uint32 words, (count,), that `key` names."""
    data = jax.random.key_data(key).astype(jnp.uint32)
    counter = jnp.arange(1, count + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    return _mix(_mix(data[0] + counter) ^ data[1])


def _multipliers(n: int) -> UInt32[np.ndarray, "multipliers"]:
    """Lists up to 256 numbers without a common divisor with n, evenly spread, uint32.

    Their products with row numbers stay below 2**32, so above n = 2**16 they are smaller than n,
    and above 2**30 there is only 1.
    """
    candidates = np.arange(1, max(2, min(n, 2**32 // n)))
    coprime = candidates[np.gcd(candidates, n) == 1]
    count = min(256, len(coprime))
    middles = (2 * np.arange(count) + 1) * len(coprime) // (2 * count)
    return coprime[middles].astype(np.uint32)


# Why a multiplier, this coin and 14 rounds. In a round both of two elements change places, or
# neither, half the time (1/2 + 1/(2n)), and then they keep their distance up to its sign; else it
# is drawn anew. So after r rounds a share of 2**-r of all pairs still has its first distance.
# - After a mere rotation those are neighbours that stay neighbours: whole permutations of 50,000
#   rows show them even after 16 rounds. A random multiplier spreads them over the distances without
#   a common divisor with n: over all, so that nothing is left to show, where n is prime.
# - A coin of one multiplication (multiply-shift) does what a mixer's would: over its factor and
#   offset the coins of two elements are independent. Of one key's pairs its rounds keep e**-r as a
#   rule, and at n = 800 more than 1/40 for one key in 40,000; a mixer's, which cost twice as much,
#   keep 2**-r for every key.
# - Of 316 tests (places, pairs, triples, whole permutations, overlaps, neighbouring steps, seeds,
#   keys; n = 2 to 60,000, a million keys) 14 and 12 rounds pass all at 0.01 / 316; 10 fail at n = 4
#   and 6, 8 at many sizes; 12 without a multiplier fail 39, 16 rounds of a mixer without one 4.
@functools.partial(jax.jit, static_argnums=1)  # traced once a shape
def permute(
    key: PRNGKeyArray, n: int, positions: Integer[Array | np.ndarray, "*places"]
) -> Int32[Array, "*places"]:
    """Computes the rows that stand at `positions` of a random permutation of ``range(n)``, which
    `key` names.

    A random multiplication and rotation modulo n, then a swap-or-not network (Hoang, Morris and
    Rogaway, CRYPTO 2012): in every round each element is paired with its mirror image about a
    random point, and a keyed coin decides whether the two change places. Only the positions asked
    for are computed, so a batch of b costs O(b), and a smaller batch is a prefix of a larger one.

    Args:
      key: names the permutation.
      n: number of rows, 1 <= n < 2**31.
      positions: int array with values in [0, n).

    Returns:
      int32 array of the shape of `positions`.
    """
    if n == 1:
        return jnp.zeros(positions.shape, jnp.int32)
    size = jnp.uint32(n)
    words = _words(key, 2 * ROUNDS + 2)
    x = _spread(positions, n, words)

    def one_round(x, round_words):
        centre, factor, offset = round_words
        mirror = centre - x
        mirror = jnp.minimum(mirror, mirror + size)  # modulo n, like the sum in `_spread`
        coin = (jnp.maximum(x, mirror) * factor + offset) >> 31  # the same for both of a pair
        return jnp.where(coin == 1, mirror, x), None

    # The centre is what division by n leaves of the offset; the quotient is free, so the coin is.
    offsets, factors = words[:ROUNDS], words[ROUNDS:-2] | 1
    # a scan of one unrolled trip is straight code that was traced once
    x, _ = jax.lax.scan(one_round, x, (offsets % size, factors, offsets), unroll=ROUNDS)
    return x.astype(jnp.int32)


def _spread(positions, n: int, words: UInt32[Array, "count"]) -> UInt32[Array, "*places"]:
    """Multiplies and rotates positions modulo n, so that neighbours stand apart before the rounds.

    Args:
      positions: (...), in [0, n).
      n: number of rows.
      words: random; the last two choose the multiplier and the shift.
    """
    size = jnp.uint32(n)
    multipliers = jnp.asarray(_multipliers(int(n)))
    factor = multipliers[words[-2] % jnp.uint32(len(multipliers))]
    shift = words[-1] % size
    x = positions.astype(jnp.uint32) * factor % size + shift
    return jnp.minimum(x, x - size)  # modulo n, because what falls below 0 is a large uint32


def batch_rows(
    key: PRNGKeyArray,
    step: Index,
    n: int,
    batch_size: Size,
    sampling: str,
    order: Int32[Array, "n"] | None = None,
) -> tuple[Int32[Array, "batch"], Float32[Array, "batch"]]:
    """Decides which rows make up the batch of a step.

    ``"step"`` draws without replacement within the batch, anew at every step; with ``batch_size ==
    n`` it is all rows in order, so that the step is one of true batch gradient descent. ``"epoch"``
    goes through shuffled passes over the data; the last batch of a pass may be short.

    Args:
      key: the lane's shuffle key.
      step: int scalar, counted from 0.
      n: number of training rows.
      batch_size: 1 <= batch_size <= n; an int or `Padded`.
      sampling: ``"step"`` or ``"epoch"``.
      order: the pass's `pass_order`, where it is at hand; else the rows wanted are drawn anew (the
        same ones).

    Returns:
      (rows, weight), each of shape (batch,): int32 row numbers, and float32 weights that are 0
      where a place holds no example.
    """
    if sampling == "step":
        return _rows_of_step(key, step, n, batch_size)
    return _rows_of_pass(key, step, n, batch_size, order)


def _rows_of_step(key, step, n: int, batch_size: Size):
    """Draws rows by a permutation of the step's own: its first places are a batch."""
    places = jnp.arange(capacity(batch_size))
    size = live(batch_size)
    drawn = permute(jax.random.fold_in(key, step), n, places)
    if isinstance(size, int):
        return (places if size == n else drawn), jnp.ones(places.shape, jnp.float32)
    return jnp.where(size == n, places, drawn), (places < size).astype(jnp.float32)


def _rows_of_pass(key, step, n: int, batch_size: Size, order):
    """Cuts the batch of a step out of the permutation of its pass."""
    places = jnp.arange(capacity(batch_size))
    size = live(batch_size)
    passes = steps_of_pass(n, size)
    positions = (step % passes) * size + places
    # A place holds an example if the batch reaches that far, and the pass does. The others read
    # row 0 of the permutation and weigh nothing.
    alive = (positions < n) & (places < size)
    positions = jnp.where(alive, positions, 0)
    if order is None:
        drawn = permute(jax.random.fold_in(key, step // passes), n, positions)
    else:
        drawn = order.at[positions].get(mode="promise_in_bounds")
    return drawn, alive.astype(jnp.float32)


def steps_of_pass(n: int, size: Any) -> Any:
    """Computes how many batches of `size` a pass over n rows takes; the last one may be short.

    >>> steps_of_pass(10, 4)
    3
    """
    return (n + size - 1) // size


def pass_order(key: PRNGKeyArray, number: Index, n: int) -> Int32[Array, "n"]:
    """Draws the order of the rows in a pass: what `batch_rows` looks up where it is handed in.

    Args:
      key: the lane's shuffle key.
      number: of the pass, from 0.
      n: number of training rows.
    """
    return permute(jax.random.fold_in(key, number), n, jnp.arange(n))
