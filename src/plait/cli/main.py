"""The entry point: choose the mesh, find the command, turn errors into exit codes.

Only the module of the command at hand is imported. The commands in QUICK parse their own arguments with the standard
library; all others belong to the typer application in `app`.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from plait.cli import context
from plait.cli.errors import ExitCode, report
from plait.cli.output import ReaderGone, note
from plait.errors import PlaitError

QUICK = {
    "run": "plait.cli.run",
    "exec": "plait.cli.exec",
    "start": "plait.cli.start",
    "stop": "plait.cli.stop",
    "gateway": "plait.cli.gateway",
    "up": "plait.cli.up",
    "down": "plait.cli.down",
    "control": "plait.cli.control",
    "node": "plait.cli.node",
    "telemetry": "plait.cli.telemetry",
}
"""Commands that load no more than they need, and their modules; each has `main(arguments) -> exit code`."""

CARRIERS = frozenset({"run", "exec", "start"})
"""Commands that pass on another command's exit code, and so have codes of their own for their own failures."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = ""
    try:
        mesh, words = context.choose(words, os.environ, uid=os.geteuid())
        context.MESH.set(mesh)
        command = words[0] if words else ""
        return _dispatch(command, words)
    except PlaitError as error:
        code = report(error, command)
        own = command in CARRIERS and code not in (ExitCode.NOT_EXECUTABLE, ExitCode.NOT_FOUND)
        return ExitCode.OWN_FAILURE if own else code
    except KeyboardInterrupt:
        note("interrupted")
        return ExitCode.INTERRUPTED
    except ReaderGone:
        return ExitCode.DONE
    except Exception as error:
        if os.environ.get("PLAIT_DEBUG"):
            raise
        note(f"error: plait itself failed: {type(error).__name__}: {error}")
        note("  hint: run it again with PLAIT_DEBUG=1 and report what it prints")
        return ExitCode.OWN_FAILURE if command in CARRIERS else ExitCode.FOUND


def _dispatch(command: str, words: Sequence[str]) -> int:
    if module := QUICK.get(command):
        try:
            return int(import_module(module).main(words[1:]))
        except SystemExit as ending:  # argparse ends the process after printing help
            return int(ending.code or 0)
    from plait.cli.app import main

    return main(words)


if __name__ == "__main__":
    sys.exit(run())
