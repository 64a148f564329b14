"""Any model, computed in bfloat16 while its weights stay float32."""

import functools

import jax
import jax.numpy as jnp

from jaxdl.checks import brief
from jaxdl.types import Model


def in_bfloat16(model: Model) -> Model:
    """Makes a model that computes in bfloat16, which has the range of a float32 and 8 bits of it.

    Weights and inputs are rounded where the model is applied, outputs come back as float32: so the
    loss, the gradients of the weights and the optimizer are as precise as ever. Integers stay what
    they are. State (the averages of batch norm) is neither rounded nor kept in fewer digits.

    It pays on a GPU or TPU with units for it; a CPU mostly gets slower.

    Args:
      model: whose arrays are computed in what its weights and inputs are.

    Raises:
      ValueError: no Model.
    """
    if not isinstance(model, Model):
        raise ValueError(f"model must be a Model, as models.mlp(2) is, got {brief(model)}")

    # wrapped: to the trainer it is a model of the module that it comes from
    @functools.wraps(model.apply)
    def apply(params, state, x, *, key=None, train=False):
        rounded, inputs = _cast((params, x), jnp.float32, jnp.bfloat16)
        outputs, after = model.apply(rounded, state, inputs, key=key, train=train)
        return _cast((outputs, after), jnp.bfloat16, jnp.float32)

    return Model(model.init, apply)


def _cast(tree, from_type, to_type):
    """The tree with its arrays of one type in another one."""

    def one(leaf):
        is_of_type = getattr(leaf, "dtype", None) == from_type
        return leaf.astype(to_type) if is_of_type else leaf

    return jax.tree.map(one, tree)
