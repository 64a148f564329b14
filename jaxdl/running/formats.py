"""Contents of files as bytes: plain values as JSON, arrays as npz; no pickle anywhere."""

import hashlib
import io
import json
import math

import numpy as np

Arrays = dict[str, np.ndarray]

NOT_FINITE = "not finite"


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
        return {name: _encoded(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(part) for part in value]
    if isinstance(value, float) and math.isinf(value):
        return {NOT_FINITE: str(value)}
    return value


def _decoded(value: dict):
    if list(value) != [NOT_FINITE]:
        return value
    # A user's dict may have that very name: then it holds something else.
    word = value[NOT_FINITE]
    return float(word) if word in ("inf", "-inf") else value


def to_npz(arrays: Arrays) -> bytes:
    """Writes arrays as npz."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_npz(content: bytes, names: tuple[str, ...] = ()) -> Arrays | None:
    """Reads the arrays of some names, or all; None where the bytes cannot be read."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except Exception:  # zipfile, zlib, struct and numpy each have their own for a broken file
        return None


def sha256(content: bytes) -> str:
    """Digests bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
