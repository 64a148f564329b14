"""What is on disk of a run: its manifest, an event line a finished block, blocks, checkpoints.

A line a process that has trained says with which command, machine and versions; no more than that
hangs on it.

A block counts once its event line, with the digest of its file, has been written. Manifest and
checkpoints hold a digest of themselves. What several processes may change at once is changed under
the run's lock.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from jaxdl.running import files
from jaxdl.running.files import write_atomically
from jaxdl.running.formats import Arrays, from_json, from_npz, sha256, to_json, to_npz
from jaxdl.running.lanes import same_lanes
from jaxdl.running.session import session

MANIFEST, EVENTS, BLOCKS, CHECKPOINTS = "manifest.json", "events.jsonl", "blocks", "checkpoints"
LOCK = "lock"
FORMAT = 2  # of a run folder; the only one that is read
SPARE = 100_000  # added to the number of a block whose file is taken


def locked(run: pathlib.Path) -> contextlib.AbstractContextManager[None]:
    """Keeps other processes out while files of a run change; makes the folder where needed."""
    return files.locked(run / LOCK)


def drop_leftovers(run: pathlib.Path):
    """Removes what killed writers have begun in a run's folders."""
    files.drop_leftovers((run, run / BLOCKS, run / CHECKPOINTS))


# --- the manifest ------------------------------------------------------------------------------


def read_manifest(run: pathlib.Path) -> dict | None:
    """Reads the manifest of a run folder; None where there is no run yet.

    Raises:
      ValueError: the file is there but is not the manifest of a run, or not as it was written.
    """
    path = run / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = from_json(path.read_bytes())
        if not isinstance(manifest, dict):
            raise ValueError(f"it must hold an object, got {manifest!r:.80}")
        written = manifest.pop("format", None)
        stored = manifest.pop("digest", None)
        digest = _digest_of(manifest)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a run's manifest: {error}") from error
    if written != FORMAT:
        raise ValueError(
            f"{path} must be of format {FORMAT}, got {written!r:.80}: another version of jaxdl "
            "wrote it"
        )
    if stored != digest:
        raise ValueError(
            f"{path} was changed after it was written: its digest is {digest}, it says "
            f"{stored!r:.80}"
        )
    return manifest


def _digest_of(manifest: dict) -> str:
    """Digests all that a manifest says, the order of its lists and names included."""
    return sha256(to_json(manifest).encode())[:32]


def write_manifest(run: pathlib.Path, manifest: dict, put: Callable = os.replace):
    """Writes a run's manifest, with its format and a digest of it; makes the folder if needed."""
    (run / BLOCKS).mkdir(parents=True, exist_ok=True)
    whole = {"format": FORMAT, **manifest, "digest": _digest_of(manifest)}
    content = to_json(whole, indent=1) + "\n"
    write_atomically(run / MANIFEST, content.encode(), put)


def create_manifest(run: pathlib.Path, manifest: dict) -> bool:
    """Writes the first manifest of a run; False, and nothing changed, where there is one."""
    try:
        write_manifest(run, manifest, files.put_first)
    except FileExistsError:
        return False
    return True


def swap_manifest(run: pathlib.Path, before: dict | None, after: dict) -> bool:
    """Writes a manifest in the place of another; False where that one is not there any more."""
    # Planning takes seconds and a lock over it would make processes wait for each other. So the
    # lock is held for the look and the write only, and who comes late plans what is left.
    with locked(run):
        if read_manifest(run) != before:
            return False
        if before is None:
            return create_manifest(run, after)
        write_manifest(run, after)
        return True


def is_new(run: pathlib.Path) -> bool:
    """Whether a run may begin in a folder: it is not there, or holds no more than was begun."""
    if not run.exists():
        return True
    if not run.is_dir():
        return False
    # What another process has made when it is about to write the first manifest.
    names = [path.name for path in run.iterdir() if path.name not in (BLOCKS, LOCK)]
    return all(name.startswith(f".{MANIFEST}") for name in names)


# --- events ------------------------------------------------------------------------------------


def read_events(run: pathlib.Path) -> list[dict]:
    """Reads the event lines of a run; drops those that do not parse (a kill while writing)."""
    return _read_lines(run, "events*.jsonl")


def _read_lines(run: pathlib.Path, pattern: str) -> list[dict]:
    lines = []
    for path in sorted(run.glob(pattern)):
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                lines.append(json.loads(line))
    return [line for line in lines if isinstance(line, dict)]


def read_sessions(run: pathlib.Path) -> list[dict]:
    """Reads which processes have trained a run, see `session`, in the order in which they began."""
    sessions = _read_lines(run, "sessions*.jsonl")
    return sorted(sessions, key=lambda each: str(each.get("began")))


def append_session(
    run: pathlib.Path,
    events: str = EVENTS,
    asked: Callable[[], str | None] | None = None,
):
    """Notes that this process trains a run, in a file beside its events; see `session`."""
    append_event(run, session(asked), events.replace("events", "sessions"))


def append_event(run: pathlib.Path, event: dict, name: str = EVENTS):
    """Adds one event line and forces it to the disk."""
    path = run / name
    with files.naming(path), open(path, "ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that a kill cut short
                file.write(b"\n")
        file.write((json.dumps(event, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


# --- blocks ------------------------------------------------------------------------------------


def block_path(run: pathlib.Path, number: int) -> pathlib.Path:
    """Where a block is stored."""
    return run / BLOCKS / f"{number:04d}.npz"


def write_block(
    run: pathlib.Path,
    number: int,
    arrays: Arrays,
    event: dict,
    events: str = EVENTS,
):
    """Stores a block's results, then says so in the events; a checkpoint of the block is dropped.

    Where the file of that number holds other lanes, it stays, and the block gets a spare number.
    """
    content = to_npz(arrays)
    # Two processes may have planned other lanes under one number: an older manifest, no locks, a
    # lane_size that was halved meanwhile. What is trained is never overwritten: the number says
    # nothing on the lanes, so the later block takes the next one that is free, SPARE further on.
    with locked(run):
        (run / BLOCKS).mkdir(exist_ok=True)
        place = number
        while _holds_others(block_path(run, place), arrays):
            place += SPARE
        # First the file, then its line: a kill in between leaves a block that does not count.
        write_atomically(block_path(run, place), content)
        append_event(run, {"block": place, "sha256": sha256(content), **event}, events)
    checkpoint_path(run, number).unlink(missing_ok=True)


def _holds_others(path: pathlib.Path, arrays: dict) -> bool:
    """Whether a whole block lies there, stored or about to be, that is not these lanes'."""
    try:
        there = from_npz(path.read_bytes())
    except FileNotFoundError:
        return False
    return there is not None and not same_lanes(there, arrays)


def finished_blocks(run: pathlib.Path) -> dict[int, dict]:
    """Lists the blocks that are whole: number -> event."""
    return {event["block"]: event for event, _ in _finished(run)}


def stored_blocks(run: pathlib.Path, names: tuple[str, ...] = ()) -> Iterator[tuple[int, Arrays]]:
    """Yields (number, arrays) of the blocks that are whole; the arrays of some names, or all."""
    for event, content in _finished(run):
        arrays = from_npz(content, names)
        if arrays is not None:
            yield event["block"], arrays


def _finished(run: pathlib.Path) -> Iterator[tuple[dict, bytes]]:
    """Yields the event and the content of each block whose file has the digest of its event."""
    # Several events may claim one number: a broken line may name that of another block.
    events: dict[int, dict[str, dict]] = {}
    for event in read_events(run):
        number, digest = event.get("block"), event.get("sha256")
        if type(number) is int and number >= 0 and isinstance(digest, str):
            events.setdefault(number, {})[digest] = event
    for number in sorted(events):
        with contextlib.suppress(OSError):  # a file that cannot be read is a block that is missing
            content = block_path(run, number).read_bytes()
            digest = sha256(content)
            if digest in events[number]:
                yield events[number][digest], content


def read_block(run: pathlib.Path, number: int) -> Arrays:
    """Reads a block's arrays."""
    with np.load(block_path(run, number), allow_pickle=False) as file:
        return dict(file)


# --- checkpoints -------------------------------------------------------------------------------


def checkpoint_path(run: pathlib.Path, number: int) -> pathlib.Path:
    """Where the state of a running block is kept."""
    return run / CHECKPOINTS / f"{number:04d}.npz"


def write_checkpoint(run: pathlib.Path, number: int, arrays: Arrays):
    """Keeps the state of a running block, behind a line with the digest of it."""
    # A checkpoint has no event line: it is written every few seconds and soon of no use.
    (run / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    content = to_npz(arrays)
    write_atomically(checkpoint_path(run, number), sha256(content).encode() + b"\n" + content)


def read_checkpoint(run: pathlib.Path, number: int) -> Arrays | None:
    """Reads the state of a block that was running; None where none is as it was written."""
    try:
        digest, _, content = checkpoint_path(run, number).read_bytes().partition(b"\n")
    except OSError:
        return None
    return from_npz(content) if sha256(content).encode() == digest else None
