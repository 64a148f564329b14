"""Random streams, prefix-stable draws, and batches without replacement and without a sort.

Every lane has one seed key. What it is used for is a named stream, ``fold_in(seed_key, stream)``, so a
change in one use (one more dropout layer, say) moves no other draw. Streams do not depend on the config:
seed k sees the same data and the same initial draws under every config, so comparisons are paired by seed.
"""

import functools

import jax
import jax.numpy as jnp

from jaxdl.types import Size, capacity, live

STREAMS = ("init", "data", "shuffle", "dropout", "augment")
ROUNDS = 16  # of the swap-or-not network, after one uniform rotation


def seed_key(seed) -> jax.Array:
    """The key of a lane, from its seed (an int or a traced uint32); always threefry, on every backend."""
    return jax.random.key(seed, impl="threefry2x32")


def stream(key: jax.Array, name: str) -> jax.Array:
    """The sub-key of a named stream.

    Args:
      key: a lane's seed key.
      name: one of `STREAMS`.
    """
    return jax.random.fold_in(key, STREAMS.index(name))


def rows(key: jax.Array, draw, shape: tuple[int, int]) -> jax.Array:
    """A 2-D draw with one key per row, so that it is a prefix of any larger draw in both directions.

    Args:
      key: consumed.
      draw: ``(key, shape) -> array``, such as `jax.random.normal`.
      shape: ``(rows, columns)``.
    """
    return jax.vmap(lambda row_key: draw(row_key, shape[1:]))(jax.random.split(key, shape[0]))


def _mix(x):
    """Spreads the bits of a uint32 (Ettinger's lowbias32 constants): every input bit moves every output bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


@functools.partial(jax.jit, static_argnums=1)  # traced once a shape
def permute(key: jax.Array, n: int, positions: jax.Array) -> jax.Array:
    """The rows that stand at `positions` of a random permutation of ``range(n)`` that `key` names.

    A swap-or-not network (Hoang, Morris and Rogaway, CRYPTO 2012): in every round each element is paired
    with its mirror image about a random point and a keyed coin decides whether the two change places.
    Only the positions asked for are computed, so a batch of b costs O(b), and a smaller batch is a prefix
    of a larger one.

    Args:
      key: names the permutation.
      n: number of rows, 1 <= n < 2**31.
      positions: int array with values in [0, n).

    Returns:
      int32 array of the shape of `positions`.
    """
    data = jax.random.key_data(key).astype(jnp.uint32)
    size = jnp.uint32(n)
    words = _mix(data[0] + jnp.arange(1, 2 * ROUNDS + 2, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)) ^ data[1]
    words = _mix(words)
    centres = words % size
    x = positions.astype(jnp.uint32) + centres[2 * ROUNDS]
    x = jnp.where(x >= size, x - size, x)

    def one_round(x, words):
        centre, word = words
        mirror = centre + jnp.where(centre >= x, jnp.uint32(0), size) - x
        coin = _mix(jnp.maximum(x, mirror) ^ word) >> 31
        return jnp.where(coin == 1, mirror, x), None

    # a scan of one unrolled trip is straight code that was traced once
    x, _ = jax.lax.scan(one_round, x, (centres[:ROUNDS], words[ROUNDS : 2 * ROUNDS]), unroll=ROUNDS)
    return x.astype(jnp.int32)


def batch_rows(key: jax.Array, step, n: int, batch_size: Size, sampling: str, order=None) -> tuple[jax.Array, jax.Array]:
    """Which rows make up the batch of a step.

    ``"step"`` draws without replacement within the batch, anew at every step; with ``batch_size == n`` it is
    all rows in order, so that the step is one of true batch gradient descent. ``"epoch"`` goes through
    shuffled passes over the data; the last batch of a pass may be short.

    Args:
      key: the lane's shuffle key.
      step: int scalar, counted from 0.
      n: number of training rows.
      batch_size: 1 <= batch_size <= n; an int or `Padded`.
      sampling: ``"step"`` or ``"epoch"``.
      order: the pass's `pass_order`, where it is at hand; else the rows wanted are drawn anew (the same ones).

    Returns:
      (rows, weight), each of shape (batch,): int32 row numbers, and float32 weights that are 0 where a
      place holds no example.
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
        return permute(jax.random.fold_in(key, step // passes), n, positions), alive.astype(jnp.float32)
    return order.at[positions].get(mode="promise_in_bounds"), alive.astype(jnp.float32)


def steps_of_pass(n: int, size):
    """How many batches of `size` a pass over n rows takes; the last one may be short."""
    return (n + size - 1) // size


def pass_order(key: jax.Array, number, n: int) -> jax.Array:
    """The order of the rows in a pass, int32 (n,): what `batch_rows` looks up where it is handed in.

    Args:
      key: the lane's shuffle key.
      number: of the pass, from 0.
      n: number of training rows.
    """
    return permute(jax.random.fold_in(key, number), n, jnp.arange(n))
