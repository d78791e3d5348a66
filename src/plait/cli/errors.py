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


UNDONE = {
    "apply": "nothing was applied",
    "bundle": "nothing was written",
    "delete": "nothing was deleted",
    "start": "nothing was started",
}
"""What did not happen because the input is wrong, by command; the others change nothing, or not by what they read."""


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


def describe(error: PlaitError, command: str = "") -> str:
    """What is printed of an error: one line and a hint, or every violation, their number and what was not done."""
    if isinstance(error, InvalidInputError):
        lines = [str(violation) for violation in error.violations]
        undone = f"; {UNDONE[command]}" if command in UNDONE else ""
        return "\n".join([*lines, f"{counted(len(lines), 'mistake')} found{undone}"])
    lines = [f"error: {error.problem}"]
    if error.remedy:
        lines.append(f"  hint: {error.remedy}")
    return "\n".join(lines)


def report(error: PlaitError, command: str = "") -> int:
    """Print an error of that command on standard error; returns the exit code."""
    note(describe(error, command))
    return error.exit_code
