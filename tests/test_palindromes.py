"""Palindromes: every sequence is one, its target is its last digit, draws are prefixes of larger
ones; bad input."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxdl import data, tasks
from jaxdl.testing import check_task
from jaxdl.types import Padded

LENGTHS = (2, 3, 8, 15)
drawn = jax.jit(data.palindromes, static_argnums=(1, 2))
examples = jax.jit(data.palindrome_examples, static_argnums=(1, 2, 3))
padded = jax.jit(
    lambda key, size, batch: data.palindrome_examples(key, Padded(size, 15), batch),
    static_argnums=2,
)


@given(length=st.sampled_from(LENGTHS), seed=st.integers(0, 2**32 - 1))
def test_every_sequence_is_a_palindrome_and_its_target_is_its_last_digit(length, seed):
    digits = np.asarray(drawn(jax.random.key(seed), length, 20))
    assert digits.shape == (length, 20)
    np.testing.assert_array_equal(digits, digits[::-1])
    assert digits.min() >= 0
    assert digits.max() <= 9
    x, targets = examples(jax.random.key(seed), length, 20)
    assert (x.shape, x.dtype) == ((length - 1, 1, 20), np.float32)
    np.testing.assert_array_equal(x[:, 0], digits[:-1])
    np.testing.assert_array_equal(targets, digits[-1])
    one_hot, _ = examples(jax.random.key(seed), length, 20, "one_hot")
    np.testing.assert_array_equal(np.argmax(one_hot, axis=1), digits[:-1])
    np.testing.assert_array_equal(np.sum(one_hot, axis=1), 1)


@given(length=st.integers(2, 15), seed=st.integers(0, 2**32 - 1))
def test_a_padded_length_has_the_same_draws_and_hides_the_answer(length, seed):
    x, targets = padded(jax.random.key(seed), length, 7)
    digits = np.concatenate([x[: length - 1, 0], targets[None]])
    np.testing.assert_array_equal(digits, digits[::-1])  # every palindrome at every length
    assert not np.any(x[length - 1 :])  # the answer is not among the inputs
    if length in LENGTHS:
        np.testing.assert_array_equal(drawn(jax.random.key(seed), length, 20)[:, :7], digits)


def test_draws_are_prefixes_of_longer_and_larger_ones():
    longest = drawn(jax.random.key(3), 15, 20)
    for length in LENGTHS:
        half = (length + 1) // 2
        np.testing.assert_array_equal(
            drawn(jax.random.key(3), length, 7)[:half], longest[:half, :7]
        )


def test_digits_are_uniform_and_independent():
    digits = np.asarray(data.palindromes(jax.random.key(0), 6, 20_000))
    for row in digits[:3]:
        assert stats.chisquare(np.bincount(row, minlength=10)).pvalue > 1e-3
    for a, b in ((0, 1), (0, 2), (1, 2)):
        table = np.bincount(10 * digits[a] + digits[b], minlength=100)
        assert stats.chisquare(table).pvalue > 1e-3


def test_batches_are_fresh_and_evaluation_sets_are_fixed():
    task = tasks.palindromes(9)
    dataset, again, other = (task.data(jax.random.key(seed)) for seed in (0, 0, 1))
    assert (dataset.test_x.shape, dataset.train_x.shape) == ((8, 1, 1024), (8, 1, 128))
    np.testing.assert_array_equal(dataset.test_x, again.test_x)
    assert np.any(dataset.test_x != other.test_x)
    assert np.any(dataset.test_x[..., :128] != dataset.train_x)

    def batch(step, size):
        return task.batch(dataset, jax.random.key(5), step, size)

    first, same, second = batch(0, 32), batch(0, 32), batch(1, 32)
    np.testing.assert_array_equal(first[0], same[0])
    assert np.any(first[0] != second[0])
    np.testing.assert_array_equal(first[0], batch(0, 128)[0][..., :32])
    np.testing.assert_array_equal(batch(0, Padded(3, 5))[2], [1, 1, 1, 0, 0])


@pytest.mark.parametrize("encoding", ["number", "one_hot"])
def test_palindromes_pass_the_checks_of_tasks(encoding):
    check_task(tasks.palindromes(6, encoding, test_samples=64, train_samples=48), outputs=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 1}, "length must be an integer from 2 up, got 1"),
        ({"length": 5.0}, "length must be an integer from 2 up, got 5.0"),
        ({"length": True}, "length must be an integer from 2 up, got True"),
        (
            {"length": Padded(9, 8)},
            "length must be an integer from 2 to its padded maximum 8, got 9",
        ),
        (
            {"length": Padded(1, 8)},
            "length must be an integer from 2 to its padded maximum 8, got 1",
        ),
        (
            {"encoding": "onehot"},
            "encoding must be one of 'number', 'one_hot', got 'onehot'; did you mean 'one_hot'?",
        ),
        ({"test_samples": 0}, "test_samples must be a positive integer, got 0"),
        ({"train_samples": 0}, "train_samples must be a positive integer, got 0"),
    ],
)
def test_bad_input_is_named_in_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        tasks.palindromes(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("odd", [10, -1, 2.5])
def test_digits_out_of_range_are_named(odd):
    with pytest.raises(ValueError, match=f"^digits must be integers from 0 to 9, got {odd}"):
        data.encode_digits(np.array([[3, odd]]))
