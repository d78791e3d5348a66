"""Plain text to the terminal, for the commands that load nothing but the standard library.

Colour and tables are `render`'s; this is its lower half. A reader that went away (`plait get ... | head`) raises
ReaderGone, which ends the command without a word.
"""

import os
import sys


def counted(number: int, what: str) -> str:
    """A number of things, in words: `1 mistake`, `2 mistakes`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class ReaderGone(Exception):  # noqa: N818 - no error
    """Nobody reads standard output any more."""


def say(text: str = "") -> None:
    """Print one line on standard output at once."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGone from None


def note(text: str) -> None:
    """Print one line on standard error: what a person should know but a pipe should not receive."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
