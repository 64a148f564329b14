"""Runs programs on the local devices: full chunks of lanes, advanced in segments.

A chunk is ``lane_size`` lanes on every device, padded with copies so that its shape never changes. The host
loops over chunks and over segments of a chunk; how long a segment is depends on the clock alone and
changes no bit, because the compiled loop takes its bounds as values.
"""

import contextlib
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import plan as planning
from jaxdl.spec import Spec

SEGMENT_SECONDS = 0.5
ACROSS = PartitionSpec("lanes")
EVERYWHERE = PartitionSpec()


class Compiled(NamedTuple):
    """A program ready to run."""

    init: Callable  # (seeds, hp, shared) -> (Lane, Dataset or None), leading axis `lanes`
    segment: Callable  # (lane, dataset, seeds, hp, start, stop) -> Lane; donates lane
    shared: Any
    lanes: int  # of a chunk: lane_size times devices


def prepare_devices() -> list:
    """The local devices, with one CPU device a core (at least two: a lane's bits differ between one and several).

    Leaves the choice of an environment that has made one, and a backend that has started, as they are.
    """
    chosen = "JAX_NUM_CPU_DEVICES" in os.environ or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen:
        with contextlib.suppress(RuntimeError):  # the backend has started: the devices at hand are used
            jax.config.update("jax_num_cpu_devices", max(2, os.cpu_count() or 1))
    return jax.local_devices()


def use_cache():
    """Keeps compiled programs in a private folder of the user, unless JAX was given one already."""
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "jaxdl" / "xla"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:  # a home that cannot be written: compile every time
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def compile_programs(spec: Spec, programs, devices) -> dict[int, Future]:
    """Starts compiling all programs in the background, in order; texts that are equal are compiled once.

    Returns:
      program number -> future of its `Compiled`.
    """
    mesh = Mesh(np.array(devices), ("lanes",))
    once = _once()
    pool = ThreadPoolExecutor(max_workers=2)
    futures = {number: pool.submit(_compile, spec, program, mesh, once) for number, program in programs.items()}
    pool.shutdown(wait=False)
    return futures


def _once() -> Callable:
    """A function that compiles a lowered program, or waits for the thread that compiles the same text already."""
    done: dict[tuple, Future] = {}
    lock = threading.Lock()

    def compile_once(lowered):
        program = (lowered.as_text(), lowered.in_tree, lowered.out_tree)  # empty optimizer states leave no trace in the text
        with lock:
            first = program not in done
            future = done.setdefault(program, Future())
        if first:
            try:
                future.set_result(lowered.compile())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    return compile_once


def _compile(spec: Spec, program: planning.Program, mesh: Mesh, once: Callable) -> Compiled:
    functions = planning.lane_functions(spec, program)
    lanes = program.lane_size * mesh.size
    shared = functions.shared
    if shared is not None:
        shared = jax.device_put(shared, NamedSharding(mesh, EVERYWHERE))
    seeds, hp = np.zeros(lanes, np.uint32), planning.hp_columns(spec, program, [program.configs[0]] * lanes)
    init = _over_lanes(functions.init, mesh, (0, 0, None))
    lane, dataset = jax.eval_shape(init, seeds, hp, shared)
    segment = _over_lanes(functions.segment, mesh, (0, None if dataset is None else 0, 0, 0, None, None), donate=0)
    data = shared if dataset is None else dataset
    segment_text = segment.lower(lane, data, seeds, hp, np.int32(0), np.int32(1))
    return Compiled(once(init.lower(seeds, hp, shared)), once(segment_text), shared, lanes)


def _over_lanes(function: Callable, mesh: Mesh, in_axes: tuple, donate: int | None = None):
    """`function` over a chunk: vmapped, and split over the devices."""
    specs = tuple(EVERYWHERE if axis is None else ACROSS for axis in in_axes)
    mapped = jax.vmap(function, in_axes=in_axes)
    split = jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=ACROSS, check_vma=False)
    return jax.jit(split, donate_argnums=() if donate is None else donate)


def run_lanes(spec: Spec, program: planning.Program, compiled: Compiled, lanes, advance: Callable) -> Iterator[Any]:
    """Trains lanes chunk by chunk.

    Args:
      lanes: list of (config, seed).
      advance: called with the number of lane-steps done since the last call.

    Yields:
      A `Lane` of numpy arrays per chunk, trimmed to its real lanes.
    """
    for begin in range(0, len(lanes), compiled.lanes):
        real = lanes[begin : begin + compiled.lanes]
        yield _run_chunk(spec, program, compiled, real, advance)


def _run_chunk(spec: Spec, program: planning.Program, compiled: Compiled, real, advance: Callable):
    """Trains up to a chunk of lanes, padded with copies of them."""
    count = len(real)
    full = [real[index % count] for index in range(compiled.lanes)]
    seeds = np.array([seed for _, seed in full], np.uint32)
    hp = planning.hp_columns(spec, program, [config for config, _ in full])
    trained = _train(compiled, seeds, hp, program.schedule.steps, lambda steps: advance(steps * count))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], trained)


def _train(compiled: Compiled, seeds, hp, steps: int, advance: Callable):
    """A chunk from its first step to its last, in segments of about `SEGMENT_SECONDS`."""
    lane, dataset = compiled.init(seeds, hp, compiled.shared)
    dataset = compiled.shared if dataset is None else dataset
    start, length = 0, max(1, steps // 100)
    while start <= steps:
        stop = min(start + length, steps + 1)
        begin = time.perf_counter()
        lane = jax.block_until_ready(compiled.segment(lane, dataset, seeds, hp, np.int32(start), np.int32(stop)))
        seconds = time.perf_counter() - begin
        advance(min(stop, steps) - start)
        start, length = stop, next_length(stop - start, seconds)
    return lane


def next_length(steps: int, seconds: float) -> int:
    """Steps of the next segment, so that it takes about `SEGMENT_SECONDS`; at most four times the last one's."""
    return max(1, min(4 * steps, int(steps * SEGMENT_SECONDS / max(seconds, 1e-6))))
