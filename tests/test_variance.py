"""How many seeds a comparison needs, and which factor a variance comes from."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from jaxdl import stats

# --- seeds_needed --------------------------------------------------------------------------------

# Of G*Power 3.1's "difference between two dependent means (matched pairs)", two-sided, 0.05.
GPOWER = {(0.2, 0.8): 199, (0.5, 0.8): 34, (0.8, 0.8): 15, (1.0, 0.8): 10, (0.5, 0.95): 54}


@pytest.mark.parametrize(("effect", "power"), GPOWER)
def test_seeds_needed_are_those_of_gpower(effect, power):
    found = stats.seeds_needed(-3 * effect, sd=3.0, power=power)
    assert found == GPOWER[effect, power]
    assert type(found) is int


def power_by_nct(n, effect, level):
    """By scipy's noncentral t, which is NaN far out: there the other tail is nothing."""
    critical = scipy_stats.t.ppf((1 + level) / 2, n - 1)
    law = scipy_stats.nct(n - 1, effect * math.sqrt(n))
    return law.sf(critical) + np.nan_to_num(law.cdf(-critical))


@pytest.mark.parametrize("effect", [0.15, 0.6, 2.5, 5.0])
@pytest.mark.parametrize(("power", "level"), [(0.8, 0.95), (0.9, 0.99), (0.3, 0.9)])
def test_seeds_needed_is_the_first_number_with_that_power(effect, power, level):
    n = stats.seeds_needed(effect, sd=1, power=power, level=level)
    assert power_by_nct(n, effect, level) >= power
    assert n == 2 or power_by_nct(n - 1, effect, level) < power


@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
def test_a_difference_of_many_sds_needs_as_few_seeds_as_a_test_can_have(level):
    """Where scipy's noncentral t is NaN: two seeds do at last, as the simulation says."""
    sizes = [stats.seeds_needed(effect, sd=1, level=level) for effect in (5, 20, 100, 2000, 1e6)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 2
    for effect, n in zip((20, 100), sizes[1:3], strict=True):
        drawn = np.random.default_rng(5).normal(effect, 1.0, (4000, n))
        found = np.mean(scipy_stats.ttest_1samp(drawn, 0, axis=1).pvalue < 1 - level)
        assert found >= 0.8 - 4 * math.sqrt(0.16 / 4000)


def test_that_many_seeds_find_the_difference_as_often_as_stated():
    n = stats.seeds_needed(0.7, sd=1.0, power=0.8)
    drawn = np.random.default_rng(1).normal(0.7, 1.0, (20_000, n))
    found = np.mean(scipy_stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert found >= 0.8 - 4 * math.sqrt(0.8 * 0.2 / 20_000)
    assert found < 0.84


def test_a_pilot_counts_with_the_upper_limit_of_its_sd():
    """By hand: 5 differences of sd 1, chi-squared 4 exceeds 1.649 with probability 0.8."""
    differences = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    expected = stats.seeds_needed(0.5, sd=math.sqrt(4 / 1.6488))
    assert stats.seeds_needed(0.5, pilot=differences) == expected > stats.seeds_needed(0.5, sd=1)
    b = np.array([5.0, 3.0, 8.0, 1.0, 0.0])
    assert stats.seeds_needed(0.5, pilot=(b + differences, b)) == expected
    none = np.zeros(5, bool)
    compared = stats.compare(b + differences, b, none, none)
    assert stats.seeds_needed(0.5, pilot=compared) == expected


def test_a_study_sized_by_a_pilot_has_its_power_in_four_of_five():
    pilots = np.random.default_rng(2).normal(0, 1, (400, 6))
    enough = stats.seeds_needed(0.8, sd=1.0)
    held = np.mean([stats.seeds_needed(0.8, pilot=pilot) >= enough for pilot in pilots])
    assert abs(held - 0.8) <= 4 * math.sqrt(0.16 / 400) + 0.03  # whole seeds


NONE = np.zeros(3, bool)
REFUSED_SEEDS = {
    "nothing to find": (dict(difference=0, sd=1), "difference must not be 0, got 0"),
    "no number": (dict(difference="0.1", sd=1), "difference must be a finite number, got '0.1'"),
    "NaN": (dict(difference=math.nan, sd=1), "difference must be a finite number, got nan"),
    "a flag": (dict(difference=True, sd=1), "difference must be a finite number, got True"),
    "no spread": (dict(difference=1, sd=0), "sd must be a finite number above 0, got 0"),
    "negative spread": (dict(difference=1, sd=-1.0), "sd must be a finite number above 0"),
    "nothing known": (dict(difference=1), "sd or pilot must be given, one of them, got sd=None"),
    "two of them": (dict(difference=1, sd=1, pilot=[1, 2]), "one of them, got sd=1 and a pilot"),
    "a sure thing": (dict(difference=1, sd=1, power=1), "power must be a number above 0.05"),
    "less than luck": (dict(difference=1, sd=1, power=0.05), "power must be a number above 0.05"),
    "percent": (dict(difference=1, sd=1, level=95), "level must be a number above 0 and below 1"),
    "too small": (dict(difference=1e-6, sd=1), "difference must be one that 4294967296 seeds"),
    "one pair": (dict(difference=1, pilot=[0.5]), "pilot must hold at least 2 differences"),
    "no pair": (dict(difference=1, pilot=[]), "pilot must hold at least 2 differences"),
    "a lost lane": (dict(difference=1, pilot=[1, 2, math.nan]), "got 3, 1 of them not finite"),
    "equal": (dict(difference=1, pilot=[2, 2, 2]), "that vary, got 3 that are all 2"),
    "equal but for rounding": (
        dict(difference=1, pilot=(np.float32([0.9, 0.8, 0.3]), np.float32([0.8, 0.7, 0.2]))),
        "pilot must hold differences that vary",
    ),
    "other lengths": (dict(difference=1, pilot=([1, 2], [1, 2, 3])), "one length, got 2 and 3"),
    "a comparison of equals": (
        dict(difference=1, pilot=stats.compare([1, 2, 3], [0, 1, 2], NONE, NONE)),
        "pilot must have an interval of its difference",
    ),
}


@pytest.mark.parametrize("name", REFUSED_SEEDS)
def test_what_no_number_of_seeds_follows_from_is_refused_in_a_line(name):
    arguments, words = REFUSED_SEEDS[name]
    with pytest.raises(ValueError) as refusal:
        stats.seeds_needed(**arguments)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


# --- variance_shares -----------------------------------------------------------------------------


def crossed(**levels):
    """The level of every combination, name -> (combinations,)."""
    grid = np.indices(tuple(levels.values())).reshape(len(levels), -1)
    return dict(zip(levels, grid, strict=True))


def drawn(rng, factors, variances, draw=np.random.Generator.normal):
    """Values whose components are known: name, or names joined by " x ", -> variance."""
    n = len(next(iter(factors.values())))
    values = rng.normal(0, math.sqrt(variances["rest"]), n)
    for effect, variance in variances.items():
        if effect != "rest":
            labels = np.stack([factors[name] for name in effect.split(" x ")])
            _, place = np.unique(labels, axis=1, return_inverse=True)
            effects = draw(rng, size=place.max() + 1)
            values += math.sqrt(variance) * effects[place]
    return values


def test_two_factors_by_the_textbook():
    """Sums of squares with loops, components by the expected mean squares of the two-way layout."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(4, 6)) + 2 * rng.normal(size=(4, 1)) + rng.normal(size=6)
    grand, rows, columns = table.mean(), table.mean(1), table.mean(0)
    of_rows = 6 * sum((row - grand) ** 2 for row in rows) / 3
    of_columns = 4 * sum((column - grand) ** 2 for column in columns) / 5
    rest = 0.0
    for i, j in itertools.product(range(4), range(6)):
        rest += (table[i, j] - rows[i] - columns[j] + grand) ** 2 / 15
    expected = [(of_rows - rest) / 6, (of_columns - rest) / 4, rest]
    assert min(expected) > 0
    found = stats.variance_shares(table.ravel(), crossed(init=4, data=6))
    assert [part.variance for part in found.shares.values()] == pytest.approx(expected)
    assert list(found.shares) == ["init", "data", "rest"]
    assert (found.n, found.levels, found.clipped) == (24, {"init": 4, "data": 6}, ())
    assert found.total == pytest.approx(sum(expected))
    assert sum(part.share for part in found.shares.values()) == pytest.approx(1)


def test_the_order_of_lanes_and_the_names_of_levels_do_not_matter():
    rng = np.random.default_rng(1)
    factors = crossed(init=4, data=6)
    values = drawn(rng, factors, {"init": 1.0, "data": 2.0, "rest": 1.0})
    found = stats.variance_shares(values, factors)
    order = rng.permutation(24)
    words = np.array(list("dbac"))[factors["init"]]
    other = {"init": words[order], "data": 100 - factors["data"][order]}
    again = stats.variance_shares(values[order], other)
    for name, part in found.shares.items():
        assert again.shares[name].variance == pytest.approx(part.variance)
        assert again.shares[name].interval == pytest.approx(part.interval)


def test_one_factor_with_repeats_gives_the_intraclass_correlation():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(7, 1)) + rng.normal(size=(7, 3))
    between = 3 * table.mean(1).var(ddof=1)
    within = table.var(axis=1, ddof=1).mean()
    found = stats.variance_shares(table.ravel(), {"init": np.repeat(np.arange(7), 3)})
    expected = (between - within) / (between + 2 * within)
    assert found.shares["init"].share == pytest.approx(expected)
    assert list(found.shares) == ["init", "rest"]


KNOWN = {
    "two factors": (dict(a=12, b=9), 1, {"a": 3.0, "b": 1.0, "rest": 2.0}),
    "repeats": (dict(a=9, b=8), 3, {"a": 3.0, "b": 1.0, "a x b": 2.0, "rest": 1.0}),
    "three factors": (
        dict(a=6, b=7, c=5),
        1,
        {"a": 4.0, "b": 3.0, "c": 3.0, "a x b": 1.0, "a x c": 1.0, "b x c": 1.0, "rest": 0.5},
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_components_are_on_average_those_that_were_put_in(name):
    levels, repeats, variances = KNOWN[name]
    factors = {key: np.tile(column, repeats) for key, column in crossed(**levels).items()}
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        shares = stats.variance_shares(drawn(rng, factors, variances), factors).shares
        assert list(shares) == list(variances)
        found.append([part.variance for part in shares.values()])
    means, errors = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(300)
    assert np.all(np.abs(means - list(variances.values())) <= 4 * errors)


def lognormal(rng, size):
    return (np.exp(rng.normal(size=size)) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


def rare(rng, size):
    return ((rng.random(size) < 0.1) - 0.1) / 0.3


NORMAL = np.random.Generator.normal
# What the docstring states: the coverage, in percent, of the intervals of a, b and the rest.
COVERAGE = {
    "8 levels": (dict(a=8, b=8), (1, 1, 1), NORMAL, (97, 97, 97)),
    "20 levels": (dict(a=20, b=20), (0.2, 0.5, 1), NORMAL, (96, 96, 96)),
    "no share": (dict(a=8, b=8), (0, 1, 1), NORMAL, (98, 96, 96)),
    "rare": (dict(a=20, b=20), (1, 1, 1), rare, (84, 84, 88)),
    "skewed": (dict(a=20, b=20), (1, 1, 1), lognormal, (63, 63, 70)),
}


@pytest.mark.parametrize("name", COVERAGE)
def test_intervals_hold_the_shares_as_often_as_stated(name):
    levels, variances, draw, stated = COVERAGE[name]
    factors, rng, held = crossed(**levels), np.random.default_rng(4), []
    true = dict(zip(("a", "b", "rest"), variances, strict=True))
    for _ in range(250):
        shares = stats.variance_shares(drawn(rng, factors, true, draw), factors).shares
        ends = [shares[key].interval for key in true]
        wanted = [value / sum(variances) for value in variances]
        held.append([low <= at <= high for (low, high), at in zip(ends, wanted, strict=True)])
    for found, percent in zip(100 * np.mean(held, axis=0), stated, strict=True):
        error = 100 * math.sqrt(percent * (100 - percent) / 1e4 / 250)
        assert abs(found - percent) <= 4 * error + 1, (name, found, percent)


def test_a_negative_component_is_zero_and_said():
    """The second factor is balanced within the first: less than chance leaves between its means."""
    found = stats.variance_shares([0, 3, 3, 0], crossed(a=2, b=2))
    assert found.clipped == ("a", "b")
    assert [part.share for part in found.shares.values()] == [0, 0, 1]
    assert str(found).count("clipped to 0") == 2
    assert "2 a x 2 b" in str(found)


def test_rounding_is_no_variance_and_nothing_has_no_shares():
    equal = stats.variance_shares(np.full(12, 0.9), crossed(a=3, b=4))
    assert equal.total == 0
    for part in equal.shares.values():
        assert math.isnan(part.share)
        assert all(map(math.isnan, part.interval))
    factors = crossed(a=3, b=4)
    steps = np.float32(0.1) * (factors["a"] + 7 * factors["b"]).astype(np.float32)
    shares = stats.variance_shares(steps, factors).shares
    assert shares["rest"].share == 0  # it is what float32 rounds


ONES = np.ones(4)
REFUSED = {
    "a lost lane": ([1, 2, math.nan, 4], crossed(a=2, b=2), "got 1 of 4 that are not"),
    "no factor": (ONES, {}, "factors must be a dict of name -> levels, got {}"),
    "a list": (ONES, [[0, 0, 1, 1]], "factors must be a dict of name -> levels"),
    "a missing lane": ([1, 2, 3], {"a": [0, 0, 1], "b": [0, 1, 0]}, "got 0 to 1 values in the 4"),
    "unbalanced": (
        np.ones(5),
        {"a": [0, 0, 1, 1, 1], "b": [0, 1, 0, 1, 1]},
        "got 1 to 2 values in the 4 combinations",
    ),
    "one level": (ONES, {"a": [0, 0, 1, 1], "b": [5] * 4}, "b must have at least 2 levels, got 1"),
    "another length": (ONES, {"a": [0, 1]}, "a must have 4 levels, one a value, got shape (2,)"),
    "no residual": (ONES, {"a": range(4)}, "must leave a residual"),
    "its name": (ONES, {"rest": [0, 0, 1, 1]}, "other than 'rest'"),
    "a joint name": (ONES, {"a x b": [0, 0, 1, 1]}, "factors must have names"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_without_shares_is_refused_in_a_line(name):
    values, factors, words = REFUSED[name]
    with pytest.raises(ValueError) as refusal:
        stats.variance_shares(values, factors)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
