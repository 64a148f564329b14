"""Runs a benchmark that is given as data: cases, and contestants who take turns in each.

A benchmark's file holds a `BENCHMARK`: a question, the cases that are measured, a table of
contestants. All else is here and the same for all: contestants are set up and compiled before the
clock starts, those that are not installed are named and left out, those that must end at the
same loss and do not are void, an identical twin shows what noise alone does to a ratio, and a
yardstick how fast the machine was. What was measured is a record (`benchmarks/schema.json`), from
which tables, figures and comparisons are made.
"""

import importlib.util
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import Burst, fresh_cache, interleave, yardstick
from jaxdl.running.progress import say

ROUNDS = 7
TWIN, YARDSTICK = "twin", "yardstick"
Case = Mapping[str, Any]  # name -> value, as JSON knows them
Figures = dict[str, Any]  # as JSON knows them
Make = Callable[[Case, "Setting"], "Work | Burst"]


class Setting(NamedTuple):
    """What a contestant is to know when it is set up.

    Attributes:
      seconds: how long a burst should take, about.
      quick: whether it is a try: what is large is made small.
      platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
    """

    seconds: float
    quick: bool = False
    platform: str = "cpu"


class Unusable(Exception):
    """Raised by a contestant of others that does not work here, with the reason."""


class Work(NamedTuple):
    """A contestant that is set up.

    Attributes:
      burst: does some work and returns how many units of it.
      loss: at the end of a training that all contestants must agree on.
      facts: further figures of it, name -> number or text.
    """

    burst: Burst
    loss: float | None = None
    facts: Mapping[str, Any] = {}


def always(case: Case) -> bool:
    """Tells that a contestant takes part in a case: in all."""
    return True


class Contestant(NamedTuple):
    """One who takes a turn in every round.

    Attributes:
      make: sets it up for a case: imports, draws, compiles; none of it is in the rates.
      needs: modules without which it is left out.
      ours: whether it is of this project: `compare` judges those.
      takes_part: tells in which cases.
    """

    make: Make
    needs: Sequence[str] = ()
    ours: bool = False
    takes_part: Callable[[Case], bool] = always


class Context(NamedTuple):
    """What a finding may build on: what has been measured, and the findings before it."""

    setting: Setting
    cases: Sequence[Figures]
    findings: Mapping[str, list[Figures]]


class Column(NamedTuple):
    """A further column of the table: what stands in it, given a case and a contestant in it."""

    heading: str
    value: Callable[[Figures, Figures], Any]


class Quick(NamedTuple):
    """What is measured under ``--quick``; None: what is measured without."""

    cases: Sequence[Case] | None = None
    seconds: float = 0.1


class Benchmark(NamedTuple):
    """A benchmark as data.

    Attributes:
      doc: the file's docstring, whose first line is the question.
      unit: what a rate counts.
      cases: what is measured one after the other; each a dict of the same names.
      contestants: name -> who takes turns. The first that takes part in a case is its reference: a
        ratio is its rate over another's.
      quick: what differs under ``--quick``.
      scale: the table's unit of time, and how many of them a second has.
      columns: of the table, beside the time of a unit, the ratio and the set-up.
      twin: of whom an identical copy takes part; None: of the reference.
      seconds: of a burst, about.
      agreement: by how much a contestant's final loss may differ from the reference's, relative to
        it; None: losses are not compared.
      findings: what makes further figures after the cases, in order: each gives name -> rows.
      tables: what makes the text for people from a record; None: the times of all contestants.
      figure: what draws a record; None: the same times.
      headline: (case, contestant) whose ratio stands for all in a summary; None: the first
        contestant that is not ours, in the last case.
    """

    doc: str
    unit: str
    cases: Sequence[Case]
    contestants: Mapping[str, Contestant]
    quick: Quick = Quick()
    scale: tuple[str, float] = ("us", 1e6)
    columns: Sequence[Column] = ()
    twin: str | None = None
    seconds: float = 0.4
    agreement: float | None = None
    findings: Sequence[Callable[["Context"], dict[str, list[Figures]]]] = ()
    tables: Callable[[Figures], Sequence[Any]] | None = None
    figure: Callable[[Figures], Any] | None = None
    headline: tuple[Case, str] | None = None

    @property
    def question(self) -> str:
        """What the benchmark asks."""
        return self.doc.strip().splitlines()[0]

    def reference(self, case: Case) -> str:
        """Gives the contestant that the others are compared with in a case."""
        return next(name for name, each in self.contestants.items() if each.takes_part(case))


def measure(
    benchmark: Benchmark, cases: Sequence[Case], rounds: int, setting: Setting
) -> tuple[list[Figures], dict[str, list[Figures]]]:
    """Measures the cases in order, then makes the findings.

    Returns:
      a dict a case, and the rows of each finding, as in a record.
    """
    measured = []
    for number, case in enumerate(cases, start=1):
        words = ", ".join(f"{name} {value}" for name, value in case.items())
        say(f"case {number} of {len(cases)}: {words}")
        with fresh_cache():
            measured.append(measure_case(benchmark, case, rounds, setting))
    findings: dict[str, list[Figures]] = {}
    for find in benchmark.findings:
        say(f"finding: {find.__name__}")
        findings |= find(Context(setting, measured, findings))
    return measured, findings


def measure_case(benchmark: Benchmark, case: Case, rounds: int, setting: Setting) -> Figures:
    """Sets the contestants of a case up, lets them take turns, and describes each."""
    entries, bursts = {}, {}
    reference = benchmark.reference(case)
    for name, contestant in with_twin(benchmark, case).items():
        entry, burst = set_up(contestant, case, setting)
        entries[name] = entry
        if burst is not None:
            bursts[name] = burst
    if benchmark.agreement is not None:
        for name, reason in disagreements(entries, reference, benchmark.agreement).items():
            entries[name] |= {"status": "void", "reason": reason}
            del bursts[name]
    rates = interleave({**bursts, YARDSTICK: yardstick()}, rounds)
    of_yardstick = rates.pop(YARDSTICK)
    described = []
    for name, entry in entries.items():
        twin_of = (benchmark.twin or reference) if name == TWIN else None
        figures = {"name": name, "twin_of": twin_of, **entry}
        if name in rates:
            figures |= timings(rates[name], rates.get(reference))
        described.append(figures)
    return {
        "case": dict(case),
        "reference": reference,
        "contestants": described,
        "yardstick": of_yardstick.tolist(),
    }


def with_twin(benchmark: Benchmark, case: Case) -> dict[str, Contestant]:
    """Lists who takes part in a case, with the twin behind the one that it is a copy of."""
    listed = {}
    copied = benchmark.twin or benchmark.reference(case)
    for name, contestant in benchmark.contestants.items():
        if contestant.takes_part(case):
            listed[name] = contestant
            # A copy that is set up on its own: its arrays lie elsewhere, as those of a rerun would.
            if name == copied:
                listed[TWIN] = contestant
    return listed


def set_up(contestant: Contestant, case: Case, setting: Setting) -> tuple[Figures, Burst | None]:
    """Sets a contestant up; without a burst where it cannot take part, with the reason."""
    absent = [module for module in contestant.needs if not installed(module)]
    blank: Figures = {"ours": contestant.ours, "setup_seconds": None, "loss": None, "facts": {}}
    if absent:
        reason = f"{', '.join(absent)} not installed"
        return {**blank, "status": "not installed", "reason": reason}, None
    begin = time.perf_counter()
    try:
        made = contestant.make(case, setting)
    except Unusable as error:
        return {**blank, "status": "unusable", "reason": str(error)}, None
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return {**blank, "status": "out of memory", "reason": "out of memory"}, None
    work = made if isinstance(made, Work) else Work(made)
    figures = {
        "status": "timed",
        "reason": None,
        "setup_seconds": time.perf_counter() - begin,
        "loss": work.loss,
        "facts": dict(work.facts),
    }
    return {**blank, **figures}, work.burst


def installed(module: str) -> bool:
    """Tells whether a module can be imported, without doing so."""
    return importlib.util.find_spec(module) is not None


def is_out_of_memory(error: Exception) -> bool:
    """Tells whether memory did not suffice, on the host or a device."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def disagreements(
    entries: Mapping[str, Figures], reference: str, tolerance: float
) -> dict[str, str]:
    """Finds the contestants whose final loss is not the reference's: name -> reason."""
    expected = entries[reference]["loss"]
    reasons = {}
    for name, entry in entries.items():
        loss = entry["loss"]
        if entry["status"] != "timed":
            continue
        # Not finite, or not there, agrees with nothing: not with itself either.
        known = None not in (loss, expected) and math.isfinite(loss) and math.isfinite(expected)
        if not known or abs(loss - expected) > tolerance * abs(expected):
            allowed = f"within {tolerance:g} of it"
            reasons[name] = f"final loss {loss}, the reference's is {expected}, not {allowed}"
    return reasons


def timings(rates: np.ndarray, reference: np.ndarray | None) -> Figures:
    """Describes a contestant's rates, and the ratios of the reference's to them, round by round."""
    ratio = None if reference is None else quartiles(reference / rates)
    return {"rates": rates.tolist(), "rate": quartiles(rates), "ratio": ratio}


def quartiles(values) -> dict[str, float]:
    """Gives the median with the quartiles."""
    lower, median, upper = np.quantile(np.asarray(values, float), [0.25, 0.5, 0.75])
    return {"median": float(median), "lower": float(lower), "upper": float(upper)}


def product(**values: Sequence) -> list[dict]:
    """Lists the cases of a product.

    >>> product(batch_size=[1, 32], seeds=[8])
    [{'batch_size': 1, 'seeds': 8}, {'batch_size': 32, 'seeds': 8}]
    """
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


# --- reading a record ------------------------------------------------------------------------


def entry_of(case: Figures, name: str) -> Figures | None:
    """Finds a contestant of a measured case by name; None where it was not timed there."""
    for entry in case["contestants"]:
        if entry["name"] == name and entry["status"] == "timed":
            return entry
    return None


def ratios(case: Figures, first: str, second: str) -> np.ndarray:
    """Gives the rate of one contestant over that of another, round by round.

    Raises:
      KeyError: one of them was not timed.
    """
    rates = []
    for name in (first, second):
        entry = entry_of(case, name)
        if entry is None:
            raise KeyError(name)
        rates.append(np.asarray(entry["rates"]))
    return rates[0] / rates[1]
