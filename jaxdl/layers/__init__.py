"""Layers as equations: an `init_*` that draws parameters and a pure function that applies them.

Inputs are batch-last, weights ``(out, in)``; sizes may be ints or `Padded`.
"""

from jaxdl.layers.activations import ACTIVATIONS, activation_of, identity
from jaxdl.layers.affine import (
    INITS,
    Dense,
    dense,
    fan,
    he_normal,
    init_dense,
    normal,
    scheme_of,
    torch_default,
    torch_rnn,
    xavier_uniform,
)
from jaxdl.layers.conv import Conv1d, Conv2d, conv1d, conv2d, init_conv1d, init_conv2d
from jaxdl.layers.norm import (
    Norm,
    Running,
    batch_norm,
    group_norm,
    init_batch_norm,
    init_norm,
    layer_norm,
)
from jaxdl.layers.pool import avg_pool, global_avg_pool, max_pool
from jaxdl.layers.shortcut import init_residual, residual
from jaxdl.layers.units import check_features, dropout, flatten, keep

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "Conv1d",
    "Conv2d",
    "Dense",
    "Norm",
    "Running",
    "activation_of",
    "avg_pool",
    "batch_norm",
    "check_features",
    "conv1d",
    "conv2d",
    "dense",
    "dropout",
    "fan",
    "flatten",
    "global_avg_pool",
    "group_norm",
    "he_normal",
    "identity",
    "init_batch_norm",
    "init_conv1d",
    "init_conv2d",
    "init_dense",
    "init_norm",
    "init_residual",
    "keep",
    "layer_norm",
    "max_pool",
    "normal",
    "residual",
    "scheme_of",
    "torch_default",
    "torch_rnn",
    "xavier_uniform",
]
