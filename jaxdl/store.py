"""What is on disk: a manifest, an event line a finished block, and the blocks' results.

Every file is written aside, fsynced and renamed, so that a kill at any moment leaves whole files only. A
block counts once its event line, with the digest of its file, has been written.
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

MANIFEST, EVENTS, BLOCKS, CHECKPOINTS = "manifest.json", "events.jsonl", "blocks", "checkpoints"


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Gives an error of the system the name of the file that it is about; that of a full disk has none."""
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
    aside = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
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


def read_manifest(run: pathlib.Path) -> dict | None:
    """The manifest of a run folder; None where there is no run yet.

    Raises:
      ValueError: the file is there but is not the manifest of a run.
    """
    path = run / MANIFEST
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a run's manifest: {error}") from error


def write_manifest(run: pathlib.Path, manifest: dict, put: Callable = os.replace):
    """Makes the run folder where needed and writes its manifest."""
    (run / BLOCKS).mkdir(parents=True, exist_ok=True)
    write_atomically(run / MANIFEST, (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode(), put)


def create_manifest(run: pathlib.Path, manifest: dict) -> bool:
    """Makes a run folder with its first manifest; False, and nothing changed, where another process did so before."""

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


def is_new(run: pathlib.Path) -> bool:
    """Whether a run may begin in a folder: it is not there, or empty but for what `create_manifest` may have begun."""
    if not run.exists():
        return True
    return run.is_dir() and all(path.name == BLOCKS or path.name.startswith(f".{MANIFEST}") for path in run.iterdir())


def read_events(run: pathlib.Path) -> list[dict]:
    """The event lines of a run; lines that do not parse (a kill while writing) are dropped."""
    found = []
    for path in sorted(run.glob("events*.jsonl")):
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
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


def write_block(run: pathlib.Path, number: int, arrays: dict[str, np.ndarray], event: dict, events: str = EVENTS):
    """Stores a block's results, then says so in the events; a checkpoint of the block is dropped."""
    content = _npz(arrays)
    write_atomically(block_path(run, number), content)
    append_event(run, {"block": number, "sha256": hashlib.sha256(content).hexdigest(), **event}, events)
    checkpoint_path(run, number).unlink(missing_ok=True)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def block_path(run: pathlib.Path, number: int) -> pathlib.Path:
    """Where a block is stored."""
    return run / BLOCKS / f"{number:04d}.npz"


def finished_blocks(run: pathlib.Path) -> dict[int, dict]:
    """The blocks that are whole: number -> event. One whose file does not have the digest of its event is left out."""
    found = {}
    for event in read_events(run):
        if "block" in event:
            path = block_path(run, event["block"])
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == event.get("sha256"):
                found[event["block"]] = event
    return found


def read_block(run: pathlib.Path, number: int) -> dict[str, Any]:
    """A block's arrays."""
    with np.load(block_path(run, number), allow_pickle=False) as file:
        return dict(file)


def checkpoint_path(run: pathlib.Path, number: int) -> pathlib.Path:
    """Where the state of a running block is kept."""
    return run / CHECKPOINTS / f"{number:04d}.npz"


def write_checkpoint(run: pathlib.Path, number: int, arrays: dict[str, np.ndarray]):
    """Keeps the state of a running block."""
    (run / CHECKPOINTS).mkdir(exist_ok=True)
    write_atomically(checkpoint_path(run, number), _npz(arrays))


def read_checkpoint(run: pathlib.Path, number: int) -> dict[str, Any] | None:
    """The state of a block that was running; None where there is none that can be read."""
    try:
        content = io.BytesIO(checkpoint_path(run, number).read_bytes())
        with np.load(content, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile, KeyError):
        return None
