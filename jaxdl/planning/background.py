"""Work that cannot be interrupted (XLA compiling), in threads that Ctrl-C does not wait for.

A thread pool of the standard library is joined as Python ends, which after Ctrl-C may be minutes.
Threads that are merely daemons crash the process where they come back to a Python that has gone.
So these are daemons that are waited for at the end of a process, unless it ends by Ctrl-C: then it
ends as it would have, and at once.
"""

import atexit
import collections
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NoReturn

NAME = "jaxdl-background"
SETTINGS = (  # of jax: a `with` sets them for one thread alone, and they change what is traced
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_debug_key_reuse",
)


def start(tasks: Sequence[Callable[[], Any]], workers: int = 1) -> list[Future]:
    """Starts work in so many threads, in order; they end with it.

    Args:
      tasks: functions without arguments, run under the caller's jax settings.
      workers: number of threads.

    Returns:
      the future of each task; to cancel it takes back what has not begun.
    """
    inherited = _settings()
    futures: list[Future] = [Future() for _ in tasks]
    pending = collections.deque(zip(futures, tasks, strict=True))
    atexit.unregister(_finish)
    atexit.register(_finish)  # before what was registered so far, such as the end of jax's backends
    for _ in range(min(workers, len(futures))):
        threading.Thread(target=_work, args=(pending, inherited), name=NAME, daemon=True).start()
    return futures


def call(task: Callable[[], Any]) -> Any:
    """What a task returns or raises; Ctrl-C ends the wait for it at once."""
    return start([task])[0].result()


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code, without a wait for what is still at work.

    Raises:
      SystemExit: nothing is.
    """
    if not _working():
        sys.exit(code)
    _flush()
    os._exit(code)


def _settings() -> dict[str, Any]:
    jax = sys.modules.get("jax")
    if jax is None:
        return {}
    return {name: getattr(jax.config, name) for name in SETTINGS if hasattr(jax.config, name)}


@contextlib.contextmanager
def _under(settings: dict[str, Any]) -> Iterator[None]:
    """Gives this thread the jax settings of another."""
    with contextlib.ExitStack() as stack:
        for name, value in settings.items():
            stack.enter_context(getattr(sys.modules["jax"], name.removeprefix("jax_"))(value))
        yield


def _work(pending: collections.deque, settings: dict[str, Any]):
    with _under(settings):
        while pending:
            try:
                future, task = pending.popleft()
            except IndexError:  # another thread was quicker
                return
            if future.set_running_or_notify_cancel():
                fulfil(future, task)


def fulfil(future: Future, task: Callable[[], Any]):
    """Gives a future what its task returns or raises."""
    try:
        result = task()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


def _working() -> list[threading.Thread]:
    others = set(threading.enumerate()) - {threading.current_thread()}
    return [thread for thread in others if thread.name == NAME]


def _finish():
    """Waits for the threads at the end of a process; where Ctrl-C ends it, ends it as Python
    would."""
    try:
        if getattr(sys, "last_type", None) is not KeyboardInterrupt:
            for thread in _working():
                thread.join()
    except KeyboardInterrupt:
        pass
    if _working():
        _flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
