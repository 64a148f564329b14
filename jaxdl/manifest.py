"""What a run folder's manifest says: whose run it is, its programs, and which lanes each of its blocks holds.

A manifest is a plain dict. Configs, programs and generations are only ever appended: a generation is what one call
asked for beyond what was there, and the blocks follow from the generations alone, so that a continued run, a
grown one and every process of a sharded one agree on them.
"""

import hashlib

import jax
import numpy as np

from jaxdl.cost import Work
from jaxdl.plan import Plan
from jaxdl.program import Axis, Program, lowered_text
from jaxdl.spec import Spec
from jaxdl.train import Schedule

FORMAT = 1
CHUNKS = 16  # of lane_size lanes in a block


def config_key(config: dict, names=None) -> tuple:
    """A config as a dictionary key; 1 and 1.0 and True are different values."""
    return tuple((name, type(config[name]).__name__, config[name]) for name in (config if names is None else names))


def empty(spec: Spec) -> dict:
    """The manifest of a study that has no lanes yet."""
    return {
        "format": FORMAT,
        "axes": list(spec.axes),
        "study": declared(spec),
        "configs": [],
        "programs": [],
        "generations": [],
        "metrics": {},
    }


def declared(spec: Spec) -> dict:
    """The arguments of a study that are plain values, for people and for naming what differs."""
    plain = {**spec.settings, **spec.defaults, "norm_bound": spec.norm_bound}
    return {name: value if isinstance(value, (int, float, str, type(None))) else "function" for name, value in plain.items()}


def grow(manifest: dict, spec: Spec, make_plan) -> dict:
    """The manifest with a generation more where the study has lanes that it lacks.

    Args:
      manifest: of the same study.
      make_plan: ``(spec) -> Plan``, called for the configs that have no program yet.
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
        metrics = {**metrics, **plan.metrics}
        programs += [program_json(program, index, work) for program, work in zip(plan.programs, plan.works, strict=True)]
    wanted = [index[config_key(config)] for config in spec.configs]
    have = {lane for _, lanes in blocks_of(manifest) for lane in lanes}
    if all((config, seed) in have for config in wanted for seed in spec.seeds):
        return manifest
    generation = {"configs": wanted, "seeds": list(spec.seeds)}
    generations = [*manifest["generations"], generation]
    return {**manifest, "configs": configs, "programs": programs, "generations": generations, "metrics": metrics}


def blocks_of(manifest: dict) -> list[tuple[int, list[tuple[int, int]]]]:
    """The blocks of a run: (program number, [(config number, seed)]); they follow from the manifest alone."""
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
    return {config: number for number, program in enumerate(manifest["programs"]) for config in program["configs"]}


def program_json(program: Program, index: dict, work: Work) -> dict:
    """A program as JSON; `index` maps config keys to config numbers."""
    return {
        "configs": [index[config_key(config)] for config in program.configs],
        "axes": {name: list(axis) for name, axis in program.axes.items()},
        "steps": program.schedule.steps,
        "eval_every": program.schedule.eval_every,
        "lane_size": program.lane_size,
        "lane_seconds": work.seconds(program.schedule.steps, len(program.schedule.due())),
    }


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


def identity(manifest: dict, spec: Spec) -> dict:
    """What makes a study itself: its first config's lowered program and its data, by digest; and `versions`."""
    text, shared = lowered_text(spec, program_of(manifest, 0))
    leaves = [np.ascontiguousarray(leaf) for leaf in jax.tree.leaves(shared)]
    data = hashlib.sha256(b"".join(f"{leaf.shape}{leaf.dtype}".encode() + leaf.tobytes() for leaf in leaves))
    return {
        **versions(),
        "program": hashlib.sha256(text.encode()).hexdigest()[:16],
        "data": data.hexdigest()[:16] if leaves else None,
    }


def check_same(manifest: dict, spec: Spec, lane_size: int | None, run):
    """Raises a ValueError that names the fields in which a stored run differs from this study."""
    if manifest.get("format") != FORMAT or "identity" not in manifest:
        raise ValueError(f"{run} must be a run of format {FORMAT}, got {manifest.get('format')!r}")
    theirs = {"axes": manifest["axes"], **manifest["study"]}
    _refuse(run, theirs, {"axes": list(spec.axes), **declared(spec)})
    _refuse(run, {name: manifest["identity"][name] for name in versions()}, versions())
    if lane_size is not None:
        sizes = sorted({program["lane_size"] for program in manifest["programs"]})
        _refuse(run, {"lane_size": sizes}, {"lane_size": [lane_size]})
    try:
        mine = identity(manifest, spec)
    except Exception as error:
        raise ValueError(
            f"{run} holds another study: its first config does not trace here ({type(error).__name__}: {error})"
        ) from error
    _refuse(run, manifest["identity"], mine)


def _refuse(run, theirs: dict, mine: dict):
    names = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
    if names:
        differing = "; ".join(f"{name} is {theirs.get(name)!r} there and {mine.get(name)!r} here" for name in names)
        raise ValueError(f"{run} holds another study: {differing}")
