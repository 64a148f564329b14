"""Augmentations: what they may give, how often, from which draws, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxdl import augment

RNG = np.random.default_rng(0)
EVERY = augment.compose(augment.crop(padding=2), augment.flip(), augment.cutout(2))


def pictures(channels=3, height=6, width=5, batch=7):
    return RNG.integers(1, 256, (channels, height, width, batch), dtype=np.uint8)


@functools.cache
def compiled(function):
    return jax.jit(lambda seed, x: function(jax.random.key(seed), x, None)[0])


def applied(function, x, seed=0):
    return np.asarray(compiled(function)(seed, x))


def windows(picture, padding):
    """Every cut of a picture out of itself with a black border, by the place of its corner."""
    _, height, width = picture.shape
    wide = np.pad(picture, ((0, 0), (padding, padding), (padding, padding)))
    places = [(i, j) for i in range(2 * padding + 1) for j in range(2 * padding + 1)]
    return {(i, j): wide[:, i : i + height, j : j + width] for i, j in places}


def corner(picture, cut, padding):
    """The place that a picture was cut from; exactly one fits."""
    fitting = [place for place, w in windows(picture, padding).items() if (w == cut).all()]
    assert len(fitting) == 1
    return fitting[0]


@pytest.mark.parametrize("padding", [1, 4])
def test_a_crop_is_a_window_of_the_padded_picture_each_as_often_as_another(padding):
    x = pictures(batch=1).repeat(40 * (2 * padding + 1) ** 2, axis=-1)
    x[..., 1] = pictures(batch=1)[..., 0]  # no two pictures are mixed up
    cropped = applied(augment.crop(padding=padding), x)
    assert (cropped.shape, cropped.dtype) == (x.shape, np.uint8)
    places = [corner(x[..., b], cropped[..., b], padding) for b in range(2)]
    known = {w.tobytes(): place for place, w in windows(x[..., 0], padding).items()}
    places += [
        known[np.ascontiguousarray(cropped[..., b]).tobytes()] for b in range(2, x.shape[-1])
    ]
    counts = np.zeros((2 * padding + 1,) * 2)
    np.add.at(counts, tuple(np.transpose(places)), 1)
    assert stats.chisquare(counts.ravel()).pvalue > 0.001


def test_pixels_from_outside_are_black_so_that_they_are_normalised_as_in_torchvision():
    x = np.full((1, 3, 3, 400), 200, np.uint8)
    cropped = applied(augment.crop(padding=3), x)
    assert set(np.unique(cropped)) == {0, 200}
    shares = (cropped == 0).mean(axis=(0, 3))
    # a pixel in the middle sees outside where either shift is above 1: 1 - (3/7)**2
    assert shares[1, 1] == pytest.approx(1 - (3 / 7) ** 2, abs=0.09)
    assert (cropped == 0).all(axis=(0, 1, 2)).any()  # a picture may be pushed out wholly


def test_a_flip_mirrors_columns_in_half_of_the_pictures():
    x = pictures(batch=1).repeat(2000, axis=-1)
    flipped = applied(augment.flip(), x)
    mirrored = (flipped == x[:, :, ::-1]).all(axis=(0, 1, 2))
    kept = (flipped == x).all(axis=(0, 1, 2))
    assert (mirrored ^ kept).all()
    assert stats.binomtest(int(mirrored.sum()), 2000, 0.5).pvalue > 0.001
    rarely = (applied(augment.flip(0.1), x) != x).any(axis=(0, 1, 2)).mean()
    assert rarely == pytest.approx(0.1, abs=0.03)
    np.testing.assert_array_equal(applied(augment.flip(0), x), x)
    np.testing.assert_array_equal(applied(augment.flip(1), x), x[:, :, ::-1])


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_cutout_covers_a_square_about_a_uniform_pixel_cut_off_at_the_edges(size):
    height, width = 6, 5
    x = np.ones((2, height, width, 3000), np.uint8)
    covered = applied(augment.cutout(size), x) == 0
    np.testing.assert_array_equal(covered[0], covered[1])
    counts = np.zeros((height, width))
    before, after = size // 2, size - size // 2
    for b in range(x.shape[-1]):
        rows, columns = covered[0, :, :, b].any(axis=1), covered[0, :, :, b].any(axis=0)
        np.testing.assert_array_equal(covered[0, :, :, b], np.outer(rows, columns))
        centres = [
            next(c for c in range(n) if (edge(n, c - before, c + after) == line).all())
            for n, line in ((height, rows), (width, columns))
        ]
        counts[tuple(centres)] += 1
    if size < 5:  # beyond, squares about two pixels of a row look alike
        assert stats.chisquare(counts.ravel()).pvalue > 0.001


def edge(length, begin, end):
    places = np.arange(length)
    return (places >= begin) & (places < end)


def test_a_cutout_has_the_colour_that_is_asked_for():
    x = pictures()
    covered = applied(augment.cutout(3, fill=(9, 8, 7)), x)
    changed = (covered != x).any(axis=0)
    for channel, colour in enumerate((9, 8, 7)):
        assert (covered[channel][changed] == colour).all()


@given(batch=st.sampled_from([1, 11]), seed=st.integers(0, 2**31 - 1))
def test_a_smaller_batch_has_the_first_draws_of_a_larger_one(batch, seed):
    x = pictures(batch=12)
    whole = applied(EVERY, x, seed)
    np.testing.assert_array_equal(applied(EVERY, x[..., :batch], seed), whole[..., :batch])


def test_lanes_draw_from_their_own_keys():
    x = jnp.asarray(pictures(batch=20))
    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    both = jax.jit(jax.vmap(lambda key: EVERY(key, x, jnp.arange(20))))
    together, targets = both(keys)
    for seed, lane in enumerate(together):
        np.testing.assert_array_equal(lane, applied(EVERY, x, seed))
    assert (np.asarray(together[0]) != np.asarray(together[1])).any()
    np.testing.assert_array_equal(targets, np.tile(np.arange(20), (3, 1)))


@pytest.mark.parametrize("dtype", [np.float32, bool])
def test_the_type_of_pictures_stays(dtype):
    x = jnp.asarray(pictures(channels=1, height=3, width=3, batch=2)).astype(dtype)
    y = compiled(EVERY)(0, x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)


def test_pictures_of_one_pixel_are_pictures():
    x = np.full((1, 1, 1, 300), 5, np.uint8)
    share = (applied(augment.crop(padding=1), x) == 5).mean()
    assert share == pytest.approx(1 / 9, abs=0.06)
    np.testing.assert_array_equal(applied(augment.flip(), x), x)
    assert not applied(augment.cutout(1), x).any()


def test_one_more_at_the_end_moves_no_draw_of_those_before():
    x = pictures()
    alone = applied(augment.compose(augment.crop(padding=2)), x)
    more = augment.compose(augment.crop(padding=2), augment.flip(1.0))
    np.testing.assert_array_equal(applied(more, x), alone[:, :, ::-1])


def test_parts_of_a_composition_draw_apart():
    twice = augment.compose(augment.flip(), augment.flip())
    x = pictures(batch=400)
    unchanged = (applied(twice, x) == x).all(axis=(0, 1, 2)).mean()
    assert 0.4 < unchanged < 0.6  # one key for both would undo every flip


def call(function, x=None):
    return function(jax.random.key(0), jnp.asarray(pictures() if x is None else x), None)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: augment.crop(0), "padding must be a positive integer, got 0"),
        (lambda: augment.crop(1.5), "padding must be a positive integer, got 1.5"),
        (lambda: augment.flip(1.5), "share must be a number from 0 to 1, got 1.5"),
        (lambda: augment.flip("half"), "share must be a number from 0 to 1, got 'half'"),
        (lambda: augment.cutout(-1), "size must be a positive integer, got -1"),
        (lambda: call(augment.cutout(6)), "size must be an integer from 1 to 5, got 6"),
        (
            lambda: call(augment.cutout(2, fill=(1, 2))),
            r"fill must be a finite number or 3 of them, got \(1, 2\)",
        ),
        (lambda: call(augment.cutout(2, fill=256)), "fill must fit images of uint8, got 256"),
        (lambda: call(augment.cutout(2, fill=0.5)), "fill must fit images of uint8, got 0.5"),
        (augment.compose, "augments must be at least one function"),
        (lambda: augment.compose(lambda x: x), r"augments must be a function \(key, x, targets\)"),
        (
            lambda: call(augment.crop(), np.zeros((3, 32, 32))),
            r"x must be images of shape \(channels, height, width, batch\), got an array of shape",
        ),
    ],
)
def test_refusals_are_one_line(attempt, message):
    with pytest.raises(ValueError, match=message) as caught:
        attempt()
    assert "\n" not in str(caught.value)
