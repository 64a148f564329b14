"""Which share of a run's blocks a process takes, where many processes write one run folder.

Nobody waits for anybody: process i of n takes the blocks whose number is i modulo n, and the same
command takes up what a lost process left. A share is asked for: the environment of a scheduler
alone means nothing, as it is also that of an interactive allocation, or of a batch script that
starts Python once.
"""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from jaxdl.checks import integer

AUTO = "auto"
TASKS = (  # (process, processes) as schedulers name them
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)
ARRAY = "SLURM_ARRAY_TASK_"


class Shard(NamedTuple):
    """Process `process` of `processes`, counted from 0."""

    process: int = 0
    processes: int = 1

    def takes(self, block: int) -> bool:
        """Whether a block falls to this process."""
        return block % self.processes == self.process

    @property
    def events(self) -> str:
        """The events file that this process alone writes."""
        if self.processes == 1:
            return "events.jsonl"
        return f"events-{self.process}-of-{self.processes}.jsonl"


class Chosen(NamedTuple):
    """Blocks by their numbers: what a job of a run with an executor trains, see `jobs`."""

    numbers: frozenset[int]
    events: str  # the events file that this process alone writes

    def takes(self, block: int) -> bool:
        """Whether a block is one of them."""
        return block in self.numbers


def parse(given) -> Shard:
    """Reads ``"i/n"`` or (i, n) as a `Shard`.

    Raises:
      ValueError: it is neither, or i is not in 0..n-1.

    >>> parse("1/4")
    Shard(process=1, processes=4)
    """
    try:
        parts = given.split("/") if isinstance(given, str) else given
        index, count = (_whole(part) for part in parts)
    except (TypeError, ValueError):
        hint = "('auto' asks the scheduler's environment)"
        raise ValueError(f"shard must look like i/n, got {given!r} {hint}") from None
    return _checked("shard index", index, count)


def _whole(part) -> int:
    """A text or an integer as an int; a float, which `int` would round, is neither."""
    if not isinstance(part, str) and not integer(part):
        raise ValueError(part)
    return int(part)


def find(given=None, environ: Mapping[str, str] | None = None) -> Shard:
    """Finds the shard asked for.

    Args:
      given: None for all blocks; ``"i/n"`` or (i, n); or ``"auto"``: what SLURM's or Open MPI's
        environment says, else a running `jax.distributed`, else all blocks.
      environ: the environment; that of the process by default.

    Raises:
      ValueError: what is given, or a variable of the environment, is no shard.

    >>> find("auto", {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"})
    Shard(process=3, processes=8)
    """
    if given is None:
        return Shard()
    if not (isinstance(given, str) and given == AUTO):
        return parse(given)
    environ = os.environ if environ is None else environ
    array, task = _of_array(environ), _of_tasks(environ)
    # A batch script that starts Python once sees the tasks of its allocation, as if there were
    # several. Within an array only a step (srun) says that processes run side by side.
    if array and "SLURM_STEP_NUM_TASKS" in environ:
        place = array.process * task.processes + task.process
        return Shard(place, array.processes * task.processes)
    if array:
        return array
    return task if task.processes > 1 else _of_jax()


def _of_array(environ: Mapping[str, str]) -> Shard | None:
    """The place of a job in a SLURM array, whose numbers may go in steps; None outside one."""
    if ARRAY + "ID" not in environ or _number(environ, ARRAY + "COUNT", "1") <= 1:
        return None
    count = _number(environ, ARRAY + "COUNT")
    first = _number(environ, ARRAY + "MIN", "0")
    step = max(1, _number(environ, ARRAY + "STEP", "1"))
    last = _number(environ, ARRAY + "MAX", str(first + step * (count - 1)))
    place, rest = divmod(_number(environ, ARRAY + "ID") - first, step)
    # With gaps (0-2,7) places are not known from numbers, and blocks would go to nobody.
    if rest or last != first + step * (count - 1):
        gapless = f"a SLURM array without gaps, such as 0-{count - 1}"
        raise ValueError(f"shard 'auto' needs {gapless}, got {count} of {first}-{last}")
    return _checked(ARRAY + "ID's place", place, count)


def _of_tasks(environ: Mapping[str, str]) -> Shard:
    """The place of a process among those that srun or mpirun started together."""
    for process, processes in TASKS:
        if process not in environ:
            continue
        count = _number(environ, processes, "1")
        if count != 1:
            return _checked(process, _number(environ, process), count)
    return Shard()


def _of_jax() -> Shard:
    """The place of this process where `jax.distributed` runs."""
    jax = sys.modules.get("jax")  # it cannot run where jax was never imported
    if jax is None or not jax.distributed.is_initialized():
        return Shard()
    return Shard(jax.process_index(), jax.process_count())


def _number(environ: Mapping[str, str], name: str, default: str | None = None) -> int:
    text = environ[name] if default is None else environ.get(name, default)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} must be an integer for shard 'auto', got {text!r}") from None


def _checked(name: str, index: int, count: int) -> Shard:
    if count < 1 or not 0 <= index < count:
        raise ValueError(f"{name} must be from 0 to {max(count - 1, 0)} of {count}, got {index}")
    return Shard(index, count)
