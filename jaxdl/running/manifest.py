"""What a run folder's manifest says: its study, its programs, and which lanes each block holds.

A manifest is a plain dict. Configs, programs and generations are only ever appended: a generation
is what one call asked for beyond what was there. The blocks follow from the generations alone, so
that a continued run, a grown one and every process of a sharded one agree on them.
"""

from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from jaxdl.planning.axes import Plan
from jaxdl.planning.config import Config, config_key
from jaxdl.planning.cost import Work
from jaxdl.planning.identity import digest_of
from jaxdl.planning.program import Axis, Program
from jaxdl.planning.seeds import Seed
from jaxdl.planning.spec import Spec
from jaxdl.sampling import STREAMS
from jaxdl.train import Schedule

Lane = tuple[int, Seed]  # (config number, seed)
Directions = dict[str, bool]  # metric -> higher_is_better

PARTS = {  # of a manifest
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
GENERATION_PARTS = {"configs": list, "seeds": list}
BY_STREAM = "by stream"  # what a manifest says of a study whose streams have their own seeds
CHUNKS = 16  # of lane_size lanes in a block


def config_numbers(manifest: dict) -> dict[tuple, int]:
    """Maps the key of each config to its number."""
    return {config_key(config): number for number, config in enumerate(manifest["configs"])}


def empty(spec: Spec) -> dict:
    """Makes the manifest of a study that has no lanes yet."""
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
    """Lists a study's arguments as plain values, for people and for naming what differs."""
    parts = spec.parts
    settings = {**parts.names.settings, "reduction": parts.names.settings["reduction"] or "mean"}
    values = {**settings, **parts.names.defaults, "norm_bound": parts.norm_bound}
    for name in ("eval_train_rows", "accumulate", "rewrite_convolutions"):
        values[name] = getattr(parts, name)
    if parts.seed_shape:  # said only then: the bytes of all other manifests stay what they were
        values["seeds"] = BY_STREAM
    return {name: _plain(value) for name, value in values.items()}


def _plain(value):
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (int, float, str, type(None))) else "function"


def versions() -> dict:
    """Lists what the bits of a lane depend on besides its program."""
    return {"jax": jax.__version__, "backend": jax.default_backend()}


# --- checks of what was read -------------------------------------------------------------------


def checked(manifest: dict, run) -> dict:
    """Gives the manifest back.

    Raises:
      ValueError: a part of it is missing or of another kind; one line that names it.
    """
    _check_parts(manifest, PARTS, f"{run} is not a run of jaxdl: its manifest")
    count = len(manifest["configs"])
    for number, program in enumerate(manifest["programs"]):
        where = f"{run} is not a run of jaxdl: program {number} of its manifest"
        _check_parts(program, PROGRAM_PARTS, where)
        _check_numbers(program["configs"], count, f"configs in {where}")
    for generation in manifest["generations"]:
        where = f"{run} is not a run of jaxdl: a generation of its manifest"
        _check_parts(generation, GENERATION_PARTS, where)
        _check_numbers(generation["configs"], count, f"configs in {where}")
        _check_seeds(generation["seeds"], seed_shape(manifest), f"seeds in {where}")
    return manifest


def _check_seeds(seeds: list, shape: tuple[int, ...], where: str):
    if not shape:
        _check_numbers(seeds, 2**32, where)
        return
    for seed in seeds:
        if type(seed) is not list or len(seed) != len(STREAMS):
            raise ValueError(f"{where} must be one a stream, got {seed!r:.60}")
        _check_numbers(seed, 2**32, where)


def seed_shape(manifest: dict) -> tuple[int, ...]:
    """Tells the shape of a lane's seed: one number, or one a stream."""
    return (len(STREAMS),) if manifest["study"].get("seeds") == BY_STREAM else ()


def seed_in(seed: int | list) -> Seed:
    """Reads a seed as it stands in a manifest or a block: a list is one a stream."""
    return tuple(seed) if isinstance(seed, list) else seed


def _seed_json(seed: Seed) -> int | list:
    return list(seed) if isinstance(seed, tuple) else seed


def seeds_of(manifest: dict) -> list[Seed]:
    """Lists the distinct seeds of a run, in the order in which they were asked for."""
    seeds: dict[Seed, None] = {}
    for generation in manifest["generations"]:
        seeds.update(dict.fromkeys(map(seed_in, generation["seeds"])))
    return list(seeds)


def _check_parts(part, kinds: Mapping[str, type], where: str):
    for name, kind in kinds.items():
        value = part.get(name) if isinstance(part, dict) else None
        if type(value) is not kind:
            raise ValueError(
                f"{where} must have {name}, of type {kind.__name__}, got {value!r:.60}"
            )


def _check_numbers(values: list, end: int, where: str):
    for value in values:
        if type(value) is not int or not 0 <= value < end:
            raise ValueError(f"{where} must be integers from 0 to {end - 1}, got {value!r:.60}")


# --- growth ------------------------------------------------------------------------------------


def grow(
    manifest: dict,
    spec: Spec,
    make_plan: Callable[[Spec], Plan],
    identify: Callable[[Program], dict],
) -> dict:
    """Appends what a study has and its manifest lacks: configs, their programs, a generation.

    Args:
      manifest: of the same study.
      make_plan: called for the configs that have no program yet.
      identify: `identity.identity_of` a program of this study.
    """
    numbers = config_numbers(manifest)
    fresh = [config for config in spec.configs if config_key(config.values) not in numbers]
    if fresh:
        # Programs that are stored stay as they are, whatever a plan of all configs together would
        # be: their lanes' bits depend on them. So the new configs are planned by themselves.
        plan = make_plan(spec._replace(configs=tuple(fresh)))
        manifest = _with_programs(manifest, fresh, plan, identify)
        numbers = config_numbers(manifest)
    configs = [numbers[config_key(config.values)] for config in spec.configs]
    generation = {"configs": configs, "seeds": list(map(_seed_json, spec.seeds))}
    if planned_lanes(manifest).issuperset(_lanes_of(generation)):
        return manifest
    return {**manifest, "generations": [*manifest["generations"], generation]}


def _with_programs(
    manifest: dict,
    fresh: list[Config],
    plan: Plan,
    identify: Callable,
) -> dict:
    """Appends configs and the programs that train them."""
    configs = list(manifest["configs"])
    for config in fresh:
        # As the run names them: a study may declare its hyper-parameters in another order.
        configs.append({name: config.values[name] for name in manifest["axes"]})
    manifest = {**manifest, "configs": configs}
    numbers = config_numbers(manifest)
    programs = list(manifest["programs"])
    for program, work in zip(plan.programs, plan.works, strict=True):
        programs.append(program_json(program, numbers, work, identify(program)))
    metrics = _one_direction(manifest["metrics"], plan.metrics)
    return {**manifest, "programs": programs, "metrics": metrics}


def _one_direction(stored: Directions, fresh: Directions) -> Directions:
    """Joins directions of metrics.

    Raises:
      ValueError: a metric has both, so that stored lanes would be ranked the other way round.
    """
    for name, higher in fresh.items():
        if stored.get(name, higher) != higher:
            raise ValueError(
                f"metric {name!r} must have one direction in all configs of a run, got "
                f"higher_is_better={higher} here "
                f"and {stored[name]} for lanes that are stored"
            )
    return {**stored, **fresh}


# --- blocks ------------------------------------------------------------------------------------


def blocks_of(manifest: dict) -> list[tuple[int, list[Lane]]]:
    """Lists the blocks of a run by number: (program number, lanes)."""
    # A generation adds the lanes that no earlier one has, program by program, after all earlier
    # blocks. So blocks keep their numbers as a run grows, and a process that holds an older
    # manifest plans the same first blocks as one that has seen it grow.
    owner = owners(manifest)
    have: set[Lane] = set()
    blocks = []
    for generation in manifest["generations"]:
        fresh = [lane for lane in _lanes_of(generation) if lane not in have]
        have.update(fresh)
        for number, program in enumerate(manifest["programs"]):
            lanes = [lane for lane in fresh if owner[lane[0]] == number]
            size = CHUNKS * program["lane_size"]
            for begin in range(0, len(lanes), size):
                blocks.append((number, lanes[begin : begin + size]))
    return blocks


def _lanes_of(generation: dict) -> Iterator[Lane]:
    """Yields the lanes of a generation, seed by seed: a partial run has whole comparisons."""
    for seed in map(seed_in, generation["seeds"]):
        for config in generation["configs"]:
            yield config, seed


def owners(manifest: dict) -> dict[int, int]:
    """Maps the number of each config to that of the program that trains it."""
    owner = {}
    for number, program in enumerate(manifest["programs"]):
        owner.update(dict.fromkeys(program["configs"], number))
    return owner


def planned_lanes(manifest: dict) -> set[Lane]:
    """Lists the lanes that a run has when it is whole."""
    lanes: set[Lane] = set()
    for generation in manifest["generations"]:
        lanes.update(_lanes_of(generation))
    return lanes


# --- programs ----------------------------------------------------------------------------------


def program_json(
    program: Program,
    numbers: dict,
    work: Work,
    identity: dict,
) -> dict:
    """Writes a program as JSON; `numbers` maps config keys to config numbers."""
    schedule = program.schedule
    stored = {
        "configs": [numbers[config_key(config.values)] for config in program.configs],
        "axes": {name: list(axis) for name, axis in program.axes.items()},
        "steps": schedule.steps,
        "eval_every": schedule.eval_every,
        "lane_size": program.lane_size,
        "lane_seconds": work.seconds(schedule.steps, len(schedule.due())),
        "trains": identity,
    }
    return with_lane_size(stored, program.lane_size)


def with_lane_size(program: dict, lane_size: int) -> dict:
    """Gives a stored program another lane_size, and the digest that its blocks then carry.

    The bits of a lane depend on lane_size: blocks of another one are another program's.
    """
    return {**program, "lane_size": lane_size, "digest": digest_of([program["trains"], lane_size])}


def values_of(manifest: dict, number: int) -> list[dict]:
    """Lists the values of each config of a program."""
    return [manifest["configs"][config] for config in manifest["programs"][number]["configs"]]


def schedule_of(manifest: dict, number: int) -> Schedule:
    """Returns the steps and evaluations of a program."""
    stored = manifest["programs"][number]
    return Schedule(stored["steps"], stored["eval_every"])


def program_of(manifest: dict, number: int, find: Callable[[dict], Config]) -> Program:
    """Reads a program as it was planned.

    Args:
      find: `spec.config_finder` of this study: a stored config is its values alone.
    """
    stored = manifest["programs"][number]
    return Program(
        configs=tuple(map(find, values_of(manifest, number))),
        axes={name: Axis(*axis) for name, axis in stored["axes"].items()},
        schedule=schedule_of(manifest, number),
        lane_size=stored["lane_size"],
    )
