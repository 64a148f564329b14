"""Computes how far back in time the gradient of a recurrent network reaches, and draws it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.columns import described
from experiments.drawing import grid_of_panels
from experiments.frame import Run
from jaxdl import Study, plots
from jaxdl.cells import CELLS, stack
from jaxdl.sampling import seed_key, stream

EXAMPLES = 8  # sequences that the reach of a lane's gradient is the median over
FOLLOWED = 3  # seeds of a config whose gradients are followed back
LOOKS = (("before", plots.PALETTE[1], "--"), ("after", plots.PALETTE[0], "-"))


class Reach(NamedTuple):
    """Norms of d h_T / d s_t of a config's seeds, each (seeds, T)."""

    config: dict
    before: np.ndarray
    after: np.ndarray

    def medians(self) -> dict[str, np.ndarray]:
        """Gives the median over seeds against T - t, for JSON."""
        return {
            "before": np.median(self.before, axis=0)[::-1],
            "after": np.median(self.after, axis=0)[::-1],
        }


def reaches(run: Run, groups: list[list[dict]]) -> list[Reach]:
    """Follows the gradients of the shortest, middle and longest length of each cell."""
    # The first group of a cell: further swept values are not followed.
    of_cell: dict[str, list[dict]] = {}
    for group in groups:
        cell = run.request.settings(group[0])["cell"]
        of_cell.setdefault(cell, group)
    followed = []
    for cell, group in of_cell.items():
        configs = sorted(group, key=lambda config: config["length"])
        # Three are enough to see the trend; each costs a training a seed.
        places = sorted({0, len(configs) // 2, len(configs) - 1})
        for place in places:
            reached = reach_of(run, configs[place], cell)
            followed += [] if reached is None else [reached]
    return followed


def reach_of(run: Run, config: dict, cell: str) -> Reach | None:
    """Follows the gradients of some seeds that have not diverged; None where all have."""
    result = run.result
    before: list[np.ndarray] = []
    after: list[np.ndarray] = []
    for row in result.rows(config):
        if result.diverged[row] or len(before) == FOLLOWED:
            continue
        seed = result.lanes[row]["seed"]
        start, end = reach_of_lane(run.studies[""], config, cell, seed)
        before.append(start)
        after.append(end)
    if not before:
        return None
    return Reach(config, np.stack(before), np.stack(after))


def reach_of_lane(
    study: Study, config: dict, cell: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gives the reach of a lane's gradient before and after training, each (time,).

    The median over some test sequences.
    """
    recipe = study.recipe(config)
    key = seed_key(seed)
    x = recipe.task.data(key).test_x[..., :EXAMPLES]
    # The draw that training started from, by the same stream of the seed's key.
    start, _ = jax.jit(recipe.model.init)(stream(key, "init"))
    trained, _, _ = study.replay(config, seed)
    norms = []
    for params in (start, trained):
        gates = jax.tree.map(jnp.asarray, params.cell)
        norms.append(np.median(reach(cell, gates, x), axis=1))
    return norms[0], norms[1]


@functools.partial(jax.jit, static_argnums=0)
def reach(cell: str, gates, x):
    """Computes how far back the gradient reaches: the spectral norms of d h_T / d s_t.

    Args:
      cell: a name of `cells.CELLS`; s is its whole state, (h, c) for an LSTM.
      gates: its parameters.
      x: (time, features, batch).

    Returns:
      (time, batch), for t = 1..T; 1 at t = T.
    """
    kind, gate = CELLS[cell], stack(gates)
    units = gate.hidden.weight.shape[1]

    # The whole state as one vector, so that one Jacobian holds all of its parts.
    def step(flat, features):
        parts = [part[:, None] for part in jnp.split(flat, kind.states)]
        state = tuple(parts) if kind.states > 1 else parts[0]
        after = kind.step(gate, state, features[:, None])
        if kind.states > 1:
            after = jnp.concatenate(after)
        return after[:, 0]

    def forward(state, features):
        after = step(state, features)
        return after, after

    def back(product, jacobian):
        longer = product @ jacobian
        return longer, longer

    # Products of one-step Jacobians from the end, rather than one backward pass a unit: T matrices
    # are stored, and every t comes out of one scan.
    def norms(sequence):
        states = jax.lax.scan(forward, jnp.zeros(kind.states * units), sequence)[1]
        jacobians = jax.vmap(jax.jacfwd(step))(states[:-1], sequence[1:])
        end = jnp.eye(units, kind.states * units)
        products = jax.lax.scan(back, end, jacobians, reverse=True)[1]
        return jnp.linalg.norm(jnp.concatenate([products, end[None]]), ord=2, axis=(1, 2))

    return jax.vmap(norms, in_axes=2, out_axes=1)(x)


def reach_figure(run: Run):
    """Draws the norms against T - t, a line a seed, before and after training, a panel a config."""
    followed: list[Reach] = run.findings["reach"]
    if not followed:
        return None
    figure, axes = grid_of_panels(len(followed), columns=3, width=5, height=4)
    for axis, each in zip(axes.flat, followed, strict=False):
        for (when, colour, line), norms in zip(LOOKS, (each.before, each.after), strict=True):
            back = np.arange(norms.shape[1])[::-1]
            lines = axis.plot(back, norms.T, color=colour, linestyle=line, linewidth=1.5)
            lines[0].set_label(f"{when} training (n={len(norms)} seeds)")
        words = "T - t, steps back in time", "spectral norm of d h_T / d s_t"
        plots.style(axis, described(each.config), *words)
        axis.set_yscale("log")
    axes[0, 0].legend(fontsize=plots.FONT - 3)
    figure.suptitle(kept(followed), fontsize=plots.FONT)
    return figure


def kept(followed: list[Reach]) -> str:
    """Says how much of the gradient's norm is left by a step back."""
    rates, at_first = [], []
    for each in followed:
        steps = each.before.shape[1] - 1
        # A geometric mean: the norm is a product of one factor a step.
        rates.append(each.before[:, 0] ** (1 / steps))
        at_first.append(each.after[:, 0])
    rate = float(np.median(np.concatenate(rates)))
    after = np.concatenate(at_first)
    return (
        f"Before training the gradient keeps {rate:.0%} of its norm a step back; after it, "
        f"{int((after >= 1).sum())} of {len(after)} runs lose nothing back to the first digit\n"
        f"(lines: seeds, each the median of {EXAMPLES} test sequences)"
    )
