"""Holds every claim of the reports as data: the sentence, what A and B are, how it is looked at."""

from collections.abc import Callable
from typing import NamedTuple

from experiments.audit_looks import ALWAYS, BEATS, HARDLY, MOSTLY, NEVER, Look
from experiments.claim_looks import (
    FAR_LESS,
    GRIDS,
    TIMED,
    Evidence,
    balance,
    best_rate,
    best_size,
    better_numpy,
    clipping,
    cost,
    dear,
    early,
    far_apart,
    fifth_test,
    four_units,
    gated,
    leaves_late,
    literal,
    memory,
    narrow,
    no_activation,
    of_batches,
    one_step,
    small_rate,
    steadier,
    vanishing,
    wide_gap,
)
from experiments.columns import lane_swing


class Claim(NamedTuple):
    """A sentence of a report that can be wrong.

    Attributes:
      kind: what has to be seen for it to hold (`audit_looks.KINDS`).
      a, b: what is compared, in words; of a share of seeds, a is what is to hold, and b its
        opposite.
      parts: what is run for it.
    """

    report: str
    sentence: str
    kind: str
    a: str
    b: str
    parts: tuple[str, ...]
    look: Callable[[Evidence], list[Look]]


SEPARABLE = ("separability",)
TIMES = ("times",)
CLAIMS = (
    Claim(
        "R1",
        "at variance 0.5 every data set of a distance of 6 or more is separated",
        ALWAYS,
        "all training points are right",
        "not all of them",
        SEPARABLE,
        far_apart,
    ),
    Claim(
        "R1",
        "at distance 6 every data set of a variance of 0.5 or less is separated",
        ALWAYS,
        "all training points are right",
        "not all of them",
        SEPARABLE,
        narrow,
    ),
    Claim(
        "R1",
        "a single step separates the example's points",
        MOSTLY,
        "all training points are right after one update",
        "not all of them",
        SEPARABLE,
        one_step,
    ),
    Claim(
        "R1",
        "batch size 1 to 128 gains",
        BEATS,
        "test accuracy, batch size 128",
        "test accuracy, batch size 1",
        ("batch_size",),
        of_batches(128, 1),
    ),
    Claim(
        "R1",
        "batch size 128 to 800 gains hardly",
        HARDLY,
        "test accuracy, batch size 800",
        "test accuracy, batch size 128",
        ("batch_size",),
        of_batches(800, 128),
    ),
    Claim(
        "R1",
        "the full batch costs over 10 times the time",
        BEATS,
        "time of a step, batch size 800",
        "10 times that of batch size 1, 32, 128",
        TIMES,
        dear,
    ),
    Claim(
        "R1",
        "batch size 1 is unstable",
        BEATS,
        "swing of the test accuracy in the last fifth of the run, batch size 1",
        "the same, batch size 32, 128, 800",
        ("batch_size",),
        of_batches(1, 32, 128, 800, measure=lane_swing),
    ),
    Claim(
        "R1",
        "medium batches balance best",
        BEATS,
        "time to 90 % of test accuracy, batch size 32, 128 (less is better)",
        "the same, batch size 1, 800",
        ("batch_size", "times"),
        balance,
    ),
    Claim(
        "R2",
        "the oscillation falls with the batch size",
        BEATS,
        "swing of the test accuracy in the last fifth of the run, each batch size",
        "the same, the next larger one",
        ("batch_epochs",),
        steadier,
    ),
    Claim(
        "R2",
        "batch size 200 is best",
        BEATS,
        "test accuracy, batch size 200",
        "test accuracy, batch size 1, 10, 50, 500",
        ("batch_epochs",),
        best_size,
    ),
    Claim(
        "R2",
        "read literally its listing has at most one half right",
        NEVER,
        "test accuracy above one half",
        "at most one half",
        ("perceptron_grid",),
        literal,
    ),
    Claim(
        "R3",
        "4 hidden units suffice when trained to convergence",
        MOSTLY,
        "100 % with 4 units, at the rate that other seeds chose",
        "less than 100 %",
        GRIDS,
        four_units,
    ),
    Claim(
        "R3",
        "0.01 is the best learning rate for both sets",
        BEATS,
        "share of its cells that a seed solves, rate 0.01",
        "the same, every other rate",
        GRIDS,
        best_rate,
    ),
    Claim(
        "R3",
        "without an activation XOR cannot be solved",
        NEVER,
        "100 % on XOR, in any cell",
        "in none",
        GRIDS,
        no_activation,
    ),
    Claim(
        "R3",
        "too small a rate does not converge in 2000 epochs",
        ALWAYS,
        "at rate 0.00001 less than half of its cells end at 100 %",
        "half of them or more",
        GRIDS,
        small_rate,
    ),
    Claim(
        "R4",
        "a line through the origin cannot separate test 5",
        NEVER,
        "all training points right without a bias",
        "not all of them",
        ("perceptron_grid",),
        fifth_test(False),
    ),
    Claim(
        "R4",
        "a bias can separate test 5",
        MOSTLY,
        "all training points right with a bias",
        "not all of them",
        ("perceptron_grid",),
        fifth_test(True),
    ),
    Claim(
        "R4",
        "after 1500 steps SGD is behind BGD",
        BEATS,
        "test accuracy of BGD after 1500 steps",
        "test accuracy of SGD after 1500 steps",
        ("sgd_vs_bgd",),
        early,
    ),
    Claim(
        "R4",
        "1500 steps of SGD cost far less time than 1500 of BGD",
        BEATS,
        "time of 1500 steps of one example (less is better)",
        "half the time of 1500 steps of 800",
        TIMES,
        cost(1, {800: FAR_LESS}),
    ),
    Claim(
        "R4",
        "45,000 steps of SGD take far less time than BGD's 1500",
        BEATS,
        "time of 45,000 steps of one example (less is better)",
        "half the time of 1500 steps of 800",
        TIMES,
        cost(1, {800: FAR_LESS}, (45_000, TIMED)),
    ),
    Claim(
        "R4",
        "SGD stays near 50 % until 25,000 steps, then rises",
        MOSTLY,
        "60 % of the test points are first right between 20,000 and 30,000 steps",
        "earlier, later or never",
        ("sgd_vs_bgd",),
        leaves_late,
    ),
    Claim(
        "R5",
        "NumPy is better than PyTorch",
        BEATS,
        "test accuracy in NumPy",
        "test accuracy in PyTorch",
        ("frameworks",),
        better_numpy,
    ),
    Claim(
        "R5",
        "PyTorch is 5.5 points worse than NumPy",
        MOSTLY,
        "NumPy's accuracy is higher by 5.5 points or more",
        "by less",
        ("frameworks",),
        wide_gap,
    ),
    Claim(
        "R5",
        "the memory ends between lengths 8 and 9",
        MOSTLY,
        "length 8 ends at 90 % or more, length 9 below",
        "both or neither",
        ("palindrome_length",),
        memory,
    ),
    Claim(
        "R5",
        "the gradient vanishes over a long sequence",
        BEATS,
        "norm of d h_T / d s_1 at length 15 (less is what is claimed)",
        "the same at length 5",
        ("palindrome_length",),
        vanishing,
    ),
    Claim(
        "R5",
        "clipping the gradient is necessary",
        BEATS,
        "test accuracy, clipped at norm 10",
        "test accuracy, not clipped",
        ("palindrome_length", "clipping"),
        clipping,
    ),
    Claim(
        "R5",
        "LSTM and GRU learn what the vanilla cell does not",
        BEATS,
        "test accuracy of LSTM and of GRU",
        "test accuracy of the vanilla cell",
        ("palindrome_length", "cells"),
        gated,
    ),
)
