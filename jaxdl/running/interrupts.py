"""Ctrl-C while a run is trained: first a segment ends and a checkpoint is whole."""

import contextlib
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait

WAIT_SECONDS = 0.1  # between two looks at whether a wait was interrupted


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Holds back the first Ctrl-C; a second one goes through.

    Yields:
      a function that says whether there has been one.
    """
    asked = threading.Event()
    # Only the main thread may handle signals, and only it gets them.
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def hold(number, frame):
        signal.signal(signal.SIGINT, before)
        asked.set()

    signal.signal(signal.SIGINT, hold)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def awaited(future: Future, asked: Callable[[], bool], path: pathlib.Path | None):
    """Waits for the result of a future, such as a program that compiles.

    Raises:
      KeyboardInterrupt: it was `asked` for meanwhile; nothing but the compiler is at work.
    """
    kept = f"the same call continues {path}"
    if path is None:
        kept = "nothing was kept, as there is no run folder"
    while not future.done():
        if asked():
            raise KeyboardInterrupt(f"interrupted while compiling: {kept}")
        wait([future], timeout=WAIT_SECONDS)
    return future.result()
