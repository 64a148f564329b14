"""Checks of outputs and targets, whose shapes must fit: broadcasting would make a wrong number."""

import jax.numpy as jnp


def class_count(name: str, outputs, targets) -> int:
    """Returns the number of classes, if the outputs are one a class and the targets class numbers.

    Args:
      name: of the loss or metric, for the message.
      outputs: (classes, batch), of two classes or more.
      targets: (batch,), int or bool.

    Raises:
      ValueError: other shapes, one-hot targets, floats, a single output.
    """
    shape, given = jnp.shape(outputs), jnp.shape(targets)
    if len(shape) != 2:
        raise ValueError(f"{name} takes outputs (classes, batch), got shape {shape}")
    if shape[0] == 1:
        raise ValueError(
            f"{name} takes outputs of at least 2 classes, got 1: "
            "give the model 2 outputs, or take tasks.binary (binary_cross_entropy) for one"
        )
    wanted = f"{name} takes class numbers as targets"
    if len(given) == 2:
        raise ValueError(
            f"{wanted}, shape ({shape[1]},), got shape {given}: "
            "turn one-hot columns into class numbers by targets.argmax(0)"
        )
    if given != shape[1:]:
        raise ValueError(f"{wanted}, shape ({shape[1]},), got shape {given}")
    if not jnp.issubdtype(targets.dtype, jnp.integer) and targets.dtype != bool:
        raise ValueError(
            f"{wanted}, which are integers, got {targets.dtype}: "
            "turn them into integers, or take squared_error for a regression"
        )
    return shape[0]


def paired(name: str, outputs, targets) -> tuple:
    """Returns outputs and targets in one shape with the batch last; those of a single output as
    (batch,).

    Args:
      name: of the loss or metric, for the message.
      outputs: (..., batch).
      targets: of the same shape or, for outputs (1, batch), (batch,).

    Raises:
      ValueError: shapes that do not fit.
    """
    shape, given = jnp.shape(outputs), jnp.shape(targets)
    if len(shape) == 2 and shape[0] == 1 and given == shape[1:]:
        return in_float32(outputs)[0], targets
    if not shape or shape != given:
        raise ValueError(
            f"{name} takes targets of the outputs' shape, or (batch,) for one output, (1, batch), "
            f"got outputs {shape} and targets {given}"
        )
    return in_float32(outputs), targets


def one_output(name: str, outputs, targets) -> tuple:
    """Returns the output f and the target y, (batch,) each.

    Raises:
      ValueError: shapes that do not fit, more than one output.
    """
    f, y = paired(name, outputs, targets)
    if f.ndim == 1:
        return f, y
    if len(f) > 1:
        raise ValueError(f"{name} takes one output, (1, batch), got shape {f.shape}")
    return f[0], y[0]


def in_float32(outputs):
    """Returns outputs in float32, where they have fewer digits."""
    return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
