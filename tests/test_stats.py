"""Statistics over seeds against NumPy, SciPy and hand computation, diverged lanes included."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from jaxdl import stats

RNG = np.random.default_rng(0)
INF, NAN = math.inf, math.nan
NORMAL = RNG.normal(3.0, 2.0, 60)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), q=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_of_finite_values_are_those_of_numpy(values, q):
    np.testing.assert_allclose(stats.quantile(values, q), np.quantile(values, q), rtol=1e-9, atol=1e-9)


def test_quantiles_go_along_the_first_axis():
    curves = RNG.normal(size=(9, 4))
    np.testing.assert_allclose(stats.quantile(curves, [0.05, 0.5]), np.quantile(curves, [0.05, 0.5], axis=0))


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([1.0, INF, INF], 0.5, INF),
        ([1.0, 2.0, INF], 0.5, 2.0),
        ([1.0, INF], 0.5, INF),  # half way to infinity is infinite
        ([-INF, 1.0], 0.5, -INF),
        ([-INF, -INF, 1.0, 3.0], 0.5, -INF),
        ([-INF, -INF, 1.0, 3.0], 5 / 6, 2.0),
        ([INF, INF], 0.3, INF),
        ([7.0], 0.9, 7.0),
    ],
)
def test_quantiles_allow_infinite_values(values, q, expected):
    assert stats.quantile(values, q) == expected


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_iqm_is_the_mean_of_the_middle_half(values):
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    assert stats.iqm(values) == pytest.approx(sum(middle) / len(middle), abs=1e-6)


def test_ranked_puts_diverged_and_missing_lanes_last():
    values, diverged = [0.9, 0.5, NAN], [True, False, False]
    assert stats.ranked(values, diverged, True).tolist() == [-INF, 0.5, -INF]
    assert stats.ranked(values, diverged, False).tolist() == [INF, 0.5, INF]


def test_summarise_without_diverged_lanes():
    found = stats.summarise(NORMAL, np.zeros(60, bool))
    assert (found.n, found.survived) == (60, 60)
    assert found.mean == pytest.approx(NORMAL.mean())
    assert found.sd == pytest.approx(NORMAL.std(ddof=1))
    assert (found.low, found.median, found.high) == pytest.approx(tuple(np.quantile(NORMAL, [0.05, 0.5, 0.95])))
    assert found.iqm == pytest.approx(scipy_stats.trim_mean(NORMAL, 0.25))
    assert found.iqm_interval[0] < found.iqm < found.iqm_interval[1]


def test_summarise_counts_a_diverged_lane_as_worst_and_leaves_it_out_of_the_mean():
    values, diverged = [0.9, 0.8, 0.1, 0.7, 0.6], [False, False, True, False, False]
    found = stats.summarise(values, diverged)
    assert (found.n, found.survived) == (5, 4)
    assert (found.mean, found.iqm) == pytest.approx((0.75, 0.75))
    assert found.sd == pytest.approx(np.std([0.9, 0.8, 0.7, 0.6], ddof=1))
    assert (found.low, found.median) == (-INF, 0.7)
    assert found.high == pytest.approx(0.88)
    of_losses = stats.summarise(values, diverged, higher_is_better=False)
    assert (of_losses.median, of_losses.high) == (0.8, INF)


def test_summarise_of_half_a_config_diverged():
    assert stats.summarise([0.9, 0.8, 0.7, 0.6], [True, True, False, False]).median == -INF


@pytest.mark.parametrize(("higher", "worst"), [(True, -INF), (False, INF)])
def test_summarise_of_lanes_that_all_diverged(higher, worst):
    found = stats.summarise([0.5, 0.5, 0.5], [True] * 3, higher)
    assert (found.n, found.survived) == (3, 0)
    assert (found.low, found.median, found.high) == (worst, worst, worst)
    assert all(map(math.isnan, (found.mean, found.sd, found.iqm, *found.iqm_interval)))


def test_summarise_of_a_single_lane_and_of_equal_ones():
    single = stats.summarise([0.5], [False])
    assert (single.n, single.survived, single.mean, single.median, single.iqm) == (1, 1, 0.5, 0.5, 0.5)
    assert all(map(math.isnan, (single.sd, *single.iqm_interval)))
    equal = stats.summarise([0.5] * 4, [False] * 4)
    assert (equal.mean, equal.sd, equal.median, equal.iqm_interval) == (0.5, 0.0, 0.5, (0.5, 0.5))


@pytest.mark.parametrize("statistic", [np.mean, stats.iqm])
def test_the_interval_is_the_percentile_bootstrap(statistic):
    low, high = stats.interval(NORMAL, statistic)
    resampled = np.sort(statistic(NORMAL[RNG.integers(0, 60, (20_000, 60))], axis=-1))
    width = resampled[19_499] - resampled[499]
    assert (low, high) == pytest.approx((resampled[499], resampled[19_499]), abs=0.06 * width)
    direct = scipy_stats.bootstrap((NORMAL,), statistic, n_resamples=9999, method="BCa", rng=np.random.default_rng(3))
    assert (low, high) == pytest.approx(tuple(direct.confidence_interval), abs=0.1 * width)
    assert stats.interval(NORMAL, statistic) == (low, high)  # a table can be made again


def test_the_interval_of_a_mean_covers_it_in_95_of_100_samples():
    covered = [low < 3 < high for low, high in (stats.interval(RNG.normal(3, 2, 50), np.mean) for _ in range(300))]
    assert 0.91 <= np.mean(covered) <= 0.98


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.integers(0, 10))
def test_percentile_is_the_share_below_with_ties_at_mid_rank(values, published):
    expected = scipy_stats.percentileofscore(values, published, kind="mean")
    assert stats.percentile(values, published) == pytest.approx(expected)


def test_a_float32_share_ties_with_the_published_decimal():
    assert stats.percentile(np.float32([0.96, 0.96, 0.965, 0.95]), 0.96) == 50
    assert stats.percentile(np.float32([0.9599, 0.9601]), 0.96) == 50
    assert stats.percentile([0.9599, 0.9599], 0.96) == 100
    assert stats.percentile([-INF, -INF, 0.9, 1.0], 0.95) == 75  # diverged lanes, ranked


def test_compare_by_hand():
    a, b = [0.9, 0.8, 0.7, 0.6], [0.5, 0.8, 0.8, 0.1]
    found = stats.compare(a, b, [False] * 4, [False] * 4)
    assert (found.n, found.both_survived) == (4, 4)
    assert found.difference == pytest.approx((0.4 + 0 - 0.1 + 0.5) / 4)
    assert found.improvement == (1 + 0.5 + 0 + 1) / 4
    assert stats.compare(a, b, [False] * 4, [False] * 4, higher_is_better=False).improvement == (0 + 0.5 + 1 + 0) / 4


def test_compare_with_diverged_lanes():
    a, b = [0.9, 0.8, 0.7, 0.6], [0.5, 0.9, 0.8, 0.1]
    found = stats.compare(a, b, [True, False, True, False], [False, True, True, False])
    assert (found.n, found.both_survived) == (4, 1)
    assert found.difference == pytest.approx(0.5)
    assert found.improvement == (0 + 1 + 0.5 + 1) / 4
    assert all(map(math.isnan, found.difference_interval))
    lost = stats.compare(a, b, [True] * 4, [True] * 4)
    assert (lost.both_survived, lost.improvement, lost.improvement_interval) == (0, 0.5, (0.5, 0.5))
    assert math.isnan(lost.difference)


def test_compare_leaves_missing_values_out_of_the_difference():
    found = stats.compare([1.0, NAN, 3.0], [0.0, 1.0, 1.0], [False] * 3, [False] * 3)
    assert (found.n, found.both_survived, found.difference) == (3, 2, 1.5)
    assert found.improvement == pytest.approx(2 / 3)


def test_compare_pairs_by_seed():
    seeds = RNG.normal(0, 10, 50)  # what both configs share
    a, b = seeds + RNG.normal(1, 0.1, 50), seeds + RNG.normal(0, 0.1, 50)
    found = stats.compare(a, b, np.zeros(50, bool), np.zeros(50, bool))
    expected = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.difference_interval == pytest.approx(tuple(expected), abs=0.01)
    assert found.improvement == 1


def test_first_reached_by_hand():
    curves = np.float32([[0.5, 0.9, 0.95], [0.1, 0.2, 0.3], [0.9, 0.1, 0.9], [NAN, NAN, 0.91]]).astype(float)
    assert stats.first_reached(curves, [0, 50, 100], 0.9).tolist() == [50, INF, 0, 100]
