"""The systemd units: systemd understands them, their commands are real ones, and what they start outlives them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import pytest

from plait.cli import context, control, node, start, stop
from plait.errors import PlaitError
from plait.node import client
from tests.deploy.units import PROGRAM, STATE, UNITS, Service, commands, settings
from tests.integration.machines import ORDINARY, PLAIT, Machine, needs_root, ordinary_user, server, until

SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
PARSERS: dict[str, ModuleType] = {"control": control, "node": node, "start": start, "stop": stop}
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs Debian's package systemd")


@pytest.mark.parametrize("name", SERVICES)
def test_commands_are_accepted(name: str):
    """Every command line of a unit is one that the command line accepts, for the state directory of the system."""
    assert commands(name)
    for program, *words in commands(name):
        mesh, rest = context.choose(words, {}, uid=0)
        PARSERS[rest[0]].build_parser().parse_args(rest[1:])

        assert (program, mesh.state_dir) == (PROGRAM, Path(STATE))


@needs_systemd
def test_systemd_understands_the_units(tmp_path: Path):
    """`systemd-analyze verify` has nothing to say."""
    program = tmp_path / "plait"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in SERVICES:
        text = (UNITS / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(PROGRAM, str(program)))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in SERVICES)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )

    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_control_is_confined():
    """systemd rates what control could still do to its machine as no more than 2.0 of 10."""
    unit = str(UNITS / "plait-control.service")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", unit]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize(
    "setting", ["ProtectSystem", "PrivateTmp", "PrivateMounts", "ProtectHome", "NoNewPrivileges", "SystemCallFilter"]
)
def test_the_agent_shares_the_machine(setting: str):
    """The agent's unit has nothing that hides network namespaces from the machine, or that apps would inherit."""
    assert settings("plait-node.service").get(setting, ["no"]) == ["no"]


@pytest.fixture
def services() -> Generator[tuple[Service, Service]]:
    """Control as an ordinary user without any capability, the agent as root, on one state directory."""
    with tempfile.TemporaryDirectory(prefix="plait-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "m"
        state.mkdir()
        os.chown(state, ORDINARY, ORDINARY)
        user = ordinary_user(state)
        confined = (*user["prefix"], "--bounding-set=-all", "--no-new-privs", *user["program"])
        control_unit = Service(
            unit="plait-control.service", program=confined, state=state, environment=user["environment"]
        )
        node_unit = Service(unit="plait-node.service", program=PLAIT, state=state)
        try:
            yield control_unit, node_unit
        finally:
            _end(state)
            node_unit.stop()
            control_unit.stop()


def _end(state: Path) -> None:
    try:
        client.stop(state / "run" / "node.sock")
    except PlaitError as error:
        sys.stderr.write(f"{error}\n")


@pytest.mark.integration
@pytest.mark.timeout(120)
@needs_root
def test_apps_and_sidecars_outlive_their_units(services: tuple[Service, Service]):
    """Both units say when they are ready; stopped and started again, the same app and sidecar answer calls."""
    control_unit, node_unit = services
    control_unit.start()
    node_unit.start()
    machine = Machine(node_unit.state)
    words = ("run", "--name", "web", "--service", "web:80", "--port", "8000/http", "--detach", "--")
    machine.plait(*words, *server(8000, "web"))
    pids = machine.workload("web")["pids"]

    node_unit.stop()
    control_unit.stop()
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    control_unit.start()
    node_unit.start()

    until(lambda: machine.workload("web")["phase"] == "Running", what="the workload is adopted")
    assert machine.workload("web")["pids"] == pids
    called = machine.plait("run", "--name", "caller", "--", "curl", "-s", "http://web/")
    assert called.startswith("web ")
