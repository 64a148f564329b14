"""Defines R1 to R5: the five student reports whose numbers the experiments ask about.

Each class is a report: its docstring says what it is and how it trained, in three lines; its
attributes are what it prints, as data. Accuracies are fractions. A report ran one seed where
nothing else is said.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple


class Numbers(NamedTuple):
    """Published numbers by the hyper-parameters that they are printed for; called with a config.

    Attributes:
      report: which one prints them.
      names: the hyper-parameters.
      values: their values -> the number.
      only: what else a config must be for the report to speak of it.

    >>> Numbers("R1", ("batch_size",), {(1,): 0.96})({"batch_size": 1, "learning_rate": 0.1})
    0.96
    """

    report: str
    names: tuple[str, ...]
    values: dict[tuple, float]
    only: Mapping[str, object] = {}

    def __call__(self, config: dict) -> float | None:
        """Looks up a config's number; None where the report prints none."""
        if {**config, **self.only} != config:
            return None
        return self.values.get(tuple(config.get(name) for name in self.names))


def by(report: str, name: str, values: dict) -> Numbers:
    """Makes the numbers of a table with one hyper-parameter."""
    return Numbers(report, (name,), {(value,): number for value, number in values.items()})


def of_moons(report: str, samples: int, noise: float, number: float) -> Numbers:
    """Makes the number of an MLP on moons; whatever else a config is, the report leaves open."""
    return Numbers(report, ("samples", "noise"), {(samples, noise): number})


class Reference:
    """A report."""


class R1(Reference):
    """A perceptron, a multi-layer perceptron and the effect of the batch size, in NumPy.

    Perceptron: 80 + 80 points of two normals, rate 0.01, zero start; the text says one point at a
    time, the listing sums over all wrong points. Numbers are means of 20 runs.
    MLP: 2-20-2 on 1000 points of two moons, SGD at rate 0.01, 1500 steps, an evaluation every 10.
    """

    moons = (500, 0.1)  # points and noise of its first MLP, 1000 or 1500 steps
    mlp_accuracy = of_moons("R1", *moons, 0.98)  # test
    mlp_perfect = of_moons("R1", *moons, 200)  # steps to all training points right, at most

    runs = 20  # that its perceptron's numbers average
    batch_size_accuracy = by("R1", "batch_size", {1: 0.96, 32: 0.98, 128: 0.99, 800: 0.99})
    steps_to_90 = by("R1", "batch_size", {1: 70, 32: 120, 128: 180, 800: 250})
    final_loss = by("R1", "batch_size", {1: 0.0832, 32: 0.0758, 128: 0.0657, 800: 0.0410})

    variance, distance = 0.5, 6.0  # the one while the other is swept
    sweeps = Numbers(
        "R1", ("distance", "variance"), {(0.5, variance): 0.575, (distance, 100.0): 0.675}
    )
    groups = ("normal", "close", "large variance", "example")
    group_accuracy = by("R1", "group", {0: 1.0, 1: 0.575, 2: 0.675, 3: 1.0})
    # Means of class +1 and of class -1. The printed weights of the example only come out with
    # the figure's first class labelled -1.
    means = (
        ((-3, 0), (3, 0)),
        ((0, 0), (0.3, 0.3)),
        ((-3, 0), (3, 0)),
        ((3.82, -0.95), (-2.41, 0.89)),
    )
    variances = (0.5, 0.3, 100.0)  # of the first three groups, spherical
    example_covariances = (
        ((0.88, -0.25), (-0.25, 1.16)),
        ((0.66, -0.08), (-0.08, 0.53)),
    )
    weights = {"weight_1": 1.874, "weight_2": -0.718, "bias": -0.80}  # of the example, final
    # Of the example too: all training points are right by that epoch.
    perceptron_train_accuracy = by("R1", "group", {3: 1.0})
    perceptron_epochs = by("R1", "group", {3: 3})
    batch_size_seconds = by("R1", "batch_size", {1: 0.4, 32: 0.5, 128: 0.6, 800: 6.8})
    least_batch_loss = by("R1", "batch_size", {1: 0.0003})
    largest_batch_loss = by("R1", "batch_size", {1: 3.8391})

    @staticmethod
    def always_converges(config: dict) -> float | None:
        """Tells 1 where the report claims that every data set is separated, else None."""
        distance, variance = config["distance"], config["variance"]
        far = variance == R1.variance and distance >= 6
        narrow = distance == R1.distance and variance <= 0.5
        return 1.0 if far or narrow else None


def _grid(means: list, covariances: list) -> dict[tuple, float]:
    """Maps (mean, covariance) to R2's test accuracy; a row is a mean."""
    rows = (
        (1.0, 1.0, 1.0, 1.0),
        (0.875, 1.0, 1.0, 1.0),
        (0.7, 0.35, 0.5, 0.5),
        (0.275, 0.65, 0.45, 0.5),
    )
    cells = itertools.product(means, covariances)
    return dict(zip(cells, itertools.chain(*rows), strict=True))


class R2(Reference):
    """A perceptron on two crossing lines of points, and an MLP on moons, in NumPy.

    Perceptron: means (m, m), (-m, -m), singular covariances of size c, 20 epochs, rate 0.01.
    Its listing has labels 0 and 1 beside predictions +1 and -1, and sums the gradient over the
    features. MLP: batches 1 to 500 of shuffled passes, 1500 steps at rate 0.01.
    """

    means = [20.0, 2.0, 0.2, 0.02]
    covariances = [10.0, 1.0, 0.1, 0.01]
    grid = Numbers("R2", ("mean", "variance"), _grid(means, covariances))

    moons = (1000, 0.0)  # points and noise of its MLP
    mlp_settles = of_moons("R2", *moons, 180)  # steps, of the accuracy and of the loss
    batch_sizes = [1, 10, 50, 200, 500]
    best_batch_size = 200


def _shares(printed: dict, points: dict, pairs, rates, widths) -> dict[tuple, float]:
    """Maps (data, activation, optimizer, rate, width) to the share of points right."""
    table: dict[tuple, float] = {}
    for data, tables in printed.items():
        for pair, rows in zip(pairs, tables, strict=True):
            for rate, row in zip(rates, rows, strict=True):
                # A row that ends early goes on with its last value.
                percents = row + row[-1:] * (len(widths) - len(row))
                for width, percent in zip(widths, percents, strict=True):
                    right = round(percent * points[data] / 100)
                    table[(data, *pair, rate, width)] = right / points[data]
    return table


# Accuracy in %: a table is a list of rates, each with its widths.
CHANCE = [52.38]
R3_PRINTED: dict[str, tuple] = {
    "xor": (
        (
            [52.38, 52.38, 100],
            [52.38, 52.38, 52.38, 85.71, 100],
            [52.38, 52.38, 52.38, 52.38, 57.14, 71.43],
            CHANCE,
            CHANCE,
        ),
        (
            CHANCE,
            CHANCE,
            [52.38, 52.38, 52.38, 52.38, 52.38, 61.90],
            CHANCE,
            [52.38, 61.90, 52.38, 66.67, 52.38],
        ),
        (
            [52.38, 76.19, 100],
            [52.38, 52.38, 100],
            [52.38, 52.38, 90.48, 100],
            [52.38, 52.38, 52.38, 52.38, 57.14, 80.95],
            [52.38, 52.38, 47.62, 52.38],
        ),
        (
            [52.38, 52.38, 100],
            [52.38, 76.19, 52.38, 100],
            [76.19, 76.19, 76.19, 100],
            [52.38, 85.71, 52.38, 76.19, 90.48, 95.24],
            [52.38, 52.38, 71.43, 71.43, 57.14, 80.95],
        ),
        (
            [76.19, 52.38, 100],
            [76.19, 90.48, 100],
            [52.38, 57.14, 85.71, 100],
            [52.38, 52.38, 66.67, 66.67, 85.71, 90.48],
            [52.38, 52.38, 52.38, 71.43, 57.14, 85.71],
        ),
    ),
    "linear": (
        (
            [54, 100],
            [54, 100],
            [54, 54, 96, 100, 99, 100],
            [54, 54, 54, 54, 85, 90],
            [54, 54, 54, 54, 63, 54],
        ),
        ([100], [100], [100], [54, 97, 97, 99, 100], [54, 94, 88, 90, 96, 99]),
        (
            [54, 54, 100],
            [54, 100, 100, 100, 100, 99],
            [54, 99, 100],
            [54, 96, 92, 100],
            [54, 54, 54, 66, 86, 94],
        ),
        (
            [54, 54, 100],
            [54, 54, 100],
            [54, 99, 100],
            [54, 54, 97, 99, 99, 100],
            [54, 54, 54, 94, 97, 99],
        ),
        ([100], [100], [100], [95, 94, 99, 99, 100], [54, 86, 94, 67, 97, 95]),
    ),
}


class R3(Reference):
    """Rates, widths, activations and optimizers on XOR and a line, with an autograd of its own.

    Networks 2 - h - h - 1 with the activation twice, standard normal weights, zero biases that its
    listing never trains, cross-entropy of a logit, 2000 epochs, training set = test set; whether a
    step takes all points or one is not stated. Also a one-unit convolution on the line.
    """

    epochs = 2000
    rates = [0.1, 0.01, 0.001, 0.0001, 0.00001]
    widths = [1, 2, 4, 8, 16, 32]
    points = {"xor": 21, "linear": 100}
    pairs = (
        ("sigmoid", "sgd"),
        ("identity", "sgd"),
        ("sigmoid", "adam"),
        ("relu", "sgd"),
        ("tanh", "sgd"),
    )  # activation and optimizer of tables 1 to 5
    base_run = {"activation": "sigmoid", "optimizer": "sgd", "learning_rate": 0.01, "width": 16}
    cell = ("data", "activation", "optimizer", "learning_rate", "width")
    tables = Numbers(
        "R3",
        cell,
        _shares(R3_PRINTED, points, pairs, rates, widths),
        only={"loss": "bce"},
    )
    base_accuracy = Numbers(
        "R3", ("data",), {("xor",): 1.0, ("linear",): 1.0}, only={**base_run, "loss": "bce"}
    )
    convolution = Numbers("R3", ("learning_rate", "bias"), {(0.1, True): 1.0})


class R4(Reference):
    """A perceptron without a bias, an MLP, and full batches against single examples, in NumPy.

    Perceptron: five pairs of normals, 100 epochs at rate 0.01; its listing updates with the sum
    over all points, and only while no more of them are right than wrong.
    MLP: 1000 moons of noise 0.05, 1500 steps.
    """

    tests: tuple[tuple, ...] = (  # both means, both diagonals of the covariances
        ((10, 16), (-6, -3), (3, 4), (2, 5)),
        ((1, -6), (-2, -3), (3, 4), (2, 5)),
        ((10, 16), (-6, -3), (40, 34), (38, 35)),
        ((1, -6), (-2, -3), (40, 34), (38, 35)),
        ((19, 16), (5, 6), (4, 4), (3, 5)),
    )
    test_accuracy = by("R4", "test", {1: 1.0, 2: 0.625, 3: 0.825, 4: 0.65, 5: 0.5})

    moons = (1000, 0.05)  # points and noise of its MLP
    mlp_accuracy = of_moons("R4", *moons, 0.845)  # test, full batch
    start_loss = of_moons("R4", *moons, 554)  # summed over 800 training points: 800 ln 2
    plateau = of_moons("R4", *moons, 50)  # steps that the loss stays there
    final_loss = of_moons("R4", *moons, 340)  # summed
    # One example a step: 1500 and 45,000 steps, "near 50 %" until 25,000 of them.
    sgd_early = of_moons("R4", *moons, 0.5)
    sgd_leaves = of_moons("R4", *moons, 25_000)
    sgd_accuracy = of_moons("R4", *moons, 0.8)


_LENGTH_STUDY = (1.0, 1.0, 1.0, 1.0, 0.5898, 0.4824, 0.0898, 0.0784, 0.0735, 0.0628, 0.0628)


def _of_cifar10(epochs: int, number: float) -> Numbers:
    """Makes the number of a run over all epochs: of fewer of them the report says nothing."""
    return Numbers("R5", ("dataset", "epochs"), {("cifar10", epochs): number})


class R5(Reference):
    """An MLP, a convolutional network on CIFAR-10 and a recurrent network, in PyTorch.

    Moons: an MLP at rate 0.01 in batches of 32, 500 epochs, once in NumPy and once in PyTorch.
    CIFAR-10: an MLP of three layers of 1024 units under SGD with momentum, 100 epochs; a network of
    six 3x3 convolutions under Adam at rate 1e-4, 150 epochs; one run each.
    Palindromes: the last of T digits from those before, as numbers; a vanilla cell of 128 units,
    batches of 128 fresh sequences, gradients clipped at norm 10. Lengths 5 to 15 by RMSprop at rate
    0.001 in 1400 steps; length 5 alone in 10,000, its optimizer not stated.
    """

    # On two moons, after 500 epochs.
    moons_numpy = Numbers("R5", (), {(): 0.970})
    moons_pytorch = Numbers("R5", (), {(): 0.915})

    # Of CIFAR-10 at the end of the run; losses in nats.
    mlp_epochs, cnn_epochs = 100, 150
    mlp_train_accuracy = _of_cifar10(mlp_epochs, 0.6827)
    mlp_train_loss = _of_cifar10(mlp_epochs, 0.9062)
    mlp_test_accuracy = _of_cifar10(mlp_epochs, 0.5643)
    mlp_test_loss = _of_cifar10(mlp_epochs, 1.2637)
    cnn_train_accuracy = _of_cifar10(cnn_epochs, 0.996)
    cnn_train_loss = _of_cifar10(cnn_epochs, 0.013)
    cnn_test_accuracy = _of_cifar10(cnn_epochs, 0.714)
    cnn_test_loss = _of_cifar10(cnn_epochs, 2.60)

    lengths = range(5, 16)
    single_run = Numbers("R5", ("length",), {(5,): 1.0}, only={"cell": "vanilla"})
    length_accuracy = Numbers(
        "R5",
        ("length",),
        {(5 + place,): accuracy for place, accuracy in enumerate(_LENGTH_STUDY)},
        only={"cell": "vanilla"},
    )


class Published(NamedTuple):
    """One published number, as a report prints it.

    Attributes:
      table: where it stands, and what it is of.
      cell: the hyper-parameters that it is printed for, by name.
      protocol: how the report trained for it, in words.
    """

    report: str
    table: str
    cell: Mapping[str, object]
    value: float
    protocol: str


class Printed(NamedTuple):
    """A table or a sentence with published numbers."""

    table: str
    numbers: Numbers
    protocol: str


def each_of(names: Mapping[str, float], table: str, protocol: str) -> list[Printed]:
    """Makes a table of every named number of R1's example, by its name."""
    group = R1.groups.index("example")
    return [
        Printed(f"{table}: {name}", by("R1", "group", {group: value}), protocol)
        for name, value in names.items()
    ]


_R1_PERCEPTRON = "80 + 80 points of two normals, rate 0.01, zero start, online or summed"
_R1_SEPARABLE = f"{_R1_PERCEPTRON}, up to 1000 epochs, mean of 20 runs"
_R1_MOONS = "2-20-2, 500 moons of noise 0.1, rate 0.01, 1000 or 1500 steps"
_R1_BATCHES = "2-20-2, 1000 moons, rate 0.01, 1500 steps of batches, sum or mean not stated"
_R4_PERCEPTRON = "no bias, rate 0.01, 100 epochs, sum over all while no more are right than wrong"
_R4_MOONS = "1000 moons of noise 0.05, full batch, 1500 steps, rate and width not stated"
_R4_SGD = "1000 moons of noise 0.05, one example a step, up to 45,000 steps"
_R5_MOONS = "2-20-2, 1000 moons of noise 0.1, rate 0.01, 500 epochs in batches of 32"
_R5_MLP = "3072 - 3 x 1024 - 10, dropout 0.5, SGD with momentum 0.9, cosine from 0.1, 100 epochs"
_R5_CNN = "six 3x3 convolutions, Adam at 1e-4, batches of 32 (or 128), 150 epochs"
_R5_RNN = "128 units, batches of 128, clip 10, RMSprop at 0.001, 1400 steps"
PRINTED: tuple[Printed, ...] = (
    Printed("perceptron: train accuracy", R1.perceptron_train_accuracy, _R1_PERCEPTRON),
    Printed("perceptron: epochs to that", R1.perceptron_epochs, _R1_PERCEPTRON),
    *each_of(R1.weights, "perceptron, final weights", _R1_PERCEPTRON),
    Printed("perceptron, sweeps: test accuracy", R1.sweeps, _R1_SEPARABLE),
    # The example's test accuracy is among those of the groups.
    Printed("perceptron, groups: test accuracy", R1.group_accuracy, _R1_SEPARABLE),
    Printed("MLP: test accuracy", R1.mlp_accuracy, _R1_MOONS),
    Printed("MLP: steps to all training points", R1.mlp_perfect, _R1_MOONS),
    Printed("batch size: test accuracy", R1.batch_size_accuracy, _R1_BATCHES),
    Printed("batch size: steps to 90 %", R1.steps_to_90, _R1_BATCHES),
    Printed("batch size: seconds", R1.batch_size_seconds, _R1_BATCHES),
    Printed("batch size: final loss", R1.final_loss, _R1_BATCHES),
    Printed("batch size 1: least batch loss", R1.least_batch_loss, _R1_BATCHES),
    Printed("batch size 1: largest batch loss", R1.largest_batch_loss, _R1_BATCHES),
    Printed("perceptron: test accuracy", R2.grid, "singular normals, 20 epochs, rate 0.01"),
    Printed("MLP: steps until it settles", R2.mlp_settles, "1000 moons, no noise, 1500 steps"),
    Printed("tables 1 to 5: accuracy", R3.tables, "2 - h - h - 1, 2000 epochs, batch not stated"),
    Printed("base run: accuracy", R3.base_accuracy, "2 - 16 - 16 - 1, sigmoid, SGD at 0.01, 2000"),
    Printed("convolution: accuracy", R3.convolution, "tanh twice, Adam at 0.1, 2000 epochs"),
    Printed("perceptron: test accuracy", R4.test_accuracy, _R4_PERCEPTRON),
    Printed("MLP: test accuracy", R4.mlp_accuracy, _R4_MOONS),
    Printed("MLP: summed loss at the start", R4.start_loss, _R4_MOONS),
    Printed("MLP: steps on the plateau", R4.plateau, _R4_MOONS),
    Printed("MLP: summed loss at the end", R4.final_loss, _R4_MOONS),
    Printed("SGD: test accuracy after 1500 steps", R4.sgd_early, _R4_SGD),
    Printed("SGD: steps near 50 %", R4.sgd_leaves, _R4_SGD),
    Printed("SGD: test accuracy after 45,000 steps", R4.sgd_accuracy, _R4_SGD),
    Printed("MLP in NumPy: test accuracy", R5.moons_numpy, _R5_MOONS),
    Printed("MLP in PyTorch: test accuracy", R5.moons_pytorch, _R5_MOONS),
    Printed("CIFAR-10 MLP: train accuracy", R5.mlp_train_accuracy, _R5_MLP),
    Printed("CIFAR-10 MLP: train loss", R5.mlp_train_loss, _R5_MLP),
    Printed("CIFAR-10 MLP: test accuracy", R5.mlp_test_accuracy, _R5_MLP),
    Printed("CIFAR-10 MLP: test loss", R5.mlp_test_loss, _R5_MLP),
    Printed("CIFAR-10 CNN: train accuracy", R5.cnn_train_accuracy, _R5_CNN),
    Printed("CIFAR-10 CNN: train loss", R5.cnn_train_loss, _R5_CNN),
    Printed("CIFAR-10 CNN: test accuracy", R5.cnn_test_accuracy, _R5_CNN),
    Printed("CIFAR-10 CNN: test loss", R5.cnn_test_loss, _R5_CNN),
    Printed("palindromes, length 5: accuracy", R5.single_run, "128 units, clip 10, 10,000 steps"),
    Printed("palindromes by length: accuracy", R5.length_accuracy, _R5_RNN),
)


def published() -> list[Published]:
    """Lists every published number, in the order of the reports."""
    numbers = []
    for table, of_table, protocol in PRINTED:
        for values, number in of_table.values.items():
            cell = dict(zip(of_table.names, values, strict=True))
            numbers.append(Published(of_table.report, table, cell, number, protocol))
    return numbers
