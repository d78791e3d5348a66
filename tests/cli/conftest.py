"""The command line as users run it: in a process of its own, with a state directory of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.fake_mesh import FakeMesh, RunningMesh

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


@pytest.fixture(scope="session")
def zygote() -> Iterator["subprocess.Popen[str]"]:
    """A process with everything loaded, from which commands are forked."""
    command = [sys.executable, "-m", "tests.cli.zygote"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate(timeout=10)


@pytest.fixture
def plait(zygote: "subprocess.Popen[str]", environment: dict[str, str], tmp_path: Path) -> Plait:
    """Run `plait WORDS...` in the test's folder."""
    files = {name: tmp_path / f".{name}" for name in ("stdin", "out", "err")}

    def run(*words: str, stdin: str = "", **changes: str) -> Outcome:
        for file, text in zip(files.values(), (stdin, "", ""), strict=True):
            file.write_text(text)
        request = {"words": words, "env": {**environment, **changes}, "cwd": str(tmp_path)}
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        zygote.stdin.write(json.dumps(request | {name: str(file) for name, file in files.items()}) + "\n")
        zygote.stdin.flush()
        code = json.loads(zygote.stdout.readline())["code"]
        outcome = Outcome(code, files["out"].read_text(), files["err"].read_text())
        assert "Traceback" not in outcome.err, outcome.err
        return outcome

    return run


@pytest.fixture
def fresh_plait(environment: dict[str, str], tmp_path: Path) -> Plait:
    """Run `plait WORDS...` by a new interpreter, as a shell does."""

    def run(*words: str, **changes: str) -> Outcome:
        done = subprocess.run(
            [*PLAIT, *words],
            env={**environment, **changes},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=18,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def mesh(state_dir: Path) -> Iterator[FakeMesh]:
    """A mesh that answers at the state directory's socket."""
    running = RunningMesh(state_dir)
    yield running.start()
    running.stop()
