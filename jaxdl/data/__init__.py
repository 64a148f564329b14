"""Data sets in pure JAX, drawn per lane from a key."""

from jaxdl.data.gaussians import bayes_accuracy, class_sizes, gaussians
from jaxdl.data.gaussians import check as check_gaussians
from jaxdl.data.moons import moons
from jaxdl.data.points import linear, xor

__all__ = ["bayes_accuracy", "check_gaussians", "class_sizes", "gaussians", "linear", "moons", "xor"]
