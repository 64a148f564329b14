"""Runs a benchmark the way the command line asks, and keeps what it has measured."""

import shlex
import sys
import time
from typing import NamedTuple

import jax

from benchmarks import harness, record, report
from benchmarks.harness import Benchmark, Case, Setting
from jaxdl.checks import one_of, unknown
from jaxdl.running import compiler


class Report(NamedTuple):
    """What a run says."""

    record: harness.Figures
    text: str
    headline: str


def run(benchmark: Benchmark, options) -> Report:
    """Runs a benchmark; writes its record as JSON and its figure beside it.

    Raises:
      ValueError: a device that is not here, a case or contestant that there is not.
    """
    platform = use_device(options.device)
    usual = benchmark.quick.cases if options.quick else None
    cases = selected(benchmark.cases if usual is None else usual, options.only)
    seconds = benchmark.quick.seconds if options.quick else benchmark.seconds
    benchmark = without(benchmark, options.without)
    rounds = options.rounds or harness.ROUNDS
    before, others = record.load(), record.busy_cores()
    date, begin = record.now(), time.perf_counter()
    setting = Setting(seconds, options.quick, platform)
    measured, findings = harness.measure(benchmark, cases, rounds, setting)
    written = {
        "schema": record.SCHEMA,
        "benchmark": options.benchmark,
        "question": benchmark.question,
        "command": f"python -m benchmarks {shlex.join(sys.argv[1:])}",
        "quick": options.quick,
        "rounds": rounds,
        "date": date,
        "seconds": time.perf_counter() - begin,
        "load": {"before": before, "others": others, "after": record.load()},
        **record.environment(),
        "unit": benchmark.unit,
        "cases": measured,
        "findings": findings,
    }
    written = record.plain(written)
    path = options.json or record.usual_path(options.benchmark, date)
    record.write(path, written)
    draw = benchmark.figure or (lambda written: report.time_figure(benchmark, written))
    drawing = draw(written)
    if drawing is not None:
        drawing.savefig(path.with_suffix(".png"), bbox_inches="tight")
    text = report.text(benchmark, written) + f"\n  {path}, {path.with_suffix('.png')}"
    return Report(written, text, report.headline(benchmark, written))


def use_device(name: str | None) -> str:
    """Chooses what jax runs on; returns the platform.

    Raises:
      ValueError: there is no such device here.
    """
    if name is not None:
        jax.config.update("jax_platforms", name)
    try:
        devices = compiler.prepare_devices()
    except RuntimeError as error:
        raise ValueError(f"device {name!r} is not to be had here: {error}") from None
    platform = "gpu" if devices[0].platform in ("cuda", "rocm") else devices[0].platform
    # A backend that has started does not change any more.
    if name not in (None, platform):
        raise ValueError(f"device must be one that is here, {platform!r}, got {name!r}")
    return platform


def selected(cases, only: list[tuple[str, list[str]]]) -> list[Case]:
    """Picks the cases whose values are asked for.

    Raises:
      ValueError: a name or value that no case has.
    """
    picked = list(cases)
    for name, values in only:
        names = list(cases[0]) if cases else []
        if name not in names:
            raise unknown("name in --only", name, names)
        there = list(dict.fromkeys(str(case[name]) for case in cases))
        for value in values:
            one_of(f"only {name}", value, there)
        picked = [case for case in picked if str(case[name]) in values]
    return picked


def without(benchmark: Benchmark, names: list[str]) -> Benchmark:
    """Leaves contestants out; the first stays.

    Raises:
      ValueError: an unknown contestant, or the first.
    """
    leavable = list(benchmark.contestants)[1:]
    for name in names:
        if name not in leavable:
            raise unknown("contestant in --without", name, leavable)
    kept = {name: each for name, each in benchmark.contestants.items() if name not in names}
    return benchmark._replace(contestants=kept)
