"""Recurrent networks that read a sequence and answer at its end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdl.cells import CELLS, Cell, Gate, init_gates, stack
from jaxdl.checks import one_of, positive_int
from jaxdl.layers import Dense, check_features, dense, init_dense, scheme_of
from jaxdl.types import Model, Padded, Size, capacity, check_padded, live

# Steps of the scan in one round, in training: measured 1.3 times as fast as one (128 units, batch
# 128, 14 steps, one core). In evaluation one step a round, which compiles faster.
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
    init: str | Callable = "torch_rnn",
) -> Model:
    """Reads a sequence: h_t = cell(h_(t-1), x_t) from h_0 = 0, outputs = W h_T + b.

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
    kind = CELLS[one_of("cell", cell, CELLS)]
    scheme_of("init", init)
    _check_sizes(inputs=inputs, hidden=hidden, outputs=outputs)
    if length is not None:
        _check_sizes(length=length)
    read_out_init = "torch" if init == "torch_rnn" else init

    def initialise(key):
        cell_key, read_out_key = jax.random.split(key)
        gates = init_gates(cell_key, kind.gates, hidden, inputs, init)
        return Params(gates, init_dense(read_out_key, outputs, hidden, read_out_init)), ()

    def apply(params, state, x, *, key=None, train=False):
        check_features(x, inputs, dimensions=3)
        h = last_hidden(kind, params.cell, x, length, unroll=UNROLLED if train else 1)
        return dense(params.read_out, h), state

    return Model(initialise, apply)


def _check_sizes(**sizes):
    """Refuses sizes below 1, and padded ones beyond their maximum."""
    for name, size in sizes.items():
        if isinstance(size, Padded):
            check_padded(name, size)
        else:
            positive_int(name, size)


def last_hidden(
    cell: Cell,
    gates: tuple[Gate, ...],
    x: Float[Array, "time inputs batch"],
    length: Size | None = None,
    start: Any = None,
    unroll: int = 1,
) -> Float[Array, "hidden batch"]:
    """Computes the hidden state at the live end of a sequence.

    Args:
      cell: a `cells.Cell`.
      gates: its parameters.
      x: (time, features, batch).
      length: steps that are read, at most those of x; all of them where None.
      start: the state before the first step; zeros where None.
      unroll: steps in one round of the loop.

    Returns:
      (hidden, batch).

    Raises:
      ValueError: a length beyond the steps of x.
    """
    steps = len(x) if length is None else capacity(length)
    if steps > len(x):
        raise ValueError(f"length must be at most the {len(x)} steps of x, got {length}")
    gate = stack(gates)

    def step(before, now):
        index, features = now
        after = cell.step(gate, before, features)
        return _until(length, index, after, before), None

    if start is None:
        start = cell.start(gate.hidden.weight.shape[1], x.shape[-1])
    sequence = (jnp.arange(steps), x[:steps])
    end, _ = jax.lax.scan(step, start, sequence, unroll=min(steps, unroll))
    return cell.read(end)


def _until(length: Size | None, index, after, before):
    """Returns the state after a step; from the live end of a padded length on, the one before."""
    if not isinstance(length, Padded):
        return after
    # Lanes of one program scan as far as the longest of them. A shorter one goes on computing
    # there, and every array it carries (an LSTM has two) must come out as at its own end.
    return jax.tree.map(lambda new, old: jnp.where(index < live(length), new, old), after, before)
