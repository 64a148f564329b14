"""What a plan looks like to a person."""

from jaxdl.reporting.tables import Table

COLUMNS = ("program", "lanes", "lane_size", "traced", "padded", "static", "padding", "seconds")


def plan_text(plan) -> str:
    """Returns a plan as a person reads it: its programs, and what each axis is and why."""
    rows = [_row(plan, number) for number in range(len(plan.programs))]
    columns = (*COLUMNS, "memory, MB") if plan.measured else COLUMNS
    axes = dict(pair for program in plan.programs for pair in program.axes.items())
    lines = [str(Table(_title(plan), columns, tuple(rows)))]
    lines += [f"  {name}: {axis.kind}: {axis.reason}" for name, axis in axes.items()]
    lines += [f"  note: {note}" for note in plan.notes]
    return "\n".join(lines)


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
    program, work, useful = plan.programs[number], plan.works[number], plan.useful[number]
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
        f"{1 - useful:.0%}",
        work.compile_seconds() + lanes * lane_seconds,
        *memory,
    )


def _axis_cell(program, kind: str) -> str:
    cells = []
    for name in program.names(kind):
        column = [config.values[name] for config in program.configs if name in config.values]
        values = list(dict.fromkeys(column))
        few = ",".join(map(str, values)) if len(values) <= 3 else f"{values[0]}..{values[-1]}"
        cells.append(f"{name}={few}" if values else name)
    return " ".join(cells) or "-"
