"""R5's MLP in three frameworks: NumPy's own backward pass, equal trajectories, the command."""

import importlib.util
import json
import types

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from commands import check_refused, report_of
from sklearn.datasets import make_moons

from experiments import numpy_mlp, rivals, torch_mlp
from experiments.numpy_mlp import Points, Weights
from jaxdl import losses, models, tasks

SETTINGS = {"samples": 50, "noise": 0.1, "width": 4, "learning_rate": 0.1, "batch_size": 16}


def drawn(seed=0, dtype=np.float64):
    generator = np.random.default_rng(seed)
    weights = numpy_mlp.initial(generator, 4)
    biases = [generator.standard_normal(bias.shape) for bias in weights[1::2]]
    weights = Weights(weights.first, biases[0], weights.second, biases[1])
    points = numpy_mlp.moons(generator, 12, 0.1)
    return tuple(type(part)(*(leaf.astype(dtype) for leaf in part)) for part in (weights, points))


def test_the_backward_pass_is_that_of_finite_differences():
    weights, points = drawn()
    for name, slope in zip(weights._fields, numpy_mlp.gradients(weights, points), strict=True):
        for place in np.ndindex(slope.shape):
            ends = []
            for move in (1e-6, -1e-6):
                moved = getattr(weights, name).copy()
                moved[place] += move
                ends.append(numpy_mlp.loss(weights._replace(**{name: moved}), points))
            assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_the_backward_pass_is_the_formulas_of_r2_written_out():
    """Point by point: p - y behind the softmax, (p - y) h^T, W^T (p - y), 1 where z > 0."""
    weights, points = drawn(1)
    sums = [np.zeros_like(leaf) for leaf in weights]
    for x, y in zip(points.x.T, points.targets.T, strict=True):
        z = weights.first @ x + weights.first_bias[:, 0]
        h = z * (z > 0)
        logits = weights.second @ h + weights.second_bias[:, 0]
        p = np.exp(logits) / np.exp(logits).sum()
        of_z = (weights.second.T @ (p - y)) * (z > 0)
        parts = np.outer(of_z, x), of_z[:, None], np.outer(p - y, h), (p - y)[:, None]
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
    for total, slope in zip(sums, numpy_mlp.gradients(weights, points), strict=True):
        np.testing.assert_allclose(slope, total / 12, rtol=1e-5, atol=1e-8)


def test_moons_are_those_of_scikit_learn():
    points = numpy_mlp.moons(np.random.default_rng(0), 21, 0.0)
    ours = sorted((*x, int(c)) for x, c in zip(points.x.T.tolist(), points.targets[1], strict=True))
    x, classes = make_moons(21, shuffle=False, noise=None)
    theirs = sorted((*point, int(c)) for point, c in zip(x.tolist(), classes, strict=True))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_network_is_the_same_alone_and_among_others():
    together = numpy_mlp.train(range(5), 60, SETTINGS)
    alone = [numpy_mlp.train([seed], 60, SETTINGS)[0] for seed in range(5)]
    assert together.tolist() == alone
    assert len(set(alone)) > 1
    assert np.mean(alone) > 0.7


def test_trajectories_agree():
    parts = types.SimpleNamespace(
        task=tasks.moons(20), model=models.mlp(2, (4,)), optimizer=optax.sgd(0.1)
    )
    weights, points = drawn(2, np.float32)
    batches = [Points(points.x[:, i : i + 5], points.targets[:, i : i + 5]) for i in (0, 3, 7)]
    ours = rivals.trajectory(parts, weights, batches)
    theirs = rivals.numpy_trajectory(weights, batches, 0.1)
    assert ours.shape == theirs.shape == (3, 4 * 2 + 4 + 2 * 4 + 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(ours[0] - rivals.flat(weights)).max() > 1e-3
    if torch_mlp.installed():
        np.testing.assert_allclose(torch_mlp.trajectory(weights, batches, 0.1), ours, atol=1e-6)


def test_what_was_trained_is_not_trained_again(tmp_path):
    calls = []

    def train(start):
        calls.append(start)
        return np.array([0.5, 0.75])

    path = tmp_path / "numpy.json"
    first = rivals.resumed(path, SETTINGS, 2, train)
    more = rivals.resumed(path, SETTINGS, 5, train)
    assert calls == [0, 2, 4]
    assert (len(first.accuracies), len(more.accuracies)) == (2, 5)
    assert rivals.resumed(path, SETTINGS, 5, train).accuracies.tolist() == more.accuracies.tolist()
    assert len(calls) == 3
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "seconds": [70.0] * 6}))
    assert len(rivals.resumed(path, SETTINGS, 9, train, budget=120.0).accuracies) == 6
    rivals.resumed(path, {**SETTINGS, "width": 5}, 1, train)
    assert calls == [0, 2, 4, 0]  # other settings: nothing of it counts


def test_probabilities_taken_for_logits_are_another_loss():
    from experiments.frameworks import softmax_first

    logits, targets = jnp.array([[2.0], [-1.0]]), jnp.array([0])
    p = np.exp([2.0, -1.0]) / np.exp([2.0, -1.0]).sum()
    assert float(softmax_first(logits, targets)[0]) == pytest.approx(
        float(np.log(np.exp(p).sum()) - p[0]), rel=1e-6
    )
    assert float(losses.cross_entropy(logits, targets)[0]) != float(
        softmax_first(logits, targets)[0]
    )


def test_the_command_without_pytorch_names_what_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_mlp, "installed", lambda: False)
    report = report_of(
        "frameworks", *("--quick", "--seeds", "3", "--steps", "20"),
        *("--sweep", "variant=protocol"), "--out", str(tmp_path)
    )  # fmt: skip
    of_study = {}
    for row in report["rows"]:
        of_study.setdefault(row["study"], []).append(row)
    assert [row["framework"] for row in of_study["frameworks"]] == ["NumPy", "jaxdl"]
    assert max(of_study["trajectories"][0]["gaps"]) < 1e-5
    assert of_study["jaxdl"][0]["test_accuracy"]["published"] == 0.915
    figures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert figures == ["accuracy.png", "trajectories.png"]
    assert len(json.loads((tmp_path / "jaxdl" / "numpy.json").read_text())["accuracies"]) == 3


def test_another_variant_is_refused(tmp_path):
    arguments = ("frameworks", "--quick", "--sweep", "variant=none at all")
    check_refused(arguments, "variant must be one of 'protocol'", tmp_path / "run")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra bench")
def test_pytorch_trains_what_numpy_trains():
    accuracies = [torch_mlp.train(seed, 60, SETTINGS) for seed in range(5)]
    assert accuracies == [torch_mlp.train(seed, 60, SETTINGS) for seed in range(5)]
    assert np.mean(accuracies) > 0.7
