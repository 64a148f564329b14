"""Tells a person on stderr how far a run is; nothing else in the library writes there.

A live line, or plain lines where stderr is no terminal.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

PLAIN_SECONDS = 10.0  # between two plain lines
LEAST_SHARE = 0.01  # that must be done before a plain line says how long the rest takes


def say(message: str):
    """Says one line on stderr that stays there."""
    print(f"jaxdl: {message}", file=sys.stderr, flush=True)


class Progress:
    """Progress that nobody sees; what shows it says and advances the same way."""

    def say(self, message: str):
        """Says what is being done."""

    def advance(self, amount: float):
        """Moves on by an amount of the total."""


class _Plain(Progress):
    def __init__(self, total: float):
        self.total = total
        self.done = 0.0
        self.begin = self.last = time.monotonic()

    def say(self, message: str):
        say(message)

    def advance(self, amount: float):
        self.done += amount
        now = time.monotonic()
        # The first lanes may still wait for a compiler: so early, a forecast would be wild.
        is_early = self.done <= LEAST_SHARE * self.total
        if is_early or now - self.last < PLAIN_SECONDS:
            return
        speed = self.done / (now - self.begin)
        left = (self.total - self.done) / speed
        self.say(f"{self.done / self.total:.0%} of the lane-steps, about {left:.0f} s left")
        self.last = now


class _Live(Progress):
    def __init__(self, bar, total: float):
        self.bar = bar
        self.task = bar.add_task("starting", total=total)

    def say(self, message: str):
        self.bar.update(self.task, description=message)

    def advance(self, amount: float):
        self.bar.update(self.task, advance=amount)


@contextlib.contextmanager
def progress(visible: bool, total: float) -> Iterator[Progress]:
    """Shows progress over a total on stderr; nothing at all where it is not `visible`."""
    if not visible:
        yield Progress()
    elif not sys.stderr.isatty():
        yield _Plain(total)
    else:
        with _bar() as bar:
            yield _Live(bar, total)


def _bar():
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.TaskProgressColumn(),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )
    return rich.Progress(*columns, console=Console(stderr=True), transient=True)
