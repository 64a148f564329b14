"""Is one example a step worse than the full batch, at equal updates, examples or time?

Protocol: a student report's MLP 2-20-2 on 1000 points of two moons (noise 0.05, 80/20, drawn anew
for every seed; `references.R4`): SGD, one example a step, 45,000 steps, evaluated every 500, beside
gradient descent on the full batch (BGD), 1500 steps, evaluated every 8, so that 56 steps, which see
as many examples, are among them. Open, and so swept: the rate and the initial weights. "Plateau" is
how long the training loss of a lane stays within 1 % of its start. Both are compared, paired by
seed, after as many updates, examples, and seconds: the time of a step is measured here, the two
taking turns. --steps counts SGD's updates; BGD makes a thirtieth of them.

Command: python -m experiments sgd_vs_bgd
Time: 46 s of CPU time at --seeds 20 with 9 of its 15 configs; not measured on a quiet machine yet
Expected: at rate 0.001 from N(0, 0.0001) the plateau lasts 19,500 steps (middle 90 % of 20
seeds: 18,000 to 20,525), at rate 0.01 1500.
"""

import numpy as np

from benchmarks import timing
from experiments.columns import (
    accuracy,
    accuracy_at,
    constant,
    described,
    inside,
    plateau,
    steps_to,
)
from experiments.figures import Panel, curves
from experiments.frame import Experiment, Finding, Run
from experiments.moons import ALLOWED, in_words, moons_study
from experiments.moons_figures import called, each_of, plateau_figure
from experiments.references import R4
from experiments.request import Request, Size
from jaxdl import Study, stats

FULL = Size(seeds=1000, steps=45_000, eval_every=500)
POINTS = 800  # for training: what a step of BGD sees
RATIO = 30  # SGD's updates over BGD's, in the report
EVERY = 8  # steps of BGD
NAMES = [constant("init", lambda lanes: in_words(lanes.config)["init"])]
NUMBERS = ("test_accuracy_at_1500", "test_accuracy_at_25000", "test_accuracy", "steps_to_60")


def configs(request: Request) -> list[dict]:
    """Gives what is swept, on the report's data."""
    samples, noise = R4.moons
    data = {"samples": samples, "noise": noise}
    return [data | config for config in request.product(*request.sweep)]


def sgd(request: Request) -> Study:
    """Builds the study of one example a step."""
    return moons_study(request, configs(request), batch_size=1)


def bgd(request: Request) -> Study:
    """Builds the study of the full batch."""
    steps = max(1, (request.steps or FULL.steps or 0) // RATIO)
    return moons_study(request, configs(request), steps=steps, eval_every=min(EVERY, steps))


def step_times(run: Run) -> Finding:
    """Measures the time of a step of either, the whole machine at work on lanes of it."""
    bursts = {}
    for name, size in (("sgd", 1), ("bgd", None)):
        # The longest training that a segment can be of, evaluated at its end only.
        # Nothing is swept: the time of a step does not depend on a rate or on initial weights.
        steps, fixed = 2_000_000, {**run.request.defaults, **configs(run.request)[0]}
        size_of = {} if size is None else {"batch_size": size}
        one = run.request._replace(sweep={}, defaults=fixed)
        study = moons_study(one, [], steps=steps, eval_every=steps, **size_of)
        bursts[name] = timing.engine_burst(study)
    rates = timing.interleave(bursts, rounds=1 if run.request.quick else 5)
    times = {name: 1e6 / np.median(rate) for name, rate in rates.items()}
    ratio = rates["sgd"] / rates["bgd"]
    text = (
        f"A lane-step takes {times['sgd']:.3g} us of one example and {times['bgd']:.3g} us of "
        f"{POINTS} ({timing.device_name()}); BGD over SGD {timing.spread(ratio)} over "
        f"{len(ratio)} rounds in turns."
    )
    row = {"measured": "us a lane-step", **times, "rounds": len(ratio), "ratio": ratio}
    return Finding(float(np.median(ratio)), text, [row])


def equal_steps(run: Run) -> dict[str, tuple[int, int]]:
    """Gives after which steps of SGD and of BGD the two are compared, by what is equal."""
    of_sgd, of_bgd = (int(run.results[name].steps[-1]) for name in ("sgd", "bgd"))
    ratio = run.findings["times"]
    # Where BGD would go on longer than it is trained, both are looked at earlier.
    in_time = min(of_bgd, of_sgd / ratio)
    steps = run.results["sgd"].steps
    updates = int(steps[steps <= of_bgd].max())
    return {
        "updates": (updates, updates),
        "examples": (of_sgd, round(of_sgd / POINTS)),
        "time": (round(in_time * ratio), round(in_time)),
    }


def compare(run: Run) -> Finding:
    """Compares SGD with BGD, paired by seed, at equal updates, examples and time."""
    rows = []
    for config in run.results["sgd"].configs:
        for equal, steps in equal_steps(run).items():
            row = {**in_words(config), "equal": equal, **difference(run, config, steps)}
            # A short run has no evaluation there but the first, before any training.
            if row["sgd_step"] and row["bgd_step"]:
                rows.append(row)
    lines = []
    for row in rows:
        low, high = row["difference_interval"]
        sure, surest = row["improvement_interval"]
        name = described({name: row[name] for name in run.request.sweep if name != "reduction"})
        lines.append(
            f"{name}, equal {row['equal']} (SGD {row['sgd_step']}, BGD {row['bgd_step']} steps): "
            f"SGD - BGD {row['difference']:+.3f} [{low:+.3f}, {high:+.3f}], P(SGD better) "
            f"{row['improvement']:.2f} [{sure:.2f}, {surest:.2f}]"
        )
    head = f"Test accuracy, paired by seed (n={run.seeds}), with 95 % intervals:"
    return Finding(rows, "" if run.request.quick else "\n".join([head, *lines]), rows)


def difference(run: Run, config: dict, steps: tuple[int, int]) -> dict:
    """Compares the test accuracies of a config after so many steps of SGD and of BGD."""
    values, lost, evaluated = [], [], []
    for name, step in zip(("sgd", "bgd"), steps, strict=True):
        result = run.results[name]
        rows = result.rows(config)  # by seed, in both studies
        place = int(np.argmin(np.abs(result.steps - step)))
        values.append(result.metric("test_accuracy")[rows, place])
        lost.append(result.lost(rows)[:, place])
        evaluated.append(int(result.steps[place]))
    compared = stats.compare(values[0], values[1], lost[0], lost[1], higher_is_better=True)
    return {"sgd_step": evaluated[0], "bgd_step": evaluated[1], **compared._asdict()}


def likely(run: Run) -> Finding:
    """Says under which initial weights and rates R4's account of SGD is likely."""
    lines = []
    for row in run.rows_of("sgd"):
        hits = [name for name in NUMBERS if name in row and inside(row[name])]
        low, high = row["plateau"]["quantiles"]
        lines.append(
            f"rate {row['learning_rate']:g}, initial weights {row['init']}: {len(hits)} of "
            f"{len(NUMBERS)} numbers likely; plateau {row['plateau']['median']:g} "
            f"[{low:g}, {high:g}] steps (middle 90 %), accuracy in the end "
            f"{row['test_accuracy']['median']:.3f}"
        )
    return Finding(lines, "R4's SGD, near 50 % until 25,000 steps:\n" + "\n".join(lines))


def headline(run: Run) -> str:
    """Says over which range the medians of the final accuracies reach."""
    medians = [row["test_accuracy"]["median"] for row in run.rows]
    name = run.name.upper()
    return f"{name}: final median test accuracy {min(medians):.3g} to {max(medians):.3g}, by start"


def by_rate(run: Run) -> dict[str, list[dict]]:
    """Groups configs by rate, one row of panels each."""
    groups: dict[str, list[dict]] = {}
    for config in run.result.configs:
        groups.setdefault(f"rate {config['learning_rate']:g}", []).append(config)
    return groups


PANELS = curves(
    Panel("test_accuracy", "test accuracy, fraction", limits=(0.4, 1.01)),
    Panel("train_loss", "train loss, nats a point", False, log=True),
    groups=by_rate,
    words=called,
    headline=headline,
)

EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R4,),
    sweep={"learning_rate": [0.001, 0.01, 0.1], "init": ["he", "xavier", 1.0, 0.01, 0.0001]},
    defaults={"width": 20, "layers": 1, "bias": True, "reduction": "mean"},
    allowed=ALLOWED,
    full=FULL,
    quick=Size(
        seeds=8,
        steps=3000,
        eval_every=500,
        sweep={"learning_rate": [0.01, 0.1], "init": ["he", 0.01]},
    ),
    studies={"sgd": sgd, "bgd": bgd},
    titles={"sgd": "One example a step.", "bgd": "The full batch."},
    columns={
        "sgd": [
            *NAMES,
            accuracy_at(1500, published=R4.sgd_early),
            accuracy_at(25_000, published=R4.sgd_early),
            accuracy(published=R4.sgd_accuracy),
            steps_to(0.6, published=R4.sgd_leaves),
            plateau(published=R4.sgd_leaves),
        ],
        "bgd": [*NAMES, accuracy(published=R4.mlp_accuracy), plateau(published=R4.plateau)],
    },
    figures={
        "curves_": each_of({"sgd": "sgd", "bgd": "bgd"}, PANELS),
        "plateau": plateau_figure(R4.sgd_leaves, ("sgd",)),
    },
    measurements={"times": step_times, "compared": compare},
    conclusions={"likely": likely},
)
