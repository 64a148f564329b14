"""Models as pairs of pure functions."""

from jaxdl.models.bfloat16 import in_bfloat16
from jaxdl.models.cnn import cnn
from jaxdl.models.from_equinox import from_equinox
from jaxdl.models.from_flax import from_flax
from jaxdl.models.mlp import mlp
from jaxdl.models.perceptron import perceptron
from jaxdl.models.resnet import resnet
from jaxdl.models.rnn import rnn

__all__ = ["cnn", "from_equinox", "from_flax", "in_bfloat16", "mlp", "perceptron", "resnet", "rnn"]
