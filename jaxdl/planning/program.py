"""One compiled shape: which hyper-parameters its lanes carry, and the functions of one lane."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl import train
from jaxdl.checks import positive_int
from jaxdl.datasets import check_dataset
from jaxdl.lowering.rewriting import with_looped_convolutions
from jaxdl.parts import dataset_of, resolve
from jaxdl.planning.config import SETTINGS, Config, config_key
from jaxdl.planning.hp import Hyperparameters, at
from jaxdl.planning.spec import Parts
from jaxdl.sampling import stream, stream_roots
from jaxdl.types import Dataset, Padded, Task

REASONS = {
    "traced": "the study traces with it abstract",
    "index": "the study traces with it as an abstract integer",
    "padded": "the study traces with a padded size",
}


class Axis(NamedTuple):
    """How a hyper-parameter enters a program."""

    kind: str  # "traced", "padded" or "static"
    reason: str
    dtype: str = "float32"  # of a traced value; "int32" where the study needs an index or a count


class Program(NamedTuple):
    """One compiled shape and the configs that it trains."""

    configs: tuple[Config, ...]
    axes: dict[str, Axis]  # the swept names, and settings that differ between configs
    schedule: train.Schedule
    lane_size: int = 0

    def names(self, *kinds: str) -> list[str]:
        """The axes of these kinds."""
        return [name for name, axis in self.axes.items() if axis.kind in kinds]

    def trains(self, config: Config) -> bool:
        """Tells whether a config is among these; 1 and 1.0 and True are different values."""
        key = config_key(config.values)
        return any(config_key(each.values) == key for each in self.configs)


class LaneFunctions(NamedTuple):
    """A program's functions of one lane."""

    init: Callable  # (seed, hp, shared) -> (Lane, Dataset or None); seed as in `stream_roots`
    segment: Callable  # (lane, dataset, seed, hp, start, stop) -> Lane
    recipe: Callable  # (hp, lane, dataset) -> Recipe
    shared: Dataset | None  # the data set that all lanes share


def maxima(program: Program) -> dict[str, int]:
    """Returns the largest size of every padded axis: what arrays are shaped by."""
    largest = {}
    for name in program.names("padded"):
        largest[name] = max(config.value(name) for config in program.configs)
    return largest


def hp_columns(program: Program, configs: Sequence[Config]) -> dict[str, np.ndarray]:
    """Returns what lanes of these configs carry, one array a name, (lanes,).

    Sizes of padded axes are int32, traced values float32 or, where the study needs that, int32.
    """
    # A traced integer is a float32 if the study traces with that: as an int32 it would mean
    # something else than in Python, where ``10 ** -1`` is 0.1 and nothing overflows.
    columns = {}
    for name in program.names("traced", "padded"):
        axis = program.axes[name]
        dtype = np.int32 if axis.kind == "padded" else np.dtype(axis.dtype)
        columns[name] = np.asarray([config.value(name) for config in configs], dtype)
    return columns


def first_hp(program: Program, config: Config | None = None) -> dict[str, Any]:
    """Returns what a single lane of a config (the first one) carries: name -> scalar."""
    columns = hp_columns(program, [config or program.configs[0]])
    return {name: column[0] for name, column in columns.items()}


def concrete_recipe(parts: Parts, config: Config) -> train.Recipe:
    """Makes what a config trains with, nothing abstract."""
    with at(config.values):
        return _recipe(parts, config, {}, None)


def _recipe(parts: Parts, config: Config, hp: dict, read: set[str] | None) -> train.Recipe:
    """The recipe of a config, with the arrays or `Padded` of `hp` in place of its own values."""
    bound = Hyperparameters({**parts.names.readable(config.values), **hp}, read)
    settings = {name: hp.get(name, config.settings[name]) for name in SETTINGS}
    task = resolve("task", parts.task, bound)
    train.check_task(task, settings["sampling"], parts.record)
    train.check_accumulate(parts.accumulate, settings["batch_size"])
    model = resolve("model", parts.model, bound)
    return train.Recipe(
        task=task,
        model=with_looped_convolutions(model) if parts.rewrite_convolutions else model,
        optimizer=resolve("optimizer", parts.optimizer, bound),
        batch_size=settings["batch_size"],
        reduction=settings["reduction"],
        sampling=settings["sampling"],
        record=parts.record,
        eval_params=parts.eval_params,
        norm_bound=parts.norm_bound,
        eval_train_rows=parts.eval_train_rows,
        accumulate=parts.accumulate,
    )


def lane_functions(parts: Parts, program: Program, read: set[str] | None = None) -> LaneFunctions:
    """Makes the functions of one lane of a program; what it does not carry is constant in them.

    Args:
      read: is given the names of hyper-parameters that are read.
    """
    # What the program does not carry is the same in all its configs: the first one's values stand
    # for it. The task is made once with concrete values: data that lanes share must be no tracers.
    first = program.configs[0]
    with at(first.values):
        readable = parts.names.readable(first.values)
        concrete = resolve("task", parts.task, Hyperparameters(readable, read))
    largest = maxima(program)

    def recipe_of(hp: dict) -> train.Recipe:
        sizes = {name: Padded(hp[name], most) for name, most in largest.items()}
        return _recipe(parts, first, {**hp, **sizes}, read)

    @at(first.values)
    def init(seed, hp, shared):
        roots = stream_roots(seed)
        recipe = recipe_of(hp)
        dataset = _drawn(recipe.task, roots("data"))
        used = shared if dataset is None else dataset
        return train.init(recipe, roots("init"), used, program.schedule), dataset

    def recipe_at(hp, lane, dataset):
        return _sized(recipe_of(hp), lane, dataset)

    @at(first.values)
    def segment(lane, dataset, seed, hp, start, stop):
        recipe = recipe_at(hp, lane, dataset)
        roots = stream_roots(seed)
        keys = train.Streams(*(stream(roots(name), name) for name in train.Streams._fields))
        return train.segment(recipe, program.schedule, lane, dataset, keys, start, stop)

    shared = None if callable(concrete.data) else concrete.data
    return LaneFunctions(init, segment, recipe_at, shared)


def _drawn(task: Task, key) -> Dataset | None:
    """A lane's own data; None where all lanes share them."""
    if callable(task.data):
        return check_dataset(dataset_of(task.data(key)))
    # a data set that is computed from what a lane carries is the lane's own as well
    leaves = jax.tree.leaves(task.data)
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    return task.data if traced else None


def _sized(recipe: train.Recipe, lane: train.Lane, dataset: Dataset) -> train.Recipe:
    """The recipe with its batch size checked against the data; None becomes all rows."""
    n = dataset.train_targets.shape[-1]
    size = n if recipe.batch_size is None else recipe.batch_size
    if isinstance(size, jax.core.Tracer):
        raise TypeError("a batch size shapes the arrays")
    if isinstance(size, Padded):
        if jax.tree.leaves(lane.state):
            raise TypeError("the model has state, which would see the padding of a batch")
        positive_int("batch_size", size.max, most=n)
        return recipe
    train.check_accumulate(recipe.accumulate, positive_int("batch_size", size, most=n))
    return recipe._replace(batch_size=int(size))


def whole(functions: LaneFunctions, stop: int) -> Callable:
    """Makes ``(seed, hp, shared) -> Lane``: one lane from its start to step `stop`."""

    def run(seed, hp, shared):
        lane, dataset = functions.init(seed, hp, shared)
        return functions.segment(lane, shared if dataset is None else dataset, seed, hp, 0, stop)

    return run
