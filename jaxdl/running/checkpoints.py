"""The state of a running block as arrays, and the way back: the lanes done, and a running chunk.

Arrays are named ``done/NAME`` (results of finished chunks), ``lane/INDEX`` (leaves of the running
chunk; keys as key data), ``chunk`` (its lanes) and ``step``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl.train import Lane

DONE, LEAF = "done/", "lane/"

Arrays = dict[str, np.ndarray]


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
    finished = {DONE + name: values for name, values in done.items()}
    running = {f"{LEAF}{index}": np.asarray(leaf) for index, leaf in enumerate(_plain_leaves(lane))}
    return {**finished, **running, "chunk": np.array(chunk), "step": np.array(step)}


def _plain_leaves(lane: Lane) -> list:
    leaves = jax.tree.leaves(lane)
    return [jax.random.key_data(leaf) if is_key(leaf) else leaf for leaf in leaves]


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
    chunk, step, diverged_at = saved.get("chunk"), saved.get("step"), done.get("diverged_at")
    if chunk is None or step is None or diverged_at is None:
        return False
    if not _are_integers(chunk, step, diverged_at) or diverged_at.ndim != 1:
        return False
    count = len(diverged_at)
    if any(values.ndim == 0 or len(values) != count for values in done.values()):
        return False
    return chunk.ndim == step.ndim == 0 and 0 <= step <= steps + 1 and count < lanes


def _are_integers(*arrays: np.ndarray) -> bool:
    return all(values.dtype.kind == "i" for values in arrays)


def kinds(results: Arrays) -> dict:
    """Gives the dtype of each result and its shape for a lane."""
    return {name: (values.dtype, values.shape[1:]) for name, values in results.items()}


def fits(lane: Lane, saved: Mapping, chunk: int) -> bool:
    """Whether a checkpoint has the leaves of a chunk of so many lanes, in kind and shape."""
    shapes = [
        jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        for leaf in jax.tree.leaves(lane)
    ]
    leaves = [saved.get(f"{LEAF}{index}") for index in range(len(shapes) + 1)]
    if int(saved["chunk"]) != chunk or leaves.pop() is not None:
        return False
    return all(_alike(*pair) for pair in zip(leaves, shapes, strict=True))


def _alike(leaf: np.ndarray | None, wanted) -> bool:
    return leaf is not None and (leaf.shape, leaf.dtype) == (wanted.shape, wanted.dtype)


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


def joined(parts: Iterable[Arrays]) -> Arrays:
    """Joins results of several chunks along the axis of lanes."""
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def is_key(leaf) -> bool:
    """Whether a leaf holds jax keys, which numpy cannot hold."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
