"""Runs blocks of lanes: full chunks, advanced in segments, with a way back after a kill.

A chunk is ``lane_size`` lanes on every device, padded with copies so that its shape never changes.
The host loops over the chunks of a block and over the segments of a chunk.
"""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxdl.checks import nan_named
from jaxdl.planning.config import Config
from jaxdl.planning.program import Program, hp_columns
from jaxdl.planning.seeds import Seed, seed_array
from jaxdl.planning.spec import Spec
from jaxdl.running import checkpoints
from jaxdl.running.compiler import Compiled
from jaxdl.running.formats import Arrays
from jaxdl.train import Lane, mark_unseen

# Ctrl-C waits for the end of a segment, and so do progress and checkpoints. Shorter ones would
# cost: each begins by asking the system for its memory anew, some 0.15 s for a large CNN.
SEGMENT_SECONDS = 2.0
FIRST_STEPS = 1  # of the first segment of a program, whose speed is not known yet
GROWTH = 4  # of a segment over the last one, at most
BURST_SECONDS = 0.3  # of a calibration


class Hooks(NamedTuple):
    """What a block tells, and asks, between segments."""

    advance: Callable[[float], None] = lambda lane_steps: None  # progress
    due: Callable[[], bool] = lambda: False  # whether to save
    save: Callable[[Arrays], None] = lambda arrays: None  # a checkpoint
    # Steps of the first segment, from the program's other blocks, and those for the next block.
    length: Callable[[], int] = lambda: FIRST_STEPS
    keep: Callable[[int], None] = lambda steps: None


class Segment(NamedTuple):
    """A chunk after a segment."""

    step: int  # that comes next
    lane: Lane  # with a leading axis of a chunk's lanes
    length: int  # of the next segment, by the clock


def run_block(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    lanes: Sequence[tuple[Config, Seed]],
    hooks: Hooks,
    saved: dict | None = None,
) -> Arrays:
    """Trains the lanes of a block.

    Args:
      lanes: list of (config, seed).
      hooks: called between segments.
      saved: the arrays of a checkpoint of this block, to go on from; where they do not fit, it
        begins anew.

    Returns:
      ``diverged_at`` and ``history/NAME`` arrays with a leading axis of lanes.
    """
    count, steps = len(lanes), program.schedule.steps
    if saved is not None and not checkpoints.is_whole(saved, count, steps):
        saved = None
    parts = [] if saved is None else [checkpoints.results_in(saved)]
    begin = len(parts[0]["diverged_at"]) if parts else 0
    length = hooks.length()
    while begin < count:
        real = lanes[begin : begin + compiled.lanes]
        # A chunk begins with the length that the last one has come to.
        for segment in segments(spec, program, compiled, real, hooks, saved, length):
            length = segment.length
            if hooks.due():
                done = parts or [_results(spec, segment.lane, 0)]
                arrays = checkpoints.to_arrays(
                    checkpoints.joined(done),
                    segment.lane,
                    compiled.lanes,
                    segment.step,
                )
                hooks.save(arrays)
        parts.append(_results(spec, segment.lane, len(real)))
        begin += len(real)
        saved = None
        # Finished lanes of a checkpoint that are of another kind: it is not one of this block.
        if checkpoints.kinds(parts[0]) != checkpoints.kinds(parts[-1]):
            return run_block(spec, program, compiled, lanes, hooks)
    hooks.keep(length)
    return checkpoints.joined(parts)


def run_lanes(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    lanes: list[tuple[Config, Seed]],
    advance: Callable[[float], None] = lambda lane_steps: None,
) -> Iterator[Lane]:
    """Trains lanes, weights included; they have the bits of the run.

    Yields:
      the lanes of a chunk after another, with a leading axis of them, arrays on the host.
    """
    # In full chunks, padded with copies: a chunk of another width would have other last bits.
    length = FIRST_STEPS
    for begin in range(0, len(lanes), compiled.lanes):
        real = lanes[begin : begin + compiled.lanes]
        hooks = Hooks(advance=advance)
        for segment in segments(spec, program, compiled, real, hooks, None, length):
            length = segment.length
        lane = jax.tree.map(functools.partial(_first, len(real)), segment.lane)
        yield lane._replace(history=mark_unseen(lane.history, spec.parts.record, np.where))


def _first(count: int, leaf):
    """The first lanes of a leaf."""
    # On the host: across devices ``leaf[0]`` is a sum with zeros, and -0 becomes +0.
    return leaf[:count] if checkpoints.is_key(leaf) else np.asarray(leaf)[:count]


def segments(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    real: Sequence[tuple[Config, Seed]],
    hooks: Hooks,
    saved: dict | None,
    length: int = FIRST_STEPS,
    seconds: float | None = None,
) -> Iterator[Segment]:
    """Trains up to a chunk of lanes, padded with copies of them.

    Args:
      length: steps of the first segment.
      seconds: how long a segment should take; None: `SEGMENT_SECONDS`.
    """
    wanted = SEGMENT_SECONDS if seconds is None else seconds
    # The segment loop: the compiled loop takes its bounds as values, so that one program serves
    # segments of any length and their length changes no bit. Between two segments the host has a
    # moment for progress, a checkpoint, Ctrl-C; on 2 cores 20 to 100 segments a run cost nothing
    # that could be measured, where a callback in every step cost 18 %.
    lanes = [real[index % len(real)] for index in range(compiled.lanes)]
    seeds = seed_array([seed for _, seed in lanes], spec.parts.seed_shape)
    hp = hp_columns(program, [config for config, _ in lanes])
    with nan_named():
        lane, dataset = compiled.init(seeds, hp, compiled.shared)
    dataset = compiled.shared if dataset is None else dataset
    start, steps = 0, program.schedule.steps
    if saved is not None and checkpoints.fits(lane, saved, compiled.lanes):
        start = int(saved["step"])
        lane = checkpoints.restored(lane, saved)
    if start > steps:  # saved after its last segment
        yield Segment(start, lane, length)
    while start <= steps:
        stop = min(start + length, steps + 1)
        begin = time.perf_counter()
        with nan_named():
            lane = compiled.segment(lane, dataset, seeds, hp, np.int32(start), np.int32(stop))
        jax.block_until_ready(lane)
        taken = time.perf_counter() - begin
        length = _length_after(length, stop - start, taken, wanted)
        hooks.advance((min(stop, steps) - start) * len(real))
        start = stop
        yield Segment(start, lane, length)


def next_length(steps: int, seconds: float, wanted: float) -> int:
    """Steps of the next segment, so that it takes about the `wanted` seconds.

    At most four times the last one's, whose clock may have been wrong.

    >>> next_length(10, 1.0, 0.5), next_length(10, 0.2, 0.5), next_length(10, 0.01, 0.5)
    (5, 25, 40)
    >>> next_length(1, 60.0, 0.5)
    1
    """
    return min(GROWTH * steps, _steps_in_time(steps, seconds, wanted))


def _steps_in_time(steps: int, seconds: float, wanted: float) -> int:
    return max(1, int(steps * wanted / max(seconds, 1e-6)))


def _length_after(length: int, steps: int, seconds: float, wanted: float) -> int:
    """The next length after a segment of `steps`, of at most `length`."""
    # The last segment of a chunk is cut short by its end: that is no reason to begin small anew,
    # but a program that has become slower is noticed.
    grown = next_length(steps, seconds, wanted)
    if steps == length:
        return grown
    return max(grown, min(length, _steps_in_time(steps, seconds, wanted)))


def calibrate(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    seconds: float = BURST_SECONDS,
) -> float:
    """Times a short burst of a full chunk: seconds of one lane from its first step to its last."""
    steps = program.schedule.steps
    configs = itertools.cycle(program.configs)
    lanes = list(zip(configs, range(compiled.lanes), strict=False))
    begin = last_time = time.perf_counter()
    last_step, rate = 0, 0.0
    for segment in segments(spec, program, compiled, lanes, Hooks(), None, seconds=seconds):
        now, step = time.perf_counter(), min(segment.step, steps)
        rate = (now - last_time) / (step - last_step or 1)
        # The first segment has the initial draws and an evaluation for a single step.
        is_first = last_step == 0
        last_time, last_step = now, step
        if now - begin > seconds and not is_first:
            break
    return rate * steps / compiled.lanes


def _results(spec: Spec, lane: Lane, count: int) -> Arrays:
    """The results of the first lanes of a chunk, those that are no copies."""
    curves = {}
    for name, values in lane.history.items():
        curves[name] = np.asarray(values)[:count]
    history = mark_unseen(curves, spec.parts.record, np.where)
    results = {"diverged_at": np.asarray(lane.diverged_at)[:count]}
    for name, values in history.items():
        results[f"history/{name}"] = values
    return results
