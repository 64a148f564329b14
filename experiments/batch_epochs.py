"""Is a batch of 200 the best of 1, 10, 50, 200 and 500, and do smaller ones oscillate more?

Protocol: a student report's MLP 2-20-2 on 1000 points of two moons without noise, 80/20, drawn anew
for every seed; SGD at rate 0.01 over shuffled passes (`references.R2`). Its steps may be read as
updates or as epochs, so all sizes make as many updates (1500, evaluated every 10) and, beside that,
as many epochs (100, evaluated after each; --epochs). The gradient is summed or averaged over the
batch; of one example both are the same, and so are its two rows. Oscillation: the standard
deviation of a lane's test accuracy over the last fifth of its evaluations, and the range of the
losses of its batches there. "200 is best" is asked as the probability that 200 beats another size
on the same seed.
The report's command
  --dnn_hidden_units 20 --learning_rate 0.01 --max_steps 1500 --eval_freq 10 --sgd True
    --batch_size 1
is, over a distribution of seeds,
  python -m experiments batch_epochs --steps 1500 --eval-every 10 --sweep batch_size=1
    --sweep learning_rate=0.01 --sweep width=20

Command: python -m experiments batch_epochs
Time: 221 s beside other work, 206 s of CPU time: two minutes of 2 quiet cores.
Expected: 200 is surely better in 9 of 16 comparisons at equal updates and surely worse in 1; in 7
and 6 at equal epochs (n=1000 seeds).
"""

import itertools
from types import SimpleNamespace

import numpy as np

from experiments.columns import Lanes, accuracy, described, lane_swing, oscillation
from experiments.figures import Panel, curves
from experiments.frame import Drawer, Experiment, Finding, Run
from experiments.moons import ALLOWED, moons_study
from experiments.moons_figures import called, within
from experiments.references import R2
from experiments.request import Request, Size
from jaxdl import Study, plots, stats

POINTS = 800  # for training
STUDIES = {"updates": "equal updates", "epochs": "equal epochs"}
# Of what 200 is best at: name -> its metric.
MEASURES = {"test accuracy": "test_accuracy", "test loss": "test_loss"}


def passes(hp) -> int:
    """Gives the updates of an epoch; its last batch may be short."""
    return -(-POINTS // hp.batch_size)


def configs(request: Request) -> list[dict]:
    """Gives what is swept, on the report's data."""
    samples, noise = R2.moons
    data = {"samples": samples, "noise": noise}
    return [data | config for config in request.product(*request.sweep)]


def updates(request: Request) -> Study:
    """Builds the study in which all batch sizes make as many updates."""
    return moons_study(request, configs(request), sampling="epoch")


def epochs(request: Request) -> Study:
    """Builds the study in which all batch sizes see all points as often."""
    count = request.defaults["epochs"]
    return moons_study(
        request,
        configs(request),
        sampling="epoch",
        steps=lambda hp: count * passes(hp),
        eval_every=passes,
    )


def best_size(run: Run) -> Finding:
    """Compares R2's best batch size with every other, paired by seed."""
    rows, lines = [], []
    for study, result in run.results.items():
        for config in result.configs:
            best = {**config, "batch_size": R2.best_batch_size}
            # The pair differs in the batch size alone, so that every seed is its own control.
            if config == best or best not in result.configs:
                continue
            for measure, metric in MEASURES.items():
                row = beats(result, metric, best, config)
                rows.append({"study": study, "measure": measure, **row})
    for row in rows:
        low, high = row["improvement_interval"]
        lines.append(
            f"{STUDIES[row['study']]}, {row['reduction']}, {row['measure']}: P(200 beats "
            f"{row['other']}) = {row['improvement']:.2f} [{low:.2f}, {high:.2f}], n={row['n']}"
        )
    # The figure is drawn of a quick run too; in words it would be a conclusion.
    return Finding(rows, "" if run.request.quick else "\n".join(lines), rows)


def beats(result, metric: str, best: dict, other: dict) -> dict:
    """Compares two batch sizes on the same seeds."""
    compared = result.compare(metric, best, other)
    named = {name: other[name] for name in ("learning_rate", "reduction")}
    return {"best": best["batch_size"], "other": other["batch_size"], **named, **compared._asdict()}


def steadier(run: Run) -> Finding:
    """Asks whether every batch size oscillates less than the next smaller one, paired by seed."""
    rows = []
    for study, result in run.results.items():
        groups: dict[str, list[dict]] = {}
        for config in result.configs:
            others = {name: each for name, each in config.items() if name != "batch_size"}
            groups.setdefault(described(others), []).append(config)
        for group in groups.values():
            ordered = sorted(group, key=lambda config: config["batch_size"])
            for small, large in itertools.pairwise(ordered):
                rows.append({"study": study, **swings(run, result, small, large)})
    lines = []
    for row in rows:
        low, high = row["improvement_interval"]
        lines.append(
            f"{STUDIES[row['study']]}, {row['reduction']}: P({row['large']} swings less than "
            f"{row['small']}) = {row['improvement']:.2f} [{low:.2f}, {high:.2f}]"
        )
    return Finding(rows, "" if run.request.quick else "\n".join(lines), rows)


def swings(run: Run, result, small: dict, large: dict) -> dict:
    """Compares how much the test accuracy of two batch sizes swings, on the same seeds."""
    values, lost = [], []
    for config in (large, small):
        lanes = Lanes(result, config, run.request.defaults, result.rows(config))
        values.append(lane_swing(lanes))
        lost.append(lanes.diverged)
    compared = stats.compare(values[0], values[1], lost[0], lost[1], higher_is_better=False)
    named = {name: small[name] for name in ("learning_rate", "reduction")}
    sizes = {"small": small["batch_size"], "large": large["batch_size"]}
    return {**sizes, **named, **compared._asdict()}


def verdict(run: Run) -> Finding:
    """Says in how many comparisons 200 surely wins, and in how many it surely loses."""
    lines = []
    for study, words in STUDIES.items():
        rows = [row for row in run.findings["best"] if row["study"] == study]
        # By intervals, not by estimates: of many comparisons some lie beyond 1/2 by chance.
        wins = sum(row["improvement_interval"][0] > 0.5 for row in rows)
        losses = sum(row["improvement_interval"][1] < 0.5 for row in rows)
        lines.append(
            f"At {words} 200 is surely better (95 % interval above 1/2) in {wins} of {len(rows)} "
            f"comparisons and surely worse in {losses}."
        )
    return Finding(text=" ".join(lines))


def by_reduction(run: Run) -> dict[str, list[dict]]:
    """Groups configs by rate and reduction, one row of panels each."""
    groups: dict[str, list[dict]] = {}
    for config in run.result.configs:
        title = f"rate {config['learning_rate']:g}, {config['reduction']}"
        groups.setdefault(title, []).append(config)
    return groups


def headline(run: Run) -> str:
    """Says how much the smallest and the largest batch swing."""
    rows = sorted(run.rows, key=lambda row: row["batch_size"])
    swing = [row["oscillation"]["accuracy_sd"]["median"] for row in (rows[0], rows[-1])]
    sizes = rows[0]["batch_size"], rows[-1]["batch_size"]
    return (
        f"{STUDIES[run.name].capitalize()}: test accuracy swings by {swing[0]:.2g} at batch size "
        f"{sizes[0]}, {swing[1]:.2g} at {sizes[1]}"
    )


def steps_of_epoch(config: dict) -> int:
    """Gives the updates of an epoch of a config."""
    return passes(SimpleNamespace(**config))


def curves_of(study: str, **axis) -> Drawer:
    """Makes a drawer of a study's curves; None where it was not run."""
    draw = curves(
        Panel("test_accuracy", "test accuracy, fraction", limits=(0.6, 1.01)),
        Panel("batch_loss_max", "largest batch loss, nats", False, log=True, recorded=True),
        groups=by_reduction,
        words=called,
        headline=headline,
        **axis,
    )
    return lambda run: draw(within(run, study)) if study in run.results else None


def chances(run: Run):
    """Draws the probability that R2's best batch size beats each other one, a panel a study."""
    present = [name for name in STUDIES if name in run.results]
    figure, axes = plots.figure(1, len(present), 6.5, 4.2, sharey=True)
    for axis, study in zip(axes[0], present, strict=True):
        draw_chances(axis, [row for row in run.findings["best"] if row["study"] == study])
        plots.style(axis, STUDIES[study], "other batch size, examples", "P(200 beats it)")
    # Below both panels, whose intervals leave no place free; the panels have the same entries.
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=plots.FONT - 3)
    seeds = within(run, present[0]).seeds
    figure.suptitle(
        f"How surely a batch of 200 beats another size, paired by seed\nn={seeds} seeds, 95 % "
        "intervals; 1/2: no difference",
        fontsize=plots.FONT + 1,
    )
    return figure


def draw_chances(axis, rows: list[dict]):
    """Draws one panel of probabilities with their intervals."""
    sizes = sorted({row["other"] for row in rows})
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(f"{row['measure']}, {row['reduction']}", []).append(row)
    for number, (name, each) in enumerate(groups.items()):
        # Side by side: intervals of several measures would lie over each other.
        shift = 0.12 * (number - (len(groups) - 1) / 2)
        places = [sizes.index(row["other"]) + shift for row in each]
        middle = np.array([row["improvement"] for row in each])
        ends = np.array([row["improvement_interval"] for row in each]).T
        spread = np.abs(ends - middle)
        colour = plots.PALETTE[number % len(plots.PALETTE)]
        axis.errorbar(places, middle, spread, fmt="os^D"[number % 4], color=colour, label=name)
    axis.axhline(0.5, color="black", linewidth=1, linestyle=":")
    axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axis.set_ylim(-0.03, 1.03)


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R2,),
    sweep={
        "batch_size": R2.batch_sizes,
        "reduction": ["mean", "sum"],
        "learning_rate": [0.01],
    },
    defaults={"width": 20, "layers": 1, "bias": True, "init": "he", "epochs": 100},
    allowed=ALLOWED,
    full=Size(seeds=1000, steps=1500, eval_every=10),
    quick=Size(
        seeds=8,
        steps=100,
        eval_every=10,
        sweep={"batch_size": [50, 200], "reduction": ["mean"]},
        defaults={"epochs": 10},
    ),
    studies={"updates": updates, "epochs": epochs},
    titles={name: f"Batch sizes at {words}." for name, words in STUDIES.items()},
    columns=[accuracy(), oscillation()],
    figures={
        "curves_updates": curves_of("updates"),
        # Over epochs: over steps the large batches' curves would be too short to see.
        "curves_epochs": curves_of("epochs", x="epoch", unit=steps_of_epoch),
        "best": chances,
    },
    measurements={"best": best_size, "steadier": steadier},
    conclusions={"verdict": verdict},
)
