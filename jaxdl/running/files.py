"""Files that are written whole, and the lock under which processes change them."""

import contextlib
import os
import pathlib
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ABANDONED_SECONDS = 600.0  # after which a file that was begun by a process elsewhere is dropped
# .NAME.HOST-PROCESS-RANDOM; HOST is missing in runs of older versions.
ASIDE = re.compile(r"\..+\.(?:([A-Za-z0-9]+)-)?(\d+)-[0-9a-f]+")


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Gives an error of the system the name of its file; that of a full disk has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_atomically(path: pathlib.Path, content: bytes, put: Callable = os.replace):
    """Writes a file so that readers see the old content or the new, never a part.

    Args:
      put: ``(aside, path)``, how the whole file gets its name.

    Raises:
      OSError: the disk is full, or the folder cannot be written; it names the file.
    """
    # A rename within a folder is atomic, but it may reach the disk before the content does, and
    # so may a name before its folder: content, name and folder are each forced down in turn.
    aside = path.with_name(f".{path.name}.{host()}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with naming(path), open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: pathlib.Path):
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def put_first(aside: pathlib.Path, path: pathlib.Path):
    """Gives a file its name unless there is one of that name.

    Raises:
      FileExistsError: there is.
    """
    try:
        os.link(aside, path)  # fails where there is one, as a rename would not
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the last one wins
        os.replace(aside, path)
    else:
        os.unlink(aside)


def host() -> str:
    """Names this machine in letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"


def drop_leftovers(folders: Iterable[pathlib.Path]):
    """Removes what killed writers have begun; what a living process writes now stays."""
    for folder in folders:
        for path in folder.glob(".*"):
            # Another process was faster, or it is not ours to remove.
            with contextlib.suppress(OSError):
                if _abandoned(path):
                    path.unlink()


def _abandoned(path: pathlib.Path) -> bool:
    named = ASIDE.fullmatch(path.name)
    if not named:
        return False
    machine, process = named.groups()
    if machine in (None, host()) and not _alive(int(process)):
        return True
    # A process on another machine cannot be asked for. Writing takes seconds, so age tells.
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
def locked(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock file, whose folder is made where needed, and so keeps other processes out.

    Where there are no locks (Windows, some network mounts) it goes on without.

    Raises:
      OSError: the folder cannot be made or written; it names the file.
    """
    # Without a lock, two processes that grow a run in the same moment may overwrite each other's
    # manifest. The loser finds that out when it reads it again after training, and grows it anew;
    # blocks say themselves whose lanes they hold, so that none is taken for another.
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115
    with file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed, by a kill too
        yield
