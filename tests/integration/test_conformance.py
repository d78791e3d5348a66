"""The conformance suite of Gateway API, in a mesh of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.machines import needs_root

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900), needs_root]

REPOSITORY = Path(__file__).parents[2]


def test_every_case_passes() -> None:
    """Every feature has a case, and each is held by real proxies."""
    command = (sys.executable, "-m", "conformance")
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if not line.startswith("passed")]
    assert done.returncode == 0, "\n".join([*failed, done.stderr[-2000:]])
