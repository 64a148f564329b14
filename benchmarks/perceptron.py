"""How long do 10,000 perceptrons take: lanes of one program against scikit-learn's `Perceptron.fit` and a NumPy loop.

The online rule on 160 points of two overlapping normals (variance 2, distance 6), 100 shuffled passes, a data set of its
own each, an evaluation after every pass on our side and none on the others'. scikit-learn's loop is compiled (Cython);
``tol=None`` makes it do all passes. The NumPy loop is the rule as a student writes it. The others fit a few data sets
a burst and are scaled up. Contestants take turns; a second, identical copy of ours shows the machine's noise.

Command: python -m benchmarks perceptron [--rounds N] [--json FILE]
"""

import argparse

import jax
import numpy as np
import optax

from benchmarks.timing import device_name, interleave, spread, write_json
from jaxdl import Study, models, tasks
from jaxdl.reporting.tables import Table
from jaxdl.running import compiler
from jaxdl.sampling import seed_key

FITS, EPOCHS, POINTS = 10_000, 100, 160
LANE_SIZE = 512  # measured best: a step is so small that its kernels want many lanes
TASK = tasks.gaussians(((-3.0, 0.0), (3.0, 0.0)), 2.0)


def ours():
    """Whole fits, data drawn included, in the engine's own compiled program."""
    study = Study(
        task=TASK,
        model=models.perceptron(),
        optimizer=optax.sgd(0.01),
        batch_size=1,
        sampling="epoch",
        reduction="sum",
        steps=EPOCHS * POINTS,
        eval_every=POINTS,
        lane_size=LANE_SIZE,
    )
    compiled = compiler.compile_programs(
        study.spec.parts, {0: study.plan().programs[0]}, compiler.prepare_devices()
    )[0].result()
    seeds = np.arange(compiled.lanes, dtype=np.uint32)

    def burst() -> float:
        lane, dataset = compiled.init(seeds, {}, None)
        jax.block_until_ready(
            compiled.segment(lane, dataset, seeds, {}, np.int32(0), np.int32(EPOCHS * POINTS + 1))
        )
        return compiled.lanes

    return burst


def points(seed: int):
    """A data set as scikit-learn wants it: (n, 2) float64 and (n,)."""
    data = TASK.data(seed_key(seed))
    return np.ascontiguousarray(np.asarray(data.train_x, float).T), np.asarray(data.train_targets)


def scikit_learn(fits: int = 100):
    """`fits` calls of Perceptron.fit."""
    from sklearn.linear_model import Perceptron

    sets = [points(seed) for seed in range(10)]

    def burst() -> float:
        for number in range(fits):
            Perceptron(max_iter=EPOCHS, tol=None, eta0=0.01, random_state=number).fit(
                *sets[number % 10]
            )
        return fits

    return burst


def numpy_loop(fits: int = 2):
    """`fits` runs of the rule, a point at a time."""
    sets = [points(seed) for seed in range(fits)]

    def burst() -> float:
        for number, (x, y) in enumerate(sets):
            rng, weight, bias = np.random.default_rng(number), np.zeros(2), 0.0
            for _ in range(EPOCHS):
                for row in rng.permutation(POINTS):
                    if y[row] * (np.dot(weight, x[row]) + bias) <= 0:
                        weight += 0.01 * y[row] * x[row]
                        bias += 0.01 * y[row]
        return fits

    return burst


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks perceptron", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--json", metavar="FILE", help="also writes the figures, with the device's name"
    )
    options = parser.parse_args(arguments)
    rates = interleave(
        {"jaxdl": ours(), "twin": ours(), "scikit-learn": scikit_learn(), "numpy": numpy_loop()},
        options.rounds,
    )
    ratios = {name: rates["jaxdl"] / rate for name, rate in rates.items()}
    rows = tuple(
        (name, spread(FITS / rate), "-" if name == "jaxdl" else spread(ratios[name]))
        for name, rate in rates.items()
    )
    title = f"{FITS} perceptrons, {EPOCHS} epochs of {POINTS} points, on {device_name()}, {options.rounds} rounds in turns"
    print(Table(title, ("who", "seconds: median [min, max]", "jaxdl is faster by"), rows))
    if options.json:
        found = {
            name: {"seconds": (FITS / rate).tolist(), "ratio": ratios[name].tolist()}
            for name, rate in rates.items()
        }
        write_json(options.json, contestants=found)
