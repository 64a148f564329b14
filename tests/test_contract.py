"""What users declare is what they get: directions, names, values, optimizers of every kind,
evaluated weights, the bound."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from jaxdl import Metric, Study, load, losses, make_train, models, tasks
from jaxdl.sampling import seed_key

TASK = tasks.moons(60, 0.1, valid_fraction=0.2)
MLP = models.mlp(2, (3,), 2)


def study(**changes):
    declared = dict(
        task=TASK,
        model=MLP,
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults={"learning_rate": 0.1},
        seeds=4,
        steps=6,
        batch_size=10,
        eval_every=3,
    )
    return Study(**{**declared, **changes})


def squared(outputs, targets):
    return jnp.sum((jax.nn.softmax(outputs, axis=0) - losses.one_hot(targets, 2)) ** 2, axis=0)


def measured(**metrics):
    return TASK._replace(metrics=metrics)


ERRORS = ("mse", "perplexity", "nll", "rmse", "score", "error_free")


@pytest.fixture(scope="module", params=[True, False], ids=["higher", "lower"])
def directed(request, tmp_path_factory):
    """A study whose metrics all have one direction, in memory and read back: (result, loaded)."""
    sign = -1 if request.param else 1
    metric = Metric(
        lambda outputs, targets: sign * squared(outputs, targets), higher_is_better=request.param
    )
    folder = tmp_path_factory.mktemp("directed") / "run"
    task = measured(**dict.fromkeys(ERRORS, metric))
    rates = {"learning_rate": [1e-3, 0.3, 1e30]}
    return study(task=task, sweep=rates, defaults=None).run(folder), load(folder)


@pytest.mark.parametrize("name", ERRORS)
def test_the_direction_of_a_metric_is_the_declared_one_whatever_its_name(name, directed):
    for run in directed:
        (best,) = run.best(f"valid_{name}", over="learning_rate")
        assert best == {
            "learning_rate": 0.3
        }  # the errors are smallest there, and every lane diverges at 1e30
        against = run.compare(f"valid_{name}", {"learning_rate": 0.3}, {"learning_rate": 1e30})
        assert against.improvement == 1.0


REFUSED_METRICS = {
    "a bare function": (
        {"error": squared},
        r"metrics must declare which direction is better.*'error': Metric\(",
    ),
    "a string for a direction": (
        {"error": Metric(squared, "lower")},
        "metric 'error' must be a function and a bool",
    ),
    "called loss": (
        {"loss": Metric(squared, False)},
        "name of a metric must not be one that is taken .*'loss'",
    ),
    "a path": ({"../x": Metric(squared, False)}, "name of a metric must be a word"),
    "no name": ({"": Metric(squared, False)}, "name of a metric must be a word"),
    "a number": ({3: Metric(squared, False)}, "name of a metric must be a word"),
}


@pytest.mark.parametrize("name", REFUSED_METRICS)
def test_metrics_that_would_mislead_are_refused_in_every_way_in(name, tmp_path):
    metrics, message = REFUSED_METRICS[name]
    ways = (
        lambda: study(task=TASK._replace(metrics=metrics)).run(tmp_path / "run"),
        lambda: study(task=lambda hp: TASK._replace(metrics=metrics)).plan(),
        lambda: make_train(TASK._replace(metrics=metrics), MLP, optax.sgd(0.1), steps=2),
        lambda: tasks.from_arrays(np.eye(9, 2), np.arange(9) % 2, metrics=metrics),
    )
    for way in ways:
        with pytest.raises(ValueError, match=message) as caught:
            way()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", "test_loss", "train_x", "batch_loss", 3, "a b"]
)
def test_records_that_would_overwrite_or_leave_their_folder_are_refused(name):
    with pytest.raises(ValueError, match="name of a record must"):
        study(record={name: lambda info: info.loss})
    with pytest.raises(ValueError, match="name of a record must"):
        make_train(TASK, MLP, optax.sgd(0.1), steps=2, record={name: lambda info: info.loss})


def test_a_recorded_value_has_no_direction_until_one_is_given():
    result = study(
        record={"norm": lambda info: optax.tree.norm(info.params)},
        sweep={"learning_rate": [0.01, 1.0]},
        defaults=None,
    ).run()
    a, b = {"learning_rate": 0.01}, {"learning_rate": 1.0}
    for call in (
        lambda: result.best("norm_mean", over="learning_rate"),
        lambda: result.compare("norm_mean", a, b),
    ):
        with pytest.raises(ValueError, match="higher_is_better must be given for 'norm_mean'"):
            call()
    up, down = (
        result.compare("norm_mean", a, b, higher_is_better=higher) for higher in (True, False)
    )
    assert up.improvement == 1 - down.improvement
    assert result.best("norm_mean", "learning_rate", higher_is_better=True) != result.best(
        "norm_mean", "learning_rate", higher_is_better=False
    )
    assert "norm_mean" in str(result.table("norm_mean"))  # over survivors


def test_one_metric_has_one_direction_in_all_configs():
    def task(hp):
        return measured(error=Metric(squared, higher_is_better=hp.sign > 0))

    with pytest.raises(ValueError, match="metric 'error' must have one direction in all configs"):
        study(task=task, sweep={"sign": [-1, 1]}).plan()


REFUSED_NAMES = {
    "seed": ({"sweep": {"seed": [1, 2]}}, "must not be called as a column of lanes.*'seed'"),
    "status": ({"defaults": {"status": 1}}, "must not be called as a column of lanes.*'status'"),
    "diverged_at": ({"sweep": [{"diverged_at": 1}]}, "must not be called as a column"),
    "no identifier": (
        {"sweep": {"learning rate": [1]}},
        "must be named as hp.NAME can read it, got 'learning rate'",
    ),
    "a keyword": ({"sweep": {"lambda": [1]}}, "must be named as hp.NAME can read it, got 'lambda'"),
    "a default that nobody reads": (
        {"defaults": {"learning_rate": 0.1, "batchsize": 8}},
        "'batchsize'.*did you mean 'batch_size'",
    ),
    "an axis that nobody reads": (
        {"sweep": {"learning_rat": [0.1]}},
        "'learning_rat'.*did you mean 'learning_rate'",
    ),
    "twice, argument and defaults": (
        {"defaults": {"learning_rate": 0.1, "batch_size": 8}},
        "batch_size must be given once, got 10 .* 8",
    ),
    "twice, argument and sweep": ({"sweep": {"steps": [4, 8]}}, "steps must be given once, got 6"),
    "twice, reduction": (
        {"reduction": "mean", "defaults": {"learning_rate": 0.1, "reduction": "sum"}},
        "reduction must be given once",
    ),
    "bool and int": (
        {"sweep": {"learning_rate": [True, 1]}},
        "must hold values that differ, got True and 1, which are equal",
    ),
    "int and float": ({"sweep": {"learning_rate": [1, 1.0]}}, "got 1 and 1.0, which are equal"),
    "false and zero": (
        {"sweep": {"learning_rate": [0, False]}},
        "got 0 and False, which are equal",
    ),
    "in a list of configs": (
        {"sweep": [{"learning_rate": 1}, {"learning_rate": 1.0}]},
        "got 1 and 1.0, which are equal",
    ),
    "one float32": ({"sweep": {"learning_rate": [0.1, 0.1 + 1e-10]}}, "which are one float32"),
    "zero as a float32": (
        {"sweep": {"learning_rate": [1e-50]}},
        "got 1e-50, which float32 takes for 0",
    ),
    "beyond a float32": (
        {"sweep": {"learning_rate": [1e39]}},
        "numbers that a float32 holds, got 1e\\+39",
    ),
    "not a number": ({"sweep": {"learning_rate": [math.nan]}}, "got nan"),
}


@pytest.mark.parametrize("name", REFUSED_NAMES)
def test_names_and_values_that_would_be_ignored_or_merged_are_refused(name, tmp_path):
    changes, message = REFUSED_NAMES[name]
    with pytest.raises(ValueError, match=message) as caught:
        study(**changes).run(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_setting_may_stand_twice_with_one_value():
    assert study(defaults={"learning_rate": 0.1, "batch_size": 10}).plan().lanes == 4


def test_growing_a_study_asks_no_new_config_to_read_every_default(tmp_path):
    def optimizer(hp):
        return (
            optax.sgd(hp.learning_rate, momentum=hp.momentum)
            if hp.kind == "heavy"
            else optax.sgd(hp.learning_rate)
        )

    changes = {"optimizer": optimizer, "defaults": {"learning_rate": 0.1, "momentum": 0.9}}
    study(sweep={"kind": ["heavy"]}, **changes).run(tmp_path)
    assert len(study(sweep={"kind": ["heavy", "plain"]}, **changes).run(tmp_path).lanes) == 8


def test_names_carry_no_rules():
    """A width that multiplies, a rate of zero and an infinite clip are what a user may mean by
    them."""

    def model(hp):
        return models.mlp(2, (int(4 * hp.width),), 2)

    def optimizer(hp):
        return optax.chain(optax.clip_by_global_norm(hp.clip), optax.sgd(hp.learning_rate))

    result = study(
        model=model,
        optimizer=optimizer,
        defaults=None,
        sweep={"width": [0.5, 1.0], "learning_rate": [0, 0.1], "clip": [1.0, math.inf]},
    ).run()
    control = result.rows({"learning_rate": 0})
    assert np.ptp(result.history["train_loss"][control], axis=1).max() == 0
    assert len(result.lanes) == 2 * 2 * 2 * 4


def test_an_infinite_value_is_kept_on_disk(tmp_path):
    def optimizer(hp):
        return optax.chain(optax.clip_by_global_norm(hp.clip), optax.sgd(0.1))

    changes = {"optimizer": optimizer, "defaults": None, "sweep": {"clip": [0.1, math.inf]}}
    first = study(**changes).run(tmp_path)
    again = load(tmp_path)
    assert again.configs == first.configs == [{"clip": 0.1}, {"clip": math.inf}]
    np.testing.assert_array_equal(
        again.final("test_loss"), study(**changes).run(tmp_path).final("test_loss")
    )


def by_hand(optimizer, steps: int) -> list[float]:
    """The training loss before and after every step of a plain loop that hands optax all that it
    may ask for."""
    data = SHARED.data
    params, _ = MLP.init(jax.random.fold_in(seed_key(0), 0))

    def objective(params):
        return SHARED.loss(MLP.apply(params, (), data.train_x)[0], data.train_targets).mean()

    @jax.jit  # L-BFGS' line search op by op takes ten times as long to compile
    def step(params, state):
        value, grad = jax.value_and_grad(objective)(params)
        updates, state = optimizer.update(
            grad, state, params, value=value, grad=grad, value_fn=objective
        )
        return value, optax.apply_updates(params, updates), state

    state, curve = optimizer.init(params), []
    for _ in range(steps):
        value, params, state = step(params, state)
        curve.append(float(value))
    return [*curve, float(objective(params))]


SHARED = tasks.from_arrays(np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2)
EXTRA = {
    "lbfgs": optax.lbfgs(),
    "polyak_sgd": optax.polyak_sgd(max_learning_rate=0.5),
    "reduce_on_plateau": optax.chain(
        optax.sgd(0.5), optax.contrib.reduce_on_plateau(patience=1, rtol=0.5, factor=0.3)
    ),
}


@pytest.mark.parametrize("name", EXTRA)
def test_optimizers_with_extra_arguments_get_them(name):
    steps = 8
    train = make_train(SHARED, MLP, EXTRA[name], steps=steps, eval_every=1)
    _, _, history = jax.jit(train)(seed_key(0))
    np.testing.assert_allclose(history["train_loss"], by_hand(EXTRA[name], steps), rtol=2e-4)
    lanes = Study(SHARED, MLP, EXTRA[name], seeds=2, steps=steps, eval_every=1).run()
    np.testing.assert_allclose(lanes.history["train_loss"][0], history["train_loss"], rtol=2e-4)


def test_lookahead_is_refused_in_a_line():
    for optimizer in (
        optax.lookahead(optax.sgd(0.1), 5, 0.5),
        optax.chain(optax.clip(1.0), optax.lookahead(optax.sgd(0.1), 5, 0.5)),
    ):
        with pytest.raises(ValueError, match="optimizer must update one set of weights, got optax"):
            study(optimizer=optimizer, defaults=None).plan()
        with pytest.raises(ValueError, match="optimizer must update one set of weights"):
            make_train(TASK, MLP, optimizer, steps=2)(seed_key(0))


AVERAGED = {
    "schedule free": (
        optax.contrib.schedule_free_sgd(0.5),
        lambda params, opt_state: optax.contrib.schedule_free_eval_params(opt_state, params),
    ),
    "moving average": (
        optax.chain(optax.sgd(0.5), optax.ema(0.9)),
        lambda params, opt_state: jax.tree.map(
            lambda leaf, mean: leaf + mean, params, opt_state[1].ema
        ),
    ),
}


@pytest.mark.parametrize("name", AVERAGED)
def test_the_evaluated_weights_are_those_that_eval_params_gives(name, tmp_path):
    optimizer, eval_params = AVERAGED[name]
    settings = {"steps": 6, "eval_every": 3, "eval_params": eval_params}
    given = Study(SHARED, MLP, optimizer, seeds=2, **settings)
    result = given.run(tmp_path)
    replayed, _, history = given.replay({}, seed=1)
    bare, _, curves = make_train(SHARED, MLP, optimizer, **settings)(seed_key(1))
    trained = Study(SHARED, MLP, optimizer, seeds=2, steps=6, eval_every=3).run()
    for params in (replayed, bare):
        outputs, _ = MLP.apply(params, (), SHARED.data.test_x)
        loss = float(SHARED.loss(outputs, SHARED.data.test_targets).mean())
        assert loss == pytest.approx(float(result.final("test_loss")[1]), rel=1e-5)
        assert loss != pytest.approx(float(trained.final("test_loss")[1]), rel=1e-4)
    np.testing.assert_array_equal(history["test_loss"], result.history["test_loss"][1])
    np.testing.assert_allclose(curves["test_loss"], result.history["test_loss"][1], rtol=1e-5)
    with pytest.raises(ValueError, match="another study"):
        Study(SHARED, MLP, optimizer, seeds=2, steps=6, eval_every=3).run(tmp_path)


def test_the_plan_says_where_averages_are_kept_and_not_evaluated():
    optimizer, eval_params = AVERAGED["schedule free"]
    note = "give eval_params"
    assert note in str(Study(SHARED, MLP, optimizer, steps=2).plan())
    assert note not in str(Study(SHARED, MLP, optimizer, steps=2, eval_params=eval_params).plan())


def test_a_healthy_regression_on_large_targets_is_not_frozen(tmp_path):
    """House prices: weights of some 1e6 are what the least squares solution has."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).astype(np.float32)
    prices = (3e6 + x @ np.array([2e6, -1e6])).astype(np.float32)
    task = tasks.from_arrays(x, prices)
    result = Study(task, models.mlp(2, (), 1), optax.sgd(0.1), seeds=2, steps=300).run(tmp_path)
    assert not result.diverged.any()
    exact = np.linalg.norm([3e6, 2e6, -1e6])
    params, _, _ = make_train(task, models.mlp(2, (), 1), optax.sgd(0.1), steps=300)(seed_key(0))
    assert float(optax.tree.norm(params)) == pytest.approx(exact, rel=1e-3)
    assert '"norm_bound": 1000000000000000.0' in (tmp_path / "manifest.json").read_text()
    bounded = Study(
        task, models.mlp(2, (), 1), optax.sgd(0.1), seeds=2, steps=300, norm_bound=1e6
    ).run()
    assert bounded.diverged.all()


@pytest.mark.parametrize("bound", [0, -1.0, math.inf, math.nan, "1e6", True, None, 1e19])
def test_a_bound_out_of_range_is_refused(bound):
    for way in (
        lambda: study(norm_bound=bound),
        lambda: make_train(TASK, MLP, optax.sgd(0.1), steps=2, norm_bound=bound),
    ):
        with pytest.raises(
            ValueError, match="norm_bound must be a number above 0 and at most 1e\\+18, got"
        ):
            way()


def test_a_lane_beyond_the_default_bound_is_frozen_although_its_loss_is_finite():
    clipped = optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(1e30))
    model = models.mlp(2, (3,), 2, activation="tanh")
    result = study(model=model, optimizer=clipped, defaults=None).run()
    assert result.diverged.all()
    assert np.isfinite(result.final("test_loss")).all()


def test_prepare_and_augment_are_applied_where_they_belong():
    """Whatever the training sees is turned round by augment; both see the prepared points."""
    data = SHARED.data
    doubled = SHARED._replace(prepare=lambda x: 2.0 * x)
    by_hand_task = SHARED._replace(
        data=data._replace(
            train_x=2.0 * np.asarray(data.train_x), test_x=2.0 * np.asarray(data.test_x)
        )
    )
    settings = {"steps": 5, "eval_every": 1}
    _, _, prepared = make_train(doubled, MLP, optax.sgd(0.1), **settings)(seed_key(0))
    _, _, expected = make_train(by_hand_task, MLP, optax.sgd(0.1), **settings)(seed_key(0))
    np.testing.assert_allclose(prepared["test_loss"], expected["test_loss"], rtol=1e-6)
    turned = SHARED._replace(augment=lambda key, x, targets: (x, 1 - targets))
    _, _, against = make_train(turned, MLP, optax.sgd(0.5), steps=50)(seed_key(0))
    params, _, _ = make_train(SHARED, MLP, optax.sgd(0.5), steps=50)(seed_key(0))
    outputs, _ = MLP.apply(params, (), data.train_x)
    # labels turned round in training: as a model with its two outputs swapped it learns the same
    assert float(SHARED.loss(outputs, data.train_targets).mean()) < against["train_loss"][-1]
    assert against["batch_loss_mean"][-1] < against["train_loss"][-1]
    noisy = SHARED._replace(
        augment=lambda key, x, targets: (x + jax.random.normal(key, x.shape), targets)
    )
    _, _, first = make_train(noisy, MLP, optax.sgd(0.1), **settings)(seed_key(0))
    _, _, second = make_train(noisy, MLP, optax.sgd(0.1), **settings)(seed_key(1))
    assert first["batch_loss_mean"][1] != second["batch_loss_mean"][1]
