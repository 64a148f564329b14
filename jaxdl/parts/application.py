"""A model applied to data, with a line in our words where the data do not fit it."""

from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from jaxdl.checks import brief, first_line
from jaxdl.parts.arguments import framework
from jaxdl.parts.returned import built_like, several
from jaxdl.types import Model, Params, State

KNOWN = ("model takes", "a padded size")  # beginnings of our own words
MOST_TRIED = 16  # sizes that a model may take where the data's is refused


def apply(
    model: Model,
    params: Params,
    state: State,
    x: Any,
    key: PRNGKeyArray | None = None,
    train: bool = False,
) -> tuple[Any, State]:
    """Calls ``model.apply``, with a line in our words where the data do not fit the model.

    Returns:
      (outputs, state).

    Raises:
      ValueError: the model takes another number of features, or gives something else than a pair.
    """
    try:
        returned = model.apply(params, state, x, key=key, train=train)
    except Exception as failure:
        if _is_about_shapes(failure):
            _explain(model, params, state, x, failure)
        raise
    outputs, after = several("model.apply", returned, "outputs", "state")
    if not jax.tree.leaves(outputs):
        raise ValueError(f"model.apply must return (outputs, state), got outputs {brief(outputs)}")
    if train:
        built_like("model.apply", after, state, "a state like that of init", types=True)
    return outputs, after


def _is_about_shapes(failure: Exception) -> bool:
    """Tells whether an error may come from data that do not fit; a class of the user's own does
    not."""
    if isinstance(failure, jax.errors.JAXTypeError) or str(failure).startswith(KNOWN):
        return False  # a value that is abstract; our own words
    return type(failure) in (TypeError, ValueError) or framework(failure) is not None


def _explain(model: Model, params, state, x, failure: Exception):
    """Raises in place of `failure` if the model would take x with another number of features."""
    # The error itself speaks of some matrix product. Which axis is wrong, and what it should be,
    # is found by asking: would the model take data like these with another size, one of those that
    # its weights have? Shapes alone are computed, so that this costs no time.
    shape = tuple(x.shape)
    axis = 1 if len(shape) == 3 else 0  # (time, features, batch); else the first
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
    """Lists the sizes of weights, one of which is that of the features: (out, in), (in, out) in
    Flax."""
    sizes: list[int] = []
    for leaf in jax.tree.leaves(params):
        sizes += reversed(getattr(leaf, "shape", ()))
    return list(dict.fromkeys(sizes))


def _takes(model: Model, params, state, x) -> bool:
    def evaluate(params, state, x):
        return model.apply(params, state, x, key=None, train=False)

    try:
        jax.eval_shape(evaluate, params, state, x)
    except Exception:  # whatever it is, this is no answer
        return False
    return True
