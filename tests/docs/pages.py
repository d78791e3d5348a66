"""Pages of the documentation as a test reads them: fenced blocks in order, and a shell that runs them.

A block is ```` ```console ```` (lines with `$ ` are commands, `> ` continues one, the rest is what they print, where
`...` stands for anything), ```` ```sh ```` (commands that must succeed), or ```` ```yaml NAME ```` or another language
with a name (a file to save under that name). Every other block is only read.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^```(\S*)[ \t]*([^\n`]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_MARK: Final = "--plait-docs-end--"
_MEASURED: Final = ("plait top", "curl -s $METRICS")
"""Commands whose answer comes with the next report of the sidecars, a few seconds later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    language: str
    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command and what it prints; None where that does not matter."""

    text: str
    expected: str | None = None


def pages() -> list[Path]:
    """README and all pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(language=found[1], name=found[2].strip(), text=found[3], line=text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def executed(page: Path) -> bool:
    """Whether a page has something to execute."""
    return any(block.language in ("console", "sh") for block in blocks(page))


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block."""
    if block.language == "sh":
        yield Command(text=block.text)
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        first, *rest = part.splitlines()
        more = [line[2:] if line.startswith("> ") else "" for line in rest if line.startswith("> ") or line == ">"]
        expected = [line for line in rest if not (line.startswith("> ") or line == ">")]
        yield Command(text="\n".join([first, *more]), expected="\n".join(expected).strip())


def matches(expected: str, printed: str) -> bool:
    """Whether that is what was expected; `...` is anything, any white space is like any other."""
    parts = [r"\s+".join(re.escape(word) for word in part.split()) for part in expected.split("...")]
    pattern = r"\s*.*?\s*".join(parts)
    return re.fullmatch(rf"\s*{pattern}\s*", printed, re.DOTALL) is not None


class Shell:
    """One bash that runs the commands of a page one after the other."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, text: str, *, within: float = 90) -> tuple[int, str]:
        """The exit code of a command and all it printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\nprintf '\\n%s %s\\n' {_MARK} $?\n".encode())
        self._process.stdin.flush()
        printed = self._read(text, time.monotonic() + within)
        body, _, code = printed.rpartition(f"\n{_MARK} ")
        return int(code), body

    def _read(self, text: str, until: float) -> str:
        assert self._process.stdout is not None
        printed = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not re.search(rf"\n{_MARK} \d+\n$".encode(), printed):
                ready = selector.select(max(0.0, until - time.monotonic()))
                chunk = os.read(self._process.stdout.fileno(), 65536) if ready else b""
                if not chunk:
                    raise AssertionError(f"{text!r} did not end; it printed:\n{printed.decode(errors='replace')}")
                printed += chunk
        return printed.decode(errors="replace")

    def close(self) -> None:
        """End it with everything it started in the foreground."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def follow(page: Path, shell: Shell, folder: Path) -> None:
    """Do what a page says, in order; AssertionError where something else happens than it says."""
    for block in blocks(page):
        if block.language in ("console", "sh"):
            for command in commands(block):
                _do(command, shell, place=f"{page.relative_to(ROOT)}:{block.line}")
        elif block.name:
            (folder / block.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.name).write_text(block.text, encoding="utf-8")


def _do(command: Command, shell: Shell, *, place: str) -> None:
    until = time.monotonic() + (20 if command.text.startswith(_MEASURED) else 0)
    while True:
        code, printed = shell.run(command.text)
        as_told = code == 0 if not command.expected else matches(command.expected, printed)
        if as_told or time.monotonic() > until:
            break
        time.sleep(1)
    told = f"\nexpected:\n{command.expected}\n" if command.expected else f" (exit code {code})\n"
    assert as_told, f"{place}: $ {command.text}{told}printed:\n{printed}"
