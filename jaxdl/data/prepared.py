"""Folders that TensorFlow Datasets has prepared, read without TensorFlow."""

import io
import json
import pathlib
import re

import numpy as np

from jaxdl.checks import DataError, first_line
from jaxdl.data.stored import ImageData

INFO = "dataset_info.json"
VERSION = re.compile(r"\d+\.\d+\.\d+")
AT_ONCE = 1000  # images decoded together


def find(data_dir: pathlib.Path, name: str) -> pathlib.Path | None:
    """The folder of a data set's newest version, or None.

    Args:
      data_dir: what TensorFlow Datasets calls so, with a folder of that name in it; or that folder;
        or one version of it.
      name: such as ``"cifar10"``.
    """
    if (data_dir / INFO).is_file():
        return data_dir
    numbered = []
    for place in (data_dir / name, data_dir):
        for info in place.glob(f"*/{INFO}"):
            if VERSION.fullmatch(info.parent.name):
                numbered.append(info.parent)
    return max(numbered, key=_version_numbers, default=None)


def _version_numbers(version: pathlib.Path) -> list[int]:
    """Reads the numbers of a version, which order as 3.0.2 < 3.0.10; its text would not."""
    return [int(number) for number in version.name.split(".")]


def readable(version: pathlib.Path) -> bool:
    """Tells whether a version is in a format that needs no TensorFlow."""
    # An array_record is read by a small library of its own; the other formats only by TensorFlow.
    try:
        return json.loads((version / INFO).read_text())["fileFormat"] == "array_record"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def files(version: pathlib.Path) -> list[pathlib.Path]:
    """What a version consists of, in the order of names."""
    return sorted(path for path in version.iterdir() if path.is_file())


def read(version: pathlib.Path, shape: tuple[int, int, int], classes: int) -> ImageData:
    """Reads the training and the test split of a prepared data set of images.

    Args:
      version: its folder, with ``dataset_info.json``.
      shape: of its images: (height, width, channels).
      classes: how many it has.

    Raises:
      DataError: another data set, one that is damaged or in a format that needs TensorFlow.
    """
    try:
        splits = _sources(version)
    except Exception as error:  # TensorFlow Datasets has many kinds
        raise DataError(
            f"{version} cannot be read ({first_line(error)}): prepare it anew with "
            "file_format='array_record'"
        ) from None
    parts: list[np.ndarray] = []
    for split in ("train", "test"):
        if split not in splits:
            raise DataError(f"{version} must have the splits train and test, got {[*splits]}")
        parts += _read_split(version, splits[split], shape, classes)
    return ImageData(*parts)


def _sources(version: pathlib.Path) -> dict:
    """Random access to every split, without TensorFlow; images as they are stored."""
    import tensorflow_datasets as tfds

    encoded = {"image": tfds.decode.SkipDecoding()}
    builder = tfds.builder_from_directory(version)
    return builder.as_data_source(decoders=encoded)


def _decoded(encoded: bytes) -> np.ndarray:
    """An image, (height, width, channels), of its PNG or JPEG."""
    # Theirs says on stderr that OpenCV would be quicker.
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(encoded)))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _read_split(version, source, shape, classes) -> tuple[np.ndarray, np.ndarray]:
    """The images of a split, (channels, height, width, n), and their classes."""
    n = len(source)
    x = np.empty((n, *shape), np.uint8)
    targets = np.empty(n, np.int32)
    place = 0
    # Many rows at a time, as each call has a cost of its own; not all of them, as their encoded
    # bytes would be held beside the decoded pictures.
    try:
        for begin in range(0, n, AT_ONCE):
            rows = range(begin, min(begin + AT_ONCE, n))
            for example in source.__getitems__(rows):
                image = _decoded(example["image"])
                if image.shape != shape or image.dtype != np.uint8:
                    raise ValueError(f"image {place} is {image.dtype} {image.shape}")
                x[place], targets[place] = image, example["label"]
                place += 1
    except Exception as error:
        raise DataError(f"{version} is damaged ({first_line(error)}): prepare it anew") from None
    if n == 0 or targets.min() < 0 or targets.max() >= classes:
        raise DataError(f"{version} must hold images of {classes} classes, got others")
    return np.ascontiguousarray(x.transpose(3, 1, 2, 0)), targets
