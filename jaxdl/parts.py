"""Checks of what a study is made of: task, model and optimizer, and what their functions give."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, first_line, function_of
from jaxdl.types import Dataset, Model, Task, check_metrics


class Part(NamedTuple):
    """What an argument must be, and what to write where it is something else."""

    wanted: str
    example: str


PARTS = {
    "task": Part("a Task", "task=tasks.moons(), or tasks.from_arrays(X, y)"),
    "model": Part("a Model", "model=models.mlp(2, outputs=2), or types.Model(init, apply)"),
    "optimizer": Part("an optax optimizer", "optimizer=lambda hp: optax.adam(hp.learning_rate)"),
}
OWN_PAIR = "model=types.Model(init, apply), with init(key) -> (params, state) around it"
FRAMEWORKS = {
    "flax": "model=models.from_flax(module, sample_x)",
    "equinox": OWN_PAIR,
    "haiku": OWN_PAIR,
    "torch": OWN_PAIR,
}
APPLY = "(params, state, x, *, key=None, train=False) -> (outputs, state)"
DATA = "task.data must be a Dataset or a function (key) -> Dataset"
VALUES = "(outputs, targets) -> (batch,)"
KNOWN = ("model takes", "a padded size")  # beginnings of our own words
MOST_TRIED = 16  # sizes that a model may take where the data's is refused


def is_built(name: str, thing) -> bool:
    """Whether an argument is the thing itself, and no function of hp that makes it."""
    if name == "optimizer":
        has_both = all(callable(getattr(thing, part, None)) for part in ("init", "update"))
        return has_both and not isinstance(thing, type)
    return isinstance(thing, Task if name == "task" else Model)


def check_part(name: str, thing, functions: bool = True):
    """Refuses a task, model or optimizer that is neither built nor a function of hp.

    Args:
      name: ``"task"``, ``"model"`` or ``"optimizer"``.
      functions: whether a function of hp will do.

    Raises:
      ValueError: a line that says what to write.
    """
    if is_built(name, thing):
        return _check_fields(name, thing)
    wanted = PARTS[name].wanted
    if not functions:
        raise ValueError(f"{name} must be {wanted}, got {brief(thing)}: {_remedy(name, thing)}")
    if _is_unbuilt(thing) or not callable(thing):
        given = f"{brief(thing)}: {_remedy(name, thing)}"
        allowed = f"{wanted}, or a function of hp that returns one"
        raise ValueError(f"{name} must be {allowed}, got {given}")
    function_of(name, thing, f"of hp alone that returns {wanted}", None)


def resolve(name: str, thing, hp) -> Any:
    """The task, model or optimizer of a config.

    Args:
      name: which of them.
      thing: the value, or a function of hp.
      hp: the config's hyper-parameters.

    Raises:
      ValueError: the function returns something else.
    """
    if is_built(name, thing):
        return thing
    found = thing(hp)
    if not is_built(name, found):
        remedy = "is a return missing?" if found is None else _remedy(name, found)
        wanted, given = PARTS[name].wanted, f"one that returns {brief(found)}: {remedy}"
        raise ValueError(f"{name} must be a function of hp that returns {wanted}, got {given}")
    _check_fields(name, found)
    return found


def _source(thing):
    """The function or class behind a `functools.partial`."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing


def _home(thing) -> str:
    """The module in which a function or class is defined."""
    return str(getattr(_source(thing), "__module__", ""))


def _framework(thing) -> str | None:
    """The library whose module (class or instance) something is."""
    source = _source(thing)
    kind = source if isinstance(source, type) else type(source)
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return next((name for name in FRAMEWORKS if name in packages), None)


def _is_unbuilt(thing) -> bool:
    """Whether something callable is no function of hp, but what such a function would call."""
    ours = _home(thing).startswith(("jaxdl.models.", "jaxdl.tasks"))
    return ours or _home(thing).partition(".")[0] == "optax" or _framework(thing) is not None


def _remedy(name: str, thing) -> str:
    """What to write in place of something."""
    example, called = PARTS[name].example, getattr(_source(thing), "__qualname__", "")
    if name == "model" and (library := _framework(thing)):
        example = FRAMEWORKS[library]
    elif isinstance(thing, Dataset):
        example = "task=tasks.classification(dataset)"
    elif called and "." not in called and not isinstance(_source(thing), type):
        if name == "optimizer" and _home(thing).startswith("optax"):
            example = f"optimizer=lambda hp: optax.{called}(hp.learning_rate)"
        elif name != "optimizer" and _home(thing).startswith(f"jaxdl.{name}s"):
            example = f"{name}={name}s.{called}(...), or lambda hp: {name}s.{called}(...)"
    return f"write {example}"


def _check_fields(name: str, thing):
    """Refuses a task or model whose fields are not what they are called."""
    if name == "model":
        function_of("model.init", thing.init, "(key) -> (params, state)", None)
        function_of("model.apply", thing.apply, APPLY, None, None, None, key=None, train=False)
    elif name == "task":
        _check_task(thing)


def _check_task(task: Task):
    if callable(task.data):
        function_of("task.data", task.data, "(key) -> Dataset", None)
    else:
        dataset_of(task.data)
    function_of("task.loss", task.loss, VALUES, None, None)
    check_metrics(task.metrics)
    for name, metric in task.metrics.items():
        function_of(f"metric {name!r}", metric.function, VALUES, None, None)
    for field, signature, count in (
        ("augment", "(key, x, targets) -> (x, targets)", 3),
        ("prepare", "(x) -> x", 1),
        ("batch", "(dataset, key, step, batch_size) -> (x, targets, weight)", 4),
    ):
        if getattr(task, field) is not None:
            function_of(f"task.{field}", getattr(task, field), signature, *[None] * count)


def several(name: str, found, *parts: str) -> tuple:
    """What a user's function returns, if it is a tuple of these parts.

    An array or a dict would unpack as well, and be something else without a word.

    >>> several("model.init", {"weight": 1, "bias": 2}, "params", "state")
    Traceback (most recent call last):
    ValueError: model.init must return (params, state), got a dict: {'weight': 1, 'bias': 2}
    """
    fields = getattr(found, "_fields", parts)  # a layer that is a NamedTuple is one thing
    if isinstance(found, (tuple, list)) and len(found) == len(parts) and fields[-1] == parts[-1]:
        return tuple(found)
    raise ValueError(f"{name} must return ({', '.join(parts)}), got {_kind(found)}")


def _kind(found) -> str:
    """A returned value, with its type in front where that is not plain."""
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {len(found)}: {brief(found)}"
    return f"a dict: {brief(found)}" if isinstance(found, dict) else brief(found)


def dataset_of(found) -> Dataset:
    """A lane's data, if they are a `Dataset`."""
    if not isinstance(found, Dataset):
        raise ValueError(f"{DATA}, got {_kind(found)}: see types.Dataset")
    return found


def apply(model: Model, params, state, x, key=None, train: bool = False) -> tuple:
    """``model.apply``, with a line in our words where the data do not fit the model.

    Returns:
      (outputs, state).

    Raises:
      ValueError: the model takes another number of features, or gives something else than a pair.
    """
    try:
        found = model.apply(params, state, x, key=key, train=train)
    except Exception as failure:
        if _is_about_shapes(failure):
            _explain(model, params, state, x, failure)
        raise
    outputs, after = several("model.apply", found, "outputs", "state")
    if not jax.tree.leaves(outputs):
        raise ValueError(f"model.apply must return (outputs, state), got outputs {brief(outputs)}")
    if train:
        built_like("model.apply", after, state, "a state like that of init", types=True)
    return outputs, after


def _structure(tree) -> Any:
    return jax.tree.structure(tree)


def _is_about_shapes(failure: Exception) -> bool:
    """Whether an error may come from data that do not fit; the user's own class of it is theirs."""
    if isinstance(failure, jax.errors.JAXTypeError) or str(failure).startswith(KNOWN):
        return False  # a value that is abstract; our own words
    return type(failure) in (TypeError, ValueError) or _framework(failure) is not None


def _explain(model: Model, params, state, x, failure: Exception):
    """Raises in place of `failure` if the model would take x with another number of features."""
    shape = tuple(x.shape)
    for axis in (1,) if len(shape) == 3 else (0,):  # (time, features, batch); else the first
        for size in _sizes(params)[:MOST_TRIED]:
            other = (*shape[:axis], size, *shape[axis + 1 :])
            like_x = jax.ShapeDtypeStruct(other, x.dtype)
            if size == shape[axis] or not _takes(model, params, state, like_x):
                continue
            what = "features" if len(shape) < 4 else "channels"
            given = f"data with {shape[axis]} (x of shape {shape}, batch last)"
            kind = TypeError if isinstance(failure, TypeError) else ValueError
            message = f"model takes {size} {what}, got {given}: {first_line(failure)}"
            raise kind(message) from failure


def _sizes(params) -> list[int]:
    """The sizes of weights, one of which is that of the features: (out, in), (in, out) in Flax."""
    shapes = [getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(params)]
    return list(dict.fromkeys(size for shape in shapes for size in reversed(shape)))


def _takes(model: Model, params, state, x) -> bool:
    try:
        jax.eval_shape(
            lambda params, state, x: model.apply(params, state, x, key=None, train=False),
            params,
            state,
            x,
        )
    except Exception:  # whatever it is, this is no answer
        return False
    return True


def built_like(name: str, found, wanted, what: str, types: bool = False):
    """`found`, if it has the structure and the shapes of `wanted`.

    Args:
      name: of the function that gave it.
      found, wanted: trees.
      what: `wanted` in words.
      types: whether the types of `wanted` must hold those of `found`, which takes its place.

    Raises:
      ValueError: another structure, shape or type.
    """
    same = _structure(found) == _structure(wanted)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=False)
    if not same or not all(_fits(*pair, types) for pair in pairs):
        raise ValueError(f"{name} must give {what}, {_outline(wanted)}, got {_outline(found)}")
    return found


def _fits(leaf, place, types: bool) -> bool:
    """Whether a value may stand in the place of another one."""
    if jnp.shape(leaf) != jnp.shape(place) or not types:
        return jnp.shape(leaf) == jnp.shape(place)
    after, before = (_type(leaf), _type(place))
    return after == before or jnp.promote_types(after, before) == before  # a key has its like only


def _type(leaf):
    return leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)


def _outline(tree) -> str:
    """A tree with shapes and types in place of its arrays."""

    def leaf_outline(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if hasattr(leaf, "dtype") else leaf

    return brief(jax.tree.map(leaf_outline, tree)).replace("ShapeDtypeStruct", "")


def fresh(found) -> tuple:
    """What ``model.init`` returns: (params, state), params of floats, since others have no
    gradient.

    Raises:
      ValueError: no pair, or a leaf that is none of this.
    """
    params, state = several("model.init", found, "params", "state")
    for leaf in jax.tree.leaves(params):
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            wanted = "params that are arrays of floats"
            raise ValueError(f"model.init must return {wanted}, got {brief(leaf)}")
    for leaf in jax.tree.leaves(state):
        if not hasattr(leaf, "dtype") and not isinstance(leaf, (bool, int, float)):
            raise ValueError(f"model.init must return a state of arrays, got {brief(leaf)}")
    return params, state


def aligned(name: str, *values):
    """The values, if the last axis of every array among them is one batch; a tree is its own
    affair.

    Raises:
      ValueError: nothing or no array in a value's place, or batches of different sizes.
    """
    leaves = [jax.tree.leaves(value) for value in values]
    arrays = all(part and all(hasattr(leaf, "shape") for leaf in part) for part in leaves)
    sizes = {value.shape[-1:] for value in values if hasattr(value, "shape")}
    if not arrays or len(sizes) > 1 or () in sizes:
        given = ", ".join(brief(value) for value in values)
        raise ValueError(f"{name} must give arrays whose last axis is the batch, got {given}")
    return values


def prng_key(key):
    """The key as a typed one, of shape ().

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
