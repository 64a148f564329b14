"""Reads the options that all experiments share, and finds the experiments, all without jax."""

import argparse
import ast
import difflib
import pathlib

from jaxdl.cli import Parser, add_wide

FOLDER = pathlib.Path(__file__).parent
AUDIT = "audit"  # which runs other experiments, and so has options of its own


class Options(Parser):
    """The command line of experiments, which says where hyper-parameters belong."""

    def error(self, message: str):
        """Says what is wrong and what to write instead, and ends."""
        start, _, words = message.partition("unrecognized arguments: ")
        unknown = words.split()
        if not start and unknown and unknown[0].startswith("--"):
            message += self._remedy(*unknown[:2])
        super().error(message)

    def _remedy(self, option: str, value: str = "VALUE") -> str:
        option, equals, given = option.partition("=")
        known = [name for action in self._actions for name in action.option_strings]
        alike = difflib.get_close_matches(option, known, n=1, cutoff=0.8)
        if alike:
            return f"; did you mean {alike[0]}?"
        name = option[2:].replace("-", "_")
        return f"; for a hyper-parameter use --sweep {name}={given if equals else value}"


class Stop(Exception):
    """Ends a command early with something to say.

    A plan was asked for, or other shards still have blocks to train.
    """


def experiments() -> dict[str, str]:
    """Maps the name of every experiment to its docstring.

    An experiment is a file whose docstring has its command; none is imported, so that a listing is
    quick.
    """
    docstrings = {}
    for path in sorted(FOLDER.glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        if "\nCommand: " in text:
            docstrings[path.stem] = text
    return docstrings


def first_line(docstring: str) -> str:
    """Gives the question an experiment asks."""
    return docstring.splitlines()[0] if docstring else ""


def usual_time(docstring: str) -> str:
    """Gives the line of a docstring that says how long the experiment takes."""
    lines = [line.strip() for line in docstring.splitlines() if line.startswith("Time:")]
    return lines[0] if lines else ""


def positive(text: str) -> int:
    """Reads a positive integer, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return value


def lanes(text: str) -> int | str:
    """Reads a positive integer, or the word for finding it by measurement."""
    try:
        return text if text == "measure" else positive(text)
    except argparse.ArgumentTypeError:
        message = f"must be a positive integer or 'measure', got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def swept(text: str) -> tuple[str, list]:
    """Reads NAME=a,b,c as (NAME, [a, b, c]), for argparse."""
    name, equals, values = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"must look like NAME=a,b,c, got {text!r}")
    if not values:
        raise argparse.ArgumentTypeError(f"of {name} must hold at least one value, got {text!r}")
    return name, [scalar(value) for value in values.split(",")]


def scalar(text: str):
    """Reads an int, a float, a bool or None; what is none of these is the text itself."""
    word = text.capitalize() if text in ("true", "false", "none") else text
    # `float` for nan and inf, which are no literals: they are refused later, by name.
    for read in (ast.literal_eval, float):
        try:
            value = read(word)
        except (ValueError, SyntaxError):
            continue
        if value is None or isinstance(value, (int, float)):
            return value
    return text


def description() -> str:
    """Lists the experiments, each with its question and its time."""
    lines = ["Runs an experiment: a table on stdout, a run folder with figures. Experiments:", ""]
    for name, text in experiments().items():
        lines.append(f"  {name:<24}{first_line(text)}")
        lines.append(f"{'':<26}{usual_time(text)}")
    return "\n".join(lines)


def parser(about: str | None = None) -> Parser:
    """Makes the command line of ``python -m experiments``.

    Args:
      about: the experiment whose docstring its help shows; all of them in brief if not given.
    """
    commands = Options(
        prog="python -m experiments",
        description=experiments().get(about or "") or description(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = commands.add_argument
    add("experiment", nargs="?", help="which one; none lists them; gallery: a page of all")
    if about == AUDIT:
        add_audit_options(commands)
        return commands
    add(
        "--seeds",
        type=positive,
        metavar="N",
        help="seeds per config (each experiment has its default)",
    )
    add("--steps", type=positive, metavar="N", help="updates per lane")
    add("--eval-every", type=positive, metavar="N", help="steps between evaluations")
    add(
        "--sweep",
        type=swept,
        action="append",
        default=[],
        metavar="NAME=a,b,c",
        help="values of a hyper-parameter, swept or a default so far; "
        "may be given again for others",
    )
    add(
        "--epochs",
        type=positive,
        metavar="N",
        help="passes over the training images (image experiments)",
    )
    add(
        "--dataset",
        choices=("digits", "cifar10"),
        help="the images (image experiments; default: digits, or cifar10 with --data-dir)",
    )
    add(
        "--data-dir",
        type=pathlib.Path,
        metavar="DIR",
        help="a folder with the prepared data set (image experiments)",
    )
    add(
        "--out",
        type=pathlib.Path,
        metavar="DIR",
        help="run folder (default: under runs/, named after the options)",
    )
    add(
        "--quick",
        action="store_true",
        help="few seeds and steps: shows that it works, proves nothing",
    )
    add("--json", action="store_true", help="the result, or the plan, as JSON on stdout")
    add_wide(commands)
    add(
        "--lane-size",
        type=lanes,
        metavar="N",
        help="lanes vmapped together, or 'measure' (for experts)",
    )
    add(
        "--shard",
        metavar="I/N",
        help="train only every N-th block, from the I-th; "
        "'auto': as SLURM's or Open MPI's environment says",
    )
    add(
        "--plan",
        action="store_true",
        help="show what would be traced, padded and compiled, and stop",
    )
    add(
        "--shapes",
        choices=("auto", "pad", "bucket"),
        default="auto",
        help="how sizes that could share a program are grouped (for experts)",
    )
    return commands


def add_audit_options(commands: Parser):
    """Adds what the audit takes, in the place of what experiments take."""
    add = commands.add_argument
    add("--quick", action="store_true", help="few seeds and cells: shows that it works")
    add(
        "--out",
        type=pathlib.Path,
        metavar="DIR",
        help="its folder, where it goes on (default: runs/audit)",
    )
    add("--json", action="store_true", help="a row a number or claim, as JSON on stdout")
    add(
        "--runs",
        type=pathlib.Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a run folder of cifar_mlp or cifar_cnn, used where it is of all epochs; "
        "may be given again for others",
    )
    add("--only", metavar="R1,...", help="these reports alone")
    add(
        "--markdown",
        type=pathlib.Path,
        metavar="FILE",
        help="writes the page there too, beside AUDIT.md in its folder",
    )
    commands.set_defaults(plan=False)
