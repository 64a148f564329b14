"""What the palindrome experiments share: R5's network, its optimizers, and how far its gradient reaches back."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.options import unswept
from experiments.report import iqm_cell, metric_entry
from jaxdl import Study, data, models, stats, tables, tasks
from jaxdl.cells import CELLS, stack
from jaxdl.checks import one_of, positive_number
from jaxdl.sampling import seed_key, stream
from jaxdl.study import Result

BATCH_SIZE = 128
DEFAULTS = {
    "learning_rate": 0.001,
    "clip": 10.0,  # the largest norm of a gradient; None for no clipping
    "units": 128,
    "encoding": "number",
    "init": "torch",  # R5's: 1 / sqrt(fan-in) of each map, so U(-1, 1) for the one input; "torch_rnn": 1 / sqrt(units)
    "optimizer": "rmsprop",
}
EXAMPLES = 8  # sequences that the reach of a lane's gradient is the median over


def rmsprop(learning_rate) -> optax.GradientTransformation:
    """RMSprop with PyTorch's defaults: v = 0.99 v + 0.01 g^2, w -= learning_rate g / (sqrt(v) + 1e-8)."""
    return optax.rmsprop(learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False)


OPTIMIZERS = {"rmsprop": rmsprop, "adam": optax.adam, "sgd": optax.sgd}


def optimizer(hp) -> optax.GradientTransformation:
    """The optimizer that hp names, behind a clip of the gradient's norm."""
    made = OPTIMIZERS[one_of("optimizer", hp.optimizer, OPTIMIZERS)](hp.learning_rate)
    return made if hp.clip is None else optax.chain(optax.clip_by_global_norm(hp.clip), made)


def network(hp):
    """The recurrent network that hp describes, over the digits of a palindrome but the last."""
    inputs = 1 if hp.encoding == "number" else data.DIGITS
    return models.rnn(
        inputs, hp.units, data.DIGITS, cell=hp.cell, length=data.palindrome_steps(hp.length), init=hp.init
    )  # fmt: skip


def palindrome_study(options, sweep: dict, defaults: dict, *, seeds: int, steps: int, eval_every: int) -> Study:
    """A study of R5's network; one lane at a time fills a core's cache."""
    for value in sweep.get("clip", ()):
        if value is not None:
            positive_number("clip", value)
    return Study(
        task=lambda hp: tasks.palindromes(hp.length, hp.encoding, train_samples=BATCH_SIZE),
        model=network,
        optimizer=optimizer,
        defaults=defaults,
        sweep=sweep,
        seeds=options.seeds or seeds,
        **unswept(
            sweep,
            steps=options.steps or steps,
            eval_every=options.eval_every or eval_every,
            batch_size=BATCH_SIZE,
        ),
        shapes=options.shapes,
        lane_size=options.lane_size or 1,
        record={"grad_norm": lambda info: optax.tree.norm(info.grads)},
    )


def entries(result: Result, config: dict, lanes, published: float | None, clip) -> dict:
    """A row's metrics, with R5's number beside the accuracy."""
    lost = result.diverged[lanes]
    steps = result.steps if result.steps.ndim == 1 else result.steps[lanes[0]]
    to_90 = stats.first_reached(np.nan_to_num(result.metric("test_accuracy")[lanes], nan=0.0), steps, 0.9)
    to_90 = np.where(lost, np.inf, to_90)
    largest = np.nanmax(result.metric("grad_norm_max")[lanes], axis=1)
    return {
        "test_accuracy": metric_entry(result.final("test_accuracy")[lanes], lost, True, published),
        "steps_to_90": {"median": float(np.median(to_90)), "never_reached": float(np.mean(np.isinf(to_90)))},
        "grad_norm": {
            "median": float(np.nanmedian(result.metric("grad_norm_mean")[lanes])),
            "largest": float(largest.max()),
            "clipped": 0.0 if clip is None else float(np.mean(largest > clip)),
        },
    }


def table_row(row: dict, names) -> tuple:
    """One line of a table: the values of the axes, then `COLUMNS`."""
    accuracy, reached, norm = row["test_accuracy"], row["steps_to_90"], row["grad_norm"]
    place = "-" if accuracy["published"] is None else f"{accuracy['published']:g} ({accuracy['published_percentile']:.3g})"
    return (
        *(row[name] for name in names), row["n"], row["survived"], f"{accuracy['mean']:.3f} ({accuracy['sd']:.3f})",
        f"{accuracy['median']:.3f}", iqm_cell(accuracy, row["survived"]), place,
        tables.cell(reached["median"]), f"{reached['never_reached']:.0%}", norm["median"], norm["largest"], f"{norm['clipped']:.0%}",
    )  # fmt: skip


COLUMNS = (
    "n", "survived", "test acc", "median", "IQM [95 %]", "R5 (pct)", "steps to 90 %", "never", "grad norm", "largest", "clipped",
)  # fmt: skip
LEGEND = (
    "test acc: mean (sd), on 1024 sequences a seed (chance is 0.1); R5 (pct): the published number and its percentile among the\n"
    "seeds; steps to 90 %: median; grad norm: median of the batch gradients' norms, before clipping; clipped: lanes in which\n"
    "some gradient was beyond the clip"
)


@functools.partial(jax.jit, static_argnums=0)
def reach(cell: str, gates, x):
    """How far back the gradient reaches: the spectral norms of d h_T / d s_t, by products of one-step Jacobians.

    Args:
      cell: a name of `cells.CELLS`; s is its whole state, (h, c) for an LSTM.
      gates: its parameters.
      x: (time, features, batch).

    Returns:
      (time, batch), for t = 1..T; 1 at t = T.
    """
    kind, gate = CELLS[cell], stack(gates)
    units = gate.hidden.weight.shape[1]

    def step(flat, features):
        parts = tuple(part[:, None] for part in jnp.split(flat, kind.states))
        after = kind.step(gate, parts if kind.states > 1 else parts[0], features[:, None])
        return jnp.concatenate(after if kind.states > 1 else (after,))[:, 0]

    def norms(sequence):
        first = jnp.zeros(kind.states * units)
        states = jax.lax.scan(lambda s, now: (step(s, now),) * 2, first, sequence)[1]
        jacobians = jax.vmap(jax.jacfwd(step))(states[:-1], sequence[1:])
        end = jnp.eye(units, kind.states * units)
        products = jax.lax.scan(lambda p, j: (p @ j,) * 2, end, jacobians, reverse=True)[1]
        return jnp.linalg.norm(jnp.concatenate([products, end[None]]), ord=2, axis=(1, 2))

    return jax.vmap(norms, in_axes=2, out_axes=1)(x)


def reach_of(study: Study, config: dict, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The reach of a lane's gradient before and after training, each (time,): the median over some test sequences."""
    recipe = study.recipe(config)
    cell = config.get("cell", study.spec.defaults.get("cell"))
    x = recipe.task.data(seed_key(seed)).test_x[..., :EXAMPLES]
    start, _ = jax.jit(recipe.model.init)(stream(seed_key(seed), "init"))
    trained, _, _ = study.replay(config, seed)
    before, after = (np.median(reach(cell, jax.tree.map(jnp.asarray, params.cell), x), axis=1) for params in (start, trained))
    return before, after
