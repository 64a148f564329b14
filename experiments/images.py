"""Builds what the experiments on images share: task, optimizer, study and columns."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from experiments.columns import (
    Column,
    Lanes,
    accuracy,
    constant,
    described,
    distribution,
    mean_and_sd,
)
from experiments.frame import Finding, Run
from experiments.image_training import optimizer_of
from experiments.references import Numbers
from experiments.request import Request
from jaxdl import Metric, Study, augment, losses, stats, tables, tasks, train
from jaxdl.checks import one_of
from jaxdl.data.cifar10 import CLASSES as CIFAR10_NAMES
from jaxdl.types import Dataset, Model, Task

CLASSES = 10
# Those of the request that a study has no hyper-parameter for.
NOT_TRAINED_WITH = ("dataset", "epochs")
# Evaluated of the training images: all 45,000 of CIFAR-10 cost as much as 110 steps.
TRAINING_ROWS = 5000
# Pixels that a random crop may move. Handwritten digits fill their 8x8.
PADDINGS = {"digits": 1, "cifar10": 4}
FLIPPED = ("cifar10",)  # a mirrored digit is another sign
# What every experiment on images may change by a variant or by --sweep.
DEFAULTS = {
    "dataset": "digits",
    "epochs": 30,
    "optimizer": "adam",
    "schedule": "constant",
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "warmup": 0.0,  # share of the run in which the rate rises
    "clip": None,  # largest norm of a gradient
    "smoothing": 0.0,
    "dropout": 0.0,
    "augment": True,
    "padding": None,  # of the random crop, where it is not the data set's usual one
    "scale": 1.0,  # times the report's number of units or channels
}


def settings_of(hp, request: Request, variants: Mapping[str, Mapping]) -> SimpleNamespace:
    """Gives the hyper-parameters of a config, those of its variant in the place of the defaults."""
    own = variants[one_of("variant", hp.variant, variants)]
    names = {*request.defaults, *request.sweep} - {"variant", "batch_size", *NOT_TRAINED_WITH}
    plain = {name: getattr(hp, name) for name in sorted(names)}
    return SimpleNamespace(**{**plain, **own})


def unswept(variants: Mapping[str, Mapping], request: Request) -> dict[str, dict]:
    """Leaves out of each variant what is swept: a swept value always counts."""
    return {name: request.unswept(**own) for name, own in variants.items()}


def right_in_class(index: int) -> Callable:
    """Makes the metric that is 1 for an image of a class that is recognised, else 0."""

    def right(outputs, targets):
        of_class = targets == index
        return ((outputs.argmax(axis=0) == index) & of_class).astype(jnp.float32)

    return right


def task_of(request: Request) -> Task:
    """Reads the images, with the share of right images of each class among the metrics."""
    task = tasks.images(request.defaults["dataset"], data_dir=request.data_dir)
    by_class = {
        f"right_{number}": Metric(right_in_class(number), True) for number in range(CLASSES)
    }
    return task._replace(metrics={**task.metrics, **by_class}, augment=None)


def augmentation(chosen: SimpleNamespace, dataset: str) -> Callable:
    """Makes a random crop, and a flip where a mirrored image is one of the same class."""
    padding = PADDINGS[dataset] if chosen.padding is None else chosen.padding
    moved = augment.crop(padding=padding)
    return augment.compose(moved, augment.flip()) if dataset in FLIPPED else augment.compose(moved)


def varied(task: Task, chosen: SimpleNamespace, dataset: str) -> Task:
    """Gives the task of a config: with augmentation and smoothed labels where it says so."""
    if chosen.augment:
        task = task._replace(augment=augmentation(chosen, dataset))
    if not isinstance(chosen.smoothing, float) or chosen.smoothing > 0:
        task = task._replace(loss=losses.smoothed_cross_entropy(chosen.smoothing))
    return task


def image_study(
    request: Request,
    model: Callable[[SimpleNamespace, tuple[int, int, int]], Model],
    variants: Mapping[str, Mapping],
    task: Task | None = None,
    evaluations: int = 50,
) -> Study:
    """Builds a study on images: shuffled epochs, with an evaluation after every few of them.

    Args:
      model: (settings, (channels, height, width)) -> the network.
      variants: name -> the hyper-parameters in which it differs from the defaults.
      task: what `task_of` has read, where it is at hand.
      evaluations: about so many, at most one an epoch.
    """
    task = task_of(request) if task is None else task
    variants = unswept(variants, request)

    def chosen(hp) -> SimpleNamespace:
        return settings_of(hp, request, variants)

    dataset, epochs = request.defaults["dataset"], request.defaults["epochs"]
    *inputs, rows = task.data.train_x.shape

    def steps_of_epoch(hp) -> int:
        return -(-rows // hp.batch_size)

    every = max(1, epochs // evaluations)
    lengths = {
        "steps": lambda hp: epochs * steps_of_epoch(hp),
        "eval_every": lambda hp: every * steps_of_epoch(hp),
    }
    named = {
        name: value for name, value in request.defaults.items() if name not in NOT_TRAINED_WITH
    }
    return Study(
        task=lambda hp: varied(task, chosen(hp), dataset),
        model=lambda hp: model(chosen(hp), tuple(inputs)),
        optimizer=lambda hp: optimizer_of(chosen(hp), steps_of_epoch(hp), epochs),
        defaults=named,
        sweep=request.sweep,
        sampling="epoch",
        eval_train_rows=min(rows, TRAINING_ROWS),
        record={"grad_norm": train.gradient_norm},
        **{**lengths, **request.study},
    )


# --- columns ---------------------------------------------------------------------------------


def overfitting() -> Column:
    """Describes by how much the training accuracy is above the test accuracy, lane by lane."""

    def value(lanes: Lanes) -> dict:
        gap = lanes.final("train_accuracy") - lanes.final("test_accuracy")
        summary = stats.summarise(gap, lanes.diverged, higher_is_better=False)
        return {"mean": summary.mean, "sd": summary.sd, "mean_interval": summary.mean_interval}

    cells = {
        "gap": lambda entry, row: mean_and_sd(entry),
        "95 % interval": lambda entry, row: tables.cell(entry["mean_interval"]),
    }
    return Column("gap", value, cells, "gap: training minus test accuracy, mean (sd)")


def loss_of(split: str, published=None) -> Column:
    """Describes the loss of a split at the end."""
    metric = f"{split}_loss"
    number = (
        (lambda lanes: None) if published is None else (lambda lanes: published(lanes.settings))
    )
    return Column(
        metric,
        lambda lanes: distribution(lanes, metric, False, number(lanes)),
        {f"{split} loss": lambda entry, row: entry["median"]},
        f"{split} loss: median, nats",
    )


def settings_column(name: str) -> Column:
    """Gives a setting of the whole run, in JSON alone."""
    return constant(name, lambda lanes: lanes.settings[name])


def shared_images(run: Run) -> Dataset:
    """Gives the images that all lanes share."""
    return run.studies[run.name].recipe(run.result.configs[0]).task.data


def names_of(run: Run) -> list[str]:
    """Gives the names of the classes."""
    if run.request.defaults["dataset"] == "cifar10":
        return list(CIFAR10_NAMES)
    return [str(digit) for digit in range(CLASSES)]


def describe_images(run: Run) -> Finding:
    """Adds to every row how many images there were."""
    dataset = shared_images(run)
    counts = {
        "train_images": dataset.train_x.shape[-1],
        "test_images": dataset.test_x.shape[-1],
    }
    name = run.request.defaults["dataset"]
    return Finding(
        counts,
        f"Images of {name}: {counts['train_images']} for training, {counts['test_images']} for the "
        f"test; {run.request.defaults['epochs']} epochs.",
        additions=[(config, counts) for config in run.result.configs],
    )


def overfit(run: Run) -> Finding:
    """Says how far training is above test accuracy, of the config that has most of it."""
    rows = [row for row in run.rows if row["survived"]]
    if not rows:
        return Finding(None, "Every lane has diverged.")
    most = max(rows, key=lambda row: row["gap"]["mean"])
    entry = most["gap"]
    config = {name: most[name] for name in run.result.axes}
    return Finding(
        entry["mean"],
        f"The largest gap between training and test accuracy is {entry['mean']:.3f} "
        f"{tables.cell(entry['mean_interval'])} ({described(config)}, n={most['n']}).",
    )


def image_columns(
    test_accuracy: Numbers | None = None,
    train_accuracy: Numbers | None = None,
    train_loss: Numbers | None = None,
    test_loss: Numbers | None = None,
) -> list[Column]:
    """Lists the columns of every experiment on images, with the numbers that were published."""
    return [
        accuracy(published=test_accuracy),
        accuracy("train_accuracy", label="train acc", published=train_accuracy),
        overfitting(),
        loss_of("train", train_loss),
        loss_of("test", test_loss),
        *map(settings_column, ("dataset", "epochs")),
    ]


def recall(result, dataset: Dataset, config: dict) -> np.ndarray:
    """Gives the share of each class's test images that are recognised, (seeds, classes)."""
    targets = np.asarray(dataset.test_targets)
    shares = [np.mean(targets == index) for index in range(CLASSES)]
    places = result.rows(config)
    right = [result.final(f"test_right_{index}")[places] for index in range(CLASSES)]
    return np.stack(right, axis=1) / np.array(shares)
