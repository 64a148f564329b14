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

from jaxdl import losses, train
from jaxdl.abstract import difference, trial, work
from jaxdl.checks import integer
from jaxdl.cost import Work, program_seconds
from jaxdl.program import ENCODED, REASONS, Axis, Program, concrete_recipe, value_of
from jaxdl.sampling import seed_key
from jaxdl.shapes import shape
from jaxdl.spec import SETTINGS, Spec, check_read, settings_of
from jaxdl.tables import plan_text

SCHEDULES = ("steps", "eval_every", "sampling")
CHECK_TOLERANCE = 1e-4


class Measured(NamedTuple):
    """What a compiled program takes on this machine."""

    bytes: int | None  # of memory at its peak; None where the backend does not say
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
        """The memory of the largest program, where all have been measured and are known; else None."""
        return largest([measured.bytes for measured in self.measured])

    def __str__(self) -> str:
        return plan_text(self)


def largest(sizes: list[int | None]) -> int | None:
    """The largest size; None where there is none or one is not known."""
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


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
    check_values(spec)
    groups: dict[tuple, list[dict]] = {}
    for config in spec.configs:
        key = tuple(_frozen(value) for value in _always_static(spec, config, read).values())
        groups.setdefault(key, []).append(config)
    sorted_ = [found for configs in groups.values() for found in _classify(spec, configs, _candidates(spec, configs), {}, read)]
    check_read(spec, read)
    check_targets(spec, [program for program, _ in sorted_])
    shaped = [found for program, full in sorted_ for found in shape(spec, program, full, shapes)]
    programs = tuple(p._replace(lane_size=lane_size or of_lane.lane_size()) for p, of_lane, _ in shaped)
    return Plan(programs, tuple(of_lane for _, of_lane, _ in shaped), tuple(useful for *_, useful in shaped), len(spec.seeds))


def check_values(spec: Spec):
    """Makes task, model and optimizer once with every swept value as given, for the checks that need concrete values."""
    for name in spec.axes:
        for config in {_frozen(config[name]): config for config in reversed(spec.configs)}.values():
            try:
                concrete_recipe(spec, config)
            except Exception as failure:
                failure.add_note(f"with {name}={config[name]!r}")
                raise


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


def _classify(spec: Spec, configs, candidates, accepted: dict[str, Axis], read: set) -> list[tuple[Program, Work]]:
    """Goes through the axes in order, those accepted kept abstract; splits the configs at a static one.

    All candidates are tried as traced together first: where that succeeds, one trace is enough.

    Returns:
      the programs, each with the work of a lane.
    """
    program = _program(spec, configs, {**accepted, **dict.fromkeys(candidates, Axis("traced", REASONS["traced"]))})
    found = trial(spec, program, read)
    if not isinstance(found, Exception):
        return _agreed(spec, program, found)
    for position, name in enumerate(candidates):
        axis, found = _kind(spec, configs, accepted, name, read)
        if isinstance(found, Exception):
            alone = trial(spec, _program(spec, configs, accepted), read)
            if isinstance(alone, Exception):
                raise alone
            parts, later = _split(spec, configs, name), candidates[position + 1 :]
            return [part for members in parts for part in _classify(spec, members, later, {**accepted, name: axis}, read)]
        accepted = {**accepted, name: axis}
    if isinstance(found, Exception):  # there was no candidate
        raise found
    return _agreed(spec, _program(spec, configs, accepted), found)


def _kind(spec: Spec, configs, accepted: dict[str, Axis], name: str, read: set) -> tuple[Axis, Work | Exception]:
    """Traced, else padded, else static, for one axis beside those accepted so far; and what its trial found."""
    kinds = ["traced"]
    if all(integer(value := value_of(spec, config, name)) and value >= 1 for config in configs):
        kinds.append("padded")
    failure = Exception()
    for kind in kinds:
        axis = Axis(kind, REASONS[kind])
        found = trial(spec, _program(spec, configs, {**accepted, name: axis}), read)
        if not isinstance(found, Exception):
            return axis, found
        failure = found
    return Axis("static", _reason(failure)), failure


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


def _agreed(spec: Spec, program: Program, found: Work) -> list[tuple[Program, Work]]:
    """The program if a few of its steps give the losses of plain runs; else with the axes that spoil them static."""
    abstract = program.names("traced", "padded")
    if not abstract or difference(spec, program) <= CHECK_TOLERANCE:
        return [(program, found)]
    worst = {}
    for name in abstract:
        alone = {other: axis for other, axis in program.axes.items() if other == name or axis.kind == "static"}
        worst[name] = max(difference(spec, _program(spec, members, alone)) for members in _others_apart(spec, program, name))
    name = max(worst, key=lambda name: worst[name])
    axis = Axis("static", f"its losses differ by {worst[name]:.1g} from those of the plain run")
    rest = {other: axis for other, axis in program.axes.items() if other != name}
    parts = [_program(spec, members, {**rest, name: axis}) for members in _split(spec, program.configs, name)]
    return [pair for part in parts for pair in _agreed(spec, part, work(spec, part))]


def _others_apart(spec: Spec, program: Program, name: str) -> list[list[dict]]:
    """The program's configs in groups that differ in `name` alone; the largest group is enough."""
    groups: dict[tuple, list[dict]] = {}
    for config in program.configs:
        key = tuple(_frozen(value_of(spec, config, other)) for other in program.names("traced", "padded") if other != name)
        groups.setdefault(key, []).append(config)
    return [max(groups.values(), key=len)]
