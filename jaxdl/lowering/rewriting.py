"""Puts convolutions that are fast in loops in the place of others, whatever library wrote them.

A CNN of Flax's `nn.Conv` in a loop on a CPU was measured to take 37 times the time of this
library's own: XLA picks a fast kernel only for what stands outside of loops.

A function is traced, and every `lax.conv_general_dilated` in its jaxpr, at any depth, becomes the
primitive of `looped`: nothing else of it changes, so derivatives, effects and types stay.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.core import eval_jaxpr

from jaxdl.lowering.looped import PLAIN, looped
from jaxdl.types import Model

# Equations whose jaxprs mean what they say, so that a part of them may be exchanged. Others (a
# kernel of Pallas, a linear solver with a transpose of its own) are left as they are.
OPEN = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "scan",
    "while",
    "cond",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vmap_call",
)
DTYPES = ("bfloat16", "float16", "float32", "float64", "complex64", "complex128")
PLAIN_VALUES = (np.ndarray, np.generic, bool, int, float, complex, str)


def with_looped_convolutions(model: Model) -> Model:
    """Makes the model with its convolutions rewritten wherever it is applied; our own have none."""
    home = str(getattr(model.apply, "__module__", ""))
    if home.startswith("jaxdl.models.") and not home.endswith((".from_flax", ".from_equinox")):
        return model
    return model._replace(apply=rewritten(model.apply))


def rewritten(function: Callable) -> Callable:
    """Makes a function that computes the same with convolutions that are fast in loops on CPU.

    On other backends, and where it has no convolution, the function itself is called. Derivatives
    of any order and kind, `vmap` and `jit` are those of the function, up to rounding.

    >>> import jax.numpy as jnp
    >>> smooth = rewritten(lambda x: jnp.convolve(x, jnp.ones(3) / 3, mode="same"))
    >>> smooth(jnp.array([3.0, 3.0, 6.0])).tolist()
    [2.0, 4.0, 3.0]
    """

    @functools.wraps(function)
    def called(*args, **kwargs):
        if jax.default_backend() != "cpu":
            return function(*args, **kwargs)
        outputs: dict[str, Any] = {}

        # A jaxpr has arrays alone as outputs. What else the function gives (a None, a string) is
        # kept beside it, in its place among the leaves. The arguments are closed over: so those
        # that are no arrays stay what they are, and tracers of an outer trace are its constants.
        def arrays():
            leaves, outputs["structure"] = jax.tree.flatten(function(*args, **kwargs))
            outputs["leaves"] = [None if _is_array(leaf) else leaf for leaf in leaves]
            return list(filter(_is_array, leaves))

        before = jax.make_jaxpr(arrays)()
        after = rewrite(before)
        others = [leaf for leaf in outputs["leaves"] if leaf is not None]
        # an object that hides arrays would take them out of a trace that has ended
        if after is before or not all(isinstance(leaf, PLAIN_VALUES) for leaf in others):
            return function(*args, **kwargs)
        values = iter(eval_jaxpr(after.jaxpr, after.consts))
        leaves = [next(values) if leaf is None else leaf for leaf in outputs["leaves"]]
        return jax.tree.unflatten(outputs["structure"], leaves)

    return called


def _is_array(leaf) -> bool:
    return isinstance(leaf, jax.Array)


def rewrite(jaxpr):
    """A jaxpr with its convolutions exchanged; the very same one where there is none."""
    inner = getattr(jaxpr, "jaxpr", jaxpr)  # a closed one holds it; since jax 0.12 all are one kind
    equations = list(map(_rewritten_equation, inner.eqns))
    if all(map(_is, equations, inner.eqns)):
        return jaxpr
    new = inner.replace(eqns=equations)
    return new if inner is jaxpr else jaxpr.replace(jaxpr=new)


def _is(new, old) -> bool:
    return new is old


def _rewritten_equation(equation):
    if equation.primitive is PLAIN:
        return equation.replace(primitive=looped) if can_loop(equation) else equation
    if equation.primitive.name not in OPEN:
        return equation
    before = equation.params
    after = {name: _rewritten_parameter(value) for name, value in before.items()}
    if all(map(_is, after.values(), before.values())):
        return equation
    if after.get("policy") is not None:
        after["policy"] = _policy_of_plain(after["policy"])
    return equation.replace(params=after)


def _rewritten_parameter(value):
    """A parameter of an equation, which may be a jaxpr or, of branches, a tuple of them."""
    if isinstance(value, tuple) and value and all(hasattr(part, "eqns") for part in value):
        parts = tuple(map(rewrite, value))
        return value if all(map(_is, parts, value)) else parts
    return rewrite(value) if hasattr(value, "eqns") else value


def _policy_of_plain(policy: Callable) -> Callable:
    """A policy of `jax.checkpoint` that takes our convolutions for the plain ones it knows."""

    @functools.wraps(policy)
    def known(primitive, *args, **params):
        return policy(PLAIN if primitive is looped else primitive, *args, **params)

    return known


def can_loop(equation) -> bool:
    """Whether a convolution has another form: not of integers, nor sharded by name, nor empty."""
    avals = [value.aval for value in (*equation.invars, *equation.outvars)]
    sizes = [size for aval in avals for size in aval.shape]
    known = all(isinstance(size, int) and size > 0 for size in sizes)
    types = all(aval.dtype.name in DTYPES for aval in avals)
    return known and types and equation.params.get("out_sharding") is None
