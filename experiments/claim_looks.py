"""Looks at the claims of the reports, a function each: which lanes are compared, or counted."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import audit_looks as looks
from experiments.audit_looks import Look, Side
from experiments.audit_parts import Done
from experiments.columns import Lanes, lane_swing
from experiments.perceptrons import epochs_to_convergence
from experiments.reach import EXAMPLES, reach
from experiments.references import R1, R2, R3, R5
from experiments.unit_square import xor_points
from experiments.xor_claims import USUAL_RATE, best_line, mean_share, rates_of
from experiments.xor_networks import PROTOCOL, solved_by_cell
from jaxdl import Result, stats
from jaxdl.sampling import seed_key, stream


class Evidence(NamedTuple):
    """What claims are looked at in.

    Attributes:
      parts: the finished parts by name.
      step_seconds: batch size -> seconds of a step of the reports' NumPy, one a round, this
        machine's; None where they were not measured.
      frameworks: name -> accuracies of its seeds.
      frameworks_done: how far these were trained, if not in full.
    """

    parts: Mapping[str, Done]
    step_seconds: Mapping[int, np.ndarray] | None = None
    frameworks: Mapping[str, np.ndarray] = {}
    frameworks_done: str = ""


LEARNED = 0.9  # accuracy from which on a recurrent network counts as having learned
FAR_LESS = 0.5  # of the other time, at most
TIMED = 1500  # steps that R1 and R4 compare times of


# --- R1 --------------------------------------------------------------------------------------


def separated(lanes: Lanes) -> np.ndarray:
    """Tells which lanes have every training point right in the end."""
    return np.isfinite(epochs_to_convergence(lanes))


def far_apart(evidence: Evidence) -> list[Look]:
    """Looks at all distances from 6 on."""

    def meant(config: dict) -> bool:
        return config["variance"] == R1.variance and config["distance"] >= R1.distance

    return looks.holding(evidence.parts["separability"], "sweeps", meant, separated, ["rule"])


def narrow(evidence: Evidence) -> list[Look]:
    """Looks at all variances up to 0.5."""

    def meant(config: dict) -> bool:
        return config["distance"] == R1.distance and config["variance"] <= R1.variance

    return looks.holding(evidence.parts["separability"], "sweeps", meant, separated, ["rule"])


def one_step(evidence: Evidence) -> list[Look]:
    """Looks at the example under the rule that its printed bias is of."""
    where = {"group": R1.groups.index("example"), "rule": "batch"}

    def first(lanes: Lanes) -> np.ndarray:
        return epochs_to_convergence(lanes) <= 1

    return looks.holding(evidence.parts["separability"], "groups", where, first, ["rule"])


def of_batches(a: int, *others: int, measure=None, higher: bool = True):
    """Makes what compares one of R1's batch sizes with others."""

    def look(evidence: Evidence) -> list[Look]:
        found = []
        for b in others:
            sizes = {"batch_size": a}, {"batch_size": b}
            each = measure or looks.final("test_accuracy")
            found += looks.versus(evidence.parts["batch_size"], "", *sizes, each, higher)
        return found

    return look


def cost(a: int, others: Mapping[int, float], steps: tuple[int, int] = (TIMED, TIMED)):
    """Makes what asks whether A's steps take less time than so many times B's."""

    def look(evidence: Evidence) -> list[Look]:
        if evidence.step_seconds is None:
            return []
        found = []
        for b, factor in others.items():
            first = steps[0] * evidence.step_seconds[a]
            second = steps[1] * factor * evidence.step_seconds[b]
            none = np.zeros(len(first), bool)
            pair = f"{steps[0]} steps of {a} against {factor:g} x {steps[1]} of {b}"
            sides = Side(first, none), Side(second, none)
            found.append(looks.compared("NumPy, this machine", pair, *sides, False))
        return found

    return look


def dear(evidence: Evidence) -> list[Look]:
    """Asks whether the full batch takes over ten times what any other batch size does."""
    if evidence.step_seconds is None:
        return []
    found = []
    for other in (1, 32, 128):
        full, ten = evidence.step_seconds[800], 10 * evidence.step_seconds[other]
        none = np.zeros(len(full), bool)
        pair = f"batch size 800 against 10 x {other}"
        sides = Side(full, none), Side(ten, none)
        found.append(looks.compared("NumPy, this machine", pair, *sides, True))
    return found


def balance(evidence: Evidence) -> list[Look]:
    """Compares the time to 90 % of medium batches with that of the smallest and the largest."""
    times = evidence.step_seconds
    if times is None:
        return []

    def seconds(lanes: Lanes) -> np.ndarray:
        curves = np.nan_to_num(lanes.curves("test_accuracy"), nan=0.0)
        steps = stats.first_reached(curves, lanes.steps, 0.9)
        return steps * float(np.median(times[lanes.config["batch_size"]]))

    found = []
    for a in (32, 128):
        found += of_batches(a, 1, 800, measure=seconds, higher=False)(evidence)
    return found


# --- R2 --------------------------------------------------------------------------------------

EPOCHS = {"updates": "equal updates, ", "epochs": "equal epochs, "}


def best_size(evidence: Evidence) -> list[Look]:
    """Compares R2's best batch size with every other."""
    found = []
    best = {"batch_size": R2.best_batch_size}
    for study, words in EPOCHS.items():
        for size in R2.batch_sizes:
            if size != R2.best_batch_size:
                part = evidence.parts["batch_epochs"]
                found += looks.versus(part, study, best, {"batch_size": size}, words=words)
    return found


def steadier(evidence: Evidence) -> list[Look]:
    """Compares the swing of every batch size with that of the next larger one."""
    found = []
    part = evidence.parts["batch_epochs"]
    for study, words in EPOCHS.items():
        sizes = sorted({config["batch_size"] for config in part.run.results[study].configs})
        for small, large in itertools.pairwise(sizes):
            pair = {"batch_size": small}, {"batch_size": large}
            found += looks.versus(part, study, *pair, lane_swing, words=words)
    return found


def literal(evidence: Evidence) -> list[Look]:
    """Counts lanes of the literal listing above one half."""

    def above(lanes: Lanes) -> np.ndarray:
        return lanes.final("test_accuracy") > 0.5 + 1e-6

    where = {"variant": "literal"}
    return looks.holding(evidence.parts["perceptron_grid"], "r2", where, above, ["variant"])


# --- R3 --------------------------------------------------------------------------------------

GRIDS = ("xor_full_batch", "xor_one_by_one")


def grids(evidence: Evidence) -> list[tuple[str, Result, str]]:
    """Lists the grids that were run: protocol, result, how far if not in full."""
    found = []
    for name in GRIDS:
        if name in evidence.parts:
            part = evidence.parts[name]
            result = part.run.results["grid"]
            config = result.configs[0]
            row = {each: config[each] for each in PROTOCOL if each != "loss"}
            lanes = looks.lanes_of(part, "grid", config)
            done = part.short("grid", config, looks.last_step(lanes))
            found.append((looks.described(row), result, done))
    return found


def four_units(evidence: Evidence) -> list[Look]:
    """Counts seeds that 4 units solve at the rate that the other half of the seeds chose."""
    found = []
    for protocol, result, done in grids(evidence):
        solved = solved_by_cell(result)
        for table in dict.fromkeys(cell.table for cell in solved):
            cells = [cell for cell in solved if cell.table == table and cell.width == 4]
            # R3 says itself that no width without an activation solves XOR.
            if not cells or table[:2] == ("xor", "identity"):
                continue
            best = max(cells, key=lambda cell: solved[cell][::2].sum())
            pair = f"{', '.join(table)}, rate {best.learning_rate:g}"
            found.append(looks.counted(protocol, pair, solved[best][1::2], done))
    return found


def best_rate(evidence: Evidence) -> list[Look]:
    """Compares the share of its cells that a seed solves at R3's best rate and at the others."""
    found = []
    for protocol, result, done in grids(evidence):
        solved = solved_by_cell(result)
        for data in R3.points:
            rates = rates_of(solved, data)
            others = [rate for rate in rates if rate != USUAL_RATE and USUAL_RATE in rates]
            for rate in others:
                usual, other = (mean_share(solved, data, each) for each in (USUAL_RATE, rate))
                none = np.zeros(len(usual), bool)
                pair = f"{data}: rate {USUAL_RATE:g} against {rate:g}"
                sides = Side(usual, none), Side(other, none)
                found.append(looks.compared(protocol, pair, *sides, True, done))
    return found


def no_activation(evidence: Evidence) -> list[Look]:
    """Counts seeds of which a linear network solves XOR in any cell."""
    found = []
    for protocol, result, done in grids(evidence):
        solved = solved_by_cell(result)
        cells = [each for cell, each in solved.items() if cell.table[:2] == ("xor", "identity")]
        if cells:
            bound = best_line(*xor_points())
            pair = f"{len(cells)} cells; the best line has {bound:.1%} right"
            found.append(looks.counted(protocol, pair, np.any(cells, axis=0), done))
    return found


def small_rate(evidence: Evidence) -> list[Look]:
    """Counts seeds that solve less than half of their cells at the smallest rate."""
    found = []
    for protocol, result, done in grids(evidence):
        solved = solved_by_cell(result)
        for data in R3.points:
            if min(R3.rates) in rates_of(solved, data):
                few = mean_share(solved, data, min(R3.rates)) < 0.5
                pair = f"{data}: rate {min(R3.rates):g}"
                found.append(looks.counted(protocol, pair, few, done))
    return found


# --- R4 --------------------------------------------------------------------------------------


def fifth_test(bias: bool):
    """Makes what counts seeds that separate R4's test 5."""

    def look(evidence: Evidence) -> list[Look]:
        where = {"test": 5, "bias": bias}
        part = evidence.parts["perceptron_grid"]
        return looks.holding(part, "r4", where, separated, ["rule"])

    return look


def early(evidence: Evidence) -> list[Look]:
    """Compares SGD with BGD after as many updates."""
    part = evidence.parts["sgd_vs_bgd"]
    found = []
    steps = part.run.results["sgd"].steps
    if TIMED not in steps:
        return []
    for row, config in zip(part.run.rows_of("bgd"), part.run.results["bgd"].configs, strict=True):
        # One example has no reduction: its config is that of both kinds of full batch.
        single = {name: value for name, value in config.items() if name != "reduction"}
        bgd, sgd = looks.lanes_of(part, "bgd", config), looks.lanes_of(part, "sgd", single)
        opened = [name for name in ("learning_rate", "init", "reduction") if name in row]
        protocol = looks.described({name: row[name] for name in opened})
        done = part.short("bgd", config, looks.last_step(bgd))
        sides = looks.side(bgd, looks.final("test_accuracy")), at_step(sgd, TIMED)
        found.append(looks.compared(protocol, "BGD against SGD", *sides, True, done))
    return found


def at_step(lanes: Lanes, step: int) -> Side:
    """Gives the test accuracy at a step."""
    place = list(lanes.steps).index(step)
    values = lanes.curves("test_accuracy")[:, place].astype(float).round(6)
    return Side(values, lanes.lost[:, place])


def leaves_late(evidence: Evidence) -> list[Look]:
    """Counts seeds of which SGD first has 60 % right about 25,000 steps after its start."""

    def late(lanes: Lanes) -> np.ndarray:
        curves = np.nan_to_num(lanes.curves("test_accuracy"), nan=0.0)
        reached = stats.first_reached(curves, lanes.steps, 0.6)
        return (reached >= 20_000) & (reached <= 30_000)

    part, opened = evidence.parts["sgd_vs_bgd"], ["learning_rate", "init"]
    return looks.holding(part, "sgd", {}, late, opened)


# --- R5 --------------------------------------------------------------------------------------


OWN_SEEDS = "R5's, each framework's own seeds"


def better_numpy(evidence: Evidence) -> list[Look]:
    """Compares the seeds of NumPy with those of PyTorch."""
    return [
        looks.compared(OWN_SEEDS, "NumPy against PyTorch", *sides, True, end)
        for sides, end in framework_sides(evidence)
    ]


def wide_gap(evidence: Evidence) -> list[Look]:
    """Counts pairs of seeds as far apart as R5's two numbers."""
    found = []
    gap = R5.moons_numpy.values[()] - R5.moons_pytorch.values[()]
    for (numpy_side, torch_side), end in framework_sides(evidence):
        far = numpy_side.values - torch_side.values >= gap - 1e-6
        found.append(looks.counted(OWN_SEEDS, "pairs", far, end))
    return found


def framework_sides(evidence: Evidence) -> list[tuple[tuple[Side, Side], str]]:
    """Gives as many seeds of NumPy as PyTorch has; nothing where it is not installed."""
    if "PyTorch" not in evidence.frameworks:
        return []
    n = len(evidence.frameworks["PyTorch"])
    sides = []
    for name in ("NumPy", "PyTorch"):
        values = np.asarray(evidence.frameworks[name], float).round(6)[:n]
        sides.append(Side(values, np.zeros(len(values), bool)))
    return [((sides[0], sides[1]), evidence.frameworks_done)]


def lengths(evidence: Evidence, part: str, **config) -> Lanes | None:
    """Gives the lanes of a palindrome's config, where they were run."""
    if part not in evidence.parts:
        return None
    done = evidence.parts[part]
    for each in done.run.results[""].configs:
        if {**each, **config} == each:
            return looks.lanes_of(done, "", each)
    return None


def learned(lanes: Lanes) -> np.ndarray:
    """Tells which lanes have learned."""
    return (lanes.final("test_accuracy") >= LEARNED) & ~lanes.diverged


def memory(evidence: Evidence) -> list[Look]:
    """Counts seeds that learn length 8 and not length 9."""
    short, long = (lengths(evidence, "palindrome_length", length=each) for each in (8, 9))
    if short is None or long is None:
        return []
    done = how_far(evidence, "palindrome_length", short)
    held = learned(short) & ~learned(long)
    return [looks.counted("R5's", "length 8 learned, length 9 not", held, done)]


def how_far(evidence: Evidence, part: str, lanes: Lanes) -> str:
    """Says how far lanes were trained, if not in full."""
    return evidence.parts[part].short("", lanes.config, looks.last_step(lanes))


def vanishing(evidence: Evidence) -> list[Look]:
    """Compares how much of the gradient reaches the first digit, untrained, at 15 and at 5 digits.

    It needs no training, so it is not short in a short run.
    """
    sides = []
    for length in (max(R5.lengths), min(R5.lengths)):
        lanes = lengths(evidence, "palindrome_length", length=length)
        if lanes is None:
            return []
        norms = np.array(first_digit(evidence.parts["palindrome_length"], lanes))
        sides.append(Side(norms, np.zeros(len(norms), bool)))
    pair = f"length {max(R5.lengths)} against {min(R5.lengths)}, before training"
    return [looks.compared("R5's", pair, sides[0], sides[1], False)]


def first_digit(part: Done, lanes: Lanes) -> list[float]:
    """Computes the norm of d h_T / d s_1 of every seed's initial weights, median over sequences."""
    recipe = part.run.studies[""].recipe(lanes.config)
    init = jax.jit(recipe.model.init)  # once: a new one would be compiled for every seed
    norms = []
    for row in lanes.places:
        key = seed_key(lanes.result.lanes[row]["seed"])
        x = recipe.task.data(key).test_x[..., :EXAMPLES]
        params, _ = init(stream(key, "init"))
        gates = jax.tree.map(jnp.asarray, params.cell)
        norms.append(float(np.median(reach("vanilla", gates, x)[0])))
    return norms


def clipping(evidence: Evidence) -> list[Look]:
    """Compares clipped with unclipped training."""
    found = []
    for length in R5.lengths:
        clipped = lengths(evidence, "palindrome_length", length=length)
        free = lengths(evidence, "clipping", length=length, clip=None)
        if clipped is None or free is None:
            continue
        pair = f"length {length}: clipped against not"
        found.append(ends(pair, clipped, free, how_far(evidence, "clipping", free)))
    return found


def ends(pair: str, a: Lanes, b: Lanes, done: str) -> Look:
    """Compares where two kinds of network end, under R5's protocol."""
    ended = looks.final("test_accuracy")
    return looks.compared("R5's", pair, looks.side(a, ended), looks.side(b, ended), True, done)


def gated(evidence: Evidence) -> list[Look]:
    """Compares gated cells with the vanilla one."""
    found = []
    for cell in ("lstm", "gru"):
        for length in R5.lengths:
            vanilla = lengths(evidence, "palindrome_length", length=length)
            other = lengths(evidence, "cells", length=length, cell=cell)
            if vanilla is None or other is None:
                continue
            pair = f"length {length}: {cell.upper()} against vanilla"
            found.append(ends(pair, other, vanilla, how_far(evidence, "cells", other)))
    return found
