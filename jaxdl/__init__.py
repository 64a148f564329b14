"""jaxdl runs a deep-learning study - every seed, rate, batch size and width - as one compiled
program."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdl import augment, data, losses, metrics, models, schedules, tasks, testing
    from jaxdl.planning.draws import draw, log_uniform, uniform
    from jaxdl.planning.seeds import Seeds
    from jaxdl.reporting import plots, stats, tables
    from jaxdl.result import Result, load
    from jaxdl.running.narrow import Narrow
    from jaxdl.study import Study
    from jaxdl.train import make_train
    from jaxdl.types import Metric, SplitMetric

__version__ = "0.1.0"

__all__ = [
    "Metric",
    "Narrow",
    "Result",
    "Seeds",
    "SplitMetric",
    "Study",
    "augment",
    "data",
    "draw",
    "load",
    "log_uniform",
    "losses",
    "make_train",
    "metrics",
    "models",
    "plots",
    "schedules",
    "stats",
    "tables",
    "tasks",
    "testing",
    "uniform",
]

# Where a public name is defined, if not in the module of its own name.
HOMES = {
    "Metric": "types",
    "Narrow": "running.narrow",
    "Result": "result",
    "Seeds": "planning.seeds",
    "SplitMetric": "types",
    "Study": "study",
    "draw": "planning.draws",
    "load": "result",
    "log_uniform": "planning.draws",
    "make_train": "train",
    "plots": "reporting.plots",
    "stats": "reporting.stats",
    "tables": "reporting.tables",
    "uniform": "planning.draws",
}


def __getattr__(name: str) -> Any:
    """Imports a public name where it is first used, so that ``jaxdl --help`` needs no jax."""
    if name not in __all__:
        raise AttributeError(f"module 'jaxdl' has no attribute {name!r}")
    home = importlib.import_module(f"jaxdl.{HOMES[name]}" if name in HOMES else f"jaxdl.{name}")
    is_module = name not in HOMES or HOMES[name].endswith(f".{name}")
    return globals().setdefault(name, home if is_module else getattr(home, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
