"""A run whose blocks the workers of an executor train: what is asked of them, and their answers.

A job is what one call asks of a worker: to open the run, which plans it where nobody has, or to
train some of its blocks. Results come back through the run folder. The process that asks plans,
compiles and trains nothing: it may stand on a machine without the workers' devices.
"""

import math
import os
import pathlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from jaxdl.planning.seeds import Seed
from jaxdl.running import store
from jaxdl.running.blocks import Block, Run, missing, stored
from jaxdl.running.events import Event, untold
from jaxdl.running.executors import Crew, Outcome, call_all
from jaxdl.running.files import host
from jaxdl.running.progress import progress
from jaxdl.running.session import command
from jaxdl.running.shards import Chosen

MOST_JOBS = 256  # of a run, about: where it has more blocks, a job has several
LATE_SECONDS = 60.0  # until a network drive shows a file that another machine has written
LOOK_SECONDS = 0.5  # between two looks for such a file


class Job(NamedTuple):
    """What a worker is asked for."""

    path: pathlib.Path  # run folder, absolute: a worker may stand in another folder
    seeds: tuple[Seed, ...]
    command: str | None  # of the process that asks
    blocks: tuple[int, ...] = ()  # to train; none: to open the run
    tells: bool = False  # whether somebody here wants to hear of the blocks


class Done(NamedTuple):
    """What a worker answers."""

    manifest: dict | None = None  # of a job that opens the run
    told: tuple[Event, ...] = ()  # of a job that trains


def opened(run: Run, crew: Crew) -> dict:
    """Has a worker open a run, and so plan what is not planned yet; returns its manifest."""
    manifests = []
    with progress(run.progress, 1) as display:
        display.attempt("planning, on a worker")
        job = _job(run)
        call_all(
            crew,
            [job],
            job.path,
            lambda place, outcome: manifests.append(outcome.value.manifest),
        )
    return manifests[0]


def train_blocks(run: Run, manifest: dict, crew: Crew) -> tuple[dict, dict[int, dict]]:
    """Has workers train the blocks that are missing.

    Returns:
      (manifest, blocks): as `blocks.train_blocks`.

    Raises:
      ValueError: blocks that workers have stored do not show here.
    """
    todo = missing(run, manifest, {})
    while todo:
        workers = _train(run, manifest, crew, todo)
        todo = missing(run, manifest, {})
        if not todo:
            break
        # A worker has run out of memory and halved lane_size, and with it the blocks.
        now = opened(run, crew)
        if now == manifest:
            todo = _late(run, manifest, workers)
        else:
            manifest = now
            todo = missing(run, manifest, {})
    return manifest, stored(manifest, run.path)


def _train(run: Run, manifest: dict, crew: Crew, todo: dict[int, Block]) -> list[str]:
    """Has blocks trained, and says how far that is; returns which workers did it."""
    bundles = bundled(todo)
    seconds = [sum(_seconds(manifest, todo[number]) for number in each) for each in bundles]
    workers = []
    with progress(run.progress, sum(seconds)) as display:
        display.say(f"training {len(todo)} blocks in {len(bundles)} jobs")

        def ended(place: int, outcome: Outcome):
            workers.append(outcome.worker)
            for event in outcome.value.told:
                run.tell(event)
            display.advance(seconds[place])
            if len(workers) == 1:  # which has compiled: that says nothing of the rest
                display.begin()

        jobs = [_job(run, each) for each in bundles]
        call_all(crew, jobs, jobs[0].path, ended)
    return list(dict.fromkeys(workers))


def _job(run: Run, blocks: Sequence[int] = ()) -> Job:
    assert run.path is not None
    tells = run.tell is not untold
    return Job(run.path.absolute(), run.spec.seeds, command(), tuple(blocks), tells)


def _seconds(manifest: dict, block: Block) -> float:
    program, lanes = block
    return len(lanes) * manifest["programs"][program]["lane_seconds"]


def bundled(todo: dict[int, Block], most: int = MOST_JOBS) -> list[list[int]]:
    """Shares blocks out among jobs.

    Args:
      most: about so many jobs; where there are not more blocks, each is one.

    Returns:
      the numbers of the blocks of each job: all of one program, which it compiles once.

    >>> bundled({n: (n // 3, []) for n in range(6)}, most=3)
    [[0, 1], [2], [3, 4], [5]]
    """
    size = math.ceil(len(todo) / most)
    by_program: dict[int, list[int]] = {}
    for number, (program, _) in todo.items():
        by_program.setdefault(program, []).append(number)
    bundles = []
    for numbers in by_program.values():
        bundles += [numbers[begin : begin + size] for begin in range(0, len(numbers), size)]
    return bundles


def _late(run: Run, manifest: dict, workers: list[str]) -> dict[int, Block]:
    """Waits until the blocks that workers have stored show here."""
    begin = time.monotonic()
    while todo := missing(run, manifest, {}):
        if time.monotonic() - begin > LATE_SECONDS:
            raise ValueError(
                f"path must be a folder that this process shares with the workers, got {run.path}: "
                f"{len(todo)} blocks that were trained do not show here, by {', '.join(workers)}"
            )
        time.sleep(LOOK_SECONDS)
    return todo


# --- in a worker -------------------------------------------------------------------------------


def share_of(job: Job) -> Chosen:
    """Names the blocks of a job, and the events file of this worker.

    Raises:
      ValueError: the run, which another worker has opened, does not show here.
    """
    if store.read_manifest(job.path) is None:
        raise ValueError(
            f"path must be a folder that all workers share, got {job.path}, where process "
            f"{os.getpid()} of {host()} sees no run"
        )
    return Chosen(frozenset(job.blocks), f"events-{host()}-{os.getpid()}.jsonl")
