"""CIFAR-10: 60,000 colour pictures of ten kinds of things (Krizhevsky, 2009), from where it is."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from jaxdl.checks import DataError, MissingData, brief
from jaxdl.checks import folder as check_folder
from jaxdl.data import download, prepared, published, stored
from jaxdl.data.stored import About, ImageData

NAME = "cifar10"
VARIABLE = "JAXDL_DATA_DIR"
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SHAPE = (32, 32, 3)  # height, width, channels

# Per channel, of the 50,000 training images, as fractions of 255.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)

# What TensorFlow Datasets registers.
REMOTE = download.Remote(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
FORMS = (
    "a folder of TensorFlow Datasets (cifar10/VERSION/dataset_info.json, array_record), "
    "cifar-10-python.tar.gz, cifar-10-binary.tar.gz, cifar-10-batches-py or cifar-10-batches-bin"
)


class Source(NamedTuple):
    """A place that CIFAR-10 can be read from."""

    kind: str  # "prepared": by TensorFlow Datasets; "published": by its authors
    path: pathlib.Path
    files: list[pathlib.Path]
    read: Callable[[], ImageData]


def load(data_dir=None) -> ImageData:
    """Reads CIFAR-10 from the first of the places where it is.

    They are: `data_dir`, or JAXDL_DATA_DIR, and then no other; the folder of TensorFlow Datasets,
    where it has been prepared as array_record; a copy that ``jaxdl data add`` has made; a download.

    Args:
      data_dir: a folder that holds it in any of its forms, or an archive.

    Raises:
      MissingData: it is in none of them.
      DataError: it is damaged.
    """
    if data_dir is not None:
        return converted(source_in(check_folder("data_dir", data_dir)))
    if given := os.environ.get(VARIABLE):
        return converted(source_in(pathlib.Path(given), VARIABLE))
    usual = usual_source()
    if usual is not None:
        return converted(usual)
    with contextlib.suppress(FileNotFoundError):
        if (copy := added()) is not None:
            return stored.read(copy)
    return downloaded(REMOTE)


def source_in(where: pathlib.Path, name: str = "data_dir") -> Source:
    """The data in a folder or archive that a user names.

    Args:
      where: folder or archive.
      name: what the user calls it, for the message.

    Raises:
      MissingData: there are none.
    """
    where = where.expanduser()
    version = prepared.find(where, NAME) if where.is_dir() else None
    if version is not None:
        return _prepared(version)
    batches = published.find(where) if where.exists() else None
    if batches is not None:
        return Source(
            "published", batches, published.files(batches), lambda: published.read(batches)
        )
    raise MissingData(f"{name} must be or hold {FORMS}, got {brief(str(where))}")


def _prepared(version: pathlib.Path) -> Source:
    def read() -> ImageData:
        return prepared.read(version, SHAPE, len(CLASSES))

    return Source("prepared", version, prepared.files(version), read)


def usual_source() -> Source | None:
    """What TensorFlow Datasets has prepared in its own folder, if that can be read without
    TensorFlow."""
    with contextlib.suppress(RuntimeError, OSError):  # a user without a home
        usual = os.environ.get("TFDS_DATA_DIR") or pathlib.Path.home() / "tensorflow_datasets"
        version = prepared.find(pathlib.Path(usual), NAME)
        if version is not None and prepared.readable(version):
            return _prepared(version)
    return None


def converted(source: Source) -> ImageData:
    """Reads a source; from its array file, where that has been written before.

    Decoding 50,000 pictures takes 11 to 19 s; hashing the source and reading the array file half a
    second.
    """
    cache = stored.folder()
    if cache is None:
        return source.read()
    key = stored.digest(source.files)
    path = cache / "converted" / f"{NAME}-{key[: stored.DIGITS]}.npz"
    with contextlib.suppress(FileNotFoundError, DataError):
        return stored.read(path)
    data = source.read()
    # Nothing depends on it: a folder that cannot be written means decoding once more.
    with contextlib.suppress(OSError):
        stored.write(path, data, _about(data, source.kind, source.path, key))
    return data


def _about(data: ImageData, kind: str, source, sha256: str) -> About:
    return About(NAME, kind, str(source), sha256, len(data.train_targets), len(data.test_targets))


def added() -> pathlib.Path | None:
    """Where the copy is that was added or downloaded, which need not be there; None where the
    user's folder is not used."""
    cache = stored.folder()
    return None if cache is None else cache / "added" / f"{NAME}.npz"


def add(where: pathlib.Path) -> About:
    """Checks a copy of CIFAR-10 and keeps it for later runs, in place of one added before.

    Returns:
      What is said about it.

    Raises:
      MissingData, DataError: as for `load`.
      ValueError: the user's folder is not used.
    """
    path = _where_to_keep()
    source = source_in(where, "PATH")
    data = source.read()
    about = _about(data, source.kind, source.path.resolve(), stored.digest(source.files))
    stored.write(path, data, about)
    return about


def downloaded(remote: download.Remote, check=published.OFFICIAL) -> ImageData:
    """Downloads CIFAR-10 and keeps it as if it had been added.

    Args:
      remote: where from.
      check: what its files must be.

    Raises:
      MissingData: it cannot be downloaded.
      DataError: another file came.
    """
    path = _where_to_keep()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with tempfile.TemporaryDirectory(prefix="download-", dir=path.parent) as folder:
            data = published.read(download.fetch(remote, pathlib.Path(folder)), check)
    except MissingData as error:
        raise MissingData(
            f"CIFAR-10 is not here: {error}; data_dir or {VARIABLE} may be or hold {FORMS}; or "
            "`jaxdl data add` one of them"
        ) from None
    stored.write(path, data, _about(data, "downloaded", remote.url, remote.sha256))
    return data


def _where_to_keep() -> pathlib.Path:
    path = added()
    if path is None:
        raise ValueError("JAXDL_CACHE must not be 'off' where data are kept, got 'off'")
    return path
