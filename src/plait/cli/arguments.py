"""Argument parsing with the standard library, for commands that must start at once.

A wrong command line raises UsageError instead of ending the process, so that each command decides on its exit code.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from plait.cli.errors import UsageError

EVERYWHERE = "Everywhere: --state-dir DIR or --server URL choose the mesh (or PLAIT_STATE_DIR, PLAIT_SERVER)."


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong as a UsageError."""
        raise UsageError(message, f"see `{self.prog} --help`")


def parser(command: str, summary: str, epilog: str = "") -> Parser:
    """A parser for `plait COMMAND`; abbreviated options are not accepted, so that new options break no script."""
    return Parser(
        prog=f"plait {command}",
        description=summary,
        epilog="\n\n".join(part for part in (epilog, EVERYWHERE) if part),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def split_command(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """What stands before the first `--`, and the command after it (None without a `--`)."""
    words = list(arguments)
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def required_command(arguments: Sequence[str], example: str) -> tuple[list[str], list[str]]:
    """Like `split_command`, where a command must be given."""
    options, command = split_command(arguments)
    if {"-h", "--help"} & set(options):
        return options, []
    if not command:
        raise UsageError("no command to run", f"write it after `--`: {example}")
    return options, command


class Options(Protocol):
    """A parser, or a group of one."""

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """Add an option."""
        ...


def add_namespace(target: Options) -> None:
    """Add -n/--namespace."""
    target.add_argument("-n", "--namespace", default="default", metavar="NS", help="namespace (default: default)")
