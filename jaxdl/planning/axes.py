"""From axes to programs: which hyper-parameters become lanes of one compiled shape, and why.

An axis is *traced* where the study traces with that hyper-parameter abstract (learning rate,
noise), *padded* where it traces with a `Padded` size (width, batch size, sequence length), else
*static*: one program per value. This is found by abstract evaluation, never from a list of names,
and then checked by numbers: a few steps planned and plain must give the same weights, metrics and
recorded values.
"""

import numbers
from typing import Any, NamedTuple

import jax

from jaxdl import train
from jaxdl.checks import integer
from jaxdl.planning.cost import Work, program_seconds
from jaxdl.planning.grouping import shape
from jaxdl.planning.program import REASONS, Axis, Program, concrete_recipe, value_of
from jaxdl.planning.show import plan_text
from jaxdl.planning.slow import slow_notes
from jaxdl.planning.spec import SETTINGS, Spec, check_read, settings_of
from jaxdl.planning.trial import disagreement, trial, work
from jaxdl.sampling import seed_key

SCHEDULES = ("steps", "eval_every", "sampling")
EXACT = 2**24  # integers below it are float32s


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
    # name -> higher is better, as the study's tasks declare
    metrics: dict[str, bool] = {}  # noqa: RUF012
    notes: tuple[str, ...] = ()  # what a reader should know before the run

    @property
    def lanes(self) -> int:
        """The number of lanes of the whole study."""
        return sum(len(program.configs) for program in self.programs) * self.seeds

    @property
    def seconds(self) -> float:
        """The time of the whole study with a cold cache: as measured, else estimated for 2 CPU
        cores."""
        counts = [len(program.configs) * self.seeds for program in self.programs]
        if self.measured:
            parts = zip(counts, self.measured, self.works, strict=True)
            return sum(
                count * found.lane_seconds + work.compile_seconds() for count, found, work in parts
            )
        return sum(_seconds(*each) for each in zip(self.programs, self.works, counts, strict=True))

    @property
    def bytes(self) -> int | None:
        """The memory of the largest program, where all have been measured and are known; else
        None."""
        return largest([measured.bytes for measured in self.measured])

    def __str__(self) -> str:
        return plan_text(self)


def largest(sizes: list[int | None]) -> int | None:
    """The largest size; None where there is none or one is not known."""
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


def _seconds(program: Program, work: Work, lanes: int) -> float:
    return program_seconds(work, lanes, program.schedule.steps, len(program.schedule.due()))


def make_plan(
    spec: Spec, lane_size: int | None = None, shapes: str = "auto", whole: bool = True
) -> Plan:
    """Sorts the axes of a study and groups its configs into programs.

    Args:
      spec: a declared study.
      lane_size: lanes vmapped together; from the size of a step's arrays where None.
      shapes: ``"auto"``, ``"pad"`` or ``"bucket"``.
      whole: whether these are all configs of the study, so that a name which nobody reads is a
        mistake.

    Raises:
      Exception: the user's own, from tracing the study, with a note that says at which config.
    """
    read: set[str] = set()
    metrics = check_values(spec)
    groups: dict[tuple, list[dict]] = {}
    for config in spec.configs:
        key = tuple(_frozen(value) for value in _always_static(spec, config, read).values())
        groups.setdefault(key, []).append(config)
    sorted_ = [
        found
        for configs in groups.values()
        for found in _classify(spec, configs, _candidates(spec, configs), {}, read)
    ]
    if whole:
        check_read(spec, read)
    check_targets(spec, [program for program, _ in sorted_])
    shaped = [found for program, full in sorted_ for found in shape(spec, program, full, shapes)]
    programs = tuple(
        p._replace(lane_size=lane_size or of_lane.lane_size()) for p, of_lane, _ in shaped
    )
    return Plan(
        programs=programs,
        works=tuple(of_lane for _, of_lane, _ in shaped),
        useful=tuple(useful for *_, useful in shaped),
        seeds=len(spec.seeds),
        metrics=metrics,
        notes=notes(spec, programs),
    )


def check_values(spec: Spec) -> dict[str, bool]:
    """Makes task, model and optimizer once with every swept value as given, for the checks that
    need concrete values.

    Returns:
      name -> whether higher is better, of all metrics of the study.
    """  # name -> higher is better, as the study's tasks declare
    metrics: dict[str, bool] = {}
    for config, label in _with_every_value(spec):
        try:
            mine = train.directions(concrete_recipe(spec, config).task)
        except Exception as failure:
            failure.add_note(f"with {label}")
            raise
        for name, higher in mine.items():
            if metrics.setdefault(name, higher) != higher:
                raise ValueError(
                    f"metric {name!r} must have one direction in all configs, got both, the other "
                    f"one with {label}"
                )
    return metrics


def _with_every_value(spec: Spec) -> list[tuple[dict, str]]:
    """Configs in which every swept value occurs, each with a word on the value it stands for."""
    if not spec.axes:
        return [(spec.configs[0], "the defaults")]
    chosen = []
    for name in spec.axes:
        for config in {_frozen(config[name]): config for config in reversed(spec.configs)}.values():
            chosen.append((config, f"{name}={config[name]!r}"))
    return chosen


def notes(spec: Spec, programs) -> tuple[str, ...]:
    """What a reader should know before the run, a line each."""
    lines = [line for program in programs for line in _notes_on(spec, program)]
    return tuple(dict.fromkeys(lines))


def _notes_on(spec: Spec, program: Program) -> list[str]:
    recipe = concrete_recipe(spec, program.configs[0])
    lines = []
    if not depends_on_key(recipe.model.init):
        lines.append(
            "initial weights do not depend on the seed: every lane starts from the same ones"
        )
    params, _ = jax.eval_shape(recipe.model.init, seed_key(0))
    if spec.eval_params is None and _keeps_averages(jax.eval_shape(recipe.optimizer.init, params)):
        lines.append(
            "the optimizer averages weights (schedule-free); those evaluated are not the averages: "
            "give eval_params"
        )
    return lines + slow_notes(spec, program, recipe.model)


def _keeps_averages(opt_state) -> bool:
    """Whether a schedule-free state is in an optimizer's."""

    def schedule_free(node) -> bool:
        return type(node).__name__ == "ScheduleFreeState"

    return any(map(schedule_free, jax.tree.leaves(opt_state, is_leaf=schedule_free)))


def depends_on_key(init) -> bool:
    """Whether some initial weight is computed from the key: one that is drawn by NumPy is the same
    in all lanes."""
    jaxpr = jax.make_jaxpr(lambda key: init(key)[0])(seed_key(0)).jaxpr
    tainted = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        if any(not hasattr(value, "val") and value in tainted for value in equation.invars):
            tainted.update(equation.outvars)
    return not jaxpr.outvars or any(
        not hasattr(value, "val") and value in tainted for value in jaxpr.outvars
    )


def check_targets(spec: Spec, programs: list[Program]):
    """Raises where shared targets lie beyond a model's outputs, or what a loss or metric is defined
    for."""
    for program in programs:
        sizes = program.names("padded")  # the number of outputs may be one of them
        for config in {
            tuple(value_of(spec, config, name) for name in sizes): config
            for config in program.configs
        }.values():
            task, model, *_ = concrete_recipe(spec, config)
            if not callable(task.data):
                train.check_shared_targets(task, model, task.data)


def _frozen(value):
    return (type(value).__name__, value)


def _always_static(spec: Spec, config: dict, read: set) -> dict:
    """The values that can only split programs: schedules, and whatever is no number."""
    values = {**config, **settings_of(spec, config, read)}
    return {
        name: value for name, value in values.items() if name in SCHEDULES or not _is_number(value)
    }


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _candidates(spec: Spec, configs: list[dict]) -> list[str]:
    """The names to try, in declared order: swept numbers, and settings that differ between
    configs."""
    settings = [settings_of(spec, config) for config in configs]
    derived = [
        name
        for name in SETTINGS
        if name not in spec.axes and len({each[name] for each in settings}) > 1
    ]
    derived = [name for name in derived if _is_number(settings[0][name])]
    swept = [name for name in spec.axes if _is_number(configs[0][name])]
    return [name for name in (*swept, *derived) if name not in SCHEDULES]


def _classify(
    spec: Spec, configs, candidates, accepted: dict[str, Axis], read: set
) -> list[tuple[Program, Work]]:
    """Goes through the axes in order, those accepted kept abstract; splits the configs at a static
    one.

    All candidates are tried as traced together first: where that succeeds, one trace is enough.

    Returns:
      the programs, each with the work of a lane.
    """
    if all(_is_exact(spec, configs, name) for name in candidates):
        program = _program(
            spec,
            configs,
            {**accepted, **dict.fromkeys(candidates, Axis("traced", REASONS["traced"]))},
        )
        found = trial(spec, program, read)
        if not isinstance(found, Exception):
            return _agreed(spec, program, found)
    found = ValueError()
    for position, name in enumerate(candidates):
        axis, found = _kind(spec, configs, accepted, name, read)
        if isinstance(found, Exception):
            alone = trial(spec, _program(spec, configs, accepted), read)
            if isinstance(alone, Exception):
                raise alone
            parts, later = _split(spec, configs, name), candidates[position + 1 :]
            return [
                part
                for members in parts
                for part in _classify(spec, members, later, {**accepted, name: axis}, read)
            ]
        accepted = {**accepted, name: axis}
    if isinstance(found, Exception):  # there was no candidate
        found = work(spec, _program(spec, configs, accepted))
    return _agreed(spec, _program(spec, configs, accepted), found)


def _kind(
    spec: Spec, configs, accepted: dict[str, Axis], name: str, read: set
) -> tuple[Axis, Work | Exception]:
    """Traced, else padded, else static, for one axis beside those accepted so far; and what its
    trial found."""
    failure: Exception = ValueError("integers from 16777216 up are no float32s")
    for axis in _ways(spec, configs, name):
        found = trial(spec, _program(spec, configs, {**accepted, name: axis}), read)
        if not isinstance(found, Exception):
            return axis, found
        failure = found
    return Axis("static", _reason(failure)), failure


def _is_exact(spec: Spec, configs, name: str) -> bool:
    """Whether all values of an axis keep their meaning as a lane's float32."""
    values = [value_of(spec, config, name) for config in configs]
    return all(not integer(value) or abs(value) < EXACT for value in values)


def _ways(spec: Spec, configs, name: str) -> list[Axis]:
    """The ways in which lanes may carry a number, the one that keeps its Python meaning best
    first."""
    values = [value_of(spec, config, name) for config in configs]
    whole = all(map(integer, values))
    ways = []
    if _is_exact(spec, configs, name):
        ways.append(Axis("traced", REASONS["traced"]))
        if whole:
            ways.append(Axis("traced", REASONS["index"], "int32"))
    if whole and min(values) >= 1:
        ways.append(Axis("padded", REASONS["padded"]))
    return ways


def _program(spec: Spec, configs, axes: dict[str, Axis]) -> Program:
    settings = settings_of(spec, configs[0])
    fixed = {
        name: Axis(
            "static", "it is no number" if name not in SCHEDULES else "a schedule is one program's"
        )
        for name in spec.axes
        if name not in axes
    }
    return Program(
        tuple(configs), {**fixed, **axes}, train.Schedule(settings["steps"], settings["eval_every"])
    )


def _split(spec: Spec, configs, name: str) -> list[list[dict]]:
    groups: dict[Any, list[dict]] = {}
    for config in configs:
        groups.setdefault(_frozen(value_of(spec, config, name)), []).append(config)
    return list(groups.values())


def _reason(failure: Exception) -> str:
    first = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {first[0][:100] if first else ''}"


def _agreed(spec: Spec, program: Program, found: Work) -> list[tuple[Program, Work]]:
    """The program if a few of its steps are those of plain runs; else with the axes that spoil them
    static."""
    abstract = program.names("traced", "padded")
    if not abstract or disagreement(spec, program, found.step_flops) <= 1:
        return [(program, found)]
    worst = {}
    for name in abstract:
        alone = {
            other: axis
            for other, axis in program.axes.items()
            if other == name or axis.kind == "static"
        }
        worst[name] = max(
            disagreement(spec, _program(spec, members, alone), found.step_flops)
            for members in _others_apart(spec, program, name)
        )
    name = max(worst, key=lambda name: worst[name])
    axis = Axis(
        "static", f"lanes differ from the plain run, {worst[name]:.2g} times what rounding explains"
    )
    rest = {other: axis for other, axis in program.axes.items() if other != name}
    parts = [
        _program(spec, members, {**rest, name: axis})
        for members in _split(spec, program.configs, name)
    ]
    return [pair for part in parts for pair in _agreed(spec, part, work(spec, part))]


def _others_apart(spec: Spec, program: Program, name: str) -> list[list[dict]]:
    """The program's configs in groups that differ in `name` alone; the largest group is enough."""
    groups: dict[tuple, list[dict]] = {}
    for config in program.configs:
        key = tuple(
            _frozen(value_of(spec, config, other))
            for other in program.names("traced", "padded")
            if other != name
        )
        groups.setdefault(key, []).append(config)
    return [max(groups.values(), key=len)]
