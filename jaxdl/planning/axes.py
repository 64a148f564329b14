"""From a study to its plan: axes sorted, sizes grouped, a lane_size for every program."""

from typing import NamedTuple

from jaxdl.planning.concrete import check_targets, check_values, notes
from jaxdl.planning.cost import Work, program_seconds
from jaxdl.planning.grouping import shape
from jaxdl.planning.program import Program
from jaxdl.planning.show import plan_html, plan_text
from jaxdl.planning.sorting import sort_axes
from jaxdl.planning.spec import Spec, check_read


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
        """The seconds of the study with a cold cache: as measured, else estimated for 2 cores."""
        seconds = 0.0
        for number, (program, work) in enumerate(zip(self.programs, self.works, strict=True)):
            lanes = len(program.configs) * self.seeds
            if self.measured:
                lane_seconds = self.measured[number].lane_seconds
                seconds += work.compile_seconds() + lanes * lane_seconds
            else:
                evaluations = len(program.schedule.due())
                seconds += program_seconds(work, lanes, program.schedule.steps, evaluations)
        return seconds

    @property
    def bytes(self) -> int | None:
        """The memory of the largest program; None where one is not measured or not known."""
        return largest([measured.bytes for measured in self.measured])

    def __str__(self) -> str:
        return plan_text(self)

    def _repr_html_(self) -> str:
        return plan_html(self)


def largest(sizes: list[int | None]) -> int | None:
    """The largest size; None where there is none or one is not known."""
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


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
    parts, read = spec.parts, set(spec.read)
    metrics = check_values(parts, spec.configs)
    worked = sort_axes(parts, spec.configs, read)
    if whole:
        check_read(spec, read)
    check_targets(parts, [program for program, _ in worked])
    programs, works, useful = [], [], []
    for program, full in worked:
        for part, of_lane, share in shape(parts, program, full, len(spec.seeds), shapes):
            programs.append(part._replace(lane_size=lane_size or of_lane.lane_size()))
            works.append(of_lane)
            useful.append(share)
    return Plan(
        programs=tuple(programs),
        works=tuple(works),
        useful=tuple(useful),
        seeds=len(spec.seeds),
        metrics=metrics,
        notes=notes(parts, programs),
    )
