"""How long do 10,000 perceptrons take, against scikit-learn's `Perceptron.fit` and a NumPy loop?

The online rule on 160 points of two overlapping normals (variance 2, distance 6), 100 shuffled
passes, a data set of its own each, an evaluation after every pass on our side and none on the
others'. scikit-learn's loop is compiled (Cython); ``tol=None`` makes it do all passes. The NumPy
loop is the rule as a student writes it. The others fit a few data sets a burst and are scaled up.
Contestants take turns; a second, identical copy of ours shows the machine's noise.

Command: python -m benchmarks perceptron [--rounds N] [--json FILE]
"""

import jax
import numpy as np
import optax

from benchmarks.timing import (
    Burst,
    command,
    compiled_program,
    device_name,
    interleave,
    spread,
    write_json,
)
from jaxdl import Study, models, tasks
from jaxdl.reporting.tables import Table
from jaxdl.sampling import seed_key

FITS, EPOCHS, POINTS = 10_000, 100, 160
LANE_SIZE = 512  # measured best: a step is so small that its kernels want many lanes
RATE = 0.01
TASK = tasks.gaussians(((-3.0, 0.0), (3.0, 0.0)), 2.0)


def ours() -> Burst:
    """Makes a burst of whole fits, data drawn included, in the engine's own compiled program."""
    study = Study(
        task=TASK,
        model=models.perceptron(),
        optimizer=optax.sgd(RATE),
        batch_size=1,
        sampling="epoch",
        reduction="sum",
        steps=EPOCHS * POINTS,
        eval_every=POINTS,
        lane_size=LANE_SIZE,
    )
    compiled = compiled_program(study)
    end = np.int32(EPOCHS * POINTS + 1)
    seeds = np.arange(compiled.lanes, dtype=np.uint32)

    def burst() -> float:
        lane, dataset = compiled.init(seeds, {}, None)
        jax.block_until_ready(compiled.segment(lane, dataset, seeds, {}, np.int32(0), end))
        return compiled.lanes

    return burst


def points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a data set as scikit-learn wants it: (n, 2) float64 and (n,)."""
    data = TASK.data(seed_key(seed))
    x = np.asarray(data.train_x, float).T
    return np.ascontiguousarray(x), np.asarray(data.train_targets)


def scikit_learn(fits: int = 100) -> Burst:
    """Makes a burst of `fits` calls of Perceptron.fit."""
    from sklearn.linear_model import Perceptron

    sets = [points(seed) for seed in range(10)]

    def burst() -> float:
        for number in range(fits):
            x, y = sets[number % len(sets)]
            Perceptron(max_iter=EPOCHS, tol=None, eta0=RATE, random_state=number).fit(x, y)
        return fits

    return burst


def numpy_loop(fits: int = 2) -> Burst:
    """Makes a burst of `fits` runs of the rule, a point at a time."""
    sets = [points(seed) for seed in range(fits)]

    def burst() -> float:
        for number, (x, y) in enumerate(sets):
            fit_in_numpy(x, y, number)
        return fits

    return burst


def fit_in_numpy(x: np.ndarray, y: np.ndarray, seed: int) -> None:
    """Runs the rule on points (n, 2) with labels -1 and 1."""
    generator = np.random.default_rng(seed)
    weight, bias = np.zeros(2), 0.0
    for _ in range(EPOCHS):
        for row in generator.permutation(POINTS):
            if y[row] * (np.dot(weight, x[row]) + bias) <= 0:
                weight += RATE * y[row] * x[row]
                bias += RATE * y[row]


def main(arguments: list[str]) -> None:
    options = command("perceptron", __doc__).parse_args(arguments)
    contestants = {
        "jaxdl": ours(),
        "twin": ours(),
        "scikit-learn": scikit_learn(),
        "numpy": numpy_loop(),
    }
    rates = interleave(contestants, options.rounds)
    seconds = {name: FITS / rate for name, rate in rates.items()}
    ratios = {name: rates["jaxdl"] / rate for name, rate in rates.items()}
    rows = []
    for name in rates:
        faster = "-" if name == "jaxdl" else spread(ratios[name])
        rows.append((name, spread(seconds[name]), faster))
    title = (
        f"{FITS} perceptrons, {EPOCHS} epochs of {POINTS} points, on {device_name()}, "
        f"{options.rounds} rounds in turns"
    )
    print(Table(title, ("who", "seconds: median [min, max]", "jaxdl is faster by"), tuple(rows)))
    if options.json:
        figures = {
            name: {"seconds": seconds[name].tolist(), "ratio": ratios[name].tolist()}
            for name in rates
        }
        write_json(options.json, contestants=figures)
