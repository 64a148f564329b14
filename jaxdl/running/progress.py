"""Tells a person how far a run is; nothing else in the library writes on stderr.

A live line on a terminal, a bar below a notebook's cell, or plain lines where stderr is neither.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

PLAIN_SECONDS = 10.0  # between two plain lines
CELL_SECONDS = 0.5  # between two pictures of a notebook's bar


def say(message: str):
    """Says one line on stderr that stays there."""
    print(f"jaxdl: {message}", file=sys.stderr, flush=True)


class Progress:
    """Progress that nobody sees; what shows it says and advances the same way."""

    def say(self, message: str):
        """Says what is being done."""

    def attempt(self, message: str):
        """Says what is being tried, where the words go away again: bad input is refused in one
        line, which none stands above."""

    def begin(self):
        """Says that training begins now: what went before, a compiler's time, tells nothing of the
        rest."""

    def advance(self, amount: float):
        """Moves on by an amount of the total, which took the time since the last call."""


class Forecast:
    """How long the rest takes, by the speed of what was trained.

    Args:
      total: the whole amount.
      clock: () -> seconds.
    """

    def __init__(self, total: float, clock=time.monotonic):
        self.total = total
        self.clock = clock
        self.done = self.timed = self.seconds = 0.0
        self.mark: float | None = None

    def begin(self):
        """Starts the clock."""
        self.mark = self.clock()

    def advance(self, amount: float):
        """Counts an amount that is done, and its time if the clock was started."""
        self.done += amount
        if self.mark is None:
            return
        now = self.clock()
        self.seconds += now - self.mark
        self.timed += amount
        self.mark = now

    def left(self) -> float | None:
        """Gives the seconds of the rest; None as long as nothing was timed."""
        if not self.timed or not self.seconds:
            return None
        return max(0.0, self.total - self.done) * self.seconds / self.timed


class _Plain(Progress):
    def __init__(self, total: float):
        self.forecast = Forecast(total)
        self.last = time.monotonic()

    def say(self, message: str):
        say(message)

    def begin(self):
        self.forecast.begin()

    def advance(self, amount: float):
        self.forecast.advance(amount)
        left, now = self.forecast.left(), time.monotonic()
        if left is None or now - self.last < PLAIN_SECONDS:
            return
        share = self.forecast.done / self.forecast.total
        self.say(f"{share:.0%} of the lane-steps, about {left:.0f} s left")
        self.last = now


class _Live(Progress):
    def __init__(self, bar, total: float):
        self.bar = bar
        self.forecast = Forecast(total)
        self.task = bar.add_task("starting", total=total, left="")

    def say(self, message: str):
        self.bar.update(self.task, description=message)

    def attempt(self, message: str):
        self.say(message)

    def begin(self):
        self.forecast.begin()

    def advance(self, amount: float):
        self.forecast.advance(amount)
        left = self.forecast.left()
        text = "" if left is None else f"about {left:.0f} s left"
        self.bar.update(self.task, advance=amount, left=text)


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
        rich.TextColumn("{task.fields[left]}"),
    )
    return rich.Progress(*columns, console=Console(stderr=True), transient=True)
