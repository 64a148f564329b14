"""The blocks of a run: which are missing, trained by the engine, stored as they end."""

import contextlib
import datetime
import functools
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxdl import engine, store
from jaxdl.manifest import blocks_of, config_key, program_of
from jaxdl.progress import progress
from jaxdl.shards import Shard
from jaxdl.spec import Spec

CHECKPOINT_SECONDS = 15.0  # between two checkpoints of a running block, at least


class Run(NamedTuple):
    """Where a study is trained, and which share of it."""

    spec: Spec
    path: pathlib.Path | None  # None keeps all in memory
    shard: Shard
    compiled: Callable  # {number: Program} -> {number: Future of Compiled}
    shown: bool  # progress on stderr


def wanted(spec: Spec, manifest: dict) -> dict[int, tuple[int, list]]:
    """The blocks that hold lanes of a study: number -> (program number, [(config number, seed)])."""
    keys = {config_key(config) for config in spec.configs}
    configs = {number for number, config in enumerate(manifest["configs"]) if config_key(config) in keys}
    seeds = set(spec.seeds)
    blocks = enumerate(blocks_of(manifest))
    return {n: block for n, block in blocks if any(config in configs and seed in seeds for config, seed in block[1])}


def stored(spec: Spec, manifest: dict, path: pathlib.Path | None) -> dict[int, dict]:
    """The blocks of a study that are whole on disk: number -> arrays."""
    if path is None:
        return {}
    mine = wanted(spec, manifest)
    return {number: store.read_block(path, number) for number in store.finished_blocks(path) if number in mine}


def train_blocks(run: Run, manifest: dict) -> tuple[dict, dict[int, dict]]:
    """Trains the missing blocks of this shard.

    Returns:
      (manifest, blocks): the manifest, with a smaller lane_size where memory ran out before the first block was
      stored, and all blocks that are there at the end.
    """
    done = stored(run.spec, manifest, run.path)
    while True:
        missing = {n: block for n, block in wanted(run.spec, manifest).items() if n not in done and run.shard.takes(n)}
        try:
            for number, arrays in _train(run, manifest, missing):
                done[number] = arrays
            return manifest, {**stored(run.spec, manifest, run.path), **done}
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            manifest = _halved(run, manifest, bool(done), error)


def _halved(run: Run, manifest: dict, done: bool, error: Exception) -> dict:
    """The manifest with half the lane_size, on disk too."""
    sizes = [program["lane_size"] for program in manifest["programs"]]
    done = done or (run.path is not None and bool(store.finished_blocks(run.path)))
    if done or max(sizes) == 1:
        why = "blocks are stored that were trained with it" if done else "it is 1 already"
        raise MemoryError(f"out of memory with lane_size {sizes}, which cannot be halved: {why}") from error
    halved = [{**program, "lane_size": max(1, program["lane_size"] // 2)} for program in manifest["programs"]]
    with progress(run.shown, 1) as shown:
        shown.say(f"out of memory: lane_size {sizes} becomes {[program['lane_size'] for program in halved]}")
    manifest = {**manifest, "programs": halved}
    if run.path is not None:
        store.write_manifest(run.path, manifest)
    return manifest


def _train(run: Run, manifest: dict, missing: dict) -> Iterator[tuple[int, dict]]:
    """Trains blocks: yields (number, arrays), stored already where there is a folder."""
    if not missing:
        return
    programs = {number: program_of(manifest, number) for number in sorted({number for number, _ in missing.values()})}
    seconds = {number: manifest["programs"][number]["lane_seconds"] for number in programs}
    total = sum(len(lanes) * seconds[number] for number, lanes in missing.values())
    lengths: dict[int, int] = {}  # program number -> steps of a segment by the clock
    with progress(run.shown, total) as shown, engine.deferred_interrupt() as asked, contextlib.ExitStack() as ends:
        ready = run.compiled(programs)
        for future in ready.values():
            ends.callback(future.cancel)  # what has not begun to compile is not needed after an error or Ctrl-C
        for number, (program_number, lanes) in missing.items():
            program = programs[program_number]
            if not ready[program_number].done():
                shown.say(f"compiling program {program_number + 1} of {len(manifest['programs'])}")
            compiled = engine.awaited(ready[program_number], asked, run.path)
            shown.say(f"training block {number + 1} of {max(missing) + 1}")
            advance = functools.partial(_advance, shown, seconds[program_number] / program.schedule.steps)
            saved = None if run.path is None else store.read_checkpoint(run.path, number)
            named = [(manifest["configs"][config], seed) for config, seed in lanes]
            begin = time.perf_counter()
            hooks = _hooks(run.path, number, asked, advance)._replace(
                length=functools.partial(lengths.get, program_number, engine.FIRST_STEPS),
                keep=functools.partial(lengths.__setitem__, program_number),
            )
            results = engine.run_block(run.spec, program, compiled, named, hooks, saved)
            arrays = {**_names(lanes), **results}
            if run.path is not None:
                store.write_block(run.path, number, arrays, _event(program_number, lanes, begin), run.shard.events)
            yield number, arrays


def _advance(shown, weight: float, lane_steps: float):
    shown.advance(weight * lane_steps)


def _names(lanes: list) -> dict[str, np.ndarray]:
    """Which lanes a block holds."""
    return {
        "config": np.array([config for config, _ in lanes], np.int32),
        "seed": np.array([seed for _, seed in lanes], np.uint32),
    }


def _event(program: int, lanes: list, begin: float) -> dict:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"program": program, "lanes": len(lanes), "seconds": round(time.perf_counter() - begin, 3), "finished": now}


def _hooks(path, number: int, asked: Callable[[], bool], advance: Callable) -> engine.Hooks:
    """What happens between the segments of a block: progress, a checkpoint now and then, and one at Ctrl-C."""
    wait, last = CHECKPOINT_SECONDS, time.perf_counter()

    def due() -> bool:
        if asked() and path is None:
            raise KeyboardInterrupt("interrupted: nothing was kept, as there is no run folder")
        return path is not None and (asked() or time.perf_counter() - last >= wait)

    def save(arrays: dict):
        nonlocal wait, last
        begin = time.perf_counter()
        store.write_checkpoint(path, number, arrays)
        last = time.perf_counter()
        wait = max(CHECKPOINT_SECONDS, 50 * (last - begin))  # at most 2 % of the time
        if asked():
            raise KeyboardInterrupt(f"interrupted: saved, the same call continues {path}")

    return engine.Hooks(advance, due, save)
