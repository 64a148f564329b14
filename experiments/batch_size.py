"""How does the batch size change what an MLP on two moons learns, how fast, and how surely?

Protocol: reports R1 and R2. 1000 points of two moons (noise 0.1) drawn anew for every seed, 80/20; an MLP 2-20-2 with
ReLU, 1500 steps of SGD, a batch drawn without replacement at every step, an evaluation every 10 steps.
R1 leaves open whether the gradient is averaged or summed over the batch, so both are run, at learning rates
0.01 and 0.1: the protocol under which R1's numbers are likely is named below the table.

Command: python -m experiments batch_size
Time: about 1 minute on 2 CPU cores at the default 64 seeds.
Expected: at rate 0.1, averaged, the median test accuracy is 0.985 for batch 1 and 0.99 for 32 and more.
"""

import numpy as np
import optax

from experiments.options import merge_sweeps, run_folder, run_study, unswept
from experiments.report import Report, curves_of, inside, iqm_cell, metric_entry, rows_of
from jaxdl import Study, models, plots, stats, tables, tasks
from jaxdl.sampling import seed_key
from jaxdl.study import Result

SWEEP = {"batch_size": [1, 10, 32, 50, 128, 200, 500, 800], "learning_rate": [0.01, 0.1], "reduction": ["mean", "sum"]}
DEFAULTS = {"width": 20, "noise": 0.1, "samples": 1000, "activation": "relu"}
SEEDS = 64
# R1's table: test accuracy, steps to 90 % test accuracy, final loss
PUBLISHED: dict[int, tuple] = {1: (0.96, 70, 0.0832), 32: (0.98, 120, 0.0758), 128: (0.99, 180, 0.0657), 800: (0.99, 250, 0.0410)}
METRICS = ("test_accuracy", "steps_to_90", "final_loss")


def build(options) -> tuple[Study, dict]:
    """The study that the options ask for, and its sweep."""
    sweep, defaults = merge_sweeps(SWEEP, DEFAULTS, options.sweep)
    if options.quick:
        sweep = {name: values if name != "batch_size" else values[-2:] for name, values in sweep.items()}
    study = Study(
        task=lambda hp: tasks.moons(hp.samples, hp.noise),
        model=lambda hp: models.mlp(2, hidden=(hp.width,), outputs=2, activation=hp.activation),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults=defaults,
        sweep=sweep,
        seeds=options.seeds or (8 if options.quick else SEEDS),
        shapes=options.shapes,
        lane_size=options.lane_size,
        **unswept(
            sweep,
            steps=options.steps or (200 if options.quick else 1500),
            eval_every=options.eval_every or 10,
        ),
    )
    return study, sweep


def run(options) -> Report:
    study, sweep = build(options)
    folder = run_folder(options, sweep, SWEEP)
    result = run_study(study, folder, options)
    rows = rows_of(result, lambda config, lanes: entries(result, config, lanes))
    likely = likely_protocol(rows)
    for name, figure in figures(study, result, likely[0][0] if likely else None).items():
        (folder / "figures").mkdir(exist_ok=True)
        figure.savefig(folder / "figures" / f"{name}.png")
    text = f"{table(result, rows)}\n\n{sentence(likely)}\nFigures: {folder / 'figures'}"
    return Report("batch_size", str(folder), rows, text)


def entries(result: Result, config: dict, lanes: np.ndarray) -> dict:
    """A row's metrics, with R1's number beside each."""
    accuracy, reached, loss = PUBLISHED.get(config.get("batch_size", 0), (None, None, None))
    lost = result.diverged[lanes]
    steps = result.steps if result.steps.ndim == 1 else result.steps[lanes[0]]
    to_90 = stats.first_reached(np.nan_to_num(result.metric("test_accuracy")[lanes], nan=0.0), steps, 0.9)
    to_90 = np.where(lost, np.inf, to_90)
    low, high = (result.metric(f"batch_loss_{end}")[lanes] for end in ("min", "max"))
    low_90, median_90, high_90 = stats.quantile(to_90, [0.05, 0.5, 0.95])
    return {
        "test_accuracy": metric_entry(result.final("test_accuracy")[lanes], lost, True, accuracy),
        "steps_to_90": {
            "median": median_90,
            "quantiles": [low_90, high_90],
            "never_reached": float(np.mean(np.isinf(to_90))),
            "published": reached,
            "published_percentile": None if reached is None else stats.percentile(to_90, reached),
        },
        "final_loss": metric_entry(result.final("train_loss")[lanes], lost, False, loss),
        "batch_loss": {"smallest": float(np.nanmin(low)), "largest": float(np.nanmax(high))},
    }


def protocol_of(row: dict) -> tuple:
    """What R1 leaves open: everything swept but the batch size."""
    return tuple((name, row[name]) for name in row if name not in ("batch_size", "n", "survived", "batch_loss", *METRICS))


def likely_protocol(rows: list[dict]) -> list[tuple[dict, int, int]]:
    """The protocols with how many of R1's numbers lie in the middle 95 % of the seeds, of how many; best first."""
    found: dict[tuple, list[bool]] = {}
    for row in rows:
        hits = [hit for metric in METRICS if (hit := inside(row[metric])) is not None]
        found.setdefault(protocol_of(row), []).extend(hits)
    ranked = [(dict(protocol), sum(hits), len(hits)) for protocol, hits in found.items() if hits]
    return sorted(ranked, key=lambda entry: -entry[1])


def named(protocol: dict) -> str:
    """A protocol in words."""
    words = [f"{name.replace('_', ' ')} {value}" for name, value in protocol.items()]
    return ", ".join(words) or "the one protocol run"


def sentence(likely: list[tuple[dict, int, int]]) -> str:
    """Which protocol makes R1's table likely."""
    if not likely:
        return "None of R1's batch sizes was run."
    (best, hits, total), *others = likely
    rest = "; ".join(f"{named(protocol)}: {count}" for protocol, count, _ in others)
    return f"R1's table is likeliest under {named(best)}: {hits} of its {total} numbers lie in the middle 95 % of the seeds" + (
        f" ({rest})." if rest else "."
    )


def table(result: Result, rows: list[dict]) -> tables.Table:
    """All figures of a row, R1's number and its percentile beside ours."""
    columns = (
        *(name.replace("_", " ") for name in result.axes), "n", "survived",
        "test acc", "median", "IQM [95 %]", "R1 (pct)",
        "steps to 90 %", "never", "R1 (pct)", "final loss", "R1 (pct)", "batch loss",
    )  # fmt: skip
    title = (
        "Batch size on two moons. test acc: mean (sd); steps to 90 %: median [5 %, 95 %]; final loss: median, train;\n"
        "batch loss: smallest to largest; R1 (pct): the published number and its percentile among the seeds"
    )
    return tables.Table(title, columns, tuple(table_row(result, row) for row in rows))


def table_row(result: Result, row: dict) -> tuple:
    """One line of the table."""
    accuracy, reached, loss = (row[metric] for metric in METRICS)
    cell, extremes = tables.cell, row["batch_loss"]
    low, high = reached["quantiles"]
    return (
        *(row[name] for name in result.axes), row["n"], row["survived"],
        f"{accuracy['mean']:.3f} ({accuracy['sd']:.3f})", f"{accuracy['median']:.3f}",
        iqm_cell(accuracy, row["survived"]), place(accuracy),
        f"{cell(float(reached['median']))} [{cell(float(low))}, {cell(float(high))}]", f"{reached['never_reached']:.0%}", place(reached),
        loss["median"], place(loss), f"{cell(extremes['smallest'])} to {cell(extremes['largest'])}",
    )  # fmt: skip


def place(entry: dict) -> str:
    """A published number with its percentile."""
    return "-" if entry["published"] is None else f"{entry['published']:g} ({entry['published_percentile']:.3g})"


def figures(study: Study, result: Result, protocol: dict | None) -> dict:
    """Curves, final distributions and decision boundaries under one protocol, by batch size."""
    chosen = result.configs if protocol is None else [c for c in result.configs if {**c, **protocol} == c]
    published = [config for config in chosen if config.get("batch_size") in PUBLISHED]
    shown = (published or chosen)[:6]
    where = "" if protocol is None else f" ({named(protocol)})"
    return {
        "accuracy": curves(result, shown, ("train_accuracy", "test_accuracy"), where),
        "loss": curves(result, shown, ("train_loss", "batch_loss_max"), where, log=True),
        "final_accuracy": finals(result),
        "boundaries": boundaries(study, result, shown, where),
    }


def label(config: dict) -> str:
    """A config by what tells it from the others of a figure."""
    varying = {name: value for name, value in config.items() if name not in ("learning_rate", "reduction")}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in varying.items()) or "all lanes"


def curves(result: Result, configs, metrics, where: str, log: bool = False):
    """Median curves with their 50 and 90 % bands, a panel a metric."""
    made, axes = plots.figure(1, len(metrics), sharey=not log)
    ends = [result.summary(metrics[-1], config).median for config in configs]
    for panel, metric in zip(axes[0], metrics, strict=True):
        better = "loss" not in metric
        for config, colour, line in zip(configs, plots.colours(len(configs)), plots.LINES * 2, strict=False):
            steps, values, lost = curves_of(result, metric, result.rows(config))
            plots.band(panel, steps, values, label(config), colour, line, better, lost)
        words = metric.replace("_", " ")
        plots.style(panel, f"{words}: median, 50 and 90 % of seeds", "step (one batch)", words + ("" if better else ", nats"))
        if log:
            panel.set_yscale("log")
        else:
            panel.set_ylim(0.6, 1.005)
    axes[0, 0].legend(fontsize=plots.FONT - 2)
    n = len(result.rows(configs[0]))
    finding = (
        f"Final median {metrics[-1].replace('_', ' ')}: {min(ends):.3g} to {max(ends):.3g} over batch sizes, n={n} seeds each"
    )
    made.suptitle(finding + where, fontsize=plots.FONT + 1)
    return made


def finals(result: Result):
    """Final test accuracies by batch size, a panel a protocol, with R1's numbers as diamonds."""
    groups: dict[tuple, list[dict]] = {}
    for config in result.configs:
        groups.setdefault(protocol_of(config), []).append(config)
    columns = min(2, len(groups))
    made, axes = plots.figure(-(-len(groups) // columns), columns, width=6.5, height=3.6, sharey=True)
    for panel in axes.flat[len(groups) :]:
        panel.set_visible(False)
    for panel, (protocol, configs) in zip(axes.flat, groups.items(), strict=False):
        values = [result.final("test_accuracy")[result.rows(config)] for config in configs]
        sizes = [config.get("batch_size", "") for config in configs]
        plots.distributions(panel, values, [str(size) for size in sizes], plots.colours(len(configs)))
        marks = [(place, PUBLISHED[size][0]) for place, size in enumerate(sizes, 1) if size in PUBLISHED]
        if marks:
            panel.plot(*zip(*marks, strict=True), "D", color="black", markerfacecolor="white", markersize=7, label="R1")
            panel.legend(fontsize=plots.FONT - 2, loc="lower right")
        plots.style(panel, named(dict(protocol)), "batch size", "final test accuracy")
    n = len(result.rows(result.configs[0]))
    made.suptitle(f"How much the seed alone decides: final test accuracy over n={n} seeds", fontsize=plots.FONT + 1)
    return made


def boundaries(study: Study, result: Result, configs, where: str):
    """The decision regions of the lane with the median final test accuracy, over its own data."""
    made, axes = plots.figure(1, len(configs), width=4.0, height=3.8, sharex=True, sharey=True)
    for panel, config in zip(axes[0], configs, strict=True):
        lanes = result.rows(config)
        final = stats.ranked(result.final("test_accuracy")[lanes], result.diverged[lanes], True)
        middle = lanes[np.argsort(final, kind="stable")[len(lanes) // 2]]
        seed = result.lanes[middle]["seed"]
        params, state, history = study.replay(config, seed)
        recipe = study.recipe(config)
        data = recipe.task.data(seed_key(seed))
        plots.regions(
            panel,
            lambda x, params=params, state=state, model=recipe.model: model.apply(params, state, x)[0].argmax(axis=0),
            np.asarray(data.train_x),
            np.asarray(data.train_targets),
        )
        accuracy = history["test_accuracy"][-1]
        plots.style(panel, f"{label(config)}: {accuracy:.1%} test\n(seed {seed}, the median of {len(lanes)})", "x1", "x2")
    made.suptitle(f"Decision regions of the median lane over its training data{where}", fontsize=plots.FONT + 1)
    return made
