"""Intervals against scipy's own, by hand, and by how often they hold the true value."""

import math
import time
import tracemalloc

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from jaxdl import stats
from jaxdl.reporting import intervals

NORMAL = np.random.default_rng(0).normal(3.0, 2.0, 60)
SAMPLES = 600  # of each shape and n, to count coverage in
MANY = 301  # the first n that is not resampled


def humps(share: float):
    """Two narrow humps, the lower one with a share of the seeds."""

    def quantile(u):
        within = np.where(u < share, u / share, (u - share) / (1 - share))
        return np.where(u < share, 0.5, 0.95) + 0.02 * special.ndtri(within)

    return quantile


# Quantile functions: of a uniform number they make a sample, of a grid the true figures.
SHAPES = {
    "normal": special.ndtri,
    "skewed": lambda u: np.exp(special.ndtri(u)),
    "bounded": lambda u: u ** (1 / 8),
    "tied": lambda u: np.round(20 * u ** (1 / 8)) / 20,
    "even humps": humps(0.5),
    "humps": humps(0.3),
}
# What the docstrings state, at n = 3, 5, 10, 30.
OF_MEAN = {
    "normal": (95, 95, 95, 95),
    "bounded": (90, 90, 91, 94),
    "tied": (92, 91, 91, 94),
    "even humps": (75, 94, 94, 95),
    "humps": (62, 83, 95, 95),
    "skewed": (83, 82, 82, 87),
}
# At n = 5, 10, 30, 301.
OF_IQM = {
    "normal": (94, 97, 96, 98),
    "bounded": (94, 97, 96, 98),
    "tied": (94, 97, 95, 98),
    "even humps": (94, 97, 95, 95),
    "humps": (83, 96, 94, 96),
    "skewed": (93, 97, 96, 98),
}


def true_figures(shape: str) -> dict:
    grid = SHAPES[shape]((np.arange(200_000) + 0.5) / 200_000)
    return {"mean": grid.mean(), "iqm": grid[50_000:150_000].mean(), "median": grid[100_000]}


def coverage(
    interval, shape: str, figure: str, n: int, samples: int = SAMPLES
) -> tuple[float, int]:
    """The percentage of the intervals given that hold the true figure, and how many were given."""
    rng = np.random.default_rng([n, *shape.encode()])
    drawn = SHAPES[shape](rng.random((samples, n)))
    ends = np.array([interval(sample) for sample in drawn])
    given = ends[~np.isnan(ends).any(axis=1)]
    true = true_figures(shape)[figure]
    held = (given[:, 0] - 1e-9 <= true) & (true <= given[:, 1] + 1e-9)
    return 100 * held.mean(), len(given)


def binomial_error(percent: float, samples: int) -> float:
    return 100 * math.sqrt(percent / 100 * (1 - percent / 100) / samples)


def check_coverage(interval, figures: dict, sizes, shape: str, figure: str):
    for n, stated in zip(sizes, figures[shape], strict=True):
        found, given = coverage(interval, shape, figure, n, SAMPLES if n < MANY else 300)
        # 4 sd of the count, and a half for the digits that are not stated
        assert abs(found - stated) <= 4 * binomial_error(stated, given) + 0.5, (shape, n, found)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_of_a_mean_holds_it_as_often_as_stated(shape):
    check_coverage(intervals.mean_interval, OF_MEAN, (3, 5, 10, 30), shape, "mean")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_of_an_iqm_holds_it_as_often_as_stated(shape):
    check_coverage(intervals.iqm_interval, OF_IQM, (5, 10, 30, MANY), shape, "iqm")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_of_a_median_never_falls_below_95(shape):
    for n in (6, 10, 30):
        found, given = coverage(intervals.median_interval, shape, "median", n)
        assert given == SAMPLES
        assert found >= 95 - 4 * binomial_error(95, SAMPLES), (shape, n, found)


def test_paired_differences_are_held_in_95_of_100_samples_from_three_seeds_on():
    rng, none = np.random.default_rng(5), np.zeros(3, bool)
    held = []
    for _ in range(SAMPLES):
        seeds = rng.normal(0, 10, 3)  # what both configs share
        a, b = seeds + rng.normal(1, 1, 3), seeds + rng.normal(0, 1, 3)
        low, high = stats.compare(a, b, none, none).difference_interval
        held.append(low <= 1 <= high)
    assert abs(100 * np.mean(held) - 95) <= 4 * binomial_error(95, SAMPLES)


def exact_coverage(true: float, tied: float, n: int) -> float:
    """How often the interval of improvement holds `true`, over all outcomes of n pairs."""
    chances = [true - tied / 2, tied, max(1 - true - tied / 2, 0.0)]
    counts = [(wins, ties) for wins in range(n + 1) for ties in range(n + 1 - wins)]
    outcomes = [(wins, ties, n - wins - ties) for wins, ties in counts if tied or not ties]
    total = 0.0
    for outcome, chance in zip(
        outcomes, scipy_stats.multinomial.pmf(outcomes, n, chances), strict=True
    ):
        if chance > 1e-9:
            low, high = intervals.improvement_interval(*outcome[:2], n)
            total += chance * (low - 1e-9 <= true <= high + 1e-9)
    return 100 * total


@pytest.mark.parametrize(
    ("true", "stated"), [(0.61, (94, 99, 94, 94, 94)), (0.976, (93, 89, 98, 97, 97))]
)
def test_the_interval_of_improvement_holds_it_without_ties(true, stated):
    found = [exact_coverage(true, 0.0, n) for n in (3, 5, 10, 30, 100)]
    assert found == pytest.approx(stated, abs=1.01)
    assert min(found) >= 88.5
    assert max(found) <= 99.5


@pytest.mark.parametrize(("true", "least"), [(0.61, (94, 99, 94, 94)), (0.976, (93, 89, 92, 95))])
def test_the_interval_of_improvement_holds_it_with_ties(true, least):
    for n, stated in zip((3, 5, 10, 30), least, strict=True):
        for share in (0.1, 0.3, 0.7, 1.0):  # of the pairs that are not surely won
            assert exact_coverage(true, share * 2 * (1 - true), n) >= stated - 0.6, (n, share)


def test_an_interval_of_improvement_is_wide_at_three_seeds_whatever_they_say():
    for wins in range(4):
        for ties in range(4 - wins):
            low, high = intervals.improvement_interval(wins, ties, 3)
            assert 0 <= low < (wins + ties / 2) / 3 < high <= 1 or high - low > 0.5
            assert high - low > 0.4


@pytest.mark.parametrize("n", [10, 30, 100])
def test_tangos_interval_is_where_the_constrained_likelihood_puts_the_score_at_z(n):
    wins, losses = round(0.4 * n), round(0.1 * n)
    for end in intervals.improvement_interval(wins, n - wins - losses, n):
        difference = 2 * end - 1
        lost = np.linspace(max(0, -difference), (1 - difference) / 2, 400_001)[1:-1]
        tied = 1 - 2 * lost - difference
        likelihood = (
            wins * np.log(lost + difference)
            + losses * np.log(lost)
            + (n - wins - losses) * np.log(tied)
        )
        variance = 2 * lost[likelihood.argmax()] + difference - difference**2
        score = (wins - losses - n * difference) / math.sqrt(n * variance)
        assert abs(score) == pytest.approx(1.959964, abs=1e-3)


def test_without_ties_tangos_interval_is_wilsons_and_wilsons_is_scipys():
    for wins in range(13):
        low, high = intervals._tango(wins, 12 - wins, 12)
        wilson = scipy_stats.binomtest(wins, 12).proportion_ci(0.95, method="wilson")
        assert ((1 + low) / 2, (1 + high) / 2) == pytest.approx(tuple(wilson), abs=1e-9)
        assert intervals._wilson_of_halves(wins, 12) == pytest.approx(tuple(wilson), abs=1e-9)
        assert stats.share_interval(wins, 12) == pytest.approx(tuple(wilson), abs=1e-12)


def test_a_share_of_nothing_and_counts_that_are_none():
    assert all(map(math.isnan, stats.share_interval(0, 0)))
    assert stats.share_interval(np.int64(20), 20) == (pytest.approx(0.8389, abs=1e-3), 1.0)
    for count, n in ((4, 3), (-1, 3), (0.5, 3), (math.nan, 3)):
        with pytest.raises(ValueError, match="count must be an integer from 0 to n, got"):
            stats.share_interval(count, n)


def test_the_interval_of_a_mean_is_scipys_t():
    expected = scipy_stats.ttest_1samp(NORMAL, 0).confidence_interval(0.95)
    assert intervals.mean_interval(NORMAL) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("n", [6, 7, 12, 60])
def test_the_interval_of_a_median_is_that_of_scipys_quantile_test(n):
    expected = scipy_stats.quantile_test(NORMAL[:n], p=0.5).confidence_interval(0.95)
    assert intervals.median_interval(NORMAL[:n]) == tuple(expected)


@pytest.mark.parametrize("n", [8, 60])
def test_the_interval_of_an_iqm_is_scipys_bootstrap_at_the_widened_level(n):
    t = scipy_stats.t(n - 1).ppf(0.975)
    tail = scipy_stats.norm.sf(math.sqrt(n / (n - 1)) * t)
    expected = scipy_stats.bootstrap(
        (NORMAL[:n],),
        lambda sample, axis: scipy_stats.trim_mean(sample, 0.25, axis=axis),
        confidence_level=1 - 2 * tail,
        n_resamples=50_000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    width = expected.high - expected.low
    found = intervals.iqm_interval(NORMAL[:n])
    assert found == pytest.approx(tuple(expected), abs=0.06 * width)
    assert intervals.iqm_interval(NORMAL[:n]) == found  # a table can be made again


def test_resampling_and_the_closed_form_agree_where_one_takes_over():
    sample = np.sort(np.random.default_rng(4).normal(size=intervals.RESAMPLED))
    resampled = intervals._expanded_bootstrap(sample)
    closed = intervals._winsorised_t(sample)
    assert closed == pytest.approx(resampled, abs=0.2 * (resampled[1] - resampled[0]))


def test_a_hump_just_beyond_the_quartile_is_not_missed_by_the_closed_form():
    SHAPES["rare hump"] = humps(0.26)
    try:
        found, given = coverage(intervals.iqm_interval, "rare hump", "iqm", MANY, 400)
    finally:
        del SHAPES["rare hump"]
    assert found >= 95 - 4 * binomial_error(95, given)


def too_few(interval) -> bool:
    return all(map(math.isnan, interval))


def test_a_handful_of_equal_values_gives_no_point():
    for n in (0, 1, 2, 3, 5, 10):
        assert too_few(intervals.mean_interval([0.9] * n))
        assert too_few(intervals.iqm_interval([0.9] * n))
    assert too_few(intervals.median_interval([0.9] * 5))
    assert intervals.median_interval([0.9] * 6) == (0.9, 0.9)  # as sure as any sign test
    assert intervals.iqm_interval([0.9] * 11) == pytest.approx((0.9, 0.9))  # 0.75**11 < 0.05
    assert too_few(intervals.mean_interval([0.9] * 58))
    assert intervals.mean_interval([0.9] * 59) == pytest.approx((0.9, 0.9))  # 0.95**59 < 0.05


def test_a_point_of_an_iqm_needs_more_seeds_the_more_of_them_differ():
    one_differs = [[0.5] + [1.0] * (n - 1) for n in (16, 18)]
    assert too_few(intervals.iqm_interval(one_differs[0]))  # 0.063 that a quarter differs
    assert intervals.iqm_interval(one_differs[1]) == (1, 1)  # 0.039


def test_equal_differences_are_no_spread_however_they_are_rounded():
    a, tenth_less, none = np.array([0.9, 0.8, 0.3]), np.array([0.8, 0.7, 0.2]), np.zeros(3, bool)
    assert np.ptp(a - tenth_less) > 0
    assert too_few(stats.compare(a, tenth_less, none, none).difference_interval)
    single = np.float32([0.95, 0.9, 0.85])
    assert too_few(stats.compare(single, single - np.float32(0.1), none, none).difference_interval)
    # A diverged lane's last value is no scale to round by.
    b = np.array([0.1, 0.3, 1e30])
    found = stats.compare(a, b, none, [False, False, True]).difference_interval
    assert found == pytest.approx(
        tuple(scipy_stats.ttest_rel(a[:2], b[:2]).confidence_interval(0.95))
    )


@pytest.mark.parametrize(("configs", "seeds"), [(1, 400_000), (400, 1000), (500, 200)])
def test_many_lanes_are_summarised_in_seconds_and_little_memory(configs, seeds):
    values = np.random.default_rng(0).normal(size=(configs, seeds))
    none = np.zeros(seeds, bool)
    start = time.perf_counter()
    for of_config in values:
        stats.summarise(of_config, none)
    assert time.perf_counter() - start < 8
    tracemalloc.start()
    stats.summarise(values[0], none)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6 + 100 * seeds  # a resampled one held 2000 samples at once
