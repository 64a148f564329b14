"""``python -m benchmarks``: lists the benchmarks, runs one or all, compares two runs."""

import sys

from benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
