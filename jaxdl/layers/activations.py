"""Activations by name."""

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, function_of, one_of


def identity(x):
    """x."""
    return x


ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "identity": identity,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}


def activation_of(name: str, given):
    """Finds the activation that is called so; a function is one itself.

    Args:
      name: of the argument, for the message.
    """
    if isinstance(given, str):
        return ACTIVATIONS[one_of(name, given, ACTIVATIONS)]
    function_of(name, given, "f(x) of x's shape, or a name such as 'relu'", None)

    # The shape is looked at where the function is applied, not here: a function of the user's may
    # be anything, and is not to be called for a look alone.
    def checked(x):
        activated = given(x)
        if getattr(activated, "shape", None) != x.shape:
            raise ValueError(f"{name} must give x's shape {x.shape}, got {brief(activated)}")
        return activated

    return checked
