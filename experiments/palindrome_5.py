"""Does a vanilla RNN learn palindromes of length 5 to the last sequence, and under which optimizer?

Protocol: report R5, part III, its single run: T = 5, rate 0.001, 10,000 steps, batch 128, gradients clipped at norm 10, an
evaluation every 200 steps. The optimizer is not stated: RMSprop (which R5's length study has), Adam and SGD are all run.

Command: python -m experiments palindrome_5
Time: 2 to 4 minutes on 2 CPU cores at the default 10 seeds.
Expected: every seed ends at an accuracy of 1 under RMSprop and Adam; under SGD at this rate none is beyond 0.28.
"""

from experiments.options import merge_sweeps, run_folder, run_study
from experiments.palindrome_figures import training_figure
from experiments.palindromes import COLUMNS, DEFAULTS, LEGEND, entries, palindrome_study, table_row
from experiments.report import Report, inside, rows_of
from jaxdl import Study, tables

SWEEP = {"optimizer": ["rmsprop", "adam", "sgd"]}
PUBLISHED = 1.0
SEEDS = 10


def build(options) -> tuple[Study, dict]:
    """The study that the options ask for, and its sweep."""
    others = {name: value for name, value in DEFAULTS.items() if name not in SWEEP}
    sweep, defaults = merge_sweeps(SWEEP, {**others, "cell": "vanilla", "length": 5}, options.sweep)
    seeds, steps = (3, 400) if options.quick else (SEEDS, 10_000)
    return palindrome_study(options, sweep, defaults, seeds=seeds, steps=steps, eval_every=50 if options.quick else 200), sweep


def run(options) -> Report:
    study, sweep = build(options)
    folder = run_folder(options, sweep, SWEEP)
    result = run_study(study, folder, options)
    clip = study.spec.defaults.get("clip")
    rows = rows_of(result, lambda config, lanes: entries(result, config, lanes, PUBLISHED, config.get("clip", clip)))
    (folder / "figures").mkdir(exist_ok=True)
    training_figure(result, "optimizer", clip).savefig(folder / "figures" / "training.png")
    title = f"Palindromes of length 5 after {int(result.steps.max())} steps.\n{LEGEND}"
    table = tables.Table(title, (*result.axes, *COLUMNS), tuple(table_row(row, result.axes) for row in rows))
    return Report("palindrome_5", str(folder), rows, f"{table}\n\n{sentence(rows)}\nFigures: {folder / 'figures'}")


def sentence(rows: list[dict]) -> str:
    """Under which optimizer R5's accuracy is likely."""
    likely = [str(row["optimizer"]) for row in rows if inside(row["test_accuracy"])]
    return f"R5's accuracy of {PUBLISHED:g} lies in the middle 95 % of the seeds under: {', '.join(likely) or 'none of them'}."
