"""What a plan looks like to a person."""

from jaxdl.reporting.tables import Table


def plan_text(plan) -> str:
    """A plan as a person reads it: programs, what each axis is and why, the padding, memory and
    time."""
    columns = (
        "program",
        "lanes",
        "lane_size",
        "traced",
        "padded",
        "static",
        "padding",
        "seconds",
        *(["memory, MB"] if plan.measured else []),
    )
    rows = []
    for number, (program, work, useful) in enumerate(
        zip(plan.programs, plan.works, plan.useful, strict=True)
    ):
        lanes = len(program.configs) * plan.seeds
        found = plan.measured[number] if plan.measured else None
        each = (
            found.lane_seconds
            if found
            else work.seconds(program.schedule.steps, len(program.schedule.due()))
        )
        memory = (None if found.bytes is None else found.bytes / 1e6,) if found else ()
        kinds = (_axis_cell(program, kind) for kind in ("traced", "padded", "static"))
        rows.append(
            (
                number,
                lanes,
                program.lane_size,
                *kinds,
                f"{1 - useful:.0%}",
                work.compile_seconds() + lanes * each,
                *memory,
            )
        )
    count = len(plan.programs)
    how = (
        "measured here"
        if plan.measured
        else "estimated for 2 CPU cores; plan(measure=True) compiles and measures"
    )
    title = (
        f"{plan.lanes} lanes in {count} program{'s' * (count != 1)}, compiled once each; about "
        f"{plan.seconds:.0f} s ({how})"
    )
    why = dict(pair for program in plan.programs for pair in program.axes.items())
    return "\n".join(
        [
            str(Table(title, columns, tuple(rows))),
            *(f"  {name}: {axis.kind}: {axis.reason}" for name, axis in why.items()),
            *(f"  note: {note}" for note in plan.notes),
        ]
    )


def _axis_cell(program, kind: str) -> str:
    shown = []
    for name in program.names(kind):
        values = list(dict.fromkeys(config[name] for config in program.configs if name in config))
        few = ",".join(map(str, values)) if len(values) <= 3 else f"{values[0]}..{values[-1]}"
        shown.append(f"{name}={few}" if values else name)
    return " ".join(shown) or "-"
