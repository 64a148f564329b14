"""Timing on a noisy machine: contestants take turns, and ratios within one run are reported.

A burst is a function that does some work and returns how many units of it. What it computes on a
device must be ready when it returns.
"""

import contextlib
import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import Study
from jaxdl.running import compiler, engine

BURST_SECONDS = 0.4  # about a segment of a run
YARDSTICK_SECONDS = 0.05
YARDSTICK_SIDE = 64  # of its matrices, which stay in any core's cache

ROWS, WHOLE = PartitionSpec("devices"), PartitionSpec()

Burst = Callable[[], float]  # does a burst of work and returns how many units of it


def compiled_program(study: Study, count: int | None = None) -> compiler.Compiled:
    """Compiles a study's first program as the engine does, for so many devices; all by default."""
    devices = compiler.prepare_devices()[:count]
    program = study.plan().programs[0]
    return compiler.compile_programs(study.spec.parts, {0: program}, devices)[0].result()


def engine_burst(
    study: Study, seconds: float = BURST_SECONDS, compiled: compiler.Compiled | None = None
) -> Burst:
    """Makes a burst of lane-steps of a study's first program: a segment of the engine's own loop.

    Args:
      study: of one config, with more steps than all bursts need and evaluated at its ends only.
      seconds: of a burst, about.
      compiled: its program; compiled here where not given.

    Returns:
      () -> how many lane-steps were done.
    """
    compiled = compiled_program(study) if compiled is None else compiled
    program = study.plan().programs[0]
    config = program.configs[0]
    lanes = [(config, seed) for seed in range(compiled.lanes)]
    hooks = engine.Hooks()
    segments = engine.segments(
        study.spec, program, compiled, lanes, hooks, saved=None, seconds=seconds
    )
    state = next(segments)
    # The engine lengthens its segments until one takes so long; it does so before the clock starts.
    grows = True
    while grows:
        length = state.length
        state = next(segments)
        grows = state.length > 1.5 * length
    done = state.step

    def burst() -> float:
        nonlocal done
        before, done = done, next(segments).step
        return (done - before) * compiled.lanes

    return burst


def repeated(call: Callable[[], Any], seconds: float = BURST_SECONDS, units: float = 1.0) -> Burst:
    """Makes a burst of so many calls of a function that they take about so many seconds.

    Args:
      call: what a loop repeats; what it returns is waited for.
      units: done by one call.

    Returns:
      () -> how many units were done.
    """
    jax.block_until_ready(call())  # compiles, fills caches
    times, taken = 1, 0.0
    # Twice as often until it can be timed: a single call may be as short as the clock's tick.
    while True:
        begin = time.perf_counter()
        for _ in range(times):
            jax.block_until_ready(call())
        taken = time.perf_counter() - begin
        if taken > seconds / 4:
            break
        times *= 2
    times = max(1, round(times * seconds / taken))

    def burst() -> float:
        for _ in range(times):
            jax.block_until_ready(call())
        return times * units

    return burst


def yardstick(seconds: float = YARDSTICK_SECONDS) -> Burst:
    """Makes a burst of work that nothing of this project can change, on all devices at once.

    Small products and tanh, in a loop. Its rate tells how fast the machine was, so that runs of
    different hours can be compared.
    """
    count = len(compiler.prepare_devices())
    matrix = jnp.eye(YARDSTICK_SIDE) * 0.5

    def loop(x, rounds):
        def body(_, x):
            return jnp.tanh(x @ matrix + 0.1)

        return jax.lax.fori_loop(0, rounds, body, x)

    spread_out = on_devices(loop, 2)
    x = by_rows(jnp.zeros((YARDSTICK_SIDE * count, YARDSTICK_SIDE)))
    return repeated(lambda: spread_out(x, np.int32(200)), seconds, units=200.0)


def on_devices(function: Callable, arguments: int, split: Sequence[bool] = (True,)) -> Callable:
    """Compiles a function that every device computes on its part of the rows.

    The devices wait for each other at the end, as those of the engine do.

    Args:
      arguments: how many it takes.
      split: whether each is split by rows; those that are not said are everywhere whole.
    """
    said = [*split, *[False] * (arguments - len(split))]
    specs = tuple(ROWS if each else WHOLE for each in said)
    return jax.jit(jax.shard_map(function, mesh=device_mesh(), in_specs=specs, out_specs=ROWS))


def device_mesh() -> Mesh:
    """Makes the mesh of all devices."""
    return Mesh(np.array(compiler.prepare_devices()), ("devices",))


def by_rows(array: jax.Array) -> jax.Array:
    """Puts its part of the rows on every device: else a call would begin by sending them there."""
    return jax.device_put(array, NamedSharding(device_mesh(), ROWS))


def everywhere(array: jax.Array) -> jax.Array:
    """Puts the whole of an array on every device."""
    return jax.device_put(array, NamedSharding(device_mesh(), WHOLE))


def interleave(contestants: Mapping[Any, Burst], rounds: int) -> dict[Any, np.ndarray]:
    """Runs the contestants in turn, `rounds` times.

    Returns:
      name -> units per second, (rounds,); a first round warms up and is not counted.
    """
    # In turns, because an identical twin timed after another differed by 1.5x on a shared machine:
    # a ratio is of bursts that stand next to each other.
    names = list(contestants)
    rates: dict[Any, list[float]] = {name: [] for name in names}
    with garbage_left():
        for round_ in range(rounds + 1):
            # Each begins a round in turn: nobody always runs on what the same other one has left.
            first = round_ % len(names) if names else 0
            for name in names[first:] + names[:first]:
                begin = time.perf_counter()
                units = contestants[name]()
                seconds = time.perf_counter() - begin
                if round_:
                    rates[name].append(units / seconds)
    return {name: np.array(of_rounds) for name, of_rounds in rates.items()}


@contextlib.contextmanager
def garbage_left() -> Iterator[None]:
    """Keeps Python from collecting garbage meanwhile: it would stop whoever's turn it is."""
    collected = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


@contextlib.contextmanager
def fresh_cache() -> Iterator[None]:
    """Compiles into an empty cache meanwhile: the first of two twins compiles, the second loads."""
    settings = {
        "jax_compilation_cache_dir": "",
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    with tempfile.TemporaryDirectory() as folder:
        settings["jax_compilation_cache_dir"] = folder
        set_cache(settings)
        try:
            yield
        finally:
            set_cache(before)


def set_cache(settings: Mapping[str, Any]) -> None:
    """Sets jax's compilation cache, which reads its settings at its first use alone."""
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def spread(values) -> str:
    """Writes the median with the smallest and the largest."""
    return f"{np.median(values):.4g} [{np.min(values):.4g}, {np.max(values):.4g}]"


def device_name() -> str:
    """Names the devices at hand: how many, and of what kind."""
    devices = compiler.prepare_devices()
    return f"{len(devices)} x {devices[0].device_kind}"
