"""Programs made ready for the local devices: one CPU device a core, a compilation cache, compiling
in the background."""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl.planning import background, memo
from jaxdl.planning.axes import largest
from jaxdl.planning.program import Program, hp_columns, lane_functions
from jaxdl.planning.spec import Parts

ACROSS = PartitionSpec("lanes")
EVERYWHERE = PartitionSpec()
LOAD_SECONDS = 0.4  # what loading a program from the cache takes at most, usually
# XLA's options for an init, which runs once a chunk: a level below its usual 3 it is compiled in
# half the time, and runs no slower (benchmarks/NOTES.md).
FOR_INIT = {"xla_backend_optimization_level": 2}
CACHE = "jax_compilation_cache_dir"
# jax's settings of a cache, by their defaults: with another value it is the user's own
CHOICES = {
    CACHE: None,
    "jax_enable_compilation_cache": True,
    "jax_compilation_cache_max_size": -1,
}
# which programs are kept, all of them: jax's setting -> (its default, ours)
KEPT = {
    "jax_persistent_cache_min_compile_time_secs": (1.0, 0.0),
    "jax_persistent_cache_min_entry_size_bytes": (0, -1),
}


class Chunk(NamedTuple):
    """A program's functions over a chunk of lanes, and what they are called with."""

    init: Any  # a jitted function, as `segment` is
    init_arguments: tuple
    segment: Any
    segment_arguments: tuple
    shared: Any


class Lowered(NamedTuple):
    """A program that is traced, to be compiled."""

    init: Any
    segment: Any
    shared: Any
    lanes: int
    devices: int


class Compiled(NamedTuple):
    """A program ready to run, a chunk of lanes at a time."""

    init: Callable  # (seeds, hp, shared) -> (Lane, Dataset or None), leading axis `lanes`
    segment: Callable  # (lane, dataset, seeds, hp, start, stop) -> Lane; donates lane
    shared: Any
    lanes: int  # of a chunk: lane_size times devices
    bytes: int | None  # of memory at its peak, all devices together; None where not known


def choose_devices():
    """Asks jax for one CPU device a core, at least two, before its backend starts.

    A lane's bits differ between one device and several, not between two and more. Leaves the choice
    of an environment that has made one, and a backend that has started, as they are.
    """
    in_flags = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if in_flags or "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    with contextlib.suppress(RuntimeError):  # the backend has started: its devices are used
        jax.config.update("jax_num_cpu_devices", max(2, os.cpu_count() or 1))


def prepare_devices() -> list[jax.Device]:
    """Returns the local devices, chosen as in `choose_devices`; starts jax's backend."""
    choose_devices()
    return jax.local_devices()


@contextlib.contextmanager
def cache() -> Iterator[None]:
    """Keeps compiled programs in the user's folder meanwhile, and leaves jax's settings as they
    were.

    Nothing is done where jax has a cache already, is told to have none, or ``JAXDL_CACHE`` is
    ``off``.
    """
    settings = _cache_settings()
    if not settings:
        yield
        return
    before = {name: getattr(jax.config, name) for name in settings}
    memo.prune()
    _configure(settings)
    try:
        yield
    finally:
        # what the user has changed meanwhile stays changed
        ours = [name for name in settings if getattr(jax.config, name) == settings[name]]
        _configure({name: before[name] for name in ours})
        memo.prune()


def _cache_settings() -> dict[str, Any]:
    """What is to be set so that jax keeps compiled programs; what the user has set stays."""
    configured = any(getattr(jax.config, name) != default for name, default in CHOICES.items())
    folder = memo.folder()
    if configured or folder is None:
        return {}
    try:
        (folder / "xla").mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:  # a home that cannot be written: compile every time
        return {}
    settings: dict[str, Any] = {CACHE: str(folder / "xla")}
    for name, (default, ours) in KEPT.items():
        if getattr(jax.config, name) == default and name.upper() not in os.environ:
            settings[name] = ours
    return settings


def _configure(settings: dict[str, Any]):
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # jax reads its settings at the first use of a cache alone


def compile_programs(
    parts: Parts, programs: dict[int, Program], devices: Sequence[jax.Device]
) -> dict[int, Future]:
    """Starts compiling all programs in the background, in order; equal texts once.

    Returns:
      program number -> future of its `Compiled`; to cancel it takes back what has not begun.
    """
    mesh = Mesh(np.array(devices), ("lanes",))
    once = _once()
    lowered: list[Future] = [Future() for _ in programs]
    compiling = [functools.partial(_compile, each, once) for each in lowered]
    compiled = background.start(compiling, workers=2)

    # One thread traces, as tracing holds Python's lock; two compile what is traced already. The
    # first program is what everybody waits for: the second is traced once it is there, or has
    # turned out not to be in the cache.
    def trace():
        for program, future, result in zip(programs.values(), lowered, compiled, strict=True):
            if result.cancelled():
                future.cancel()
                continue
            background.fulfil(future, functools.partial(_lower, parts, program, mesh))
            if future is lowered[0]:
                wait([result], timeout=LOAD_SECONDS)

    background.start([trace])
    return dict(zip(programs, compiled, strict=True))


def _once() -> Callable:
    """Makes what compiles a lowered program, or waits for the thread that compiles its text."""
    done: dict[tuple, Future] = {}
    lock = threading.Lock()

    def compile_once(lowered, options=None):
        # unused arguments and empty states leave no trace in the text
        leaves = jax.tree.leaves(lowered.args_info)
        arguments = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        text = (lowered.as_text(), arguments, lowered.in_tree, lowered.out_tree)
        with lock:
            first = text not in done
            future = done.setdefault(text, Future())
        if first:
            try:
                future.set_result(lowered.compile(options))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    return compile_once


def chunk_of(parts: Parts, program: Program, mesh: Mesh) -> Chunk:
    """Makes the functions that are compiled of a program, and arguments of the shapes they take."""
    functions = lane_functions(parts, program)
    lanes = program.lane_size * mesh.size
    shared = functions.shared
    if shared is not None:
        shared = jax.device_put(shared, NamedSharding(mesh, EVERYWHERE))
    seeds = np.zeros((lanes, *parts.seed_shape), np.uint32)
    hp = hp_columns(program, [program.configs[0]] * lanes)
    init = _over_lanes(functions.init, mesh, (0, 0, None), program.lane_size)
    lane, dataset = jax.eval_shape(init, seeds, hp, shared)
    axes = (0, None if dataset is None else 0, 0, 0, None, None)
    segment = _over_lanes(functions.segment, mesh, axes, program.lane_size, donate=0)
    data = shared if dataset is None else dataset
    arguments = (lane, data, seeds, hp, np.int32(0), np.int32(1))
    return Chunk(init, (seeds, hp, shared), segment, arguments, shared)


def _lower(parts: Parts, program: Program, mesh: Mesh) -> Lowered:
    chunk = chunk_of(parts, program, mesh)
    segment = chunk.segment.lower(*chunk.segment_arguments)
    init = chunk.init.lower(*chunk.init_arguments)
    return Lowered(init, segment, chunk.shared, program.lane_size * mesh.size, mesh.size)


def _compile(future: Future, once: Callable) -> Compiled:
    lowered = future.result()
    segment, init = once(lowered.segment), once(lowered.init, FOR_INIT)
    needed = largest([needed_bytes(init), needed_bytes(segment)])
    total = None if needed is None else lowered.devices * needed
    return Compiled(init, segment, lowered.shared, lowered.lanes, total)


def needed_bytes(compiled) -> int | None:
    """Returns the bytes that a compiled function needs on each device.

    Those are arguments + outputs + temporaries - aliased; None where the backend has no such
    analysis. Any other failure of it is raised.
    """
    try:
        sizes = compiled.memory_analysis()
    except NotImplementedError:
        return None
    if sizes is None:
        return None
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        + sizes.temp_size_in_bytes
        - sizes.alias_size_in_bytes
    )


def _over_lanes(
    function: Callable, mesh: Mesh, in_axes: tuple, lane_size: int, donate: int | None = None
):
    """`function` over a chunk: vmapped, and split over the devices."""
    specs = tuple(EVERYWHERE if axis is None else ACROSS for axis in in_axes)
    mapped = jax.vmap(function, in_axes=in_axes) if lane_size > 1 else _of_one(function, in_axes)
    split = jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=ACROSS, check_vma=False)
    return jax.jit(split, donate_argnums=() if donate is None else donate)


def _of_one(function: Callable, in_axes: tuple) -> Callable:
    """Makes what `vmap` over a single lane is, without an axis of length 1 in every product.

    That is up to a tenth faster.
    """

    def first(tree):
        return jax.tree.map(lambda leaf: leaf[0], tree)

    @functools.wraps(function)
    def mapped(*arguments):
        pairs = zip(arguments, in_axes, strict=True)
        alone = [tree if axis is None else first(tree) for tree, axis in pairs]
        return jax.tree.map(lambda leaf: leaf[None], function(*alone))

    return mapped
