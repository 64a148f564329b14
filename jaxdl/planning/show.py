"""What a plan looks like to a person."""

import math

from jaxdl.reporting.tables import Table

COLUMNS = ("program", "lanes", "lane_size", "traced", "padded", "static", "padding", "seconds")


def plan_text(plan, width: int | None = None) -> str:
    """Returns a plan as a person reads it: its programs, and what each axis is and why.

    Args:
      width: of a terminal that the table is to fit, see `Table.fitted`.
    """
    table, lines = _table(plan), _lines(plan)
    return "\n".join([table.fitted(width), *(f"  {line}" for line in lines)])


def plan_json(plan) -> dict:
    """Returns a plan as plain JSON: its programs, what each axis is and why, and the notes."""
    programs = []
    for number, program in enumerate(plan.programs):
        cells = dict(zip(COLUMNS, _row(plan, number), strict=False))
        kinds = {kind: list(program.names(kind)) for kind in ("traced", "padded", "static")}
        entry = {
            "lanes": cells["lanes"],
            "lane_size": program.lane_size,
            "configs": [
                {name: _plain(value) for name, value in config.values.items()}
                for config in program.configs
            ],
            **kinds,
            "padding": 1 - float(plan.useful[number]),
            "seconds": float(cells["seconds"]),
            "bytes": plan.measured[number].bytes if plan.measured else None,
        }
        programs.append(entry)
    axes = {}
    for program in plan.programs:
        for name, axis in program.axes.items():
            axes[name] = {"kind": axis.kind, "reason": axis.reason}
    return {
        "lanes": plan.lanes,
        "seconds": float(plan.seconds),
        "measured": bool(plan.measured),
        "programs": programs,
        "axes": axes,
        "notes": list(plan.notes),
    }


def _plain(value):
    """A swept value as JSON knows it; its text where it is none of JSON's."""
    is_plain = value is None or isinstance(value, (bool, int, str))
    is_finite = isinstance(value, float) and math.isfinite(value)
    return value if is_plain or is_finite else str(value)


def plan_html(plan) -> str:
    """Returns the same for a notebook."""
    return _table(plan)._replace(footer="\n".join(_lines(plan)))._repr_html_()


def _table(plan) -> Table:
    rows = [_row(plan, number) for number in range(len(plan.programs))]
    columns = (*COLUMNS, "memory, MB") if plan.measured else COLUMNS
    return Table(_title(plan), columns, tuple(rows))


def _lines(plan) -> list[str]:
    """What each axis is and why; what a reader should know."""
    axes = {}
    for program in plan.programs:
        axes.update(program.axes)
    lines = [f"{name}: {axis.kind}: {axis.reason}" for name, axis in axes.items()]
    return lines + [f"note: {note}" for note in plan.notes]


def _title(plan) -> str:
    count = len(plan.programs)
    how = "estimated for 2 CPU cores; plan(measure=True) compiles and measures"
    if plan.measured:
        how = "measured here"
    return (
        f"{plan.lanes} lanes in {count} program{'s' * (count != 1)}, compiled once each; about "
        f"{plan.seconds:.0f} s ({how})"
    )


def _row(plan, number: int) -> tuple:
    """The cells of one program; its memory is known where it has been measured."""
    program, work = plan.programs[number], plan.works[number]
    lanes = len(program.configs) * plan.seeds
    lane_seconds = work.seconds(program.schedule.steps, len(program.schedule.due()))
    memory: tuple = ()
    if plan.measured:
        lane_seconds, size = plan.measured[number].lane_seconds, plan.measured[number].bytes
        memory = (None if size is None else size / 1e6,)
    return (
        number,
        lanes,
        program.lane_size,
        *(_axis_cell(program, kind) for kind in ("traced", "padded", "static")),
        f"{1 - plan.useful[number]:.0%}",
        work.compile_seconds() + lanes * lane_seconds,
        *memory,
    )


def _axis_cell(program, kind: str) -> str:
    cells = []
    for name in program.names(kind):
        swept = [config.values for config in program.configs if name in config.values]
        values = list(dict.fromkeys(each[name] for each in swept))
        cells.append(f"{name}={_span(values)}" if values else name)
    return " ".join(cells) or "-"


def _span(values: list) -> str:
    if len(values) > 3:
        return f"{values[0]}..{values[-1]}"
    return ",".join(map(str, values))
