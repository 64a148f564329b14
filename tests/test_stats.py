"""Statistics over seeds against NumPy, SciPy and hand computation, diverged lanes included."""

import math
import types

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from experiments import columns, frame
from jaxdl import stats, tables

RNG = np.random.default_rng(0)
INF, NAN = math.inf, math.nan
NORMAL = RNG.normal(3.0, 2.0, 60)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    q=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_quantiles_of_finite_values_are_those_of_numpy(values, q):
    np.testing.assert_allclose(
        stats.quantile(values, q), np.quantile(values, q), rtol=1e-9, atol=1e-9
    )


def test_quantiles_go_along_the_first_axis():
    curves = RNG.normal(size=(9, 4))
    np.testing.assert_allclose(
        stats.quantile(curves, [0.05, 0.5]), np.quantile(curves, [0.05, 0.5], axis=0)
    )


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
    assert (found.low, found.median, found.high) == pytest.approx(
        tuple(np.quantile(NORMAL, [0.05, 0.5, 0.95]))
    )
    assert found.iqm == pytest.approx(scipy_stats.trim_mean(NORMAL, 0.25))
    assert found.iqm_interval[0] < found.iqm < found.iqm_interval[1]
    assert found.mean_interval[0] < found.mean < found.mean_interval[1]
    assert found.median_interval[0] < found.median < found.median_interval[1]


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
    assert all(map(math.isnan, (found.mean, found.sd, found.iqm)))
    assert all(map(math.isnan, (*found.iqm_interval, *found.mean_interval, *found.median_interval)))


@pytest.mark.parametrize(("higher", "worst"), [(True, 0), (False, 1)])
def test_the_interval_of_a_median_ends_at_the_diverged_lanes_where_they_reach_it(higher, worst):
    found = stats.summarise(np.arange(10) / 10, [False] * 7 + [True] * 3, higher)
    assert math.isinf(found.median_interval[worst])
    assert found.median_interval[1 - worst] == (0.5 if higher else 0.1)
    assert found.survived == 7


def test_a_value_that_is_not_finite_counts_as_that_of_a_diverged_lane():
    found = stats.summarise([0.5, 0.6, INF, -INF, NAN, 0.7], [False] * 6)
    assert (found.n, found.survived, found.median) == (6, 3, -INF)
    assert found.mean == pytest.approx(0.6)
    pair = stats.compare([1.0, INF, 2.0], [0.0, 1.0, 1.0], [False] * 3, [False] * 3)
    assert (pair.both_survived, pair.difference, pair.improvement) == (2, 1.0, pytest.approx(2 / 3))


def test_summarise_of_nothing_is_a_row_of_no_lanes():
    found = stats.summarise([], [])
    assert (found.n, found.survived) == (0, 0)
    figures = [part for part in found[2:] if isinstance(part, float)]
    assert all(map(math.isnan, figures))
    assert all(math.isnan(end) for part in found if isinstance(part, tuple) for end in part)


def test_summarise_of_a_metric_without_a_better_end_is_over_survivors():
    found = stats.summarise([3.0, 1.0, 9.0, 2.0], [False, False, True, False], None)
    assert (found.n, found.survived, found.median, found.low) == (4, 3, 2.0, pytest.approx(1.1))


@pytest.mark.parametrize("kind", [list, np.float32, np.int64, bool, jnp.bfloat16])
def test_summarise_takes_numbers_of_any_kind(kind):
    values = [1, 0, 1, 1, 0]
    given = (
        values
        if kind is list
        else jnp.array(values, kind)
        if kind is jnp.bfloat16
        else np.array(values, kind)
    )
    found = stats.summarise(given, [0, 0, 0, 0, 1])  # flags as numbers
    assert (found.n, found.survived, found.mean, found.median) == (5, 4, 0.75, 1.0)


NONE3 = [False] * 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: stats.summarise([1, 2], NONE3),
            ValueError,
            "diverged must hold 2 bools, one a value, got shape (3,)",
        ),
        (lambda: stats.summarise([1, 2], False), ValueError, "diverged must hold 2 bools"),
        (
            lambda: stats.summarise([1, 2, 3], [-1, 50, -1]),
            TypeError,
            "diverged must hold bools, one a value, got [-1, 50, -1]",
        ),
        (
            lambda: stats.summarise([1, 2, 3], [None, 50, None]),
            TypeError,
            "diverged must hold bools",
        ),
        (
            lambda: stats.summarise([[1, 2, 3]], NONE3),
            ValueError,
            "values must be one-dimensional, one a seed, got shape (1, 3)",
        ),
        (lambda: stats.summarise(0.5, NONE3), ValueError, "values must be one-dimensional"),
        (
            lambda: stats.summarise(["a", "b", "c"], NONE3),
            TypeError,
            "values must be real numbers, one a seed, got ['a', 'b'",
        ),
        (lambda: stats.summarise([[1], [1, 2]], NONE3), TypeError, "values must be real numbers"),
        (lambda: stats.summarise([1j, 2, 3], NONE3), TypeError, "values must be real numbers"),
        (
            lambda: stats.summarise(np.ma.array([1, 2, 3], mask=[0, 1, 0]), NONE3),
            TypeError,
            "values must not be a masked array",
        ),
        (
            lambda: stats.summarise([1, 2, 3], NONE3, "max"),
            ValueError,
            "higher_is_better must be True or False, got 'max'",
        ),
        (
            lambda: stats.compare([1, 2], [1], [False] * 2, [False]),
            ValueError,
            "a and b must be pairs by seed",
        ),
        (lambda: stats.compare([], [], [], []), ValueError, "a and b must be pairs by seed"),
        (
            lambda: stats.compare([1, 2, 3], [1, 2, 3], NONE3, [False]),
            ValueError,
            "b_diverged must hold 3 bools",
        ),
        (
            lambda: stats.compare([1, 2, 3], [1, 2, 3], NONE3, NONE3, None),
            ValueError,
            "higher_is_better must be True or False",
        ),
        (lambda: stats.percentile([1, NAN], 2), ValueError, "got 1 of 2 values"),
        (lambda: stats.percentile([1, 2], NAN), ValueError, "published=nan"),
        (lambda: stats.percentile([[1, 2]], 1), ValueError, "values must be one-dimensional"),
        (
            lambda: stats.quantile([1, 2], [0.5, -0.1]),
            ValueError,
            "q must be from 0 to 1, got [0.5, -0.1]",
        ),
        (lambda: stats.quantile([1, 2], NAN), ValueError, "q must be from 0 to 1, got nan"),
        (
            lambda: stats.first_reached([[1, 2]], [1], 0.5),
            ValueError,
            "steps (evaluations,), got shapes (1, 2) and (1,)",
        ),
    ],
)
def test_what_cannot_be_summarised_is_refused_in_one_line(call, error, message):
    with pytest.raises(error) as refusal:
        call()
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_nan_and_nothing_are_not_passed_over():
    assert math.isnan(stats.quantile([1.0, NAN, 2.0], 0.5))
    assert math.isnan(stats.iqm([1.0, 2.0, 3.0, NAN]))
    assert math.isnan(stats.percentile([], 0.5))
    assert np.isnan(stats.quantile([], [0.1, 0.5])).tolist() == [True, True]
    assert stats.first_reached(np.zeros((2, 0)), [], 0.5).tolist() == [INF, INF]


def test_summarise_of_a_single_lane_and_of_equal_ones():
    single = stats.summarise([0.5], [False])
    assert (single.n, single.survived, single.mean, single.median, single.iqm) == (
        1,
        1,
        0.5,
        0.5,
        0.5,
    )
    assert all(map(math.isnan, (single.sd, *single.iqm_interval, *single.mean_interval)))
    equal = stats.summarise([0.5] * 4, [False] * 4)
    assert (equal.mean, equal.sd, equal.median) == (0.5, 0.0, 0.5)
    assert all(map(math.isnan, (*equal.iqm_interval, *equal.mean_interval, *equal.median_interval)))


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
    assert (
        stats.compare(a, b, [False] * 4, [False] * 4, higher_is_better=False).improvement
        == (0 + 0.5 + 1 + 0) / 4
    )


def test_compare_with_diverged_lanes():
    a, b = [0.9, 0.8, 0.7, 0.6], [0.5, 0.9, 0.8, 0.1]
    found = stats.compare(a, b, [True, False, True, False], [False, True, True, False])
    assert (found.n, found.both_survived) == (4, 1)
    assert found.difference == pytest.approx(0.5)
    assert found.improvement == (0 + 1 + 0.5 + 1) / 4
    assert all(map(math.isnan, found.difference_interval))
    lost = stats.compare(a, b, [True] * 4, [True] * 4)
    assert (lost.both_survived, lost.improvement) == (0, 0.5)
    assert lost.improvement_interval == pytest.approx(
        tuple(scipy_stats.binomtest(2, 4).proportion_ci(method="wilson"))
    )
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
    assert found.difference_interval == pytest.approx(tuple(expected))
    assert found.improvement == 1
    assert found.improvement_interval == pytest.approx(
        tuple(scipy_stats.binomtest(50, 50).proportion_ci(method="wilson"))
    )


def test_preference_is_for_the_median_then_for_survivors_then_for_the_iqm():
    def key(values, lost, higher=True):
        return stats.preference(
            stats.summarise(values, np.arange(len(values)) < lost, higher), higher
        )

    assert key([0.9, 0.9, 0.8], 0) > key([0.9, 0.7, 0.7], 0)
    assert key([0.9, 0.8, 0.8], 0, False) < key([0.9, 0.7, 0.7], 0, False)
    assert key([0.1, 0.1, 0.1], 2) > key([0.9, 0.9, 0.9], 3)  # both medians are a diverged lane's
    assert key([0.1, 0.1, 0.1], 2, False) > key([0.9, 0.9, 0.9], 3, False)
    assert key([0.5, 0.5, 0.5, 0.9, 0.9], 0) > key([0.1, 0.1, 0.5, 0.5, 0.5], 0) > key([], 0)
    assert key([0.5] * 3, 0) == key([0.5] * 3, 0)


def test_first_reached_by_hand():
    curves = np.float32(
        [[0.5, 0.9, 0.95], [0.1, 0.2, 0.3], [0.9, 0.1, 0.9], [NAN, NAN, 0.91]]
    ).astype(float)
    assert stats.first_reached(curves, [0, 50, 100], 0.9).tolist() == [50, INF, 0, 100]


def test_a_table_says_where_there_are_too_few_seeds_for_an_interval():
    samples = {"few": [0.5, 0.6, 0.7], "equal": [0.9] * 8, "some": [0.5, 0.6, 0.7, 0.8, 0.9]}
    rows = [({"kind": kind}, stats.summarise(v, [False] * len(v))) for kind, v in samples.items()]
    rows.append(({"kind": "lost"}, stats.summarise([0.5] * 3, [True] * 3, False)))
    lines = str(tables.summary_table("accuracy", ["kind"], rows)).splitlines()
    ends = {line.split()[0]: line.rstrip() for line in lines[3:] if line.strip()}
    assert ends["few"].endswith("n<5")
    assert ends["equal"].endswith("n too small")
    assert ends["some"].endswith("[0.5, 0.9]")
    assert "diverged" in ends["lost"]  # the median of a loss: not "never"


def entry_of(values, diverged) -> dict:
    """What an experiment's column holds of these lanes."""
    lanes = types.SimpleNamespace(final=lambda name: values, diverged=diverged)
    return columns.distribution(lanes, "test_accuracy", True)


def test_json_has_null_for_ends_that_there_are_none_of():
    entry = entry_of(np.array([0.5, 0.6, 0.7]), np.zeros(3, bool))
    assert frame.plain(entry)["iqm_interval"] == [None, None]
    assert frame.plain(entry)["median_interval"] == [None, None]
    assert columns.iqm_cell(entry, 3) == "0.600 n<5"
    lost = entry_of(np.arange(10) / 10, np.arange(10) >= 7)
    assert frame.plain(lost)["median_interval"] == [None, 0.5]


def test_a_comparison_reads_as_lines():
    a, b = np.arange(6.0), np.array([0.0, 2, 3, 4, 5, 6])
    flags = np.zeros(6, bool)
    compared = stats.compare(a, b, flags, flags, higher_is_better=True)
    text = str(compared).splitlines()
    assert text[0] == "a against b, paired by seed: 6 pairs, 6 both survived"
    # Five pairs at -1 and one at 0: -5/6, and half a tie in six.
    assert text[1].split()[5:6] == ["-0.8333"]
    assert text[2].split()[3:4] == ["0.08333"]
    few = stats.compare(a[:1], b[:1], flags[:1], flags[:1], higher_is_better=True)
    assert "n too small" in str(few)
