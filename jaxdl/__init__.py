"""jaxdl runs a deep-learning study - every seed, rate, batch size and width - as one compiled program."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdl import losses, models, stats, tasks, testing
    from jaxdl.result import Result, load
    from jaxdl.study import Study
    from jaxdl.train import make_train
    from jaxdl.types import Metric

__all__ = ["Metric", "Result", "Study", "load", "losses", "make_train", "models", "stats", "tasks", "testing"]

HOMES = {"Metric": "types", "Result": "result", "Study": "study", "load": "result", "make_train": "train"}


def __getattr__(name: str) -> Any:
    """Imports a public name where it is first used, so that ``jaxdl --help`` needs no jax."""
    if name not in __all__:
        raise AttributeError(f"module 'jaxdl' has no attribute {name!r}")
    home = importlib.import_module(f"jaxdl.{HOMES.get(name, name)}")
    return globals().setdefault(name, getattr(home, name) if name in HOMES else home)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
