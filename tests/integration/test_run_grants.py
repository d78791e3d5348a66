"""Who may run what: users of a machine whose agent is root."""

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.machines import ORDINARY, Machine, mesh, needs_root, ordinary_user

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(120),
    needs_root,
    pytest.mark.skipif(not Path("/usr/bin/python3.11").exists(), reason="no interpreter for an ordinary user"),
]


@pytest.fixture(scope="module")
def machine() -> Generator[Machine]:
    with tempfile.TemporaryDirectory(prefix="plait-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with mesh(Path(folder) / "m") as started:
            yield started


@pytest.fixture
def user(machine: Machine) -> Machine:
    """The same machine, as an ordinary user sees it."""
    return Machine(machine.state, **ordinary_user(machine.state))


def test_a_user_needs_a_grant(machine: Machine, user: Machine) -> None:
    """Without a grant another user is refused in a sentence; with one the app runs as that user, captured."""
    command = (
        "run",
        "--name",
        "theirs",
        "--service-account",
        "shop",
        "--",
        "sh",
        "-c",
        "id -u; grep CapBnd /proc/self/status",
    )
    said = user.plait(*command, code=125)
    assert f"user {ORDINARY}" in said
    assert "may not run as default/shop" in said
    machine.plait("grant", "add", "ordinary", "--user", str(ORDINARY), "--allow", "default/shop")
    assert user.plait(*command).split() == [str(ORDINARY), "CapBnd:", "0" * 16]
    said = user.plait("run", "--name", "theirs", "--service-account", "other", "--", "true", code=125)
    assert "may not run as default/other" in said


def test_nobody_touches_what_belongs_to_others(machine: Machine, user: Machine) -> None:
    """A user may neither stop nor enter a workload of somebody else, nor take another user's id."""
    machine.plait("grant", "add", "ordinary", "--user", str(ORDINARY), "--allow", "default/*")
    machine.plait("run", "--name", "ours", "--detach", "--", "sleep", "60")
    assert "belongs to user 0" in user.plait("stop", "ours", code=4)
    assert "belongs to user 0" in user.plait("exec", "ours", "--", "true", code=125)
    said = user.plait("run", "--name", "climber", "--user", "root", "--", "true", code=125)
    assert "may not run an app as root" in said
    assert machine.workload("ours")["phase"] == "Running"
