"""Reads CIFAR-10 as its authors publish it: an archive or folder, binary or Python's pickles.

https://www.cs.toronto.edu/~kriz/cifar.html. Archives are never unpacked on disk: their members are
read one by one, checked and decoded.
"""

import contextlib
import hashlib
import pathlib
import pickle
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from jaxdl.checks import DataError, first_line
from jaxdl.data import unpickling
from jaxdl.data.stored import CHUNK, ImageData

TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
BATCHES = (*TRAIN, TEST)
SHAPE = (3, 32, 32)  # of an image: the red bytes, the green ones, the blue ones, row by row
PIXELS = 3 * 32 * 32
CLASSES = 10
PATTERNS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-10-*.tar.gz")


class Published(NamedTuple):
    """What is published about the files, for telling whether one is whole."""

    archives: Mapping[str, str]  # md5 -> name
    batches: Mapping[str, str]  # name -> md5 of a pickled batch
    rows: int  # images in each batch


# The md5 of the archives stand on the data set's page, those of the pickles in torchvision. Of the
# single binary files none are published.
OFFICIAL = Published(
    archives={
        "c58f30108f718f92721af3b95e74349a": "cifar-10-python.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530": "cifar-10-binary.tar.gz",
    },
    batches={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    rows=10_000,
)


def find(where: pathlib.Path) -> pathlib.Path | None:
    """The archive or folder of batches at a place or below it, or None.

    Args:
      where: an archive; a folder of batches; or a folder that has one of them, as torchvision and
        Keras leave it behind.
    """
    if where.is_file():
        return where
    if _batch_files(where):
        return where
    for pattern in PATTERNS:
        for path in _below(where, pattern):
            if path.is_file() or _batch_files(path):
                return path
    return None


def _below(where: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """What is called so in a folder, then in the folders in it."""
    return [*sorted(where.glob(pattern)), *sorted(where.glob(f"*/{pattern}"))]


def _batch_files(where: pathlib.Path) -> dict[str, pathlib.Path]:
    """Name of a batch -> its file, of a folder that has all of them in one form; else empty."""
    for ending in ("", ".bin"):
        paths = {name: where / f"{name}{ending}" for name in BATCHES}
        if all(path.is_file() for path in paths.values()):
            return paths
    return {}


def files(source: pathlib.Path) -> list[pathlib.Path]:
    """The files that data are read from: an archive, or the batches of a folder."""
    return [source] if source.is_file() else [*_batch_files(source).values()]


def read(source: pathlib.Path, published: Published = OFFICIAL) -> ImageData:
    """Reads an archive or a folder of batches.

    Args:
      source: what `find` gives.
      published: what its files must be.

    Raises:
      DataError: a file that is not the published one, or is cut short; a pickle that holds more
        than arrays; an archive with paths out of its folder.
    """
    if source.is_file():
        _check_archive(source, published)
        members = _members(source)
    else:
        members = _read_files(source)
    batches = {}
    for name, content in members:
        where = f"{name} of {source}"
        stem = name.removesuffix(".bin")
        is_binary = name != stem
        # A pickle is a program: its checksum is compared first, and what it says comes after that.
        # For binary batches none is published; rows of bytes cannot do anything.
        if not is_binary:
            _check_batch(where, stem, content, published)
        batches[stem] = _batch(where, content, is_binary, published.rows)
    missing = [name for name in BATCHES if name not in batches]
    if missing:
        raise DataError(f"{source} must hold the batches of CIFAR-10, got none called {missing[0]}")
    _check_classes(source, batches, published.rows)
    return ImageData(*_joined(batches, TRAIN), *_joined(batches, (TEST,)))


def _joined(batches: dict, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Puts the images of some batches in one array, (3, 32, 32, n), and their classes."""
    # One transposition to batch-last, in memory: training reads whole examples along the last axis.
    rows = np.concatenate([batches[name][0] for name in names])
    targets = np.concatenate([batches[name][1] for name in names])
    return np.ascontiguousarray(rows.T).reshape(*SHAPE, len(rows)), targets


def _check_archive(path: pathlib.Path, published: Published):
    """Refuses an archive that is not one of the published ones."""
    # Before it is opened: what is not the authors' file is not handed to tarfile at all.
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    md5 = digest.hexdigest()
    if md5 not in published.archives:
        known = ", ".join(f"{known} ({name})" for known, name in published.archives.items())
        raise DataError(
            f"{path} has the wrong checksum, md5 {md5} of {path.stat().st_size} bytes"
            f", not {known}: it is cut short or another file, download it again"
        )


def _members(path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of every batch in an archive."""
    with _readable(path), tarfile.open(path) as archive:
        for member in archive:
            _check_member(path, member)
            name = pathlib.PurePosixPath(member.name).name
            if member.isfile() and name.removesuffix(".bin") in BATCHES:
                file = archive.extractfile(member)
                assert file is not None  # for a regular file it never is
                yield name, file.read()


@contextlib.contextmanager
def _readable(path: pathlib.Path):
    """One kind of error for all that may be wrong with an archive."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} is no whole tar archive ({first_line(error)})") from None


def _check_member(path: pathlib.Path, member: tarfile.TarInfo):
    """Refuses paths that would leave the folder that an archive is unpacked in, and links."""
    # Nothing is unpacked here. But the user may do so next, and is told what is in there.
    name = pathlib.PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise DataError(
            f"{path} must hold files and folders below its own, got {member.name!r}: do not unpack "
            "it"
        )


def _read_files(folder: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every batch in a folder."""
    for path in _batch_files(folder).values():
        yield path.name, path.read_bytes()


def _check_batch(where: str, name: str, content: bytes, published: Published):
    """Refuses a pickled batch that is not the published one, before anything of it is read."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != published.batches[name]:
        raise DataError(
            f"{where} has the wrong checksum, md5 {md5}, not {published.batches[name]}: it is cut "
            "short or another file, download it again"
        )


def _batch(where: str, content: bytes, binary: bool, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of a batch, uint8 (rows, 3072), and their classes, int32 (rows,)."""
    x, targets = _binary(content) if binary else _pickled(where, content)
    if x.shape != (rows, PIXELS) or x.dtype != np.uint8 or targets.shape != (rows,):
        raise DataError(
            f"{where} must hold {rows} images of {PIXELS} bytes, got {x.dtype} {x.shape} and "
            f"{targets.shape} classes"
        )
    if targets.min() < 0 or targets.max() >= CLASSES:
        raise DataError(f"{where} must hold classes 0 to {CLASSES - 1}, got {targets.max()}")
    return x, targets


def _binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a byte for the class, then those of the picture; no classes where rows are cut."""
    row = 1 + PIXELS
    numbers = np.frombuffer(content, np.uint8)
    if len(numbers) % row:
        return numbers, np.empty(0, np.int32)
    table = numbers.reshape(-1, row)
    classes = table[:, 0].astype(np.int32)
    return table[:, 1:], classes


def _pickled(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """A dict with ``data`` and ``labels``; its keys are bytes where Python 2 wrote it."""
    try:
        batch = unpickling.loads(content)
        named = {}
        for key, value in batch.items():
            named[key.decode() if isinstance(key, bytes) else key] = value
        images = np.asarray(named["data"])
        classes = np.asarray(named["labels"]).astype(np.int32)
        return images, classes
    except (pickle.UnpicklingError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} is no batch of CIFAR-10 ({first_line(error)})") from None


def _check_classes(source: pathlib.Path, batches: dict, rows: int):
    """Refuses batches that do not have as many images of one class as of another.

    All that is known of single binary files is this and their size.
    """
    for names in (TRAIN, (TEST,)):
        targets = np.concatenate([batches[name][1] for name in names])
        counts = np.bincount(targets, minlength=CLASSES)
        each = len(names) * rows // CLASSES
        if (counts != each).any():
            raise DataError(
                f"{source} must hold {each} images of each class in {', '.join(names)}, got "
                f"{counts.tolist()}"
            )
