"""The blocks of a run: which are missing, trained by the engine, stored as they end."""

import contextlib
import datetime
import functools
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax

from jaxdl.planning.config import config_key
from jaxdl.planning.spec import Spec, config_finder
from jaxdl.running import engine, store
from jaxdl.running.manifest import (
    about,
    blocks_of,
    checked,
    program_of,
    reader,
    with_lane_size,
)
from jaxdl.running.progress import progress
from jaxdl.running.shards import Shard

CHECKPOINT_SECONDS = 15.0  # between two checkpoints of a running block, at least


class Run(NamedTuple):
    """Where a study is trained, and which share of it."""

    spec: Spec
    path: pathlib.Path | None  # None keeps all in memory
    shard: Shard
    compiled: Callable  # {number: Program} -> {number: Future of Compiled}
    shown: bool  # progress on stderr
    reopened: Callable[[], dict] | None = None  # the manifest on disk now, with this study's lanes


def wanted(spec: Spec, manifest: dict) -> dict[int, tuple[int, list]]:
    """The blocks that hold lanes of a study: number -> (program number, [(config number,
    seed)])."""
    keys = {config_key(config.values) for config in spec.configs}
    configs = {
        number for number, config in enumerate(manifest["configs"]) if config_key(config) in keys
    }
    seeds = set(spec.seeds)
    blocks = enumerate(blocks_of(manifest))
    return {
        n: block
        for n, block in blocks
        if any(config in configs and seed in seeds for config, seed in block[1])
    }


def stored(
    manifest: dict, path: pathlib.Path | None, names: tuple[str, ...] = ()
) -> dict[int, dict]:
    """The blocks on disk that hold lanes of a run: number -> arrays; the number says nothing on the
    lanes."""
    if path is None:
        return {}
    lanes_of = reader(manifest)
    return {
        number: block for number, block in store.stored_blocks(path, names) if any(lanes_of(block))
    }


def missing(run: Run, manifest: dict, kept: dict[int, dict]) -> dict[int, tuple[int, list]]:
    """The blocks of this shard's study with a lane that no block on disk, or kept in memory,
    holds."""
    lanes_of = reader(manifest)
    found = [*stored(manifest, run.path, store.ABOUT).values(), *kept.values()]
    there = {lane for block in found for lane in lanes_of(block)}
    mine = wanted(run.spec, manifest).items()
    return {n: block for n, block in mine if run.shard.takes(n) and not there.issuperset(block[1])}


def train_blocks(run: Run, manifest: dict) -> tuple[dict, dict[int, dict]]:
    """Trains the missing blocks of this shard.

    Returns:
      (manifest, blocks): the manifest, grown by other processes meanwhile, and with a smaller
      lane_size where memory ran out before the first block was stored; and all blocks that are
      there at the end.
    """
    kept: dict[int, dict] = {}  # in memory, where there is no folder
    while True:
        todo = missing(run, manifest, kept)
        try:
            for number, arrays in _train(run, manifest, todo):
                if run.path is None:
                    kept[number] = arrays
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            manifest = _halved(run, manifest, bool(kept), error)
            continue
        # another process may have grown the run, or halved its lane_size: then more may be missing
        before, manifest = manifest, run.reopened() if todo and run.reopened else manifest
        if manifest == before:
            return manifest, {**stored(manifest, run.path), **kept}


def _halved(run: Run, manifest: dict, done: bool, error: Exception) -> dict:
    """The manifest with half the lane_size, on disk too; as it is there, if another process has
    halved it."""
    if run.path is None:
        return _with_half(run, manifest, done, error)
    with store.locked(run.path):  # no other process stores a block between the look and the change
        now = checked(store.read_manifest(run.path) or manifest, run.path)
        if _sizes(now)[: len(_sizes(manifest))] != _sizes(manifest):
            return now
        halved = _with_half(run, now, bool(store.finished_blocks(run.path)), error)
        store.write_manifest(run.path, halved)
        return halved


def _with_half(run: Run, manifest: dict, done: bool, error: Exception) -> dict:
    sizes = _sizes(manifest)
    if done or max(sizes) == 1:
        why = "blocks are stored that were trained with it" if done else "it is 1 already"
        raise MemoryError(
            f"out of memory with lane_size {sizes}, which cannot be halved: {why}"
        ) from error
    halved = [
        with_lane_size(program, max(1, program["lane_size"] // 2))
        for program in manifest["programs"]
    ]
    halved_manifest = {**manifest, "programs": halved}
    with progress(run.shown, 1) as shown:
        shown.say(f"out of memory: lane_size {sizes} becomes {_sizes(halved_manifest)}")
    return halved_manifest


def _sizes(manifest: dict) -> list[int]:
    return [program["lane_size"] for program in manifest["programs"]]


def _train(run: Run, manifest: dict, todo: dict) -> Iterator[tuple[int, dict]]:
    """Trains blocks: yields (number, arrays), stored already where there is a folder."""
    if not todo:
        return
    find = config_finder(run.spec)
    programs = {
        number: program_of(manifest, number, find)
        for number in sorted({number for number, _ in todo.values()})
    }
    seconds = {number: manifest["programs"][number]["lane_seconds"] for number in programs}
    total = sum(len(lanes) * seconds[number] for number, lanes in todo.values())
    lengths: dict[int, int] = {}  # program number -> steps of a segment by the clock
    with (
        progress(run.shown, total) as shown,
        engine.deferred_interrupt() as asked,
        contextlib.ExitStack() as ends,
    ):
        ready = run.compiled(programs)
        for future in ready.values():
            ends.callback(
                future.cancel
            )  # what has not begun to compile is not needed after an error or Ctrl-C
        for number, (program_number, lanes) in todo.items():
            program = programs[program_number]
            if not ready[program_number].done():
                shown.say(f"compiling program {program_number + 1} of {len(manifest['programs'])}")
            compiled = engine.awaited(ready[program_number], asked, run.path)
            shown.say(f"training block {number + 1} of {max(todo) + 1}")
            advance = functools.partial(
                _advance, shown, seconds[program_number] / program.schedule.steps
            )
            whose = about(manifest, program_number, lanes)
            saved = None if run.path is None else _saved(run.path, number, whose)
            numbers = manifest["programs"][program_number]["configs"]
            configs = dict(zip(numbers, program.configs, strict=True))
            named = [(configs[config], seed) for config, seed in lanes]
            begin = time.perf_counter()
            hooks = _hooks(run.path, number, whose, asked, advance)._replace(
                length=functools.partial(lengths.get, program_number, engine.FIRST_STEPS),
                keep=functools.partial(lengths.__setitem__, program_number),
            )
            results = engine.run_block(run.spec, program, compiled, named, hooks, saved)
            arrays = {**whose, **results}
            if run.path is not None:
                store.write_block(
                    run.path, number, arrays, _event(program_number, lanes, begin), run.shard.events
                )
            yield number, arrays


def _advance(shown, weight: float, lane_steps: float):
    shown.advance(weight * lane_steps)


def _saved(path: pathlib.Path, number: int, whose: dict) -> dict | None:
    """A checkpoint of these lanes of this program; one that cannot be read, or is of others, is
    none."""
    saved = store.read_checkpoint(path, number)
    return saved if saved is not None and store.same_lanes(saved, whose) else None


def _event(program: int, lanes: list, begin: float) -> dict:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "program": program,
        "lanes": len(lanes),
        "seconds": round(time.perf_counter() - begin, 3),
        "finished": now,
    }


def _hooks(
    path, number: int, whose: dict, asked: Callable[[], bool], advance: Callable
) -> engine.Hooks:
    """What happens between the segments of a block: progress, a checkpoint now and then, and one at
    Ctrl-C."""
    wait, last = CHECKPOINT_SECONDS, time.perf_counter()

    def due() -> bool:
        if asked() and path is None:
            raise KeyboardInterrupt("interrupted: nothing was kept, as there is no run folder")
        return path is not None and (asked() or time.perf_counter() - last >= wait)

    def save(arrays: dict):
        nonlocal wait, last
        begin = time.perf_counter()
        store.write_checkpoint(path, number, {**whose, **arrays})
        last = time.perf_counter()
        wait = max(CHECKPOINT_SECONDS, 50 * (last - begin))  # at most 2 % of the time
        if asked():
            raise KeyboardInterrupt(f"interrupted: saved, the same call continues {path}")

    return engine.Hooks(advance, due, save)
