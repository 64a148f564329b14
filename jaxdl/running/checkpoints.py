"""The state of a running block as arrays, and the way back: the lanes done, and a running chunk.

Arrays are named ``done/NAME`` (results of finished chunks), ``lane/INDEX`` (leaves of the running
chunk; keys as key data), ``chunk`` (its lanes) and ``step``.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxdl.running.formats import Arrays
from jaxdl.train import Lane

DONE, LEAF = "done/", "lane/"


def to_arrays(
    done: Arrays,
    lane: Lane,
    chunk: int,
    step: int,
) -> Arrays:
    """Makes the arrays of a checkpoint.

    Args:
      done: results of the lanes that are finished, a leading axis of lanes; maybe of none.
      lane: the running chunk, with a leading axis of `chunk` lanes.
      step: that comes next.
    """
    arrays = {DONE + name: values for name, values in done.items()}
    for index, leaf in enumerate(jax.tree.leaves(lane)):
        plain = jax.random.key_data(leaf) if is_key(leaf) else leaf
        arrays[f"{LEAF}{index}"] = np.asarray(plain)
    arrays["chunk"] = np.array(chunk)
    arrays["step"] = np.array(step)
    return arrays


def results_in(saved: Mapping) -> Arrays:
    """Takes the results of finished lanes out of a checkpoint."""
    return {
        name.removeprefix(DONE): values for name, values in saved.items() if name.startswith(DONE)
    }


def is_whole(saved: Mapping, lanes: int, steps: int) -> bool:
    """Whether a checkpoint says how far a block of so many lanes and steps was, within it."""
    # Its digest says that a checkpoint is as it was written, not that this version of the library
    # wrote it, or for a study of as many steps. What does not fit costs a block, no wrong number.
    done = results_in(saved)
    if not {"chunk", "step"} <= saved.keys() or "diverged_at" not in done:
        return False
    step, diverged_at = saved["step"], done["diverged_at"]
    for values, axes in ((saved["chunk"], 0), (step, 0), (diverged_at, 1)):
        if values.dtype.kind != "i" or values.ndim != axes:
            return False
    count = len(diverged_at)
    for values in done.values():
        if values.ndim == 0 or len(values) != count:
            return False
    return 0 <= step <= steps + 1 and count < lanes


def kinds(results: Arrays) -> dict:
    """Gives the dtype of each result and its shape for a lane."""
    return {name: _kind(values[:0]) for name, values in results.items()}


def _kind(leaf) -> tuple:
    return (leaf.dtype, leaf.shape)


def fits(lane: Lane, saved: Mapping, chunk: int) -> bool:
    """Whether a checkpoint has the leaves of a chunk of so many lanes, in kind and shape."""
    if int(saved["chunk"]) != chunk:
        return False
    leaves = jax.tree.leaves(lane)
    for index, leaf in enumerate(leaves):
        wanted = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        kept = saved.get(f"{LEAF}{index}")
        if kept is None or _kind(kept) != _kind(wanted):
            return False
    return f"{LEAF}{len(leaves)}" not in saved


def restored(lane: Lane, saved: Mapping) -> Lane:
    """Puts the leaves of a checkpoint in the places of a fresh chunk's, on the same devices."""
    leaves, structure = jax.tree.flatten(lane)
    kept: list[Any] = []
    for index, leaf in enumerate(leaves):
        values: Any = saved[f"{LEAF}{index}"]
        if is_key(leaf):
            values = jax.random.wrap_key_data(values, impl=jax.random.key_impl(leaf))
        kept.append(jax.device_put(values, leaf.sharding))
    return jax.tree.unflatten(structure, kept)


def joined(parts: list[Arrays]) -> Arrays:
    """Joins results of several chunks along the axis of lanes."""
    results = {}
    for name in parts[0]:
        results[name] = np.concatenate([part[name] for part in parts])
    return results


def is_key(leaf) -> bool:
    """Whether a leaf holds jax keys, which numpy cannot hold."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
