"""``python -m jaxdl``: the command line."""

import sys

from jaxdl.cli import main

if __name__ == "__main__":
    sys.exit(main())
