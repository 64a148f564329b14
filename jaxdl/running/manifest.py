"""What a run folder's manifest says: whose run it is, its programs, and which lanes each of its
blocks holds.

A manifest is a plain dict. Configs, programs and generations are only ever appended: a generation
is what one call asked for beyond what was there, and the blocks follow from the generations alone,
so that a continued run, a grown one and every process of a sharded one agree on them. A process
that holds an older manifest plans the same first blocks as one that has seen it grow.

A block is planned by its number, and read by what it says of itself: values, seeds, program.
"""

import json
from collections.abc import Callable, Mapping

import jax
import numpy as np

from jaxdl.planning.axes import Plan
from jaxdl.planning.cost import Work
from jaxdl.planning.identity import digest_of, setting_of
from jaxdl.planning.program import Axis, Program
from jaxdl.planning.spec import SETTINGS, Spec
from jaxdl.train import Schedule

PARTS = {  # of a manifest, and of each of its programs
    "axes": list,
    "study": dict,
    "versions": dict,
    "configs": list,
    "programs": list,
    "generations": list,
    "metrics": dict,
}
PROGRAM_PARTS = {
    "configs": list,
    "axes": dict,
    "steps": int,
    "eval_every": int,
    "lane_size": int,
    "trains": dict,
    "digest": str,
}
CHUNKS = 16  # of lane_size lanes in a block


def config_key(config: dict, names=None) -> tuple:
    """A config as a dictionary key; 1 and 1.0 and True are different values."""
    return tuple(
        (name, type(config[name]).__name__, config[name])
        for name in (config if names is None else names)
    )


def empty(spec: Spec) -> dict:
    """The manifest of a study that has no lanes yet."""
    return {
        "axes": list(spec.axes),
        "study": declared(spec),
        "versions": versions(),
        "configs": [],
        "programs": [],
        "generations": [],
        "metrics": {},
    }


def declared(spec: Spec) -> dict:
    """The arguments of a study that are plain values, for people and for naming what differs."""
    settings = {**spec.settings, "reduction": spec.settings["reduction"] or "mean"}
    own = {name: getattr(spec, name) for name in ("norm_bound", "rewrite_convolutions")}
    values = {**settings, **spec.defaults, **own}
    return {name: _shown(value) for name, value in values.items()}


def _shown(value):
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (int, float, str, type(None))) else "function"


def checked(manifest: dict, run) -> dict:
    """The manifest, or a ValueError of one line where a part of it is missing or of another
    kind."""
    _check_parts(manifest, PARTS, f"{run} is not a run of jaxdl: its manifest")
    count = len(manifest["configs"])
    for number, program in enumerate(manifest["programs"]):
        where = f"{run} is not a run of jaxdl: program {number} of its manifest"
        _check_parts(program, PROGRAM_PARTS, where)
        _check_numbers(program["configs"], count, f"configs in {where}")
    for generation in manifest["generations"]:
        where = f"{run} is not a run of jaxdl: a generation of its manifest"
        _check_parts(generation, {"configs": list, "seeds": list}, where)
        _check_numbers(generation["configs"], count, f"configs in {where}")
        _check_numbers(generation["seeds"], 2**32, f"seeds in {where}")
    return manifest


def _check_parts(thing, parts: Mapping[str, type], where: str):
    for name, kind in parts.items():
        value = thing.get(name) if isinstance(thing, dict) else None
        if type(value) is not kind:
            raise ValueError(
                f"{where} must have {name}, of type {kind.__name__}, got {value!r:.60}"
            )


def _check_numbers(values: list, end: int, where: str):
    for value in values:
        if type(value) is not int or not 0 <= value < end:
            raise ValueError(f"{where} must be integers from 0 to {end - 1}, got {value!r:.60}")


def grow(manifest: dict, spec: Spec, make_plan, identify: Callable[[Program], dict]) -> dict:
    """The manifest with a generation more where the study has lanes that it lacks.

    Args:
      manifest: of the same study.
      make_plan: ``(spec) -> Plan``, called for the configs that have no program yet.
      identify: `identity.identity_of` a program of this study.
    """
    configs = list(manifest["configs"])
    index = {config_key(config): number for number, config in enumerate(configs)}
    fresh = [config for config in spec.configs if config_key(config) not in index]
    for config in fresh:
        index[config_key(config)] = len(configs)
        configs.append(config)
    programs, metrics = list(manifest["programs"]), manifest["metrics"]
    if fresh:
        plan: Plan = make_plan(spec._replace(configs=tuple(fresh)))
        metrics = _one_direction(metrics, plan.metrics)
        for program, work in zip(plan.programs, plan.works, strict=True):
            programs.append(program_json(program, index, work, identify(program)))
    wanted = [index[config_key(config)] for config in spec.configs]
    have = {lane for _, lanes in blocks_of(manifest) for lane in lanes}
    if all((config, seed) in have for config in wanted for seed in spec.seeds):
        return manifest
    generation = {"configs": wanted, "seeds": list(spec.seeds)}
    generations = [*manifest["generations"], generation]
    return {
        **manifest,
        "configs": configs,
        "programs": programs,
        "generations": generations,
        "metrics": metrics,
    }


def _one_direction(stored: dict[str, bool], fresh: dict[str, bool]) -> dict[str, bool]:
    """Joins directions of metrics; refuses a metric that has both: stored lanes would be ranked the
    other way round."""
    for name, higher in fresh.items():
        if stored.get(name, higher) != higher:
            raise ValueError(
                f"metric {name!r} must have one direction in all configs of a run, got "
                f"higher_is_better={higher} here "
                f"and {stored[name]} for lanes that are stored"
            )
    return {**stored, **fresh}


def blocks_of(manifest: dict) -> list[tuple[int, list[tuple[int, int]]]]:
    """The blocks of a run: (program number, [(config number, seed)]); they follow from the manifest
    alone."""
    owner = owners(manifest)
    have: set[tuple[int, int]] = set()
    blocks = []
    for generation in manifest["generations"]:
        lanes = [(config, seed) for seed in generation["seeds"] for config in generation["configs"]]
        fresh = [lane for lane in lanes if lane not in have]
        have.update(fresh)
        for number, program in enumerate(manifest["programs"]):
            mine = [lane for lane in fresh if owner[lane[0]] == number]
            size = CHUNKS * program["lane_size"]
            blocks += [(number, mine[begin : begin + size]) for begin in range(0, len(mine), size)]
    return blocks


def owners(manifest: dict) -> dict[int, int]:
    """Config number -> number of the program that trains it."""
    return {
        config: number
        for number, program in enumerate(manifest["programs"])
        for config in program["configs"]
    }


def planned_lanes(manifest: dict) -> set[tuple[int, int]]:
    """The lanes that a run has when it is whole: (config number, seed)."""
    return {lane for _, lanes in blocks_of(manifest) for lane in lanes}


def program_json(program: Program, index: dict, work: Work, identity: dict) -> dict:
    """A program as JSON; `index` maps config keys to config numbers."""
    stored = {
        "configs": [index[config_key(config)] for config in program.configs],
        "axes": {name: list(axis) for name, axis in program.axes.items()},
        "steps": program.schedule.steps,
        "eval_every": program.schedule.eval_every,
        "lane_size": program.lane_size,
        "lane_seconds": work.seconds(program.schedule.steps, len(program.schedule.due())),
        "trains": identity,
    }
    return with_lane_size(stored, program.lane_size)


def with_lane_size(program: dict, lane_size: int) -> dict:
    """A stored program with another lane_size, and the digest that its blocks carry.

    The bits of a lane depend on lane_size: blocks of another one are another program's.
    """
    return {**program, "lane_size": lane_size, "digest": digest_of([program["trains"], lane_size])}


def program_of(manifest: dict, number: int) -> Program:
    """A program as it was planned."""
    stored = manifest["programs"][number]
    return Program(
        configs=tuple(manifest["configs"][config] for config in stored["configs"]),
        axes={name: Axis(*axis) for name, axis in stored["axes"].items()},
        schedule=Schedule(stored["steps"], stored["eval_every"]),
        lane_size=stored["lane_size"],
    )


def versions() -> dict:
    """What the bits of a lane depend on besides its program."""
    return {"jax": jax.__version__, "backend": jax.default_backend()}


def about(manifest: dict, program: int, lanes: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """The arrays by which a block says whose lanes it holds.

    Returns:
      ``about``: JSON, as bytes, of the program's digest and of configs as values; ``config``, the
      place of each lane's config among these, (lanes,); ``seed``, (lanes,).
    """
    places = {
        config: place for place, config in enumerate(dict.fromkeys(config for config, _ in lanes))
    }
    digest = manifest["programs"][program]["digest"]
    said = {"program": digest, "configs": [manifest["configs"][config] for config in places]}
    return {
        "about": np.frombuffer(json.dumps(said).encode(), np.uint8),
        "config": np.array([places[config] for config, _ in lanes], np.int32),
        "seed": np.array([seed for _, seed in lanes], np.uint32),
    }


def reader(manifest: dict) -> Callable[[dict], list[tuple[int, int] | None]]:
    """How blocks are read under a manifest: by the values and the program that they say.

    Returns:
      ``(block) -> [(config number, seed)]``, a lane a row; None for one that is not of this run.
    """
    numbers = {config_key(config): number for number, config in enumerate(manifest["configs"])}
    programs = owners(manifest)
    digests = {
        config: manifest["programs"][number]["digest"] for config, number in programs.items()
    }

    def lanes_of(block: dict) -> list[tuple[int, int] | None]:
        try:
            said = json.loads(block["about"].tobytes())
            configs = [numbers.get(config_key(config)) for config in said["configs"]]
            mine = [config is not None and digests[config] == said["program"] for config in configs]
            pairs = zip(block["config"].tolist(), block["seed"].tolist(), strict=True)
            return [(configs[place], seed) if mine[place] else None for place, seed in pairs]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            return []  # not a block of this library

    return lanes_of


def check_same(
    manifest: dict, spec: Spec, lane_size: int | None, run, identify: Callable[[Program], dict]
):
    """Raises a ValueError of one line that names in what a stored run differs from this study.

    Args:
      identify: `identity.identity_of` a program of this study.
    """
    theirs = {"axes": manifest["axes"], **manifest["study"]}
    _refuse(run, theirs, {"axes": list(spec.axes), **declared(spec)})
    _refuse(run, manifest["versions"], versions())
    if lane_size is not None:
        sizes = sorted({program["lane_size"] for program in manifest["programs"]})
        _refuse(run, {"lane_size": sizes}, {"lane_size": [lane_size]})
    _check_programs(manifest, spec, run, identify)


def _check_programs(manifest: dict, spec: Spec, run, identify: Callable[[Program], dict]):
    """Compares what every program of the run trains with what it would train here.

    A program of values that this study does not declare (another label, a string that its
    functions no longer know) may not trace here; its lanes are not served either. One at least
    must: growing a run that has nothing in common with this study would mix two of them.
    """
    mine = {config_key(config) for config in spec.configs}
    failures = []
    for number in range(len(manifest["programs"])):
        program = program_of(manifest, number)
        try:
            here = identify(program)
        except Exception as error:
            failures.append(
                f"program {number}{_named(program)} does not trace here ({_one_line(error)})"
            )
            if mine & {config_key(config) for config in program.configs}:
                raise ValueError(f"{run} holds another study: {failures[-1]}") from error
            continue
        _refuse_program(
            run, f"program {number}", program, manifest["programs"][number]["trains"], here
        )
    if failures and len(failures) == len(manifest["programs"]):
        raise ValueError(f"{run} holds another study: {failures[0]}")


def _refuse_program(run, title: str, program: Program, theirs: dict, mine: dict):
    for index, config in enumerate(program.configs):
        there, here = (
            {name: setting_of(each, name, index) for name in SETTINGS} for each in (theirs, mine)
        )
        _refuse(run, there, here, f" at {_pairs(config)}" if config else "")
    for name, what in (
        ("history", "metrics and records"),
        ("metrics", "higher_is_better of metrics"),
    ):
        _refuse(run, {what: theirs.get(name)}, {what: mine[name]})
    different = [name for name in mine if theirs.get(name) != mine[name]]
    if different:
        what = "has other data" if different == ["data"] else "trains otherwise"
        raise ValueError(
            f"{run} holds another study: {title}{_named(program)} {what} there: a function, "
            "constant "
            f"or array of the study differs (digests of {', '.join(different)})"
        )


def _named(program: Program) -> str:
    first = program.configs[0]
    return f" ({_pairs(first)})" if first else ""


def _pairs(config: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in config.items())


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _refuse(run, theirs: dict, mine: dict, where: str = ""):
    names = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
    if names:
        differing = "; ".join(
            f"{name} is {theirs.get(name)!r} there and {mine.get(name)!r} here{where}"
            for name in names
        )
        raise ValueError(f"{run} holds another study: {differing}")
