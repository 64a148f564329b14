"""Sorts axes: which hyper-parameters become lanes of one compiled shape, which split it, and why.

An axis is *traced* where the study traces with that hyper-parameter abstract (learning rate,
noise), *padded* where it traces with a `Padded` size (width, batch size, sequence length), else
*static*: one program per value. This is found by abstract evaluation, never from a list of names,
and then checked by numbers: a few steps planned and plain must give the same weights, metrics and
recorded values.
"""

import numbers
import traceback
from collections.abc import Sequence

from jaxdl.checks import integer
from jaxdl.planning.config import SETTINGS, Config, value_key
from jaxdl.planning.cost import Work
from jaxdl.planning.program import REASONS, Axis, Program
from jaxdl.planning.spec import Parts
from jaxdl.planning.trial import disagreement, trial, work

SCHEDULES = ("steps", "eval_every", "sampling")
EXACT = 2**24  # integers below it are float32s

Axes = dict[str, Axis]
Worked = tuple[Program, Work]  # a program, and the work of one of its lanes


def sort_axes(parts: Parts, configs: Sequence[Config], read: set[str]) -> list[Worked]:
    """Sorts the axes of a sweep, and splits it into programs where one of them is static.

    Args:
      configs: of the sweep.
      read: is given the names of hyper-parameters that are read.

    Raises:
      Exception: the user's own, where the study does not trace with concrete values either.
    """
    # What is no number, and a schedule, can only split: so the axes are sorted once a combination
    # of those, each of which may be another model or optimizer.
    groups: dict[tuple, list[Config]] = {}
    for config in configs:
        groups.setdefault(_always_static(config), []).append(config)
    programs = []
    for members in groups.values():
        programs += _sorted(parts, members, _candidates(members), {}, read)
    return programs


def _always_static(config: Config) -> tuple:
    """The values that can only split programs: schedules, and whatever is no number."""
    values = {**config.values, **config.settings}
    splitting = []
    for name, value in values.items():
        if name in SCHEDULES or not _is_number(value):
            splitting.append(value_key(value))
    return tuple(splitting)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _candidates(configs: list[Config]) -> list[str]:
    """The names to try, in declared order: swept numbers, then settings that follow from them."""
    first = configs[0]
    names = list(first.values)
    for name in SETTINGS:
        settings = {config.settings[name] for config in configs}
        if name not in first.values and len(settings) > 1:
            names.append(name)
    return [name for name in names if name not in SCHEDULES and _is_number(first.value(name))]


def _sorted(
    parts: Parts,
    configs: list[Config],
    candidates: list[str],
    accepted: Axes,
    read: set[str],
) -> list[Worked]:
    """Sorts the candidates beside axes that are accepted."""
    # A trace costs a tenth of a second to seconds, and most axes are rates: so all are tried as
    # traced together first, and where that succeeds one trace was enough. Else axes interact (an
    # optimizer may branch on the width that a model pads): they are tried one by one in declared
    # order, those accepted before kept abstract; a static one splits the configs, and each part
    # goes on by itself with the axes that are left.
    together = _traced_together(parts, configs, candidates, accepted, read)
    if together is not None:
        return _agreed(parts, *together)
    of_lane: Work | None = None
    for position, name in enumerate(candidates):
        axis, answer = _kind(parts, configs, accepted, name, read)
        if isinstance(answer, Exception):
            _check_traces(parts, _program(configs, accepted), read)
            later, split = candidates[position + 1 :], {**accepted, name: axis}
            programs = []
            for members in _split(configs, name):
                programs += _sorted(parts, members, later, split, read)
            return programs
        accepted, of_lane = {**accepted, name: axis}, answer
    program = _program(configs, accepted)
    return _agreed(parts, program, of_lane or work(parts, program))


def _traced_together(
    parts: Parts,
    configs: list[Config],
    candidates: list[str],
    accepted: Axes,
    read: set[str],
) -> Worked | None:
    """The program in which all candidates are traced; None where that does not do."""
    if not all(_is_exact(configs, name) for name in candidates):
        return None
    traced = dict.fromkeys(candidates, Axis("traced", REASONS["traced"]))
    program = _program(configs, {**accepted, **traced})
    answer = trial(parts, program, read)
    return None if isinstance(answer, Exception) else (program, answer)


def _check_traces(parts: Parts, program: Program, read: set[str]):
    """Raises what the user's code raises, where no axis is to blame."""
    answer = trial(parts, program, read)
    if isinstance(answer, Exception):
        raise answer


def _kind(
    parts: Parts,
    configs: list[Config],
    accepted: Axes,
    name: str,
    read: set[str],
) -> tuple[Axis, Work | Exception]:
    """Traced, else padded, else static, for one axis beside those accepted; and its trial's answer,
    an exception where it is static."""
    failure: Exception = ValueError("integers from 16777216 up are no float32s")
    for axis in _ways(configs, name):
        answer = trial(parts, _program(configs, {**accepted, name: axis}), read)
        if not isinstance(answer, Exception):
            return axis, answer
        failure = answer
    return Axis("static", _reason(failure)), failure


def _reason(failure: Exception) -> str:
    lines = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {lines[0][:100] if lines else ''}{_remedy(failure)}"


def _remedy(failure: Exception) -> str:
    """What to write where a schedule of optax asks in Python what a value is."""
    frames = traceback.walk_tb(failure.__traceback__)
    names = [frame.f_code.co_name for frame, _ in frames if _is_schedule(frame)]
    if not names:
        return ""
    instead = "lambda count: hp.learning_rate * schedule(count), schedule from jaxdl.schedules"
    return f" optax's {names[-1]} branches on it in Python; {instead}, stays traced"


def _is_schedule(frame) -> bool:
    return frame.f_globals.get("__name__", "").startswith("optax.schedules")


def _ways(configs: list[Config], name: str) -> list[Axis]:
    """The ways in which lanes may carry a number, the one that keeps its Python meaning best
    first."""
    values = [config.value(name) for config in configs]
    whole = all(map(integer, values))
    ways = []
    if _is_exact(configs, name):
        ways.append(Axis("traced", REASONS["traced"]))
        if whole:
            ways.append(Axis("traced", REASONS["index"], "int32"))
    if whole and min(values) >= 1:
        ways.append(Axis("padded", REASONS["padded"]))
    return ways


def _is_exact(configs: list[Config], name: str) -> bool:
    """Whether all values of an axis keep their meaning as a lane's float32."""
    values = [config.value(name) for config in configs]
    return all(not integer(value) or abs(value) < EXACT for value in values)


def _program(configs: Sequence[Config], axes: Axes) -> Program:
    """The program of some configs, with the swept names that are not among `axes` static."""
    fixed = {}
    for name in configs[0].values:
        if name not in axes:
            reason = "a schedule is one program's" if name in SCHEDULES else "it is no number"
            fixed[name] = Axis("static", reason)
    return Program(tuple(configs), {**fixed, **axes}, configs[0].schedule)


def _split(configs: Sequence[Config], name: str) -> list[list[Config]]:
    """The configs in groups of one value of an axis."""
    groups: dict[tuple, list[Config]] = {}
    for config in configs:
        groups.setdefault(value_key(config.value(name)), []).append(config)
    return list(groups.values())


def _agreed(parts: Parts, program: Program, of_lane: Work) -> list[Worked]:
    """The program if a few of its steps are those of plain runs; else with an axis static, and so
    on."""
    # A program that disagrees is not given up: the axis whose lanes alone, all others static, are
    # farthest from plain runs becomes static, and the programs of its values are checked anew.
    abstract = program.names("traced", "padded")
    if not abstract or disagreement(parts, program, of_lane.step_flops) <= 1:
        return [(program, of_lane)]
    distances = {}
    for axis_name in abstract:
        distances[axis_name] = _alone(parts, program, axis_name, of_lane.step_flops)
    name = max(distances, key=lambda axis_name: distances[axis_name])
    reason = f"lanes differ from the plain run, {distances[name]:.2g} times what rounding explains"
    others = {other: axis for other, axis in program.axes.items() if other != name}
    programs = []
    for members in _split(program.configs, name):
        part = _program(members, {**others, name: Axis("static", reason)})
        programs += _agreed(parts, part, work(parts, part))
    return programs


def _alone(
    parts: Parts,
    program: Program,
    name: str,
    step_flops: float,
) -> float:
    """How far lanes that carry this axis alone are from plain runs, in units of what is allowed."""
    axes = {name: program.axes[name]}
    for other in program.names("static"):
        axes[other] = program.axes[other]
    configs = _differing_in(program, name)
    return disagreement(parts, _program(configs, axes), step_flops)


def _differing_in(program: Program, name: str) -> list[Config]:
    """The largest group of configs that differ, of what lanes carry, in `name` alone."""
    others = [other for other in program.names("traced", "padded") if other != name]
    groups: dict[tuple, list[Config]] = {}
    for config in program.configs:
        key = [value_key(config.value(other)) for other in others]
        groups.setdefault(tuple(key), []).append(config)
    return max(groups.values(), key=len)
