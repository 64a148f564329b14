"""What was measured or found out on this machine before, kept in a private folder of the user.

Entries are small JSON values under the digest of all that they depend on. Nothing depends on them being there:
a folder that cannot be written, or an entry that cannot be read, means finding out once more.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl.cost import jaxprs

METHOD = 1  # to be raised when what is remembered is found in another way: older entries are then found anew


def folder() -> pathlib.Path:
    """The user's folder, which may not be there yet: ``jaxdl`` in XDG_CACHE_HOME or in ``~/.cache``."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "jaxdl"


def recall(kind: str, key: str, find: Callable[[], Any]) -> Any:
    """What was found under a key before, else what `find` returns, kept for the next time.

    Args:
      kind: a folder of its own.
      key: a digest of all that the value depends on.
      find: () -> a JSON value.
    """
    place = folder() / kind / f"{key}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(place.read_text())
    found = find()
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = place.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(found))
        aside.replace(place)
    return found


def machine() -> str:
    """What a finding depends on besides its program: how it is found, versions, backend, kind of device, cores."""
    device = jax.local_devices()[0]
    return f"{METHOD} {jax.__version__} {jax.lib.__version__} {device.platform} {device.device_kind} {os.cpu_count()}"


def digest(*parts) -> str:
    """The digest of texts, jaxprs with their constants, and trees of arrays."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            found.update(part.encode())
        elif hasattr(part, "jaxpr"):
            found.update(re.sub(r" at 0x[0-9a-f]+", "", str(part)).encode())
            for leaf in _constants(part):
                _add(found, leaf)
        else:
            for leaf in jax.tree.leaves(part):
                _add(found, leaf)
        found.update(b"\0")
    return found.hexdigest()[:32]


def _constants(jaxpr) -> list:
    """The constants of a jaxpr and of those inside it; its text shows their shapes alone."""
    nested = [leaf for equation in jaxpr.eqns for part in jaxprs(equation) for leaf in _constants(part)]
    return [*getattr(jaxpr, "consts", ()), *nested]


def _add(found, leaf):
    keys = hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    array = np.asarray(jax.random.key_data(leaf) if keys else leaf)
    found.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
