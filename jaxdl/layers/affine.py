"""Affine maps and the schemes that draw their weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, function_of, number_from_zero, one_of
from jaxdl.layers.units import keep
from jaxdl.lowering.own import own
from jaxdl.lowering.product import product
from jaxdl.sampling import rows
from jaxdl.types import Size, capacity, live, traced

NARROW = 4  # inputs or outputs of an affine map, up to which it has a form of its own


class Dense(NamedTuple):
    """Parameters of an affine map."""

    weight: Any  # (out, in)
    bias: Any  # (out,), or None


def fan(size: Size):
    """Turns a size into a float that formulas can use, traced where it is padded."""
    value = live(size)
    return float(value) if isinstance(value, int) else value.astype(jnp.float32)


def normal(std):
    """Initial scheme: weights N(0, std**2), biases zero. `std` may be traced."""
    if not traced(std):
        number_from_zero("std", std)

    # A key a row (see `rows`): a narrower layer draws the first rows and columns of a wider one, so
    # lanes of padded widths start as plain layers of their widths do.
    def scheme(key, outputs: Size, inputs: Size) -> Dense:
        shape = capacity(outputs), capacity(inputs)
        weight = std * rows(key, jax.random.normal, shape)
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
    """Draws weights and biases from U(-bound, bound)."""
    weight_key, bias_key = jax.random.split(key)
    bias = _symmetric(bias_key, outputs, 1)[:, 0]
    weight = _symmetric(weight_key, outputs, inputs)
    return Dense(bound * weight, bound * bias)


def _symmetric(key, outputs: Size, inputs: Size):
    """Draws a matrix from U(-1, 1)."""
    shape = capacity(outputs), capacity(inputs)
    return 2.0 * rows(key, jax.random.uniform, shape) - 1.0


INITS = {
    "he_normal": he_normal,
    "xavier_uniform": xavier_uniform,
    "torch": torch_default,
    "torch_rnn": torch_rnn,
}


def scheme_of(name: str, scheme):
    """Finds an initial scheme by name; ``(key, outputs, inputs) -> Dense`` is one itself.

    Args:
      name: of the argument, for the message.
    """
    if isinstance(scheme, str):
        return INITS[one_of(name, scheme, INITS)]
    wanted = "(key, outputs, inputs) -> Dense, or a name such as 'he_normal'"
    return function_of(name, scheme, wanted, None, None, None)


def is_own(scheme) -> bool:
    """Tells whether a scheme is one of ours, which read padded sizes."""
    return getattr(scheme, "__module__", None) == __name__


def init_dense(key, outputs: Size, inputs: Size, scheme, bias: bool = True) -> Dense:
    """Draws an affine map; the rows and columns beyond a padded size are exactly zero.

    Args:
      key: consumed.
      outputs, inputs: sizes, ints or `Padded`.
      scheme: ``(key, outputs, inputs) -> Dense``, or a name of `INITS`.
      bias: False leaves the bias out (None).
    """
    draw = scheme_of("scheme", scheme)
    weight, offset = drawn(draw(key, outputs, inputs), outputs, inputs)
    # Zeros beyond a padded size stay zero: no gradient reaches them. So the norm of the weights and
    # an optimizer's moments are those of the plain layer.
    weight = keep(weight, outputs, axis=0)
    weight = keep(weight, inputs, axis=1)
    return Dense(weight, keep(offset, outputs) if bias else None)


def drawn(layer, outputs: Size, inputs: Size) -> Dense:
    """Returns what a scheme gives, if it is a `Dense` of these sizes; the bias may be None.

    Raises:
      ValueError: it is something else.
    """
    shape = capacity(outputs), capacity(inputs)
    if _has_sizes(layer, shape):
        return Dense(*layer)
    wanted = f"a Dense, weight {shape} and bias {shape[:1]}"
    raise ValueError(f"init must be a scheme that returns {wanted}, got {brief(layer)}")


def _has_sizes(layer, shape: tuple[int, int]) -> bool:
    """Tells whether a layer is a pair of a weight of a shape and a bias of its rows, or None."""
    if not isinstance(layer, tuple) or len(layer) != 2:
        return False
    weight, bias = layer
    if jnp.shape(weight) != shape:
        return False
    return bias is None or jnp.shape(bias) == shape[:1]


def dense(params: Dense, x):
    """Computes W x + b.

    Args:
      params: weight (out, in), bias (out,) or None.
      x: (in, batch).

    Returns:
      (out, batch).

    >>> dense(Dense(jnp.array([[1.0, 2.0]]), jnp.array([0.5])), jnp.array([[1.0], [1.0]])).tolist()
    [[3.5]]
    """
    weight, bias = params
    if bias is not None and _is_narrow(weight, bias, x):
        return _narrow(weight, bias, x)
    outputs = product(weight, x)
    return outputs if bias is None else outputs + bias[:, None]


# On CPUs a product with two rows or columns costs as much as one with twenty, and most of all in
# the gradient of the weights. So a map with few inputs is a sum of broadcast columns, and gradients
# are products with vectors: a step of an MLP 2-20-2 was measured to take 0.5 to 0.7 of the time
# from batch 32 on. Of half precision a product alone sums in float32.
def _is_narrow(weight, bias, x) -> bool:
    """Tells whether an affine map of float32 has few inputs or few outputs, on a CPU."""
    is_float32 = all(jnp.result_type(array) == jnp.float32 for array in (weight, bias, x))
    is_matrix = jnp.ndim(x) == 2 and jnp.shape(weight)[1:] == jnp.shape(x)[:1]
    few = min(jnp.shape(weight)) <= NARROW
    return is_float32 and is_matrix and few and jax.default_backend() == "cpu"


@jax.custom_jvp
def _narrow(weight, bias, x):
    """Computes W x + b, (out, batch), of few inputs or few outputs."""
    inputs = weight.shape[1]
    if inputs > NARROW:
        return weight @ x + bias[:, None]
    outputs = jnp.broadcast_to(bias[:, None], (len(bias), x.shape[1]))
    for feature in range(inputs):
        outputs += weight[:, feature, None] * x[None, feature]
    return outputs


# The tangent is written for what it is transposed to, the gradient; nothing but its form differs
# from what JAX would derive, so that derivatives of every kind and order are there.
@_narrow.defjvp
def _narrow_tangent(primals, tangents):
    """Computes W x + b and dW x + W dx + db."""
    weight, bias, x = primals
    d_weight, d_bias, d_x = tangents
    outputs = _narrow(weight, bias, x)
    if len(bias) <= NARROW:
        # of each output a vector times a matrix: so are the gradients of a row of W and of x
        rows = [row @ x for row in d_weight]
        rows_of_x = [row @ d_x for row in weight]
        return outputs, jnp.stack(rows) + jnp.stack(rows_of_x) + d_bias[:, None]
    # of each input an outer product: the gradient of a column of W, or of b, is a matrix times a
    # vector; of each lane its own, or a lane's last bits would depend on its neighbours
    ones = own(jnp.ones(x.shape[1], x.dtype), bias)
    tangent = weight @ d_x + _outer(d_bias, ones)
    for feature, values in enumerate(x):
        tangent += _outer(d_weight[:, feature], values)
    return outputs, tangent


def _outer(column, row):
    """Computes the products of two vectors' elements, as a matrix product without a sum."""
    return jax.lax.dot_general(column, row, (((), ()), ((), ())))
