"""Permutations, batches, streams and prefix-stable draws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxdl import models, tasks
from jaxdl.sampling import STREAMS, batch_rows, permute, rows, seed_key, stream
from jaxdl.types import Padded

KEYS = 20_000


def keys(count=KEYS):
    return jax.vmap(jax.random.fold_in, (None, 0))(seed_key(7), jnp.arange(count))


def test_permute_is_a_permutation_of_every_size():
    sizes = np.array([*range(1, 61), 255, 256, 799, 800])
    places = np.minimum(np.arange(800), sizes[:, None] - 1)  # beyond a size its last place is repeated
    traced = jax.jit(jax.vmap(jax.vmap(permute.__wrapped__, (None, 0, 0)), (0, None, None)))  # the size traced: compiled once
    drawn = np.asarray(traced(keys(30), sizes, places))
    for size, of_size in zip(sizes, np.moveaxis(drawn, 1, 0), strict=True):
        np.testing.assert_array_equal(np.sort(of_size[:, :size], axis=1), np.tile(np.arange(size), (30, 1)))


@pytest.mark.parametrize("count", [1, 32])
def test_permute_gives_a_prefix_whatever_the_number_of_positions(count):
    whole = permute(seed_key(3), 800, jnp.arange(800))
    np.testing.assert_array_equal(permute(seed_key(3), 800, jnp.arange(count)), whole[:count])


def outcomes(n, positions):
    """How often each of the possible ordered draws at `positions` came up over many keys."""
    drawn = np.asarray(jax.vmap(lambda key: permute(key, n, jnp.array(positions)))(keys()))
    possible = list(itertools.permutations(range(n), len(positions)))
    codes = drawn @ n ** np.arange(len(positions))
    counts = [np.sum(codes == np.dot(draw, n ** np.arange(len(positions)))) for draw in possible]
    assert sum(counts) == KEYS
    return counts


@pytest.mark.parametrize(
    ("n", "positions"),
    [
        (2, (0,)),
        (7, (0,)),
        (7, (6,)),
        (40, (11,)),
        (5, (0, 1)),
        (6, (0, 5)),
        (8, (2, 3)),
        (13, (4, 1)),
        (3, (0, 1, 2)),
        (4, (0, 1, 2, 3)),
    ],
)
def test_permute_is_uniform(n, positions):
    assert stats.chisquare(outcomes(n, positions)).pvalue > 1e-3


def test_permute_at_neighbouring_steps_is_independent():
    def two_steps(key):
        return jnp.stack([permute(jax.random.fold_in(key, step), 5, jnp.arange(1))[0] for step in (0, 1)])

    drawn = np.asarray(jax.jit(jax.vmap(two_steps))(keys()))
    assert stats.chisquare(np.bincount(drawn @ [5, 1], minlength=25)).pvalue > 1e-3


def batches(steps, *args):
    """The rows and weights of the first steps, (steps, batch) each."""
    return map(np.asarray, jax.jit(jax.vmap(lambda step: batch_rows(seed_key(2), step, *args)))(jnp.arange(steps)))


def test_a_step_with_all_rows_takes_them_in_order():
    drawn, weight = batches(3, 10, 10, "step")
    assert drawn.tolist() == [list(range(10))] * 3
    assert weight.tolist() == [[1] * 10] * 3


def test_a_step_draws_without_replacement_and_anew():
    drawn, weight = batches(6, 12, 7, "step")
    assert all(len(set(batch)) == 7 and set(batch) <= set(range(12)) for batch in drawn.tolist())
    assert len(set(map(tuple, drawn.tolist()))) == 6
    assert weight.min() == 1


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (12, 4), (7, 7), (5, 1)])
def test_an_epoch_visits_every_row_once_a_pass(n, batch_size):
    steps = -(-n // batch_size)
    drawn, weight = batches(3 * steps, n, batch_size, "epoch")
    assert weight.sum(axis=1).tolist() == 3 * ([batch_size] * (steps - 1) + [n - batch_size * (steps - 1)])
    passes = drawn[weight == 1].reshape(3, n).tolist()
    assert all(sorted(one) == list(range(n)) for one in passes)
    assert len(set(map(tuple, passes))) == 3


@pytest.mark.parametrize("sampling", tasks.SAMPLINGS)
def test_a_padded_batch_has_the_rows_of_the_plain_one(sampling):
    def draw(step, size):
        return batch_rows(seed_key(2), step, 10, size, sampling)

    sizes = (1, 4, 10)

    @jax.jit
    @jax.vmap
    def drawn(step, sizes_traced):
        return [(draw(step, Padded(traced, 10)), draw(step, size)) for traced, size in zip(sizes_traced, sizes, strict=True)]

    twelve = jnp.arange(12)
    for size, pair in zip(sizes, drawn(twelve, [jnp.full(12, size) for size in sizes]), strict=True):
        (found, weight), (plain, plain_weight) = jax.tree.map(np.asarray, pair)
        np.testing.assert_array_equal(weight[:, :size], plain_weight)
        np.testing.assert_array_equal(found[weight == 1], plain[plain_weight == 1])
        assert not weight[:, size:].any()
        assert set(found.flat) <= set(range(10))


def test_streams_differ_from_each_other_and_between_seeds():
    words = {
        tuple(jax.random.key_data(key).tolist())
        for seed in (0, 1)
        for key in (seed_key(seed), *(stream(seed_key(seed), name) for name in STREAMS))
    }
    assert len(words) == 2 * (1 + len(STREAMS))


def test_the_draws_of_a_seed_do_not_depend_on_the_config():
    @jax.jit
    def drawn(noises):
        datasets = jax.vmap(lambda noise: tasks.moons(40, noise=noise).data(seed_key(5)))(noises)
        params = [models.mlp(2, (width,)).init(stream(seed_key(5), "init"))[0] for width in (6, 9)]
        rows = [batch_rows(stream(seed_key(5), "shuffle"), 3, 32, size, "step")[0] for size in (4, 8)]
        return datasets, params, rows

    datasets, (narrow, wide), (few, many) = drawn(jnp.array([0.0, 0.1, 0.2]))
    clean, noisy, noisier = datasets.train_x
    assert (datasets.train_targets == datasets.train_targets[:1]).all()
    np.testing.assert_allclose(noisier - clean, 2 * (noisy - clean), atol=1e-6)
    np.testing.assert_array_equal(narrow[0].weight, wide[0].weight[:6])
    np.testing.assert_array_equal(few, many[:4])


@pytest.mark.parametrize("draw", [jax.random.normal, jax.random.uniform])
def test_rows_are_a_prefix_in_both_directions(draw):
    whole, *parts = jax.jit(lambda: [rows(seed_key(0), draw, shape) for shape in ((7, 9), (1, 1), (7, 4), (3, 9))])()
    for part in parts:
        np.testing.assert_array_equal(part, whole[: part.shape[0], : part.shape[1]])
    assert len(np.unique(whole)) == whole.size


@given(seed=st.integers(0, 2**32 - 1))
def test_the_key_of_a_seed_is_the_same_traced(seed):
    traced = jax.jit(seed_key)(np.uint32(seed))
    assert jax.random.key_data(traced).tolist() == jax.random.key_data(seed_key(np.uint32(seed))).tolist() == [0, seed]
