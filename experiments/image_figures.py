"""Draws what the experiments on images show: recognised classes, confusions, overfitting."""

import numpy as np

from experiments.columns import described
from experiments.drawing import heat_map, labels_of, median_lane
from experiments.figures import Panel, curves, title_of
from experiments.frame import Run
from experiments.images import CLASSES, names_of, recall, shared_images
from jaxdl import plots

SHOWN = 24  # misclassified images
ACROSS = 8
FIGURED = 4  # configs in a figure that has a panel each


def steps_of_epoch(run: Run):
    """Makes what tells how many steps a config takes for all training images."""
    images = shared_images(run).train_x.shape[-1]
    return lambda config: -(-images // run.request.settings(config)["batch_size"])


def ends(run: Run) -> str:
    """Says between which medians the curves end."""
    medians = [run.result.summary("test_accuracy", config).median for config in run.result.configs]
    low, high = min(medians), max(medians)
    if len(medians) == 1:
        return f"Final median test accuracy: {high:.1%}"
    return f"Final median test accuracy: {low:.1%} to {high:.1%} under {len(medians)} protocols"


def by_epoch(*panels: Panel):
    """Makes the drawer of curves over epochs, a row of panels a batch size."""

    def draw(run: Run):
        unit = steps_of_epoch(run)
        return curves(*panels, groups=by_batch_size, x="epoch", unit=unit, headline=ends)(run)

    return draw


def by_batch_size(run: Run) -> dict[str, list[dict]]:
    """Groups the configs by batch size, for a row of panels each."""
    groups: dict[str, list[dict]] = {}
    for config in run.result.configs:
        groups.setdefault(f"batches of {config['batch_size']}", []).append(config)
    return groups


ACCURACY = by_epoch(
    Panel("train_accuracy", "train accuracy"),
    Panel("test_accuracy", "test accuracy"),
)
LOSS = by_epoch(
    Panel("train_loss", "train loss, nats", False, log=True),
    Panel("test_loss", "test loss, nats", False, log=True),
    Panel("grad_norm_mean", "mean gradient norm", False, log=True, recorded=True),
)


def gaps(run: Run):
    """Draws how far the training accuracy is above the test accuracy, a box a config."""
    configs = run.result.configs
    figure, axes = plots.figure(width=max(6.0, 1.3 * len(configs)), height=4.6)
    axis = axes[0, 0]
    values = []
    for config in configs:
        lanes = run.lanes(config)
        gap = lanes.final("train_accuracy") - lanes.final("test_accuracy")
        # A lane that has diverged overfits nothing.
        values.append(np.where(lanes.diverged, np.nan, gap))
    plots.distributions(axis, values, labels_of(configs), plots.colours(len(configs)))
    axis.tick_params(axis="x", labelrotation=20)
    axis.axhline(0.0, color="black", linewidth=1, linestyle=":")
    title = f"Training above test accuracy at the end (n={len(values[0])} seeds)"
    plots.style(axis, title, "", "training minus test accuracy")
    return figure


def recalls(run: Run):
    """Draws the share of each class that is recognised, median and middle 90 % of the seeds."""
    result, configs = run.result, run.result.configs[:FIGURED]
    dataset, names = shared_images(run), names_of(run)
    figure, axes = plots.figure(width=9.0, height=4.6)
    axis = axes[0, 0]
    width = 0.8 / len(configs)
    looks = zip(configs, labels_of(configs), plots.colours(len(configs)), strict=True)
    for number, (config, label, colour) in enumerate(looks):
        shares = np.nan_to_num(recall(result, dataset, config), nan=0.0)
        low, median, high = np.quantile(shares, [0.05, 0.5, 0.95], axis=0)
        places = np.arange(CLASSES) + (number - (len(configs) - 1) / 2) * width
        axis.bar(places, median, width, color=colour, alpha=0.6, label=label)
        axis.errorbar(
            places,
            median,
            [median - low, high - median],
            fmt="none",
            ecolor="black",
            capsize=2,
        )
    axis.set_xticks(range(CLASSES), names, rotation=20)
    axis.legend(fontsize=plots.FONT - 2)
    n = len(result.rows(configs[0]))
    # Of one config, the first: a title that names all of them is not read.
    middle = np.nanmedian(recall(result, dataset, configs[0]), axis=0)
    hardest, easiest = int(np.nanargmin(middle)), int(np.nanargmax(middle))
    finding = f"Hardest {names[hardest]} ({middle[hardest]:.0%}), easiest {names[easiest]}"
    spread = f"median and middle 90 % of n={n} seeds"
    words = f"{finding} ({middle[easiest]:.0%}); {labels_of(configs)[0]}"
    title = title_of(run, lambda run: words, spread)
    plots.style(axis, title, "class", "share of its test images")
    return figure


def shows_lanes(run: Run) -> bool:
    """Tells whether lanes may be trained again for a figure: a quick run of CIFAR-10 has no time
    for it."""
    return not (run.request.quick and run.request.defaults["dataset"] == "cifar10")


def best_config(run: Run) -> dict:
    """Gives the config with the highest median test accuracy."""
    medians = [run.result.summary("test_accuracy", config).median for config in run.result.configs]
    return run.result.configs[int(np.argmax(medians))]


def confusion(run: Run):
    """Draws how often the median lane of the best config takes one class for another, and some of
    the images that it gets wrong."""
    if not shows_lanes(run):
        return None
    config = best_config(run)
    lane = median_lane(run.studies[run.name], run.result, config)
    dataset, names = lane.dataset, names_of(run)
    # In parts: all images at once would fill the memory.
    parts = np.array_split(np.asarray(dataset.test_x), -(-dataset.test_x.shape[-1] // 500), axis=-1)
    predicted = np.concatenate([np.asarray(lane.classes(part)) for part in parts])
    targets = np.asarray(dataset.test_targets)
    # The config was chosen by these very images, which flatters it: so it is named.
    label = f"{described(config)}: the best median; seed {lane.seed}, the median of {lane.of}"
    return {
        "": draw_confusion(predicted, targets, names, label),
        "_images": draw_wrong(np.asarray(dataset.test_x), predicted, targets, names, label),
    }


def draw_confusion(predicted, targets, names, label: str):
    """Draws the share of each class's images that are taken for each class.

    Args:
      predicted, targets: class numbers, (images,).
      names: of the classes.
      label: says of which lane.
    """
    counts = np.zeros((CLASSES, CLASSES))
    np.add.at(counts, (targets, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plots.figure(width=8.0, height=7.0)
    axis = axes[0, 0]
    cells = {
        (row, column): (shares[row, column], f"{100 * shares[row, column]:.0f}")
        for row, column in np.ndindex(shares.shape)
    }
    heat_map(axis, cells, range(CLASSES), range(CLASSES))
    axis.set_xticks(range(CLASSES), names, rotation=45)
    axis.set_yticks(range(CLASSES), names)
    mistaken = shares - np.diag(np.diag(shares))
    true, taken = np.unravel_index(np.argmax(mistaken), mistaken.shape)
    finding = f"{names[true]} is taken for {names[taken]} in {mistaken[true, taken]:.0%} of cases"
    title = f"{finding}\n% of each class's test images, n={len(targets)} images; {label}"
    plots.style(axis, title, "predicted class", "true class")
    return figure


def draw_wrong(images, predicted, targets, names, label: str):
    """Draws the first misclassified images, each with its class and what it was taken for.

    Args:
      images: (channels, height, width, images), uint8.
      predicted, targets, names, label: see `draw_confusion`.
    """
    wrong = np.flatnonzero(predicted != targets)
    shown = wrong[:SHOWN]
    down = max(1, -(-len(shown) // ACROSS))
    figure, axes = plots.figure(down, ACROSS, width=1.5, height=1.9)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, place in zip(axes.flat, shown, strict=False):
        picture = images[..., place].transpose(1, 2, 0)
        # One channel is drawn in greys, three as they are.
        axis.imshow(picture.squeeze(), cmap="gray" if picture.shape[-1] == 1 else None)
        words = f"{names[targets[place]]}\nas {names[predicted[place]]}"
        axis.set_title(words, fontsize=plots.FONT - 2)
    share = len(wrong) / len(targets)
    title = f"{len(wrong)} of {len(targets)} test images ({share:.1%}) are taken for another class"
    figure.suptitle(f"{title}\n{label}", fontsize=plots.FONT)
    return figure


FIGURES = {
    "accuracy": ACCURACY,
    "loss": LOSS,
    "gap": gaps,
    "recall": recalls,
    "confusion": confusion,
}
