"""Metrics of a whole split: scikit-learn's numbers, whatever the chunks of an evaluation, the
weights, the ties, and the lanes beside."""

import functools
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference
from test_targets import planned, refused

from jaxdl import Metric, SplitMetric, Study, load, losses, metrics, models, tasks, testing
from jaxdl import train as training
from jaxdl.pages.measured import metrics_of
from jaxdl.result import usual_metric
from jaxdl.sampling import seed_key
from jaxdl.training import chunks
from jaxdl.types import Dataset, Model, RowWeights, Task, check_metrics

RNG = np.random.default_rng(3)
ROWS = 11  # no chunk of 4 divides it
POOL = np.float32(RNG.normal(size=(4, 5)))  # outputs of which many an example has the same: ties
SGD = optax.sgd(0.1)
IDENTITY = Model(lambda key: ((), ()), lambda params, state, x, *, key, train: (x, state))


def every_metric(outputs: int) -> dict:
    """All of them, by what scikit-learn calls them with."""
    averages = ["macro", "weighted", "micro", *(["binary"] if outputs < 3 else [])]
    found = {"balanced": metrics.balanced_accuracy(), "auc": metrics.auc()}
    for average in averages:
        for make in (metrics.f1, metrics.precision, metrics.recall):
            found[f"{make.__name__}_{average}"] = make(average)
    return {**found, **metrics.confusion_matrix(max(2, outputs))}


def data_of(outputs, targets, weight=None) -> Dataset:
    """Examples whose outputs are known: what the model reads are its outputs."""
    weights = None if weight is None else RowWeights(train=weight)
    return Dataset(outputs, targets, None, None, weights=weights)


@functools.cache
def evaluator(outputs: int, most: int):
    """One compiled evaluation of all metrics, for many data."""

    def evaluate(*data):
        dataset = data_of(*data)
        task = Task(dataset, lambda outputs, targets: outputs[0], every_metric(outputs))
        return training.evaluate(training.Recipe(task, IDENTITY, SGD, 1), (), (), dataset)

    return jax.jit(evaluate)


def evaluated(outputs, targets, weight=None, most: int = 1024) -> dict:
    """The metrics of a split, ``train_`` taken off, evaluated in chunks of at most so many rows."""
    data = (np.float32(outputs), np.int32(targets))
    data += () if weight is None else (np.float32(weight),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "MOST_ROWS", most)
        values = evaluator(len(outputs), most)(*data)
    return {name.removeprefix("train_"): np.asarray(value) for name, value in values.items()}


def expected_of(outputs, targets, weight) -> dict:
    """The same from scikit-learn, in float64."""
    outputs = np.float64(outputs)
    one = len(outputs) == 1
    guess = (outputs[0] > 0).astype(int) if one else outputs.argmax(axis=0)
    given = (targets, guess)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is predicted and does not occur
        balanced = reference.balanced_accuracy_score(*given, sample_weight=weight)
        found["balanced"] = balanced
        for average in ("macro", "weighted", "micro", "binary"):
            settings = {"average": average, "zero_division": 0, "sample_weight": weight}
            if average == "binary" and len(outputs) > 2:
                continue
            found[f"f1_{average}"] = reference.f1_score(*given, **settings)
            found[f"precision_{average}"] = reference.precision_score(*given, **settings)
            found[f"recall_{average}"] = reference.recall_score(*given, **settings)
        found["auc"] = area_of(outputs, targets, weight)
    classes = range(max(2, len(outputs)))
    cells = reference.confusion_matrix(*given, labels=list(classes), sample_weight=weight)
    for place in np.ndindex(cells.shape):
        found["confusion_{}_{}".format(*place)] = cells[place]
    return found


def area_of(outputs, targets, weight):
    """The area under the ROC curve; NaN where a class does not occur."""
    if len(outputs) == 1:
        return reference.roc_auc_score(targets, outputs[0], sample_weight=weight)
    if len(outputs) == 2:
        return reference.roc_auc_score(targets, outputs[1] - outputs[0], sample_weight=weight)
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=0)
    areas = [
        reference.roc_auc_score(targets == number, of_class, sample_weight=weight)
        for number, of_class in enumerate(probabilities)
    ]
    if len(set(targets.tolist())) == len(outputs):
        settings = {"multi_class": "ovr", "sample_weight": weight}
        whole = reference.roc_auc_score(targets, probabilities.T, **settings)
        assert whole == pytest.approx(np.mean(areas))
    return np.mean(areas)


def assert_close(found: dict, expected: dict):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("weighed", [False, True], ids=["plain", "weighed"])
@pytest.mark.parametrize("most", [1024, 4], ids=["whole", "chunks"])
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_values_are_those_of_scikit_learn(outputs, most, weighed):
    classes = max(2, outputs)
    rows = st.lists(
        st.tuples(
            st.integers(0, 4),
            st.integers(0, classes - 1),
            st.sampled_from([0.25, 1.0, 2.0, 3.3]),
        ),
        min_size=ROWS,
        max_size=ROWS,
    )

    @given(rows)
    def compare(rows):
        places, targets, weight = map(np.array, zip(*rows, strict=True))
        scores = POOL[:outputs, places]
        counted = weight if weighed else None
        assert_close(
            evaluated(scores, targets, counted, most),
            expected_of(scores, targets, counted),
        )

    compare()


def test_values_by_hand():
    """Predicted are 0 0 1 1 1 of classes 0 1 1 1 0; class 2 does not occur, and counts nowhere."""
    outputs = np.eye(3)[:, [0, 0, 1, 1, 1]]
    found = evaluated(outputs, [0, 1, 1, 1, 0])
    assert found["precision_macro"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["recall_macro"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["f1_macro"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["balanced"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["recall_weighted"] == found["f1_micro"] == pytest.approx(3 / 5)
    cells = metrics.matrix(found, "confusion")
    assert cells.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert np.isnan(found["auc"])  # of class 2 there is nothing to rank


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_tie_is_half_a_win_and_zero_has_no_sign(zero):
    """Pairs of (positive, negative): 0 and 0 tie, 0 loses to 2, 3 wins twice: 2.5 of 4."""
    outputs = np.array([[zero, 0.0, 3.0, 2.0]])
    assert evaluated(outputs, [1, 0, 1, 0])["auc"] == 2.5 / 4
    assert evaluated(np.zeros((1, 4)), [1, 0, 1, 0])["auc"] == 0.5
    assert evaluated([[np.inf, np.inf, -np.inf, -np.inf]], [1, 0, 1, 0])["auc"] == 0.5


def test_confident_probabilities_are_ranked_where_a_softmax_is_1():
    """The odds of class 0 are e**20 to e**60: all of them are 1 in float32, and no two alike."""
    outputs = np.zeros((3, 8))
    outputs[0] = [20, 30, 40, 50, 60, 25, -9, -9]
    targets = np.array([0, 0, 0, 1, 0, 1, 2, 2])
    float32 = jax.nn.softmax(jnp.float32(outputs), axis=0)[0]
    assert (float32[:6] > 1 - 1e-6).all()
    log_odds = outputs[0] - np.log(2)
    of_class_0 = reference.roc_auc_score(targets == 0, log_odds)
    taken = jax.jit(metrics.scores)(np.float32(outputs), targets)
    np.testing.assert_allclose(taken.score[0], log_odds, rtol=1e-5)
    alone = metrics.Scores(taken.score[:1], np.float32(targets == 0))
    assert jax.jit(metrics.area_under_roc)(alone, np.ones(8, np.float32)) == of_class_0


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_values_do_not_depend_on_the_chunks(outputs):
    scores = np.round(RNG.normal(size=(outputs, ROWS)), 1)
    targets = np.arange(ROWS) % max(2, outputs)
    weight = RNG.lognormal(size=ROWS)
    whole = evaluated(scores, targets)
    weighed = evaluated(scores, targets, weight)
    for most in (4, 1, ROWS - 1) if outputs == 2 else (4,):
        found = evaluated(scores, targets, most=most)
        if outputs < 3:  # counts are whole numbers, and a difference of two logits is one number
            assert {**found, "loss": 0} == {**whole, "loss": 0}
        assert_close(found, whole)
        assert_close(evaluated(scores, targets, weight, most), weighed)


@pytest.mark.parametrize("most", [1024, 4])
def test_where_all_are_right_a_weighed_value_is_1(most):
    targets = np.arange(ROWS) % 3
    weight = RNG.lognormal(sigma=3, size=ROWS)
    found = evaluated(3 * np.eye(3)[:, targets], targets, weight, most)
    ones = {name: value for name, value in found.items() if "confusion" not in name}
    del ones["loss"]
    for name, value in ones.items():
        assert 1 - 2e-7 <= value <= 1, name  # sums of the same weights may differ by a bit


@pytest.mark.parametrize("most", [1024, 4])
@pytest.mark.parametrize("where", [0, 6, ROWS - 1])
def test_an_example_without_a_prediction_makes_its_split_nan(where, most):
    scores = POOL[:3, np.arange(ROWS) % 5].copy()
    targets = np.arange(ROWS) % 3
    assert np.isfinite(list(evaluated(scores, targets, most=most).values())).all()
    scores[1, where] = np.nan
    assert np.isnan(list(evaluated(scores, targets, most=most).values())).all()


def test_the_threshold_of_one_output_may_be_another():
    outputs = np.array([[0.2, 0.6, 0.4, 0.9]])
    targets = np.array([0, 1, 1, 1])

    def value(threshold):
        task = Task(data_of(outputs, targets), losses.squared_error, {})
        task = task._replace(metrics={"recall": metrics.recall("binary", threshold)})
        recipe = training.Recipe(task, IDENTITY, SGD, 1)
        return training.evaluate(recipe, (), (), task.data)["train_recall"]

    assert [float(value(cut)) for cut in (0, 0.5, 0.7)] == pytest.approx([1, 2 / 3, 1 / 3])
    assert jax.jit(value)(0.5) == pytest.approx(2 / 3)


# --- a user's own ------------------------------------------------------------------------------


def root_mean(total, weight):
    return jnp.sqrt(total / weight)


def error(outputs, targets):
    return jnp.abs(outputs[0] - targets)


def middle(errors, weight):
    return jnp.median(errors)


def weighed_sum(errors, weight):
    return jnp.sum(errors * weight)


OWN = {
    "rmse": SplitMetric(losses.squared_error, root_mean, higher_is_better=False),
    "middle": SplitMetric(error, middle, higher_is_better=False, gathered=True),
    "sum": SplitMetric(error, weighed_sum, higher_is_better=False, gathered=True),
}


@pytest.mark.parametrize("most", [1024, 4])
def test_a_metric_of_ones_own_takes_two_lines(monkeypatch, most):
    monkeypatch.setattr(chunks, "MOST_ROWS", most)
    x, y = np.float32(RNG.normal(size=(1, ROWS))), np.float32(RNG.normal(size=ROWS))
    gaps = np.float64(x[0] - y)
    for weight in (None, np.float32(1 + np.arange(ROWS))):
        task = Task(data_of(x, y, weight), losses.squared_error, OWN)
        recipe = training.Recipe(task, IDENTITY, SGD, 1)
        found = training.evaluate(recipe, (), (), task.data)
        counted = np.ones(ROWS) if weight is None else weight
        mean = np.average(gaps**2, weights=counted)
        assert found["train_rmse"] == pytest.approx(np.sqrt(mean), rel=1e-5)
        assert found["train_middle"] == pytest.approx(np.median(np.abs(gaps)))
        assert found["train_sum"] == pytest.approx(np.sum(np.abs(gaps) * counted), rel=1e-5)


def test_what_several_metrics_are_made_of_is_taken_once():
    calls = []

    def counted(outputs, targets):
        calls.append(outputs.shape)
        return metrics.class_counts(outputs, targets)

    def hits(number):
        return SplitMetric(counted, lambda counts, weight: counts.hit[number], True)

    task = Task(
        data_of(POOL[:2], np.arange(5) % 2),
        losses.cross_entropy,
        {"first": hits(0), "second": hits(1)},
    )
    training.evaluate(training.Recipe(task, IDENTITY, SGD, 5), (), (), task.data)
    assert calls == [(2, 5)]


# --- refusals ----------------------------------------------------------------------------------

POINTS = np.float32(RNG.normal(size=(3, 24)))
LABELS = np.arange(24) % 2


def with_metric(metric, make=tasks.classification, targets=LABELS):
    data = Dataset(POINTS, targets, POINTS, targets)
    return make(data)._replace(metrics={"own": metric})


def nothing(outputs, targets):
    return ()


def of_all(outputs, targets):
    return jnp.mean(outputs)


def by_class(counts, weight):
    return counts.hit


def of_one(outputs):
    return outputs


REFUSED = {
    "no finish": (
        lambda: check_metrics({"own": SplitMetric(error, None, True)}),
        "finish of metric 'own' must be a function (taken, weight) -> scalar, got None",
    ),
    "no direction": (
        lambda: check_metrics({"own": SplitMetric(error, middle, None)}),
        "metric 'own' must be a function and a bool",
    ),
    "gathered as text": (
        lambda: check_metrics({"own": SplitMetric(error, middle, True, "rows")}),
        "gathered of metric 'own' must be True or False, got 'rows'",
    ),
    "a finish of one argument": (
        lambda: planned(with_metric(SplitMetric(error, of_one, True))),
        "finish of metric 'own' must be a function (taken, weight) -> scalar, got of_one",
    ),
    "a function of one argument": (
        lambda: planned(with_metric(SplitMetric(of_one, middle, True))),
        "metric 'own' must be a function (outputs, targets) -> arrays (..., batch), got of_one",
    ),
    "nothing taken": (
        lambda: planned(with_metric(SplitMetric(nothing, middle, True))),
        "metric 'own' must give arrays of real numbers, shape (..., 24), got ()",
    ),
    "a number for all": (
        lambda: planned(with_metric(SplitMetric(of_all, middle, True))),
        "metric 'own' must give arrays of real numbers, shape (..., 24), got ",
    ),
    "no scalar": (
        lambda: planned(with_metric(SplitMetric(metrics.class_counts, by_class, True))),
        "finish of metric 'own' must give a real scalar, got an array of shape (2,)",
    ),
    "an unknown average": (lambda: metrics.f1("makro"), "did you mean 'macro'"),
    "a threshold of NaN": (lambda: metrics.f1(threshold=np.nan), "threshold must be a number"),
    "class 1 of three": (
        lambda: planned(with_metric(metrics.f1("binary")), outputs=3),
        "average must be 'macro', 'weighted' or 'micro' for the 3 classes of the model, got",
    ),
    "another number of classes": (
        lambda: planned(with_metric(metrics.confusion_matrix(2)["confusion_0_0"]), outputs=3),
        "classes of confusion_matrix must be the 3 of the model's outputs, got 2",
    ),
    "one class": (
        lambda: metrics.confusion_matrix(1),
        "classes must be an integer from 2 to 32, got 1",
    ),
    "too many classes": (
        lambda: metrics.confusion_matrix(33),
        "classes must be an integer from 2 to 32, got 33",
    ),
    "no matrix of a name": (
        lambda: metrics.matrix({"test_loss": [1.0]}, "test_confusion"),
        "name must be that of a confusion matrix, got 'test_confusion'",
    ),
    "signs as classes": (
        lambda: planned(
            with_metric(metrics.f1(), tasks.signed, np.int32(2 * LABELS - 1)), outputs=1
        ),
        "train_targets must be 0, 1 or between them",
    ),
    "a class beyond the outputs": (
        lambda: planned(
            Task(
                Dataset(POINTS, LABELS + 1, POINTS, LABELS + 1),
                lambda outputs, targets: outputs[0] - targets,
                {"auc": metrics.auc()},
            )
        ),
        "train_targets must be class numbers below the model's 2 outputs, got 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_a_line(name):
    call, message = REFUSED[name]
    assert message in refused(call)


def test_the_checks_of_a_task_know_metrics_of_a_whole_split():
    task = tasks.moons(50)
    good = {**task.metrics, "f1": metrics.f1(), "auc": metrics.auc()}
    testing.check_task(task._replace(metrics=good))

    def ranked(outputs, targets):
        return jnp.argsort(outputs[0]) * 1.0

    def first_of_all(taken, weight):
        return taken[0]

    broken = {
        "own takes finite numbers of every example": SplitMetric(of_all, middle, True),
        "own does not depend on the order": SplitMetric(ranked, root_mean, True),
        "own is a number whatever the order": SplitMetric(
            losses.cross_entropy, first_of_all, True, gathered=True
        ),
    }
    for words, metric in broken.items():
        with pytest.raises(AssertionError, match=f"check_task: {words}"):
            testing.check_task(task._replace(metrics={"own": metric}))


# --- through a study ---------------------------------------------------------------------------

NAMES = np.array(["owl", "ant", "bee"])  # in sorted order: ant, bee, owl
X = RNG.normal(size=(60, 3))
Y = np.argsort(np.argsort(X[:, 0])) // 20  # the lower, the middle and the upper third


def study_of(seeds) -> Study:
    weight = 1.0 + np.arange(60) % 3
    task = tasks.from_arrays(X, NAMES[Y], 0.25, 0.25, sample_weight=weight)
    assert task.classes == ("ant", "bee", "owl")
    of_split = {"f1": metrics.f1(), "auc": metrics.auc(), **metrics.confusion_matrix(3)}
    return Study(
        task._replace(metrics={**task.metrics, **of_split}),
        models.mlp(3, (4,), 3),
        lambda hp: optax.sgd(hp.learning_rate),
        sweep={"learning_rate": [0.01, 0.5]},
        seeds=seeds,
        steps=20,
        eval_every=10,
        batch_size=8,
        lane_size=2,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A study and what it found."""
    study = study_of(seeds=3)
    return study, study.run(tmp_path_factory.mktemp("runs") / "run")


def test_a_study_reports_them_like_any_metric(ran):
    _, result = ran
    assert result.metrics["f1"]
    assert (result.metrics["confusion_0_0"], result.metrics["confusion_0_1"]) == (True, False)
    assert "test_f1" in str(result.table("test_f1"))
    best = result.best("valid_auc")
    assert list(best) == [{"learning_rate": 0.5}]
    compared = result.compare("test_f1", {"learning_rate": 0.5}, {"learning_rate": 0.01})
    assert compared.n == 3
    assert compared.difference > 0
    stopped = result.at_best("valid_f1")
    assert (stopped.final("valid_f1") == result["valid_f1"].max(axis=1)).all()
    with pytest.raises(ValueError, match="must not be of the test split"):
        result.best("test_f1")
    assert {"test_f1", "valid_auc", "train_confusion_2_0"} <= set(result.to_pandas().columns)
    assert result.plot("test_auc").axes
    assert load(result.path)["test_f1"].tobytes() == result["test_f1"].tobytes()


def test_a_lane_has_the_values_of_its_trained_weights(ran):
    study, result = ran
    params, state, history = study.replay({"learning_rate": 0.5}, seed=1)
    row = result.rows({"learning_rate": 0.5})[1]
    dataset = study.spec.parts.task.data
    outputs = models.mlp(3, (4,), 3).apply(params, state, jnp.asarray(dataset.test_x))[0]
    expected = expected_of(np.asarray(outputs), dataset.test_targets, dataset.weights.test)
    for name, key in {"f1": "f1_macro", "auc": "auc"}.items():
        assert result.final(f"test_{name}")[row] == pytest.approx(expected[key], abs=1e-6)
        assert history[f"test_{name}"].tobytes() == result[f"test_{name}"][row].tobytes()
    cells = metrics.matrix(result.columns(), "test_confusion")
    assert cells.shape == (6, 3, 3)
    np.testing.assert_allclose(cells[row], metrics.matrix(expected, "confusion"), rtol=1e-6)
    curves = metrics.matrix(result.history, "test_confusion")
    assert curves.shape == (6, 3, 3, 3)
    np.testing.assert_allclose(curves.sum(axis=(2, 3)), dataset.weights.test.sum(), rtol=1e-6)


def test_lanes_do_not_depend_on_those_beside_them(ran):
    _, many = ran
    few = study_of(seeds=[1]).run()
    for config in few.configs:
        (alone,), beside = few.rows(config), many.rows(config)[1]
        for name in few.history:
            assert few[name][alone].tobytes() == many[name][beside].tobytes(), name


def test_the_bounds_of_a_share_are_known_where_seeds_are_added():
    study = study_of(seeds=3)
    for name in ("test_f1", "valid_auc", "train_accuracy"):
        assert study._bounds(name) == (0, 1)
    assert study._bounds("test_confusion_0_0") is None


def test_a_plan_says_where_no_area_is_defined():
    task = tasks.from_arrays(X, Y, X_test=X[:20], y_test=0 * Y[:20])
    study = Study(
        task._replace(metrics={"auc": metrics.auc(), "f1": metrics.f1()}),
        models.mlp(3, (4,), 3),
        SGD,
        steps=2,
        batch_size=8,
    )
    note = "test_auc is not defined, so NaN: no example of the split is of class 1"
    assert [line for line in study.plan().notes if "auc" in line] == [note]
    result = study.run()
    assert np.isnan(result["test_auc"]).all()
    assert np.isfinite(result["train_auc"]).all()
    assert np.isfinite(result["test_f1"]).all()
    assert not result.diverged.any()


def test_data_drawn_by_each_lane_are_measured_as_shared_ones_are():
    moons = tasks.moons(40)
    task = moons._replace(metrics={**moons.metrics, "auc": metrics.auc(), "f1": metrics.f1()})
    train = training.make_train(task, models.mlp(2, (4,)), SGD, steps=3, batch_size=5)
    keys = jax.vmap(seed_key)(jnp.arange(3))
    weights, _, history = jax.jit(jax.vmap(train))(keys)
    for place in range(3):
        params = jax.tree.map(lambda leaf, place=place: leaf[place], weights)
        data = moons.data(seed_key(place))
        outputs = models.mlp(2, (4,)).apply(params, (), data.test_x)[0]
        expected = expected_of(np.asarray(outputs), np.asarray(data.test_targets), None)
        assert history["test_auc"][place, -1] == pytest.approx(expected["auc"], abs=1e-6)
        assert history["test_f1"][place, -1] == pytest.approx(expected["f1_macro"], abs=1e-6)


def test_a_metric_an_example_stays_what_it_was():
    mean = Metric(losses.accuracy, higher_is_better=True)
    assert check_metrics({"accuracy": mean}) == {"accuracy": mean}
    assert metrics.is_share(mean)
    assert not metrics.is_share(Metric(error, higher_is_better=True))
    assert not metrics.is_share(None)


def test_a_cell_of_a_matrix_is_not_what_a_result_is_about():
    names = ["test_accuracy", "test_confusion_0_0", "test_confusion_1_1", "test_loss"]
    assert usual_metric(names) == "test_accuracy"
    assert usual_metric(names[1:]) == "test_loss"
    shown = types.SimpleNamespace(history=dict.fromkeys(names))
    assert metrics_of(shown)[0] == "test_accuracy"
