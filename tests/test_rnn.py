"""Recurrent cells against PyTorch, scan against a loop, padded lengths against plain, clipping, and
bad input."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, data, make_train, models, tasks
from jaxdl.cells import CELLS, Gate, init_gates, stack
from jaxdl.layers import Dense, dense
from jaxdl.models.rnn import last_hidden
from jaxdl.sampling import seed_key
from jaxdl.testing import check_model
from jaxdl.types import Padded

with np.load(pathlib.Path(__file__).parent / "golden" / "cells.npz") as file:
    GOLDEN = dict(file)


def golden(cell: str, name: str):
    return GOLDEN[f"{cell}_{name}"]


def gate_of(cell: str, prefix: str = "") -> Gate:
    """PyTorch's weights, or their gradients."""
    weights = [
        Dense(golden(cell, f"{prefix}weight_{kind}"), golden(cell, f"{prefix}bias_{kind}"))
        for kind in ("ih", "hh")
    ]
    return jax.tree.map(jnp.asarray, Gate(*weights))


@functools.partial(jax.jit, static_argnums=0)
def states_of(cell: str, gate: Gate, x):
    """The hidden states after every step, by a Python loop: (time, hidden, batch)."""
    kind = CELLS[cell]
    state, found = kind.start(gate.hidden.weight.shape[1], x.shape[-1]), []
    for features in x:
        state = kind.step(gate, state, features)
        found.append(kind.read(state))
    return jnp.stack(found)


@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_those_of_pytorch_forward_and_backward(cell):
    gate, x = gate_of(cell), jnp.asarray(golden(cell, "x"))
    np.testing.assert_allclose(states_of(cell, gate, x), golden(cell, "states"), atol=2e-6)
    grads, grad_x = jax.grad(
        lambda gate, x: jnp.sum(states_of(cell, gate, x) * golden(cell, "weight")), (0, 1)
    )(gate, x)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=2e-5),
        grads,
        gate_of(cell, "grad_"),
    )
    np.testing.assert_allclose(grad_x, golden(cell, "grad_x"), atol=2e-5)


def unstacked(cell: str, gate: Gate) -> tuple[Gate, ...]:
    count = CELLS[cell].gates
    return tuple(
        jax.tree.map(lambda leaf, k=k: jnp.split(leaf, count)[k], gate) for k in range(count)
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("unroll", [1, 3])  # 3: rounds, and a rest
def test_the_scan_is_a_loop_over_time(cell, unroll):
    x = jax.random.normal(jax.random.key(1), (7, 3, 6))
    gates = unstacked(cell, gate_of(cell))
    expected = states_of(cell, stack(gates), x)[-1]
    np.testing.assert_allclose(
        last_hidden(CELLS[cell], gates, x, unroll=unroll), expected, atol=1e-6
    )
    ours, theirs = (
        jax.jit(jax.grad(lambda gates, run=run: jnp.sum(run(gates) ** 2)))(gates)
        for run in (
            lambda gates: last_hidden(CELLS[cell], gates, x, unroll=unroll),
            lambda gates: states_of(cell, stack(gates), x)[-1],
        )
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, theirs)


@pytest.mark.parametrize("cell", CELLS)
def test_a_lane_past_its_length_keeps_its_hidden_state(cell):
    rng, gate = np.random.default_rng(0), gate_of(cell)
    params = (
        models.rnn(3, 5, 3, cell=cell)
        .init(jax.random.key(0))[0]
        ._replace(cell=unstacked(cell, gate))
    )
    padded = jax.jit(
        lambda size, x: models.rnn(3, 5, 3, cell=cell, length=Padded(size, 7)).apply(params, (), x)[
            0
        ]
    )
    for live in range(1, 8):
        x = rng.normal(size=(7, 3, 6)).astype(np.float32)
        expected = dense(params.read_out, states_of(cell, gate, x[:live])[-1])
        np.testing.assert_allclose(padded(live, x), expected, atol=1e-6)
        x[live:] *= 100
        np.testing.assert_allclose(
            padded(live, x), expected, atol=1e-6
        )  # what lies past the end is not read


@pytest.mark.parametrize("cell", CELLS)
def test_rnns_pass_the_checks_of_models_with_a_padded_number_of_units(cell):
    x = jax.random.normal(jax.random.key(1), (2, 3, 7))
    check_model(lambda size: models.rnn(3, size, 4, cell=cell), x, padded=(3, 4))


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights_are_uniform_as_in_pytorch(cell):
    params, _ = models.rnn(10, 100, 7, cell=cell).init(jax.random.key(0))
    for leaf in jax.tree.leaves(params):
        values = np.asarray(leaf).ravel()
        assert np.abs(values).max() <= 0.1
        if values.size > 500:
            assert abs(values.mean()) < 0.01
            assert values.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.03)
    wide, _ = models.rnn(1, 4, 2, cell=cell, init="torch").init(jax.random.key(0))
    assert (
        max(np.abs(gate.inputs.weight).max() for gate in wide.cell) > 0.5
    )  # 1 / sqrt(in) with one input is 1


def test_a_smaller_network_has_the_first_weights_of_a_larger_one():
    small, large = (
        init_gates(
            jax.random.key(0),
            3,
            size,
            2,
            lambda key, out, into: Dense(
                jax.vmap(lambda k: jax.random.normal(k, (into,)))(jax.random.split(key, out)),
                jnp.zeros(out),
            ),
        )
        for size in (3, 8)
    )
    for a, b in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True):
        np.testing.assert_array_equal(a, b[tuple(slice(0, n) for n in a.shape)])


RMSPROP = {"decay": 0.99, "eps": 1e-8, "eps_in_sqrt": False}


def test_rmsprop_is_that_of_pytorch():
    optimizer, params = optax.rmsprop(0.01, **RMSPROP), jnp.ones(6)
    state = optimizer.init(params)
    for grads, expected in zip(GOLDEN["rmsprop_grads"], GOLDEN["rmsprop_params"], strict=True):
        updates, state = optimizer.update(jnp.asarray(grads), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params, expected, rtol=1e-5)


@pytest.mark.parametrize(("bound", "factor"), [(10.0, 10 / 13), (13.5, 1.0), (1.0, 1 / 13)])
def test_clipping_scales_all_gradients_by_their_common_norm(bound, factor):
    grads = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([[0.0], [-12.0]])}  # norm 13
    clipped, _ = optax.clip_by_global_norm(bound).update(grads, optax.EmptyState())
    np.testing.assert_allclose(clipped["a"], factor * np.array([3.0, 4.0]), rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], factor * np.array([[0.0], [-12.0]]), rtol=1e-6)


def test_a_clipped_step_moves_the_network_by_the_clipped_gradient_and_records_its_norm():
    task, model = tasks.palindromes(6, test_samples=8, train_samples=16), models.rnn(1, 6, 10)
    norm = {
        "grad_norm": lambda info: optax.tree.norm(info.grads),
        "update_norm": lambda info: optax.tree.norm(info.updates),
    }

    def first(bound):
        optimizer = optax.chain(optax.clip_by_global_norm(bound), optax.sgd(1.0))
        return jax.jit(make_train(task, model, optimizer, steps=1, record=norm))(seed_key(0))

    free, _, history = first(np.inf)
    bound = 0.5 * float(history["grad_norm_max"][-1])
    held, _, clipped = first(bound)
    assert clipped["grad_norm_max"][-1] == history["grad_norm_max"][-1]  # of the gradient as it was
    assert float(clipped["update_norm_max"][-1]) == pytest.approx(bound, rel=1e-5)
    start, _ = jax.jit(model.init)(jax.random.fold_in(seed_key(0), 0))
    jax.tree.map(
        lambda a, b, c: np.testing.assert_allclose(b - a, 0.5 * (c - a), atol=1e-6),
        start,
        held,
        free,
    )  # half the step, in the same direction


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
def test_lengths_are_lanes_of_one_program_that_equal_their_plain_runs(cell):
    def parts(length):
        return tasks.palindromes(length, test_samples=40, train_samples=16), models.rnn(
            1, 8, 10, cell=cell, length=data.palindrome_steps(length)
        )

    optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.rmsprop(1e-3, **RMSPROP))
    study = Study(
        lambda hp: parts(hp.length)[0],
        lambda hp: parts(hp.length)[1],
        optimizer,
        sweep={"length": [2, 5, 8]},
        seeds=[4],
        steps=10,
        eval_every=1,
        lane_size=1,
        shapes="pad",
    )
    (program,) = study.plan().programs
    assert program.axes["length"].kind == "padded"
    result = study.run()
    for length in (2, 5):
        task, model = parts(length)
        _, _, history = jax.jit(make_train(task, model, optimizer, steps=10, eval_every=1))(
            seed_key(4)
        )
        for name in ("batch_loss_mean", "test_loss"):
            ours = result.history[name][result.rows({"length": length})[0]]
            np.testing.assert_allclose(ours, history[name], rtol=1e-5, atol=1e-6)


def test_a_trained_network_beats_chance_at_length_5_by_far():
    study = Study(
        tasks.palindromes(5, "one_hot"),
        models.rnn(10, 32, 10, cell="gru"),
        optax.adam(0.01),
        seeds=2,
        steps=200,
        batch_size=64,
        eval_every=200,
    )
    assert study.run().final("test_accuracy").min() > 0.9  # chance is 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"cell": "vanila"},
            "cell must be one of 'vanilla', 'gru', 'lstm', got 'vanila'; did you mean 'vanilla'?",
        ),
        ({"hidden": 0}, "hidden must be a positive integer, got 0"),
        ({"length": 0}, "length must be a positive integer, got 0"),
        (
            {"length": Padded(9, 5)},
            "length must be an integer from 1 to its padded maximum 5, got 9",
        ),
        ({"init": "torch_rn"}, "init must be one of"),
        ({"inputs": 1.0}, "inputs must be a positive integer, got 1.0"),
    ],
)
def test_rnn_names_what_is_wrong_in_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        models.rnn(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_sequence_shorter_than_the_length_is_named():
    model = models.rnn(1, 3, 2, length=5)
    params, state = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match="length must be at most the 4 steps of x, got 5"):
        model.apply(params, state, jnp.ones((4, 1, 2)))


def test_the_read_out_is_an_affine_map_of_the_last_state():
    model = models.rnn(1, 3, 2)
    params, _ = model.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 1, 5))
    expected = dense(params.read_out, states_of("vanilla", stack(params.cell), x)[-1])
    np.testing.assert_allclose(model.apply(params, (), x)[0], expected, atol=1e-6)
