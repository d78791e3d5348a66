"""Machines that lack something: what is said, and that nothing else suffers."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), needs_root]


def test_a_full_disk_refuses_new_workloads_only(tmp_path: Path) -> None:
    """What runs runs on; what cannot be started is told why, and starts once there is room."""
    with mesh(tmp_path / "m", node=False) as machine:
        disk = machine.state / "node"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
        try:
            machine.start("node")
            machine.plait("run", "--name", "old", "--detach", "--", "sleep", "60")
            ballast = disk / "ballast"
            _fill(ballast)
            said = machine.plait("run", "--name", "new", "--", "true", code=125)
            assert "No space left on device" in said
            assert "Traceback" not in said
            ballast.unlink()
            machine.plait("run", "--name", "new", "--", "true")
            assert machine.workload("old")["phase"] == "Running"
            machine.plait("stop", "old")
            until(lambda: not machine.workloads())
            machine.end("node")
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def test_without_envoy_the_agent_says_what_to_install(tmp_path: Path) -> None:
    """The agent ends with one sentence and the code for a refusal."""
    machine = Machine(tmp_path / "m", environment={"PLAIT_ENVOY": "/nonexistent/envoy"})
    said = machine.plait("node", code=4)
    assert "there is no Envoy at /nonexistent/envoy" in said
    assert "Traceback" not in said


def test_a_sidecar_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    """An Envoy that ends at once fails the start with its own last words."""
    with tempfile.TemporaryDirectory(prefix="plait-") as folder:
        Path(folder).chmod(0o755)
        _try_broken_envoy(tmp_path / "m", Path(folder) / "envoy")


def _try_broken_envoy(state: Path, broken: Path) -> None:
    broken.write_text("#!/bin/sh\necho '[now][1][critical] cannot do this' >&2\nexit 1\n")
    broken.chmod(0o755)
    environment = {"PLAIT_ENVOY": str(broken), "PLAIT_WARM_WITHIN": "2"}
    with mesh(state, environment=environment) as machine:
        said = machine.plait("run", "--name", "web", "--", "true", code=125)
        assert "the sidecar of default/web does not start: cannot do this" in said
        until(lambda: not machine.workloads())
