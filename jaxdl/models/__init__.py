"""Models as pairs of pure functions."""

from jaxdl.models.cnn import cnn
from jaxdl.models.from_flax import from_flax
from jaxdl.models.mlp import mlp
from jaxdl.models.perceptron import perceptron
from jaxdl.models.rnn import rnn

__all__ = ["cnn", "from_flax", "mlp", "perceptron", "rnn"]
