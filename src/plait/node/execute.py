"""Becoming the command: what the launcher does in the child, and in itself for an Envoy.

Its failures are `env`'s: 127 the command does not exist, 126 it cannot be executed, 125 anything of our own.
"""

import json
import os
import signal
import termios
from fcntl import ioctl
from typing import Any, Final, NoReturn

from plait.node import confine

OWN_FAILURE: Final = 125
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127


def exit_code(status: int) -> int:
    """The exit code for a wait status, as a shell gives it: 128 + number for a signal."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _failure(command: str, error: Exception) -> dict[str, Any]:
    if isinstance(error, FileNotFoundError):
        remedy = "check the spelling, or give the path of the program"
        return {"code": NOT_FOUND, "problem": f"command not found: {command}", "remedy": remedy}
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    remedy = "make it executable (chmod +x), and check that its first line names an interpreter"
    return {"code": NOT_EXECUTABLE, "problem": f"cannot execute {command}: {reason}", "remedy": remedy}


def execute(document: dict[str, Any]) -> dict[str, Any]:
    """Enter the place and execute the command; returns only if that failed, with the reason.

    `cwd` is entered as the app's user, `folder` before privileges are given up: what lies above it may be closed.
    """
    command: list[str] = document["command"]
    environment: dict[str, str] = document["env"]
    folder: str = document.get("cwd") or ("" if document.get("folder") else "/")
    program: int = document.get("program", -1)
    try:
        if document.get("folder"):
            os.chdir(document["folder"])
        confine.enter(confine.Confinement.of(document))
        if folder:
            os.chdir(folder)
    except OSError as error:
        remedy = (
            "choose a directory that the app's user may enter" if error.filename == folder else "run `plait doctor`"
        )
        return {"code": OWN_FAILURE, "problem": f"cannot prepare the app's place: {error}", "remedy": remedy}
    _usual_signals()
    try:
        if program >= 0:
            os.set_inheritable(program, False)
            os.execve(program, command, environment)  # noqa: S606
        os.execvpe(command[0], command, environment)  # noqa: S606
    except (OSError, ValueError) as error:
        return _failure(command[0], error)


def _usual_signals() -> None:
    """Ignore and block none: not those that the interpreter ignores, nor what the agent inherited from its shell."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def become_app(document: dict[str, Any], report: int) -> NoReturn:
    """Become the app in a session of its own; if that fails, write the reason to `report` and end."""
    os.setsid()
    if document.get("terminal"):
        ioctl(0, termios.TIOCSCTTY, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    confine.die_with_parent()
    os.write(report, json.dumps(execute(document)).encode())
    os._exit(OWN_FAILURE)
