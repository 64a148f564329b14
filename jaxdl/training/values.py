"""What a user's loss and metrics give: one value per example, and a gradient that is not zero."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.losses import WITH_GRADIENT, plain


def per_example(name: str, values, batch: int, differentiable: bool = True):
    """Checks that a loss or metric gave one value per example; returns them as float32.

    Args:
      name: for the message.
      values: shape (batch,).
      batch: number of examples.
      differentiable: whether integers are refused: their gradient is zero.

    Raises:
      ValueError: another shape, complex numbers, or no floats where a gradient is needed.
    """
    if not isinstance(values, (jax.Array, np.ndarray)):
        raise ValueError(
            f"{name} must give one value per example, an array of shape ({batch},), got "
            f"{type(values).__name__}"
        )
    if values.shape != (batch,):
        raise ValueError(
            f"{name} must give one value per example, shape ({batch},), got shape {values.shape}"
        )
    if differentiable and not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"{name} must give floats, which have a gradient, got {values.dtype}")
    if jnp.issubdtype(values.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must give real numbers, got {values.dtype}")
    return values.astype(jnp.float32)


def check_gradient(loss: Callable, outputs, targets):
    """Refuses a loss that nothing is learned from."""
    if not has_gradient(loss, outputs, targets):
        raise ValueError(
            "loss must have a gradient in the outputs, got one that is 0 whatever they are: "
            "a thresholded or rounded value is a metric"
        )


def has_gradient(loss, outputs, targets) -> bool:
    """Tells whether a loss has a gradient in the outputs that is not zero whatever they are (as
    that of an accuracy is).

    Args:
      loss: ``(outputs, targets) -> (batch,)``, floats.
      outputs, targets: arrays or trees of them, traced or not; only their shapes and types are
        looked at.

    >>> from jaxdl.losses import binary_accuracy, squared_error
    >>> functions = (squared_error, binary_accuracy)
    >>> [has_gradient(function, jnp.ones((1, 2)), jnp.ones(2)) for function in functions]
    [True, False]
    """
    if plain(loss) in WITH_GRADIENT or not _all_floats(outputs):
        return True
    # Values at some outputs would not tell: a hinge's gradient is zero at many. It is zero at all
    # where its program does not depend on the outputs, and its constant value is zero.
    shapes = jax.tree.map(_shape_of, (outputs, targets))
    gradient = jax.grad(lambda outputs, targets: jnp.sum(loss(outputs, targets)))
    if _varies(jax.make_jaxpr(gradient)(*shapes).jaxpr):
        return True
    # The gradient is constant, which that of a linear loss is as well, at other than zero.
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    with jax.ensure_compile_time_eval():
        leaves = jax.tree.leaves(gradient(*zeros))
    return any(map(_may_differ_from_zero, leaves))


def _all_floats(tree) -> bool:
    return all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(tree))


def _shape_of(leaf) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf))


def _may_differ_from_zero(leaf) -> bool:
    """Tells whether some number of an array is not 0; a traced one comes from a value of hp."""
    return isinstance(leaf, jax.core.Tracer) or bool(np.asarray(leaf).any())


def _varies(jaxpr) -> bool:
    """Tells whether an output of a jaxpr is computed from its inputs."""
    tainted = set(jaxpr.invars)

    # a constant of the program is no input; nor is a literal, which has its value with it
    def is_tainted(value) -> bool:
        literal = hasattr(value, "val")
        return not literal and value in tainted

    for equation in jaxpr.eqns:
        if any(map(is_tainted, equation.invars)):
            tainted.update(equation.outvars)
    return any(map(is_tainted, jaxpr.outvars))
