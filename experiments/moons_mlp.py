"""Which of what three reports leave open makes their MLPs' numbers on two moons likely?

Protocol: three student reports' MLPs 2-20-2 with ReLU under gradient descent on the full batch,
1500 steps, an evaluation every 10, data drawn anew for every seed, 80/20: R1 (500 points, noise
0.1), R2 (1000, none), R4 (1000, 0.05) (`references.R1`, `R2`, `R4`). Open, and so swept: the rate,
the gradient summed or averaged over the batch, the initial weights (He, Xavier, or normal with sd
1, 0.01, 0.0001), one or two hidden layers of 20, biases trained or left at zero: 80 variants a
report with 8 seeds each, and those in which most numbers are likely with all seeds. "Settles" is
the first step from which a curve stays within 1 % of its last value, "plateau" the steps for which
the loss stays within 1 % of its first; both are of every lane, to 10 steps. Losses summed over the
training points: 554 = 800 ln 2.

Command: python -m experiments moons_mlp
Time: 177 s beside other work, 222 s of CPU time: two minutes of 2 quiet cores.
Expected: R1's three numbers are likely at once under 6 of 80 variants, R2's two under 23, all of
them summed, R4's four under 1, summed at rate 0.01, two layers without biases (n=8 seeds each).
"""

from experiments.columns import (
    accuracy,
    accuracy_at,
    constant,
    described,
    inside,
    plateau,
    settles,
    spoken,
    steps_to,
    summed_loss,
)
from experiments.figures import Panel, curves
from experiments.frame import Experiment, Finding, Run
from experiments.moons import ALLOWED, in_words, moons_study
from experiments.moons_figures import (
    called,
    data_figure,
    each_of,
    plateau_figure,
    regions_of_two,
)
from experiments.references import R1, R2, R4
from experiments.request import Request, Size

VARIANT_SEEDS = 8
DATA = {"R1": R1.moons, "R2": R2.moons, "R4": R4.moons}
REPORTS = {"R1": R1, "R2": R2, "R4": R4}
SHOWN = 6  # variants that a sentence names
# With all seeds: where most of a report's numbers are likely among the seeds of each variant.
HE_SUM = {"init": "he", "learning_rate": 0.01, "reduction": "sum"}
SMALL = {"init": 0.01, "learning_rate": 0.1, "reduction": "mean"}
LIKELY = {"R1": [HE_SUM], "R2": [HE_SUM, SMALL], "R4": [SMALL, {**SMALL, "learning_rate": 0.01}]}
OPEN = ("init", "learning_rate", "reduction", "layers", "bias")
NAMES = [
    constant("init", lambda lanes: in_words(lanes.config)["init"]),
    constant("bias", lambda lanes: in_words(lanes.config)["bias"]),
]
COLUMNS = {
    "R1": [
        accuracy(published=R1.mlp_accuracy),
        accuracy_at(1000, published=R1.mlp_accuracy),
        steps_to(1.0, metric="train_accuracy", published=R1.mlp_perfect),
    ],
    "R2": [
        accuracy(),
        settles("test_accuracy", published=R2.mlp_settles),
        settles("train_loss", published=R2.mlp_settles),
    ],
    "R4": [
        accuracy(published=R4.mlp_accuracy),
        *summed_loss(start=R4.start_loss, end=R4.final_loss),
        plateau(published=R4.plateau),
    ],
}


def variants(report: str, request: Request) -> list[dict]:
    """Gives all variants of a report's MLP."""
    samples, noise = DATA[report]
    names = [name for name in request.sweep if name != "report"]
    data = {"samples": samples, "noise": noise}
    return [data | variant for variant in request.product(*names)]


def likely(report: str, request: Request) -> list[dict]:
    """Gives the variants that are run with all seeds, or the first that the command line leaves."""
    every = variants(report, request)
    # What the command line rules out is not run behind its back.
    usual = {"layers": 1, "bias": True}
    wanted = [{**usual, **values} for values in LIKELY[report]]
    present = [each for each in every if any({**each, **values} == each for values in wanted)]
    return present or every[:1]


def build(report: str, which):
    """Makes what builds a study of a report's MLP; None where the report is not asked for."""

    def study(request: Request):
        if report not in request.sweep["report"]:
            return None
        # Eighty variants with all seeds would take an hour; few seeds tell which are out of reach.
        few = min(request.seeds, VARIANT_SEEDS)
        seeds = few if which is variants else request.seeds
        return moons_study(request, which(report, request), seeds=seeds)

    return study


def judge(run: Run) -> Finding:
    """Tells for every published number which variants make it likely, and how many rule it out."""
    rows, lines = [], []
    for report, columns in COLUMNS.items():
        variants = run.rows_of(f"{report}_variants")
        for name in [column.name for column in columns]:
            judged = [row for row in variants if row.get(name, {}).get("published") is not None]
            if not judged:
                continue
            row = judgement(report, name, judged)
            rows.append(row)
            lines.append(sentence(row))
    return Finding(rows, "\n".join(lines), rows)


def judgement(report: str, name: str, judged: list[dict]) -> dict:
    """Sorts variants by whether a number lies among their seeds."""
    likely, ruled_out = [], 0
    for row in judged:
        place = row[name]["published_percentile"]
        if inside(row[name]):
            likely.append({open_: row[open_] for open_ in OPEN})
        # Beyond every seed: of 8 seeds that rules out what one in 8 would reach, no more.
        ruled_out += place in (0.0, 100.0)
    return {
        "report": report,
        "number": name,
        "published": judged[0][name]["published"],
        "n": judged[0]["n"],
        "variants": len(judged),
        "likely": likely,
        "impossible": ruled_out,
    }


def sentence(row: dict) -> str:
    """Says what a judgement is; of few variants, which."""
    number = row["number"].replace("_", " ")
    head = f"{row['report']}'s {number} {row['published']:g} (n={row['n']} seeds a variant)"
    of = f"likely under {len(row['likely'])} of {row['variants']} variants"
    named = ""
    if 0 < len(row["likely"]) <= SHOWN:
        named = f" ({'; '.join(described(each) for each in row['likely'])})"
    return f"{head}: {of}{named}, beyond every seed of {row['impossible']}."


def answer(run: Run) -> Finding:
    """Says under which variant most numbers of each report are likely, and what they are there."""
    lines = []
    for report in COLUMNS:
        rows = [row for row in run.findings["judged"] if row["report"] == report]
        variants = [variant for row in rows for variant in row["likely"]]
        if not variants:
            continue
        most = max(map(variants.count, variants))
        best = [variant for variant in variants if variants.count(variant) == most]
        unlike = [each for place, each in enumerate(best) if each not in best[:place]]
        lines.append(
            f"{report}: {most} of its {len(rows)} numbers are likely at once, under {len(unlike)} "
            f"of {rows[0]['variants']} variants: {together(unlike)}. {ends(run, report)}"
        )
    return Finding(lines, "\n".join(lines))


def together(variants: list[dict]) -> str:
    """Describes some variants by the values that occur among them."""
    parts = []
    for name in OPEN:
        values = dict.fromkeys(variant[name] for variant in variants)
        parts.append(f"{spoken(name)} {' or '.join(map(str, values))}")
    return ", ".join(parts)


def ends(run: Run, report: str) -> str:
    """Says what test accuracy the lanes with all seeds end at."""
    parts = []
    for row in run.rows_of(report):
        entry = row["test_accuracy"]
        low, high = entry["median_interval"]
        parts.append(
            f"{row['init']}, rate {row['learning_rate']:g}, {row['reduction']}: "
            f"median {entry['median']:.3f} [{low:.3f}, {high:.3f}], n={row['n']}"
        )
    return f"Test accuracy there: {'; '.join(parts)}."


def headline(run: Run) -> str:
    """Says where the shown curves end."""
    finals = [row["test_accuracy"]["median"] for row in run.rows]
    ends = dict.fromkeys(f"{final:.3g}" for final in (min(finals), max(finals)))
    return f"{run.name}: the median test accuracy ends at {' to '.join(ends)}"


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=tuple(REPORTS.values()),
    sweep={
        "report": list(REPORTS),
        "learning_rate": [0.1, 0.01],
        "reduction": ["mean", "sum"],
        "init": ["he", "xavier", 1.0, 0.01, 0.0001],
        "layers": [1, 2],
        "bias": [True, False],
    },
    defaults={"width": 20},
    allowed={"report": REPORTS, **ALLOWED},
    full=Size(seeds=1000, steps=1500, eval_every=10),
    quick=Size(
        seeds=8,
        steps=200,
        eval_every=10,
        sweep={"reduction": ["mean"], "layers": [1], "init": ["he", 0.01]},
    ),
    studies={
        **{report: build(report, likely) for report in REPORTS},
        **{f"{report}_variants": build(report, variants) for report in REPORTS},
    },
    titles={
        **{report: f"{report}'s MLP where most of its numbers are likely." for report in REPORTS},
        **{f"{report}_variants": f"{report}'s MLP, every variant." for report in REPORTS},
    },
    columns={
        **{report: [*NAMES, *COLUMNS[report]] for report in REPORTS},
        **{f"{report}_variants": [*NAMES, *COLUMNS[report]] for report in REPORTS},
    },
    figures={
        "data": data_figure,
        "curves_": each_of(
            {report: report for report in REPORTS},
            curves(
                Panel("train_accuracy", "train accuracy, fraction", limits=(0.4, 1.01)),
                Panel("test_accuracy", "test accuracy, fraction", limits=(0.4, 1.01)),
                Panel("train_loss", "train loss, nats a point", False),
                words=called,
                headline=headline,
            ),
        ),
        "regions_": each_of({report: report for report in REPORTS}, regions_of_two),
        "plateau": plateau_figure(R4.plateau, ("R4_variants", "R2_variants", "R1_variants")),
    },
    conclusions={"judged": judge, "answer": answer},
)
