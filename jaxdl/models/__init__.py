"""Models as pairs of pure functions."""

from jaxdl.models.conv1d import conv1d
from jaxdl.models.from_flax import from_flax
from jaxdl.models.mlp import mlp
from jaxdl.models.perceptron import perceptron
from jaxdl.models.rnn import rnn

__all__ = ["conv1d", "from_flax", "mlp", "perceptron", "rnn"]
