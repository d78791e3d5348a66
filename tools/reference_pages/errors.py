"""The marked part of errors.md: the exit codes and the tree of exceptions. The rest of the page is written by hand."""

import re
from pathlib import Path

from plait import errors
from plait.cli.errors import ExitCode
from reference_pages.markdown import block, code, table

NAME = "errors.md"
START = "<!-- generated: from plait/errors.py and plait/cli/errors.py by tools/reference.py -->"
END = "<!-- end -->"
MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FOUND: "the input is wrong, or a check found something (`diff`, `doctor`, `validate`, `demo --check`)",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.UNREACHABLE: "no mesh answers",
    ExitCode.REFUSED: "understood, and refused",
    ExitCode.TIMED_OUT: "it took too long",
    ExitCode.OWN_FAILURE: "`run`, `start`, `exec`: Plait could not do it (as `env` does)",
    ExitCode.NOT_EXECUTABLE: "`run`, `start`, `exec`: the command cannot be executed",
    ExitCode.NOT_FOUND: "`run`, `start`, `exec`: there is no such command",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def pages(folder: Path) -> dict[str, str]:
    """errors.md with its marked part made anew."""
    path = folder / NAME
    now = path.read_text(encoding="utf-8") if path.is_file() else f"# Errors\n\n{START}\n{END}\n"
    parts = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    return {NAME: parts.sub(lambda _: f"{START}\n\n{_content()}\n\n{END}", now)}


def _content() -> str:
    codes = table(("Code", "Meaning"), [[code(int(number)), MEANINGS[number]] for number in ExitCode])
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return "\n\n".join(["## Exit codes", codes, "## The errors behind them", block(tree)])
