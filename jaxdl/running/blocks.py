"""The blocks of a run: which are missing, trained by the engine, stored as they end."""

import contextlib
import datetime
import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import jax

from jaxdl.planning.config import config_key
from jaxdl.planning.program import Program
from jaxdl.planning.spec import Spec, config_finder
from jaxdl.running import engine, events, store
from jaxdl.running.compiler import Compiled
from jaxdl.running.interrupts import awaited, deferred_interrupt
from jaxdl.running.lanes import ABOUT, about, reader, same_lanes
from jaxdl.running.manifest import Lane, blocks_of, checked, program_of, with_lane_size
from jaxdl.running.progress import Progress, progress
from jaxdl.running.shards import Chosen, Shard

CHECKPOINT_SECONDS = 15.0  # between two checkpoints of a running block, at least
CHECKPOINT_SHARE = 0.02  # of the time that checkpoints take, at most

Block = tuple[int, list[Lane]]  # (program number, lanes), as planned


class Run(NamedTuple):
    """Where a study is trained, and which share of it."""

    spec: Spec
    path: pathlib.Path | None  # None keeps all in memory
    shard: Shard | Chosen
    compiled: Callable[[dict[int, Program]], dict[int, Future]]  # by number; starts compiling
    progress: bool | None  # whether it is shown; None where a person is there to see it
    reopened: Callable[[], dict] | None = None  # the manifest on disk now, with this study's lanes
    tell: events.Tell = events.untold  # hears of every block that has ended
    asked: Callable[[], str | None] | None = None  # the command that asks for it, see `session`


class _Session(NamedTuple):
    """What the blocks that a process trains one after another have in common."""

    run: Run
    manifest: dict
    programs: dict[int, Program]
    ready: dict[int, Future]  # program number -> its `Compiled`
    display: Progress
    asked: Callable[[], bool]  # whether for an interrupt
    lengths: dict[int, int]  # program number -> steps of a segment by the clock


def wanted(spec: Spec, manifest: dict) -> dict[int, Block]:
    """Lists the blocks that hold lanes of a study, by number."""
    keys = {config_key(config.values) for config in spec.configs}
    numbered = enumerate(manifest["configs"])
    configs = {number for number, config in numbered if config_key(config) in keys}
    seeds = set(spec.seeds)
    blocks = {}
    for number, (program, lanes) in enumerate(blocks_of(manifest)):
        mine = [config in configs and seed in seeds for config, seed in lanes]
        if any(mine):
            blocks[number] = (program, lanes)
    return blocks


def stored(
    manifest: dict, path: pathlib.Path | None, names: tuple[str, ...] = ()
) -> dict[int, dict]:
    """Reads the blocks on disk that hold lanes of a run.

    Args:
      names: the arrays to read; all by default.

    Returns:
      number -> arrays; the number says nothing on the lanes.
    """
    if path is None:
        return {}
    lanes_of = reader(manifest)
    blocks = store.stored_blocks(path, names)
    return {number: block for number, block in blocks if any(lanes_of(block))}


def missing(run: Run, manifest: dict, kept: dict[int, dict]) -> dict[int, Block]:
    """Lists the blocks of this shard with a lane that no block on disk, or in `kept`, holds."""
    lanes_of = reader(manifest)
    on_disk = stored(manifest, run.path, ABOUT)
    there: set[Lane | None] = set()
    for block in itertools.chain(on_disk.values(), kept.values()):
        there.update(lanes_of(block))
    blocks = {}
    for number, (program, lanes) in wanted(run.spec, manifest).items():
        if run.shard.takes(number) and not there.issuperset(lanes):
            blocks[number] = (program, lanes)
    return blocks


def train_blocks(
    run: Run, manifest: dict, before: dict[int, dict] | None = None
) -> tuple[dict, dict[int, dict]]:
    """Trains the missing blocks of this shard.

    Args:
      before: blocks in memory that the run has already, where there is no folder.

    Returns:
      (manifest, blocks): the manifest, grown by other processes meanwhile, and with a smaller
      lane_size where memory ran out before the first block was stored; and all blocks that are
      there at the end.
    """
    manifest, kept = train_missing(run, manifest, before)
    return manifest, {**stored(manifest, run.path), **kept}


def train_missing(
    run: Run, manifest: dict, before: dict[int, dict] | None = None
) -> tuple[dict, dict[int, dict]]:
    """Trains the missing blocks of this shard, and reads none of those that are stored.

    Returns:
      (manifest, kept): see `train_blocks`; the blocks in memory, where there is no folder.
    """
    # Until nothing changes: another process may have grown the run meanwhile, or overwritten what
    # this one had grown (no locks), or halved its lane_size. Then more may be missing.
    kept = dict(before or {})
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
        before = manifest
        if todo and run.reopened:
            manifest = run.reopened()
        if manifest == before:
            return manifest, kept


# --- out of memory -----------------------------------------------------------------------------


def _halved(
    run: Run,
    manifest: dict,
    done: bool,
    error: Exception,
) -> dict:
    """The manifest with half the lane_size, on disk too; `done`: whether a block is trained."""
    if run.path is None:
        return _with_half(run, manifest, done, error)
    # No other process may store a block between the look and the change. One that has run out of
    # memory first has halved it already.
    with store.locked(run.path):
        now = checked(store.read_manifest(run.path) or manifest, run.path)
        sizes = _lane_sizes(manifest)
        if _lane_sizes(now)[: len(sizes)] != sizes:
            return now
        halved = _with_half(run, now, bool(store.finished_blocks(run.path)), error)
        store.write_manifest(run.path, halved)
        return halved


def _with_half(
    run: Run,
    manifest: dict,
    done: bool,
    error: Exception,
) -> dict:
    sizes = _lane_sizes(manifest)
    # Lanes of another lane_size have other last bits: a run has one for each program.
    if done or max(sizes) == 1:
        why = "blocks are stored that were trained with it" if done else "it is 1 already"
        raise MemoryError(
            f"out of memory with lane_size {sizes}, which cannot be halved: {why}"
        ) from error
    programs = [
        with_lane_size(program, max(1, program["lane_size"] // 2))
        for program in manifest["programs"]
    ]
    halved = {**manifest, "programs": programs}
    with progress(run.progress, 1) as display:
        display.say(f"out of memory: lane_size {sizes} becomes {_lane_sizes(halved)}")
    return halved


def _lane_sizes(manifest: dict) -> list[int]:
    return [program["lane_size"] for program in manifest["programs"]]


# --- training ----------------------------------------------------------------------------------


def _train(run: Run, manifest: dict, todo: dict[int, Block]) -> Iterator[tuple[int, dict]]:
    """Trains blocks: yields (number, arrays), stored already where there is a folder."""
    if not todo:
        return
    if run.path is not None:
        store.append_session(run.path, run.shard.events, run.asked)
    numbers = sorted({program for program, _ in todo.values()})
    find = config_finder(run.spec)
    programs = {number: program_of(manifest, number, find) for number in numbers}
    total = 0.0
    for program, lanes in todo.values():
        total += len(lanes) * manifest["programs"][program]["lane_seconds"]
    with (
        progress(run.progress, total) as display,
        deferred_interrupt() as asked,
        contextlib.ExitStack() as ends,
    ):
        ready = run.compiled(programs)
        for future in ready.values():
            # What has not begun to compile is not needed after an error or Ctrl-C.
            ends.callback(future.cancel)
        session = _Session(run, manifest, programs, ready, display, asked, {})
        for number, (program, lanes) in todo.items():
            compiled = _compiled(session, program)
            display.say(f"training block {number + 1} of {max(todo) + 1}")
            display.begin()
            yield number, _train_block(session, number, program, compiled, lanes)


def _compiled(session: _Session, program: int) -> Compiled:
    future = session.ready[program]
    if not future.done():
        count = len(session.manifest["programs"])
        session.display.say(f"compiling program {program + 1} of {count}")
    return awaited(future, session.asked, session.run.path)


def _train_block(
    session: _Session,
    number: int,
    program: int,
    compiled: Compiled,
    lanes: list[Lane],
) -> dict:
    """Trains one block, from its checkpoint where there is one; stores it where there is a folder.

    Args:
      number: of the block.
      program: its number.
    """
    run, manifest = session.run, session.manifest
    label = about(manifest, program, lanes)
    saved = None if run.path is None else _saved(run.path, number, label)
    planned = session.programs[program]
    numbers = manifest["programs"][program]["configs"]
    configs = dict(zip(numbers, planned.configs, strict=True))
    named = [(configs[config], seed) for config, seed in lanes]
    begin = time.perf_counter()
    hooks = _hooks(session, number, program, label)
    results = engine.run_block(run.spec, planned, compiled, named, hooks, saved)
    arrays = {**label, **results}
    event = _event(program, lanes, time.perf_counter() - begin)
    if run.path is not None:
        store.write_block(run.path, number, arrays, event, run.shard.events)
    # After it is stored: whatever the user's function does, no lane is lost.
    if run.tell is not events.untold:
        run.tell(events.block(run.spec, manifest, number, arrays, event))
    return arrays


def _saved(path: pathlib.Path, number: int, label: dict) -> dict | None:
    """A checkpoint of these lanes of this program, if there is one that can be read."""
    saved = store.read_checkpoint(path, number)
    return saved if saved is not None and same_lanes(saved, label) else None


def _event(program: int, lanes: list[Lane], seconds: float) -> dict:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "program": program,
        "lanes": len(lanes),
        "seconds": round(seconds, 3),
        "finished": now,
    }


def _hooks(
    session: _Session,
    number: int,
    program: int,
    label: dict,
) -> engine.Hooks:
    """What happens between the segments of a block: progress, a checkpoint now and then."""
    path = session.run.path
    lane_seconds = session.manifest["programs"][program]["lane_seconds"]
    step_seconds = lane_seconds / session.programs[program].schedule.steps
    hooks = engine.Hooks(
        advance=functools.partial(_advance, session.display, step_seconds),
        due=functools.partial(_end_if, session.asked),
        length=lambda: session.lengths.get(program, engine.FIRST_STEPS),
        keep=functools.partial(session.lengths.__setitem__, program),
    )
    if path is None:
        return hooks
    due, save = _checkpointing(path, number, label, session.asked)
    return hooks._replace(due=due, save=save)


def _end_if(asked: Callable[[], bool]) -> bool:
    """Ends a run that keeps nothing where an interrupt was asked for; never due to be saved."""
    if asked():
        raise KeyboardInterrupt("interrupted: nothing was kept, as there is no run folder")
    return False


def _checkpointing(
    path: pathlib.Path,
    number: int,
    label: dict,
    asked: Callable[[], bool],
) -> tuple[Callable[[], bool], Callable[[dict], None]]:
    """Makes the functions that say whether a checkpoint of a block is due, and write it."""
    # A checkpoint of 1000 tiny lanes takes 27 ms, one of wide networks seconds: the wait grows
    # with what the last one took. Data that can be drawn again are not in it.
    wait, last = CHECKPOINT_SECONDS, time.perf_counter()

    def due() -> bool:
        return asked() or time.perf_counter() - last >= wait

    def save(arrays: dict):
        nonlocal wait, last
        begin = time.perf_counter()
        store.write_checkpoint(path, number, {**label, **arrays})
        last = time.perf_counter()
        wait = max(CHECKPOINT_SECONDS, (last - begin) / CHECKPOINT_SHARE)
        if asked():
            raise KeyboardInterrupt(f"interrupted: saved, the same call continues {path}")

    return due, save


def _advance(display: Progress, step_seconds: float, lane_steps: float):
    display.advance(step_seconds * lane_steps)
