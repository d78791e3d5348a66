"""The typer application: every command that asks the API or reads files.

Only the module of the command at hand is imported; for `plait --help` all of them are, with the quick commands of
`main` listed beside them.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import TyperException

from plait import __version__
from plait.cli.arguments import EVERYWHERE
from plait.cli.errors import ExitCode
from plait.cli.output import note, say

COMMANDS = {
    "status": ("plait.cli.status", "Show how the mesh is and where it answers."),
    "get": ("plait.cli.get", "Show workloads and objects of the mesh."),
    "apply": ("plait.cli.apply", "Put objects into force, all or nothing."),
    "diff": ("plait.cli.diff", "Show what applying would change."),
    "delete": ("plait.cli.delete", "Delete objects."),
    "bundle": ("plait.cli.bundle", "Put files in one file with a digest."),
    "validate": ("plait.cli.validate", "Check files without a mesh."),
    "analyze": ("plait.cli.analyze", "Find mistakes across objects."),
    "test": ("plait.cli.test", "Run tests of routes and policies without a mesh."),
    "why": ("plait.cli.why", "Tell where a call would go, and why."),
    "top": ("plait.cli.top", "Show who calls whom, how fast, how well."),
    "rollout": ("plait.cli.rollout", "Shift requests to a new version step by step, under a guard."),
    "demo": ("plait.cli.demo", "Run a small shop in a mesh, or check it."),
    "doctor": ("plait.cli.doctor", "Examine this machine and the mesh."),
    "backup": ("plait.cli.backup", "Save objects, authority and tokens in a file."),
    "restore": ("plait.cli.restore", "Make a mesh again from a backup."),
}
"""Commands, their modules, and what `plait --help` says; each module has a function of the command's name."""

GROUPS = {
    "proxy": ("plait.cli.proxy", "The proxies: list, config, logs."),
    "token": ("plait.cli.token", "Tokens for machines and people: create."),
    "ca": ("plait.cli.ca", "The certificate authority: status, rotate."),
    "grant": ("plait.cli.grant", "Who may run as whom: add, remove, list."),
}
"""Commands with commands of their own; each module has a typer application `group`."""

QUICK_SUMMARIES = {
    "up": "Start a mesh on this machine.",
    "down": "End the mesh on this machine and everything that runs in it.",
    "run": "Run a command inside the mesh, with a sidecar of its own.",
    "start": "Start many workloads from a file.",
    "stop": "End workloads without losing a request.",
    "exec": "Run another command in the place of a workload.",
    "gateway": "Run the proxy of a Gateway.",
    "control": "Run the control plane by itself.",
    "node": "Run the node agent of this machine by itself.",
    "telemetry": "Collect traces and logs (not in this release).",
}
"""What `plait --help` says of the commands that `main` runs itself."""

CODES = (
    "Exit codes: 0 done, 1 the input is wrong or a check found something, 2 usage, 3 the mesh is unreachable,"
    " 4 refused, 5 timed out. run, start and exec pass on the command's own and use 125-127 for theirs."
)


def main(words: Sequence[str]) -> int:
    """Run a command line; returns the exit code."""
    arguments = with_optional_values(list(words)) or ["--help"]
    if arguments[0] == "--version":
        say(f"plait {__version__}")
        return ExitCode.DONE
    application = build(arguments[0])
    command = typer.main.get_command(application)
    try:
        result = command.main(args=arguments, prog_name="plait", standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        note(f"error: {error.format_message()}")
        note(f"  hint: see `{context.command_path if context else 'plait'} --help`")
        return ExitCode.USAGE
    except typer.Abort:
        note("interrupted")
        return ExitCode.INTERRUPTED
    except SystemExit:  # typer ends the process itself when nobody reads its help
        return ExitCode.DONE
    return result if isinstance(result, int) else ExitCode.DONE


def build(word: str = "") -> typer.Typer:
    """The application with the command of that name, or (any other word) with all of them."""
    application = typer.Typer(
        name="plait", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=SUMMARY
    )
    application.callback(epilog=f"{EVERYWHERE}\n\n{CODES}")(_describe)
    names = [word] if word in COMMANDS or word in GROUPS else [*QUICK_SUMMARIES, *COMMANDS, *GROUPS]
    for name in names:
        _register(application, name)
    return application


SUMMARY = "Plait, a service mesh: authenticated calls between services, routed and explained."


def _describe(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Stand for what `main` does before any command."""


def _register(application: typer.Typer, name: str) -> None:
    if name in GROUPS:
        module, summary = GROUPS[name]
        application.add_typer(import_module(module).group, name=name, short_help=summary, epilog=EVERYWHERE)
    elif name in COMMANDS:
        module, summary = COMMANDS[name]
        function = getattr(import_module(module), name)
        application.command(name, short_help=summary, epilog=EVERYWHERE)(function)
    else:
        application.command(name, help=QUICK_SUMMARIES[name])(_run_by_main)


def _run_by_main() -> None:
    """Stand for a quick command in the list; `main` runs those before this application is even loaded."""


def with_optional_values(words: list[str]) -> list[str]:
    """`--wait` may stand alone or with a time, which typer cannot say: give it its default where it stands alone."""
    from plait.cli.durations import is_duration

    if not words or words[0] != "apply" or "--wait" not in words:
        return words
    at = words.index("--wait")
    given = at + 1 < len(words) and is_duration(words[at + 1])
    return words if given else [*words[:at], "--wait=30s", *words[at + 1 :]]
