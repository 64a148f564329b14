"""How does the batch size change what an MLP on two moons learns, how fast, and how surely?

Protocol: two student reports' (`references.R1`, `references.R2`). 1000 points of two moons (noise
0.1) drawn anew for every seed, 80/20; an MLP 2-20-2 with ReLU, 1500 steps of SGD, a batch drawn
without replacement at every step, an evaluation every 10 steps. The first leaves open whether the
gradient is averaged or summed over the batch, so both are run, at learning rates 0.01 and 0.1: the
protocol under which its numbers are likely is named below the table. The time of a run is measured
as the first trained: a single network in NumPy, batch sizes in turns.

Command: python -m experiments batch_size
Time: about 1 minute on 2 CPU cores at the default 64 seeds.
Expected: at rate 0.1, averaged, the median test accuracy is 0.985 for batch 1 and 0.99 for 32 and
more.
"""

from collections.abc import Callable

import numpy as np
import optax

from benchmarks import timing
from experiments import numpy_mlp
from experiments.columns import (
    Column,
    Lanes,
    accuracy,
    batch_loss,
    batch_loss_ends,
    described,
    final_loss,
    inside,
    median_and_range,
    published_cell,
    steps_entry,
    steps_to,
)
from experiments.figures import Panel, curves, final_distributions, regions
from experiments.frame import Experiment, Finding, Request, Run
from experiments.references import R1, R2
from experiments.request import Size
from jaxdl import Study, models, tasks

SHOWN = 6  # configs, at most, in a figure
NUMBERS = ("test_accuracy", "steps_to_90", "final_loss")  # what R1 prints
TIMED_STEPS = 300  # of a burst in NumPy: at least 10 ms
RUN_STEPS = 1500  # of a run whose time R1 prints, however many are trained here


def study(request: Request) -> Study:
    """Builds the study of batch sizes, rates and reductions."""
    return Study(
        task=lambda hp: tasks.moons(hp.samples, hp.noise),
        model=lambda hp: models.mlp(2, (hp.width,), 2, activation=hp.activation),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults=request.defaults,
        sweep=request.sweep,
        **request.study,
    )


def never(lanes: Lanes) -> bool:
    """Tells that no config has a column from its lanes."""
    return False


def numpy_burst(settings: dict, size: int) -> Callable[[], float]:
    """Makes a burst of a single network's steps in NumPy, as R1 trains one."""
    generator = np.random.default_rng(0)
    points = numpy_mlp.moons(generator, size, settings["noise"])
    weights = numpy_mlp.initial(generator, settings["width"])

    def burst() -> float:
        stepped = weights
        for _ in range(TIMED_STEPS):
            stepped = numpy_mlp.stepped(stepped, points, 0.01)  # the rate costs no time
        return TIMED_STEPS

    return burst


def numpy_times(run: Run) -> Finding:
    """Measures how long a whole run takes in NumPy at every batch size, the sizes in turns."""
    settings = {**run.result.configs[0], **run.request.defaults}
    sizes = sorted({config.get("batch_size", 1) for config in run.result.configs})
    bursts = {size: numpy_burst(settings, size) for size in sizes}
    rates = timing.interleave(bursts, rounds=1 if run.request.quick else 9)
    entries = {}
    for size, rate in rates.items():
        seconds, printed = RUN_STEPS / rate, R1.batch_size_seconds({"batch_size": size})
        entries[size] = {
            **steps_entry(seconds, printed),
            "rounds": len(seconds),
            "over_smallest": float(np.median(rates[sizes[0]] / rate)),
        }
    additions = [
        (config, {"numpy_seconds": entries[config.get("batch_size", 1)]})
        for config in run.result.configs
    ]
    text = ", ".join(f"{size}: {entry['over_smallest']:.3g}" for size, entry in entries.items())
    head = f"NumPy's time of a run over that at batch size {sizes[0]}"
    return Finding(entries, "" if run.request.quick else f"{head}: {text}.", additions=additions)


def numpy_seconds() -> Column:
    """Shows the time that `numpy_times` has measured: a machine's, so no lane has it."""
    cells = {
        "NumPy, s": lambda entry, row: median_and_range(entry),
        **published_cell(R1.batch_size_seconds),
    }
    text = "NumPy, s: 1500 steps of one network in NumPy here, median [5 %, 95 %] of the rounds"
    return Column("numpy_seconds", lambda lanes: None, cells, text, never, R1.batch_size_seconds)


def protocol_of(config: dict) -> dict:
    """Gives what R1 leaves open: everything swept but the batch size."""
    return {name: value for name, value in config.items() if name != "batch_size"}


def likeliest(run: Run) -> Finding:
    """Finds the protocols in which most of R1's numbers lie within the middle 95 % of seeds."""
    hits: dict[str, list[bool]] = {}
    for row in run.rows:
        config = {name: row[name] for name in run.result.axes}
        places = [inside(row[name]) for name in NUMBERS]
        known = [place for place in places if place is not None]
        hits.setdefault(described(protocol_of(config)), []).extend(known)
    counts = {name: sum(each) for name, each in hits.items() if each}
    if not counts:
        return Finding([], "None of R1's batch sizes was run.")
    # Ties are named: that one protocol was run before another says nothing for it.
    most, total = max(counts.values()), max(map(len, hits.values()))
    best = [name for name, count in counts.items() if count == most]
    each = "; ".join(f"{name}: {count}" for name, count in counts.items())
    alike = "under" if len(best) == 1 else "alike under"
    return Finding(
        best,
        f"R1's table is likeliest {alike} {' and '.join(best)}: numbers of its {total} that lie in "
        f"the middle 95 % of the seeds: {each}.",
    )


def of_likeliest(run: Run) -> dict[str, list[dict]]:
    """Chooses configs for a figure: R1's batch sizes under the likeliest protocol, where known.

    Of protocols that are likeliest alike the first is drawn; so is the first where none is judged.
    """
    configs = run.result.configs
    known = run.findings.get("likeliest") or [described(protocol_of(configs[0]))]
    same = [config for config in configs if described(protocol_of(config)) == known[0]]
    printed = [config for config in same if R1.batch_size_accuracy(config) is not None]
    return {known[0]: (printed if len(printed) > 1 else same)[:SHOWN]}


def ends(run: Run) -> str:
    """Says between which medians the shown curves end."""
    ((_, configs),) = of_likeliest(run).items()
    medians = [run.result.summary("test_accuracy", config).median for config in configs]
    return f"Final median test accuracy: {min(medians):.3g} to {max(medians):.3g}"


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R1, R2),
    sweep={
        "batch_size": [1, 10, 32, 50, 128, 200, 500, 800],
        "learning_rate": [0.01, 0.1],
        "reduction": ["mean", "sum"],
    },
    defaults={"width": 20, "noise": 0.1, "samples": 1000, "activation": "relu"},
    full=Size(seeds=64, steps=1500, eval_every=10),
    quick=Size(seeds=8, steps=200, eval_every=10, sweep={"batch_size": [500, 800]}),
    studies={"": study},
    titles={"": "Batch size on two moons."},
    columns=[
        accuracy(published=R1.batch_size_accuracy),
        steps_to(0.9, published=R1.steps_to_90),
        final_loss(published=R1.final_loss),
        batch_loss(),
        *batch_loss_ends(least=R1.least_batch_loss, largest=R1.largest_batch_loss),
        numpy_seconds(),
    ],
    figures={
        "accuracy": curves(
            Panel("train_accuracy", "train accuracy", limits=(0.6, 1.005)),
            Panel("test_accuracy", "test accuracy", limits=(0.6, 1.005)),
            groups=of_likeliest,
            headline=ends,
        ),
        "loss": curves(
            Panel("train_loss", "train loss, nats", False, log=True),
            Panel("batch_loss_max", "largest batch loss, nats", False, log=True, recorded=True),
            groups=of_likeliest,
            headline=ends,
        ),
        "final_accuracy": final_distributions(
            "test_accuracy", "batch_size", R1.batch_size_accuracy
        ),
        "boundaries": regions(of_likeliest),
    },
    measurements={"times": numpy_times},
    conclusions={"likeliest": likeliest},
)
