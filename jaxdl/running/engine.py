"""Runs blocks of lanes: full chunks, advanced in segments, with a way back after a kill.

A chunk is ``lane_size`` lanes on every device, padded with copies so that its shape never changes.
The host loops over the chunks of a block and over the segments of a chunk; how long a segment is
depends on the clock alone and changes no bit, because the compiled loop takes its bounds as values.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.checks import nan_named
from jaxdl.planning.config import Config
from jaxdl.planning.program import Program, hp_columns
from jaxdl.planning.spec import Spec
from jaxdl.running.compiler import Compiled
from jaxdl.train import Lane, mark_unseen

SEGMENT_SECONDS = 0.5
FIRST_STEPS = 1  # of the first segment of a program, whose speed is not known yet
WAIT_SECONDS = 0.1  # between two looks at whether a wait was interrupted


class Hooks(NamedTuple):
    """What a block tells, and asks, between segments."""

    advance: Callable = lambda lane_steps: None  # progress
    due: Callable = lambda: False  # whether to save
    save: Callable = lambda arrays: None  # a checkpoint
    length: Callable = lambda: (
        FIRST_STEPS
    )  # steps of the first segment, from the program's other blocks
    keep: Callable = lambda steps: None  # the steps that a segment should have had at the end


def run_block(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    lanes: list,
    hooks: Hooks,
    saved: dict | None = None,
) -> dict:
    """Trains the lanes of a block.

    Args:
      lanes: list of (config, seed).
      hooks: called between segments.
      saved: the arrays of a checkpoint of this block, to go on from; where they do not fit, it
        begins anew.

    Returns:
      ``diverged_at`` and ``history/NAME`` arrays with a leading axis of lanes.
    """
    saved = (
        saved if saved is not None and _whole(saved, len(lanes), program.schedule.steps) else None
    )
    parts = (
        []
        if saved is None
        else [{name[5:]: values for name, values in saved.items() if name.startswith("done/")}]
    )
    begin = len(parts[0]["diverged_at"]) if parts else 0
    length = hooks.length()
    while begin < len(lanes):
        real = lanes[begin : begin + compiled.lanes]
        for segment in _chunk(spec, program, compiled, real, hooks, saved, length):
            step, lane, length = (
                segment  # a chunk begins with the length that the last one has found
            )
            if hooks.due():
                hooks.save(_checkpoint(spec, parts, compiled, step, lane))
        parts.append(_results(spec, lane, len(real)))
        begin, saved = begin + len(real), None
        if _kinds(parts[0]) != _kinds(parts[-1]):
            return run_block(spec, program, compiled, lanes, hooks)
    hooks.keep(length)
    return _joined(parts)


def run_lane(spec: Spec, program: Program, compiled: Compiled, config: Config, seed: int) -> Lane:
    """One lane alone, in a chunk full of copies of it: the bits of the run, weights included."""
    *_, (_, lane, _) = _chunk(spec, program, compiled, [(config, seed)], Hooks(), None)
    # taken apart on the host: across devices ``leaf[0]`` is a sum with zeros, and -0 becomes +0
    lane = jax.tree.map(lambda leaf: leaf[0] if _is_key(leaf) else np.asarray(leaf)[0], lane)
    return lane._replace(history=mark_unseen(lane.history, spec.parts.record, np.where))


def _chunk(
    spec: Spec,
    program: Program,
    compiled: Compiled,
    real,
    hooks: Hooks,
    saved: dict | None,
    length: int = FIRST_STEPS,
) -> Iterator[tuple[int, Lane, int]]:
    """Trains up to a chunk of lanes, padded with copies of them, beginning with a segment of
    `length` steps.

    Yields:
      (step, lanes, length of the next segment by the clock) after every segment.
    """
    full = [real[index % len(real)] for index in range(compiled.lanes)]
    seeds = np.array([seed for _, seed in full], np.uint32)
    hp = hp_columns(program, [config for config, _ in full])
    with nan_named():
        lane, dataset = compiled.init(seeds, hp, compiled.shared)
    dataset = compiled.shared if dataset is None else dataset
    start, steps = 0, program.schedule.steps
    if saved is not None and int(saved["chunk"]) == compiled.lanes and _fits(lane, saved):
        start, lane = int(saved["step"]), _restored(lane, saved)
    if start > steps:  # saved after its last segment
        yield start, lane, length
    while start <= steps:
        stop = min(start + length, steps + 1)
        begin = time.perf_counter()
        with nan_named():
            lane = compiled.segment(lane, dataset, seeds, hp, np.int32(start), np.int32(stop))
        jax.block_until_ready(lane)
        length = _length_after(length, stop - start, time.perf_counter() - begin)
        hooks.advance((min(stop, steps) - start) * len(real))
        start = stop
        yield start, lane, length


def next_length(steps: int, seconds: float) -> int:
    """Steps of the next segment, so that it takes about `SEGMENT_SECONDS`; at most four times the
    last one's.

    >>> next_length(10, 1.0), next_length(10, 0.2), next_length(10, 0.01), next_length(1, 60.0)
    (5, 25, 40, 1)
    """
    return min(4 * steps, _fitting(steps, seconds))


def _fitting(steps: int, seconds: float) -> int:
    return max(1, int(steps * SEGMENT_SECONDS / max(seconds, 1e-6)))


def _length_after(length: int, steps: int, seconds: float) -> int:
    """The next length after a segment of `steps`: where its chunk ended before `length`, no less
    for it."""
    grown = next_length(steps, seconds)
    return grown if steps == length else max(grown, min(length, _fitting(steps, seconds)))


def calibrate(spec: Spec, program: Program, compiled: Compiled, seconds: float = 0.3) -> float:
    """The time of one lane from its first step to its last, from a short burst of a full chunk."""
    begin, last, steps = time.perf_counter(), (0, time.perf_counter()), program.schedule.steps
    lanes = [
        (program.configs[index % len(program.configs)], index) for index in range(compiled.lanes)
    ]
    rate = 0.0
    for step, _, _ in _chunk(spec, program, compiled, lanes, Hooks(), None):
        now = time.perf_counter()
        first = last[0] == 0  # the lanes' initial draws, and an evaluation, for a single step
        rate = (now - last[1]) / (min(step, steps) - last[0] or 1)
        last = (min(step, steps), now)
        if now - begin > seconds and not first:
            break
    return rate * steps / compiled.lanes


def _results(spec: Spec, lane: Lane, count: int) -> dict[str, np.ndarray]:
    history = {name: np.asarray(values)[:count] for name, values in lane.history.items()}
    named = {
        f"history/{name}": values
        for name, values in mark_unseen(history, spec.parts.record, np.where).items()
    }
    return {"diverged_at": np.asarray(lane.diverged_at)[:count], **named}


def _joined(parts: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _checkpoint(
    spec: Spec, parts: list[dict], compiled: Compiled, step: int, lane: Lane
) -> dict[str, np.ndarray]:
    """The finished lanes of a block and the state of the running chunk, as arrays (keys as key
    data)."""
    done = {f"done/{name}": values for name, values in _joined(parts).items()} if parts else {}
    leaves = [
        np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(lane)
    ]
    running = {f"lane/{index}": leaf for index, leaf in enumerate(leaves)}
    if not parts:
        done = {f"done/{name}": values[:0] for name, values in _results(spec, lane, 0).items()}
    return {**done, **running, "chunk": np.array(compiled.lanes), "step": np.array(step)}


def _whole(saved: dict, lanes: int, steps: int) -> bool:
    """Whether a checkpoint of a block of so many lanes says how far it was, within the block."""
    done = [values for name, values in saved.items() if name.startswith("done/")]
    marks: list[Any] = [saved.get("chunk"), saved.get("step"), saved.get("done/diverged_at")]
    if any(values is None or values.dtype.kind != "i" for values in marks) or marks[2].ndim != 1:
        return False
    if any(values.ndim == 0 or len(values) != len(marks[2]) for values in done):
        return False
    return (
        marks[0].ndim == marks[1].ndim == 0 and 0 <= marks[1] <= steps + 1 and len(marks[2]) < lanes
    )


def _kinds(results: dict) -> dict:
    """The dtype of each result and its shape for a lane."""
    return {name: (values.dtype, values.shape[1:]) for name, values in results.items()}


def _fits(lane: Lane, saved: dict) -> bool:
    """Whether a checkpoint has the leaves of a chunk, in kind and shape: else the chunk begins
    anew."""
    leaves = jax.tree.leaves(lane)
    data = [jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf for leaf in leaves]
    found = [saved.get(f"lane/{index}") for index in range(len(leaves) + 1)]
    same = (
        values is not None and (values.shape, values.dtype) == (leaf.shape, leaf.dtype)
        for values, leaf in zip(found, data, strict=False)
    )
    return found[-1] is None and all(same)


def _restored(lane: Lane, saved: dict) -> Lane:
    """A fresh chunk with the leaves of a checkpoint in their places, on the same devices."""
    leaves, structure = jax.tree.flatten(lane)
    found = []
    for index, leaf in enumerate(leaves):
        values: Any = saved[f"lane/{index}"]
        if _is_key(leaf):
            values = jax.random.wrap_key_data(values, impl=jax.random.key_impl(leaf))
        found.append(jax.device_put(values, leaf.sharding))
    return jax.tree.unflatten(structure, found)


def _is_key(leaf) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def awaited(future: Future, asked: Callable[[], bool], path) -> Compiled:
    """A program once it is compiled.

    Raises:
      KeyboardInterrupt: it was `asked` for meanwhile; nothing but the compiler is at work.
    """
    while not future.done():
        if asked():
            kept = (
                "nothing was kept, as there is no run folder"
                if path is None
                else f"the same call continues {path}"
            )
            raise KeyboardInterrupt(f"interrupted while compiling: {kept}")
        wait([future], timeout=WAIT_SECONDS)
    return future.result()


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Holds back the first Ctrl-C, so that a segment ends and a checkpoint is whole; a second one
    goes through.

    Yields:
      a function that says whether there has been one.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def hold(number, frame):
        signal.signal(signal.SIGINT, before)
        asked.set()

    signal.signal(signal.SIGINT, hold)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
