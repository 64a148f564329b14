"""``python -m benchmarks``: lists the benchmarks, or runs one."""

import ast
import importlib
import pathlib
import sys


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code."""
    files = sorted(
        path
        for path in pathlib.Path(__file__).parent.glob("*.py")
        if path.stem not in ("__init__", "__main__", "timing")
    )
    known = {
        path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        for path in files
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        for name, question in known.items():
            print(f"{name:<16}{question}")
        return 0
    if arguments[0] not in known:
        print(
            f"error: benchmark must be one of {', '.join(known)}, got {arguments[0]!r}",
            file=sys.stderr,
        )
        return 2
    return importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
