"""Up to which length does a recurrent network learn to tell a palindrome's last digit, and is it memory or time that ends it?

Protocol: report R5, part III. The first T - 1 digits of a palindrome (as numbers, one feature), the last is asked for; a
vanilla cell of 128 units, fresh batches of 128, gradients clipped at norm 10, RMSprop (decay 0.99) at rate 0.001,
1400 steps; accuracy on 1024 sequences of each seed's own. T = 5..15. Initial weights as the report's two linear maps have
them: 1 / sqrt(fan-in). The reach of the gradient, norms of d h_T / d h_t, is computed from weights trained again.
Variants: --sweep cell=vanilla,gru,lstm, --sweep clip=10,None, --steps 10000, --sweep encoding=number,one_hot,
--sweep init=torch,torch_rnn.

Command: python -m experiments palindrome_length
Time: 5 minutes on 2 CPU cores at the default 10 seeds.
Expected: in 1400 steps every run learns lengths 5 to 8, 7 of 10 length 9, 2 of 10 length 10, and none a longer one.
"""

import numpy as np

from experiments.options import merge_sweeps, run_folder, run_study
from experiments.palindrome_figures import accuracy_figure, protocols, reach_figure, training_figure
from experiments.palindromes import COLUMNS, DEFAULTS, LEGEND, entries, palindrome_study, reach_of, table_row
from experiments.report import Report, rows_of
from jaxdl import Study, tables
from jaxdl.study import Result

SWEEP = {"length": list(range(5, 16)), "cell": ["vanilla"]}
SEEDS = 10
PUBLISHED = dict(zip(range(5, 16), (1.0, 1.0, 1.0, 1.0, 0.5898, 0.4824, 0.0898, 0.0784, 0.0735, 0.0628, 0.0628), strict=True))
REACHED = 3  # seeds, and lengths, whose gradients are followed back


def build(options) -> tuple[Study, dict]:
    """The study that the options ask for, and its sweep."""
    sweep, defaults = merge_sweeps(SWEEP, DEFAULTS, options.sweep)
    if options.quick and not any(name == "length" for name, _ in options.sweep):
        sweep = {**sweep, "length": [5, 9]}
    seeds, steps = (3, 300) if options.quick else (SEEDS, 1400)
    return palindrome_study(options, sweep, defaults, seeds=seeds, steps=steps, eval_every=50), sweep


def run(options) -> Report:
    study, sweep = build(options)
    folder = run_folder(options, sweep, SWEEP)
    result = run_study(study, folder, options)
    clip = study.spec.defaults.get("clip")
    rows = rows_of(result, lambda config, lanes: row_of(result, config, lanes, config.get("clip", clip)))
    reached = reaches(study, result)
    figures = {
        "accuracy": accuracy_figure(result, PUBLISHED),
        "training": training_figure(result, "length", clip),
        "reach": reach_figure(reached),
    }
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png")
    for entry in reached:
        row = next(row for row in rows if {**row, **entry["config"]} == row)
        row["reach"] = {when: np.median(entry[when], axis=0)[::-1] for when in ("before", "after")}
    text = f"{table(result, rows)}\n\n{sentences(rows, reached)}\nFigures: {folder / 'figures'}"
    return Report("palindrome_length", str(folder), rows, text)


def row_of(result: Result, config: dict, lanes, clip) -> dict:
    """A row's metrics; R5's number stands beside vanilla cells, which it is of."""
    published = PUBLISHED.get(config["length"]) if config["cell"] == "vanilla" else None
    return entries(result, config, lanes, published, clip)


def reaches(study: Study, result: Result) -> list[dict]:
    """How far the gradient reaches back, for the shortest, middle and longest length of each cell and some seeds."""
    found = []
    for configs in {dict(key)["cell"]: group for key, group in reversed(protocols(result.configs, "length").items())}.values():
        places = sorted({0, len(configs) // 2, len(configs) - 1})
        for config in [configs[place] for place in places][:REACHED]:
            lanes = [row for row in result.rows(config) if not result.diverged[row]][:REACHED]
            pairs = [reach_of(study, config, result.lanes[row]["seed"]) for row in lanes]
            if pairs:
                before, after = zip(*pairs, strict=True)
                found.append({"config": config, "before": before, "after": after})
    return found


def table(result: Result, rows: list[dict]) -> tables.Table:
    """All figures of a row, R5's number and its percentile beside ours."""
    title = f"The last digit of a palindrome after {int(result.steps.max())} steps.\n{LEGEND}"
    return tables.Table(title, (*result.axes, *COLUMNS), tuple(table_row(row, result.axes) for row in rows))


def sentences(rows: list[dict], reached: list[dict]) -> str:
    """What the table says of the limit, of clipping and of the gradient."""
    lines = []
    for cell in dict.fromkeys(row["cell"] for row in rows):
        chosen = [row for row in rows if row["cell"] == cell]
        learned = [row["length"] for row in chosen if row["test_accuracy"]["median"] >= 0.9]
        clipped = max(row["grad_norm"]["clipped"] for row in chosen)
        largest = max(row["grad_norm"]["largest"] for row in chosen)
        lines.append(
            f"{cell}: median accuracy of 0.9 at lengths {', '.join(map(str, dict.fromkeys(learned))) or 'none'}; largest gradient norm {largest:.3g}, "
            f"clipped in at most {clipped:.0%} of a length's lanes."
        )
    for entry in reached:
        before, after = (float(np.median([norms[0] for norms in entry[when]])) for when in ("before", "after"))
        lines.append(
            f"{entry['config']['cell']}, length {entry['config']['length']}: the norm of d h_T / d s_1 is {before:.2g} before and {after:.2g} "
            f"after training (median of {len(entry['after'])} seeds)."
        )
    return "\n".join(lines)
