"""The command line: lists the benchmarks, runs one or all, compares two records."""

import argparse
import ast
import difflib
import importlib
import pathlib
import subprocess
import sys
import time

from jaxdl.cli import Parser, fail

FOLDER = pathlib.Path(__file__).parent
PLATFORMS = ("cpu", "gpu", "tpu")
LINE = "headline: "  # begins what a run says for a summary, on stderr


def benchmarks() -> dict[str, str]:
    """Maps the name of each benchmark to its question; none is imported, which takes seconds."""
    questions = {}
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text())
        if any(assigns_benchmark(node) for node in tree.body):
            questions[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return questions


def assigns_benchmark(node: ast.stmt) -> bool:
    """Tells whether a statement is the ``BENCHMARK = ...`` of a benchmark's file."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "BENCHMARK" for target in targets)


def parser() -> Parser:
    """Makes the command line."""
    top = Parser(
        prog="python -m benchmarks",
        description="Lists the benchmarks; runs one by name, or all; compares two runs.",
    )
    top.add_argument("benchmark", nargs="?", help="a name of the list, or all, compare, gpu, tpu")
    top.add_argument("files", nargs="*", metavar="FILE", help="of compare: the old and the new run")
    top.add_argument("--quick", action="store_true", help="under a minute on 2 cores")
    top.add_argument("--rounds", type=positive, default=None, help="of turns, 7 by default")
    top.add_argument("--json", metavar="PATH", type=pathlib.Path, help="where the figures go")
    top.add_argument("--device", choices=PLATFORMS, help="what to run on; jax's choice by default")
    top.add_argument(
        "--only",
        action="append",
        default=[],
        type=selection,
        metavar="NAME=A,B",
        help="measure the cases with these values alone",
    )
    top.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave a contestant out"
    )
    return top


def positive(words: str) -> int:
    """Reads a positive integer, for argparse."""
    if not words.isdecimal() or int(words) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {words!r}")
    return int(words)


def selection(words: str) -> tuple[str, list[str]]:
    """Reads ``NAME=A,B``, for argparse."""
    name, equals, values = words.partition("=")
    if not name or not equals or not values:
        raise argparse.ArgumentTypeError(f"must be NAME=A,B, got {words!r}")
    return name, values.split(",")


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code: 2 for bad input, 3 for files that are missing."""
    options = parser().parse_args(arguments)
    known = benchmarks()
    if options.benchmark is None:
        for name, question in known.items():
            print(f"{name:<14}{question}")
        return 0
    commands = {"all": run_all, "compare": compare, "gpu": run_whole, "tpu": run_whole}
    if options.benchmark not in (*known, *commands):
        close = difflib.get_close_matches(options.benchmark, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        names = ", ".join((*known, *commands))
        return fail(f"benchmark must be one of {names}, got {options.benchmark!r}{hint}")
    from jaxdl.checks import DataError

    try:
        return commands.get(options.benchmark, run)(options)
    except DataError as error:
        return fail(str(error), code=3)
    except (ValueError, OSError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        print("interrupted: nothing is written", file=sys.stderr)
        return 130


def run(options) -> int:
    """Runs one benchmark: a table on stdout, JSON and a figure in files."""
    if options.files:
        raise ValueError(f"files must be given to compare alone, got {options.files}")
    if options.json is not None and options.json.suffix != ".json":
        raise ValueError(f"json must be a file that ends in .json, got {options.json}")
    from benchmarks import running

    benchmark = importlib.import_module(f"benchmarks.{options.benchmark}").BENCHMARK
    report = running.run(benchmark, options)
    print(report.text)
    print(f"{LINE}{report.headline}", file=sys.stderr)
    return 0


def run_all(options) -> int:
    """Runs every benchmark in a process of its own; prints one line for each."""
    begin = time.perf_counter()
    passed = ["--quick"] if options.quick else []
    passed += ["--device", options.device] if options.device else []
    passed += ["--rounds", str(options.rounds)] if options.rounds else []
    failed = []
    for name in benchmarks():
        started = time.perf_counter()
        # A process each: what one has compiled, allocated or set must not help or hurt the next.
        process = [sys.executable, "-m", "benchmarks", name, *passed]
        ran = subprocess.run(process, capture_output=True, text=True, check=False)
        lines = ran.stderr.splitlines()
        said = [line.removeprefix(LINE) for line in lines if line.startswith(LINE)]
        if ran.returncode:
            failed.append(name)
            said = [f"{name}: FAILED: {lines[-1] if lines else ran.returncode}"]
        print(f"{said[0]}  ({time.perf_counter() - started:.0f} s)", flush=True)
    print(f"{len(benchmarks())} benchmarks in {time.perf_counter() - begin:.0f} s")
    return 1 if failed else 0


def run_whole(options) -> int:
    """Runs all that is to be known of a GPU or a TPU; writes one JSON."""
    if options.json is not None and options.json.suffix != ".json":
        raise ValueError(f"json must be a file that ends in .json, got {options.json}")
    from benchmarks import whole

    return whole.run(options)


def compare(options) -> int:
    """Compares two records; the exit code is 1 where something has become slower beyond noise."""
    if len(options.files) != 2:
        raise ValueError(f"compare takes two files, OLD NEW, got {len(options.files)}")
    from benchmarks import comparison, record

    found = comparison.changes(*map(record.read, options.files))
    print(comparison.table(found))
    slower = comparison.regressions(found)
    print(f"  {len(slower)} of {len(found)} have become slower beyond noise")
    return 1 if slower else 0
