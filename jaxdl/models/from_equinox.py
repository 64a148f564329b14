"""Models written in Equinox: a class of modules as a pair of pure functions."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.types import Model


def from_equinox(module: Callable) -> Model:
    """Makes a `Model` of an Equinox module.

    An Equinox module takes one example; it is vmapped over the batch, under the axis name
    ``"batch"``. Arrays of floats are params, as a tree like the module; other arrays, and the state
    of ``BatchNorm``, are the model's state, which changes only where ``train=True``. There each
    example has a key of its own where ``__call__`` takes one; where ``train=False`` the module is
    in inference mode.

    Args:
      module: an Equinox class, a `functools.partial` of one or a function, called with ``key=``
        alone. Its ``__call__`` is ``(x)`` or ``(x, *, key)``, and ``(x, state, *, key)`` returning
        (outputs, state) where it has state.

    Returns:
      A `Model`; state is () where there is none.

    Raises:
      ValueError: `module` is an instance, whose weights would be the same for all seeds, or no
        maker of Equinox modules.
    """
    import equinox

    maker = equinox.nn.make_with_state(_maker(module))
    # What is no array is the same for all seeds; weights of different seeds are one kind of tree.
    outline, memory = equinox.filter_eval_shape(maker, key=jax.random.key(0))
    if not isinstance(outline, equinox.Module):
        raise ValueError(
            "module must make an Equinox module when called with key=, got one that makes "
            f"{type(outline).__name__}"
        )
    layout = _layout(_parted(outline, memory))
    takes_key = "key" in inspect.signature(type(outline).__call__).parameters

    def init(key):
        return _taken_apart(layout, *maker(key=key))

    def apply(params, state, x, *, key=None, train=False):
        model, memory = _joined(layout, params, state)
        if not train:
            model = equinox.nn.inference_mode(model)
        draws = train and takes_key and key is not None
        keys = _example_keys(key, x.shape[-1]) if draws else None
        outputs, memory = _over_batch(model, memory, x, keys)
        if not (train and state):
            return outputs, state
        buffers, _ = state
        return outputs, (buffers, tuple(jax.tree.leaves(memory)))

    return Model(init, apply)


class _Parts(NamedTuple):
    """A module and its state, parted by what becomes of their leaves."""

    params: Any  # float arrays
    buffers: Any  # other arrays
    static: Any  # the rest
    memory: Any  # running statistics


def _parted(model, memory) -> _Parts:
    import equinox

    arrays, static = equinox.partition(model, _is_array)
    params, buffers = equinox.partition(arrays, _is_float)
    return _Parts(params, buffers, static, memory)


def _is_array(leaf) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def _is_float(leaf) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


class _Layout(NamedTuple):
    """How a module is taken apart and put together, the same for all seeds."""

    params: Any  # trees without their leaves
    buffers: Any
    memory: Any
    static: Any


def _layout(outline: _Parts) -> _Layout:
    params, buffers, static, memory = outline
    trees = [jax.tree.structure(part) for part in (params, buffers, memory)]
    return _Layout(trees[0], trees[1], trees[2], static)


def _taken_apart(layout: _Layout, model, memory) -> tuple:
    """Gives (params, state) of a module and its state."""
    parts = _parted(model, memory)
    params = jax.tree.unflatten(layout.params, jax.tree.leaves(parts.params))
    kept = tuple(jax.tree.leaves(parts.buffers)), tuple(jax.tree.leaves(memory))
    return params, kept if any(kept) else ()


def _joined(layout: _Layout, params, state) -> tuple:
    """Gives (module, its state) of params and state."""
    import equinox

    buffers, memory = state or ((), ())
    others = jax.tree.unflatten(layout.buffers, buffers)
    model = equinox.combine(params, others, layout.static)
    return model, jax.tree.unflatten(layout.memory, memory)


def _example_keys(key, batch: int):
    """Derives a key an example; that of one does not depend on how many there are."""
    return jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(batch))


def _over_batch(model, memory, x, keys) -> tuple:
    """Calls a module on every example: (outputs, state), outputs batch-last."""
    has_memory = bool(jax.tree.leaves(memory))

    def one(x, memory, key):
        told = {} if key is None else {"key": key}
        if has_memory:
            return model(x, memory, **told)
        return model(x, **told), memory

    axes = (-1, None, None if keys is None else 0)
    return jax.vmap(one, axes, (-1, None), axis_name="batch")(x, memory, keys)


def _maker(module) -> Callable:
    """Returns `module` if it can be called with key= alone.

    Raises:
      ValueError: it can not, with what could.
    """
    import equinox

    if isinstance(module, equinox.Module):
        raise ValueError(
            "module must be an Equinox class, which is called with key= for every seed, got an "
            f"instance of {type(module).__name__}"
        )
    allowed = "module must be an Equinox class or function called with key= alone"
    if not callable(module):
        raise ValueError(f"{allowed}, got {module!r}")
    try:
        inspect.signature(module).bind(key=None)
    except TypeError as error:
        raise ValueError(
            f"{allowed}, got {module!r}: {error} (functools.partial sets the other arguments)"
        ) from error
    return module


__all__ = ["from_equinox"]
