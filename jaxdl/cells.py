"""Recurrent cells as equations: ``(gate, state, x) -> state``, with the weights and the order of
gates of PyTorch.

The rows of all gates stand below each other in one `Gate`, so that a step is one product with the
hidden state.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxdl.layers import Dense, dense, init_dense
from jaxdl.types import Size

Hidden = Float[Array, "hidden batch"]
Inputs = Float[Array, "inputs batch"]
Carried = Hidden | tuple[Hidden, ...]  # what a cell hands from step to step


class Gate(NamedTuple):
    """The two affine maps of a gate (or of all gates, stacked), each with its bias, as in
    PyTorch."""

    inputs: Dense  # weight (out, inputs), bias (out,)
    hidden: Dense  # weight (out, hidden), bias (out,)


def init_gates(
    key: PRNGKeyArray, gates: int, hidden: Size, inputs: Size, scheme: str | Callable
) -> tuple[Gate, ...]:
    """Draws the gates of a cell, each from keys of its own; what lies beyond a padded size is
    exactly zero.

    Args:
      key: consumed.
      gates: how many.
      hidden, inputs: sizes, ints or `Padded`.
      scheme: ``(key, outputs, inputs) -> Dense``, or a name of `layers.INITS`.
    """
    # Each gate draws its own rows, and `init_dense` blanks those beyond a padded size. Stacked
    # first, the rows of a second gate would start at another place for every hidden size, and a
    # padded lane would draw other weights than the plain one.
    keys = [jax.random.split(gate_key) for gate_key in jax.random.split(key, gates)]
    return tuple(
        Gate(init_dense(a, hidden, inputs, scheme), init_dense(b, hidden, hidden, scheme))
        for a, b in keys
    )


def stack(gates: tuple[Gate, ...]) -> Gate:
    """Puts the rows of all gates into one `Gate`: PyTorch's weight_ih, bias_ih, weight_hh and
    bias_hh."""
    if len(gates) == 1:
        return gates[0]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *gates)


def vanilla(gate: Gate, h: Hidden, x: Inputs) -> Hidden:
    """Computes h' = tanh(W_i x + b_i + W_h h + b_h) (Elman, 1990; `torch.nn.RNNCell`).

    Args:
      gate: weights (hidden, inputs) and (hidden, hidden).
      h: (hidden, batch).
      x: (inputs, batch).

    Returns:
      (hidden, batch).

    >>> one = Dense(jnp.ones((1, 1)), jnp.zeros(1))
    >>> quarter = jnp.array([[0.25]])
    >>> vanilla(Gate(one, one), quarter, quarter).round(4).tolist()  # tanh(0.5)
    [[0.46209999918937683]]
    """
    return jnp.tanh(dense(gate.hidden, h) + dense(gate.inputs, x))


def gru(gate: Gate, h: Hidden, x: Inputs) -> Hidden:
    """Computes a step of the gated recurrent unit (Cho et al., 2014; `torch.nn.GRUCell`, where r
    stands outside W_h h + b_h).

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr), z likewise, n = tanh(W_in x + b_in + r (W_hn h +
    b_hn)), h' = (1 - z) n + z h.

    Args:
      gate: rows of r, z and n: weights (3 hidden, inputs) and (3 hidden, hidden).
      h: (hidden, batch).
      x: (inputs, batch).

    Returns:
      (hidden, batch).

    >>> one = Dense(jnp.zeros((3, 1)), jnp.zeros(3))
    >>> gru(Gate(one, one), jnp.array([[1.0]]), jnp.array([[1.0]])).tolist()  # z = 1/2, n = 0
    [[0.5]]
    """
    from_x, from_h = dense(gate.inputs, x), dense(gate.hidden, h)
    x_r, x_z, x_n = jnp.split(from_x, 3)
    h_r, h_z, h_n = jnp.split(from_h, 3)
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * h_n)
    # (1 - z) n + z h with one product less. Units beyond a padded size start at h = 0 and have no
    # weights, so n = tanh(0) as well: they stay exactly zero.
    return n + z * (h - n)


def lstm(gate: Gate, state: tuple[Hidden, Hidden], x: Inputs) -> tuple[Hidden, Hidden]:
    """Computes a step of long short-term memory (Hochreiter and Schmidhuber, 1997;
    `torch.nn.LSTMCell`).

    i, f, o = sigmoid(W_i x + b_i + W_h h + b_h), g = tanh(likewise), c' = f c + i g,
    h' = o tanh(c').

    Args:
      gate: rows of i, f, g and o: weights (4 hidden, inputs) and (4 hidden, hidden).
      state: (h, c), each (hidden, batch).
      x: (inputs, batch).

    Returns:
      (h', c').

    >>> one, start = Dense(jnp.zeros((4, 1)), jnp.zeros(4)), jnp.array([[1.0]])
    >>> lstm(Gate(one, one), (start, start), start)[1].tolist()  # f = 1/2, g = 0
    [[0.5]]
    """
    h, c = state
    i, f, g, o = jnp.split(dense(gate.hidden, h) + dense(gate.inputs, x), 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


class Cell(NamedTuple):
    """A cell and what is needed to run it."""

    gates: int
    states: int  # arrays that it carries; the first one is the hidden state
    step: Callable  # (gate, state, x) -> state

    def start(self, hidden: int, batch: int) -> Carried:
        """Makes the zero state: (hidden, batch), or a tuple of such arrays."""
        zeros = jnp.zeros((hidden, batch))
        return zeros if self.states == 1 else (zeros,) * self.states

    def read(self, state: Any) -> Hidden:
        """Returns the hidden state of what is carried."""
        return state if self.states == 1 else state[0]


CELLS = {"vanilla": Cell(1, 1, vanilla), "gru": Cell(3, 1, gru), "lstm": Cell(4, 2, lstm)}
