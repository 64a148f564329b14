"""How surely does a one-unit convolution learn to tell the sides of a line?

Protocol: a student report's (`references.R3`): dense(2 -> 1), tanh, a 1-D convolution over that
sequence of length 1 (kernel 1, one channel), tanh again on the output, binary cross-entropy of it
as a logit, Adam at rate 0.1, 2000 epochs of the full batch; 100 points of the unit square drawn
anew for every seed, class 1 where x1 > x2, training set = test set. It does not state the initial
weights: standard normal with zero biases as in its other networks, and PyTorch's default, are run;
--sweep bias=True,False adds no biases.

Command: python -m experiments conv1d_linear
Time: 20 seconds on 2 CPU cores at the default 500 seeds
Expected: 99.4 % [98.3, 99.8] of 500 seeds reach 100 % from normal weights, 99.8 % [98.9, 100] from
PyTorch's.
"""

import optax

from experiments.columns import accuracy, solved
from experiments.convolution import convolution
from experiments.drawing import labels_of
from experiments.figures import Panel, curves
from experiments.frame import Experiment, Run
from experiments.references import R3
from experiments.request import Request, Size
from experiments.unit_square import linear
from jaxdl import Study
from jaxdl.layers import normal

# By label, because a scheme is a function and a swept value must have a name.
INITS = {"normal": normal(1.0), "torch": "torch"}


def study(request: Request) -> Study:
    """Builds the study of initial weights."""
    return Study(
        task=lambda hp: linear(hp.samples),
        model=lambda hp: convolution(2, init=INITS[hp.init], bias=hp.bias),
        optimizer=lambda hp: optax.adam(hp.learning_rate),
        defaults=request.defaults,
        sweep=request.sweep,
        **request.study,
    )


def shares_solved(run: Run) -> str:
    """Says which share of seeds has every point right at the end."""
    labels = labels_of(run.result.configs)
    shares = [row["solved"]["share"] for row in run.rows]
    words = [f"{label} {share:.0%}" for label, share in zip(labels, shares, strict=True)]
    return f"The convolution's seeds at 100 % after training: {', '.join(words)}"


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R3,),
    sweep={"learning_rate": [0.1], "init": list(INITS)},
    defaults={"bias": True, "samples": 100},
    allowed={"init": INITS},
    full=Size(seeds=500, steps=2000, eval_every=40),
    quick=Size(seeds=16, steps=200, eval_every=20),
    studies={"": study},
    titles={"": "A one-unit convolution on the line."},
    columns=[accuracy(published=R3.convolution), solved()],
    figures={
        "accuracy": curves(
            Panel("test_accuracy", "accuracy (100 points)"),
            Panel("test_accuracy", "share of seeds with every point right", share=1.0),
            x="epoch",
            headline=shares_solved,
        ),
    },
)
