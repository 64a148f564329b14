"""Reads pickled arrays, lists and dicts, and nothing else that a pickle can hold.

A pickle is a program: it may call whatever it can name. Here the few names that NumPy writes for an
array of numbers stand for functions that do just that, and any other ends the reading.
"""

import io
import pickle
from typing import Any

import numpy as np


def loads(pickled: bytes) -> Any:
    """The value of a pickle, as Python 2 or 3 wrote it; what was a string in Python 2 is bytes.

    Raises:
      pickle.UnpicklingError: it names something that is not allowed, or is damaged.
    """
    try:
        return _Unpickler(io.BytesIO(pickled), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # anything may stand in damaged bytes
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from None


# The way that Python's documentation advises: `find_class` is the only door through which a pickle
# reaches code, so what is not listed in ALLOWED does not exist for it.
class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        """Looks a name up among those that are allowed."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return ALLOWED[module, name]


def _empty_array(*_) -> np.ndarray:
    """An array of no numbers, whose shape, type and numbers come next in the pickle."""
    return np.empty(0, np.uint8)


def _number_type(name, *_) -> np.dtype:
    """The type of integers or floats: of objects, an array would be a list of anything."""
    # Python 2 wrote the name as bytes. A copy, as NumPy's pickles ask for: the pickle goes on to
    # set its byte order, which must not reach the type that all arrays share.
    text = name.decode("ascii") if isinstance(name, bytes) else name
    dtype = np.dtype(text, copy=True) if isinstance(text, str) else np.dtype(object)
    if dtype.kind not in "biuf":
        raise pickle.UnpicklingError(f"dtype {name!r} is not allowed")
    return dtype


def _as_bytes(text, encoding) -> bytes:
    """Bytes as Python 3 pickles them for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("_codecs.encode is allowed for latin1 alone")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,  # NumPy 2
    ("numpy", "ndarray"): "ndarray",  # an argument of the one above, never called
    ("numpy", "dtype"): _number_type,
    ("_codecs", "encode"): _as_bytes,
}
