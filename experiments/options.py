"""The options that all experiments share, and what a sweep on the command line means."""

import argparse
import ast
import pathlib

from jaxdl.cli import Parser

FOLDER = pathlib.Path(__file__).parent


def experiments() -> dict[str, str]:
    """Name -> docstring of every experiment (a file whose docstring has its command), without importing any."""
    docstrings = {path.stem: ast.get_docstring(ast.parse(path.read_text())) or "" for path in sorted(FOLDER.glob("*.py"))}
    return {name: text for name, text in docstrings.items() if "\nCommand: " in text}


def positive(text: str) -> int:
    """A positive integer, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return value


def lanes(text: str) -> int | str:
    """A positive integer, or the word for finding it by measurement."""
    try:
        return text if text == "measure" else positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be a positive integer or 'measure', got {text!r}") from None


def swept(text: str) -> tuple[str, list]:
    """NAME=a,b,c as (NAME, [a, b, c]), for argparse."""
    name, equals, values = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"must look like NAME=a,b,c, got {text!r}")
    if not values:
        raise argparse.ArgumentTypeError(f"of {name} must hold at least one value, got {text!r}")
    return name, [scalar(value) for value in values.split(",")]


def scalar(text: str):
    """An int, a float, True, False, None or, failing these, the text itself."""
    words = {"True": True, "true": True, "False": False, "false": False, "None": None, "none": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parser() -> Parser:
    """The command line of ``python -m experiments``."""
    listing = "\n".join(f"  {name:<24}{first_line(text)}\n{'':<26}{usual_time(text)}" for name, text in experiments().items())
    made = Parser(
        prog="python -m experiments",
        description="Runs an experiment: a table on stdout, a run folder with figures. Experiments:\n\n" + listing,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("experiment", nargs="?", help="which one; none lists them")
    made.add_argument("--seeds", type=positive, metavar="N", help="seeds per config (each experiment has its default)")
    made.add_argument("--steps", type=positive, metavar="N", help="updates per lane")
    made.add_argument("--eval-every", type=positive, metavar="N", help="steps between evaluations")
    made.add_argument("--sweep", type=swept, action="append", default=[], metavar="NAME=a,b,c",
                      help="values of a hyper-parameter, swept or a default so far; may be given again for others")  # fmt: skip
    made.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="run folder (default: under runs/, named after the options)"
    )
    made.add_argument("--quick", action="store_true", help="few seeds and steps: shows that it works, proves nothing")
    made.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    made.add_argument("--lane-size", type=lanes, metavar="N", help="lanes vmapped together, or 'measure' (for experts)")
    made.add_argument(
        "--shard",
        metavar="I/N",
        help="train only every N-th block, from the I-th; 'auto': as SLURM's or Open MPI's environment says",
    )
    made.add_argument("--plan", action="store_true", help="show what would be traced, padded and compiled, and stop")
    made.add_argument("--shapes", choices=("auto", "pad", "bucket"), default="auto",
                      help="how sizes that could share a program are grouped (for experts)")  # fmt: skip
    return made


def first_line(docstring: str) -> str:
    """The question an experiment asks."""
    return docstring.splitlines()[0] if docstring else ""


def usual_time(docstring: str) -> str:
    """The line of a docstring that says how long the experiment takes."""
    return next((line.strip() for line in docstring.splitlines() if line.startswith("Time:")), "")


def merge_sweeps(sweep: dict, defaults: dict, given: list[tuple[str, list]]) -> tuple[dict, dict]:
    """The experiment's sweep and defaults with those of the command line in their place.

    Raises:
      ValueError: a name that is neither swept nor a default, or a value that is out of the experiment's range.
    """
    from jaxdl.checks import positive_int, positive_number, unknown
    from jaxdl.planning.spec import SETTINGS

    sweep, defaults = dict(sweep), dict(defaults)
    for name, values in given:
        if name not in sweep and name not in defaults and name not in SETTINGS:
            raise unknown("hyper-parameter", name, dict.fromkeys((*sweep, *defaults, *SETTINGS)))
        defaults.pop(name, None)
        sweep[name] = values
    ranges = {"learning_rate": positive_number, "width": positive_int}  # of the experiments; a study may go beyond
    for name in ranges.keys() & sweep.keys():
        for value in sweep[name]:
            ranges[name](name, value)
    return sweep, defaults


def unswept(sweep, **settings) -> dict:
    """The settings that are not swept: a study takes each of them in one place."""
    return {name: value for name, value in settings.items() if name not in sweep}


class Stop(Exception):
    """Ends a command early with something to say: a plan was asked for, or other shards still have blocks to train."""


def run_study(study, folder: pathlib.Path, options):
    """Runs a study the way the options ask for, progress on stderr; returns its Result.

    Raises:
      Stop: the plan was asked for, or this is a shard and blocks of other shards are missing.
    """
    return run_studies({"": study}, folder, options)[""]


def run_studies(studies: dict, folder: pathlib.Path, options) -> dict:
    """The same for several studies, each in a folder of its name below `folder`: name -> Result."""
    if options.plan:
        raise Stop("\n\n".join(f"{name} {study.plan(measure=True)}".strip() for name, study in studies.items()))
    results = {name: study.run(folder / name, progress=True, shard=options.shard) for name, study in studies.items()}
    wanted = sum(len(study.spec.configs) * len(study.spec.seeds) for study in studies.values())
    stored = sum(len(result.lanes) for result in results.values())
    if stored < wanted:
        raise Stop(f"this shard is done: {stored} of {wanted} lanes are stored in {folder}")
    return results


def run_folder(options, sweep: dict, usual: dict) -> pathlib.Path:
    """Where a run goes: ``--out``, or a folder named after what makes it another study than the usual one.

    Seeds and swept values may grow within a folder; steps, evaluations, shapes and axes may not differ.
    """
    if options.out is not None:
        return options.out
    parts = [options.experiment, *(["quick"] if options.quick else [])]
    parts += [f"{name}={value}" for name in ("steps", "eval_every", "lane_size") if (value := getattr(options, name)) is not None]
    parts += [options.shapes] * (options.shapes != "auto") + [f"by-{name}" for name in sweep if name not in usual]
    return pathlib.Path("runs") / "-".join(parts)
