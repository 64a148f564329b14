"""Models as pairs of pure functions."""

from jaxdl.models.mlp import mlp

__all__ = ["mlp"]
