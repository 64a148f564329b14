"""Which learning rates, widths, activations and optimizers learn XOR and a line, and how surely?

Protocol: a student report's tables 1 to 5 (`references.R3`), on both data sets: networks 2 - h - h
- 1 with the activation after the first two layers, standard normal weights, zero biases, binary
cross-entropy of the logit, 2000 epochs, training set = test set. XOR: the report's 21 points, the
same for all seeds; line: 100 points drawn anew for every seed. Full batch and trained biases; what
the report leaves open (one example a step in shuffled passes; no trained bias) is run with 20
seeds, to ask under which protocol its 300 numbers are likely. Mean squared error, which it built
too, is run with the same 20 seeds beside cross-entropy, all else equal. --sweep batch=full leaves
out the slow variants; with --sweep bias=True --sweep loss=bce too, the grid alone is run. --steps
and --eval-every count epochs.

Command: python -m experiments xor_grid
Time: 26 minutes on 2 CPU cores; the grid alone takes 4 to 7 of them (see Protocol)
Expected: R3's 300 numbers are likeliest one example a step without trained biases, by 69 [54, 83]
nats over trained ones and 263 [247, 312] over the full batch (n=20 seeds); under the full batch 4
units with tanh at rate 0.1 solve XOR for 92 of 100 seeds.
"""

from experiments.columns import accuracy, solved
from experiments.figures import Panel, curves
from experiments.frame import Experiment
from experiments.references import R3
from experiments.request import Request, Size
from experiments.xor_claims import claims
from experiments.xor_figures import (
    base_groups,
    base_run,
    best_medians,
    grid_maps,
    likeliest_base_run,
    likeliest_maps,
)
from experiments.xor_likelihood import likelihoods
from experiments.xor_losses import losses_beside
from experiments.xor_networks import ALLOWED, DATA, LOSSES, PROTOCOL, epoch_steps, networks_study
from experiments.xor_tables import grid_tables
from jaxdl import Study

VARIANT_SEEDS = 20


def configs(request: Request) -> tuple[list[dict], list[dict]]:
    """Gives the configs of the grid, and of its variants.

    The grid has the first value of everything that R3 leaves open. Another loss is run as the grid
    is, not under the other protocols too.
    """
    every = request.product(*request.sweep)
    if not request.given & {"activation", "optimizer"}:
        every = [each for each in every if (each["activation"], each["optimizer"]) in R3.pairs]
    usual = {name: request.sweep[name][0] for name in PROTOCOL}
    as_grid = {name: value for name, value in usual.items() if name != "loss"}
    grid, variants = [], []
    for config in every:
        if {**config, **usual} == config:
            grid.append(config)
        elif config["loss"] == usual["loss"] or {**config, **as_grid} == config:
            variants.append(config)
    # The variants of one example a step are most of the time.
    if request.quick and "data" not in request.given:
        variants = [config for config in variants if config["data"] == "xor"]
    return grid, variants


def grid_study(request: Request) -> Study:
    """Builds the grid."""
    grid, _ = configs(request)
    epochs = 300 if request.quick else R3.epochs
    return networks_study(request, grid, seeds=request.seeds, epochs=epochs, every=epochs // 50)


def variants_study(request: Request) -> Study | None:
    """Builds the variants, with fewer seeds; None where nothing is left open."""
    _, variants = configs(request)
    seeds = min(request.seeds, VARIANT_SEEDS)
    epochs = 300 if request.quick else R3.epochs
    if not variants:
        return None
    return networks_study(request, variants, seeds=seeds, epochs=epochs, every=epochs // 10)


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R3,),
    sweep={
        "data": list(DATA),
        "activation": ["sigmoid", "identity", "relu", "tanh"],
        "optimizer": ["sgd", "adam"],
        "learning_rate": R3.rates,
        "width": R3.widths,
        "loss": list(LOSSES),
        "bias": [True, False],
        "batch": ["full", "one"],
    },
    allowed=ALLOWED,
    full=Size(seeds=100),
    quick=Size(
        seeds=8,
        sweep={
            "activation": ["sigmoid", "identity"],
            "optimizer": ["sgd"],
            "learning_rate": [0.1, 0.01],
            "width": [1, 4, 16],
        },
    ),
    studies={"grid": grid_study, "variants": variants_study},
    columns=[accuracy(published=R3.tables), solved()],
    make_tables=grid_tables,
    figures={
        "": grid_maps,
        "curves": curves(
            Panel("test_accuracy", "accuracy"),
            Panel("train_loss", "loss", higher_is_better=False, log=True),
            groups=base_groups,
            x="epoch",
            unit=lambda config: epoch_steps(config["data"], config["batch"]),
            headline=best_medians,
        ),
        "base_run": base_run,
        "likeliest_": likeliest_maps,
        "likeliest_base_run": likeliest_base_run,
    },
    measurements={"losses": losses_beside},
    conclusions={"claims": claims, "likelihoods": likelihoods},
)
