"""Schedules: PyTorch's rates, optax's where both have them, and rates that stay traced."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons

from jaxdl import Study, models, schedules, tasks

GOLDEN = dict(np.load(pathlib.Path(__file__).parent / "golden" / "training" / "schedules.npz"))
RATE, STEPS = 0.2, 20
COUNTS = jnp.arange(STEPS)
SCHEDULES = {  # PyTorch's schedulers, by what equals them here
    "cosine": schedules.warmup_cosine(STEPS, end=0.1),
    "one_cycle": schedules.one_cycle(STEPS),
    "linear": schedules.linear(STEPS, end=0.1),
    "multi_step": schedules.step_decay([5, 12, 13], 0.5),
    "step": schedules.step_decay(range(6, STEPS, 6)),
    "warm_up": schedules.warmup_cosine(STEPS, 4, start=0.25),
    "triangular": schedules.triangular(STEPS, 0.25, start=0.1),
}


def shares(schedule, counts=COUNTS) -> np.ndarray:
    """The share of the rate at each count."""
    return np.asarray(jax.vmap(schedule)(counts))


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_those_of_pytorch(name):
    ours = shares(SCHEDULES[name])
    assert ours.dtype == np.float32
    np.testing.assert_allclose(RATE * ours, GOLDEN[name], rtol=1e-5, atol=1e-8)


def test_every_scheduler_of_the_reference_is_here():
    assert set(SCHEDULES) == set(GOLDEN)


OPTAX = {
    "warmup_cosine": (
        schedules.warmup_cosine(STEPS, 6, start=0.2, end=0.1),
        optax.warmup_cosine_decay_schedule(0.2 * RATE, RATE, 6, STEPS, 0.1 * RATE),
    ),
    "cosine": (schedules.warmup_cosine(STEPS), optax.cosine_decay_schedule(RATE, STEPS)),
    "linear": (schedules.linear(STEPS, end=0.3), optax.linear_schedule(RATE, 0.3 * RATE, STEPS)),
    "step_decay": (
        schedules.step_decay([3, 9], 0.5),
        optax.piecewise_constant_schedule(RATE, {3: 0.5, 9: 0.5}),
    ),
    "triangular": (
        schedules.triangular(STEPS, 0.25),
        optax.join_schedules(
            [optax.linear_schedule(0.0, RATE, 5), optax.linear_schedule(RATE, 0.0, 15)], [5]
        ),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_rates_are_those_of_optax_even_beyond_the_last_step(name):
    ours, theirs = OPTAX[name]
    counts = jnp.arange(STEPS + 10)
    np.testing.assert_allclose(RATE * shares(ours, counts), shares(theirs, counts), atol=1e-7)


@jax.jit
def with_settings(steps, warmup, start, end):
    """The shares of both schedules, (2, 64), of settings that are traced."""
    settings = {"warmup": warmup, "start": start, "end": end}
    both = (schedules.linear(steps, **settings), schedules.warmup_cosine(steps, **settings))
    return jnp.stack([jax.vmap(schedule)(jnp.arange(64)) for schedule in both])


@given(steps=st.integers(1, 60), warmup=st.floats(0, 1), start=st.floats(0, 1), end=st.floats(0, 1))
def test_shares_rise_to_1_and_fall_to_the_end(steps, warmup, start, end):
    rise = int(warmup * steps)
    for values in np.asarray(with_settings(steps, rise, np.float32(start), np.float32(end))):
        assert values[rise] == pytest.approx(end if rise == steps else 1, abs=1e-6)
        assert (np.diff(values[:rise]) >= -1e-6).all()
        assert (np.diff(values[rise:]) <= 1e-6).all()
        np.testing.assert_allclose(values[steps:], end, atol=1e-6)
        if rise:
            assert values[0] == pytest.approx(start, abs=1e-6)


def test_settings_of_a_schedule_may_be_traced():
    def at(steps, warmup, end):
        return schedules.warmup_cosine(steps, warmup, end=end)(jnp.int32(9))

    lanes = jnp.array([12.0, 20.0]), jnp.array([3.0, 10.0]), jnp.array([0.0, 0.5])
    expected = [at(12, 3, 0.0), at(20, 10, 0.5)]
    np.testing.assert_allclose(jax.vmap(at)(*lanes), expected, rtol=1e-6)
    factors = jax.vmap(lambda f: schedules.step_decay([2, 4], f)(5))(jnp.array([0.5, 0.1]))
    np.testing.assert_allclose(factors, [0.25, 0.01], rtol=1e-6)
    peaks = jax.vmap(lambda peak: schedules.triangular(20, peak)(5))(jnp.array([0.25, 0.5]))
    np.testing.assert_allclose(peaks, [1.0, 0.5], rtol=1e-6)


def test_no_nan_is_computed_where_a_part_has_no_length():
    with jax.debug_nans(True):
        for schedule in (
            schedules.warmup_cosine(1),
            schedules.triangular(1, 0.0),
            schedules.triangular(1, 1.0),
            schedules.one_cycle(1),
            schedules.step_decay([]),
        ):
            assert 0 <= float(schedule(0)) <= 1


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: schedules.linear(0), "steps must be a number above 0 and at most .*, got 0"),
        (lambda: schedules.one_cycle("ten"), "steps must be a number above 0 .*, got 'ten'"),
        (
            lambda: schedules.warmup_cosine(10, 11),
            "warmup must be a number from 0 to 10, got 11",
        ),
        (lambda: schedules.linear(10, warmup=-1), "warmup must be a number from 0 to 10, got -1"),
        (lambda: schedules.linear(10, end=2), "end must be a number from 0 to 1, got 2"),
        (lambda: schedules.triangular(9, 9), "peak must be a number from 0 to 1, got 9"),
        (lambda: schedules.one_cycle(9, start=None), "start must be .*, got None"),
        (lambda: schedules.step_decay(3), "boundaries must be a list of counts, .*, got 3"),
        (lambda: schedules.step_decay([-1]), "boundaries must be a number from 0 up, got -1"),
        (lambda: schedules.step_decay([1], 3), "factor must be a number from 0 to 1, got 3"),
        (
            lambda: schedules.linear(9, end=float("nan")),
            "end must be a number from 0 to 1, got nan",
        ),
    ],
)
def test_settings_out_of_range_are_refused_in_a_line(make, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        make()


def axis_of(optimizer):
    """How the learning rate enters the plan of a small study, and why."""
    study = Study(
        tasks.from_arrays(*make_moons(12, random_state=0), test_fraction=0.5),
        models.mlp(2, (2,)),
        optimizer,
        sweep={"learning_rate": [0.01, 0.1]},
        steps=2,
    )
    return study.plan().programs[0].axes["learning_rate"]


def test_the_plan_says_what_to_write_where_a_schedule_makes_the_rate_static():
    static = axis_of(
        lambda hp: optax.sgd(optax.warmup_cosine_decay_schedule(0.0, hp.learning_rate, 5, 20))
    )
    assert static.kind == "static"
    assert "optax's warmup_cosine_decay_schedule branches on it" in static.reason
    assert "hp.learning_rate * schedule(count), schedule from jaxdl.schedules" in static.reason
    assert "\n" not in static.reason


def test_only_a_schedule_has_that_reason():
    branching = axis_of(lambda hp: optax.sgd(0.1 if hp.learning_rate > 0.05 else 0.2))
    assert branching.kind == "static"
    assert "schedule" not in branching.reason
