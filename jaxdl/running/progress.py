"""The one place that tells a person how far a run is: a live line on stderr, or plain lines where
stderr is no terminal."""

import contextlib
import sys
import time
from collections.abc import Iterator

PLAIN_SECONDS = 10.0  # between two plain lines


def say(message: str):
    """Says one line on stderr that stays there."""
    print(f"jaxdl: {message}", file=sys.stderr, flush=True)


class _Silent:
    def say(self, message: str):
        """Says nothing."""

    def advance(self, amount: float):
        """Shows nothing."""


class _Plain(_Silent):
    def __init__(self, total: float):
        self.total, self.done, self.begin, self.last = (
            total,
            0.0,
            time.monotonic(),
            time.monotonic(),
        )

    def say(self, message: str):
        say(message)

    def advance(self, amount: float):
        self.done += amount
        now = time.monotonic()
        if now - self.last >= PLAIN_SECONDS and self.done > self.total / 100:
            left = (now - self.begin) * (self.total - self.done) / self.done
            self.say(f"{self.done / self.total:.0%} of the lane-steps, about {left:.0f} s left")
            self.last = now


class _Live(_Silent):
    def __init__(self, bar, total: float):
        self.bar, self.task = bar, bar.add_task("starting", total=total)

    def say(self, message: str):
        self.bar.update(self.task, description=message)

    def advance(self, amount: float):
        self.bar.update(self.task, advance=amount)


@contextlib.contextmanager
def progress(shown: bool, total: float) -> Iterator[_Silent]:
    """Progress over `total` lane-steps on stderr; nothing at all where it is not `shown`."""
    if not shown:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Plain(total)
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Live(bar, total)
