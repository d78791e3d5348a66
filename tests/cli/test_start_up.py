"""`plait run` must not be felt: it starts at once and loads next to nothing."""

import resource
import subprocess
import sys

import pytest

from tests.cli.conftest import PLAIT

HEAVY = ("httpx", "pydantic", "fastapi", "rich", "typer", "yaml", "asyncio", "grpc", "google", "cryptography", "ssl")
QUICK = ("run", "exec", "start", "stop", "gateway", "up", "down")


@pytest.mark.parametrize("command", QUICK)
def test_nothing_heavy_is_loaded(command: str, environment: dict[str, str]):
    """Commands that carry processes load the standard library only, and of that not the large parts."""
    words = {"run": ["--", "x"], "exec": ["w", "--", "x"], "gateway": ["g"], "up": ["--help"], "start": ["--help"]}
    program = (
        "import sys; from plait.cli.main import run; code = run(sys.argv[1:]);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, command, *words.get(command, [])],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(HEAVY) & set(done.stderr.splitlines()[-1].split()) == set()


def test_run_takes_little_time(environment: dict[str, str]):
    """From the shell to asking the agent `plait run` takes less than 150 ms of CPU, the interpreter included."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*PLAIT, "run", "--name", "web", "--", "true"], env=environment, capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.15
