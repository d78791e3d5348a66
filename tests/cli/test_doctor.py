"""What `plait doctor` finds: each thing is broken here and told with what is wrong, where, and how to mend it."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plait.cli import dead_meshes, examine_certificates, examine_machine, examine_mesh
from plait.cli.context import Mesh
from plait.cli.findings import Finding
from plait.controlplane.machine_health import MachineReports
from plait.errors import NotFoundError, RefusedError
from plait.identity.certificates import new_root, pem
from plait.node import netns
from plait.node.state import mesh_id
from plait.store.sqlite import SqliteStore
from tests.cli.conftest import Plait
from tests.cli.fake_mesh import RunningMesh
from tests.store.documents import put

NOW = datetime.now(UTC)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture
def mesh(state_dir: Path) -> Mesh:
    """A mesh whose state directory has the folders of both parts."""
    for folder in ("run", "control/ca", "node/identity"):
        (state_dir / folder).mkdir(parents=True)
    (state_dir / "control").chmod(0o700)
    return Mesh(state_dir=state_dir, environment={})


def told(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    """State and detail of what is not well."""
    found = list(findings)
    assert all(finding.remedy for finding in found if finding.state != "ok")
    return [(finding.state, finding.detail) for finding in found if finding.state != "ok"]


def leaf(path: Path, begin: timedelta, life: timedelta) -> None:
    """A certificate that began that long from now and lives that long."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW + begin).not_valid_after(NOW + begin + life)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pem(builder.sign(key, hashes.SHA256())))


@pytest.mark.parametrize(
    ("begin", "life", "problem"),
    [
        (timedelta(hours=-2), timedelta(hours=24), ""),
        (timedelta(hours=-25), timedelta(hours=24), "expired on"),
        (timedelta(hours=-20), timedelta(hours=24), "ends in 4.0 h and is not renewed"),
        (timedelta(hours=1), timedelta(hours=24), "is valid only from"),
    ],
)
def test_leaves(mesh: Mesh, *, begin: timedelta, life: timedelta, problem: str):
    """The machine's, control's and running workloads' certificates are looked at; those of ended workloads are not."""
    files = [mesh.state_dir / "node/identity/chain.pem", mesh.state_dir / "control/server.pem"]
    files += [mesh.state_dir / f"node/workloads/default_{name}/chain.pem" for name in ("web", "ended")]
    for file in files:
        leaf(file, begin, life)
    (files[2].parent / "workload.json").touch()

    found = told(examine_certificates.certificates(mesh))

    assert len(found) == (3 if problem else 0)
    assert all(problem in detail for _, detail in found)
    assert not any("ended" in detail for _, detail in found)


def test_authority(mesh: Mesh):
    """An authority that ends within a month, has ended, or cannot be read is a problem with its file's name."""
    folder = mesh.state_dir / "control/ca"
    for name, age in (("new", 1), ("old", 3640), ("dead", 3700)):
        (folder / f"root-{name}.crt").write_bytes(pem(new_root("x", NOW - timedelta(days=age)).certificate))
    (folder / "root-torn.crt").write_text("torn")

    found = [detail for _, detail in told(examine_certificates.certificates(mesh))]

    assert len(found) == 3
    assert "has expired" in found[0]
    assert "root-old certificate is valid until" in found[1]
    assert "root-torn.crt cannot be read" in found[2]


def test_tables_of_the_kernel(mesh: Mesh, tmp_path: Path):
    """Nearly full tables are told with the setting that widens them."""
    (tmp_path / "nf_conntrack_count").write_text("95")
    (tmp_path / "nf_conntrack_max").write_text("100")
    (tmp_path / "file-nr").write_text("10 0 100")

    full = list(examine_machine.limits(mesh, conntrack=tmp_path, files=tmp_path / "file-nr"))
    (tmp_path / "nf_conntrack_max").write_text("1000")

    assert "nf_conntrack_max" in full[0].remedy
    assert not list(examine_machine.limits(mesh, conntrack=tmp_path, files=tmp_path / "file-nr"))


def test_ports(mesh: Mesh):
    """A port of control that another process took while control was away is told with that process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        (mesh.state_dir / "control/ads.port").write_text(f"{number}\n")
        taken = told(examine_machine.ports(mesh))

    assert any(f"port for ADS, {number}/tcp, is in use by" in detail for _, detail in taken)
    assert any(f"(process {os.getpid()})" in detail for _, detail in taken)
    assert not [detail for _, detail in told(examine_machine.ports(mesh)) if "ADS" in detail]


@pytest.mark.parametrize("damage", [True, False])
def test_store_at_rest(mesh: Mesh, *, damage: bool):
    """A damaged store is found before control is started on it; looking changes nothing."""
    database = mesh.state_dir / "control/store.sqlite"
    asyncio.run(filled(database))
    if damage:
        text = bytearray(database.read_bytes())
        text[9000:] = b"\xff" * len(text[9000:])
        database.write_bytes(text)
    before = database.read_bytes()

    found = told(examine_mesh.store_at_rest(mesh))

    assert [state for state, _ in found] == (["problem"] if damage else [])
    assert database.read_bytes() == before
    assert not list(database.parent.glob("store.sqlite-*"))


async def filled(path: Path) -> None:
    """Write a store of many pages."""
    store = SqliteStore.open(path)
    await store.commit([put(f"s{number}", text="x" * 500) for number in range(200)])
    await store.close()


def health(**changes: Any) -> dict[str, Any]:
    """What control says of itself when all is well, with changes; `time` is how far its clock is ahead of ours."""
    store: dict[str, Any] = {"revision": 7, "objects": 3, "size": 16384, "problems": []}
    version = examine_mesh.__version__
    machine = {"name": "one", "version": version, "ahead": 0.1, "age": 1.0}
    return {"version": version, "time": 0.0, "pid": 1, "store": store, "machines": [machine]} | changes


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (health(), []),
        (health(version="0.0.1"), [("warning", "this command is Plait"), ("warning", "the agent of one is Plait")]),
        (health(time=-3600.0), [("problem", "the clock of this machine is")]),
        (
            health(machines=[{"name": "two", "version": "", "ahead": -31.0, "age": 1.0}]),
            [("warning", "the agent of two is Plait of an older version"), ("problem", "machine two is 31 s behind")],
        ),
        (
            health(machines=[{"name": "two", "version": examine_mesh.__version__, "ahead": 5.0, "age": 1.0}]),
            [("warning", "machine two is 5 s ahead of")],
        ),
        (
            health(store={"objects": 3, "problems": ["row 7 missing from index"]}),
            [("problem", "the store is damaged: row 7")],
        ),
    ],
)
def test_health_of_control(state_dir: Path, *, answer: dict[str, Any], expected: list[tuple[str, str]]):
    """Versions and clocks that differ, and a damaged store, each with its weight."""
    running = RunningMesh(state_dir)
    running.app.get("/plait/v1/health")(lambda: {**answer, "time": time.time() + answer["time"]})
    running.start()
    try:
        found = told(examine_mesh.health(Mesh(state_dir=state_dir, environment={})))
    finally:
        running.stop()

    assert [state for state, _ in found] == [state for state, _ in expected]
    for (_, detail), (_, words) in zip(found, expected, strict=True):
        assert words in detail


def test_control_without_health(state_dir: Path):
    """A control plane of an older version is told to be upgraded first."""
    running = RunningMesh(state_dir)
    running.start()
    try:
        found = told(examine_mesh.health(Mesh(state_dir=state_dir, environment={})))
    finally:
        running.stop()
    assert found == [("warning", "control is older than this command")]


def test_reports_of_machines():
    """The newest word of each machine counts, and its clock is compared with ours at that moment."""
    reports = MachineReports(clock=lambda: 100.0)
    reports.take("one", {"version": "1", "clock": 90.0})
    reports.take("one", {"version": "2", "clock": 101.5})
    reports.take("old", {})

    assert (reports.all()["one"].version, reports.all()["one"].ahead) == ("2", 1.5)
    assert (reports.all()["old"].version, reports.all()["old"].ahead) == ("", 0.0)


@needs_root
@pytest.mark.integration
def test_what_a_dead_mesh_left(plait: Plait, mesh: Mesh, tmp_path: Path):
    """It is told with the command that removes it; while its agent or a process of it lives, it is left alone."""
    dead = secrets.token_hex(3)
    name = f"plait-{dead}-default.web"
    netns.create(name)
    try:
        assert dead in dead_meshes.find("none")
        assert any(f"plait doctor --forget {dead}" in finding.remedy for finding in dead_meshes.examine(mesh))
        with subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"]) as inside:
            while not netns.processes(name):
                assert inside.poll() is None
            assert dead not in dead_meshes.find("none")
            with pytest.raises(RefusedError, match="processes still run"):
                list(dead_meshes.forget(mesh, dead))
            inside.kill()

        outcome = plait("doctor", "--look-only", "--forget", dead, "-o", "json")

        assert {"check": "leftovers", "state": "ok", "detail": f"removed: network namespace {name}", "remedy": ""} in (
            json.loads(outcome.out)
        )
        assert not netns.exists(name)
        with pytest.raises(NotFoundError):
            list(dead_meshes.forget(mesh, dead))
    finally:
        netns.delete(name)


def test_a_living_agent_is_known(tmp_path: Path):
    """An agent is known by its state directory, named by a flag or by the environment, absolute or not."""
    sleep = "import sys, time; print(flush=True); time.sleep(60)"
    for words, variables, place in (
        (["node", "--state-dir", str(tmp_path / "a")], {}, tmp_path / "a"),
        (["node"], {"PLAIT_STATE_DIR": str(tmp_path / "b")}, tmp_path / "b"),
        (["--state-dir=c", "up"], {}, tmp_path / "c"),
    ):
        command = [sys.executable, "-c", sleep, "plait", *words]
        with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **variables}, stdout=subprocess.PIPE) as agent:
            assert agent.stdout is not None
            agent.stdout.readline()
            assert mesh_id(place) in dead_meshes.living()
            agent.kill()
        assert mesh_id(place) not in dead_meshes.living()


def test_exit_codes(plait: Plait, mesh: Mesh):
    """A problem is exit code 1 and counted; without one the command is content."""
    assert plait("doctor", "--look-only").code == 0

    leaf(mesh.state_dir / "node/identity/chain.pem", timedelta(hours=-25), timedelta(hours=24))
    outcome = plait("doctor", "--look-only")

    assert (outcome.code, outcome.out.splitlines()[-1]) == (1, "1 problem.")
