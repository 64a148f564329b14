"""In what a stored run differs from the study that would continue it, in a line."""

from collections.abc import Callable

from jaxdl.planning.identity import setting_of
from jaxdl.planning.program import Program
from jaxdl.planning.spec import SETTINGS, Spec
from jaxdl.running.configs import config_key
from jaxdl.running.manifest import declared, program_of, versions


def check_same(
    manifest: dict,
    spec: Spec,
    lane_size: int | None,
    run,
    identify: Callable[[Program], dict],
):
    """Checks that a stored run is of this study.

    Args:
      lane_size: that the run must have; any where None.
      run: its folder, for the message.
      identify: `identity.identity_of` a program of this study.

    Raises:
      ValueError: a line that names in what they differ.
    """
    theirs = {"axes": manifest["axes"], **manifest["study"]}
    mine = {"axes": list(spec.axes), **declared(spec)}
    # The order in which a study names its hyper-parameters means nothing to any of its lanes.
    if sorted(map(str, theirs["axes"])) == sorted(mine["axes"]):
        theirs["axes"] = mine["axes"]
    _refuse(run, theirs, mine)
    _refuse(run, manifest["versions"], versions())
    if lane_size is not None:
        sizes = sorted({program["lane_size"] for program in manifest["programs"]})
        _refuse(run, {"lane_size": sizes}, {"lane_size": [lane_size]})
    _check_programs(manifest, spec, run, identify)


def _check_programs(
    manifest: dict,
    spec: Spec,
    run,
    identify: Callable[[Program], dict],
):
    """Compares what every program of the run trains with what it would train here."""
    # A program of values that this study does not declare (another label, a string that its
    # functions no longer know) may not trace here; its lanes are not served either. One at least
    # must: growing a run that has nothing in common with this study would mix two of them.
    mine = {config_key(config) for config in spec.configs}
    failures = []
    for number, stored in enumerate(manifest["programs"]):
        program = program_of(manifest, number)
        try:
            here = identify(program)
        except Exception as error:
            title = f"program {number}{_named(program)}"
            failures.append(f"{title} does not trace here ({_one_line(error)})")
            if mine.intersection(config_key(config) for config in program.configs):
                raise ValueError(f"{run} holds another study: {failures[-1]}") from error
        else:
            _refuse_program(run, f"program {number}", program, stored["trains"], here)
    if failures and len(failures) == len(manifest["programs"]):
        raise ValueError(f"{run} holds another study: {failures[0]}")


def _refuse_program(
    run,
    title: str,
    program: Program,
    theirs: dict,
    mine: dict,
):
    # From what a person can name, the settings of a config, to what only digests tell apart.
    for index, config in enumerate(program.configs):
        where = f" at {_pairs(config)}" if config else ""
        _refuse(run, _settings(theirs, index), _settings(mine, index), where)
    names = {"history": "metrics and records", "metrics": "higher_is_better of metrics"}
    for name, words in names.items():
        _refuse(run, {words: theirs.get(name)}, {words: mine[name]})
    different = [name for name in mine if theirs.get(name) != mine[name]]
    if different:
        verb = "has other data" if different == ["data"] else "trains otherwise"
        raise ValueError(
            f"{run} holds another study: {title}{_named(program)} {verb} there: a function, "
            "constant "
            f"or array of the study differs (digests of {', '.join(different)})"
        )


def _settings(identity: dict, index: int) -> dict:
    return {name: setting_of(identity, name, index) for name in SETTINGS}


def _named(program: Program) -> str:
    first = program.configs[0]
    return f" ({_pairs(first)})" if first else ""


def _pairs(config: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in config.items())


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _refuse(
    run,
    theirs: dict,
    mine: dict,
    where: str = "",
):
    """Raises a ValueError that names the values that differ, if any do."""
    differing = []
    for name in dict.fromkeys([*theirs, *mine]):
        there, here = theirs.get(name), mine.get(name)
        if there != here:
            differing.append(f"{name} is {there!r} there and {here!r} here{where}")
    if differing:
        raise ValueError(f"{run} holds another study: {'; '.join(differing)}")
