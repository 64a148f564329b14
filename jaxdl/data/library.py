"""Says which image data sets are at hand, and from where: the text of ``jaxdl data``."""

import os
import pathlib

from jaxdl.checks import DataError, MissingData
from jaxdl.data import cifar10, stored

DIGITS = "digits     1438 training and 359 test images; comes with scikit-learn"


def listed() -> str:
    """One line a data set and place, in the order in which they are looked for."""
    lines = [DIGITS, *_given(), *_usual(), *_kept()]
    if len(lines) == 1:
        lines.append("cifar10    not here: it would be downloaded; or `jaxdl data add PATH`")
    return "\n".join(lines)


def add(where: pathlib.Path) -> str:
    """Checks a copy of CIFAR-10 and keeps it; says so in one line."""
    return _line("added", cifar10.add(where))


def _given() -> list[str]:
    """What JAXDL_DATA_DIR holds."""
    given = os.environ.get(cifar10.VARIABLE)
    if not given:
        return []
    try:
        source = cifar10.source_in(pathlib.Path(given), cifar10.VARIABLE)
    except MissingData as error:
        return [f"cifar10    {error}"]
    return [f"cifar10    {cifar10.VARIABLE}, {source.kind}: {source.path}"]


def _usual() -> list[str]:
    """What TensorFlow Datasets has prepared."""
    source = cifar10.usual_source()
    return [] if source is None else [f"cifar10    {source.kind}: {source.path}"]


def _kept() -> list[str]:
    """What was added or downloaded, and what was converted."""
    cache = stored.folder()
    if cache is None:
        return []
    # a damaged file is listed with what to do about it, and hides none of the others
    lines = []
    for kind in ("added", "converted"):
        for path in sorted((cache / kind).glob("*.npz")):
            try:
                lines.append(_line(kind, stored.describe(path)))
            except DataError as error:
                lines.append(f"cifar10    {kind}: {error}")
    return lines


def _line(kind: str, about: stored.About) -> str:
    """What a kept data set is."""
    counts = f"{about.train_images} training and {about.test_images} test images"
    digest = about.sha256[: stored.DIGITS]
    return f"{about.name:<10} {kind}: {counts}, sha256 {digest}, from {about.source}"
