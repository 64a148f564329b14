"""jaxdl runs a deep-learning study - every seed, rate, batch size and width - as one compiled program."""

from jaxdl import models, tasks
from jaxdl.result import Result, load
from jaxdl.study import Study
from jaxdl.train import make_train

__all__ = ["Result", "Study", "load", "make_train", "models", "tasks"]
