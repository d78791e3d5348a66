"""Runs `caller.py` inside a workload and asks it what it has counted."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

CALLER = Path(__file__).with_name("caller.py")
ANSWERER = Path(__file__).with_name("answerer.py")
Report = Mapping[str, Mapping[str, Any]]
"""By stream: calls, lost, slowest (seconds, since the report before), by (calls by who answered), failures."""


def server_command(port: int, name: str) -> Sequence[str]:
    """The command of a server that answers with its name."""
    return (sys.executable, "-I", "-S", str(ANSWERER), str(port), name)


class Counting:
    """Calls as planned (see `caller.py`), made by a workload called `load` for as long as the block lasts.

    `plait` is the command of Plait, `environment` what makes it talk to the mesh.
    """

    def __init__(
        self, plait: Sequence[str], environment: Mapping[str, str], plan: Mapping[str, Mapping[str, Any]]
    ) -> None:
        caller = (sys.executable, "-I", "-S", str(CALLER), json.dumps(plan))
        self._command = (*plait, "run", "--name", "load", "--service-account", "load", "--", *caller)
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self._line() != "started\n":
            self._end()
            raise RuntimeError("the calls did not start; what was wrong is on standard error")
        return self

    def __exit__(self, *details: object) -> None:
        self._end()

    def report(self) -> Report:
        """All counts so far."""
        return self._ask("report\n")

    def finish(self) -> Report:
        """End the calls, each after its answer; the last counts."""
        return self._ask("end\n")

    def _ask(self, line: str) -> Report:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        answer: Report = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        with contextlib.suppress(ValueError):
            process.communicate(timeout=30)
