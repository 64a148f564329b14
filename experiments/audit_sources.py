"""Says for every printed table where the seeds are that its numbers are placed among."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.references import PRINTED, Printed

DATA = ("samples", "noise")  # part of the reports' own protocols wherever they are swept


class Source(NamedTuple):
    """Where the seeds of a printed table come from.

    Attributes:
      parts: what is run for it (`audit_parts.PARTS`); for times and images, what stands in place
        of that.
      readings: what the number may mean in words -> the column whose entry it is placed in, with a
        dot before a part of the entry.
      better: whether higher is better; None where no end is.
      studies: the studies of the part; all of them if none are named.
      stated: hyper-parameter -> the value that the report states, of what is swept; "reading" too.
      group: tables that come from the same networks, and so from one protocol; its own alone if
        not given.
      steps: the updates that the number is of, where they are not all.
      family: names whose values make tables of their own: such cells are judged together.
    """

    parts: tuple[str, ...]
    readings: Mapping[str, str]
    better: bool | None = True
    studies: tuple[str, ...] = ()
    stated: Mapping[str, Any] = {}
    group: str = ""
    steps: int | None = None
    family: tuple[str, ...] = ()


RATE = {"learning_rate": 0.01}
ACCURACY = {"": "test_accuracy"}
MEANS = {"a single run": "test_accuracy", "a mean of 20 runs": "test_accuracy.means"}
OF_MEANS = {"reading": "a mean of 20 runs"}
EXAMPLE: dict = {"parts": ("separability",), "studies": ("groups",), "group": "example"}
BATCHES: dict = {"parts": ("batch_size",), "stated": RATE, "group": "batch size"}
R1_MLP: dict = {
    "parts": ("moons_mlp",),
    "studies": ("R1", "R1_variants"),
    "stated": RATE,
    "group": "MLP",
}
R4_MLP: dict = {"parts": ("moons_mlp",), "studies": ("R4", "R4_variants"), "group": "MLP"}
R4_SGD: dict = {"parts": ("sgd_vs_bgd",), "studies": ("sgd",), "group": "SGD"}
SETTLES = {
    "accuracy": "test_accuracy_settles",
    "loss": "train_loss_settles",
}
LEAVES = {"first at 60 %": "steps_to_60", "loss within 1 % of its start": "plateau"}
IMAGES = {
    f"CIFAR-10 {name.upper()}: {split} {quantity}": Source(
        (f"cifar_{name}",),
        {"": f"{split}_{quantity}"},
        quantity == "accuracy",
        stated={"variant": "listed"},
        group=name,
    )
    for name in ("mlp", "cnn")
    for split in ("train", "test")
    for quantity in ("accuracy", "loss")
}
# (report, table) -> where its seeds are.
SOURCES: dict[tuple[str, str], Source] = {
    ("R1", "perceptron: train accuracy"): Source(readings={"": "train_accuracy"}, **EXAMPLE),
    ("R1", "perceptron: epochs to that"): Source(
        readings={"": "epochs_to_all_right"}, better=False, **EXAMPLE
    ),
    **{
        ("R1", f"perceptron, final weights: {name}"): Source(
            readings={"": name}, better=None, **EXAMPLE
        )
        for name in ("weight_1", "weight_2", "bias")
    },
    ("R1", "perceptron, sweeps: test accuracy"): Source(
        ("separability",), MEANS, True, ("sweeps",), OF_MEANS, "separability"
    ),
    ("R1", "perceptron, groups: test accuracy"): Source(
        ("separability",), MEANS, True, ("groups",), OF_MEANS, "separability"
    ),
    ("R1", "MLP: test accuracy"): Source(
        readings={"1500 steps": "test_accuracy", "1000 steps": "test_accuracy_at_1000"}, **R1_MLP
    ),
    ("R1", "MLP: steps to all training points"): Source(
        readings={"": "train_steps_to_100"}, better=False, **R1_MLP
    ),
    ("R1", "batch size: test accuracy"): Source(readings=ACCURACY, **BATCHES),
    ("R1", "batch size: steps to 90 %"): Source(
        readings={"": "steps_to_90"}, better=False, **BATCHES
    ),
    ("R1", "batch size: seconds"): Source(("times",), {}, False),
    ("R1", "batch size: final loss"): Source(readings={"": "final_loss"}, better=False, **BATCHES),
    ("R1", "batch size 1: least batch loss"): Source(
        readings={"": "min_batch_loss"}, better=False, **BATCHES
    ),
    ("R1", "batch size 1: largest batch loss"): Source(
        readings={"": "max_batch_loss"}, better=False, **BATCHES
    ),
    ("R2", "perceptron: test accuracy"): Source(("perceptron_grid",), ACCURACY, True, ("r2",)),
    ("R2", "MLP: steps until it settles"): Source(
        ("moons_mlp",), SETTLES, False, ("R2", "R2_variants"), RATE
    ),
    ("R3", "tables 1 to 5: accuracy"): Source(
        ("xor_full_batch", "xor_one_by_one"),
        ACCURACY,
        group="networks",
        family=("data", "activation", "optimizer"),
    ),
    ("R3", "base run: accuracy"): Source(
        ("xor_full_batch", "xor_one_by_one"), ACCURACY, group="networks"
    ),
    ("R3", "convolution: accuracy"): Source(("convolution",), ACCURACY),
    ("R4", "perceptron: test accuracy"): Source(
        ("perceptron_grid",), ACCURACY, True, ("r4",), {"rule": "majority", "bias": False}
    ),
    ("R4", "MLP: test accuracy"): Source(readings=ACCURACY, **R4_MLP),
    ("R4", "MLP: summed loss at the start"): Source(
        readings={"": "summed_loss_start"}, better=None, steps=0, **R4_MLP
    ),
    ("R4", "MLP: steps on the plateau"): Source(readings={"": "plateau"}, better=False, **R4_MLP),
    ("R4", "MLP: summed loss at the end"): Source(
        readings={"": "summed_loss_end"}, better=False, **R4_MLP
    ),
    ("R4", "SGD: test accuracy after 1500 steps"): Source(
        readings={"": "test_accuracy_at_1500"}, steps=1500, **R4_SGD
    ),
    ("R4", "SGD: steps near 50 %"): Source(readings=LEAVES, better=False, **R4_SGD),
    ("R4", "SGD: test accuracy after 45,000 steps"): Source(readings=ACCURACY, **R4_SGD),
    ("R5", "MLP in NumPy: test accuracy"): Source(
        ("frameworks",), {}, stated={"framework": "NumPy"}
    ),
    ("R5", "MLP in PyTorch: test accuracy"): Source(
        ("frameworks",), {}, stated={"framework": "PyTorch"}
    ),
    **{("R5", table): source for table, source in IMAGES.items()},
    ("R5", "palindromes, length 5: accuracy"): Source(("palindrome_5",), ACCURACY),
    ("R5", "palindromes by length: accuracy"): Source(
        ("palindrome_length", "clipping"), ACCURACY, stated={"clip": 10.0}
    ),
}


def tables_in_groups() -> list[list[tuple[Printed, Source]]]:
    """Lists the printed tables, those together that come from the same networks."""
    groups: dict[tuple[str, str], list[tuple[Printed, Source]]] = {}
    for printed in PRINTED:
        report = printed.numbers.report
        source = SOURCES[report, printed.table]
        groups.setdefault((report, source.group or printed.table), []).append((printed, source))
    return list(groups.values())
