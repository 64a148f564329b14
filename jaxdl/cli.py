"""``jaxdl``: what run folders hold, listed, shown, reported as a page, or exported as CSV; which
data are at hand, and what is cached."""

import argparse
import itertools
import pathlib
import shutil
import sys
import webbrowser
from collections.abc import Sequence

from jaxdl import __version__
from jaxdl.checks import DataError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 2."""

    def error(self, message: str):
        """Says what is wrong and ends."""
        sys.exit(fail(f"{self.prog}: {message}"))


def fail(message: str, code: int = 2) -> int:
    """Prints an error as one line on stderr; returns the exit code: 2 for bad input, 3 for data
    that are missing or damaged."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def parser() -> Parser:
    """Makes the command line."""
    top = Parser(
        prog="jaxdl",
        description="Reads the run folders that studies write; keeps the data they are trained on.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    listing = commands.add_parser(
        "list",
        help="the runs in a folder",
        description="Prints a row a run in a folder and below it.",
    )
    listing.add_argument("folder", type=pathlib.Path, metavar="DIR", help="for example runs")
    add_wide(listing)
    showing = commands.add_parser(
        "show",
        help="what a run holds",
        description="Prints what a run folder holds, and one metric; of a folder of runs, such as "
        "an experiment of several studies writes, each of them.",
    )
    showing.add_argument("run", type=pathlib.Path, metavar="RUN", help="run folder")
    add_wide(showing)
    showing.add_argument(
        "--metric",
        metavar="NAME",
        help="the metric of the table (default: the last one of the test split, "
        "the loss only if there is no other)",
    )
    exporting = commands.add_parser(
        "export",
        help="lanes and curves as CSV",
        description="Writes lanes.csv (a row a lane) and history.csv (a row an evaluation).",
    )
    exporting.add_argument("run", type=pathlib.Path, metavar="RUN", help="run folder")
    exporting.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="where to (default: the run folder)"
    )
    add_report_command(commands)
    add_data_commands(commands)
    caching = commands.add_parser(
        "cache",
        help="what is kept of compiled programs",
        description="Says what the cache of compiled programs and findings takes, and where it is.",
    )
    caching.add_argument("--clear", action="store_true", help="deletes all of it")
    completing = commands.add_parser(
        "completion",
        help="a script that completes this command",
        description="Prints a script for a shell, which completes jaxdl's commands and options: "
        "source <(jaxdl completion bash). Needs shtab: pip install shtab.",
    )
    completing.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")
    return top


def add_wide(commands):
    """Adds ``--wide`` to a command that prints tables."""
    commands.add_argument(
        "--wide", action="store_true", help="tables as wide as they are, whatever the terminal"
    )


def table_width(wide: bool) -> int | None:
    """Gives the width that tables on stdout are to fit; None where it is no terminal or all of
    them is wanted."""
    # What a program reads, from a pipe or a file, does not depend on a window.
    return None if wide or not sys.stdout.isatty() else shutil.get_terminal_size().columns


def add_report_command(commands):
    """Adds ``report`` to the command line."""
    reporting = commands.add_parser(
        "report",
        help="a page on what runs found",
        description="Writes one HTML file on one or several runs, which needs no network and no "
        "script: tables, curves, distributions, comparisons, what diverged or is missing, and how "
        "it was made.",
    )
    reporting.add_argument(
        "runs",
        type=pathlib.Path,
        metavar="RUN",
        nargs="+",
        help="run folder, or a folder of run folders",
    )
    reporting.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE",
        help="where to (default: report.html in the first folder)",
    )
    reporting.add_argument(
        "--title",
        metavar="TEXT",
        help="the question (default: made of what was swept and measured)",
    )
    reporting.add_argument("--open", action="store_true", help="shows it in the web browser")


def add_data_commands(commands):
    """Adds ``data list`` and ``data add`` to the command line."""
    data = commands.add_parser(
        "data",
        help="image data sets at hand",
        description="Says which image data sets are at hand; keeps a copy of one.",
    )
    kinds = data.add_subparsers(
        dest="data_command", required=True, metavar="COMMAND", parser_class=Parser
    )
    kinds.add_parser(
        "list",
        help="what is at hand, and from where",
        description="Prints a line a data set and place, in the order in which they are looked at.",
    )
    added = kinds.add_parser(
        "add",
        help="check and keep a copy of CIFAR-10",
        description="Checks a copy of CIFAR-10 and keeps it for later runs: "
        "cifar-10-python.tar.gz, cifar-10-binary.tar.gz, the folder that either unpacks to, "
        "or one that TensorFlow Datasets has prepared as array_record.",
    )
    added.add_argument("path", type=pathlib.Path, metavar="PATH", help="archive or folder")


def main(arguments=None) -> int:
    """Runs the command; returns its exit code."""
    commands = parser()
    options = commands.parse_args(arguments)
    if options.command is None:
        commands.print_help()
        return 0
    try:
        print(text_of(options))
    except DataError as error:
        return fail(str(error), code=3)
    except (ValueError, KeyError, OSError) as error:
        return fail(str(error))
    return 0


def text_of(options) -> str:
    """Does what the command line asks; returns what it prints."""
    if options.command == "list":
        return listed(options.folder, table_width(options.wide))
    if options.command == "show":
        width = table_width(options.wide)
        shown = [show(run, options.metric, width) for run in runs_below(options.run)]
        return "\n\n".join(shown)
    if options.command == "completion":
        return completion(options.shell)
    if options.command == "cache":
        return cache(options.clear)
    if options.command == "export":
        return export(options.run, options.out or options.run)
    if options.command == "report":
        return report(options.runs, options.out, options.title, options.open)
    from jaxdl.data import library  # it needs jax, which --help does not

    return library.listed() if options.data_command == "list" else library.add(options.path)


# jax and matplotlib take seconds to import: `--help` and wrong arguments do without them.


def listed(folder: pathlib.Path, width: int | None = None) -> str:
    """Lists the runs in a folder and below it, a row each.

    Args:
      width: of a terminal that the table is to fit.

    Raises:
      ValueError: there is none.
    """
    from jaxdl.reporting.tables import Table

    rows = []
    for run in runs_below(folder):
        try:
            rows.append(_row(run))
        except (ValueError, OSError) as error:
            if run == folder:
                raise
            # A damaged run hides none of the others.
            rows.append((str(run), "damaged", None, None, " ".join(str(error).split())[:60]))
    columns = ("run", "lanes", "of", "seeds", "axes")
    return Table(
        f"{len(rows)} run{'s' * (len(rows) != 1)} in {folder}", columns, tuple(rows)
    ).fitted(width)


def _row(run: pathlib.Path) -> tuple:
    """The cells of a run: its folder, how many lanes are trained, of how many, seeds, axes."""
    from jaxdl.checks import folder
    from jaxdl.running import manifest as manifests
    from jaxdl.running import store
    from jaxdl.running.blocks import stored
    from jaxdl.running.lanes import ABOUT, reader

    manifest = store.read_manifest(folder("path", run))
    if manifest is None:
        raise ValueError(f"path must hold a run, got {run}: there is no {store.MANIFEST} below it")
    manifest = manifests.checked(manifest, run)
    planned = set(manifests.planned_lanes(manifest))
    lanes_of = reader(manifest)
    trained = set()
    for block in stored(manifest, run, ABOUT).values():
        trained.update(lanes_of(block))
    seeds = {seed for _, seed in planned}
    axes = ", ".join(manifest["axes"]) or None
    return (str(run), len(trained & planned), len(planned), len(seeds), axes)


def completion(shell: str) -> str:
    """Makes the script that completes the command line in a shell.

    Raises:
      ValueError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise ValueError("completion needs shtab: pip install shtab") from error
    return shtab.complete(parser(), shell=shell)


def cache(clears: bool = False) -> str:
    """Says what the cache takes and where it is; empties it first where `clears`."""
    from jaxdl.planning import memo

    root = memo.folder()
    if root is None:
        return "There is no cache: JAXDL_CACHE is off, or there is no folder for it."
    files = [path for path in root.rglob("*") if path.is_file()]
    count = f"{len(files)} file{'s' * (len(files) != 1)}"
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    if clears:
        memo.prune(0)
        return f"{root}: deleted {count}, {megabytes:.1f} MB"
    most = memo.MOST_BYTES / 1e6
    return f"{root}: {count}, {megabytes:.1f} MB of at most {most:.0f}"


def show(run: pathlib.Path, metric: str | None = None, width: int | None = None) -> str:
    """Describes what a run folder holds, as text.

    Args:
      run: its folder.
      width: of a terminal that the table is to fit.
      metric: whose last values are summed up; the last one of the test split by default, test_loss
        if there is no other.

    Raises:
      ValueError: no run, or no such metric.
    """
    from jaxdl.result import load, usual_metric
    from jaxdl.running import store

    result, manifest = load(run), store.read_manifest(run)
    text = "\n".join(about(run, manifest, result))
    if not result.lanes:
        return text
    table = result.table(metric or usual_metric(result.history))
    return f"{text}\n\n{table.fitted(width)}"


def about(run: pathlib.Path, manifest, result) -> list[str]:
    """Makes the lines on a run's settings, programs and progress."""
    from jaxdl.running.blocks import stored
    from jaxdl.running.lanes import ABOUT
    from jaxdl.running.manifest import blocks_of, planned_lanes

    trained = len(result.lanes)
    diverged = int(result.diverged.sum())
    seeds = {seed for _, seed in planned_lanes(manifest)}
    lines = [str(run), "study     " + _pairs(manifest["study"])]
    for name in manifest["axes"]:
        lines.append(f"axis      {name}: {', '.join(_values(manifest, name))}")
    lines += [
        f"seeds     {len(seeds)}",
        f"lanes     {trained} of {trained + result.missing} trained: {trained - diverged} "
        f"finished, {diverged} diverged",
        f"blocks    {len(stored(manifest, run, ABOUT))} of {len(blocks_of(manifest))}",
        "versions  " + _pairs(manifest["versions"]),
    ]
    for number, program in enumerate(manifest["programs"]):
        lines.append(f"program {number} {_program(program)}")
    return lines


def _pairs(values: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _values(manifest: dict, name: str) -> list[str]:
    """The values of an axis in order; as text, because 1 and 1.0 are two of them."""
    return list(dict.fromkeys(str(config[name]) for config in manifest["configs"]))


def _program(program: dict) -> str:
    kinds = [f"{name} {axis[0]}" for name, axis in program["axes"].items()]
    axes = ", ".join(kinds) or "no axes"
    configs = len(program["configs"])
    many = "s" * (configs != 1)
    return (
        f"{configs} config{many}, lane_size {program['lane_size']}, {program['steps']} steps; "
        f"{axes}"
    )


def export(run: pathlib.Path, out: pathlib.Path) -> str:
    """Writes lanes.csv and history.csv; each appears whole or not at all.

    lanes.csv has a row a lane: its row number, what was swept, seed, status, diverged_at, and the
    last value of every metric. history.csv has a row for every evaluation of a lane: the same
    beginning, its step, whether the lane had diverged by then, and every metric. What was not
    measured is empty.

    Args:
      run: the run folder.
      out: where to; made where it is not there.

    Returns:
      A line that says what was written.

    Raises:
      ValueError: no run.
    """
    from jaxdl.result import load

    # Read before anything is written: a run that cannot be read leaves no folder behind.
    result = load(run)
    out.mkdir(parents=True, exist_ok=True)
    counts = []
    for name, curves in (("lanes.csv", False), ("history.csv", True)):
        rows = result.to_csv(out / name, curves)
        counts.append(f"{out / name}: {rows} rows")
    return ", ".join(counts)


def report(
    runs: Sequence[pathlib.Path],
    out: pathlib.Path | None = None,
    title: str | None = None,
    opens: bool = False,
) -> str:
    """Writes the report of runs; it appears whole or not at all.

    Args:
      runs: run folders, or folders of run folders.
      out: the file; report.html in the first folder by default.
      title: the question; made of what was swept and measured where not given.
      opens: shows it in the web browser.

    Returns:
      A line that says what was written.

    Raises:
      ValueError: no run.
    """
    from jaxdl.pages.report import REPORT, page, reported, write
    from jaxdl.result import load

    folders = list(dict.fromkeys(itertools.chain(*map(runs_in, runs))))
    made = page([reported(str(folder), load(folder)) for folder in folders], title)
    path = write(runs[0] / REPORT if out is None else out, made)
    text = f"{path}: {path.stat().st_size / 1e6:.2f} MB"
    if opens and not webbrowser.open(path.resolve().as_uri()):
        return f"{text}; no web browser was found to open it"
    return text


def runs_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """Lists the runs in a folder: itself, or those anywhere below it where it is none."""
    from jaxdl.running.store import MANIFEST

    if (folder / MANIFEST).exists():
        return [folder]
    return sorted(path.parent for path in folder.rglob(MANIFEST)) or [folder]


def runs_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Lists the runs in a folder: itself, or those right below it where it is none."""
    from jaxdl.running.store import MANIFEST

    if (folder / MANIFEST).exists():
        return [folder]
    below = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return below or [folder]  # which `load` then refuses by its name
