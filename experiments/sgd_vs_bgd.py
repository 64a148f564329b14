"""Is one example a step worse than the full batch, at equal updates, examples or time?

Protocol: a student report's MLP 2-20-2 on 1000 points of two moons (noise 0.05, 80/20, drawn anew
for every seed; `references.R4`): SGD, one example a step, 45,000 steps, evaluated every 500, beside
gradient descent on the full batch (BGD), 1500 steps, evaluated every 8, so that 56 steps, which see
as many examples, are among them. Open, and so swept: the rate, the initial weights (He's, normal
with sd 0.001 or 0.0001), and for BGD the gradient averaged or summed (of one example both are the
same). R4 tells of SGD: near 50 % after 1500 steps and until 25,000, about 80 % after 45,000; the
share of the seeds whose own curve does (within 0.1, 5000 steps and 0.05) is the answer. A lane
leaves "near 50 %" with its last evaluation below 60 %; "plateau" is how long its training loss
stays within 1 % of its start. Both are compared, paired by seed (BGD has 100), after as many
updates, examples, and seconds: the time of a step is measured here, the two taking turns. --steps
counts SGD's updates; BGD makes a thirtieth of them.

Command: python -m experiments sgd_vs_bgd
Time: 190 s beside other work, 204 s of CPU time: two minutes of 2 quiet cores.
Expected: R4's account is that of 73 % of the seeds at rate 0.0005 from N(0, 0.001), where all its
four numbers are likely at once, and of none from He's weights or at rate 0.01.
"""

from collections.abc import Callable

import numpy as np

from benchmarks import timing
from experiments.columns import (
    Column,
    Lanes,
    accuracy,
    accuracy_at,
    constant,
    described,
    inside,
    last_below,
    plateau,
    share,
    stays_below,
    steps_to,
    summed_loss,
)
from experiments.figures import Panel, curves
from experiments.frame import Drawer, Experiment, Finding, Run
from experiments.moons import ALLOWED, in_words, moons_study
from experiments.moons_figures import called, plateau_figure, within
from experiments.references import R4
from experiments.request import Request, Size
from jaxdl import Study, stats, tables

FULL = Size(seeds=1000, steps=45_000, eval_every=500)
POINTS = 800  # for training: what a step of BGD sees
RATIO = 30  # SGD's updates over BGD's, in the report
EVERY = 8  # steps of BGD
BGD_SEEDS = 100  # at most: a run of BGD takes as long as two of SGD, and it is run twice
NAMES = [constant("init", lambda lanes: in_words(lanes.config)["init"])]
NUMBERS = (
    "test_accuracy_at_1500",
    "test_accuracy_at_25000",
    "test_accuracy",
    "test_accuracy_below_60",
)
# What R4 tells of SGD: step -> its accuracy there and how far from it is near. 200 test points
# alone make a share of them uncertain by 0.035 (one sd). Between them it leaves "near 50 %".
ACCOUNT = {1500: (0.5, 0.1), 45_000: (0.8, 0.05)}
LEVEL = 0.6  # below it is near 50 %
LEAVES = (25_000, 5000)  # the last step below it, and how far from that is about then


def configs(request: Request, *without: str) -> list[dict]:
    """Gives what is swept, on the report's data."""
    samples, noise = R4.moons
    data = {"samples": samples, "noise": noise}
    names = [name for name in request.sweep if name not in without]
    return [data | config for config in request.product(*names)]


def sgd(request: Request) -> Study:
    """Builds the study of one example a step, of which sum and mean are the same."""
    return moons_study(of_one(request), configs(request, "reduction"), batch_size=1)


def of_one(request: Request) -> Request:
    """Gives the request with the sum for a reduction, swept or not."""
    sweep = {name: values for name, values in request.sweep.items() if name != "reduction"}
    return request._replace(sweep=sweep, defaults={**request.defaults, "reduction": "sum"})


def bgd(request: Request) -> Study:
    """Builds the study of the full batch."""
    steps = max(1, (request.steps or FULL.steps or 0) // RATIO)
    evaluated, seeds = min(EVERY, steps), min(request.seeds, BGD_SEEDS)
    return moons_study(request, configs(request), steps=steps, eval_every=evaluated, seeds=seeds)


def as_told(curves: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Tells which curves of the test accuracy are what R4 tells: near 50 %, leaving, the end.

    Args:
      curves: (lanes, evaluations).
      steps: of the evaluations, (evaluations,).
    """
    step, about = LEAVES
    told = np.abs(last_below(curves, steps, LEVEL) - step) <= about
    for step, (middle, near) in ACCOUNT.items():
        at = curves[:, list(steps).index(step)]
        told &= np.abs(at - middle) <= near + 1e-6  # 0.6 in float32 is near 0.5 too
    return told


def account() -> Column:
    """Gives the share of seeds whose own curve is what R4 tells."""

    def value(lanes: Lanes) -> dict:
        return share(as_told(lanes.curves("test_accuracy"), lanes.steps) & ~lanes.diverged)

    cells = {
        "as R4 tells": lambda entry, row: f"{entry['share']:.1%}",
        "95 % interval": lambda entry, row: entry["interval"],
    }
    steps = ", ".join(
        f"{middle:g} +- {near:g} at {step}" for step, (middle, near) in ACCOUNT.items()
    )
    left = f"below {LEVEL:.0%} until {LEAVES[0]} +- {LEAVES[1]}"
    return Column(
        "account",
        value,
        cells,
        f"as R4 tells: share of seeds with a test accuracy of {steps}, {left}",
        lambda lanes: set(ACCOUNT) <= set(lanes.steps.tolist()),
    )


def step_times(run: Run) -> Finding:
    """Measures the time of a step of either, the whole machine at work on lanes of it."""
    bursts = {}
    for name, size in (("sgd", 1), ("bgd", None)):
        # The longest training that a segment can be of, evaluated at its end only.
        # Nothing is swept: the time of a step does not depend on a rate or on initial weights.
        steps, fixed = 2_000_000, configs(run.request)[0]
        size_of = {} if size is None else {"batch_size": size}
        one = run.request._replace(sweep={}, defaults={**run.request.defaults, **fixed})
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
    for config in run.results["bgd"].configs:
        for equal, steps in equal_steps(run).items():
            row = {**in_words(config), "equal": equal, **difference(run, config, steps)}
            # A short run has no evaluation there but the first, before any training.
            if row["sgd_step"] and row["bgd_step"]:
                rows.append(row)
    # The figures are drawn of a quick run too; in words it would be a conclusion.
    return Finding(rows, "" if run.request.quick else compared_table(run, rows), rows)


def compared_table(run: Run, rows: list[dict]) -> str:
    """Tabulates the comparisons: a row a config and what is equal; nothing of none."""
    if not rows:
        return "Too few steps to compare SGD with BGD: neither is evaluated after any."
    names = [name for name in run.request.sweep if name in rows[0]]
    title = (
        f"Test accuracy of SGD less that of BGD, paired by seed (n={rows[0]['n']}), 95 % intervals."
    )
    measured = ("difference", "difference_interval", "improvement", "improvement_interval")
    body = []
    for row in rows:
        steps = f"{row['sgd_step']}, {row['bgd_step']}"
        cells = [row[name] for name in (*names, "equal")]
        body.append((*cells, steps, *(row[name] for name in measured)))
    headings = (*names, "equal", "steps", "SGD - BGD", "interval", "P(SGD better)", "interval")
    spoken_headings = tuple(name.replace("_", " ") for name in headings)
    return str(tables.Table(title, spoken_headings, tuple(body)))


def difference(run: Run, config: dict, steps: tuple[int, int]) -> dict:
    """Compares the test accuracies of a config after so many steps of SGD and of BGD."""
    # Of one example sum and mean are the same.
    single = {name: value for name, value in config.items() if name != "reduction"}
    values, lost, evaluated = [], [], []
    count = len(run.results["bgd"].rows(config))  # of SGD there may be more seeds
    for name, own, step in (("sgd", single, steps[0]), ("bgd", config, steps[1])):
        result = run.results[name]
        rows = result.rows(own)[:count]  # by seed, the same ones in both studies
        place = int(np.argmin(np.abs(result.steps - step)))
        values.append(result.metric("test_accuracy")[rows, place])
        lost.append(result.lost(rows)[:, place])
        evaluated.append(int(result.steps[place]))
    compared = stats.compare(values[0], values[1], lost[0], lost[1], higher_is_better=True)
    return {"sgd_step": evaluated[0], "bgd_step": evaluated[1], **compared._asdict()}


def likely(run: Run) -> Finding:
    """Says under which initial weights and rates R4's account of SGD is likely."""
    rows = run.rows_of("sgd")
    lines = ["R4's SGD, near 50 % until 25,000 steps, then about 80 %:"]
    lines += [told(run, row) for row in rows]
    if all("account" in row for row in rows):
        lines.append(f"Answer: {answer(run, rows)}")
    return Finding(rows, "\n".join(lines))


def told(run: Run, row: dict) -> str:
    """Says how many of R4's numbers are likely under a config, and when its lanes leave."""
    low, high = row["test_accuracy_below_60"]["quantiles"]
    left = f"{row['test_accuracy_below_60']['median']:g} [{low:g}, {high:g}]"
    return (
        f"{start_of(run, row)}: {hits(row)} of {len(NUMBERS)} numbers likely; below 60 % until "
        f"{left} steps (middle 90 % of n={row['n']}), in the end "
        f"{row['test_accuracy']['median']:.3f}"
    )


def hits(row: dict) -> int:
    """Counts R4's numbers that lie within the middle 95 % of a row's seeds."""
    return sum(bool(inside(row[name])) for name in NUMBERS if name in row)


def start_of(run: Run, row: dict) -> str:
    """Names what is swept of SGD: the rate, the initial weights."""
    return described({name: row[name] for name in run.request.sweep if name != "reduction"})


def answer(run: Run, rows: list[dict]) -> str:
    """Answers in one sentence: under which start R4's account is common, and who wins there."""
    best = max(rows, key=lambda row: row["account"]["share"])
    low, high = best["account"]["interval"]
    if not best["account"]["share"]:
        # Of as many seeds each: one interval holds for every start.
        return (
            f"R4's account is that of no seed under any of {len(rows)} starts (at most "
            f"{high:.1%} each, 95 % interval, n={best['n']})."
        )
    never = sum(row["account"]["share"] == 0 for row in rows)
    alike = [start_of(run, row) for row in rows if hits(row) == len(NUMBERS)]
    return (
        f"R4's account is that of {best['account']['share']:.1%} [{low:.1%}, {high:.1%}] of the "
        f"seeds at {start_of(run, best)} (n={best['n']}) and of no seed under {never} of "
        f"{len(rows)} starts; all of its {len(NUMBERS)} numbers are likely at once under "
        f"{'; '.join(alike) or 'no start'}{beaten(run, best)}."
    )


def beaten(run: Run, best: dict) -> str:
    """Says how surely SGD beats the summed full batch, which is R4's, under one start."""
    same = {name: best[name] for name in run.request.sweep if name != "reduction"}
    parts = []
    for row in run.findings["compared"]:
        if {**row, **same, "reduction": "sum"} == row:
            low, high = row["improvement_interval"]
            parts.append(
                f"{row['improvement']:.2f} [{low:.2f}, {high:.2f}] at equal {row['equal']}"
            )
    if not parts:
        return ""
    return f"; P(SGD beats the summed full batch) at {start_of(run, best)}: {', '.join(parts)}"


def by_rate(reduction: str | None = None) -> Callable[[Run], dict[str, list[dict]]]:
    """Makes what groups the configs of a reduction, of which SGD has none, by rate."""

    def grouped(run: Run) -> dict[str, list[dict]]:
        groups: dict[str, list[dict]] = {}
        for config in run.result.configs:
            if config.get("reduction") == reduction:
                groups.setdefault(f"rate {config['learning_rate']:g}", []).append(config)
        return groups

    return grouped


def all_curves(run: Run) -> dict:
    """Draws the curves of SGD, and of BGD by reduction: six in a panel would hide each other."""
    drawn = {"sgd": curves_of(by_rate())(within(run, "sgd"))}
    for reduction in run.request.sweep["reduction"]:
        draw = curves_of(by_rate(reduction), f", {reduction}")
        drawn[f"bgd_{reduction}"] = draw(within(run, "bgd"))
    return drawn


def curves_of(groups: Callable[[Run], dict[str, list[dict]]], which: str = "") -> Drawer:
    """Makes a drawer of accuracy and loss, a row of panels a rate."""

    def headline(run: Run) -> str:
        shown = [config for row in groups(run).values() for config in row]
        finals = [run.result.summary("test_accuracy", config).median for config in shown]
        ends = f"{min(finals):.3g} to {max(finals):.3g}"
        return f"{run.name.upper()}{which}: final median test accuracy {ends}, by start"

    return curves(
        Panel("test_accuracy", "test accuracy, fraction", limits=(0.4, 1.01)),
        Panel("train_loss", "train loss, nats a point", False, log=True),
        groups=groups,
        words=called,
        headline=headline,
    )


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R4,),
    sweep={
        "learning_rate": [0.0005, 0.0007, 0.001, 0.01],
        "init": ["he", 0.001, 0.0001],
        "reduction": ["mean", "sum"],
    },
    defaults={"width": 20, "layers": 1, "bias": True},
    allowed=ALLOWED,
    full=FULL,
    quick=Size(
        seeds=8,
        steps=3000,
        eval_every=500,
        sweep={"learning_rate": [0.01, 0.1], "init": ["he", 0.01], "reduction": ["mean"]},
    ),
    studies={"sgd": sgd, "bgd": bgd},
    titles={
        "sgd": "One example a step.",
        "bgd": "The full batch, its gradient averaged or summed.",
    },
    columns={
        "sgd": [
            *NAMES,
            account(),
            accuracy_at(1500, published=R4.sgd_early),
            accuracy_at(25_000, published=R4.sgd_early),
            accuracy(published=R4.sgd_accuracy),
            steps_to(LEVEL, published=R4.sgd_leaves),
            stays_below(LEVEL, published=R4.sgd_leaves),
            plateau(published=R4.sgd_leaves),
        ],
        "bgd": [
            *NAMES,
            accuracy(published=R4.mlp_accuracy),
            *summed_loss(start=R4.start_loss, end=R4.final_loss),
            plateau(published=R4.plateau),
        ],
    },
    figures={
        "curves_": all_curves,
        "plateau": plateau_figure(R4.sgd_leaves, ("sgd",)),
    },
    measurements={"times": step_times, "compared": compare},
    conclusions={"likely": likely},
)
