"""How a failed command ends: what is wrong and how to mend it on standard error, and a documented exit code.

0 done    1 the input is wrong, or a check found something    2 usage    3 the mesh is unreachable    4 refused
5 timed out    130 interrupted    `run`, `start` and `exec` pass the command's own code and use for theirs:
125 plait could not do it    126 the command cannot be executed    127 there is no such command
"""

from enum import IntEnum

from plait.cli.output import counted, note
from plait.errors import InvalidInputError, PlaitError


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FOUND = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    TIMED_OUT = 5
    OWN_FAILURE = 125
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
    INTERRUPTED = 130


class UsageError(PlaitError):
    """The command line itself is wrong."""

    exit_code = ExitCode.USAGE


class CheckError(PlaitError):
    """The input, or what was examined, is not as it should be."""

    exit_code = ExitCode.FOUND


class CommandError(PlaitError):
    """The command to be run cannot be executed (126) or does not exist (127)."""

    def __init__(self, problem: str, remedy: str = "", *, exit_code: int = ExitCode.NOT_FOUND) -> None:
        super().__init__(problem, remedy)
        self.exit_code = exit_code


def describe(error: PlaitError) -> str:
    """What is printed of an error: one line and a hint, or every violation and their number."""
    if isinstance(error, InvalidInputError):
        lines = [str(violation) for violation in error.violations]
        return "\n".join([*lines, f"{counted(len(lines), 'mistake')} found; nothing was applied"])
    lines = [f"error: {error.problem}"]
    if error.remedy:
        lines.append(f"  hint: {error.remedy}")
    return "\n".join(lines)


def report(error: PlaitError) -> int:
    """Print an error on standard error; returns the exit code."""
    note(describe(error))
    return error.exit_code
