"""``python -m benchmarks``: lists the benchmarks, or runs one."""

import ast
import importlib
import pathlib
import sys

NO_BENCHMARKS = ("__init__", "__main__", "timing")


def benchmarks() -> dict[str, str]:
    """Maps the name of each benchmark to its question; none is imported, which takes seconds."""
    questions = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if path.stem not in NO_BENCHMARKS:
            docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
            questions[path.stem] = docstring.splitlines()[0]
    return questions


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code."""
    known = benchmarks()
    if not arguments or arguments[0] in ("-h", "--help"):
        for name, question in known.items():
            print(f"{name:<16}{question}")
        return 0
    if arguments[0] not in known:
        names = ", ".join(known)
        print(f"error: benchmark must be one of {names}, got {arguments[0]!r}", file=sys.stderr)
        return 2
    return importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
