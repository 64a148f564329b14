"""Says how a run was made: its plan, and with which commands, machines and versions, and when."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxdl.reporting import tables
from jaxdl.reporting.html import Code, Grid, Section, Terms, Text
from jaxdl.running.manifest import blocks_of, planned_lanes

KINDS = ("traced", "padded", "static")


class Record(NamedTuple):
    """What a run folder says beside its lanes.

    Attributes:
      events: a line a finished block.
      sessions: a line a process that trained; none of runs that older versions wrote.
    """

    manifest: dict
    events: Sequence[dict]
    sessions: Sequence[dict]


def plan(record: Record) -> Section:
    """Makes the section on what a study declares, and the programs that train it."""
    manifest = record.manifest
    seeds = {seed for _, seed in planned_lanes(manifest)}
    declared = [(name, str(value)) for name, value in manifest["study"].items()]
    swept = []
    for axis in manifest["axes"]:
        values = dict.fromkeys(str(config[axis]) for config in manifest["configs"])
        swept.append((axis, ", ".join(values)))
    return Section(
        "Plan",
        [
            Text(f"{len(manifest['configs'])} configs times {len(seeds)} seeds. Swept:"),
            Terms(swept or [("nothing", "the seeds alone vary")]),
            Grid(_programs(manifest), 1),
            Terms(_reasons(manifest)),
            Section("All settings", [Terms(declared)], folded=True),
        ],
    )


def _programs(manifest: dict) -> tables.Table:
    rows = []
    for number, program in enumerate(manifest["programs"]):
        axes = [_names(program, kind) for kind in KINDS]
        sizes = (program["lane_size"], program["steps"], program["eval_every"])
        rows.append((number, len(program["configs"]), *sizes, *axes))
    header = ("program", "configs", "lane_size", "steps", "eval_every", *KINDS)
    title = "Programs, each compiled once for all of its lanes"
    return tables.Table(title, header, tuple(rows))


def _names(program: dict, kind: str) -> str:
    names = [name for name, axis in program["axes"].items() if axis and axis[0] == kind]
    return ", ".join(names) or "-"


def _reasons(manifest: dict) -> list[tuple[str, str]]:
    """Why each axis is of its kind, where the plan says so."""
    reasons: dict[str, str] = {}
    for program in manifest["programs"]:
        for name, axis in program["axes"].items():
            reasons.setdefault(name, ": ".join(map(str, axis)))
    return list(reasons.items())


def made(record: Record, command: str | None = None) -> Section:
    """Makes the section on where the numbers come from.

    Args:
      command: that makes the run anew, where the caller knows it; else what its processes were
        started with.
    """
    commands = [command] if command else _each(record.sessions, "command")
    blocks: list[Any] = []
    if commands:
        words = "The command that makes this run anew:"
        if len(commands) > 1:
            words = "The commands that made this run, one after another or at the same time:"
        blocks += [Text(words), *map(Code, commands)]
    else:
        blocks.append(Text("No command is stored: the run was made where people type as it runs."))
    blocks.append(Terms(_facts(record)))
    return Section("How it was made", blocks)


def _facts(record: Record) -> list[tuple[str, str]]:
    """Machine, versions and times, as far as they are stored."""
    unknown = ["not stored"]
    machines = [_pairs(each) for each in _each(record.sessions, "machine")]
    versions = _each(record.sessions, "versions") or [record.manifest["versions"]]
    manifest = record.manifest
    done = [event for event in record.events if isinstance(event.get("seconds"), int | float)]
    seconds = sum(event["seconds"] for event in done)
    ended = sorted(str(event["finished"]) for event in done if "finished" in event)
    began = sorted(str(each["began"]) for each in record.sessions if "began" in each)
    blocks = f"{len(done)} written, {len(blocks_of(manifest))} planned"
    return [
        ("Machine", "\n".join(machines or unknown)),
        ("Backend", str(manifest["versions"].get("backend", "-"))),
        ("Versions", "\n".join(map(_pairs, versions))),
        ("Training time", f"{duration(seconds)}, evaluation included, compilation not"),
        ("Began", began[0] if began else unknown[0]),
        ("Last block", ended[-1] if ended else "none yet"),
        ("Blocks", blocks),
    ]


def _each(sessions: Sequence[dict], name: str) -> list:
    """The different values that sessions have under a name."""
    values: list = []
    for session in sessions:
        value = session.get(name)
        if value and value not in values:
            values.append(value)
    return values


def _pairs(values) -> str:
    if not isinstance(values, dict):
        return str(values)
    return ", ".join(f"{name} {value}" for name, value in values.items())


def duration(seconds: float) -> str:
    """Writes a time as people say it.

    >>> duration(4.2), duration(125), duration(7260)
    ('4.2 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
