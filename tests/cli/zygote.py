"""Runs `plait` in processes of their own without loading its libraries each time: they are forked from this one.

Reads a line of JSON a command, {words, env, cwd, stdin, out, err} (the last three are paths), and answers {code}.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any

PRELOADED = ("httpx", "typer", "yaml", "plait.resources.parse", "plait.api.client", "plait.cli.app", "plait.cli.main")


def run(request: dict[str, Any]) -> int:
    """Run one command in a child; returns its exit code."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        for number, name in enumerate(("stdin", "out", "err")):
            os.dup2(os.open(request[name], os.O_RDWR | os.O_CREAT), number)
        code = import_module("plait.cli.main").run(request["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve until standard input ends."""
    for name in PRELOADED:
        import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps({"code": run(json.loads(line))}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
