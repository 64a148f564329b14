"""Recurrent networks that read a sequence and answer at its end."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.cells import CELLS, init_gates, stack
from jaxdl.checks import one_of, positive_int
from jaxdl.layers import Dense, check_features, dense, init_dense, scheme_of
from jaxdl.types import Model, Padded, Size, capacity, check_padded, live

# steps of the scan in one round: measured 1.3 times as fast as one (128 units, batch 128, 14 steps,
# one core)
UNROLLED = 16


class Params(NamedTuple):
    """Parameters of a recurrent network."""

    cell: Any  # a tuple of `cells.Gate`, one a gate
    read_out: Dense


def rnn(
    inputs: int = 1,
    hidden: Size = 128,
    outputs: int = 10,
    *,
    cell: str = "vanilla",
    length: Size | None = None,
    init="torch_rnn",
) -> Model:
    """h_t = cell(h_(t-1), x_t) from h_0 = 0, outputs = W h_T + b.

    Args:
      inputs: number of features of a step.
      hidden: number of units, an int or `Padded`.
      outputs: number of outputs (logits).
      cell: ``"vanilla"``, ``"gru"`` or ``"lstm"``: see `cells`.
      length: T, the steps that are read; all that x has where None. An int, or `Padded`: steps past
        the live size leave the hidden state alone, so the outputs are those of the live end.
      init: a name of `layers.INITS` or a scheme ``(key, outputs, inputs) -> Dense``, for each map
        of the cell. ``"torch_rnn"`` is that of `torch.nn.RNN`; the read-out then has that of
        `torch.nn.Linear`.

    Returns:
      A `Model` with ``apply`` from (time, inputs, batch) to (outputs, batch); params are `Params`.

    Raises:
      ValueError: an unknown cell, sizes below 1, a length beyond its padded maximum or beyond the
        steps of x.

    >>> model = rnn(1, 4, 10, cell="gru", length=3)
    >>> params, state = model.init(jax.random.key(0))
    >>> len(params.cell), params.cell[0].hidden.weight.shape
    (3, (4, 4))
    >>> model.apply(params, state, jnp.ones((3, 1, 2)))[0].shape
    (10, 2)
    """
    chosen = CELLS[one_of("cell", cell, CELLS)]
    scheme_of("init", init)
    for name, size in (
        ("inputs", inputs),
        ("hidden", hidden),
        ("outputs", outputs),
        ("length", length),
    ):
        if isinstance(size, Padded):
            check_padded(name, size)
        elif name != "length" or size is not None:
            positive_int(name, size)

    def initialise(key):
        cell_key, read_out_key = jax.random.split(key)
        gates = init_gates(cell_key, chosen.gates, hidden, inputs, init)
        return Params(
            gates,
            init_dense(read_out_key, outputs, hidden, "torch" if init == "torch_rnn" else init),
        ), ()

    def apply(params, state, x, *, key=None, train=False):
        check_features(x, inputs, dimensions=3)
        return dense(
            params.read_out,
            last_hidden(chosen, params.cell, x, length, unroll=UNROLLED if train else 1),
        ), state

    return Model(initialise, apply)


def last_hidden(cell, gates, x, length: Size | None = None, start=None, unroll: int = 1):
    """The hidden state at the live end of a sequence.

    Args:
      cell: a `cells.Cell`.
      gates: its parameters, a tuple of `cells.Gate`.
      x: (time, features, batch).
      length: steps that are read, at most those of x; all of them where None.
      start: the state before the first step; zeros where None.
      unroll: steps in one round of the loop.

    Returns:
      (hidden, batch).
    """
    steps = len(x) if length is None else capacity(length)
    if steps > len(x):
        raise ValueError(f"length must be at most the {len(x)} steps of x, got {length}")
    gate = stack(gates)

    def step(before, now):
        index, features = now
        after = cell.step(gate, before, features)
        if isinstance(length, Padded):
            after = jax.tree.map(
                lambda new, old: jnp.where(index < live(length), new, old), after, before
            )
        return after, None

    if start is None:
        start = cell.start(gate.hidden.weight.shape[1], x.shape[-1])
    return cell.read(
        jax.lax.scan(step, start, (jnp.arange(steps), x[:steps]), unroll=min(steps, unroll))[0]
    )
