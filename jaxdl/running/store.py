"""What is on disk: a manifest, an event line a finished block, and the blocks' results.

Every file is written aside, fsynced and renamed, so that a kill at any moment leaves whole files
only. A block counts once its event line, with the digest of its file, has been written. Manifest
and checkpoints hold a digest of themselves. What several processes may change at once is changed
under a lock.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import pathlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MANIFEST, EVENTS, BLOCKS, CHECKPOINTS = "manifest.json", "events.jsonl", "blocks", "checkpoints"
LOCK = "lock"
NOT_FINITE = "not finite"
FORMAT = 2  # of a run folder; the only one that is read
SPARE = 100_000  # added to the number of a block whose file is taken
ABANDONED_SECONDS = 600.0  # after which a file that was begun by a process elsewhere is dropped


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Gives an error of the system the name of the file that it is about; that of a full disk has
    none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_atomically(path: pathlib.Path, content: bytes, put: Callable = os.replace):
    """Writes a file so that readers see the old content or the new, never a part.

    Args:
      put: ``(aside, path)``, how the whole file gets its name.
    """
    aside = path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with _named(path), open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"


def drop_leftovers(run: pathlib.Path):
    """Removes what killed writers have begun; what a living process writes now stays."""
    for folder in (run, run / BLOCKS, run / CHECKPOINTS):
        for path in folder.glob(".*"):
            with contextlib.suppress(
                OSError
            ):  # another process was faster, or it is not ours to remove
                if _abandoned(path):
                    path.unlink()


def _abandoned(path: pathlib.Path) -> bool:
    named = re.fullmatch(r"\..+\.(?:([A-Za-z0-9]+)-)?(\d+)-[0-9a-f]+", path.name)
    if not named:
        return False
    host, process = named.groups()
    if host in (None, _host()) and not _alive(int(process)):
        return True
    # on another machine it cannot be asked for its process; writing takes seconds
    return time.time() - path.stat().st_mtime > ABANDONED_SECONDS


def _alive(process: int) -> bool:
    if os.name == "nt":  # where signal 0 is a Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is there, of another user
        return True
    return True


@contextlib.contextmanager
def locked(run: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out while files of a run change; makes the folder where needed.

    Where there are no locks (Windows, some network mounts) it goes on without. Then two processes
    that grow a run in the same moment may overwrite each other's manifest, which the loser finds
    when it reads it again after training, and grows anew; blocks say themselves what they hold,
    so that none is taken for another.
    """
    with _named(run / LOCK):
        run.mkdir(parents=True, exist_ok=True)
        file = open(run / LOCK, "ab")  # noqa: SIM115
    with file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed, by a kill too
        yield


def to_json(value, indent: int | None = None) -> str:
    """Writes plain values as JSON; infinities, which JSON lacks, as ``{"not finite": "inf"}``."""
    return json.dumps(_encoded(value), indent=indent, allow_nan=False)


def from_json(text: str | bytes):
    """Reads what `to_json` wrote.

    >>> from_json(to_json([1, 1.0, float("-inf"), True, None]))
    [1, 1.0, -inf, True, None]
    """
    return json.loads(text, object_hook=_decoded)


def _encoded(value):
    if isinstance(value, dict):
        return {name: _encoded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(each) for each in value]
    infinite = isinstance(value, float) and math.isinf(value)
    return {NOT_FINITE: str(value)} if infinite else value


def _decoded(value: dict):
    infinite = [*value] == [NOT_FINITE] and value[NOT_FINITE] in ("inf", "-inf")
    return float(value[NOT_FINITE]) if infinite else value


def read_manifest(run: pathlib.Path) -> dict | None:
    """The manifest of a run folder; None where there is no run yet.

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
        written, stored = manifest.pop("format", None), manifest.pop("digest", None)
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
    """The digest of all that a manifest says, the order of its lists and names included."""
    return hashlib.sha256(to_json(manifest).encode()).hexdigest()[:32]


def write_manifest(run: pathlib.Path, manifest: dict, put: Callable = os.replace):
    """Makes the run folder where needed and writes its manifest, with its format and a digest of
    it."""
    (run / BLOCKS).mkdir(parents=True, exist_ok=True)
    whole = {"format": FORMAT, **manifest, "digest": _digest_of(manifest)}
    content = to_json(whole, indent=1) + "\n"
    write_atomically(run / MANIFEST, content.encode(), put)


def create_manifest(run: pathlib.Path, manifest: dict) -> bool:
    """Makes a run folder with its first manifest; False, and nothing changed, where another process
    did so before."""

    def put(aside, path):
        try:
            os.link(aside, path)  # fails where there is one, as a rename would not
        except FileExistsError:
            raise
        except OSError:  # a file system without links: the last one wins
            os.replace(aside, path)
        else:
            os.unlink(aside)

    try:
        write_manifest(run, manifest, put)
    except FileExistsError:
        return False
    return True


def swap_manifest(run: pathlib.Path, before: dict | None, after: dict) -> bool:
    """Writes a manifest in the place of another; False, and nothing changed, where another one is
    there."""
    with locked(run):
        if read_manifest(run) != before:
            return False
        if before is None:
            return create_manifest(run, after)
        write_manifest(run, after)
        return True


def is_new(run: pathlib.Path) -> bool:
    """Whether a run may begin in a folder: it is not there, or empty but for what `create_manifest`
    may have begun."""
    if not run.exists():
        return True
    begun = (BLOCKS, LOCK)
    return run.is_dir() and all(
        path.name in begun or path.name.startswith(f".{MANIFEST}") for path in run.iterdir()
    )


def read_events(run: pathlib.Path) -> list[dict]:
    """The event lines of a run; lines that do not parse (a kill while writing) are dropped."""
    found = []
    for path in sorted(run.glob("events*.jsonl")):
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                found.append(json.loads(line))
    return [event for event in found if isinstance(event, dict)]


def append_event(run: pathlib.Path, event: dict, name: str = EVENTS):
    """Adds one event line and fsyncs it."""
    path = run / name
    with _named(path), open(path, "ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that a kill cut short
                file.write(b"\n")
        file.write((json.dumps(event, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def write_block(
    run: pathlib.Path, number: int, arrays: dict[str, np.ndarray], event: dict, events: str = EVENTS
):
    """Stores a block's results, then says so in the events; a checkpoint of the block is dropped.

    Where the file of that number holds other lanes, it stays, and the block gets a number that is
    free.
    """
    content = _npz(arrays)
    with locked(run):
        (run / BLOCKS).mkdir(exist_ok=True)
        place = number
        while _holds_others(block_path(run, place), arrays):
            place += SPARE
        write_atomically(block_path(run, place), content)
        digest = hashlib.sha256(content).hexdigest()
        append_event(run, {"block": place, "sha256": digest, **event}, events)
    checkpoint_path(run, number).unlink(missing_ok=True)


ABOUT = (
    "about",
    "config",
    "seed",
)  # the arrays of a block and of a checkpoint that say whose they are


def same_lanes(arrays: dict, others: dict) -> bool:
    """Whether two blocks, or a block and a checkpoint, are of the same lanes of the same
    program."""
    return all(
        name in arrays and name in others and np.array_equal(arrays[name], others[name])
        for name in ABOUT
    )


def _holds_others(path: pathlib.Path, arrays: dict) -> bool:
    """Whether a whole block lies there, stored or about to be, that is not these lanes'."""
    try:
        there = _arrays(path.read_bytes())
    except FileNotFoundError:
        return False
    return there is not None and not same_lanes(there, arrays)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _arrays(content: bytes, names: tuple[str, ...] = ()) -> dict[str, np.ndarray] | None:
    """The arrays of a file, those of some names or all; None where it cannot be read."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except Exception:  # zipfile, zlib, struct and numpy each have their own for a broken file
        return None


def block_path(run: pathlib.Path, number: int) -> pathlib.Path:
    """Where a block is stored."""
    return run / BLOCKS / f"{number:04d}.npz"


def finished_blocks(run: pathlib.Path) -> dict[int, dict]:
    """The blocks that are whole: number -> event. One whose file does not have the digest of its
    event is left out."""
    return {event["block"]: event for event, _ in _finished(run)}


def stored_blocks(
    run: pathlib.Path, names: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yields (number, arrays) of the blocks that are whole, by number; the arrays of some names, or
    all."""
    for event, content in _finished(run):
        arrays = _arrays(content, names)
        if arrays is not None:
            yield event["block"], arrays


def _finished(run: pathlib.Path) -> Iterator[tuple[dict, bytes]]:
    """Yields each block's event with its file's content, which has the digest that the event
    says."""
    events: dict[int, dict[str, dict]] = {}  # a broken line may name the number of another block
    for event in read_events(run):
        number, digest = event.get("block"), event.get("sha256")
        if type(number) is int and number >= 0 and isinstance(digest, str):
            events.setdefault(number, {})[digest] = event
    for number in sorted(events):
        with contextlib.suppress(OSError):  # a file that cannot be read is a block that is missing
            content = block_path(run, number).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest in events[number]:
                yield events[number][digest], content


def read_block(run: pathlib.Path, number: int) -> dict[str, Any]:
    """A block's arrays."""
    with np.load(block_path(run, number), allow_pickle=False) as file:
        return dict(file)


def checkpoint_path(run: pathlib.Path, number: int) -> pathlib.Path:
    """Where the state of a running block is kept."""
    return run / CHECKPOINTS / f"{number:04d}.npz"


def write_checkpoint(run: pathlib.Path, number: int, arrays: dict[str, np.ndarray]):
    """Keeps the state of a running block, behind a line with the digest of it: it has no event
    line."""
    (run / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    content = _npz(arrays)
    digest = hashlib.sha256(content).hexdigest().encode()
    write_atomically(checkpoint_path(run, number), digest + b"\n" + content)


def read_checkpoint(run: pathlib.Path, number: int) -> dict[str, Any] | None:
    """The state of a block that was running; None where there is none that is as it was written."""
    try:
        digest, _, content = checkpoint_path(run, number).read_bytes().partition(b"\n")
    except OSError:
        return None
    return _arrays(content) if hashlib.sha256(content).hexdigest().encode() == digest else None
