"""Messages: a value in one line, and the known name that a wrong one is most like."""

import difflib
from collections.abc import Iterable

LONGEST = 100  # characters of a value in a message
# Names that people write in short, and no spelling is near enough to.
SHORT = {
    "bs": "batch_size",
    "lr": "learning_rate",
    "wd": "weight_decay",
}


class UnknownName(ValueError, AttributeError):
    """A name that is not there; the message ends with the nearest one that is."""


class DataError(ValueError):
    """Data that are damaged, or not what they should be: commands end with exit code 3."""


class MissingData(DataError, FileNotFoundError):
    """Data that are nowhere to be had."""


def brief(value) -> str:
    """Writes a value in one line: an array by its shape and type, what is long by its beginning.

    >>> import numpy as np
    >>> brief(np.zeros((2, 3))), brief("a"), len(brief("a" * 1000))
    ('an array of shape (2, 3), float64', "'a'", 100)
    """
    # An array of a million numbers says most by its shape. One of no axes is shown as a number.
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape and hasattr(value, "dtype"):
        return f"an array of shape {tuple(shape)}, {value.dtype}"
    try:
        return brief_text(repr(value))
    except Exception:  # a repr is anybody's code
        return brief_text(f"an object of type {type(value).__name__}")


def brief_text(text: str) -> str:
    """Writes a text in one line of at most `LONGEST` characters."""
    return _cut(" ".join(text.split()), LONGEST)


def first_line(error: BaseException) -> str:
    """Quotes the first line of an error of somebody else's."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return _cut(text, 2 * LONGEST)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


def nearest(name, known: Iterable) -> str:
    """Asks for the known name that is most like `name`; gives an empty string where none is.

    >>> nearest("learnin_rate", ["learning_rate", "width"])
    "; did you mean 'learning_rate'?"
    >>> nearest("lr", ["learning_rate", "width"])
    "; did you mean 'learning_rate'?"
    """
    names = [str(k) for k in known]
    short = SHORT.get(str(name).lower())
    if short in names:
        return f"; did you mean {short!r}?"
    alike = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"; did you mean {alike[0]!r}?" if alike else ""


def unknown(kind: str, name, known: Iterable) -> UnknownName:
    """Makes the error for a name that is not among the known ones."""
    known = [str(k) for k in known]
    listed = ", ".join(known) or "none"
    return UnknownName(f"unknown {kind} {name!r}: known are {listed}{nearest(name, known)}")
