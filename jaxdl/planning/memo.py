"""Remembers what was measured or found out on this machine, in a private folder of the user.

Entries are small JSON values under the digest of all that they depend on. Nothing depends on them
being there: a folder that cannot be written, or an entry that is not whole, means finding out once
more. ``JAXDL_CACHE=off`` neither reads nor writes here; else the folder is kept below `MOST_BYTES`.
"""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import stat
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import platformdirs

from jaxdl.planning.jaxprs import constants

MOST_BYTES = 10**9  # that entries and compiled programs may take together


def folder() -> pathlib.Path | None:
    """Returns this library's folder among the user's caches, which may not be there yet.

    On Linux that is ``jaxdl`` in XDG_CACHE_HOME or in ``~/.cache``; None where there is to be none.

    Raises:
      ValueError: ``JAXDL_CACHE`` is neither ``on`` nor ``off``.
    """
    switch = os.environ.get("JAXDL_CACHE", "").lower()
    if switch not in ("", "on", "off"):
        raise ValueError(
            f"JAXDL_CACHE must be 'on' (the default) or 'off', got {os.environ['JAXDL_CACHE']!r}"
        )
    if switch == "off":
        return None
    try:
        path = platformdirs.user_cache_path("jaxdl", appauthor=False)
    except RuntimeError:  # a user without a home
        return None
    return None if path.parts[0] == "~" else path  # the same, in older versions of platformdirs


def recall(kind: str, key: str, find: Callable[[], Any]) -> Any:
    """Returns what is kept under a key, else what `find` returns, kept for the next time.

    Args:
      kind: a folder of its own.
      key: a digest of all that the value depends on.
      find: () -> a JSON value.
    """
    root = folder()
    if root is None:
        return find()
    # An entry is believed only if it carries the digest of its key and value: a file that is cut
    # short, edited, or of another key is found anew. It is written aside and renamed, so that of
    # processes which write at once the last one stands, and none reads half an entry.
    place = root / kind / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        entry = json.loads(place.read_text())
        if entry["digest"] == _seal(key, entry["value"]):
            return entry["value"]
    value = find()
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = place.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        aside.write_text(json.dumps({"value": value, "digest": _seal(key, value)}))
        aside.replace(place)
    return value


def _seal(key: str, value) -> str:
    return digest(key, json.dumps(value))


def prune(most: int | None = None):
    """Deletes what has not been used for longest, until the user's folder is small enough.

    Other processes may do the same, or use the folder, at the same time: what is gone is found or
    compiled anew.

    Args:
      most: bytes that the folder may take; `MOST_BYTES` by default.
    """
    root, most = folder(), MOST_BYTES if most is None else most
    if root is None:
        return
    files = []  # (last use, bytes, path)
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):  # another process was quicker
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                last_use = max(status.st_atime_ns, status.st_mtime_ns)
                files.append((last_use, status.st_size, path))
    excess = sum(size for _, size, _ in files) - most
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        excess -= size


def machine() -> str:
    """Returns what a finding depends on besides its program: library, versions, devices, cores."""
    device = jax.local_devices()[0]
    versions = f"{library()} {jax.__version__} {jax.lib.__version__}"
    return f"{versions} {device.platform} {device.device_kind} {os.cpu_count()}"


@functools.cache
def library() -> str:
    """Digests this library's source: what is found out in a new way is found anew."""
    root = pathlib.Path(__file__).parents[1]
    files = sorted(root.rglob("*.py"))
    return digest(*(f"{path.relative_to(root)} {path.read_text('utf-8')}" for path in files))


def digest(*parts) -> str:
    """Digests texts, jaxprs with their constants, and trees of arrays.

    >>> digest("ab") == digest("a", "b")
    False
    """
    hashed = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            hashed.update(part.encode())
        elif hasattr(part, "jaxpr"):
            # functions inside are printed with their address, which is another in every process
            hashed.update(re.sub(r" at 0x[0-9a-f]+", "", str(part)).encode())
            for leaf in constants(part):
                add_array(hashed, leaf)
        else:
            for leaf in jax.tree.leaves(part):
                add_array(hashed, leaf)
        hashed.update(b"\0")
    return hashed.hexdigest()[:32]


def add_array(hashed, leaf):
    """Adds an array, or the data of a key, to a hash: its shape, type and bytes.

    A large one is not copied.
    """
    keys = hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    array = np.asarray(jax.random.key_data(leaf) if keys else leaf)
    hashed.update(f"{array.shape}{array.dtype}".encode())
    hashed.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
