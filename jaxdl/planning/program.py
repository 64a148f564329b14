"""One compiled shape: which hyper-parameters its lanes carry, and the functions of a single
lane."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxdl import train
from jaxdl.checks import positive_int
from jaxdl.datasets import check_dataset
from jaxdl.parts import dataset_of, resolve
from jaxdl.planning.hp import Hyperparameters, at
from jaxdl.planning.spec import SETTINGS, Spec, settings_of, values_of
from jaxdl.sampling import seed_key
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

    configs: tuple[dict, ...]  # as declared: values of the swept names
    axes: dict[str, Axis]  # the swept names, and settings that differ between configs
    schedule: train.Schedule
    lane_size: int = 0

    def names(self, *kinds: str) -> list[str]:
        """The axes of these kinds."""
        return [name for name, axis in self.axes.items() if axis.kind in kinds]


class LaneFunctions(NamedTuple):
    """A program's functions of one lane."""

    init: Callable  # (seed, hp, shared) -> (Lane, Dataset or None)
    segment: Callable  # (lane, dataset, seed, hp, start, stop) -> Lane
    recipe: Callable  # (hp, lane, dataset) -> Recipe
    shared: Dataset | None  # the data set that all lanes share


def value_of(spec: Spec, config: dict, name: str):
    """A config's value of an axis, swept or a setting that is a function of hp."""
    return config[name] if name in config else settings_of(spec, config)[name]


def maxima(spec: Spec, program: Program) -> dict[str, int]:
    """The largest size of every padded axis: what arrays are shaped by."""
    return {
        name: max(value_of(spec, config, name) for config in program.configs)
        for name in program.names("padded")
    }


def hp_columns(spec: Spec, program: Program, configs) -> dict[str, np.ndarray]:
    """What lanes of these configs carry, one array a name: int32 sizes of padded axes, the values
    of traced ones.

    A traced integer is a float32, if the study traces with that: as an int32 it would mean
    something else than in Python, where ``10 ** -1`` is 0.1 and nothing overflows.
    """
    columns = {}
    for name in program.names("traced", "padded"):
        axis = program.axes[name]
        dtype = np.int32 if axis.kind == "padded" else np.dtype(axis.dtype)
        columns[name] = np.asarray([value_of(spec, config, name) for config in configs], dtype)
    return columns


def first_hp(spec: Spec, program: Program, config: dict | None = None) -> dict:
    """What a single lane of a config (the first one) carries."""
    columns = hp_columns(spec, program, [config or program.configs[0]])
    return {name: column[0] for name, column in columns.items()}


def concrete_recipe(spec: Spec, config: dict) -> train.Recipe:
    """What a config trains with, nothing abstract."""
    with at(config):
        return _recipe(spec, values_of(spec, config), settings_of(spec, config), {}, None)


def _recipe(spec: Spec, values: dict, settings: dict, hp: dict, read: set | None) -> train.Recipe:
    """The recipe of a config's values, with those in `hp` (arrays or `Padded`, maybe abstract) in
    their place."""
    bound = Hyperparameters({**values, **hp}, read)
    chosen = {**settings, **{name: value for name, value in hp.items() if name in SETTINGS}}
    task = resolve("task", spec.task, bound)
    train.check_task(task, chosen["sampling"], spec.record)
    return train.Recipe(
        task=task,
        model=resolve("model", spec.model, bound),
        optimizer=resolve("optimizer", spec.optimizer, bound),
        batch_size=chosen["batch_size"],
        reduction=chosen["reduction"],
        sampling=chosen["sampling"],
        record=spec.record,
        eval_params=spec.eval_params,
        norm_bound=spec.norm_bound,
        eval_train_rows=spec.eval_train_rows,
    )


def lane_functions(spec: Spec, program: Program, read: set | None = None) -> LaneFunctions:
    """The functions of one lane of a program; what it does not carry stands in them as
    constants."""
    first = program.configs[0]
    values, settings = values_of(spec, first), settings_of(spec, first, read)
    with at(first):
        concrete = resolve("task", spec.task, Hyperparameters(values, read))
    largest = maxima(spec, program)

    def recipe_of(hp: dict) -> train.Recipe:
        sizes = {name: Padded(hp[name], most) for name, most in largest.items()}
        return _recipe(spec, values, settings, {**hp, **sizes}, read)

    @at(first)
    def init(seed, hp, shared):
        key = seed_key(seed)
        recipe = recipe_of(hp)
        dataset = _drawn(recipe.task, key)
        return train.init(
            recipe, key, shared if dataset is None else dataset, program.schedule
        ), dataset

    def recipe_at(hp, lane, dataset):
        return _sized(recipe_of(hp), lane, dataset)

    @at(first)
    def segment(lane, dataset, seed, hp, start, stop):
        recipe = recipe_at(hp, lane, dataset)
        return train.segment(
            recipe, program.schedule, lane, dataset, train.streams(seed_key(seed)), start, stop
        )

    return LaneFunctions(
        init, segment, recipe_at, None if callable(concrete.data) else concrete.data
    )


def _drawn(task: Task, key) -> Dataset | None:
    """A lane's own data; None where all lanes share them."""
    if callable(task.data):
        return check_dataset(dataset_of(task.data(key)))
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(task.data))
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
    return recipe._replace(batch_size=positive_int("batch_size", size, most=n))


def whole(functions: LaneFunctions, stop: int) -> Callable:
    """``(seed, hp, shared) -> Lane``: one lane from its start to step `stop`."""

    def run(seed, hp, shared):
        lane, dataset = functions.init(seed, hp, shared)
        return functions.segment(lane, shared if dataset is None else dataset, seed, hp, 0, stop)

    return run
