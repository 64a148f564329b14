"""Tells a person how far a run is; nothing else in the library writes on stderr.

A live line on a terminal, a bar below a notebook's cell, or plain lines where stderr is neither.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

PLAIN_SECONDS = 10.0  # between two plain lines
CELL_SECONDS = 0.5  # between two pictures of a notebook's bar
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


class _Cell(_Live):
    """A bar below a notebook's cell, drawn anew there: it needs no widgets."""

    def __init__(self, bar, total: float):
        from IPython.display import display

        super().__init__(bar, total)
        self.place = display(bar, display_id=True)
        self.last = time.monotonic()

    def say(self, message: str):
        super().say(message)
        self.draw()

    def advance(self, amount: float):
        super().advance(amount)
        if time.monotonic() - self.last >= CELL_SECONDS:
            self.draw()

    def draw(self):
        """Shows how far it is now."""
        self.place.update(self.bar)
        self.last = time.monotonic()


def in_notebook() -> bool:
    """Tells whether a Jupyter kernel runs this code."""
    # Only a kernel's shell has one; whoever has not imported IPython is in none.
    shell_of = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell_of is not None and hasattr(shell_of(), "kernel")


def is_shown(visible: bool | None) -> bool:
    """Tells whether progress is shown: None shows it to a person who is there."""
    return in_notebook() or sys.stderr.isatty() if visible is None else visible


@contextlib.contextmanager
def progress(visible: bool | None, total: float) -> Iterator[Progress]:
    """Shows progress over a total; nothing at all where it is not `visible`.

    Args:
      visible: see `is_shown`.
    """
    cell, terminal = in_notebook(), sys.stderr.isatty()
    if not is_shown(visible):
        yield Progress()
    elif cell:
        shown = _Cell(_bar(), total)
        yield shown
        shown.draw()
    elif terminal:
        with _bar() as bar:
            yield _Live(bar, total)
    else:
        yield _Plain(total)


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
