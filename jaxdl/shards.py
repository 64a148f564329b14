"""Which share of a run's blocks a process takes, where many processes write one run folder.

Nobody waits for anybody: process i of n takes the blocks whose number is i modulo n, and the same command takes up
what a lost process left.
"""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from jaxdl.checks import integer

SCHEDULERS = (  # (process, processes), the inner ones first
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
)


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
        return "events.jsonl" if self.processes == 1 else f"events-{self.process}-of-{self.processes}.jsonl"


def parse(text) -> Shard:
    """``"i/n"`` or (i, n) as a `Shard`.

    Raises:
      ValueError: it is neither, or i is not in 0..n-1.

    >>> parse("1/4")
    Shard(process=1, processes=4)
    """
    parts = text.split("/") if isinstance(text, str) else list(text)
    try:
        index, count = (int(part) if isinstance(part, str) or integer(part) else int("") for part in parts)
    except ValueError:
        raise ValueError(f"shard must look like i/n, got {text!r}") from None
    if count < 1 or not 0 <= index < count:
        raise ValueError(f"shard index must be from 0 to {max(count - 1, 0)} of {count}, got {index}")
    return Shard(index, count)


def find(given=None, environ: Mapping[str, str] | None = None) -> Shard:
    """The shard asked for; else that of the scheduler's environment; else that of a running `jax.distributed`."""
    if given is not None:
        return parse(given)
    environ = os.environ if environ is None else environ
    for process, processes in SCHEDULERS:
        if environ.get(processes, "1") != "1" and process in environ:
            first = int(environ.get("SLURM_ARRAY_TASK_MIN", 0)) if process == "SLURM_ARRAY_TASK_ID" else 0
            return parse((int(environ[process]) - first, int(environ[processes])))
    if "jax" in sys.modules:
        import jax

        if jax.distributed.is_initialized():
            return Shard(jax.process_index(), jax.process_count())
    return Shard()
