"""Study: the face of the library."""

import functools
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxdl import metrics
from jaxdl.checks import (
    brief,
    check_float32,
    folder,
    function_of,
    known_arguments,
    one_of,
    positive_int,
    seed_of,
    unknown,
)
from jaxdl.planning import axes as planning
from jaxdl.planning.config import Config, config_key
from jaxdl.planning.identity import identity_of
from jaxdl.planning.program import Program, concrete_recipe
from jaxdl.planning.seeds import Seed, Seeds, seed_list
from jaxdl.planning.spec import Spec, config_finder, declare
from jaxdl.reporting.words import html_table
from jaxdl.result import Result, collect, load, match, told
from jaxdl.running import (
    blocks,
    compiler,
    engine,
    ensemble,
    events,
    executors,
    jobs,
    shards,
    tune,
)
from jaxdl.running import manifest as manifests
from jaxdl.running.narrow import (
    Narrow,
    Narrowed,
    check_narrow,
    found_of_config,
    found_of_pair,
    looks,
)
from jaxdl.running.opening import open_run
from jaxdl.running.progress import in_notebook, is_shown, say
from jaxdl.running.progress import progress as show_progress
from jaxdl.running.replay import Trained, replay, train_lanes, worst_gap
from jaxdl.train import NORM_BOUND, Recipe

MEASURE = "measure"


class Study:
    """A study: every combination of swept values times every seed, each trained as one lane.

    Args:
      task, model, optimizer: values, or functions of ``hp``.
      defaults: name -> value of the hyper-parameters that are not swept.
      sweep: name -> list of values (their product), or a list of configs. Functions as ``{label:
        function}``.
      seeds: how many (0, 1, ...), or which; or `Seeds`, one a random stream.
      steps, batch_size, eval_every, reduction, sampling: settings; also functions of ``hp``, or
        names in `defaults` or `sweep`, but in one place only. By default batch_size is all training
        rows, eval_every a fiftieth of steps, reduction ``"mean"`` and sampling ``"step"`` (none for
        a task that brings batches).
      shapes: how sizes that could share a program are grouped: ``"auto"``, ``"pad"`` or
        ``"bucket"``.
      lane_size: lanes vmapped together. By default, on CPU, so many that a step's arrays stay in a
        core's cache; ``"measure"``, the default on other backends, times some sizes and remembers
        the fastest, by program and device.
      record: name -> ``(train.StepInfo) -> scalar``.
      eval_params: ``(params, opt_state) -> params``, the weights that are evaluated, and returned
        by `replay`, where the optimizer trains others: ``lambda params, opt_state:
        optax.contrib.schedule_free_eval_params(opt_state, params)``.
      norm_bound: a lane whose parameters would get a larger Euclidean norm counts as diverged;
        above 0, at most 1e18.
      eval_train_rows: how many rows of the training split are evaluated: drawn once, the same ones
        for every lane. All by default; for large data a few thousand tell as much in less time.
      accumulate: micro-batches that every batch is computed in, for the memory of one of them; it
        divides the batch size. See `make_train`.
      rewrite_convolutions: whether the convolutions of a model, whatever library wrote it, are put
        into forms that are fast inside a loop on CPU: the same numbers up to rounding.

    A study pickles as what it declares: what it has planned, compiled and trained stays where it
    is. Tasks and models are functions made by functions, which cloudpickle takes and pickle does
    not.

    Raises:
      ValueError: a line that names the parameter, the allowed range and the value given.
    """

    @known_arguments
    def __init__(
        self,
        task,
        model,
        optimizer,
        *,
        defaults: Mapping[str, Any] | None = None,
        sweep: Mapping[str, Iterable] | Sequence[Mapping[str, Any]] | None = None,
        seeds: int | Sequence[int] | Seeds = 1,
        steps: int | Callable | None = None,
        batch_size: int | Callable | None = None,
        eval_every: int | Callable | None = None,
        reduction: str | Callable | None = None,
        sampling: str | Callable | None = None,
        shapes: str = "auto",
        lane_size: int | str | None = None,
        record: dict[str, Callable] | None = None,
        eval_params: Callable | None = None,
        norm_bound: float = NORM_BOUND,
        eval_train_rows: int | None = None,
        accumulate: int = 1,
        rewrite_convolutions: bool = True,
    ):
        compiler.choose_devices()  # a setting that is a function may start jax's backend
        settings = {
            "batch_size": batch_size,
            "steps": steps,
            "eval_every": eval_every,
            "reduction": reduction,
            "sampling": sampling,
        }
        self.spec = declare(
            task,
            model,
            optimizer,
            settings,
            record,
            defaults,
            sweep,
            seeds,
            eval_params,
            norm_bound,
            eval_train_rows,
            accumulate,
            rewrite_convolutions,
        )
        self._shapes = one_of("shapes", shapes, ("auto", "pad", "bucket"))
        self._measures = isinstance(lane_size, str) and lane_size == MEASURE
        self._lane_size = (
            None if lane_size is None or self._measures else positive_int("lane_size", lane_size)
        )
        self._begin()

    def _begin(self):
        """Sets up what a study finds out in its life; nothing yet."""
        self._plan: planning.Plan | None = None
        self._ready: dict[str, Future] = {}
        self._identities: dict[str, dict] = {}  # of programs, as they are stored
        self._hashed: dict[int, tuple] = {}  # arrays shared by lanes, and their digests
        self._last: tuple[dict, Result] | None = None  # manifest and result of the last run

    def __reduce__(self):
        declared = (self.spec, self._shapes, self._measures, self._lane_size)
        return _unpickled, (type(self),), declared

    def __setstate__(self, declared: tuple):
        self.spec, self._shapes, self._measures, self._lane_size = declared
        self._begin()

    def __repr__(self) -> str:
        axes = ", ".join(self.spec.axes) or "no axes"
        return f"Study({len(self.spec.configs)} configs x {len(self.spec.seeds)} seeds; {axes})"

    def _repr_html_(self) -> str:
        values: dict[str, list] = {name: [] for name in self.spec.axes}
        for config in self.spec.configs:
            for name, value in config.values.items():
                values[name].append(str(value))
        rows = []
        for name, given in values.items():
            distinct = list(dict.fromkeys(given))
            rows.append((name, len(distinct), ", ".join(distinct)))
        lanes = len(self.spec.configs) * len(self.spec.seeds)
        title = f"{self!r}: {lanes} lanes"
        return html_table(title, ("axis", "values", ""), rows)

    @compiler.cache()
    def plan(self, measure: bool = False) -> planning.Plan:
        """What is traced, padded and static and why, and the programs that follow.

        Args:
          measure: also compiles the programs and times a burst of each, for the memory and the time
            that they take here; else these are estimated from the abstract evaluation and not
            shown.
        """
        check_float32()
        if self._plan is None:
            compiler.prepare_devices()
            self._plan = self._make_plan(self.spec)
        if measure and not self._plan.measured:
            self._plan = self._plan._replace(measured=self._measured(self._plan.programs))
        return self._plan

    def _measured(self, programs: tuple[Program, ...]) -> tuple[planning.Measured, ...]:
        futures = self._compiled(dict(enumerate(programs)))
        try:
            compiled = [futures[number].result() for number in range(len(programs))]
        finally:
            for future in futures.values():
                # what has not begun to compile is not needed after an error or Ctrl-C
                future.cancel()
        measured = []
        for program, ready in zip(programs, compiled, strict=True):
            lane_seconds = engine.calibrate(self.spec, program, ready)
            measured.append(planning.Measured(ready.bytes, lane_seconds))
        return tuple(measured)

    @compiler.cache()
    def run(
        self,
        path: str | os.PathLike | None = None,
        progress: bool | None = None,
        shard: str | tuple[int, int] | None = None,
        until: Narrow | None = None,
        on_event: events.Tell | None = None,
        executor: Any = None,
    ) -> Result:
        """Trains every lane that is not stored yet.

        Args:
          path: run folder, made where it is not there; the same call continues it. None keeps all
            in memory.
          progress: shows progress, on stderr or below a notebook's cell; by default on a terminal
            and in a notebook.
          shard: ``"i/n"`` or (i, n) to train only every n-th block, from the i-th; ``"auto"`` takes
            i and n from SLURM's or Open MPI's environment or from `jax.distributed`, and trains all
            where there is none of them, with a line on stderr. None trains all, whatever the
            environment says.
          until: adds seeds, beyond those of the study, until the interval of a mean is narrow in
            every config: ``Narrow("test_accuracy", width=0.005, most=5000)``; or that of a mean
            difference, with ``compare=(a, b)``. One looks at 32 seeds or all that are declared, and
            at half as many again each time, and stops at the first look at which it is narrow. The
            intervals are valid for that (`stats.always_valid_interval`): each holds its mean with
            95 %, exactly for accuracies and other bounded metrics. Lanes that diverged are left
            out of means, and counted beside. Where to stop follows from the lanes of each look
            alone: a run that was killed and continued ends with the same seeds. The result says
            what it stopped at (`Result.narrowed`, below tables), also that `most` was not enough.
          on_event: ``(event)``, called here with a dict as a run starts, as a block of lanes is
            stored, and as it is done.
          executor: plans and trains on its workers: a `concurrent.futures.Executor` whose processes
            are spawned, Dask's ``client.get_executor()``, submitit's, or what has their ``submit``.
            A block is a job (of very many blocks some are), and what workers store in `path`, which
            they share, has the bytes of a run without them. The job of a worker that is lost is
            sent again, twice at most; what a user's function raises is raised here.

        Returns:
          The study's lanes that are stored when it ends; where some are missing (`Result.missing`:
          those of other shards, or after Ctrl-C), a line on stderr says so.

        Raises:
          ValueError: the folder holds another study, or the shard is out of range; several shards
            and `until`, which looks at all lanes; `executor` without a path, or with a shard.
          BrokenExecutor: the executor has lost workers too often, or takes no more jobs: what is
            stored is kept, and the same call with another one continues.
          ImportError: cloudpickle is not installed, and there is an executor.
          KeyboardInterrupt: after Ctrl-C, once the running block is saved; in a notebook the
            partial result is returned.
        """
        check_float32()
        run = None if path is None else folder("path", path)
        share = shards.find(shard)
        if isinstance(shard, str) and shard == shards.AUTO and share.processes == 1:
            say(
                "shard 'auto' found no other process in the environment: all blocks are trained "
                "here"
            )
        if run is None and share.processes > 1:
            raise ValueError(
                "path must be a run folder that the processes share where there are "
                f"{share.processes} shards, got None"
            )
        if until is not None and share.processes > 1:
            raise ValueError(
                "shard must not be given with until, as where to stop is seen from all lanes, got "
                f"{share.process}/{share.processes}"
            )
        if on_event is not None:
            function_of("on_event", on_event, "(event)", None)
        crew = None if executor is None else self._crew(executor, run, shard)
        if crew is None:
            compiler.prepare_devices()
        tell = events.untold if on_event is None else on_event
        if on_event is not None:
            tell(events.started(self.spec, run))
        if until is None:
            result = self._train(self.spec, run, share, progress, tell=tell, crew=crew)[0]
        else:
            result = self._train_until(until, run, share, progress, tell, crew)
        tell(events.done(result.lanes, result.missing))
        return result

    def _train(
        self,
        spec: Spec,
        run: pathlib.Path | None,
        share: shards.Shard,
        progress: bool | None,
        before: tuple[dict, dict] | None = None,
        tell: events.Tell = events.untold,
        crew: executors.Crew | None = None,
    ) -> tuple[Result, tuple[dict, dict]]:
        """Trains the missing lanes of a spec.

        Args:
          spec: this study's, or one with more seeds.
          before: manifest and blocks of a run in memory that goes on.
          tell: hears of the blocks.
          crew: who trains; this process where None.

        Returns:
          (result, (manifest, blocks)).
        """
        begun, kept = before or (None, None)
        plans = functools.partial(self._planned, progress=progress)
        reopened = None if run is None else lambda: self._open(run, spec, plans)
        there = blocks.Run(spec, run, share, self._compiled, progress, reopened, tell)
        if crew is None:
            manifest = self._open(run, spec, plans, self._lane_size, begun)
            train = functools.partial(blocks.train_blocks, before=kept)
        else:
            manifest = jobs.opened(there, crew)
            train = functools.partial(jobs.train_blocks, crew=crew)
        try:
            manifest, trained = train(there, manifest)
        except KeyboardInterrupt:
            if run is None or not in_notebook():
                raise
            trained = blocks.stored(manifest, run)
        mine = [config.values for config in spec.configs]
        result = told(collect(manifest, trained, run, mine, spec.seeds))
        self._last = (manifest, result)
        return result, (manifest, trained)

    def _crew(self, executor, run: pathlib.Path | None, shard) -> executors.Crew:
        """The workers of an executor; refuses what does not go with one."""
        executors.check_executor(executor)
        if run is None:
            raise ValueError(
                "path must be a run folder that the workers of the executor share, got None"
            )
        if shard is not None:
            raise ValueError(
                "shard must not be given with executor, whose workers share all blocks, got "
                f"{brief(shard)}"
            )
        return executors.crew_of(executor, self._work)

    @compiler.cache()
    def _work(self, job: jobs.Job) -> jobs.Done:
        """Does a job of a run with an executor, in a worker."""
        check_float32()
        compiler.prepare_devices()
        spec = self.spec._replace(seeds=job.seeds)
        share = jobs.share_of(job) if job.blocks else None
        manifest = self._open(job.path, spec, self._planned, self._lane_size)
        if share is None:
            return jobs.Done(manifest)
        told: list[events.Event] = []
        tell = told.append if job.tells else events.untold
        there = blocks.Run(
            spec,
            job.path,
            share,
            self._compiled,
            progress=False,
            tell=tell,
            asked=lambda: job.command,
        )
        blocks.train_missing(there, manifest)
        return jobs.Done(told=tuple(told))

    def _train_until(
        self,
        until: Narrow,
        run: pathlib.Path | None,
        share: shards.Shard,
        progress: bool | None,
        tell: events.Tell,
        crew: executors.Crew | None,
    ) -> Result:
        """Trains more and more seeds, until the intervals are narrow or there are too many."""
        asked = check_narrow(until, self.spec.seeds)
        if asked.compare is not None:
            a, b = (self._one(dict(side)).values for side in asked.compare)
            asked = asked._replace(compare=(a, b))
        self._check_metric(asked.metric)
        bounds = asked.bounds or self._bounds(asked.metric)
        before = None
        for seeds in looks(self.spec.seeds, asked.most):
            spec = self.spec._replace(seeds=seeds)
            result, trained = self._train(spec, run, share, progress, before, tell, crew)
            before = trained if run is None else None
            if not result.complete:  # interrupted in a notebook
                break
            result.narrowed = _narrowed(result, asked, bounds, len(seeds))
            if is_shown(progress):
                say(result.narrowed.progress)
            if result.narrowed.reached:
                break
        return result

    def _check_metric(self, name: str):
        """Refuses a metric that some program does not keep, before anything is trained."""
        for program in self.plan().programs:
            history = self._identity(program)["history"]
            if name not in history:
                raise unknown("metric", name, history)

    def _bounds(self, metric: str) -> tuple[float, float] | None:
        """The bounds of a metric that is a share in all configs; None of others."""
        _, _, name = metric.partition("_")  # what follows the split
        shares = []
        for config in self.spec.configs:
            declared = concrete_recipe(self.spec.parts, config).task.metrics.get(name)
            shares.append(metrics.is_share(declared))
        return (0.0, 1.0) if all(shares) else None

    def _open(
        self,
        run: pathlib.Path | None,
        spec: Spec,
        plans: Callable[[Spec], planning.Plan],
        lane_size: int | None = None,
        before: dict | None = None,
    ) -> dict:
        """The manifest of a run with the lanes of a spec in it."""
        return open_run(run, spec, lane_size, plans, self._identity, before)

    def _identity(self, program: Program) -> dict:
        """What a program trains, found once in the life of a study: it takes a trace."""
        key = repr(program._replace(lane_size=0))
        if key not in self._identities:
            self._identities[key] = identity_of(self.spec.parts, program, self._hashed)
        return self._identities[key]

    def _planned(self, spec: Spec, progress: bool | None = False) -> planning.Plan:
        whole = spec.configs == self.spec.configs
        if whole and self._plan is not None:
            return self._plan
        with show_progress(progress, 1) as display:
            display.attempt("planning")
            plan = self.plan() if whole else self._make_plan(spec)
            count = len(plan.programs)
            display.say(f"planned {plan.lanes} lanes in {count} program{'s' * (count != 1)}")
        return plan

    def _make_plan(self, spec: Spec) -> planning.Plan:
        whole = spec.configs == self.spec.configs
        plan = planning.make_plan(spec, self._lane_size, self._shapes, whole)
        measures = self._lane_size is None and (self._measures or jax.default_backend() != "cpu")
        return tune.with_best_lane_sizes(spec, plan) if measures else plan

    def _compiled(self, programs: dict[int, Program]) -> dict[int, Future]:
        """The programs, compiling or compiled; each is compiled once in the life of a study."""
        known = {name for name, future in self._ready.items() if not future.cancelled()}
        fresh = {n: program for n, program in programs.items() if repr(program) not in known}
        if fresh:
            futures = compiler.compile_programs(self.spec.parts, fresh, jax.local_devices())
            self._ready.update({repr(fresh[number]): futures[number] for number in fresh})
        return {number: self._ready[repr(program)] for number, program in programs.items()}

    def recipe(self, config: dict) -> Recipe:
        """What a config trains with: its task, model and optimizer, made with concrete values."""
        return concrete_recipe(self.spec.parts, self._one(config))

    def _one(self, config: dict) -> Config:
        """The study's config that has these values."""
        fitting = match([each.values for each in self.spec.configs], config)
        if len(fitting) != 1:
            raise ValueError(
                f"config must name one of the study's configs, got {brief(config)}, which fits "
                f"{len(fitting)}"
            )
        return config_finder(self.spec)(fitting[0])

    @compiler.cache()
    def replay(self, config: dict, seed: int, progress: bool = False) -> tuple[Any, Any, dict]:
        """Trains one lane alone, in a full chunk of the program that the study trains it with.

        Args:
          config: values of swept names; enough of them to name one config.
          seed: its seed; of a study with `Seeds` the place of the combination, as in `lanes`.
          progress: says on stderr how far it is, and how it compares with the lane that the last
            `run` of this study stored. A difference is a warning in any case.

        Returns:
          (params, state, history): trained weights (of a padded lane: those of its own sizes), the
          model's state, and name -> (evaluations,).
        """
        check_float32()
        one, seed = self._one(config), seed_of("seed", seed)
        program = self._program(one)
        of_lane = self._seed_at(seed)
        with show_progress(progress, program.schedule.steps) as display:
            display.say(f"compiling, to train seed {seed} again")
            compiled = self._compiled({0: program})[0].result()
            display.say(f"training seed {seed} again")
            display.begin()
            replayed = replay(self.spec, program, compiled, one, of_lane, display.advance)
        self._compare(one.values, seed, replayed.history, progress)
        return tuple(replayed)

    def _seed_at(self, seed: int) -> Seed:
        """What a lane with this in its column ``seed`` draws from."""
        if not self.spec.parts.seed_shape:
            return seed
        count = len(self.spec.seeds)
        if seed >= count:
            raise ValueError(
                f"seed must be the place of one of the {count} combinations of seeds, from 0 to "
                f"{count - 1}, got {seed}"
            )
        return self.spec.seeds[seed]

    def _wanted(self, seeds: int | Sequence[int] | None) -> tuple[int, ...]:
        """The seeds asked for, as they stand in the column ``seed``; the study's by default."""
        if seeds is None and self.spec.parts.seed_shape:
            return tuple(range(len(self.spec.seeds)))
        if isinstance(seeds, Seeds):
            raise ValueError(f"seeds must be places of combinations of seeds, got {seeds}")
        listed = self.spec.seeds if seeds is None else seed_list(seeds)
        return tuple(seed for seed in listed if isinstance(seed, int))

    @compiler.cache()
    def weights(
        self,
        config: dict,
        seeds: int | Sequence[int] | None = None,
        progress: bool | None = None,
    ) -> Trained:
        """Trains many lanes of a config again, for their weights, at the speed of a run.

        Each lane has the bits that `replay` gives it. A difference to the lanes that the last `run`
        of this study stored is a warning.

        Args:
          config: values of swept names; enough of them to name one config.
          seeds: how many (0, 1, ...), or which; all of the study's by default.
          progress: as of `run`.

        Returns:
          (params, state, history, seeds, diverged_at): trees whose leaves have a leading axis of
          seeds, and the step at which each lane diverged, -1 where it did not. Those of a lane that
          diverged are its weights before it did.
        """
        check_float32()
        one = self._one(config)
        wanted = self._wanted(seeds)
        program = self._program(one)
        with show_progress(progress, len(wanted) * program.schedule.steps) as display:
            display.say("compiling")
            compiled = self._compiled({0: program})[0].result()
            display.say("training")
            display.begin()
            drawn = {seed: self._seed_at(seed) for seed in wanted}
            trained = train_lanes(self.spec, program, compiled, one, drawn, display.advance)
        self._compare_all(one.values, trained)
        return trained

    def predict(
        self,
        config: dict,
        X: Any,
        seeds: int | Sequence[int] | None = None,
        weights: Trained | None = None,
    ) -> Float[np.ndarray, "lanes samples ..."]:
        """Computes what every lane of a config says of new inputs: the outputs of an ensemble.

        Args:
          config: values of swept names; enough of them to name one config.
          X: (n, features...), or images (n, height, width, channels), as a task's arrays are handed
            in; the task's `prepare` is applied.
          seeds: as of `weights`, which trains the lanes.
          weights: the lanes, where they are trained already, in place of `seeds`.

        Returns:
          (seeds, n, outputs), or (seeds, n) of a model with one number a sample; NaN of a lane that
          has diverged.

        Raises:
          ValueError: inputs of another shape or kind than those of training.
        """
        check_float32()
        recipe = self.recipe(config)
        ensemble.as_trained(recipe, X)  # before anything is trained
        if weights is not None and seeds is not None:
            raise ValueError(f"seeds must not be given beside weights, got {brief(seeds)}")
        if weights is not None and not isinstance(weights, Trained):
            raise TypeError(f"weights must be what study.weights gives, got {brief(weights)}")
        trained = self.weights(config, seeds) if weights is None else weights
        return ensemble.predict(recipe, trained, X)

    def _program(self, config: Config) -> Program:
        """The program that trains a config: the stored one where there has been a run."""
        if self._last is None:
            return next(program for program in self.plan().programs if program.trains(config))
        manifest, _ = self._last
        key = config_key(config.values)
        number = next(
            number
            for number in range(len(manifest["programs"]))
            if key in map(config_key, manifests.values_of(manifest, number))
        )
        return manifests.program_of(manifest, number, config_finder(self.spec))

    def _compare(self, config: dict, seed: int, history: dict, progress: bool):
        """Reports how a replayed lane differs from the stored one, if there is one."""
        if self._last is None:
            return
        _, result = self._last
        rows = [
            row
            for row, lane in enumerate(result.lanes)
            if lane["seed"] == seed and match([lane], config)
        ]
        if not rows:
            return
        stored = {name: values[rows[0]] for name, values in result.history.items()}
        name, gap = worst_gap(history, stored)
        if gap:
            warnings.warn(
                f"the replay of seed {seed} at {config} differs by up to {gap:.1g} in {name} from "
                "the stored lane",
                stacklevel=3,
            )
        elif progress:
            with show_progress(True, 1) as line:
                line.say(f"the replay of seed {seed} at {config} is bit-equal to the stored lane")

    def _compare_all(self, config: dict, trained: Trained):
        """Warns where trained lanes differ from stored ones."""
        if self._last is None:
            return
        _, result = self._last
        if not match(result.configs, config):
            return
        row_of = {result.lanes[row]["seed"]: row for row in result.rows(config)}
        gaps = []
        for place, seed in enumerate(trained.seeds):
            if seed in row_of:
                stored = {name: values[row_of[seed]] for name, values in result.history.items()}
                own = {name: values[place] for name, values in trained.history.items()}
                gaps.append(worst_gap(own, stored))
        differing = [gap for gap in gaps if gap[1]]
        if differing:
            name, gap = max(differing, key=lambda named: named[1])
            warnings.warn(
                f"{len(differing)} of {len(gaps)} lanes at {config} differ from the stored ones, "
                f"by up to {gap:.1g} in {name}",
                stacklevel=3,
            )


def _unpickled(kind: type[Study]) -> Study:
    """An empty study, made before its parts are: arrays among them would start jax's backend."""
    compiler.choose_devices()
    return kind.__new__(kind)


def _narrowed(
    result: Result,
    asked: Narrow,
    bounds: tuple[float, float] | None,
    seeds: int,
) -> Narrowed:
    """The always-valid intervals of every config, or of a difference, at a look."""
    final, diverged = result.final(asked.metric), result.diverged
    if asked.compare is not None:
        # Rows stand in the order of seeds, and both configs have all of them.
        a, b = (result.rows(dict(side)) for side in asked.compare)
        of = " minus ".join(map(_pairs, asked.compare))
        values, lost = (final[a], final[b]), (diverged[a], diverged[b])
        return Narrowed(asked, bounds, seeds, (found_of_pair(of, values, lost, bounds),))
    found = []
    for config in result.configs:
        rows = result.rows(config)
        found.append(found_of_config(_pairs(config), final[rows], diverged[rows], bounds))
    return Narrowed(asked, bounds, seeds, tuple(found))


def _pairs(config: Mapping) -> str:
    return ", ".join(f"{name}={value}" for name, value in config.items()) or "all lanes"


__all__ = ["Result", "Study", "load"]
