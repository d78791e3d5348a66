"""A page for every command, with what `--help` prints at a fixed width and without colours."""

import contextlib
import io
import os
from collections.abc import Sequence
from importlib import import_module

from plait.cli import app, main
from reference_pages.markdown import block, page
from reference_pages.schemas import OUTPUTS

WIDTH = "100"


def pages() -> dict[str, str]:
    """Pages below commands/."""
    summaries = {
        **app.QUICK_SUMMARIES,
        **{name: text for name, (_, text) in app.COMMANDS.items()},
        **{name: text for name, (_, text) in app.GROUPS.items()},
    }
    made = {f"commands/{name}.md": _page(name, text) for name, text in summaries.items()}
    made["commands/plait.md"] = page("plait", block(help_of(())))
    return made


def subcommands(group: str) -> list[str]:
    """The commands of a group."""
    module, _ = app.GROUPS[group]
    registered = import_module(module).group.registered_commands
    return [str(command.name or command.callback.__name__) for command in registered]


def _page(name: str, summary: str) -> str:
    parts = [summary]
    lines = [[name]] if name not in app.GROUPS else [[name, sub] for sub in subcommands(name)]
    for words in lines:
        title = " ".join(words)
        parts += [f"## plait {title}"] if len(words) > 1 else []
        parts.append(block(help_of(words)))
        parts += _outputs(title)
    return page(f"plait {name}", *parts)


def _outputs(title: str) -> list[str]:
    found = [output for output in OUTPUTS if output.command == title]
    return [f"`plait {out.words} -o json` prints [this schema](../schemas/{out.name}.json)." for out in found]


def help_of(words: Sequence[str]) -> str:
    """What `plait WORDS --help` prints."""
    printed = io.StringIO()
    before = {name: os.environ.get(name) for name in ("COLUMNS", "TERM", "NO_COLOR")}
    os.environ.update({"COLUMNS": WIDTH, "TERM": "dumb", "NO_COLOR": "1"})
    try:
        with contextlib.redirect_stdout(printed):
            main.run([*words, "--help"])
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
