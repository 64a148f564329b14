"""From axes to programs: which hyper-parameters become lanes of one compiled shape, and why.

An axis is *traced* where the study traces with that hyper-parameter abstract (learning rate, noise), else
*static*: one program per value. It is found by abstract evaluation, never from a list of names.
"""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl import losses, train
from jaxdl.checks import integer, positive_int
from jaxdl.hp import Hyperparameters, Refused
from jaxdl.sampling import seed_key
from jaxdl.spec import SETTINGS, Spec, check_read, settings_of, values_of
from jaxdl.types import Dataset, Model, Task

CACHE_BYTES = 300_000  # that one step's widest array may fill, over all lanes of a chunk: measured best with 2 MB of L2 a core
ENCODED = {"reduction": ("mean", "sum")}  # settings that lanes may carry as the number of their value


class Axis(NamedTuple):
    """How a hyper-parameter enters a program."""

    kind: str  # "traced" or "static"
    reason: str


class Program(NamedTuple):
    """One compiled shape and the configs that it trains."""

    configs: tuple[dict, ...]  # as declared: values of the swept names
    axes: dict[str, Axis]  # the swept names, and settings that differ between configs
    schedule: train.Schedule
    lane_size: int = 0
    work: int = 0  # bytes of the arrays that a lane-step computes: a measure of its cost


class Plan(NamedTuple):
    """What will be traced and compiled, before anything runs."""

    programs: tuple[Program, ...]
    seeds: int

    @property
    def lanes(self) -> int:
        """The number of lanes of the whole study."""
        return sum(len(program.configs) for program in self.programs) * self.seeds

    def __str__(self) -> str:
        lines = [f"{self.lanes} lanes in {len(self.programs)} program{'s' * (len(self.programs) != 1)}"]
        for number, program in enumerate(self.programs):
            fixed = ", ".join(f"{name}={_shown(program, name)}" for name, axis in program.axes.items() if axis.kind == "static")
            traced = ", ".join(name for name, axis in program.axes.items() if axis.kind == "traced")
            lanes = len(program.configs) * self.seeds
            lines.append(
                f"  program {number}: {lanes} lanes, {program.lane_size} at a time"
                + f"; static: {fixed or 'nothing'}; traced: {traced or 'nothing'}"
            )
        for name, axis in dict(pair for program in self.programs for pair in program.axes.items()).items():
            lines.append(f"  {name}: {axis.kind}, {axis.reason}")
        return "\n".join(lines)


def _shown(program: Program, name: str):
    return program.configs[0].get(name, "by config")


class LaneFunctions(NamedTuple):
    """A program's functions of one lane."""

    init: Callable  # (seed, hp, shared) -> (Lane, Dataset or None)
    segment: Callable  # (lane, dataset, seed, hp, start, stop) -> Lane
    shared: Dataset | None  # the data set that all lanes share


def make_plan(spec: Spec, lane_size: int | None = None) -> Plan:
    """Sorts the axes of a study and groups its configs into programs.

    Args:
      spec: a declared study.
      lane_size: lanes vmapped together; from the size of a step's arrays where None.
    """
    read: set[str] = set()
    groups: dict[tuple, list[dict]] = {}
    for config in spec.configs:
        key = tuple(_frozen(value) for value in _always_static(spec, config, read).values())
        groups.setdefault(key, []).append(config)
    programs = [
        program for configs in groups.values() for program in _classify(spec, configs, _candidates(spec, configs), {}, read)
    ]
    check_read(spec, read)
    check_targets(spec, programs)
    if lane_size is not None:
        programs = [program._replace(lane_size=lane_size) for program in programs]
    return Plan(tuple(programs), len(spec.seeds))


def check_targets(spec: Spec, programs: list[Program]):
    """Raises where shared class numbers lie beyond a model's outputs."""
    for program in programs:
        recipe = concrete_recipe(spec, program.configs[0])
        data = recipe.task.data
        if callable(data) or recipe.task.loss is not losses.cross_entropy:
            continue
        params, state = jax.eval_shape(recipe.model.init, seed_key(0))
        outputs, _ = jax.eval_shape(recipe.model.apply, params, state, data.train_x)
        largest = max(int(np.max(targets)) for _, targets in train.splits(data).values())
        if largest >= outputs.shape[0]:
            raise ValueError(f"targets must be class numbers below the model's {outputs.shape[0]} outputs, got {largest}")


def _frozen(value):
    return (type(value).__name__, value)


def _always_static(spec: Spec, config: dict, read: set) -> dict:
    """The values that can only split programs: schedules, and whatever is no number."""
    values = {**config, **settings_of(spec, config, read)}
    return {
        name: value
        for name, value in values.items()
        if name in ("steps", "eval_every", "sampling") or (name not in ENCODED and not _number(value))
    }


def _number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _candidates(spec: Spec, configs: list[dict]) -> list[str]:
    """The names to try as traced, in declared order: swept numbers, and settings that differ between configs."""
    settings = [settings_of(spec, config) for config in configs]
    derived = [name for name in SETTINGS if name not in spec.axes and len({s[name] for s in settings}) > 1]
    numbers_ = [name for name in spec.axes if name in ENCODED or _number(configs[0][name])]
    return [name for name in (*numbers_, *derived) if name not in ("steps", "eval_every", "sampling")]


def _classify(spec: Spec, configs, candidates, accepted: dict[str, Axis], read: set) -> list[Program]:
    """Goes through the axes in order, those accepted kept abstract; splits the configs at a static one.

    All candidates are tried together first: mostly that succeeds, and one trace is enough.
    """
    traced = Axis("traced", "the study traces with it abstract")
    together = _trial(spec, _program(spec, configs, {**accepted, **dict.fromkeys(candidates, traced)}), read)
    if isinstance(together, Program):
        return [together]
    alone = _trial(spec, _program(spec, configs, accepted), read)
    if isinstance(alone, Exception):
        raise alone
    for position, name in enumerate(candidates):
        found = _trial(spec, _program(spec, configs, {**accepted, name: traced}), set())
        if isinstance(found, Exception):
            axes, later = {**accepted, name: Axis("static", _reason(found))}, candidates[position + 1 :]
            parts = _split(spec, configs, name)
            return [program for members in parts for program in _classify(spec, members, later, axes, read)]
        accepted = {**accepted, name: traced}
    raise together


def _program(spec: Spec, configs, axes: dict[str, Axis]) -> Program:
    settings = settings_of(spec, configs[0])
    fixed = {name: Axis("static", "no number") for name in spec.axes if name not in axes}
    return Program(tuple(configs), {**fixed, **axes}, train.Schedule(settings["steps"], settings["eval_every"]))


def _split(spec: Spec, configs, name: str) -> list[list[dict]]:
    groups: dict[Any, list[dict]] = {}
    for config in configs:
        groups.setdefault(_frozen({**settings_of(spec, config), **config}[name]), []).append(config)
    return list(groups.values())


def _reason(failure: Exception) -> str:
    first = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {first[0][:100] if first else ''}"


def _trial(spec: Spec, program: Program, read: set) -> Program | Exception:
    """The program with its work and lane_size, or the exception that tracing it raises."""
    try:
        functions = lane_functions(spec, program, read)
        hp = {name: column[0] for name, column in hp_columns(spec, program, program.configs[:1]).items()}
        jaxpr = jax.make_jaxpr(_whole(functions))(np.uint32(0), hp, functions.shared)
    except Exception as failure:  # whatever user code raises under a trace is an answer
        abstract = [name for name, axis in program.axes.items() if axis.kind == "traced"]
        failure.add_note(f"while tracing the study at {program.configs[0]} with {abstract or 'nothing'} abstract")
        return failure
    return _measured(program, jaxpr.jaxpr)


def _whole(functions: LaneFunctions) -> Callable:
    def whole(seed, hp, shared):
        lane, dataset = functions.init(seed, hp, shared)
        return functions.segment(lane, shared if dataset is None else dataset, seed, hp, 0, 2)

    return whole


def lowered_text(spec: Spec, program: Program) -> tuple[str, Dataset | None]:
    """The lowered program of a single lane, as text, and the data set that all lanes share."""
    functions = lane_functions(spec, program)
    hp = {name: column[0] for name, column in hp_columns(spec, program, program.configs[:1]).items()}
    return jax.jit(_whole(functions)).lower(np.uint32(0), hp, functions.shared).as_text(), functions.shared


def hp_columns(spec: Spec, program: Program, configs) -> dict[str, np.ndarray]:
    """The traced values of configs, one array a name: float32, or int32 where all values are integers."""
    names = [name for name, axis in program.axes.items() if axis.kind == "traced"]
    columns = {}
    for name in names:
        everywhere = [_value(spec, config, name) for config in program.configs]
        dtype = np.int32 if all(integer(value) for value in everywhere) else np.float32
        columns[name] = np.asarray([_value(spec, config, name) for config in configs], dtype)
    return columns


def _value(spec: Spec, config: dict, name: str):
    value = {**settings_of(spec, config), **config}[name] if name in SETTINGS else config[name]
    return ENCODED[name].index(value) if name in ENCODED else value


def concrete_recipe(spec: Spec, config: dict) -> train.Recipe:
    """What a config trains with, nothing abstract."""
    return _recipe(spec, values_of(spec, config), settings_of(spec, config), {}, None)


def _recipe(spec: Spec, values: dict, settings: dict, hp: dict, read: set | None) -> train.Recipe:
    """The recipe of a config's values, with those in `hp` (arrays, maybe abstract) in their place."""
    hidden = {name: Refused(name) for name in hp if name in ENCODED}
    bound = Hyperparameters({**values, **hp, **hidden}, read)
    chosen = {**settings, **{name: value for name, value in hp.items() if name in SETTINGS}}
    reduction = chosen["reduction"]
    return train.Recipe(
        task=_task(spec, bound),
        model=_resolve(spec.model, bound, Model),
        optimizer=_resolve(spec.optimizer, bound, tuple),
        batch_size=chosen["batch_size"],
        reduction=reduction if isinstance(reduction, str) else reduction == 1,
        sampling=chosen["sampling"],
        record=spec.record,
    )


def lane_functions(spec: Spec, program: Program, read: set | None = None) -> LaneFunctions:
    """The functions of one lane of a program; what it does not trace stands in them as constants."""
    first = program.configs[0]
    values, settings = values_of(spec, first), settings_of(spec, first, read)
    concrete = _task(spec, Hyperparameters(values, read))
    shared = None if callable(concrete.data) else concrete.data

    def recipe_of(hp: dict) -> train.Recipe:
        return _recipe(spec, values, settings, hp, read)

    def init(seed, hp, shared):
        key = seed_key(seed)
        recipe = recipe_of(hp)
        dataset = _drawn(recipe.task, key)
        return train.init(recipe, key, shared if dataset is None else dataset, program.schedule), dataset

    def segment(lane, dataset, seed, hp, start, stop):
        recipe = _sized(recipe_of(hp), dataset)
        return train.segment(recipe, program.schedule, lane, dataset, train.streams(seed_key(seed)), start, stop)

    return LaneFunctions(init, segment, shared)


def _resolve(thing, hp: Hyperparameters, kind: type):
    return thing if isinstance(thing, kind) or not callable(thing) else thing(hp)


def _task(spec: Spec, hp: Hyperparameters) -> Task:
    return _resolve(spec.task, hp, Task)


def _drawn(task: Task, key) -> Dataset | None:
    """A lane's own data; None where all lanes share them."""
    if callable(task.data):
        return task.data(key)
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(task.data))
    return task.data if traced else None


def _sized(recipe: train.Recipe, dataset: Dataset) -> train.Recipe:
    """The recipe with its batch size checked against the data; None becomes all rows."""
    n = dataset.train_targets.shape[-1]
    size = n if recipe.batch_size is None else recipe.batch_size
    if isinstance(size, jax.core.Tracer):
        raise TypeError("a batch size shapes the arrays")
    return recipe._replace(batch_size=positive_int("batch_size", size, most=n))


def _measured(program: Program, jaxpr) -> Program:
    """The program with its work and lane_size filled in, from the arrays that a step computes.

    lane_size is a power of two in 1..128 such that one step's widest array stays in a CPU core's cache.
    """
    arrays = list(_step_arrays(jaxpr))
    lane_size = int(2 ** np.clip(np.log2(CACHE_BYTES / max(arrays, default=1)) // 1, 0, 7))
    return program._replace(work=sum(arrays) + 1, lane_size=lane_size)


def _step_arrays(jaxpr, depth: int = 0):
    """Bytes of every array that the innermost loops (the steps) of a jaxpr compute."""
    for equation in jaxpr.eqns:
        inner = depth + (equation.primitive.name == "while")
        if depth >= 2:
            yield from (v.aval.size * 4 for v in equation.outvars if hasattr(v.aval, "size"))
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from _step_arrays(value.jaxpr, inner)
