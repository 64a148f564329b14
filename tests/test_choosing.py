"""Choosing: the best config beside its runner-up, early stopping afterwards, drawn values, and the
weights and outputs of what was chosen."""

import itertools
import math

import jax
import numpy as np
import optax
import pytest
import scipy.stats

import jaxdl
from jaxdl import Result, Study, draw, log_uniform, models, tasks, uniform
from jaxdl.reporting.choosing import told_apart


def made(values, axes=("rate",), name="valid_accuracy", lost=(), higher=True, steps=None):
    """A result by hand: values by config, then by seed, then by evaluation."""
    lanes, curves = [], []
    for config, by_seed in values:
        for seed, curve in enumerate(by_seed):
            at = 1 if (tuple(config.values()), seed) in lost else None
            status = "finished" if at is None else "diverged"
            lanes.append({**config, "seed": seed, "status": status, "diverged_at": at})
            curves.append(np.atleast_1d(curve))
    history = {name: np.array(curves, np.float32)}
    if steps is None:
        steps = np.arange(len(curves[0])) * 10
    return Result(lanes, history, np.asarray(steps), axes, metrics={"accuracy": higher})


def test_the_runner_up_and_the_difference_are_those_of_a_hand_computation():
    rng = np.random.default_rng(0)
    base = rng.normal(0.8, 0.05, 12)
    noise = [rng.normal(gap, 0.01, 12) for gap in (0.0, 0.04, 0.05)]
    rates = (0.1, 0.2, 0.3)
    values = [({"rate": rate}, base + each) for rate, each in zip(rates, noise, strict=True)]
    best = made(values).best("valid_accuracy", over="rate")
    medians = [np.median(each) for _, each in values]
    first, second = np.argsort(medians)[::-1][:2]
    assert best == [{"rate": rates[first]}]
    (choice,) = best.choices
    assert (choice.runner_up, choice.others, choice.ties) == ({"rate": rates[second]}, 2, ())
    difference = np.float32(values[first][1]) - np.float32(values[second][1])
    by_scipy = scipy.stats.ttest_1samp(difference.astype(float), 0).confidence_interval(0.95)
    assert choice.comparison.difference == pytest.approx(difference.mean(), rel=1e-5)
    assert choice.comparison.difference_interval == pytest.approx(tuple(by_scipy), rel=1e-4)
    low, high = choice.comparison.difference_interval
    assert told_apart(choice, True) == ("yes" if low > 0 else "the other way" if high < 0 else "no")
    text = str(best)
    assert all(
        word in text
        for word in ("runner-up", "told apart", f"rate={rates[second]}", "picked from 3")
    )
    assert print_of(best) == text


def print_of(value):
    return f"{value}"


APART = {
    "yes": ([0.9, 0.91, 0.92, 0.9, 0.91, 0.92], [0.5, 0.52, 0.51, 0.5, 0.5, 0.52], True, "yes"),
    "lower": ([0.5, 0.52, 0.51, 0.5, 0.5, 0.52], [0.9, 0.91, 0.92, 0.9, 0.91, 0.92], False, "yes"),
    "no": ([0.9, 0.5, 0.7, 0.71], [0.6, 0.8, 0.7, 0.69], True, "no"),
    "tie": ([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], True, "tie of 2"),
    "one seed": ([0.9], [0.5], True, "n too small"),
    # The median prefers the first, the mean, which five lanes pull down, the second.
    "means": ([0.9] * 6 + [0.0] * 5, [0.88] * 11, True, "the other way"),
}


@pytest.mark.parametrize("name", APART)
def test_whether_two_are_told_apart(name):
    first, second, higher, words = APART[name]
    best = made([({"rate": 1}, first), ({"rate": 2}, second)], higher=higher).best("valid_accuracy")
    assert best == [{"rate": 1}]
    assert best.table().rows[0][-1] == words


def test_ties_are_said_and_the_first_declared_is_taken():
    values = [({"rate": rate}, [0.5, 0.6]) for rate in (3, 1, 2)]
    best = made([*values, ({"rate": 4}, [0.1, 0.1])]).best("valid_accuracy")
    assert best == [{"rate": 3}]
    assert best.choices[0].ties == ({"rate": 1}, {"rate": 2})
    assert "tie of 3" in str(best)


def test_several_axes_and_all_of_them():
    configs = [dict(zip("abc", each, strict=True)) for each in itertools.product((1, 2), repeat=3)]
    values = [(config, [number, number + 0.5]) for number, config in enumerate(configs)]
    result = made(values, axes=("a", "b", "c"))
    assert result.best("valid_accuracy") == [configs[7]]
    assert result.best("valid_accuracy", over=["b", "c"]) == [configs[3], configs[7]]
    assert result.best("valid_accuracy", over="a") == configs[4:]
    assert result.best("valid_accuracy", over="a").choices[1].runner_up == configs[1]
    assert result.best("valid_accuracy", ["a", "b", "c"]) == result.best("valid_accuracy")
    for over, message in (([], "over must name an axis, got"), (["a", "d"], "unknown axis 'd'")):
        with pytest.raises(ValueError, match=message):
            result.best("valid_accuracy", over=over)
    with pytest.raises(ValueError, match="at must be one of 'last', 'best', got 'first'"):
        result.best("valid_accuracy", at="first")


def test_lost_lanes_rank_worst_and_no_config_of_lost_lanes_is_a_runner_up():
    values = [({"rate": 1}, [0.5, 0.6, 0.7]), ({"rate": 2}, [0.9, 0.9, 0.9])]
    lost = {((2,), seed) for seed in range(3)}
    best = made(values, lost=lost, steps=[5]).best("valid_accuracy")
    assert best == [{"rate": 1}]
    assert (best.choices[0].runner_up, best.table().rows[0][-5:]) == (None, ("-",) * 5)
    lost = {((2,), 0), ((2,), 1)}
    (choice,) = made(values, lost=lost, steps=[5]).best("valid_accuracy").choices
    assert choice.runner_up == {"rate": 2}
    assert (choice.comparison.n, choice.comparison.both_survived) == (3, 1)
    assert choice.comparison.improvement == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="got none that survived"):
        made(values[1:], lost={((2,), seed) for seed in range(3)}).best("valid_accuracy")


def test_at_best_takes_each_lane_where_the_metric_was_best():
    valid = [
        [0.9, 0.2, 0.5],  # best in the middle
        [0.3, 0.3, 0.4],  # the first of equals
        [math.nan, 0.6, math.nan],
        [0.5, 0.4, 0.1],  # diverged after 15 steps: its last value is that of a frozen lane
        [math.nan, math.nan, math.nan],
    ]
    lanes = [
        {"rate": 1, "seed": seed, "status": "finished", "diverged_at": None} for seed in range(5)
    ]
    lanes[3].update(status="diverged", diverged_at=15)
    test = np.arange(15, dtype=np.float32).reshape(5, 3)
    history = {"valid_loss": np.array(valid, np.float32), "test_accuracy": test}
    metrics = {"loss": False, "accuracy": True}
    result = Result(lanes, history, np.array([0, 10, 20]), ["rate"], metrics=metrics)
    stopped = result.at_best("valid_loss")
    assert stopped.final("test_accuracy").tolist() == [1, 3, 7, 10, 12]
    assert stopped.steps.tolist() == [[10], [0], [10], [10], [0]]
    assert (len(stopped), stopped.complete, stopped.diverged.tolist()) == (5, True, [0, 0, 0, 1, 0])
    assert "test_accuracy at each lane's best valid_loss" in str(stopped.table("test_accuracy"))
    assert stopped.summary("test_accuracy", {}).survived == 4
    assert stopped.where(seed=[0, 1]).to_pandas(curves=True).step.tolist() == [10, 0]
    assert "best valid_loss" in str(stopped.where(seed=0).table("test_accuracy"))
    with pytest.raises(ValueError, match="plot must be of a result with curves"):
        stopped.plot("test_accuracy")
    with pytest.raises(ValueError, match="metric must not be of the test split"):
        result.at_best("test_accuracy")


def test_best_at_best_is_not_best_at_last():
    values = [({"rate": 1}, [[0.1, 0.9, 0.2]] * 3), ({"rate": 2}, [[0.1, 0.4, 0.5]] * 3)]
    result = made(values)
    assert result.best("valid_accuracy") == [{"rate": 2}]
    assert result.best("valid_accuracy", at="best") == [{"rate": 1}]
    assert "at each lane's best valid_accuracy" in str(result.best("valid_accuracy", at="best"))


# --- drawn values --------------------------------------------------------------------------------


def test_draws_are_distributed_as_they_say():
    values = np.array(log_uniform(1e-4, 1e-1, n=4000))
    assert (1e-4 <= values.min() < values.max() <= 1e-1, len(set(values))) == (True, 4000)
    assert scipy.stats.kstest(np.log10(values), "uniform", (-4, 3)).pvalue > 0.01
    assert scipy.stats.kstest(uniform(-2, 5, n=4000), "uniform", (-2, 7)).pvalue > 0.01
    normal = scipy.stats.norm(3, 2)
    assert scipy.stats.kstest(draw(normal, n=4000), normal.cdf).pvalue > 0.01
    widths = draw(scipy.stats.randint(1, 5), n=4000)
    assert {type(width) for width in widths} == {int}
    counts = np.bincount(widths)[1:]
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_draws_are_the_same_everywhere_and_grow_at_the_end():
    # Drawn once, and written down: another version of NumPy must draw them too.
    assert log_uniform(1e-4, 1e-1, n=3) == WRITTEN_DOWN
    assert log_uniform(1e-4, 1e-1, n=9)[:3] == WRITTEN_DOWN
    assert log_uniform(1e-4, 1e-1, n=3, seed=1) != WRITTEN_DOWN
    normal = scipy.stats.norm(0, 1)
    assert draw(normal, n=5) == draw(scipy.stats.norm(0, 1), n=8)[:5]


WRITTEN_DOWN = [0.00661468, 0.0326378, 0.0038894]


def test_two_lists_under_one_seed_are_independent():
    rates, decays = log_uniform(1e-4, 1e-1, n=2000), log_uniform(1e-5, 1e-2, n=2000)
    others = uniform(0.0, 1.0, n=2000)
    normals = [draw(scipy.stats.norm(0, scale), n=2000) for scale in (1, 2)]
    for a, b in itertools.combinations([rates, decays, others, *normals], 2):
        assert abs(scipy.stats.spearmanr(a, b).statistic) < 0.1


REFUSED = {
    "order": (lambda: log_uniform(1, 0.1, n=3), "low must be below high, got 1 and 0.1"),
    "zero": (lambda: log_uniform(0, 1, n=3), "low must be a finite number above 0, got 0"),
    "none": (lambda: log_uniform(0.1, 1, n=0), "n must be a positive integer, got 0"),
    "a seed": (lambda: uniform(0, 1, n=2, seed=-1), "seed must be an integer from 0"),
    "infinite": (lambda: uniform(0, math.inf, n=2), "high must be a finite number, got inf"),
    "no distribution": (lambda: draw([1, 2], n=3), "distribution must be a frozen one of scipy"),
    "of vectors": (
        lambda: draw(scipy.stats.norm([0, 1, 2], 1), n=3),
        "must be of single numbers|^",
    ),
    "in a sweep": (
        lambda: Study(tasks.moons(9), models.mlp(2), optax.sgd(1), sweep={"a": scipy.stats.norm()}),
        r"sweep of a must be a list of values, got a distribution: write jaxdl.draw\(",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drawn_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# --- weights and outputs ---------------------------------------------------------------------------

RATES = [*log_uniform(0.1, 0.5, n=1), 1e30]


@pytest.fixture(scope="module")
def study():
    """Padded widths, traced rates of which one diverges, three chunks of lanes."""
    made = Study(
        tasks.moons(60, 0.1, valid_fraction=0.2),
        lambda hp: models.mlp(2, (hp.width,), 2),
        lambda hp: optax.sgd(hp.learning_rate),
        sweep={"width": [3, 5], "learning_rate": RATES},
        seeds=5,
        steps=12,
        batch_size=8,
        eval_every=6,
        lane_size=1,
        shapes="pad",
    )
    made.run()
    return made


@pytest.fixture(scope="module")
def trained(study):
    return study.weights({"width": 3, "learning_rate": RATES[0]})


def test_weights_are_bit_for_bit_those_of_a_replay(study, trained):
    assert trained.seeds == (0, 1, 2, 3, 4)
    for place in (0, 4):
        config = {"width": 3, "learning_rate": RATES[0]}
        params, _, history = study.replay(config, seed=place)
        one = jax.tree.map(lambda leaf, place=place: leaf[place], trained.params)
        assert jax.tree.structure(one) == jax.tree.structure(params)
        for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(params), strict=True):
            assert (mine.shape, mine.tobytes()) == (theirs.shape, theirs.tobytes())
        for name, curve in history.items():
            assert trained.history[name][place].tobytes() == curve.tobytes()
    assert {leaf.shape for leaf in jax.tree.leaves(trained.params)} == {
        (5, 3, 2),
        (5, 3),
        (5, 2, 3),
        (5, 2),
    }


def test_seeds_are_those_that_are_asked_for(study, trained):
    some = study.weights({"width": 3, "learning_rate": RATES[0]}, seeds=[4, 1])
    for mine, theirs in zip(
        jax.tree.leaves(some.params), jax.tree.leaves(trained.params), strict=True
    ):
        assert mine.tobytes() == theirs[[4, 1]].tobytes()
    lost = study.weights({"width": 5, "learning_rate": 1e30}, seeds=2)
    assert (lost.seeds, (lost.diverged_at >= 0).all()) == ((0, 1), True)
    with pytest.raises(ValueError, match="config must name one of the study's configs"):
        study.weights({"width": 3})


def test_a_difference_to_the_stored_lanes_is_a_warning(study, monkeypatch):
    _, result = study._last
    row = next(
        row
        for row, lane in enumerate(result.lanes)
        if (lane["width"], lane["learning_rate"], lane["seed"]) == (5, RATES[0], 1)
    )
    changed = result["test_loss"].copy()
    changed[row, -1] += 1
    monkeypatch.setitem(result.history, "test_loss", changed)
    with pytest.warns(UserWarning, match="1 of 5 lanes at .* by up to 1 in test_loss"):
        study.weights({"width": 5, "learning_rate": RATES[0]})


def test_predictions_are_those_of_numpy(study, trained):
    x = np.random.default_rng(0).normal(size=(7, 2))
    config = {"width": 3, "learning_rate": RATES[0]}
    outputs = study.predict(config, x, weights=trained)
    assert outputs.shape == (5, 7, 2)
    for lane in range(5):
        hidden = np.float32(x)
        layers = jax.tree.map(lambda leaf, lane=lane: leaf[lane], trained.params)
        for number, (weights, bias) in enumerate(layer_of(layers)):
            hidden = hidden @ weights.T + bias
            hidden = np.maximum(hidden, 0) if number == 0 else hidden
        assert outputs[lane] == pytest.approx(hidden, abs=1e-5)
    alone = study.predict(config, x.tolist(), seeds=[2])
    assert alone[0] == pytest.approx(outputs[2], abs=1e-6)


def layer_of(params):
    """(weights, bias) of each layer, whatever the tree is."""
    leaves = jax.tree.leaves(params)
    matrices = [leaf for leaf in leaves if leaf.ndim == 2]
    biases = [leaf for leaf in leaves if leaf.ndim == 1]
    return zip(matrices, biases, strict=True)


def test_predictions_of_lost_lanes_are_no_numbers(study):
    outputs = study.predict({"width": 3, "learning_rate": 1e30}, np.zeros((2, 2)), seeds=3)
    assert outputs.shape == (3, 2, 2)
    assert np.isnan(outputs).all()


BAD_INPUTS = {
    "one sample": (np.zeros(2), r"X must be of shape \(n, 2\), got an array of shape \(2,\)"),
    "samples last": (np.zeros((2, 7)), r"X must be of shape \(n, 2\), got .* \(2, 7\)"),
    "words": ([["a", "b"]], "X must hold numbers"),
    "no numbers": (np.full((3, 2), np.nan), "X must"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_inputs_of_another_kind_are_refused_before_training(study, name, monkeypatch):
    x, message = BAD_INPUTS[name]
    monkeypatch.setattr(Study, "weights", None)
    with pytest.raises(ValueError, match=message):
        study.predict({"width": 3, "learning_rate": RATES[0]}, x)


def test_images_are_prepared_and_their_accuracy_is_the_stored_one():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (30, 4, 5, 3), dtype=np.uint8)
    y = rng.integers(0, 2, 30)
    task = tasks.images_from_arrays(x[:20], y[:20], x_test=x[20:], y_test=y[20:])
    flat = models.mlp(60, (4,), 2)
    model = flat._replace(
        apply=lambda params, state, x, *, key=None, train=False: flat.apply(
            params, state, x.reshape(60, -1), key=key, train=train
        )
    )
    study = Study(task, model, optax.sgd(0.1), seeds=3, steps=3, batch_size=5)
    result = study.run()
    outputs = study.predict({}, x[20:])
    accuracy = (outputs.argmax(axis=-1) == y[20:]).mean(axis=1)
    assert accuracy == pytest.approx(result.final("test_accuracy"), abs=1e-6)
    assert np.array_equal(study.predict({}, x[20:].astype(int)), outputs)
    with pytest.raises(ValueError, match="X must"):
        study.predict({}, x[20:].astype(int) + 200)  # a byte would begin again at 0
    with pytest.raises(ValueError, match=r"X must be of shape \(n, 3, 4, 5\) or \(n, 4, 5, 3\)"):
        study.predict({}, x[:, :3])
    with pytest.raises(ValueError, match="X must"):
        study.predict({}, x / 255)


def test_evaluated_weights_are_those_of_a_replay():
    made = Study(
        tasks.moons(40),
        models.mlp(2, (3,), 2),
        optax.chain(optax.sgd(0.1), optax.ema(0.9)),
        eval_params=lambda params, opt_state: jax.tree.map(lambda p: p * 0.37, params),
        seeds=3,
        steps=4,
        batch_size=8,
        lane_size=1,
    )
    many = made.weights({})
    for seed in range(3):
        params, _, _ = made.replay({}, seed=seed)
        own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], many.params)
        for mine, theirs in zip(jax.tree.leaves(own), jax.tree.leaves(params), strict=True):
            assert mine.tobytes() == np.asarray(theirs).tobytes()


def test_names_are_public():
    assert {"draw", "log_uniform", "uniform"} <= set(dir(jaxdl))
