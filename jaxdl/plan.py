"""From axes to programs: which hyper-parameters become lanes of one compiled shape, and why.

An axis is *traced* where the study traces with that hyper-parameter abstract (learning rate, noise), *padded*
where it traces with a `Padded` size (width, batch size, sequence length), else *static*: one program per
value. This is found by abstract evaluation, never from a list of names, and then checked by numbers: a
few steps planned and plain must give the same losses.
"""

import numbers
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl import cost, losses, train
from jaxdl.checks import integer
from jaxdl.cost import Scaling, Work, program_seconds, work_of
from jaxdl.program import ENCODED, Axis, Program, concrete_recipe, first_hp, lane_functions, maxima, value_of, whole
from jaxdl.sampling import seed_key
from jaxdl.spec import SETTINGS, Spec, check_read, settings_of
from jaxdl.tables import plan_text

SCHEDULES = ("steps", "eval_every", "sampling")
CHECK_STEPS = 3
CHECK_TOLERANCE = 1e-4
REASONS = {"traced": "the study traces with it abstract", "padded": "the study traces with a padded size"}


class Measured(NamedTuple):
    """What a compiled program takes on this machine."""

    bytes: int  # of memory at its peak
    lane_seconds: float


class Plan(NamedTuple):
    """What will be traced, padded and compiled, before anything runs."""

    programs: tuple[Program, ...]
    works: tuple[Work, ...]  # of one lane of each program
    useful: tuple[float, ...]  # share of each program's work that is not padding
    seeds: int
    measured: tuple[Measured, ...] = ()  # of each program, where asked for

    @property
    def lanes(self) -> int:
        """The number of lanes of the whole study."""
        return sum(len(program.configs) for program in self.programs) * self.seeds

    @property
    def seconds(self) -> float:
        """The time of the whole study with a cold cache: as measured, else estimated for 2 CPU cores."""
        counts = [len(program.configs) * self.seeds for program in self.programs]
        if self.measured:
            parts = zip(counts, self.measured, self.works, strict=True)
            return sum(count * found.lane_seconds + work.compile_seconds() for count, found, work in parts)
        return sum(_seconds(*each) for each in zip(self.programs, self.works, counts, strict=True))

    @property
    def bytes(self) -> int | None:
        """The memory of the largest program, where measured."""
        return max((found.bytes for found in self.measured), default=None)

    def __str__(self) -> str:
        return plan_text(self)


def _seconds(program: Program, work: Work, lanes: int) -> float:
    return program_seconds(work, lanes, program.schedule.steps, len(program.schedule.due()))


def make_plan(spec: Spec, lane_size: int | None = None, shapes: str = "auto") -> Plan:
    """Sorts the axes of a study and groups its configs into programs.

    Args:
      spec: a declared study.
      lane_size: lanes vmapped together; from the size of a step's arrays where None.
      shapes: ``"auto"``, ``"pad"`` or ``"bucket"``.

    Raises:
      Exception: the user's own, from tracing the study, with a note that says at which config.
    """
    read: set[str] = set()
    groups: dict[tuple, list[dict]] = {}
    for config in spec.configs:
        key = tuple(_frozen(value) for value in _always_static(spec, config, read).values())
        groups.setdefault(key, []).append(config)
    sorted_ = [
        program for configs in groups.values() for program in _classify(spec, configs, _candidates(spec, configs), {}, read)
    ]
    check_read(spec, read)
    check_targets(spec, sorted_)
    shaped = [found for program in sorted_ for found in _shape(spec, program, shapes)]
    programs = tuple(p._replace(lane_size=lane_size or work.lane_size()) for p, work, _ in shaped)
    return Plan(programs, tuple(work for _, work, _ in shaped), tuple(useful for *_, useful in shaped), len(spec.seeds))


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
    return {name: value for name, value in values.items() if name in SCHEDULES or (name not in ENCODED and not _is_number(value))}


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _candidates(spec: Spec, configs: list[dict]) -> list[str]:
    """The names to try, in declared order: swept numbers, and settings that differ between configs."""
    settings = [settings_of(spec, config) for config in configs]
    derived = [name for name in SETTINGS if name not in spec.axes and len({s[name] for s in settings}) > 1]
    swept = [name for name in spec.axes if name in ENCODED or _is_number(configs[0][name])]
    return [name for name in (*swept, *derived) if name not in SCHEDULES]


def _classify(spec: Spec, configs, candidates, accepted: dict[str, Axis], read: set) -> list[Program]:
    """Goes through the axes in order, those accepted kept abstract; splits the configs at a static one.

    All candidates are tried as traced together first: where that succeeds, one trace is enough.
    """
    together = _program(spec, configs, {**accepted, **dict.fromkeys(candidates, Axis("traced", REASONS["traced"]))})
    if not isinstance(_trial(spec, together, read), Exception):
        return _agreed(spec, together)
    alone = _trial(spec, _program(spec, configs, accepted), read)
    if isinstance(alone, Exception):
        raise alone
    for position, name in enumerate(candidates):
        axis = _kind(spec, configs, accepted, name)
        accepted = {**accepted, name: axis}
        if axis.kind == "static":
            parts, later = _split(spec, configs, name), candidates[position + 1 :]
            return [program for members in parts for program in _classify(spec, members, later, accepted, read)]
    return _agreed(spec, _program(spec, configs, accepted))


def _kind(spec: Spec, configs, accepted: dict[str, Axis], name: str) -> Axis:
    """Traced, else padded, else static, for one axis beside those accepted so far."""
    kinds = ["traced"]
    if all(integer(value := value_of(spec, config, name)) and value >= 1 for config in configs):
        kinds.append("padded")
    reason = ""
    for kind in kinds:
        axis = Axis(kind, REASONS[kind])
        found = _trial(spec, _program(spec, configs, {**accepted, name: axis}), set())
        if not isinstance(found, Exception):
            return axis
        reason = _reason(found)
    return Axis("static", reason)


def _program(spec: Spec, configs, axes: dict[str, Axis]) -> Program:
    settings = settings_of(spec, configs[0])
    fixed = {
        name: Axis("static", "it is no number" if name not in SCHEDULES else "a schedule is one program's")
        for name in spec.axes
        if name not in axes
    }
    return Program(tuple(configs), {**fixed, **axes}, train.Schedule(settings["steps"], settings["eval_every"]))


def _split(spec: Spec, configs, name: str) -> list[list[dict]]:
    groups: dict[Any, list[dict]] = {}
    for config in configs:
        groups.setdefault(_frozen(value_of(spec, config, name)), []).append(config)
    return list(groups.values())


def _reason(failure: Exception) -> str:
    first = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {first[0][:100] if first else ''}"


def _trial(spec: Spec, program: Program, read: set) -> Work | Exception:
    """The work of a lane of the program, or the exception that tracing it raises."""
    try:
        functions = lane_functions(spec, program, read)
        jaxpr = jax.make_jaxpr(whole(functions, 2))(np.uint32(0), first_hp(spec, program), functions.shared)
    except Exception as failure:  # whatever user code raises under a trace is an answer
        abstract = ", ".join(program.names("traced", "padded")) or "nothing"
        failure.add_note(f"while tracing the study at {program.configs[0]} with {abstract} abstract")
        return failure
    return work_of(jaxpr.jaxpr)


def _agreed(spec: Spec, program: Program) -> list[Program]:
    """The program if a few of its steps give the losses of plain runs; else with the axes that spoil them static."""
    abstract = program.names("traced", "padded")
    if not abstract or difference(spec, program) <= CHECK_TOLERANCE:
        return [program]
    worst = {}
    for name in abstract:
        alone = {other: axis for other, axis in program.axes.items() if other == name or axis.kind == "static"}
        worst[name] = max(difference(spec, _program(spec, members, alone)) for members in _others_apart(spec, program, name))
    name = max(worst, key=lambda name: worst[name])
    axis = Axis("static", f"its losses differ by {worst[name]:.1g} from those of the plain run")
    rest = {other: axis for other, axis in program.axes.items() if other != name}
    parts = _split(spec, program.configs, name)
    return [found for members in parts for found in _agreed(spec, _program(spec, members, {**rest, name: axis}))]


def _others_apart(spec: Spec, program: Program, name: str) -> list[list[dict]]:
    """The program's configs in groups that differ in `name` alone; the largest group is enough."""
    groups: dict[tuple, list[dict]] = {}
    for config in program.configs:
        key = tuple(_frozen(value_of(spec, config, other)) for other in program.names("traced", "padded") if other != name)
        groups.setdefault(key, []).append(config)
    return [max(groups.values(), key=len)]


def difference(spec: Spec, program: Program) -> float:
    """How far the losses of a few steps are from those of plain runs, relative, over the configs that tell most."""
    short = program._replace(schedule=train.Schedule(CHECK_STEPS, 1))
    return max(_difference(spec, short, config) for config in _probes(spec, program))


def _probes(spec: Spec, program: Program) -> list[dict]:
    """One config for every combination of number types, with sizes as small as they come."""
    padded, traced = program.names("padded"), program.names("traced")
    found: dict[tuple, dict] = {}
    for config in sorted(program.configs, key=lambda config: [value_of(spec, config, name) for name in padded], reverse=True):
        found[tuple(type(value_of(spec, config, name)) for name in traced)] = config
    return list(found.values())[:4]


def _difference(spec: Spec, program: Program, config: dict) -> float:
    plain = program._replace(configs=(config,), axes=dict.fromkeys(program.axes, Axis("static", "")))
    planned, alone = lane_functions(spec, program), lane_functions(spec, plain)

    def both(seed, hp, shared):
        return whole(planned, CHECK_STEPS + 1)(seed, hp, shared).history, whole(alone, CHECK_STEPS + 1)(seed, {}, shared).history

    lowered = jax.jit(both).lower(np.uint32(0), first_hp(spec, program, config), planned.shared)
    quick: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # it runs three steps: compiling is all its time
    compiled = lowered.compile(compiler_options=quick if jax.default_backend() == "cpu" else None)
    ours, theirs = jax.device_get(compiled(np.uint32(0), first_hp(spec, program, config), planned.shared))
    return max(_relative(ours[name], theirs[name]) for name in ours if name.endswith("loss") or name == "batch_loss_mean")


def _relative(ours, theirs) -> float:
    """The largest difference relative to the larger of the value and 1e-3; infinite where only one is finite."""
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return np.inf
    finite = np.isfinite(ours)
    gaps = np.abs(ours[finite] - theirs[finite]) / np.maximum(np.abs(theirs[finite]), 1e-3)
    return float(gaps.max(initial=0.0))


def _shape(spec: Spec, program: Program, shapes: str) -> list[tuple[Program, Work, float]]:
    """The programs that a program with padded axes becomes, each with its work and the share that is not padding."""
    padded = program.names("padded")
    if not padded:
        return [(program, _work(spec, program), 1.0)]
    members: list[dict] = [
        {"config": config, **{name: value_of(spec, config, name) for name in padded}} for config in program.configs
    ]
    full = _work(spec, program)
    scalings = {name: _scaling(spec, program, full, name) for name in padded}
    whole_sizes = maxima(spec, program)
    lanes_each, due = len(spec.seeds), len(program.schedule.due())

    def estimate(group) -> Work:
        sizes = {name: max(member[name] for member in group) for name in padded}
        return cost.scaled(full, scalings, {name: size for name, size in sizes.items() if size != whole_sizes[name]})

    def price(group: list[dict]) -> float:
        if shapes != "auto":
            return 0.0 if shapes == "pad" and len(group) == len(members) else float(len(group) ** 2)
        return program_seconds(estimate(group), len(group) * lanes_each, program.schedule.steps, due)

    _, groups = cost.cheapest_partition(members, padded, price)
    return [_grouped(spec, program, group, estimate) for group in groups]


def _grouped(spec: Spec, program: Program, group: list[dict], estimate) -> tuple[Program, Work, float]:
    """One group of sizes as a program; an axis with a single size in it needs no padding."""
    axes = dict(program.axes)
    for name in program.names("padded"):
        if len({member[name] for member in group}) == 1:
            axes[name] = Axis("static", f"{REASONS['padded']}; here it is alone in its group")
    made = program._replace(configs=tuple(member["config"] for member in group), axes=axes)
    work = _work(spec, made)
    needed = [estimate([member]).seconds(1, 0) for member in group]
    return made, work, min(1.0, float(np.mean(needed)) / max(needed))


def _work(spec: Spec, program: Program) -> Work:
    found = _trial(spec, program, set())
    if isinstance(found, Exception):
        raise found
    return found


def _scaling(spec: Spec, program: Program, full: Work, name: str) -> Scaling:
    """Work at the smallest, a middle and the largest size of one padded axis, the others at their largest."""
    sizes = sorted({value_of(spec, config, name) for config in program.configs})
    chosen = (sizes[0], sizes[len(sizes) // 2], sizes[-1])
    works = [full if size == sizes[-1] else _work_at(spec, program, name, size) for size in chosen]
    return Scaling(chosen, (works[0], works[1], works[2]))


def _work_at(spec: Spec, program: Program, name: str, size: int) -> Work:
    fitting = [config for config in program.configs if value_of(spec, config, name) <= size]
    return _work(spec, program._replace(configs=tuple(fitting)))
