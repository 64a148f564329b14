"""What batch sizes cost and buy: the estimators behind `bgd_vs_sgd`, against closed forms."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import batch_training, bgd_vs_sgd, harness, noise_scale
from benchmarks.batch_training import Curves
from benchmarks.harness import Context, Setting
from jaxdl.sampling import seed_key

SPREAD = np.array([0.5, 1.0, 2.0])  # variances of the inputs of a linear regression
AWAY, NOISE = np.array([0.6, -0.4, 0.2]), 0.3  # from the minimum; sd of the targets' noise


def regression_gradient(size):
    """The gradient of half the mean squared error of a fresh batch, away from the minimum."""

    def gradient(key):
        of_x, of_noise = jax.random.split(key)
        x = jnp.sqrt(SPREAD)[None, :] * jax.random.normal(of_x, (size, 3))
        error = x @ jnp.asarray(AWAY) - NOISE * jax.random.normal(of_noise, (size,))
        return {"weight": jnp.mean(error[:, None] * x, axis=0)}

    return gradient


def regression_moments():
    """|G|^2 and tr(S) in closed form: x is normal, so its fourth moments are known (Isserlis)."""
    curvature = np.diag(SPREAD)
    mean = curvature @ AWAY
    loss = AWAY @ curvature @ AWAY
    second = loss * np.trace(curvature) + 2 * mean @ mean + NOISE**2 * np.trace(curvature)
    return mean @ mean, second - mean @ mean


def test_the_moments_of_a_gradient_are_those_of_a_linear_regression():
    square, trace = regression_moments()
    found = noise_scale.estimate_moments(
        regression_gradient(4), jax.random.key(0), small=4, batches=8, draws=4000
    )
    assert float(found.square) == pytest.approx(square, rel=0.04)
    assert float(found.trace) == pytest.approx(trace, rel=0.04)


def test_the_noise_scale_over_seeds_holds_the_true_one_and_no_biased_one():
    square, trace = regression_moments()
    keys = jax.random.split(jax.random.key(1), 64)
    gradient = regression_gradient(2)

    @jax.jit
    @jax.vmap
    def estimate(key):
        return noise_scale.estimate_moments(gradient, key, small=2, batches=8, draws=20)

    each = estimate(keys)
    found = noise_scale.noise_scale(each.square, each.trace)
    low, high = found.interval
    assert low < trace / square < high
    # |G_B|^2 itself is too large by tr(S) / B: an estimate from it would be far too small
    biased = trace / (square + trace / 16)
    assert not low < biased < high


def test_a_gradient_that_is_lost_in_noise_has_no_noise_scale():
    assert np.isnan(noise_scale.noise_scale([-1.0, -2.0, -1.5], [1.0, 2.0, 1.0]).value)
    found = noise_scale.noise_scale([0.1, -0.05, 0.01, -0.02], [1.0, 1.0, 1.0, 1.0])
    assert found.interval[1] == np.inf
    assert np.isnan(noise_scale.noise_scale([1.0], [1.0]).value)
    assert noise_scale.noise_scale([1.0, 1.0, np.nan], [5.0, 5.0, 1.0]).value == 5.0


@pytest.mark.parametrize("name", ["mlp", "cnn", "rnn"])
def test_the_noise_of_every_network_is_measured_on_its_own_examples(name):
    found = jax.jit(batch_training.noise_of(name, 0, 1))(seed_key(0))
    assert np.isfinite(float(found.square))
    assert float(found.trace) > 0


@pytest.mark.parametrize(("small", "large"), [(8, 8), (16, 8), (0, 8)])
def test_two_batch_sizes_must_differ(small, large):
    with pytest.raises(ValueError, match="small must be below large"):
        noise_scale.moments(1.0, 1.0, small, large)


@pytest.mark.parametrize("critical", [5.0, 60.0, 300.0])
def test_the_critical_batch_size_is_the_one_that_made_the_steps(critical):
    sizes = np.array([1, 10, 32, 50, 128, 200, 500, 800])
    generator = np.random.default_rng(0)
    expected = 40 * (1 + critical / sizes)
    steps = expected[:, None] * np.exp(0.1 * generator.normal(size=(8, 64)))
    found = noise_scale.critical_batch(sizes, steps)
    assert found.value == pytest.approx(critical, rel=0.1)
    assert found.interval[0] < critical < found.interval[1]
    # an eighth of the seeds never get there: the medians hardly move
    steps[:, :8] = np.inf
    assert noise_scale.critical_batch(sizes, steps).value == pytest.approx(critical, rel=0.15)


def test_scaling_without_an_end_and_without_a_beginning_is_said():
    sizes = np.array([1, 10, 100])
    perfect, useless = 1000 / sizes[:, None] * np.ones(9), np.full((3, 9), 50.0)
    assert noise_scale.critical_batch(sizes, perfect).value == np.inf
    assert noise_scale.critical_batch(sizes, useless).value == 0
    never = np.where(np.arange(3)[:, None] < 1, np.inf, useless)
    assert np.isnan(noise_scale.critical_batch(sizes, never).value)
    words = [batch_training.in_words(value, [1, 100]) for value in (np.inf, 0.6, np.nan, 12.34)]
    assert words == ["beyond 100", "below 1", "not told", "12.3"]


@pytest.fixture
def curves():
    """Five seeds that reach 0.9 after 10, 20, 20, 30 steps and never."""
    accuracies = np.zeros((5, 4))
    for seed, evaluation in enumerate((1, 2, 2, 3, 4)):
        accuracies[seed, evaluation:] = 0.9
    return Curves(np.array([0, 10, 20, 30]), accuracies, accuracies)


def rows_of(curves, **changes):
    best = {(8, target): 0.5 for target in batch_training.TARGETS}
    rows = batch_training.target_rows(
        "mlp", [8], best, {(8, 0.1): curves, (8, 0.5): curves}, {8: 1e-3}
    )
    return [row for row in rows if row["rule"] == "fixed"]


def test_a_seed_that_never_gets_there_counts_as_infinite(curves):
    first, second = rows_of(curves)
    assert (first["target"], first["reached"], first["seeds"]) == (0.9, 4, 5)
    assert first["steps"] == 20  # of 10, 20, 20, 30, never: the mean of those that do is 20 as well
    assert first["epochs"] == pytest.approx(20 * 8 / 800)
    assert first["seconds"] == pytest.approx(0.02)
    assert (second["reached"], second["steps"], second["seconds"]) == (0, np.inf, np.inf)


def test_a_median_over_seeds_of_which_half_are_lost_is_infinite(curves):
    lost = curves._replace(test=np.where(np.arange(5)[:, None] < 3, 0.0, curves.test))
    first, _ = rows_of(lost)
    assert (first["reached"], first["steps"]) == (1, np.inf)
    columns = bgd_vs_sgd.TARGET_COLUMNS
    written = json.loads(json.dumps({**first, "steps": None, "seconds": None}))
    assert columns["steps"](written) == columns["engine ms"](written) == "never"
    assert bgd_vs_sgd.interval([12.0, None], 64, "never") == "[12, never]"
    assert bgd_vs_sgd.interval([None, None], 64, "never") == "[never, never]"
    assert bgd_vs_sgd.interval([None, None], 5, "never") == "n too small"


def test_the_tuned_rate_gets_there_soonest_or_ends_highest():
    steps = np.array([0, 10, 20])
    quick = Curves(steps, *[np.array([[0.1, 0.9, 0.9]] * 3)] * 2)
    slow = Curves(steps, *[np.array([[0.1, 0.2, 0.95]] * 3)] * 2)
    assert batch_training.soonest({0.1: slow, 0.3: quick}, 0.9) == 0.3
    assert batch_training.soonest({0.1: slow, 0.3: quick}, 0.97) == 0.1
    # tuned by validation, whatever the test says
    lucky = quick._replace(valid=np.zeros((3, 3)))
    assert batch_training.soonest({0.1: slow, 0.3: lucky}, 0.9) == 0.1


def test_a_curve_is_read_at_its_last_evaluation(curves):
    np.testing.assert_array_equal(curves.at(19.9), [0.9, 0, 0, 0, 0])
    np.testing.assert_array_equal(curves.at(20), [0.9, 0.9, 0.9, 0, 0])


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        ([11, 12, 13, 14, 15, 16, 17], "holds"),
        ([2, 3, 4, 5, 6, 7, 8], "does not hold"),
        ([5, 6, 9, 10, 11, 12, 20], "not decided"),
        ([20, 21], "not decided"),
    ],
)
def test_the_claim_is_judged_by_its_interval(costs, verdict):
    context = Context(Setting(0.1), [], {})
    row = bgd_vs_sgd.claim_row(context, "numpy", 1, np.array(costs, float))
    assert row["verdict"] == verdict
    assert (row["rounds"], row["device"]) == (len(costs), "cpu")


def test_the_claim_compares_the_full_batch_of_a_library_with_its_own_smaller_ones():
    rates = {"jaxdl, 1": 40.0, "jaxdl, 800": 2.0, "numpy, 1": 30.0, "numpy, 800": 10.0}
    entries = [
        {"name": name, "status": "timed", "rates": [rate] * 7} for name, rate in rates.items()
    ]
    case = {"case": {"network": "mlp"}, "contestants": entries}
    rows = bgd_vs_sgd.claim(Context(Setting(0.1), [case], {}))["claim"]
    costs = {(row["library"], row["against"]): row["cost"] for row in rows}
    assert costs == {("jaxdl", 1): 20.0, ("numpy", 1): 3.0}


def test_a_quick_run_has_only_the_sizes_that_it_asks_for():
    (case,) = bgd_vs_sgd.BENCHMARK.quick.cases
    taking = harness.with_twin(bgd_vs_sgd.BENCHMARK, case)
    assert [name for name in taking if name.startswith("jaxdl")] == [
        "jaxdl, 1",
        "jaxdl, 32",
        "jaxdl, 800",
    ]
