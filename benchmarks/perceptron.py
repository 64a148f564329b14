"""How long does a perceptron take, of thousands at once, against scikit-learn's and NumPy's?

The online rule on 160 points of two overlapping normals (variance 2, distance 6), 100 shuffled
passes, a data set of its own each, an evaluation after every pass on our side and none on the
others'. scikit-learn's loop is compiled (Cython); ``tol=None`` makes it do all passes. The NumPy
loop is the rule as a student writes it. What is timed is a fit: times 10,000, in ms, it is ten
seconds.

Command: python -m benchmarks perceptron
"""

import numpy as np
import optax

from benchmarks.harness import Benchmark, Case, Contestant, Quick, Setting
from benchmarks.timing import Burst, compiled_program, repeated
from jaxdl import Study, models, tasks
from jaxdl.running import engine
from jaxdl.sampling import seed_key

EPOCHS, POINTS, SETS = 100, 160, 10
LANE_SIZE = 512  # measured best: a step is so small that its kernels want many lanes
RATE = 0.01
TASK = tasks.gaussians(((-3.0, 0.0), (3.0, 0.0)), 2.0)


def ours(case: Case, setting: Setting) -> Burst:
    """Makes a burst of whole fits by the engine, data drawn included."""
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
    program = study.plan().programs[0]
    lanes = [(program.configs[0], seed) for seed in range(compiled.lanes)]
    # One segment from the first step to the last.
    hooks = engine.Hooks(length=lambda: EPOCHS * POINTS + 1)

    def fit():
        # Data are drawn here, which the others are spared: it is part of a study.
        engine.run_block(study.spec, program, compiled, lanes, hooks)

    return repeated(fit, setting.seconds, units=compiled.lanes)


def points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a data set as scikit-learn wants it: (n, 2) float64 and (n,)."""
    data = TASK.data(seed_key(seed))
    x = np.asarray(data.train_x, float).T
    return np.ascontiguousarray(x), np.asarray(data.train_targets)


def scikit_learn(case: Case, setting: Setting) -> Burst:
    """Makes a burst of calls of Perceptron.fit."""
    from sklearn.linear_model import Perceptron

    # A few sets in turn: drawing them is no part of what is timed.
    sets = [points(seed) for seed in range(SETS)]
    number = 0

    def fit():
        nonlocal number
        number += 1
        x, y = sets[number % SETS]
        Perceptron(max_iter=EPOCHS, tol=None, eta0=RATE, random_state=number).fit(x, y)

    return repeated(fit, setting.seconds)


def numpy_loop(case: Case, setting: Setting) -> Burst:
    """Makes a burst of runs of the rule, a point at a time."""
    x, y = points(0)
    return repeated(lambda: fit_in_numpy(x, y, 0), setting.seconds)


def fit_in_numpy(x: np.ndarray, y: np.ndarray, seed: int) -> None:
    """Runs the rule on points (n, 2) with labels -1 and 1."""
    generator = np.random.default_rng(seed)
    weight, bias = np.zeros(2), 0.0
    for _ in range(EPOCHS):
        for row in generator.permutation(POINTS):
            if y[row] * (np.dot(weight, x[row]) + bias) <= 0:
                weight += RATE * y[row] * x[row]
                bias += RATE * y[row]


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="fit",
    cases=[{}],
    contestants={
        "jaxdl": Contestant(ours, ours=True),
        "scikit-learn": Contestant(scikit_learn),
        "numpy": Contestant(numpy_loop),
    },
    quick=Quick(seconds=0.1),
    scale=("ms", 1e3),
)
