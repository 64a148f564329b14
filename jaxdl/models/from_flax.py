"""Models written in Flax: a Linen module or an NNX class as a pair of pure functions."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import flag
from jaxdl.types import Model

# arguments of __call__, and what they are in training
SWITCHES = {"train": True, "training": True, "deterministic": False}


def from_flax(module: Any, sample_x: Any, *, channels_last: bool = False) -> Model:
    """Makes a `Model` of a Flax module.

    Inside the module arrays are batch-first, as it was written; outside, x and outputs are
    batch-last, as everywhere here. Flax's convolutions read pictures with their channels last,
    where `tasks.images` has them first: `channels_last` moves them. What is not trained (running
    means of batch norm) is the model's state, and changes only where ``train=True``. Dropout draws
    from `key`; nothing is random where ``train=False``. Where ``__call__`` has an argument
    ``train``, ``training`` or ``deterministic``, it is told; an NNX model is put into ``train()``
    or ``eval()`` as well.

    Args:
      module: a Linen instance; or an NNX class, a `functools.partial` of one or a function, called
        with ``rngs=`` alone.
      sample_x: an example batch as the module reads it, (n_samples, features...), of pictures
        (n_samples, height, width, channels) for a convolution of Flax; only its shape and type are
        looked at.
      channels_last: whether the first axis of an example comes last in the module: x of shape
        (channels, height, width, batch) is read as (batch, height, width, channels).

    Returns:
      A `Model`; params are a nested dict of arrays, state is one as well, or () where there is
      none.

    Raises:
      ValueError: `module` is none of these, or `sample_x` has no batch axis; in ``apply``, pictures
        with another number of channels than `sample_x`.

    >>> from flax import linen
    >>> model = from_flax(linen.Dense(3), jnp.zeros((10, 2)))
    >>> params, state = model.init(jax.random.key(0))
    >>> outputs, state = model.apply(params, state, jnp.zeros((2, 10)))
    >>> outputs.shape, state
    ((3, 10), ())
    """
    from flax import linen

    flag("channels_last", channels_last)
    example = _one_example(sample_x)
    read = functools.partial(_as_read, example.shape[1:], channels_last)
    if isinstance(module, linen.Module):
        return _linen(module, example, read)
    return _nnx(_nnx_maker(module), read)


def _one_example(sample_x) -> jax.ShapeDtypeStruct:
    """Returns the shape and type of a batch of one."""
    has_both = hasattr(sample_x, "shape") and hasattr(sample_x, "dtype")
    array = sample_x if has_both else np.asarray(sample_x)
    if len(array.shape) < 2:
        raise ValueError(
            "sample_x must be an example batch, (n_samples, features...), got shape "
            f"{tuple(array.shape)}"
        )
    whole = np.issubdtype(array.dtype, np.integer)
    return jax.ShapeDtypeStruct((1, *array.shape[1:]), jnp.int32 if whole else jnp.float32)


def _as_read(sample: tuple[int, ...], channels_last: bool, x):
    """Puts the axes of x, batch-last, as the module reads them.

    Args:
      sample: the shape of an example as the module reads it.

    Raises:
      ValueError: a picture whose last axis is another than the sample's, which holds the channels
        of Flax's convolutions.
    """
    batch_first = jnp.moveaxis(x, -1, 0)
    read = jnp.moveaxis(batch_first, 1, -1) if channels_last else batch_first
    if len(sample) == 3 and read.ndim == 4 and read.shape[-1] != sample[-1]:
        given, got, wanted = (
            ", ".join(map(str, shape)) for shape in (x.shape[:-1], read.shape[1:], sample)
        )
        raise ValueError(
            f"sample_x must be what the module reads: x of shape ({given}, batch) comes to it as "
            f"(batch, {got}) under channels_last={channels_last}, got a sample_x of shape "
            f"(n, {wanted})"
        )
    return read


def _batch_last(outputs):
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), outputs)


def _switches(kind: type, train: bool) -> dict:
    """Returns what ``__call__`` of a module class is told about training."""
    known = inspect.signature(kind.__call__).parameters
    told = {name: in_training == train for name, in_training in SWITCHES.items()}
    return {name: value for name, value in told.items() if name in known}


def _linen(module, example, read: Callable) -> Model:
    """Makes the model of a Linen instance; its state is every collection but params."""
    switches = functools.partial(_switches, type(module))

    def init(key):
        zeros = jnp.zeros(example.shape, example.dtype)
        variables = dict(module.init(key, zeros, **switches(False)))
        return variables.pop("params", {}), variables or ()

    def apply(params, state, x, *, key=None, train=False):
        variables = {"params": params, **(state or {})}
        rngs = {"dropout": key} if train and key is not None else None
        mutable = list(state) if train and state else False
        told = switches(train)
        returned = module.apply(variables, read(x), rngs=rngs, mutable=mutable, **told)
        # Linen returns a pair where collections may change, and the outputs alone where none may.
        outputs, state = (returned[0], dict(returned[1])) if mutable else (returned, state)
        return _batch_last(outputs), state

    return Model(init, apply)


def _nnx_maker(module):
    """Returns `module` if it is an NNX class or another callable that takes rngs.

    Raises:
      ValueError: it is none, with what would be.
    """
    from flax import linen, nnx

    if isinstance(module, nnx.Module):
        name = type(module).__name__
        raise ValueError(
            "module must be an NNX class, which is called with rngs= for every seed, got an "
            f"instance of {name}"
        )
    if isinstance(module, type) and issubclass(module, linen.Module):
        raise ValueError(f"module must be a Linen instance, got the class {module.__name__}")
    allowed = "module must be a Linen instance, or an NNX class or function called with rngs= alone"
    if not callable(module) or (isinstance(module, type) and not issubclass(module, nnx.Module)):
        raise ValueError(f"{allowed}, got {module!r}")
    try:
        inspect.signature(_constructor(module)).bind(rngs=None)
    except TypeError as error:
        raise ValueError(
            f"{allowed}, got {module!r}: {error} (functools.partial sets the other arguments)"
        ) from error
    return module


def _constructor(module):
    """Returns `module` with the signature that it was written with: that of an NNX class itself
    says nothing."""
    part = module if isinstance(module, functools.partial) else functools.partial(module)
    if isinstance(part.func, type):
        initialise = part.func.__init__  # type: ignore[misc]
        return functools.partial(initialise, None, *part.args, **part.keywords)
    return part


def _built(maker, key):
    """Builds a new NNX module."""
    from flax import nnx

    built = maker(rngs=nnx.Rngs(key))
    if not isinstance(built, nnx.Module):
        raise ValueError(
            "module must make an NNX module when called with rngs=, got one that makes "
            f"{type(built).__name__}"
        )
    return built


def _nnx(maker, read: Callable) -> Model:
    """Makes the model of an NNX class; its state is every variable that is neither a Param nor of a
    random stream."""
    from flax import nnx

    # The object is taken apart into a graph, which is the same for all lanes, and its variables,
    # which are arrays. Every call puts one together anew, so that no lane sees another's.
    outline = nnx.eval_shape(lambda: _built(maker, jax.random.key(0)))
    graph, *variables = nnx.split(outline, nnx.Param, nnx.RngState, ...)
    streams = nnx.to_pure_dict(variables[1])
    switches = functools.partial(_switches, type(outline))

    def init(key):
        _, *variables = nnx.split(_built(maker, key), nnx.Param, nnx.RngState, ...)
        params, _, state = variables
        return nnx.to_pure_dict(params), nnx.to_pure_dict(state) or ()

    def apply(params, state, x, *, key=None, train=False):
        draws = train and key is not None
        keyed = _fresh(streams, key if draws else jax.random.key(0))
        model = nnx.merge(graph, params, keyed, state or {})
        if not draws:
            _close_streams(model)
        (model.train if train else model.eval)()
        outputs = model(read(x), **switches(train))
        if train and state:
            # what a module sows for inspection is of this call alone, and no state
            split = nnx.split(model, nnx.Param, nnx.RngState, nnx.Intermediate, ...)
            after = nnx.to_pure_dict(split[-1])
            state = jax.tree.map(lambda _, new: new, state, after)
        return _batch_last(outputs), state

    return Model(init, apply)


def _fresh(streams, key):
    """Makes the state of a model's random streams, every one with its own key from `key` and none
    of it used.

    Flax's own `reseed` gives equal keys to all streams of a name: two dropout layers would drop the
    same places.
    """
    leaves, structure = jax.tree.flatten(streams)
    keyed = [_stream(key, place, leaf) for place, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, keyed)


def _stream(key, place: int, leaf):
    """Derives a key for a leaf that holds one (or an array of them), zero for a count."""
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.zeros(leaf.shape, leaf.dtype)
    own = jax.random.fold_in(key, place)
    return jax.random.split(own, leaf.shape) if leaf.shape else own


def _close_streams(model):
    """Makes every random stream of an NNX model refuse to be drawn from."""
    from flax import nnx

    for _, node in nnx.iter_graph(model):
        if isinstance(node, nnx.RngStream):
            object.__setattr__(node, "__class__", _closed())


@functools.cache
def _closed() -> type:
    """Defines a stream without randomness; once, and only where Flax is in use."""
    from flax import nnx

    class ClosedStream(nnx.RngStream):
        """A random stream that nobody may draw from."""

        def __call__(self):
            """Raises: there is no key to draw with."""
            raise ValueError("the NNX model draws random numbers, which needs train=True and a key")

    return ClosedStream
