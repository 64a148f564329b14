"""Models as pairs of pure functions."""

from jaxdl.models.mlp import mlp
from jaxdl.models.perceptron import perceptron

__all__ = ["mlp", "perceptron"]
