"""The command line as users run it: in a process of its own, with a state directory of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PLAIT = [sys.executable, "-m", "plait.cli"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Plait = Callable[..., Outcome]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state directory whose path, and so its sockets' paths, are short."""
    return tmp_path / "state"


@pytest.fixture
def environment(state_dir: Path) -> dict[str, str]:
    """The environment of a user whose mesh is in `state_dir`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLAIT_")}
    return {**kept, "PLAIT_STATE_DIR": str(state_dir), "COLUMNS": "100", "NO_COLOR": "1"}


@pytest.fixture
def plait(environment: dict[str, str], tmp_path: Path) -> Plait:
    """Run `plait WORDS...` in the test's folder."""

    def run(*words: str, stdin: str = "", **changes: str) -> Outcome:
        done = subprocess.run(
            [*PLAIT, *words],
            env={**environment, **changes},
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=18,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run
