"""How deep and how wide must an MLP be for two moons, and at which learning rate?

Protocol: 1000 points of two moons (noise 0.1) drawn anew for every seed, 70 % to train, 10 % to
choose the rate, 20 % to test; an MLP of 1 to 6 hidden layers of 2 to 32 units, He's initial
weights, 1000 steps of SGD in batches of 32, at three learning rates. Depth and width are padded and
the rate is traced, so all 90 networks are lanes of one program. A report mentions a second hidden
layer (`references.R1`) without numbers for it.

Command: python -m experiments depth_width
Time: 169 s beside other work at the default 100 seeds, 233 s of CPU time; 1000 seeds would take
half an hour.
Expected: at rate 0.3 and width 16 one hidden layer reaches 97 % after a median of 325 steps, two
after 150, three after 100; at width 2 a second layer does no good and six end at chance.
"""

import optax

from experiments.columns import accuracy, final_loss, steps_to
from experiments.drawing import heat_map
from experiments.frame import Experiment, Finding, Request, Run
from experiments.references import R1
from experiments.request import Size
from jaxdl import Study, models, plots, tables, tasks

LEVEL = 0.97
AXES = ("learning_rate", "depth", "width")
STEPS = "steps_to_97"


def study(request: Request) -> Study:
    """Builds the study: one program, unless the command line groups the sizes in another way."""
    shapes = "pad" if request.shapes == "auto" else request.shapes
    return Study(
        task=lambda hp: tasks.moons(hp.samples, hp.noise, valid_fraction=0.1),
        model=lambda hp: models.mlp(2, (hp.width,), depth=hp.depth, activation=hp.activation),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults=request.defaults,
        sweep=request.sweep,
        **{**request.study, "shapes": shapes},
    )


def rows_at(run: Run, **values) -> list[dict]:
    """Gives the rows with these values."""
    return [row for row in run.rows if {**row, **values} == row]


def maps(run: Run):
    """Draws median accuracy, and the share that reaches 97 %, over depth and width, by rate."""
    rates, depths, widths = (run.request.sweep[name] for name in AXES)
    figure, axes = plots.figure(2, len(rates), width=4.6, height=3.6)
    for column, rate in enumerate(rates):
        accuracies, reached = {}, {}
        for row in rows_at(run, learning_rate=rate):
            place = (row["depth"], row["width"])
            median, never = row["test_accuracy"]["median"], row[STEPS]["never_reached"]
            accuracies[place] = (median, f"{median:.3f}")
            reached[place] = (1 - never, f"{1 - never:.0%}\n{tables.cell(row[STEPS]['median'])}")
        heat_map(axes[0, column], accuracies, depths, widths)
        plots.style(axes[0, column], f"rate {rate:g}: median accuracy", "width", "hidden layers")
        heat_map(axes[1, column], reached, depths, widths)
        title = f"rate {rate:g}: share at {LEVEL:.0%}, median step"
        plots.style(axes[1, column], title, "width", "hidden layers")
    figure.suptitle(f"Test accuracy by depth, width and rate (n={run.seeds} seeds)")
    return figure


def median(run: Run, split: str, config: dict) -> float:
    """Gives a config's median accuracy on a split."""
    return run.result.summary(f"{split}_accuracy", config).median


def deeper(run: Run) -> Finding:
    """Says, width by width, which depth is best, and how surely it beats one hidden layer."""
    best = run.result.best("valid_accuracy", over="learning_rate")
    by_place = {(config["depth"], config["width"]): config for config in best}
    lines = []
    for width in run.request.sweep["width"]:
        own = {depth: config for (depth, of), config in by_place.items() if of == width}
        least = min(own)
        # Chosen by the validation split too: the largest of five test medians would flatter it.
        most = max(own.keys() - {least} or own, key=lambda depth: median(run, "valid", own[depth]))
        against = run.result.compare("test_accuracy", own[most], own[least])
        low, high = against.improvement_interval
        lines.append(
            f"Width {width}: median test accuracy {median(run, 'test', own[least]):.3f} at depth "
            f"{least}, {median(run, 'test', own[most]):.3f} at depth {most}; "
            f"P(depth {most} beats {least}) {against.improvement:.2f} [{low:.2f}, {high:.2f}]."
        )
    lines.append("Rates and the deeper depth are those that the validation split prefers.")
    return Finding(by_place, "\n".join(lines))


# Depth and width are padded, the rate is traced: one program for all of it.
EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R1,),
    sweep={
        "depth": [1, 2, 3, 4, 5, 6],
        "width": [2, 4, 8, 16, 32],
        "learning_rate": [0.03, 0.1, 0.3],
    },
    defaults={"samples": 1000, "noise": 0.1, "activation": "relu", "batch_size": 32},
    full=Size(seeds=100, steps=1000, eval_every=50),
    quick=Size(seeds=4, steps=100, eval_every=50, sweep={"depth": [1, 3], "width": [4, 16]}),
    studies={"": study},
    titles={"": "Depth and width on two moons."},
    columns=[accuracy(), steps_to(LEVEL), final_loss()],
    figures={"depth_width": maps},
    conclusions={"deeper": deeper},
)
