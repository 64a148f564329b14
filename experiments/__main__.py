"""``python -m experiments``: lists the experiments, runs one, or makes a page of all."""

import difflib
import importlib
import json
import pathlib
import sys

from experiments import options as command_line
from jaxdl.checks import DataError
from jaxdl.cli import fail
from jaxdl.planning.background import leave

RUNS = pathlib.Path("runs")


def main(arguments=None) -> int:
    """Runs the command; returns its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = command_line.parser(next(iter(words), None)).parse_args(arguments)
    options.words = list(words)  # by which a report says how it was made
    known = command_line.experiments()
    if options.experiment == command_line.AUDIT and not hasattr(options, "runs"):
        return fail(f"{command_line.AUDIT} must be the first word: it has options of its own")
    if options.experiment is None:
        for name, text in known.items():
            question, time = command_line.first_line(text), command_line.usual_time(text)
            print(f"{name}\n    {question}\n    {time}")
        return 0
    if options.experiment == "gallery":
        return make_gallery(options)
    if options.experiment not in known:
        close = difflib.get_close_matches(options.experiment, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        names = ", ".join(known)
        return fail(f"experiment must be one of {names}, got {options.experiment!r}{hint}")
    try:
        report = run(options)
    except command_line.Stop as stop:
        print(stop, file=sys.stdout if options.plan else sys.stderr)
        return 0
    except DataError as error:
        return fail(str(error), code=3)
    except (ValueError, OSError, MemoryError) as error:
        return fail(str(error))
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "interrupted: the same command continues the run", file=sys.stderr)
        return 130
    print(json.dumps(report.json(), allow_nan=False) if options.json else report.text)
    return 0


def make_gallery(options) -> int:
    """Makes the page of all experiments; returns the exit code."""
    from experiments.gallery import gallery  # it needs jax, which a listing does not

    try:
        print(gallery(RUNS, options.out))
    except (ValueError, OSError) as error:
        return fail(str(error))
    return 0


def run(options):
    """Runs the experiment that the options name, or the audit of all; returns its report."""
    from experiments import frame  # it needs jax, which a listing does not

    experiment = importlib.import_module(f"experiments.{options.experiment}")
    if options.experiment == command_line.AUDIT:
        return experiment.run(options)
    return frame.run(experiment.EXPERIMENT, options)


if __name__ == "__main__":
    try:
        leave(main())
    except KeyboardInterrupt:  # a second one, while the first was reported
        leave(130)
