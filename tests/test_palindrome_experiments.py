"""The palindrome experiments at a tiny size: JSON, figures, the reach of the gradient, and what is
said about bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import check_refused, report_of

from experiments import palindrome_length, reach
from experiments.frame import request_of
from jaxdl import models
from jaxdl.cells import CELLS, stack
from jaxdl.models.rnn import last_hidden

TINY = ("--seeds", "2", "--steps", "20", "--eval-every", "10", "--sweep", "units=8")


def test_palindrome_length_prints_json_and_draws_its_figures(tmp_path):
    arguments = ("--sweep", "length=6", "--sweep", "cell=vanilla,lstm")
    report = report_of("palindrome_length", *TINY, *arguments, "--out", str(tmp_path))
    assert (report["experiment"], report["run"]) == ("palindrome_length", str(tmp_path))
    rows = {(row["length"], row["cell"]): row for row in report["rows"]}
    assert set(rows) == {(6, "vanilla"), (6, "lstm")}
    row = rows[6, "vanilla"]
    assert (row["n"], row["survived"], row["test_accuracy"]["published"]) == (2, 2, 1.0)
    assert set(row["test_accuracy"]) >= {
        "mean",
        "sd",
        "median",
        "iqm",
        "iqm_interval",
        "published_percentile",
    }
    assert 0 < row["grad_norm"]["median"] < row["grad_norm"]["largest"]
    assert rows[6, "lstm"]["test_accuracy"]["published"] is None
    assert {len(row["reach"]["after"]) for row in report["rows"] if row["length"] == 6} == {5}
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "accuracy.png",
        "reach.png",
        "training.png",
    ]


def test_quick_contains_length_5():
    from experiments.options import parser

    options = parser().parse_args(["palindrome_length", "--quick"])
    assert 5 in request_of(palindrome_length.EXPERIMENT, options).sweep["length"]


def test_palindrome_5_prints_json_and_draws_its_figure(tmp_path):
    report = report_of(
        "palindrome_5", *TINY, "--sweep", "optimizer=rmsprop,sgd", "--out", str(tmp_path)
    )
    assert [row["optimizer"] for row in report["rows"]] == ["rmsprop", "sgd"]
    assert all(row["test_accuracy"]["published"] == 1 for row in report["rows"])
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["training.png"]


@pytest.mark.parametrize("cell", CELLS)
def test_the_reach_is_the_norm_of_the_jacobian_of_the_last_hidden_state(cell):
    params, _ = models.rnn(2, 4, 3, cell=cell, init="torch").init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 2, 3))
    norms = reach.reach(cell, params.cell, x)
    assert norms.shape == (5, 3)
    np.testing.assert_allclose(norms[-1], 1, rtol=1e-5)
    kind, gate, example = CELLS[cell], stack(params.cell), x[..., 1:2]
    state = kind.step(gate, kind.start(4, 1), example[0])  # s_1
    jacobian = jax.jacrev(
        lambda state: last_hidden(kind, params.cell, example[1:], start=state)[:, 0]
    )(state)
    flat = jnp.concatenate([part[..., 0] for part in jax.tree.leaves(jacobian)], axis=1)
    np.testing.assert_allclose(norms[0, 1], np.linalg.norm(flat, ord=2), rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["palindrome_length", "--sweep", "length=1,5"],
            "length must be an integer from 2 up, got 1",
        ),
        (
            ["palindrome_length", "--sweep", "length=5.5"],
            "length must be an integer from 2 up, got 5.5",
        ),
        (
            ["palindrome_length", "--sweep", "cell=vanila"],
            "cell must be one of 'vanilla', 'gru', 'lstm', got 'vanila'; did you",
        ),
        (
            ["palindrome_length", "--sweep", "clip=10,inf"],
            "clip must be a finite number above 0, got inf",
        ),
        (["palindrome_length", "--sweep", "clip=0"], "clip must be a finite number above 0, got 0"),
        (["palindrome_length", "--sweep", "encoding=onehot"], "encoding must be one of"),
        (
            ["palindrome_length", "--sweep", "batch_size=129"],
            "batch_size must be an integer from 1 to 128, got 129",
        ),
        (["palindrome_5", "--sweep", "optimizer=rmspro"], "optimizer must be one of"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(arguments, message, tmp_path):
    check_refused(arguments, message, tmp_path / "run")
