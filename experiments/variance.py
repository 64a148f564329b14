"""Which seed does a network's final accuracy come from: weights, data, or the order of batches?

Protocol: every random stream of a run has seeds of its own (`jaxdl.Seeds`), all crossed: 8 seeds
each of init, data and shuffle for an MLP 2-20-2 on two moons (1000 points, noise 0.1, 80/20; SGD at
rate 0.1, batches of 32, 1000 steps) and a vanilla RNN of 32 units on palindromes of length 5
(RMSprop at rate 0.003, batches of 32, 1000 steps); 5 each of init, shuffle, dropout and augment for
a CNN of 8 and 16 channels on handwritten digits (crop by 1, dropout 0.2, Adam at rate 0.003,
batches of 32, 250 steps), which all lanes share. The variance of the final test accuracy is split
by random effects (`stats.variance_shares`); interactions count to the rest. `data` are all points
of the moons, of palindromes the 1024 that are tested: training sees fresh ones, by `shuffle`.

Command: python -m experiments variance
Time: about 1 to 2 minutes on 2 CPU cores (112 s of CPU time).
Expected: on moons the data have 70 % [39, 91] of the variance and the weights 16 %; of the CNN's,
early as it is, the weights have 83 % [55, 97]; of the RNN's no stream has any by itself: 2 of 64
pairs of weights and batches fail, on all test sets.
"""

from collections.abc import Mapping

import optax

from experiments.columns import Column, Lanes
from experiments.frame import Experiment, Finding, Run
from experiments.palindromes import rmsprop
from experiments.request import Request, Size
from jaxdl import Seeds, Study, augment, models, plots, stats, tables, tasks

METRIC = "test_accuracy"
STREAMS = {
    "mlp": ("init", "data", "shuffle"),
    "rnn": ("init", "data", "shuffle"),
    "cnn": ("init", "shuffle", "dropout", "augment"),
}
TITLES = {"mlp": "MLP on two moons", "rnn": "RNN on palindromes", "cnn": "CNN on digits"}
REST = "rest"
# A colour a stream, whatever the model.
COLOURS = dict(
    zip(("init", "data", "shuffle", "dropout", "augment", REST), plots.PALETTE, strict=False)
)


def seeds(request: Request, name: str) -> Seeds:
    """Crosses the streams that a model has; where there are four, fewer seeds of each."""
    streams = STREAMS[name]
    # so that all models have about as many lanes
    count = max(2, round(request.seeds ** (3 / len(streams))))
    return Seeds(**dict.fromkeys(streams, range(count)))


def study_of(request: Request, name: str, task, model, optimizer, steps: int) -> Study:
    """Builds the crossed study of one model, with an evaluation at either end."""
    if request.sweep:
        raise ValueError(
            f"--sweep must not be given to variance, which varies seeds alone, got {request.sweep}"
        )
    steps = request.steps or steps
    arguments = {**request.study, "seeds": seeds(request, name), "steps": steps}
    return Study(task, model, optimizer, batch_size=32, **{"eval_every": steps, **arguments})


def mlp(request: Request) -> Study:
    """Builds the study of an MLP on moons."""
    return study_of(request, "mlp", tasks.moons(1000, 0.1), models.mlp(2), optax.sgd(0.1), 1000)


def rnn(request: Request) -> Study:
    """Builds the study of an RNN on palindromes."""
    model = models.rnn(1, 32, 10, cell="vanilla", length=4, init="torch")
    return study_of(request, "rnn", tasks.palindromes(5), model, rmsprop(0.003), 1000)


def cnn(request: Request) -> Study:
    """Builds the study of a CNN on digits."""
    moved = augment.compose(augment.crop(padding=1))
    model = models.cnn((8, 16), 10, inputs=(1, 8, 8), dropout_rate=0.2)
    return study_of(
        request, "cnn", tasks.images("digits", augment=moved), model, optax.adam(0.003), 250
    )


def shares() -> Column:
    """Describes what each stream contributes to the variance of the final accuracy."""

    def value(lanes: Lanes) -> dict:
        values = lanes.final(METRIC)
        rows = [lanes.result.lanes[place] for place in lanes.places]
        factors = {}
        for name in lanes.result.crossed:
            factors[name] = [row[f"seed_{name}"] for row in rows]
        found = stats.variance_shares(values, factors, interactions=False)
        parts = {name: part._asdict() for name, part in found.shares.items()}
        mean, sd = float(values.mean(dtype=float)), found.total**0.5
        return {"mean": mean, "sd": sd, "levels": found.levels, **parts}

    return Column("shares", value)


def components(row: dict) -> dict[str, Mapping]:
    """Gives the streams and the rest of a row, in order."""
    return {name: row["shares"][name] for name in COLOURS if name in row["shares"]}


def table(run: Run) -> list[tables.Table]:
    """Makes a table with a row a stream of each model."""
    rows = []
    for row in run.rows:
        found = row["shares"]
        for name, part in components(row).items():
            levels = found["levels"].get(name, "-")
            note = "negative, set to 0" if part["clipped"] else ""
            sd = part["variance"] ** 0.5
            cells = (f"{100 * part['share']:.3g}%", interval_of(part), sd, note)
            rows.append((TITLES[row["study"]], row["n"], found["mean"], name, levels, *cells))
    columns = ("model", "n", "mean", "stream", "seeds", "share", "95 % interval", "sd", "estimate")
    title = (
        f"Shares of the variance of the final {METRIC}\nrest: interactions of streams, and what "
        "none of them explains; sd: of the accuracy, from this alone"
    )
    return [tables.Table(title, columns, tuple(rows))]


def interval_of(part: Mapping) -> str:
    """Gives the interval of a share in percent."""
    low, high = part["interval"]
    return f"[{100 * low:.3g}%, {100 * high:.3g}%]"  # never [0%, 0%] of what is only small


def verdict(found: Mapping[str, Mapping]) -> str:
    """Says which component is surely more than half of the variance, if one is."""
    for name, part in found.items():
        if part["interval"][0] > 0.5:
            return "mostly what streams do together" if name == REST else f"mostly {name}"
    return "no stream surely has half"


def largest(run: Run) -> Finding:
    """Says of every model what each stream contributes, and whether one has most of it."""
    lines = []
    for row in run.rows:
        found = components(row)
        parts = [f"{name} {each['share']:.0%} {interval_of(each)}" for name, each in found.items()]
        lines.append(
            f"{TITLES[row['study']]}: {verdict(found)} ({', '.join(parts)}; sd "
            f"{row['shares']['sd']:.4f}, n={row['n']} lanes)."
        )
    return Finding(lines, "\n".join(lines))


def figure(run: Run):
    """Draws the shares with their intervals, a panel a model."""
    drawing, axes = plots.figure(1, len(run.rows), width=5.0, height=3.8, sharex=True)
    for axis, row in zip(axes.flat, run.rows, strict=True):
        found = components(row)
        for place, (name, part) in enumerate(found.items()):
            low, high = part["interval"]
            axis.plot([low, high], [place, place], color=COLOURS[name], linewidth=3)
            axis.plot(part["share"], place, "o", color=COLOURS[name], markersize=9)
            axis.annotate(
                f"{part['share']:.0%}",
                (part["share"], place),
                (0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=plots.FONT - 1,
            )
        labels = [f"{name} ({row['shares']['levels'].get(name, '-')})" for name in found]
        axis.set_yticks(range(len(found)), labels)
        axis.set_ylim(len(found) - 0.5, -0.8)
        axis.set_xlim(-0.06, 1.06)
        title = f"{TITLES[row['study']]}: {verdict(found)}"
        about = f"sd {row['shares']['sd']:.4f}, n={row['n']} lanes"
        plots.style(axis, f"{title}\n{about}", "share of the variance", "stream (seeds)")
    drawing.suptitle(
        "Where the variance of the final test accuracy comes from, with 95 % intervals"
    )
    return drawing


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(),
    sweep={},
    full=Size(seeds=8),
    quick=Size(seeds=3, steps=60),
    studies={"mlp": mlp, "rnn": rnn, "cnn": cnn},
    titles=TITLES,
    columns=[shares()],
    figures={"shares": figure},
    make_tables=table,
    conclusions={"largest": largest},
)
