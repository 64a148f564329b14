"""Layers as equations: an `init_*` that draws parameters and a pure function that applies them.

Inputs are batch-last, weights ``(out, in)``; sizes may be ints or `Padded`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, function_of, number_from_zero, one_of
from jaxdl.sampling import rows
from jaxdl.types import Size, capacity, live, mask, traced


class Dense(NamedTuple):
    """Parameters of an affine map."""

    weight: Any  # (out, in)
    bias: Any  # (out,), or None


def fan(size: Size):
    """A size as a float that formulas can use, traced where it is padded."""
    value = live(size)
    return float(value) if isinstance(value, int) else value.astype(jnp.float32)


def normal(std):
    """Initial scheme: weights N(0, std**2), biases zero. `std` may be traced."""
    if not traced(std):
        number_from_zero("std", std)

    def scheme(key, outputs: Size, inputs: Size) -> Dense:
        weight = std * rows(key, jax.random.normal, (capacity(outputs), capacity(inputs)))
        return Dense(weight, jnp.zeros(capacity(outputs)))

    return scheme


def he_normal(key, outputs: Size, inputs: Size) -> Dense:
    """Initial scheme: weights N(0, 2 / in), biases zero (He et al., 2015)."""
    return normal(jnp.sqrt(2.0 / fan(inputs)))(key, outputs, inputs)


def xavier_uniform(key, outputs: Size, inputs: Size) -> Dense:
    """Initial scheme: weights U(-a, a), a = sqrt(6 / (in + out)), biases zero (Glorot and Bengio,
    2010)."""
    bound = jnp.sqrt(6.0 / (fan(inputs) + fan(outputs)))
    return Dense(bound * _symmetric(key, outputs, inputs), jnp.zeros(capacity(outputs)))


def torch_default(key, outputs: Size, inputs: Size) -> Dense:
    """Initial scheme of `torch.nn.Linear`: weights and biases U(-a, a), a = 1 / sqrt(in)."""
    return _uniform(key, outputs, inputs, 1.0 / jnp.sqrt(fan(inputs)))


def torch_rnn(key, outputs: Size, inputs: Size) -> Dense:
    """Initial scheme of `torch.nn.RNN`, GRU and LSTM, gate by gate: weights and biases U(-a, a), a
    = 1 / sqrt(out)."""
    return _uniform(key, outputs, inputs, 1.0 / jnp.sqrt(fan(outputs)))


def _uniform(key, outputs: Size, inputs: Size, bound) -> Dense:
    weight_key, bias_key = jax.random.split(key)
    bias = _symmetric(bias_key, outputs, 1)[:, 0]
    return Dense(bound * _symmetric(weight_key, outputs, inputs), bound * bias)


def _symmetric(key, outputs: Size, inputs: Size):
    return 2.0 * rows(key, jax.random.uniform, (capacity(outputs), capacity(inputs))) - 1.0


INITS = {
    "he_normal": he_normal,
    "xavier_uniform": xavier_uniform,
    "torch": torch_default,
    "torch_rnn": torch_rnn,
}


def scheme_of(name: str, scheme):
    """The initial scheme of a name; a function ``(key, outputs, inputs) -> Dense`` is one itself.

    Args:
      name: of the argument, for the message.
    """
    if isinstance(scheme, str):
        return INITS[one_of(name, scheme, INITS)]
    wanted = "(key, outputs, inputs) -> Dense, or a name such as 'he_normal'"
    return function_of(name, scheme, wanted, None, None, None)


def init_dense(key, outputs: Size, inputs: Size, scheme, bias: bool = True) -> Dense:
    """Draws an affine map; the rows and columns beyond a padded size are exactly zero.

    Args:
      key: consumed.
      outputs, inputs: sizes, ints or `Padded`.
      scheme: ``(key, outputs, inputs) -> Dense``, or a name of `INITS`.
      bias: False leaves the bias out (None).
    """
    weight, offset = _drawn(scheme_of("scheme", scheme)(key, outputs, inputs), outputs, inputs)
    weight = keep(keep(weight, outputs, axis=0), inputs, axis=1)
    return Dense(weight, keep(offset, outputs) if bias else None)


def _drawn(found, outputs: Size, inputs: Size) -> Dense:
    """What a scheme gives, if it is a `Dense` of these sizes; the bias may be None."""
    shape = (capacity(outputs), capacity(inputs))
    pair = isinstance(found, tuple) and len(found) == 2
    if (
        pair
        and jnp.shape(found[0]) == shape
        and (found[1] is None or jnp.shape(found[1]) == shape[:1])
    ):
        return Dense(*found)
    wanted = f"a Dense, weight {shape} and bias {shape[:1]}"
    raise ValueError(f"init must be a scheme that returns {wanted}, got {brief(found)}")


def dense(params: Dense, x):
    """W x + b.

    Args:
      params: weight (out, in), bias (out,) or None.
      x: (in, batch).

    Returns:
      (out, batch).

    >>> dense(Dense(jnp.array([[1.0, 2.0]]), jnp.array([0.5])), jnp.array([[1.0], [1.0]])).tolist()
    [[3.5]]
    """
    outputs = params.weight @ x
    return outputs if params.bias is None else outputs + params.bias[:, None]


class Conv1d(NamedTuple):
    """Parameters of a 1-D convolution."""

    weight: Any  # (out, in, kernel)
    bias: Any  # (out,), or None


def init_conv1d(key, outputs: int, inputs: int, kernel: int, scheme, bias: bool = True) -> Conv1d:
    """Draws a 1-D convolution; its fan-in is ``inputs * kernel``, its fan-out ``outputs * kernel``.

    The scheme is asked for a matrix of these two sizes, whose first rows are kept: draws are
    prefix-stable.

    Args:
      key: consumed.
      outputs, inputs: channels.
      kernel: length of the window.
      scheme, bias: see `init_dense`.
    """
    weight, offset = init_dense(key, outputs * kernel, inputs * kernel, scheme, bias)
    return Conv1d(
        weight[:outputs].reshape(outputs, inputs, kernel),
        None if offset is None else offset[:outputs],
    )


def conv1d(params: Conv1d, x):
    """y[t] = sum over k of W[:, :, k] x[t + k], plus b: as `torch.nn.Conv1d`, without padding.

    The windows are shifted slices put side by side, so that one matrix product does it all.

    Args:
      params: weight (out, in, kernel), bias (out,) or None.
      x: (time, in, batch), with time >= kernel.

    Returns:
      (time - kernel + 1, out, batch).

    Raises:
      ValueError: the sequence is shorter than the kernel.

    >>> x = jnp.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    >>> conv1d(Conv1d(jnp.array([[[10.0, 1.0]]]), None), x)[:, 0, 0].tolist()
    [12.0, 24.0]
    """
    outputs, inputs, kernel = params.weight.shape
    length = x.shape[0] - kernel + 1
    if length < 1:
        raise ValueError(f"kernel must be at most the sequence's length {x.shape[0]}, got {kernel}")
    windows = jnp.concatenate(
        [x[place : place + length] for place in range(kernel)], axis=1
    )  # (length, kernel * in, batch)
    weight = jnp.moveaxis(params.weight, 2, 1).reshape(outputs, kernel * inputs)
    found = jnp.matmul(weight[None], windows)
    return found if params.bias is None else found + params.bias[None, :, None]


def keep(x, size: Size, axis: int = 0):
    """`x` with everything beyond a padded size along `axis` set to zero; `x` itself for an int."""
    alive = mask(size)
    if alive is None:
        return x
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    return jnp.where(alive.reshape(shape), x, 0)


def dropout(x, key, rate):
    """Sets units to zero with probability `rate` and scales the others by 1 / (1 - rate).

    One key per unit, so a wider layer drops the same places. Args: x (units, batch); rate in [0,
    1), may be traced.
    """
    kept = rows(key, jax.random.uniform, x.shape) >= rate
    return jnp.where(kept, x / (1.0 - rate), 0.0)


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
    """The activation that is called so; a function is one itself.

    Args:
      name: of the argument, for the message.
    """
    if isinstance(given, str):
        return ACTIVATIONS[one_of(name, given, ACTIVATIONS)]
    function_of(name, given, "f(x) of x's shape, or a name such as 'relu'", None)

    def checked(x):
        found = given(x)
        if getattr(found, "shape", None) != x.shape:
            raise ValueError(f"{name} must give x's shape {x.shape}, got {brief(found)}")
        return found

    return checked


def check_features(x, features: int, dimensions: int = 2):
    """Refuses inputs that a model does not take.

    Args:
      x: (..., features, batch).
      features: that the model takes.
      dimensions: that x must have: 2 for points, 3 for sequences.
    """
    layout = {2: "(features, batch)", 3: "(time, features, batch)"}[dimensions]
    if jnp.ndim(x) != dimensions:
        raise ValueError(f"x must be {layout} for this model, got {brief(x)}")
    if x.shape[-2] != features:
        given = f"data with {x.shape[-2]} (x of shape {x.shape}, {layout})"
        raise ValueError(f"model takes {features} features, got {given}")
