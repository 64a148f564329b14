"""CIFAR-10: 60,000 colour pictures of ten kinds of things (Krizhevsky, 2009)."""

import contextlib
import os
import pathlib

from jaxdl.checks import DataError, MissingData
from jaxdl.checks import folder as check_folder
from jaxdl.data import prepared, stored
from jaxdl.data.stored import ImageData

NAME = "cifar10"
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

# Of the 50,000 training images, per channel, as fractions of 255. Three of the four decimals of std
# that are in use differ between libraries; these are of all pixels together.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def load(data_dir=None) -> ImageData:
    """Reads CIFAR-10 from where it is.

    Args:
      data_dir: a folder that holds it; JAXDL_DATA_DIR where none is given.

    Raises:
      MissingData: it is nowhere.
      DataError: it is damaged.
    """
    given = os.environ.get("JAXDL_DATA_DIR") or None if data_dir is None else data_dir
    if given is not None:
        where = check_folder("data_dir", given).expanduser()
        version = prepared.find(where, NAME)
        if version is not None:
            return converted(version)
        raise MissingData(f"data_dir must hold CIFAR-10, got {where}")
    raise MissingData("CIFAR-10 is not here")


def converted(version: pathlib.Path) -> ImageData:
    """Reads a prepared folder; from its array file, where that has been written before.

    Decoding 50,000 pictures takes 11 to 19 s, reading the array file and checking both half a
    second.
    """
    cache = stored.folder()
    if cache is None:
        return prepared.read(version, SHAPE, len(CLASSES))
    key = stored.digest(prepared.files(version))
    path = cache / "converted" / f"{NAME}-{key[:32]}.npz"
    with contextlib.suppress(FileNotFoundError, DataError):
        return stored.read(path)
    data = prepared.read(version, SHAPE, len(CLASSES))
    # Nothing depends on it: a folder that cannot be written means decoding once more.
    with contextlib.suppress(OSError):
        stored.write(path, data, {"name": NAME, "source": str(version), "sha256": key})
    return data
