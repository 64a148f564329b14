"""Seeds are added until an interval is narrow, and the interval is valid for that."""

import math
import random

import kill_study
import numpy as np
import optax
import pytest
from scipy import integrate

from jaxdl import Metric, Narrow, Study, losses, models, stats, tasks
from jaxdl.running import engine, narrow, store

# --- the interval --------------------------------------------------------------------------------


def wealth_by_hand(values, mean):
    """Forty-nine bets against a mean in [0, 1], round by round."""
    gamblers = []
    for power in range(25):
        stake = 2.0 ** (-power / 2)
        more = less = 1.0
        for value in values:
            more *= 1 - stake + stake * value / mean
            less *= 1 - stake + stake * (1 - value) / (1 - mean)
        gamblers += [more, less]
    return sum(gamblers) / len(gamblers)


def test_the_ends_are_where_a_gambler_has_won_twenty_times_the_stake():
    values = np.random.default_rng(0).beta(9, 1, 40)
    low, high = stats.always_valid_interval(values, (0, 1))
    for end in (low, high):
        assert wealth_by_hand(values, end) == pytest.approx(20, rel=1e-6)
    for within in np.linspace(low + 1e-6, high - 1e-6, 7):
        assert wealth_by_hand(values, within) < 20
    for beyond in (low / 2, low - 0.01, (1 + high) / 2):
        assert wealth_by_hand(values, beyond) > 20


def test_bounds_scale_the_interval():
    values = np.random.default_rng(1).beta(9, 1, 50)
    low, high = stats.always_valid_interval(values, (0, 1))
    found = stats.always_valid_interval(20 * values - 10, (-10, 10))
    assert found == pytest.approx((20 * low - 10, 20 * high - 10), abs=1e-9)
    turned = stats.always_valid_interval(1 - values, (0, 1))
    assert turned == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_the_asymptotic_interval_is_that_of_a_normal_mixture():
    """At an end a bet that is spread normally over all rates has made 20 of 1 (by integration)."""
    values = np.random.default_rng(2).normal(3, 2, 500)
    low, high = stats.always_valid_interval(values)
    assert low + high == pytest.approx(2 * values.mean())
    total = 500 * (values.mean() - low) / values.std(ddof=1)
    rho = math.sqrt((-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 200)

    def payoff(rate):
        density = math.exp(-((rate / rho) ** 2) / 2) / (rho * math.sqrt(2 * math.pi))
        return density * math.exp(rate * total - 500 * rate**2 / 2)

    won, _ = integrate.quad(payoff, -1, 1, points=[total / 500], limit=500)
    assert won == pytest.approx(20, rel=1e-4)


def hump(share):
    def draw(rng, n):
        return np.clip(np.where(rng.random(n) < share, 0.5, 0.95) + 0.02 * rng.normal(size=n), 0, 1)

    return draw


def of_normal(function):
    return lambda rng, n: function(rng.normal(size=n))


NORMAL = of_normal(lambda z: z)
LOGNORMAL = of_normal(np.exp)
BINARY = lambda rng, n: (rng.random(n) < 0.976).astype(float)
BETA = lambda rng, n: rng.beta(8, 1, n)
STEPS = lambda rng, n: np.round(20 * rng.beta(8, 1, n)) / 20
# the mean of each by a large sample, far more exact than an interval is wide
BOUNDED = {
    "binary": (BINARY, 0.976),
    "beta": (BETA, 8 / 9),
    "in steps": (STEPS, None),
    "even humps": (hump(0.5), None),
    "a rare hump": (hump(0.02), None),
}
UNBOUNDED = {  # what the docstring states
    "normal": (NORMAL, 0.0, 0.5, 99.7),
    "lognormal": (LOGNORMAL, math.exp(0.5), 1.5, 98),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0, 0.5, 99.4),
    "even humps": (hump(0.5), None, 0.1, 99.7),
    "one of 33": (hump(1 / 33), None, 0.03, 96),
    "one of 100": (hump(0.01), None, 0.03, 91),
}


def mean_of(draw, mean):
    return float(draw(np.random.default_rng(9), 4_000_000).mean()) if mean is None else mean


def stopped(sample, width, bounds, first):
    """The interval at the first look at which it is narrow, or at the last."""
    n = first
    while True:
        low, high = stats.always_valid_interval(sample[:n], bounds)
        if high - low <= width or n == len(sample):
            return low, high
        n = min(math.ceil(1.5 * n), len(sample))


@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_means_are_held_where_one_stops_as_soon_as_it_is_narrow(name):
    draw, mean = BOUNDED[name]
    mean, rng, held = mean_of(draw, mean), np.random.default_rng(3), []
    for _ in range(60):
        low, high = stopped(draw(rng, 250), 0.12, (0, 1), 12)
        held.append(low <= mean <= high)
    assert np.mean(held) >= 0.95


@pytest.mark.parametrize("name", BOUNDED)
def test_no_gambler_gets_rich_at_fair_odds_whenever_one_looks(name):
    """At the true mean the wealth passes 20 at any of the first 400 values in 5 of 100 at most."""
    draw, mean = BOUNDED[name]
    mean, rng, out = mean_of(draw, mean), np.random.default_rng(4), []
    stakes = 2.0 ** (-np.arange(25) / 2)[:, None]
    for _ in range(1000):
        sample = draw(rng, 400)
        with np.errstate(divide="ignore"):
            logs = [
                np.log1p(stakes * (pay - 1)) for pay in (sample / mean, (1 - sample) / (1 - mean))
            ]
        wealth = np.exp(np.concatenate(logs).cumsum(axis=1)).mean(axis=0)
        out.append(wealth.max() >= 20)
    assert np.mean(out) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("name", UNBOUNDED)
def test_unbounded_means_are_held_as_often_as_stated(name):
    draw, mean, width, stated = UNBOUNDED[name]
    mean, rng, held = mean_of(draw, mean), np.random.default_rng(5), []
    for _ in range(800):
        low, high = stopped(draw(rng, 2000), width, None, 128)
        held.append(low <= mean <= high)
    error = 100 * math.sqrt(stated / 100 * (1 - stated / 100) / 800)
    assert abs(100 * np.mean(held) - stated) <= 4 * error + 1


def test_an_interval_of_a_fixed_size_is_not_valid_where_one_stops_as_soon_as_it_is_narrow():
    """Why all this: Student's interval, stopped so, holds a mean with a rare hump half the time."""
    draw = hump(1 / 33)
    mean, rng, held = mean_of(draw, None), np.random.default_rng(6), []
    for _ in range(400):
        sample, n = draw(rng, 2000), 16
        while True:
            low, high = stats.mean_interval(sample[:n])
            if high - low <= 0.03 or n == 2000:
                break
            n = min(math.ceil(1.5 * n), 2000)
        held.append(low <= mean <= high)
    assert np.mean(held) < 0.75


def test_few_or_equal_values_and_what_is_no_value():
    for few in ([], [0.9]):
        assert all(map(math.isnan, stats.always_valid_interval(few, (0, 1))))
    assert all(map(math.isnan, stats.always_valid_interval(np.arange(127.0))))
    assert all(map(math.isnan, stats.always_valid_interval(np.full(500, 0.9))))
    for value, n in ((0.0, 50), (1.0, 50), (0.5, 50), (1.0, 5000)):
        low, high = stats.always_valid_interval([value] * n, (0, 1))
        assert low <= value <= high
        assert high - low > 3 / n
    low, high = stats.always_valid_interval(np.float32([1.0000001, 0.9]), (0, 1))
    assert (low, high) == pytest.approx((0, 1), abs=0.9)
    with pytest.raises(ValueError, match=r"within the bounds 0 and 1, got 0\.5 to 95"):
        stats.always_valid_interval([95.0, 0.5], (0, 1))
    with pytest.raises(ValueError, match="values must be finite, got 1 of 2 that are not"):
        stats.always_valid_interval([0.5, math.nan], (0, 1))


# --- studies that add seeds ----------------------------------------------------------------------

ASKED = Narrow("test_accuracy", width=0.12, most=200)


def study(**changes):
    declared = {
        "task": tasks.moons(60, 0.2),
        "model": models.mlp(2, (4,), 2),
        "optimizer": lambda hp: optax.sgd(hp.rate),
        "sweep": {"rate": [0.1, 1.0]},
        "seeds": 3,
        "steps": 20,
        "eval_every": 20,
        "batch_size": 16,
        "lane_size": 8,
    }
    return Study(**{**declared, **changes})


@pytest.fixture(scope="module")
def same():
    return study()


@pytest.fixture(scope="module")
def grown(same):
    return same.run(until=ASKED)


def test_seeds_are_added_until_every_interval_is_narrow(grown, same):
    sizes = [len(seeds) for seeds in narrow.looks((0, 1, 2), 200)]
    assert grown.narrowed.reached
    assert grown.narrowed.seeds in sizes[1:-1]
    assert len(grown.lanes) == 2 * grown.narrowed.seeds
    assert {lane["seed"] for lane in grown.lanes} == set(range(grown.narrowed.seeds))
    before = sizes[sizes.index(grown.narrowed.seeds) - 1]
    widths = []
    for config, found in zip(grown.configs, grown.narrowed.found, strict=True):
        values = grown.final("test_accuracy")[grown.rows(config)]
        assert found.interval == stats.always_valid_interval(values, (0, 1))
        assert (found.n, found.survived) == (len(values), len(values))
        assert found.mean == pytest.approx(values.mean())
        low, high = stats.always_valid_interval(values[:before], (0, 1))
        widths.append(high - low)
    assert max(widths) > ASKED.width
    assert same.run().narrowed is None
    assert len(same.run().lanes) == 6


def test_the_result_says_what_it_stopped_at(grown):
    text = str(grown.table("test_accuracy"))
    low, high = grown.narrowed.found[1].interval
    assert f"stopped at {grown.narrowed.seeds} seeds, intervals at most 0.12 wide" in text
    assert f"rate=1.0: {grown.narrowed.found[1].mean:.4g} [{low:.4g}, {high:.4g}]" in text
    assert "exact for values from 0 to 1" in text


def test_lanes_are_those_of_a_study_of_as_many_seeds(grown):
    whole = study(seeds=grown.narrowed.seeds).run()
    assert whole.lanes == grown.lanes
    for name, values in whole.history.items():
        assert values.tobytes() == grown.history[name].tobytes()


def test_a_run_on_disk_goes_on_from_its_lanes(grown, same, tmp_path):
    run = tmp_path / "run"
    study(seeds=40).run(run)
    found = same.run(run, until=ASKED)
    assert found.lanes == grown.lanes
    assert str(found.narrowed) == str(grown.narrowed)
    blocks = kill_study.blocks(run)
    again = same.run(run, until=ASKED._replace(most=500))
    assert again.narrowed.seeds == grown.narrowed.seeds
    assert kill_study.blocks(run) == blocks
    # lanes that others have added beyond a look have no say at it
    study(seeds=150).run(run)
    assert same.run(run, until=ASKED).lanes == grown.lanes


def test_where_most_is_not_enough_the_result_says_so(same, monkeypatch):
    train, trained = engine.run_block, []

    def counted(*arguments):
        trained.append(len(arguments[3]))
        return train(*arguments)

    monkeypatch.setattr(engine, "run_block", counted)
    found = same.run(until=Narrow("test_accuracy", width=0.01, most=40))
    assert sum(trained) == len(found.lanes) == 80  # no lane twice, though nothing is on disk
    assert not found.narrowed.reached
    assert found.narrowed.seeds == 40
    text = str(found.table("test_accuracy"))
    assert "NOT reached: a width of 0.01 was wanted, the widest interval after most = 40" in text


def test_a_comparison_is_of_pairs_and_a_loss_has_no_bounds(same):
    pair = ({"rate": 1}, {"rate": 0.1})
    by_loss = Narrow("test_loss", width=0.3, most=200, compare=pair)
    found = same.run(until=by_loss)
    assert (found.narrowed.reached, found.narrowed.seeds, found.narrowed.bounds) == (
        True,
        162,
        None,
    )
    (only,) = found.narrowed.found
    first, second = (found.final("test_loss")[found.rows(config)] for config in pair)
    assert only.interval == stats.always_valid_interval(first - second)
    assert "asymptotic" in str(found.narrowed)
    assert "rate=1.0 minus rate=0.1" in str(found.narrowed)
    bounded = same.run(until=Narrow("test_accuracy", 1.0, 50, compare=pair))
    first, second = (bounded.final("test_accuracy")[bounded.rows(config)] for config in pair)
    (only,) = bounded.narrowed.found
    assert only.interval == stats.always_valid_interval(first - second, (-1, 1))


def test_diverged_lanes_are_left_out_and_counted():
    """A bound of the norm that about half of the lanes pass."""
    wild = study(norm_bound=3.4)
    found = wild.run(until=Narrow("test_accuracy", width=0.5, most=60))
    for config, each in zip(found.configs, found.narrowed.found, strict=True):
        rows = found.rows(config)
        alive = ~found.diverged[rows]
        assert (each.n, each.survived) == (len(rows), alive.sum())
        values = found.final("test_accuracy")[rows][alive]
        assert each.interval == pytest.approx(
            stats.always_valid_interval(values, (0, 1)), nan_ok=True
        )
    assert 0 < found.diverged.sum() < len(found.lanes)
    assert f"{each.survived} of {each.n} survived" in str(found.narrowed)


def test_where_no_lane_survives_there_is_no_interval_and_no_end_before_most():
    values, lost = np.full(40, 0.9), np.ones(40, bool)
    none = narrow.found_of_config("rate=1", values, lost, (0, 1))
    some = narrow.found_of_config("rate=0.1", values, ~lost, (0, 1))
    narrowed = narrow.Narrowed(ASKED._replace(width=0.9), (0, 1), 40, (none, some))
    assert not narrowed.reached
    assert "rate=1: nan n too small, 0 of 40 survived" in str(narrowed)
    assert "rate=0.1: 0.9 [" in str(narrowed)
    assert "is not there yet" in str(narrowed)
    pair = narrow.found_of_pair("a minus b", (values, values), (lost, ~lost), (0, 1))
    assert (pair.n, pair.survived) == (40, 0)


def constant(outputs, targets):
    return losses.accuracy(outputs, targets) * 0 + 7.0


def test_a_metric_of_ones_own_is_bounded_where_that_is_declared():
    task = tasks.moons(60, 0.2)
    scored = task._replace(metrics={"score": Metric(constant, higher_is_better=True)})
    mine = study(task=scored, sweep={"rate": [0.1]})
    asked = Narrow("test_score", width=2.0, most=33)
    unknown = mine.run(until=asked)
    assert (unknown.narrowed.bounds, unknown.narrowed.reached) == (None, False)
    known = mine.run(until=asked._replace(bounds=(0, 10)))
    assert known.narrowed.reached
    assert known.narrowed.found[0].interval == stats.always_valid_interval([7.0] * 32, (0, 10))
    with pytest.raises(ValueError, match="values must be within the bounds 0 and 1, got 7 to 7"):
        mine.run(until=asked._replace(bounds=(0, 1)))


def test_looks_follow_from_the_arguments_alone():
    sizes = [len(seeds) for seeds in narrow.looks((0,), 5000)]
    assert sizes[:5] == [32, 48, 72, 108, 162]
    assert sizes[-1] == 5000
    assert len(sizes) == 14
    assert narrow.looks((9, 1), 35)[-1] == (9, 1, 0, *range(2, 9), *range(10, 35))
    assert [len(seeds) for seeds in narrow.looks(tuple(range(100)), 100)] == [100]
    assert [len(seeds) for seeds in narrow.looks(tuple(range(40)), 200)][:2] == [40, 60]


REFUSED = {
    "no Narrow": (("test_accuracy", 0.1, 9), {}, TypeError, "until must be a Narrow, got ("),
    "no width": (ASKED._replace(width=0), {}, ValueError, "width of until must be a finite number"),
    "no most": (ASKED._replace(most=0), {}, ValueError, "most of until must be a positive integer"),
    "fewer than declared": (
        ASKED._replace(most=2),
        {},
        ValueError,
        "most of until must be at least the 3 seeds of the study, got 2",
    ),
    "unknown": (
        ASKED._replace(metric="test_acuracy"),
        {},
        ValueError,
        "unknown metric 'test_acuracy'",
    ),
    "unknown though bounded": (
        ASKED._replace(metric="accuracy", bounds=(0, 1)),
        {},
        ValueError,
        "unknown metric 'accuracy'",
    ),
    "no name": (ASKED._replace(metric=3), {}, TypeError, "metric of until must be the name"),
    "one config": (ASKED._replace(compare=({},)), {}, TypeError, "must be a pair of configs"),
    "no config": (
        ASKED._replace(compare=({"rate": 0.1}, {"rate": 5})),
        {},
        ValueError,
        "config must name one of the study's configs, got {'rate': 5}",
    ),
    "turned bounds": (
        ASKED._replace(bounds=(1, 0)),
        {},
        ValueError,
        "bounds of until must be two finite numbers, the lower first, got (1, 0)",
    ),
    "a shard": (
        ASKED,
        {"shard": "0/2"},
        ValueError,
        "shard must not be given with until, as where to stop is seen from all lanes, got 0/2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_narrowed_is_refused_before_anything_runs(name, same, tmp_path, monkeypatch):
    until, further, error, words = REFUSED[name]

    def trained(*arguments):
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr(engine, "run_block", trained)
    with pytest.raises(error) as refusal:
        same.run(tmp_path / "run", until=until, **further)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert store.is_new(tmp_path / "run")


KILLED = """
import sys, optax
from jaxdl import Narrow, Study, models, tasks
from jaxdl.running import blocks, engine
blocks.CHECKPOINT_SECONDS, engine.SEGMENT_SECONDS = 0.0, 0.02
study = Study(task=tasks.moons(60, 0.2), model=models.mlp(2, (8,), 2),
              optimizer=lambda hp: optax.adam(hp.learning_rate), sweep={"learning_rate": [0.01, 0.02]},
              seeds=int(sys.argv[2]), steps=int(sys.argv[3]), eval_every=50, batch_size=16, lane_size=1)
result = study.run(sys.argv[1], until=Narrow("test_accuracy", width=0.14, most=300))
assert result.narrowed.reached and result.narrowed.seeds > 40, result.narrowed
"""


def test_a_killed_run_ends_with_the_same_seeds_as_an_undisturbed_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert kill_study.start(whole, 5, 300, KILLED).wait() == 0
    kill_study.kill_often(killed, 2, random.Random(1), 5, 300, KILLED)
    assert kill_study.start(killed, 5, 300, KILLED).wait() == 0
    assert kill_study.blocks(killed) == kill_study.blocks(whole)
    manifests = [(run / "manifest.json").read_bytes() for run in (whole, killed)]
    assert manifests[0] == manifests[1]
