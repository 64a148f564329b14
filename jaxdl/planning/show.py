"""What a plan looks like to a person."""

from jaxdl.reporting.tables import Table

COLUMNS = ("program", "lanes", "lane_size", "traced", "padded", "static", "padding", "seconds")


def plan_text(plan) -> str:
    """Returns a plan as a person reads it: its programs, and what each axis is and why."""
    table, lines = _table(plan), _lines(plan)
    return "\n".join([str(table), *(f"  {line}" for line in lines)])


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
