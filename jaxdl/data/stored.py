"""Image data sets as array files in a folder of the user, beside the cache.

A file holds the arrays as training wants them, so reading it is copying it. It is written aside and
renamed, and its parts carry checksums: one that is there is whole, or is seen not to be.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from jaxdl.checks import DataError

CHUNK = 2**20  # bytes that are hashed at once
DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
DIGITS = 32  # of a digest in a file's name


class ImageData(NamedTuple):
    """A data set of images as it was published: training and test images, their classes."""

    train_x: np.ndarray  # uint8 (channels, height, width, n)
    train_targets: np.ndarray  # int32 (n,)
    test_x: np.ndarray
    test_targets: np.ndarray


class About(NamedTuple):
    """What a file says about its data set."""

    name: str
    kind: str  # "prepared", "published" or "downloaded"
    source: str  # where it came from
    sha256: str  # of the files there
    train_images: int
    test_images: int


def folder() -> pathlib.Path | None:
    """The folder of array files, which may not be there yet: ``jaxdl-data`` in XDG_CACHE_HOME or in
    ``~/.cache``; None where ``JAXDL_CACHE=off`` says so, or for a user without a home.

    Raises:
      ValueError: ``JAXDL_CACHE`` is neither ``on`` nor ``off``.
    """
    # Not inside the folder of compiled programs: that one is kept small by deleting what is old.
    switch = os.environ.get("JAXDL_CACHE", "").lower()
    if switch not in ("", "on", "off"):
        given = os.environ["JAXDL_CACHE"]
        raise ValueError(f"JAXDL_CACHE must be 'on' (the default) or 'off', got {given!r}")
    if switch == "off":
        return None
    try:
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    except RuntimeError:
        return None
    return pathlib.Path(home) / "jaxdl-data"


def write(path: pathlib.Path, data: ImageData, about: About):
    """Writes a data set, whole or not at all; the folder is made where it is not there."""
    # Aside, then renamed: a reader sees the old file or the new one, and two processes that convert
    # the same data at once both write a whole file, of which either may stay. Flushed to the disk
    # before: after a crash a renamed file may have its name and no bytes yet.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    text = np.frombuffer(json.dumps(about._asdict()).encode(), np.uint8)
    try:
        with open(aside, "wb") as file:
            np.savez(file, about=text, **data._asdict())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def read(path: pathlib.Path) -> ImageData:
    """Reads a data set.

    Raises:
      FileNotFoundError: there is none.
      DataError: it is damaged.
    """
    # Every part of the archive has a checksum, which is compared as it is read.
    with _opened(path) as parts:
        return ImageData(*(parts[name] for name in ImageData._fields))


def describe(path: pathlib.Path) -> About:
    """What was said about a data set when it was written.

    Raises:
      FileNotFoundError, DataError: as for `read`.
    """
    with _opened(path) as parts:
        return About(**json.loads(parts["about"].tobytes()))


@contextlib.contextmanager
def _opened(path: pathlib.Path):
    """The parts of an array file, with one kind of error for all that may be wrong with them."""
    try:
        # Opened here, because NumPy leaves the file of a damaged archive open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as parts:
            yield parts
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        raise DataError(f"{path} is damaged ({error}): delete it") from None


def digest(paths: list[pathlib.Path]) -> str:
    """The sha256 of files, their names included, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        # Name and length go before the bytes: else bytes that move from the end of one file to the
        # beginning of the next would change nothing.
        heading = f"{path.name} {path.stat().st_size}\0"
        digest.update(heading.encode())
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
