"""Random streams, prefix-stable draws, and batches without replacement and without a sort.

Every lane has one seed key. What it is used for is a named stream, ``fold_in(seed_key, stream)``,
so a change in one use (one more dropout layer, say) moves no other draw. Streams do not depend on
the config: seed k sees the same data and the same initial draws under every config, so comparisons
are paired by seed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.types import Size, capacity, live

STREAMS = ("init", "data", "shuffle", "dropout", "augment")
ROUNDS = 14  # of the swap-or-not network, after one random multiplication and rotation


def seed_key(seed) -> jax.Array:
    """The key of a lane, from its seed (an int or a traced uint32); always threefry, on every
    backend."""
    return jax.random.key(seed, impl="threefry2x32")


def stream(key: jax.Array, name: str) -> jax.Array:
    """The sub-key of a named stream.

    Args:
      key: a lane's seed key.
      name: one of `STREAMS`.
    """
    return jax.random.fold_in(key, STREAMS.index(name))


def rows(key: jax.Array, draw, shape: tuple[int, int]) -> jax.Array:
    """A 2-D draw with one key per row, so that it is a prefix of any larger draw in both
    directions.

    Args:
      key: consumed.
      draw: ``(key, shape) -> array``, such as `jax.random.normal`.
      shape: ``(rows, columns)``.
    """
    return jax.vmap(lambda row_key: draw(row_key, shape[1:]))(jax.random.split(key, shape[0]))


def _mix(x):
    """Spreads the bits of a uint32 (Ettinger's lowbias32): each input bit moves all output bits."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _words(key, count: int):
    """Draws the uint32 words, (count,), that `key` names."""
    data = jax.random.key_data(key).astype(jnp.uint32)
    counter = jnp.arange(1, count + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    return _mix(_mix(data[0] + counter) ^ data[1])


def _multipliers(n: int) -> np.ndarray:
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
def permute(key: jax.Array, n: int, positions: jax.Array) -> jax.Array:
    """The rows that stand at `positions` of a random permutation of ``range(n)`` that `key` names.

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
    multipliers = jnp.asarray(_multipliers(int(n)))
    factor, shift = multipliers[words[-2] % jnp.uint32(len(multipliers))], words[-1] % size
    x = positions.astype(jnp.uint32) * factor % size + shift
    x = jnp.minimum(x, x - size)  # modulo n, because what falls below 0 is a large uint32

    def one_round(x, round_words):
        centre, factor, offset = round_words
        mirror = centre - x
        mirror = jnp.minimum(mirror, mirror + size)
        coin = (jnp.maximum(x, mirror) * factor + offset) >> 31  # the same for both of a pair
        return jnp.where(coin == 1, mirror, x), None

    # The centre is what division by n leaves of the offset; the quotient is free, so the coin is.
    offsets, factors = words[:ROUNDS], words[ROUNDS:-2] | 1
    # a scan of one unrolled trip is straight code that was traced once
    x, _ = jax.lax.scan(one_round, x, (offsets % size, factors, offsets), unroll=ROUNDS)
    return x.astype(jnp.int32)


def batch_rows(
    key: jax.Array, step, n: int, batch_size: Size, sampling: str, order=None
) -> tuple[jax.Array, jax.Array]:
    """Which rows make up the batch of a step.

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
    places = jnp.arange(capacity(batch_size))
    size = live(batch_size)
    if sampling == "step":
        drawn = permute(jax.random.fold_in(key, step), n, places)
        if isinstance(size, int):
            return (places if size == n else drawn), jnp.ones(places.shape, jnp.float32)
        return jnp.where(size == n, places, drawn), (places < size).astype(jnp.float32)
    passes = steps_of_pass(n, size)
    positions = (step % passes) * size + places
    alive = (positions < n) & (places < size)
    positions = jnp.where(alive, positions, 0)
    if order is None:
        return permute(jax.random.fold_in(key, step // passes), n, positions), alive.astype(
            jnp.float32
        )
    return order.at[positions].get(mode="promise_in_bounds"), alive.astype(jnp.float32)


def steps_of_pass(n: int, size):
    """How many batches of `size` a pass over n rows takes; the last one may be short."""
    return (n + size - 1) // size


def pass_order(key: jax.Array, number, n: int) -> jax.Array:
    """The order of the rows in a pass, int32 (n,): what `batch_rows` looks up where it is handed
    in.

    Args:
      key: the lane's shuffle key.
      number: of the pass, from 0.
      n: number of training rows.
    """
    return permute(jax.random.fold_in(key, number), n, jnp.arange(n))
