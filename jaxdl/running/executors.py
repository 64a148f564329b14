"""Calls on the workers of an executor: sent, brought back, sent anew where a worker was lost.

An executor is anything with ``submit(function, *arguments)`` that returns something with ``done``,
``result`` and ``cancel``: those of `concurrent.futures`, of Dask, of submitit.
"""

import collections
import contextlib
import functools
import os
import pathlib
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple

import jax

from jaxdl.checks import brief, first_line
from jaxdl.planning import memo
from jaxdl.reporting.frames import needed
from jaxdl.running import compiler
from jaxdl.running.files import host

ATTEMPTS = 3  # at a call whose workers are lost
FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0  # seconds between two looks at what has ended
KEPT = "the blocks that are stored are kept, and the same call continues"
SETTINGS = (  # of jax, on which numbers depend; another process may have others
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_disable_most_optimizations",
    "jax_numpy_dtype_promotion",
    "jax_random_seed_offset",
    "jax_threefry_partitionable",
)


class Crew(NamedTuple):
    """The workers of an executor, and what they are called for."""

    executor: Any
    function: bytes  # pickled: (argument) -> value
    name: str  # like no other: workers keep what the function has found out for this crew alone


class Call(NamedTuple):
    """What travels to a worker."""

    function: bytes
    crew: str
    argument: Any
    conditions: dict[str, str]  # that the worker must meet, see `conditions`
    name: str  # like no other: Dask computes equal calls once


class Outcome(NamedTuple):
    """What comes back from a worker."""

    worker: str  # its machine and process
    value: Any = None
    error: bytes | None = None  # pickled: what the function raised


def check_executor(executor):
    """Refuses what is no executor, and one whose processes would hang.

    Raises:
      ValueError: a line that says what is wrong, and what to write.
      ImportError: cloudpickle is not installed.
    """
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise ValueError(
            "executor must have a method submit(function, *arguments), as those of "
            f"concurrent.futures, Dask and submitit have, got {brief(executor)}"
        )
    needed("cloudpickle", "executor", "cloudpickle")
    # A fork copies jax's locks without the threads that hold them, and waits for these forever.
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        remedy = "ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))"
        raise ValueError(
            f"executor must spawn its processes, as jax hangs in forked ones: {remedy}, got one "
            "that forks"
        )


# --- in the process that asks ------------------------------------------------------------------


def crew_of(executor: Any, function: Callable[[Any], Any]) -> Crew:
    """Makes a crew of an executor's workers; cloudpickle pickles the function."""
    import cloudpickle

    return Crew(executor, cloudpickle.dumps(function), _new_name())


def _new_name() -> str:
    return os.urandom(8).hex()


def call_all(
    crew: Crew,
    arguments: Sequence[Any],
    path: pathlib.Path,
    ended: Callable[[int, Outcome], None],
):
    """Calls a crew's function with each argument; what it raises is raised here.

    Args:
      path: run folder, for the messages.
      ended: ``(place of the argument, outcome)``, called here as calls end, in whatever order.

    Raises:
      BrokenExecutor: the workers of one call were lost `ATTEMPTS` times, or the executor takes no
        more calls, as a pool of which a process was killed.
      KeyboardInterrupt: with what has not begun cancelled.
    """
    send = functools.partial(_send, crew, path, conditions())
    futures: dict[int, Any] = {}
    losses: collections.Counter[int] = collections.Counter()
    try:
        for place, argument in enumerate(arguments):
            futures[place] = send(argument)
        while futures:
            outcomes = {place: _outcome_of(futures.pop(place)) for place in _wait_for_some(futures)}
            lost = {}
            for place, outcome in outcomes.items():
                if isinstance(outcome, Exception):
                    lost[place] = outcome
                else:
                    ended(place, outcome)
            # After what has ended well, as a broken pool takes nothing more.
            for place, error in lost.items():
                losses[place] += 1
                if losses[place] == ATTEMPTS:
                    what = f"the workers of a job were lost {ATTEMPTS} times"
                    raise _broken(what, error, path) from error
                futures[place] = send(arguments[place])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted: {KEPT} {path}") from None
    finally:
        for future in futures.values():
            with contextlib.suppress(Exception):
                future.cancel()


def _outcome_of(future) -> Outcome | Exception:
    """What has come of a call, or why its worker was lost; raises what the function raised."""
    # The function's own exceptions come as values, so one of the future is not its fault.
    try:
        outcome = future.result()
    except Exception as error:
        return error
    if outcome.error is not None:
        raise pickle.loads(outcome.error)
    return outcome


def _send(crew: Crew, path: pathlib.Path, needs: dict[str, str], argument):
    call = Call(crew.function, crew.name, argument, needs, _new_name())
    try:
        return crew.executor.submit(perform, call)
    except Exception as error:
        raise _broken("executor takes no job any more", error, path) from error


def _broken(what: str, error: Exception, path: pathlib.Path) -> BrokenExecutor:
    return BrokenExecutor(f"{what} ({first_line(error)}): {KEPT} {path}")


def _wait_for_some(futures: dict[int, Any]) -> list[int]:
    """Waits until some futures are done, and lists where they stand."""
    # Looked at again and again: `concurrent.futures.wait` knows its own futures alone.
    wait = FIRST_WAIT
    while True:
        done = [place for place, future in futures.items() if future.done()]
        if done:
            return done
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def conditions() -> dict[str, str]:
    """Lists what a worker must have in common with the process that asks.

    Functions travel as code of one Python, and a lane's numbers depend on the others.
    """
    versions = {
        "python": ".".join(map(str, sys.version_info[:2])),
        "jaxdl's source": memo.library()[:8],
        "jax": jax.__version__,
    }
    for name in SETTINGS:
        versions[name] = str(getattr(jax.config, name, None))
    return versions


# --- in a worker -------------------------------------------------------------------------------


def perform(call: Call) -> Outcome:
    """Calls a function in a worker; an exception of it is an outcome too."""
    worker = f"process {os.getpid()} of {host()}"
    try:
        _check_conditions(call.conditions, worker)
        compiler.choose_devices()  # before there is an array, which would start the backend
        function, turn = _loaded(call.crew, call.function)
        # One call of a process at a time: each uses all of its devices.
        with turn:
            return Outcome(worker, function(call.argument))
    except Exception as error:
        error.add_note(f"raised in {worker}:\n{traceback.format_exc()}")
        return Outcome(worker, error=_pickled(error))


@functools.lru_cache(maxsize=1)
def _loaded(crew: str, function: bytes) -> tuple[Callable[[Any], Any], threading.Lock]:
    # The next call is mostly of the same crew, and its study has compiled its programs. That of
    # another crew is made anew, of the same bytes too: it may read data that have changed.
    return pickle.loads(function), threading.Lock()


def _check_conditions(wanted: dict[str, str], worker: str):
    here = conditions()
    differing = []
    for name, value in wanted.items():
        if here.get(name) != value:
            differing.append(f"{name} is {here.get(name)} there and {value} here")
    if differing:
        raise ValueError(
            f"workers must have the versions and jax settings of this process, got {worker}, "
            f"where they differ: {'; '.join(differing)}"
        )


def _pickled(error: Exception) -> bytes:
    """Pickles an exception, as one that keeps its type if that is possible."""
    import cloudpickle

    words = RuntimeError(f"{type(error).__name__}: {error}")
    words.__notes__ = error.__notes__
    for form in (error, _Parts(error)):
        with contextlib.suppress(Exception):
            pickled = cloudpickle.dumps(form)
            if str(pickle.loads(pickled)) == str(error):
                return pickled
    return cloudpickle.dumps(words)


class _Parts:
    """An exception whose class takes other arguments than it keeps, such as those of jax."""

    def __init__(self, error: Exception):
        self.parts = (type(error), error.args, vars(error))

    def __reduce__(self):
        return _of_parts, self.parts


def _of_parts(kind: type[Exception], arguments: tuple, attributes: dict) -> Exception:
    error = kind.__new__(kind, *arguments)  # which keeps the arguments
    vars(error).update(attributes)
    return error
