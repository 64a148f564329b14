"""Models as pairs of pure functions."""

from jaxdl.models.from_flax import from_flax
from jaxdl.models.mlp import mlp
from jaxdl.models.perceptron import perceptron

__all__ = ["from_flax", "mlp", "perceptron"]
