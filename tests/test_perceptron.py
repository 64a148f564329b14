"""The perceptron: its rules by hand and against scikit-learn, Novikoff's bound, and the normals it
is trained on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, linalg, stats
from sklearn.linear_model import Perceptron

from jaxdl import Metric, Study, losses, make_train, models, sampling, tasks, train
from jaxdl.data import bayes_accuracy, gaussians
from jaxdl.data.gaussians import square_root
from jaxdl.sampling import seed_key
from jaxdl.types import Dataset

ONLINE = {"batch_size": 1, "sampling": "epoch", "reduction": "sum"}
POINTS = np.array([[1.0, -2.0, 3.0], [2.0, 1.0, -1.0]], np.float32)  # (2, 3)
TARGETS = np.array([1, -1, -1], np.int32)


def fit(x, targets, loss=losses.perceptron, bias=True, rate=0.01, steps=1, **settings):
    """Weights, bias and history of one run on points (features, n)."""
    task = tasks.signed(Dataset(x, targets, x, targets), loss)
    run = make_train(
        task,
        models.perceptron(len(x), bias=bias),
        optax.sgd(rate),
        steps=steps,
        **{"reduction": "sum", **settings},
    )
    params, _, history = jax.tree.map(np.asarray, jax.jit(run)(seed_key(0)))
    return params.weight[0], params.bias, history


@pytest.mark.parametrize(
    ("loss", "steps", "weight", "offset"),
    [
        (
            losses.perceptron,
            1,
            (0.0, 2.0),
            -1,
        ),  # all three points: at f = 0 the criterion is active
        (losses.perceptron, 2, (2.0, 1.0), -2),  # f = (3, 1, -3): the second is wrong
        (
            losses.perceptron_mistakes,
            1,
            (-1.0, 0.0),
            -2,
        ),  # sign(0) = +1: the two points of class -1
        (losses.perceptron_mistakes, 2, (2.0, 1.0), -2),  # f = (-3, 0, -5): the first two are wrong
    ],
)
def test_the_rules_by_hand(loss, steps, weight, offset):
    found, bias, history = fit(POINTS, TARGETS, loss, rate=1.0, steps=steps, eval_every=1)
    np.testing.assert_allclose(found, weight)
    np.testing.assert_allclose(bias, [offset])
    assert history["train_accuracy"][0] == pytest.approx(1 / 3)  # sign(0) = +1


def test_the_example_of_report_r1_is_one_update_from_zero():
    task = tasks.gaussians(
        [[3.82, -0.95], [-2.41, 0.89]],
        [[[0.88, -0.25], [-0.25, 1.16]], [[0.66, -0.08], [-0.08, 0.53]]],
        loss=losses.perceptron_mistakes,
    )
    data = task.data(seed_key(0))
    weight, bias, history = fit(
        data.train_x, data.train_targets, losses.perceptron_mistakes, steps=3
    )
    first = np.asarray(data.train_x)[:, np.asarray(data.train_targets) == -1]
    assert first.shape == (2, 80)
    np.testing.assert_allclose(weight, -0.01 * first.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(bias, [-0.8], rtol=1e-5)
    assert history["train_accuracy"][-1] == 1


def test_whole_runs_are_those_of_scikit_learn_on_the_same_order():
    data = tasks.gaussians(((-1, 0), (1, 0)), 1.0, samples=50).data(
        seed_key(3)
    )  # not separable: it never stops moving
    x, targets = np.asarray(data.train_x), np.asarray(data.train_targets)
    weight, bias, _ = fit(x, targets, steps=80 * 20, **ONLINE)
    theirs = Perceptron(shuffle=False, eta0=0.01, tol=None)
    for number in range(20):
        order = np.asarray(sampling.pass_order(sampling.stream(seed_key(0), "shuffle"), number, 80))
        theirs.partial_fit(x.T[order], targets[order], classes=[-1, 1])
    np.testing.assert_allclose(weight, theirs.coef_[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(bias, theirs.intercept_, rtol=1e-3, atol=1e-4)


@given(n=st.integers(1, 40), size=st.integers(1, 40), step=st.integers(0, 200))
def test_an_order_at_hand_gives_the_batches_that_are_drawn_anew(n, size, step):
    key, size = seed_key(n), min(size, n)
    order = sampling.pass_order(key, step // sampling.steps_of_pass(n, size), n)
    for looked_up, drawn in zip(
        sampling.batch_rows(key, step, n, size, "epoch", order),
        sampling.batch_rows(key, step, n, size, "epoch"),
        strict=True,
    ):
        alive = sampling.batch_rows(key, step, n, size, "epoch")[1]
        np.testing.assert_array_equal(looked_up * alive, drawn * alive)


def test_segments_within_a_pass_take_up_its_order():
    task = tasks.gaussians(((-1, 0), (1, 0)), 1.0, samples=20)
    recipe = train.Recipe(task, models.perceptron(), optax.sgd(0.1), 3, "sum", "epoch")
    schedule, data, keys = (
        train.Schedule(40, 10),
        task.data(seed_key(0)),
        train.streams(seed_key(0)),
    )
    advance = jax.jit(
        lambda lane, start, stop: train.segment(recipe, schedule, lane, data, keys, start, stop)
    )
    start = train.init(recipe, seed_key(0), data, schedule)
    whole, cut = advance(start, 0, 41), start
    for begin, end in ((0, 5), (5, 6), (6, 11), (11, 12), (12, 33), (33, 41)):
        cut = advance(cut, begin, end)
    jax.tree.map(np.testing.assert_array_equal, whole, cut)
    by_step = start
    for index in range(40):
        by_step = train.step(recipe, by_step, data, keys, index)
    np.testing.assert_allclose(by_step.params.weight, whole.params.weight, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def mistakes_of():
    """Points (2, 24) and targets -> number of updates in 60 passes, and the final training
    accuracy."""
    record = {"moved": lambda info: jnp.abs(info.grads.bias[0])}
    empty = Dataset(jnp.zeros((2, 24)), jnp.ones(24), jnp.zeros((2, 24)), jnp.ones(24))
    run = make_train(
        tasks.signed(empty),
        models.perceptron(),
        optax.sgd(1.0),
        steps=60 * 24,
        record=record,
        **ONLINE,
    )
    compiled = jax.jit(run)

    def count(x, targets):
        _, _, history = compiled(seed_key(0), Dataset(x, targets, x, targets))
        return float(history["moved_mean"][-1]) * 60 * 24, float(history["train_accuracy"][-1])

    return count


@given(
    angle=st.floats(0, 6.28),
    offset=st.floats(-1, 1),
    gap=st.floats(0.05, 2),
    seed=st.integers(0, 2**31),
)
def test_mistakes_are_at_most_novikoffs_bound(mistakes_of, angle, offset, gap, seed):
    x = np.random.default_rng(seed).normal(size=(2, 24))
    normal = np.array([np.cos(angle), np.sin(angle)])
    targets = np.where(normal @ x + offset > 0, 1, -1)
    x = np.float32(x + gap * normal[:, None] * targets)  # a gap about the line
    margins = (
        targets * (normal @ x + offset) / np.sqrt(1 + offset**2)
    )  # the bias is the weight of a constant feature
    bound = (np.square(x).sum(axis=0).max() + 1) / margins.min() ** 2
    mistakes, accuracy = mistakes_of(x, targets.astype(np.float32))
    assert 1 <= mistakes <= bound
    assert accuracy == 1 or bound > 60  # a pass without a mistake ends it


@given(p=st.floats(0, 100), q=st.floats(0, 100), angle=st.floats(0, 3.2))
def test_square_roots_of_covariances_are_those_of_scipy(p, q, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariance = turn @ np.diag([p, q]) @ turn.T
    root = np.asarray(square_root(jnp.float32(covariance)), float)
    np.testing.assert_allclose(root, root.T, atol=1e-6 * np.sqrt(max(p, q)))
    np.testing.assert_allclose(root @ root, covariance, atol=3e-6 * max(p, q, 1e-6))
    np.testing.assert_allclose(
        root,
        np.real(linalg.sqrtm(covariance + 1e-12 * np.eye(2))),
        atol=2e-3 * np.sqrt(max(p, q)) + 2e-6,
    )


@pytest.mark.parametrize("c", [0.01, 0.1, 1.0, 10.0])
def test_points_of_singular_covariances_lie_on_lines(c):
    draw = jax.jit(lambda c: gaussians(seed_key(0), [[2, 2], [-2, -2]], _singular(c), (500, 400)))
    first, second = (np.asarray(part, float) for part in draw(c))
    assert (first.shape, second.shape) == ((2, 500), (2, 400))
    np.testing.assert_allclose(first[0] - first[1], 0, atol=1e-5)
    np.testing.assert_allclose(second[0] + second[1], -4, atol=1e-5)
    for part, mean in ((first, 2), (second, -2)):
        assert part[0].std() == pytest.approx(np.sqrt(c), rel=0.1)
        assert part[0].mean() == pytest.approx(mean, abs=0.2 * np.sqrt(c))


def _singular(c):
    return [[[c, c], [c, c]], [[c, -c], [-c, c]]]


def test_points_have_the_moments_asked_for_and_a_zero_covariance_is_a_point():
    means, covariances = (
        [[-2.41, 0.89], [3.82, -0.95]],
        [[[0.66, -0.08], [-0.08, 0.53]], [[4.0, 1.5], [1.5, 0.6]]],
    )
    for part, mean, covariance in zip(
        gaussians(seed_key(0), means, covariances, (20_000, 20_000)),
        means,
        covariances,
        strict=True,
    ):
        np.testing.assert_allclose(np.mean(part, axis=1), mean, atol=0.05)
        np.testing.assert_allclose(np.cov(part), covariance, atol=0.03 * np.trace(covariance))
        assert (
            stats.kstest(
                np.asarray(part)[0], stats.norm(mean[0], np.sqrt(covariance[0][0])).cdf
            ).pvalue
            > 1e-3
        )
    first, second = gaussians(seed_key(0), means, 0.0, (3, 5))
    assert (np.asarray(first) == np.float32(means[0])[:, None]).all()
    assert (np.asarray(second) == np.float32(means[1])[:, None]).all()
    fewer, _ = gaussians(seed_key(0), means, covariances, (7, 1))
    more, _ = gaussians(seed_key(0), means, covariances, (9, 1))
    np.testing.assert_array_equal(fewer, more[:, :7])  # a prefix


@pytest.mark.parametrize(
    ("distance", "variance"), [(6.0, 0.5), (6.0, 100.0), (0.5, 0.5), (0.0, 1.0)]
)
def test_bayes_accuracy_is_the_integral_of_the_larger_density(distance, variance):
    sd = np.sqrt(variance)
    larger = lambda x: (
        0.5 * max(stats.norm.pdf(x, -distance / 2, sd), stats.norm.pdf(x, distance / 2, sd))
    )
    whole, _ = integrate.quad(larger, -distance - 12 * sd, distance + 12 * sd, points=[0.0])
    assert float(bayes_accuracy(distance, variance)) == pytest.approx(whole, abs=1e-5)
    task = tasks.gaussians(
        [[distance / 2, 0], [-distance / 2, 0]], variance, samples=(20_000, 20_000)
    )
    data = task.data(seed_key(0))
    assert float(
        np.mean(np.where(data.train_x[0] > 0, 1, -1) == data.train_targets)
    ) == pytest.approx(whole, abs=0.01)


def test_every_split_has_its_share_of_either_class():
    data = tasks.gaussians(samples=(100, 40), test_fraction=0.2, valid_fraction=0.1).data(
        seed_key(0)
    )
    counts = {
        name: [int((part == y).sum()) for y in (1, -1)]
        for name, part in data._asdict().items()
        if "targets" in name
    }
    assert counts == {"train_targets": [70, 28], "test_targets": [20, 8], "valid_targets": [10, 4]}
    assert (data.train_x.shape, data.train_x.dtype, data.train_targets.dtype) == (
        (2, 98),
        np.float32,
        np.int32,
    )
    assert (
        np.sign(np.asarray(data.test_x)[0]) == -np.asarray(data.test_targets)
    ).all()  # class +1 has the first mean


def test_a_sweep_of_all_parameters_is_one_program():
    study = Study(
        task=lambda hp: tasks.gaussians(
            [[hp.x, hp.y], [-hp.distance, 0.0]],
            [[[hp.c, hp.c], [hp.c, hp.c]], [[1, 0], [0, hp.v]]],
            10,
        ),
        model=models.perceptron(),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        steps=5,
        reduction="sum",
        sweep=[
            {"x": a, "y": 1, "distance": a * a, "c": 0.1 * a, "v": 2.0, "learning_rate": a / 10}
            for a in (1.0, 2.5)
        ],
    )
    (program,) = study.plan().programs
    assert {axis.kind for axis in program.axes.values()} == {"traced"}
    result = study.run()
    plain = make_train(
        study.recipe(study.spec.configs[1].values).task,
        models.perceptron(),
        optax.sgd(0.25),
        steps=5,
        reduction="sum",
    )
    _, _, history = plain(seed_key(0))
    assert result.final("train_loss")[1] == pytest.approx(
        float(history["train_loss"][-1]), rel=1e-4, abs=1e-6
    )


EYE = [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("covariances", {"covariances": [EYE, [[1, 0.5], [0.4, 1]]]}),
        ("covariances", {"covariances": [[1, 2], [2, 1]]}),
        ("covariances", {"covariances": -0.5}),
        ("covariances", {"covariances": float("nan")}),
        ("covariances", {"covariances": [[1, 0, 0], [0, 1, 0]]}),
        ("covariances", {"covariances": [[[1, 0], [0, 1]], [[1, 0]]]}),
        ("covariances", {"covariances": jnp.array([[np.inf, 0], [0, 1]])}),
        ("means", {"means": (1, 2)}),
        ("means", {"means": ((0, 0), (0, np.inf))}),
        ("means", {"means": "left"}),
        ("samples", {"samples": 0}),
        ("samples", {"samples": (100, 2)}),
        ("samples", {"samples": (100, 100, 100)}),
        ("samples", {"samples": 5, "valid_fraction": 0.05}),
        ("test_fraction", {"test_fraction": 1.0}),
        ("samples", {"test_fraction": 0.0}),
    ],
)
def test_gaussians_names_what_is_wrong_in_one_line(name, arguments):
    with pytest.raises(ValueError, match=rf"^{name} .*, got .*$"):
        tasks.gaussians(**arguments)


@pytest.mark.parametrize("loss", losses.SIGNED)
def test_targets_other_than_plus_and_minus_one_are_named(loss):
    X = np.random.default_rng(0).normal(size=(10, 2))
    for y in ([0, 1] * 5, [1, -1, 2, 1, -1] * 2, [1.0, 0.5] * 5):
        with pytest.raises(ValueError, match=r"^y must be \+1 or -1, got (0|2|0.5)$"):
            tasks.from_arrays(X, y, loss=loss)
    with pytest.raises(ValueError, match=r"^test_targets must be \+1 or -1, got 0$"):
        tasks.signed(Dataset(POINTS, TARGETS, POINTS, TARGETS * 0), loss)
    with pytest.raises(ValueError, match=r"^inputs must be a positive integer, got 0$"):
        models.perceptron(0)
    task = tasks.from_arrays(X, [1, -1] * 5, loss=loss)
    assert task.metrics == {"accuracy": Metric(losses.sign_accuracy, True)}
    assert task.data.train_targets.dtype == np.int32
