"""What users' functions return: a line in our words where it is something else."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from jaxdl.checks import brief
from jaxdl.types import Dataset, Params, State

DATA = "task.data must be a Dataset or a function (key) -> Dataset"


def several(name: str, value: Any, *parts: str) -> tuple:
    """Returns what a user's function gave, if it is a tuple of these parts.

    An array or a dict would unpack as well, and be something else without a word.

    Raises:
      ValueError: no tuple, or one of another length.

    >>> several("model.init", {"weight": 1, "bias": 2}, "params", "state")
    Traceback (most recent call last):
    ValueError: model.init must return (params, state), got a dict: {'weight': 1, 'bias': 2}
    """
    # a layer that is a NamedTuple is one thing, even where it has as many fields
    fields = getattr(value, "_fields", parts)
    is_tuple = isinstance(value, (tuple, list)) and len(value) == len(parts)
    if is_tuple and fields[-1] == parts[-1]:
        return tuple(value)
    raise ValueError(f"{name} must return ({', '.join(parts)}), got {_described(value)}")


def _described(value) -> str:
    """Writes a returned value, with its type in front where that is not plain."""
    if isinstance(value, (tuple, list)):
        kind = type(value).__name__
        return f"a {kind} of {len(value)}: {brief(value)}"
    if isinstance(value, dict):
        return f"a dict: {brief(value)}"
    return brief(value)


def dataset_of(value: Any) -> Dataset:
    """Returns a lane's data, or raises a ValueError if they are no `Dataset`."""
    if not isinstance(value, Dataset):
        raise ValueError(f"{DATA}, got {_described(value)}: see types.Dataset")
    return value


def fresh(value: Any) -> tuple[Params, State]:
    """Returns what ``model.init`` gave: (params, state), params of floats, since others have no
    gradient.

    Raises:
      ValueError: no pair, or a leaf that is none of this.
    """
    params, state = several("model.init", value, "params", "state")
    for leaf in jax.tree.leaves(params):
        if not _is_float_array(leaf):
            wanted = "params that are arrays of floats"
            raise ValueError(f"model.init must return {wanted}, got {brief(leaf)}")
    for leaf in jax.tree.leaves(state):
        is_number = isinstance(leaf, (bool, int, float))
        if not is_number and not hasattr(leaf, "dtype"):
            raise ValueError(f"model.init must return a state of arrays, got {brief(leaf)}")
    return params, state


def _is_float_array(leaf) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def built_like(
    name: str,
    tree: Any,
    pattern: Any,
    what: str,
    types: bool = False,
):
    """Returns a tree, if it has the structure and the shapes of another one.

    Args:
      name: of the function that gave it.
      tree, pattern: the tree, and the one that it must be like.
      what: `pattern` in words.
      types: whether the types of `pattern` must hold those of `tree`, which takes its place.

    Raises:
      ValueError: another structure, shape or type.
    """
    # Checked while a step is traced, so it costs no time. Without it, a state of another structure
    # ends in an error of the loop that carries it, which names neither the function nor the part.
    structure: Any = jax.tree.structure(tree)
    is_alike = structure == jax.tree.structure(pattern)
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(pattern), strict=False)
    if not is_alike or not all(_fits(*pair, types) for pair in pairs):
        raise ValueError(f"{name} must give {what}, {_outline(pattern)}, got {_outline(tree)}")
    return tree


def _fits(leaf, place, types: bool) -> bool:
    """Tells whether a value may stand in the place of another one."""
    has_shape = jnp.shape(leaf) == jnp.shape(place)
    if not has_shape or not types:
        return has_shape
    # A loop carries its values in the types that they start with: those may be wider (a float32
    # takes a bfloat16), never narrower. A key is promoted to nothing, so equal types come first.
    after, before = _type(leaf), _type(place)
    return after == before or jnp.promote_types(after, before) == before


def _type(leaf):
    """Gives the type of an array, or that which a number would get."""
    if hasattr(leaf, "dtype"):
        return leaf.dtype
    return jnp.result_type(leaf)


def _outline(tree) -> str:
    """Writes a tree with shapes and types in place of its arrays."""

    def leaf_outline(leaf):
        is_array = hasattr(leaf, "dtype")
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if is_array else leaf

    outline = jax.tree.map(leaf_outline, tree)
    return brief(outline).replace("ShapeDtypeStruct", "")


def aligned(name: str, *values):
    """Returns the values, if the last axis of every array among them is one batch; a tree is its
    own affair.

    Raises:
      ValueError: nothing or no array in a value's place, or batches of different sizes.
    """
    sizes = {value.shape[-1:] for value in values if hasattr(value, "shape")}
    if not all(map(_is_of_arrays, values)) or len(sizes) > 1 or () in sizes:
        given = ", ".join(brief(value) for value in values)
        raise ValueError(f"{name} must give arrays whose last axis is the batch, got {given}")
    return values


def _is_of_arrays(tree) -> bool:
    """Tells whether a tree has leaves, all of which are arrays."""
    leaves = jax.tree.leaves(tree)
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def prng_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """Returns the key as a typed one, of shape ().

    Old-style keys, ``jax.random.PRNGKey(0)``, are wrapped: they give the same numbers.

    Raises:
      ValueError: no key, or several.
    """
    allowed = "key must be a jax PRNG key such as jax.random.key(0)"
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    if dtype is None:
        raise ValueError(f"{allowed}, got {brief(key)}")
    if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        if shape != ():
            remedy = "jax.vmap(train)(keys) trains them all"
            raise ValueError(f"{allowed}, got {shape} of them: {remedy}")
        return key
    if dtype == "uint32" and shape == jax.random.key_data(jax.random.key(0)).shape:
        return jax.random.wrap_key_data(key)
    raise ValueError(f"{allowed}, got {brief(key)}")
