"""Study: the face of the library."""

import datetime
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl import engine, store
from jaxdl import manifest as manifests
from jaxdl import plan as planning
from jaxdl.checks import one_of, positive_int
from jaxdl.progress import progress as show_progress
from jaxdl.result import Result, collect, load, match
from jaxdl.spec import declare
from jaxdl.train import Lane, Recipe


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
        self.spec = declare(task, model, optimizer, settings, record, defaults, sweep, seeds)
        self._shapes = one_of("shapes", shapes, ("auto", "pad", "bucket"))
        self._lane_size = None if lane_size is None else positive_int("lane_size", lane_size)
        self._plan: planning.Plan | None = None

    def plan(self) -> planning.Plan:
        """What is traced, what is static and why, and the programs that follow; nothing is run."""
        if self._plan is None:
            self._plan = planning.make_plan(self.spec, self._lane_size)
        return self._plan

    def run(self, path=None, progress: bool = False) -> Result:
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
        manifest = self._open(run)
        wanted = {manifests.config_key(config) for config in self.spec.configs}
        mine = {number for number, config in enumerate(manifest["configs"]) if manifests.config_key(config) in wanted}
        seeds = set(self.spec.seeds)
        blocks = {
            number: block
            for number, block in enumerate(manifests.blocks_of(manifest))
            if any(config in mine and seed in seeds for config, seed in block[1])
        }
        done = {} if run is None else {n: store.read_block(run, n) for n in store.finished_blocks(run) if n in blocks}
        missing = {number: block for number, block in blocks.items() if number not in done}
        for number, arrays, seconds in self._compute(manifest, missing, devices, progress):
            done[number] = arrays
            if run is not None:
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                event = {
                    "program": blocks[number][0],
                    "lanes": len(blocks[number][1]),
                    "seconds": round(seconds, 3),
                    "finished": now,
                }
                store.write_block(run, number, arrays, event)
        return collect(manifest, done, run, self.spec.configs, seeds)

    def _open(self, run: pathlib.Path | None) -> dict:
        """The manifest of the run with this study's lanes in it, on disk where there is a folder."""
        stored = None if run is None else store.read_manifest(run)
        if stored is not None:
            manifests.check_same(stored, self.spec, self._lane_size, run)
        elif run is not None and run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ValueError(f"path must be a new folder or one that holds this study, got {run}, which holds something else")
        manifest = manifests.grow(stored or manifests.empty(self.spec), self.spec, self._planned)
        if stored is None:
            manifest = {**manifest, "identity": manifests.identity(manifest, self.spec)}
        if run is not None and manifest != stored:
            store.write_manifest(run, manifest)
        return manifest

    def _planned(self, spec) -> planning.Plan:
        return self.plan() if spec.configs == self.spec.configs else planning.make_plan(spec, self._lane_size)

    def _compute(self, manifest: dict, missing: dict, devices, progress: bool):
        """Trains the missing blocks: yields (number, arrays, seconds)."""
        if not missing:
            return
        programs = {
            number: manifests.program_of(manifest, number) for number in sorted({number for number, _ in missing.values()})
        }
        total = sum(len(lanes) * programs[program].schedule.steps * programs[program].work for program, lanes in missing.values())
        with show_progress(progress, total) as shown:
            compiled = engine.compile_programs(self.spec, programs, devices)
            for number, (program_number, lanes) in missing.items():
                program, future = programs[program_number], compiled[program_number]
                if not future.done():
                    shown.say(f"compiling program {program_number + 1} of {len(manifest['programs'])}")
                ready = future.result()
                shown.say(f"training block {number + 1} of {max(missing) + 1}")
                begin = time.perf_counter()
                named = [(manifest["configs"][config], seed) for config, seed in lanes]
                advance = lambda steps, work=program.work: shown.advance(steps * work)  # noqa: E731
                chunks = list(engine.run_lanes(self.spec, program, ready, named, advance))
                yield number, _block_arrays(chunks, lanes), time.perf_counter() - begin

    def recipe(self, config: dict) -> Recipe:
        """What a config trains with: its task, model and optimizer, made with concrete values."""
        return planning.concrete_recipe(self.spec, self._one(config))

    def _one(self, config: dict) -> dict:
        """The study's config that has these values."""
        chosen = match(self.spec.configs, config)
        if len(chosen) != 1:
            raise ValueError(f"config must name one of the study's configs, got {config}, which fits {len(chosen)}")
        return chosen[0]

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
        chosen = self._one(config)
        program = next(program for program in self.plan().programs if chosen in program.configs)
        compiled = engine.compile_programs(self.spec, {0: program}, devices)[0].result()
        (lane,) = engine.run_lanes(self.spec, program, compiled, [(chosen, int(seed))], lambda steps: None)
        lane = jax.tree.map(lambda leaf: leaf[0], lane)
        return lane.params, lane.state, lane.history


def _block_arrays(chunks: list[Lane], lanes) -> dict[str, np.ndarray]:
    """A block's results as arrays with a leading axis of lanes."""
    history = {name: np.concatenate([chunk.history[name] for chunk in chunks]) for name in chunks[0].history}
    return {
        "config": np.array([config for config, _ in lanes], np.int32),
        "seed": np.array([seed for _, seed in lanes], np.uint32),
        "diverged_at": np.concatenate([chunk.diverged_at for chunk in chunks]),
        **{f"history/{name}": values for name, values in history.items()},
    }


__all__ = ["Result", "Study", "load"]
