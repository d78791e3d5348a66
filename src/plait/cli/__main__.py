"""`python -m plait.cli` is `plait`; the supervisor starts its parts this way."""

import sys

from plait.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
