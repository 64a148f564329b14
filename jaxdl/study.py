"""Study and Result: the face of the library."""

import datetime
import hashlib
import importlib.metadata
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl import engine, plots, stats, store, tables
from jaxdl import plan as planning
from jaxdl.checks import one_of, positive_int, unknown
from jaxdl.progress import progress as show_progress
from jaxdl.spec import SETTINGS, declare
from jaxdl.train import Lane, Schedule

CHUNKS = 16  # of lane_size lanes in a block
LOWER_IS_BETTER = ("loss", "error", "norm")


class Study:
    """A study: every combination of swept values times every seed, each trained as one lane.

    Args:
      task, model, optimizer: values, or functions of ``hp``.
      defaults: name -> value of the hyper-parameters that are not swept.
      sweep: name -> list of values (their product), or a list of configs. Functions as ``{label: function}``.
      seeds: how many (0, 1, ...), or which.
      steps, batch_size, eval_every, reduction, sampling: settings; also functions of ``hp``, or names in
        `defaults` or `sweep`. batch_size is all training rows by default, eval_every a fiftieth of steps.
      shapes: how sizes that could share a program are grouped: ``"auto"``, ``"pad"`` or ``"bucket"``.
      lane_size: lanes vmapped together; chosen from the size of a step's arrays by default.
      record: name -> ``(train.StepInfo) -> scalar``.

    Raises:
      ValueError: a line that names the parameter, the allowed range and the value given.
    """

    def __init__(
        self, task, model, optimizer, *, defaults=None, sweep=None, seeds=1, steps=None, batch_size=None, eval_every=None,
        reduction="mean", sampling="step", shapes="auto", lane_size: int | None = None, record: dict[str, Callable] | None = None,
    ):  # fmt: skip
        settings = {
            "batch_size": batch_size,
            "steps": steps,
            "eval_every": eval_every,
            "reduction": reduction,
            "sampling": sampling,
        }
        self._spec = declare(task, model, optimizer, settings, record, defaults, sweep, seeds)
        self._shapes = one_of("shapes", shapes, ("auto", "pad", "bucket"))
        self._lane_size = None if lane_size is None else positive_int("lane_size", lane_size)
        self._plan: planning.Plan | None = None

    def plan(self) -> planning.Plan:
        """What is traced, what is static and why, and the programs that follow; nothing is run."""
        if self._plan is None:
            self._plan = planning.make_plan(self._spec, self._lane_size)
        return self._plan

    def run(self, path=None, progress: bool = False) -> "Result":
        """Trains every lane that is not stored yet.

        Args:
          path: run folder, made where it is not there; the same call continues it. None keeps all in memory.
          progress: shows progress on stderr.

        Raises:
          ValueError: the folder holds another study.
        """
        devices = engine.prepare_devices()
        engine.use_cache()
        run = None if path is None else pathlib.Path(path)
        manifest = self._manifest(run)
        blocks = {number: block for number, block in enumerate(blocks_of(manifest))}
        stored = {} if run is None else store.finished_blocks(run)
        found = {number: store.read_block(run, number) for number in stored if number in blocks} if run else {}
        missing = {number: block for number, block in blocks.items() if number not in found}
        for number, arrays, seconds in self._compute(manifest, missing, devices, progress):
            found[number] = arrays
            if run is not None:
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                event = {
                    "program": blocks[number][0],
                    "lanes": len(blocks[number][1]),
                    "seconds": round(seconds, 3),
                    "finished": now,
                }
                store.write_block(run, number, arrays, event)
        return _collect(manifest, found, run)

    def _compute(self, manifest, missing, devices, progress):
        """Trains the missing blocks: yields (number, arrays, seconds)."""
        programs = {number: _program_of(manifest, number) for number in sorted({program for program, _ in missing.values()})}
        total = sum(len(lanes) * programs[program].schedule.steps * programs[program].work for program, lanes in missing.values())
        if not missing:
            return
        with show_progress(progress, total) as shown:
            compiled = engine.compile_programs(self._spec, programs, devices)
            for number, (program_number, lanes) in missing.items():
                program, future = programs[program_number], compiled[program_number]
                if not future.done():
                    shown.say(f"compiling program {program_number + 1} of {len(programs)}")
                ready = future.result()
                shown.say(f"training block {number + 1} of {max(missing) + 1}")
                begin = time.perf_counter()
                chunks = engine.run_lanes(
                    self._spec, program, ready, [(manifest["configs"][config], seed) for config, seed in lanes],
                    lambda steps, work=program.work: shown.advance(steps * work),
                )  # fmt: skip
                yield number, _block_arrays(list(chunks), lanes), time.perf_counter() - begin

    def _manifest(self, run: pathlib.Path | None) -> dict:
        """The manifest of the run with this study's lanes in it, on disk where there is a folder."""
        manifest = None if run is None else store.read_manifest(run)
        if run is not None and manifest is None and run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ValueError(f"path must be a new folder or one that holds this study, got {run}, which holds something else")
        known = manifest is not None
        if manifest is None:
            manifest = {"format": 1, "axes": list(self._spec.axes), "configs": [], "programs": [], "generations": []}
        else:
            self._check_same(manifest, run)
        grown = self._grow(manifest)
        manifest = {**grown, "identity": self._identity(grown)} if not known else grown
        if run is not None and (not known or grown["generations"] != manifest.get("_before")):
            store.write_manifest(run, manifest)
        return manifest

    def _grow(self, manifest: dict) -> dict:
        """The manifest with a generation more where this study has lanes that it lacks."""
        spec, configs = self._spec, list(manifest["configs"])
        have = {lane for _, lanes in blocks_of(manifest) for lane in lanes}
        index = {_config_key(config): number for number, config in enumerate(configs)}
        for config in spec.configs:
            if _config_key(config) not in index:
                index[_config_key(config)] = len(configs)
                configs.append(config)
        wanted = [index[_config_key(config)] for config in spec.configs]
        if all((config, seed) in have for config in wanted for seed in spec.seeds):
            return manifest
        planned = {number for program in manifest["programs"] for number in program["configs"]}
        programs = list(manifest["programs"])
        fresh = [config for config in spec.configs if index[_config_key(config)] not in planned]
        if fresh:
            plan = (
                self.plan()
                if len(fresh) == len(spec.configs)
                else planning.make_plan(spec._replace(configs=tuple(fresh)), self._lane_size)
            )
            programs += [_program_json(program, index) for program in plan.programs]
        generation = {"configs": wanted, "seeds": list(spec.seeds)}
        return {**manifest, "configs": configs, "programs": programs, "generations": [*manifest["generations"], generation]}

    def _check_same(self, manifest: dict, run):
        """Raises where a stored manifest is not of this study, naming the fields that differ."""
        if manifest.get("format") != 1 or "identity" not in manifest:
            raise ValueError(f"{run} holds a run of an unknown format: {manifest.get('format')!r}")
        if manifest["axes"] != list(self._spec.axes):
            raise ValueError(
                f"{run} holds another study: its axes are {manifest['axes']}, this one's are {list(self._spec.axes)}"
            )
        theirs = manifest["identity"]
        versions = {name: value for name, value in self._versions().items() if value != theirs.get(name)}
        lane_sizes = {program["lane_size"] for program in manifest["programs"]}
        if self._lane_size is not None and lane_sizes != {self._lane_size}:
            versions["lane_size"] = self._lane_size
            theirs = {**theirs, "lane_size": sorted(lane_sizes)}
        mine = versions or {name: value for name, value in self._identity(manifest).items() if value != theirs.get(name)}
        if mine:
            differing = "; ".join(f"{name} is {theirs.get(name)!r} there and {value!r} here" for name, value in mine.items())
            raise ValueError(f"{run} holds another study: {differing}")

    def _versions(self) -> dict:
        return {"jax": jax.__version__, "backend": jax.default_backend()}

    def _identity(self, manifest: dict) -> dict:
        """What makes a study itself: the program of its first config, its data, and what the bits depend on."""
        program = _program_of(manifest, 0)
        program = program._replace(configs=program.configs[:1])
        try:
            text, shared = planning.lowered_text(self._spec, program)
        except Exception:  # this study's functions cannot even trace the stored config
            return {**self._versions(), "program": None, "data": None}
        leaves = [np.ascontiguousarray(leaf) for leaf in jax.tree.leaves(shared)]
        data = hashlib.sha256(b"".join(str((leaf.shape, leaf.dtype)).encode() + leaf.tobytes() for leaf in leaves))
        return {
            **self._versions(),
            "program": hashlib.sha256(text.encode()).hexdigest()[:16],
            "data": data.hexdigest()[:16] if leaves else None,
        }

    def replay(self, config: dict, seed: int) -> tuple[Any, Any, dict]:
        """Trains one lane alone, in a full chunk of the program that the study trains it with.

        Args:
          config: values of swept names; enough of them to name one config.
          seed: its seed.

        Returns:
          (params, state, history): trained weights, the model's state, and name -> (evaluations,).
        """
        devices = engine.prepare_devices()
        engine.use_cache()
        chosen = match(self._spec.configs, config)
        if len(chosen) != 1:
            raise ValueError(f"config must name one of the study's configs, got {config}, which fits {len(chosen)}")
        program = next(program for program in self.plan().programs if chosen[0] in program.configs)
        compiled = engine.compile_programs(self._spec, {0: program}, devices)[0].result()
        (lane,) = engine.run_lanes(self._spec, program, compiled, [(chosen[0], int(seed))], lambda steps: None)
        lane = jax.tree.map(lambda leaf: leaf[0], lane)
        return lane.params, lane.state, lane.history


class Result:
    """What a study found.

    Attributes:
      lanes: list of dicts with every swept name, seed, status (``"finished"`` or ``"diverged"``) and diverged_at.
      history: name -> float32 (lanes, evaluations), rows aligned with `lanes`.
      steps: the step of each column, (evaluations,); (lanes, evaluations) with -1 beyond a lane's end where
        configs have their own schedules.
      axes: the swept names.
      path: the run folder, or None.
    """

    def __init__(self, lanes: list[dict], history: dict[str, np.ndarray], steps: np.ndarray, axes, path=None):
        self.lanes, self.history, self.steps, self.axes, self.path = lanes, history, steps, tuple(axes), path

    def __repr__(self) -> str:
        return f"Result({len(self.lanes)} lanes, {len(self.configs)} configs, {len(self.history)} metrics)"

    @property
    def configs(self) -> list[dict]:
        """The configs, in order."""
        return list({_config_key(lane, self.axes): {name: lane[name] for name in self.axes} for lane in self.lanes}.values())

    @property
    def diverged(self) -> np.ndarray:
        """Which lanes have diverged, (lanes,) bool."""
        return np.array([lane["status"] == "diverged" for lane in self.lanes], bool)

    def rows(self, config: dict) -> np.ndarray:
        """The row numbers of the lanes that have these values, in the order of their seeds.

        Raises:
          ValueError: an unknown name, or no such lane.
        """
        chosen = [row for row, lane in enumerate(self.lanes) if match([lane], config)]
        if not chosen:
            raise ValueError(f"config must fit some lane, got {config}; configs are {self.configs[:5]}")
        return np.array(sorted(chosen, key=lambda row: self.lanes[row]["seed"]))

    def metric(self, name: str) -> np.ndarray:
        """A metric's curves, (lanes, evaluations)."""
        if name not in self.history:
            raise unknown("metric", name, self.history)
        return self.history[name]

    def final(self, name: str) -> np.ndarray:
        """A metric at each lane's last evaluation, (lanes,)."""
        curves = self.metric(name)
        last = self.steps.shape[-1] - 1 if self.steps.ndim == 1 else (self.steps >= 0).sum(axis=1) - 1
        return curves[np.arange(len(curves)), last]

    def summary(self, name: str, config: dict) -> stats.Summary:
        """The distribution over seeds of a metric's last value."""
        rows = self.rows(config)
        return stats.summarise(self.final(name)[rows], self.diverged[rows], higher_is_better(name))

    def table(self, name: str) -> tables.Table:
        """A metric's last value by config: n, survived, mean, sd, median, IQM with its 95 % interval."""
        rows = [(config, self.summary(name, config)) for config in self.configs]
        return tables.summary_table(f"{name} at the last evaluation", self.axes, rows)

    def compare(self, name: str, a: dict, b: dict) -> stats.Comparison:
        """Two configs on the seeds that both have: a - b, and the probability that a is better."""
        sides = []
        for config in (a, b):
            rows = self.rows(config)
            seeds = [self.lanes[row]["seed"] for row in rows]
            if len(set(seeds)) != len(seeds):
                raise ValueError(f"config must name one config, got {config}, which fits {len(match(self.configs, config))}")
            sides.append(dict(zip(seeds, rows, strict=True)))
        common = sorted(set(sides[0]) & set(sides[1]))
        left, right = ([side[seed] for seed in common] for side in sides)
        values, lost = self.final(name), self.diverged
        return stats.compare(values[left], values[right], lost[left], lost[right], higher_is_better(name))

    def best(self, name: str, over: str) -> list[dict]:
        """The config with the best median, for every combination of the axes other than `over`.

        Raises:
          ValueError: a test metric (choosing by it would leak the test set), or an axis that is not swept.
        """
        if name.startswith("test_"):
            raise ValueError(
                f"metric must not be of the test split, got {name!r}: choose by a valid_ metric (valid_fraction above 0)"
            )
        self.metric(name)
        if over not in self.axes:
            raise unknown("axis", over, self.axes)
        groups: dict[tuple, list[dict]] = {}
        for config in self.configs:
            groups.setdefault(_config_key(config, [axis for axis in self.axes if axis != over]), []).append(config)
        sign = 1 if higher_is_better(name) else -1
        return [max(configs, key=lambda config: sign * self.summary(name, config).median) for configs in groups.values()]

    def plot(self, name: str):
        """The median curve of every config with bands that hold 50 and 90 % of its lanes: a matplotlib Figure."""
        made, axes = plots.figure(width=8, height=5)
        configs = self.configs
        for config, colour in zip(configs, plots.colours(len(configs)), strict=True):
            rows = self.rows(config)
            steps = self.steps if self.steps.ndim == 1 else self.steps[rows[0]]
            shown = steps >= 0
            label = ", ".join(f"{key}={value}" for key, value in config.items()) or "all lanes"
            curves = self.metric(name)[rows][:, shown]
            plots.band(axes[0, 0], steps[shown], curves, f"{label} (n={len(rows)})", colour, diverged=self.lost(rows)[:, shown],
                       higher_is_better=higher_is_better(name))  # fmt: skip
        plots.style(axes[0, 0], f"{name}: median, middle 50 % and 90 % of seeds", "step", name)
        if len(configs) <= 12:
            axes[0, 0].legend(fontsize=plots.FONT - 2)
        return made

    def lost(self, rows) -> np.ndarray:
        """Which of the lanes have diverged by each evaluation, (rows, evaluations) bool."""
        at = np.array([np.inf if self.lanes[row]["diverged_at"] is None else self.lanes[row]["diverged_at"] for row in rows])
        steps = self.steps if self.steps.ndim == 1 else self.steps[rows]
        return np.broadcast_to(steps, (len(rows), self.steps.shape[-1])) > at[:, None]


def load(path) -> Result:
    """Reads a run back, finished or not, under any version of jax.

    Raises:
      ValueError: there is no run in that folder.
    """
    run = pathlib.Path(path)
    manifest = store.read_manifest(run)
    if manifest is None:
        raise ValueError(f"path must be a run folder, got {path}, which has no {store.MANIFEST}")
    return _collect(manifest, {number: store.read_block(run, number) for number in store.finished_blocks(run)}, run)


def higher_is_better(metric: str) -> bool:
    """Whether larger values of a metric are better: all but losses, errors and norms."""
    return not any(word in metric for word in LOWER_IS_BETTER)


def match(configs, wanted: dict) -> list[dict]:
    """The configs that have the wanted values."""
    for name in wanted:
        if configs and name not in configs[0]:
            raise unknown("axis", name, configs[0])
    return [config for config in configs if all(config[name] == value for name, value in wanted.items())]


def _config_key(config: dict, names=None) -> tuple:
    return tuple((name, type(config[name]).__name__, config[name]) for name in (config if names is None else names))


def blocks_of(manifest: dict) -> list[tuple[int, list[tuple[int, int]]]]:
    """The blocks of a run: (program number, [(config number, seed)]). They follow from the manifest alone."""
    program_of = {config: number for number, program in enumerate(manifest["programs"]) for config in program["configs"]}
    have: set[tuple[int, int]] = set()
    blocks = []
    for generation in manifest["generations"]:
        lanes = [(config, seed) for seed in generation["seeds"] for config in generation["configs"]]
        fresh = [lane for lane in lanes if lane not in have]
        have.update(fresh)
        for number, program in enumerate(manifest["programs"]):
            mine = [lane for lane in fresh if program_of[lane[0]] == number]
            size = CHUNKS * program["lane_size"]
            blocks += [(number, mine[begin : begin + size]) for begin in range(0, len(mine), size)]
    return blocks


def _program_json(program: planning.Program, index: dict) -> dict:
    return {
        "configs": [index[_config_key(config)] for config in program.configs],
        "axes": {name: list(axis) for name, axis in program.axes.items()},
        "steps": program.schedule.steps,
        "eval_every": program.schedule.eval_every,
        "lane_size": program.lane_size,
        "work": program.work,
    }


def _program_of(manifest: dict, number: int) -> planning.Program:
    stored = manifest["programs"][number]
    return planning.Program(
        configs=tuple(manifest["configs"][config] for config in stored["configs"]),
        axes={name: planning.Axis(*axis) for name, axis in stored["axes"].items()},
        schedule=Schedule(stored["steps"], stored["eval_every"]),
        lane_size=stored["lane_size"],
        work=stored["work"],
    )


def _block_arrays(chunks: list[Lane], lanes) -> dict[str, np.ndarray]:
    """A block's results as arrays with a leading axis of lanes."""
    history = {name: np.concatenate([chunk.history[name] for chunk in chunks]) for name in chunks[0].history}
    return {
        "config": np.array([config for config, _ in lanes], np.int32),
        "seed": np.array([seed for _, seed in lanes], np.uint32),
        "diverged_at": np.concatenate([chunk.diverged_at for chunk in chunks]),
        **{f"history/{name}": values for name, values in history.items()},
    }


def _collect(manifest: dict, blocks: dict[int, dict], run) -> Result:
    """The result that stored blocks hold, configs in declared order, seeds in theirs."""
    schedules = {number: _program_of(manifest, number).schedule.due() for number in range(len(manifest["programs"]))}
    widest = max((len(due) for due in schedules.values()), default=0)
    program_of = {config: number for number, program in enumerate(manifest["programs"]) for config in program["configs"]}
    records = []
    for arrays in blocks.values():
        names = [name for name in arrays if name.startswith("history/")]
        for row in range(len(arrays["seed"])):
            records.append(
                (int(arrays["config"][row]), int(arrays["seed"][row]), int(arrays["diverged_at"][row]), arrays, row, names)
            )
    records.sort(key=lambda record: record[:2])
    lanes = []
    for config, seed, diverged_at, *_ in records:
        status = "finished" if diverged_at < 0 else "diverged"
        lanes.append(
            {
                **manifest["configs"][config],
                "seed": seed,
                "status": status,
                "diverged_at": None if diverged_at < 0 else diverged_at,
            }
        )
    keys = list(dict.fromkeys(name for record in records for name in record[5]))
    history = {key.removeprefix("history/"): np.full((len(records), widest), np.nan, np.float32) for key in keys}
    for row, (*_, arrays, place, names) in enumerate(records):
        for name in names:
            values = arrays[name][place]
            history[name.removeprefix("history/")][row, : len(values)] = values
    steps = _steps(schedules, [program_of[record[0]] for record in records])
    return Result(lanes, history, steps, manifest["axes"], run)


def _steps(schedules: dict[int, tuple], programs: list[int]) -> np.ndarray:
    if len(set(schedules.values())) == 1:
        return np.array(next(iter(schedules.values())))
    widest = max((len(due) for due in schedules.values()), default=0)
    return np.array([[*schedules[program], *[-1] * (widest - len(schedules[program]))] for program in programs])


def versions() -> dict[str, str]:
    """The versions of the packages that results depend on."""
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "optax", "numpy")}


__all__ = ["SETTINGS", "Result", "Study", "load"]
