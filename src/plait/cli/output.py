"""Plain text to the terminal, for the commands that load nothing but the standard library.

Colour and tables are `render`'s; this is its lower half. A reader that went away (`plait get ... | head`) is no error.
"""

import sys


def say(text: str = "") -> None:
    """Print one line on standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print one line on standard error: what a person should know but a pipe should not receive."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
