"""Which learning rates, widths, activations and optimizers learn XOR and a line, and how surely?

Protocol: report R3, tables 1 to 5, on both data sets: networks 2 - h - h - 1 with the activation after the first two layers,
standard normal weights, zero biases, binary cross-entropy of the logit, 2000 epochs, training set = test set. XOR: R3's
21 points, the same for all seeds; line: 100 points drawn anew for every seed. Full batch and trained biases; what R3
leaves open (one example a step in shuffled passes; no trained bias) is run with 20 seeds, to ask under which
protocol its 300 numbers are likely. Mean squared error, which R3 built too, is run with the same 20 seeds beside cross-entropy, all
else equal. --sweep batch=full leaves out the slow variants. --steps and --eval-every count epochs.

Command: python -m experiments xor_grid
Time: 26 minutes on 2 CPU cores; 4 to 7 of them for the grid (--sweep batch=full --sweep bias=True --sweep loss=bce)
Expected: R3's 300 numbers are likeliest one example a step without trained biases, by 69 [54, 83] nats over trained ones and 263
[247, 312] over the full batch (n=20 seeds); under the full batch 4 units with tanh at rate 0.1 solve XOR for 92 of 100 seeds.
"""

import numpy as np

from experiments import r3
from experiments.options import merge_sweeps, run_folder, run_studies
from experiments.columns import place
from experiments.report import Report, metric_entry, written
from experiments.xor_claims import Likelihood, claims, claims_table, likelihood_table, likelihoods
from experiments.xor_figures import base_figure, curves_figure, table_figure
from experiments.xor_losses import beside, losses_rows, losses_tables
from jaxdl import Study, stats, tables
from jaxdl.study import Result

SWEEP = {
    "data": list(r3.DATA),
    "activation": ["sigmoid", "identity", "relu", "tanh"],
    "optimizer": ["sgd", "adam"],
    "learning_rate": r3.RATES,
    "width": r3.WIDTHS,
    "loss": ["bce", "mse"],
    "bias": [True, False],
    "batch": ["full", "one"],
}
SMALL = {"activation": ["sigmoid", "identity"], "optimizer": ["sgd"], "learning_rate": [0.1, 0.01], "width": [1, 4, 16]}
SEEDS, VARIANT_SEEDS = 100, 20


def build(options) -> tuple[dict[str, Study], dict]:
    """The grid under the first protocol and the variants under the others, and the sweep; another loss is run as the grid is."""
    sweep, _ = merge_sweeps({**SWEEP, **(SMALL if options.quick else {})}, {}, options.sweep)
    chosen = {name for name, _ in options.sweep}
    made = r3.configs(sweep, None if chosen & {"activation", "optimizer"} else r3.PAIRS)
    usual = {name: sweep[name][0] for name in r3.PROTOCOL}
    grid = [config for config in made if {**config, **usual} == config]
    as_grid = {name: value for name, value in usual.items() if name != "loss"}
    others = [config for config in made if {**config, **usual} != config]
    others = [config for config in others if config["loss"] == usual["loss"] or {**config, **as_grid} == config]
    if options.quick and "data" not in chosen:
        others = [config for config in others if config["data"] == "xor"]
    seeds, epochs = options.seeds or (8 if options.quick else SEEDS), 300 if options.quick else r3.EPOCHS
    studies = {"grid": r3.study(grid, options, seeds, epochs, epochs // 50)}
    if others:
        studies["variants"] = r3.study(others, options, min(seeds, VARIANT_SEEDS), epochs, epochs // 10)
    return studies, sweep


def run(options) -> Report:
    studies, sweep = build(options)
    folder = run_folder(options, sweep, SWEEP)
    results = run_studies(studies, folder, options)
    rows = [{"study": name, **row} for name, found in results.items() for row in rows_of(found)]
    said, ranked, losses = claims(results["grid"]), likelihoods(results), beside(results)
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures(studies, results, rows, ranked).items():
        figure.savefig(folder / "figures" / f"{name}.png")
    parts = [*grid_tables(rows), *losses_tables(losses), claims_table(said)]
    parts += [likelihood_table(ranked)] if ranked else []
    text = "\n\n".join([*map(str, parts), f"Figures: {folder / 'figures'}"])
    extra = [
        {"claim": claim.text, "where": claim.where, "n": claim.n, "value": claim.value, "interval": claim.interval}
        for claim in said
    ]
    extra += [
        {"protocol": entry.protocol, "log_likelihood": entry.total, "interval": entry.interval, "n": entry.seeds}
        for entry in ranked
    ]
    return Report("xor_grid", str(folder), [*rows, *losses_rows(losses), *extra], text)


def rows_of(result: Result) -> list[dict]:
    """One row a config: the distribution of its final accuracy, R3's number in it, and the share of seeds at 100 %."""
    final, lost, found = result.final("test_accuracy"), result.diverged, []
    for config, lanes in r3.lanes_by_config(result):
        count, n = int(np.sum((final[lanes] == 1) & ~lost[lanes])), len(lanes)
        found.append({
            **config, "n": n, "survived": int((~lost[lanes]).sum()),
            "test_accuracy": metric_entry(final[lanes], lost[lanes], True, r3.published(config)),
            "solved": {"share": count / n, "interval": stats.share_interval(count, n)},
        })  # fmt: skip
    return found


def figures(studies: dict[str, Study], results: dict[str, Result], rows: list[dict], ranked: list[Likelihood]) -> dict:
    """Heat maps of every table, learning curves and the base run's predictions; maps and predictions of the likeliest protocol too."""
    study, result = studies["grid"], results["grid"]
    found = {
        **maps([row for row in rows if row["study"] == "grid"]),
        "curves": curves_figure(result),
        "base_run": base_figure(study, result),
    }
    likeliest = [row for row in rows if ranked and {**row, **ranked[0].protocol} == row and row["study"] != "grid"]
    if likeliest:
        found |= {f"likeliest_{name}": figure for name, figure in maps(likeliest).items()}
        found["likeliest_base_run"] = base_figure(studies["variants"], results["variants"], ranked[0].protocol)
    return found


def maps(rows: list[dict]) -> dict:
    """The heat maps of every table: name -> figure."""
    pairs = dict.fromkeys((row["activation"], row["optimizer"]) for row in rows)
    return {f"{activation}_{optimizer}": table_figure(rows, activation, optimizer) for activation, optimizer in pairs}


def grid_tables(rows: list[dict]) -> list[tables.Table]:
    """One table for each of R3's, on either data set, under the grid's protocol."""
    mine = [row for row in rows if row["study"] == "grid"]
    groups = list(dict.fromkeys(r3.cell_of(row)[:3] for row in mine))
    groups.sort(key=lambda group: r3.PAIRS.index(group[1:]) if group[1:] in r3.PAIRS else len(r3.PAIRS))
    return [grid_table([row for row in mine if r3.cell_of(row)[:3] == group], group) for group in groups]


def grid_table(rows: list[dict], group: tuple) -> tables.Table:
    """A row a learning rate, a column a width: median, share solved, and R3's number with its percentile."""
    data, activation, optimizer = group
    widths, rates = (list(dict.fromkeys(row[name] for row in rows)) for name in ("width", "learning_rate"))
    by_cell = {(row["learning_rate"], row["width"]): row for row in rows}
    body = tuple((rate, *(cell(by_cell[rate, width]) for width in widths)) for rate in rates)
    lost = sum(row["n"] - row["survived"] for row in rows)
    number = f"table {r3.PAIRS.index(group[1:]) + 1}: " if group[1:] in r3.PAIRS else ""
    title = (
        f"{number}{written(activation)}, {written(optimizer)} on {written(data)}, n={rows[0]['n']} seeds, {lost} of {sum(row['n'] for row in rows)} lanes diverged.\n"
        "A cell: median accuracy % | share of seeds at 100 % | R3's % (its percentile)"
    )
    return tables.Table(title, ("rate", *(f"h = {width}" for width in widths)), body)


def cell(row: dict) -> str:
    """A cell of a grid."""
    entry = row["test_accuracy"]
    report = "-" if entry["published"] is None else place({**entry, "published": round(100 * entry["published"], 1)})
    return f"{100 * entry['median']:.1f} | {row['solved']['share']:.0%} | {report}"
