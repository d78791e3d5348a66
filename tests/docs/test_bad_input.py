"""The table of bad input in docs/reference/errors.md: every row says what Plait really says."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.cli import up
from plait.errors import ForbiddenError
from tests.docs.meshes import Mesh
from tests.docs.pages import ROOT, matches

PAGE = ROOT / "docs" / "reference" / "errors.md"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n"
SYNTAX = "apiVersion: v1\nkind: Service\nmetadata: {name: web\nspec: {}\n"
TWICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"
ELSEWHERE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80}]}\n"
ROUTE = """apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
  rules:
  - backendRefs: [{name: web-v2, port: 80}]
"""
POLICIES = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: one}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: two}
spec: {mtls: {mode: PERMISSIVE}}
"""
WORKLOADS = "workloads:\n- name: web\n  command: [sleep, '1']\n- name: web\n  command: [sleep, '1']\n"
SERVER = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8001)"


def rows() -> dict[str, str]:
    """The messages of the table by case."""
    found = re.findall(r"^\| ([A-Z][^|]*) \| `(.*?)` \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def says(mesh: Mesh, case: str, *words: str, code: int, **variables: str) -> None:
    """A command ends with that code and with the message of the row."""
    found, printed = mesh.plait(*words, errors=True, **variables)
    assert matches(f"...{rows()[case]}...", printed), f"expected: {rows()[case]}\nprinted: {printed}"
    assert found == code, printed


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """A mesh that does not run yet; what a test starts is ended."""
    made = Mesh(tmp_path)
    yield made
    made.plait("down")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh that runs, for all tests of this module."""
    made = Mesh(tmp_path_factory.mktemp("bad"))
    code, printed = made.plait("up", "--detach")
    assert code == 0, printed
    yield made
    made.plait("down")


def until(holds: Callable[[], bool], *, within: float = 15) -> None:
    """Wait until something holds."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.1)


@pytest.mark.integration
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("Syntax error", SYNTAX),
        ("Wrong type", f"{SERVICE}  ports: [{{port: eighty}}]\n"),
        ("Unknown field", f"{SERVICE}  selectorr: {{app: web}}\n  ports: [{{port: 80}}]\n"),
        ("Duplicate name", f"{TWICE}---\n{TWICE}"),
        ("Missing namespace", ELSEWHERE),
    ],
)
def test_mistake_in_yaml(running: Mesh, case: str, text: str):
    """A mistake in a file is told with its line, and nothing of the file is applied."""
    (running.folder / "shop.yaml").write_text(text)
    before = running.read("status")["revision"]

    says(running, case, "apply", "-f", "shop.yaml", code=1)

    assert running.read("status")["revision"] == before


@pytest.mark.integration
@pytest.mark.timeout(60)
def test_missing_file(running: Mesh):
    """A file that is not there is named."""
    says(running, "Missing file", "apply", "-f", "missing.yaml", code=1)


def conditions(status: dict[str, Any]) -> list[str]:
    """The messages of conditions that do not hold."""
    parts = [status, *status.get("parents", [])]
    return [item["message"] for part in parts for item in part.get("conditions", []) if item["status"] == "False"]


@pytest.mark.integration
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("case", "text", "place"),
    [
        ("Route to a missing service", ROUTE, ("httproute", "web")),
        ("Conflicting policies", POLICIES, ("peerauthentication", "two")),
    ],
)
def test_mistake_among_objects(running: Mesh, case: str, text: str, place: tuple[str, str]):
    """What is only wrong beside other objects is stored, and says so in its status."""
    (running.folder / "set.yaml").write_text(text)
    assert running.plait("apply", "-f", "set.yaml")[0] == 0

    until(lambda: rows()[case] in conditions(running.read("get", *place).get("status") or {}))

    running.plait("delete", "-f", "set.yaml")


@pytest.mark.integration
@pytest.mark.timeout(60)
def test_port_taken(running: Mesh):
    """A port that someone listens on cannot be published."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        words = ("run", "--name", "web", "--port", "8001", "--publish", f"{port}:8001", "--", "sleep", "9")
        says(running, "Port taken", *words, code=125)


@pytest.mark.integration
@pytest.mark.timeout(60)
def test_commands_that_do_not_run(running: Mesh):
    """A command that does not exist or cannot be executed ends as in a shell."""
    (running.folder / "plain").touch()
    says(running, "Command not found", "run", "--name", "x", "--", "no-such-command", code=127)
    says(running, "Command not executable", "run", "--name", "y", "--", "./plain", code=126)


@pytest.mark.integration
@pytest.mark.timeout(60)
def test_same_name_twice(running: Mesh):
    """A workload's name is taken while it runs; a file with a name twice starts nothing."""
    (running.folder / "workloads.yaml").write_text(WORKLOADS)
    assert running.plait("run", "--name", "web", "--detach", "--", "sleep", "60")[0] == 0
    says(running, "Same workload name twice", "run", "--name", "web", "--", "true", code=125)
    says(running, "Same workload name twice in a file", "start", "-f", "workloads.yaml", code=125)
    running.plait("stop", "web")


@pytest.mark.integration
@pytest.mark.timeout(60)
def test_mesh_runs_already(running: Mesh):
    """A second mesh in the same state directory is refused."""
    says(running, "Mesh runs already", "up", "--detach", code=4)


@pytest.mark.integration
@pytest.mark.timeout(90)
def test_envoy_killed(running: Mesh):
    """A killed sidecar is started again; its app is not touched, and callers reach it."""
    words = ("run", "--name", "web", "--service", "web:80", "--port", "8001/http", "--detach", "--")
    assert running.plait(*words, sys.executable, "-c", SERVER)[0] == 0
    app = running.read("get", "workloads", "web")["pids"][0]
    os.kill(envoy_of("default/web"), signal.SIGKILL)

    call = ("run", "--name", "caller", "--", sys.executable, "-c")
    ask = "import urllib.request as u; print(u.urlopen('http://web/').status)"
    until(lambda: running.plait(*call, ask)[0] == 0, within=30)

    assert running.read("get", "workloads", "web")["pids"][0] == app
    assert matches(f"...{rows()['Envoy killed']}...", (running.state / "run" / "up.log").read_text())
    running.plait("stop", "web")


def envoy_of(proxy: str) -> int:
    """The process of the Envoy with that node id that was started last."""
    found = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"envoy" in (text := read_bytes(path)) and f'"id": "{proxy}"'.encode() in text
    ]
    return max(found)


def read_bytes(path: Path) -> bytes:
    """The content of a file, nothing if it is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_no_permission(tmp_path: Path):
    """A state directory below a folder of somebody else is refused."""
    tmp_path.chmod(0o500)
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(ForbiddenError) as refused:
            up.prepare(tmp_path / "mesh")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert matches(rows()["No permission"], str(refused.value))


@pytest.mark.integration
@pytest.mark.timeout(120)
def test_envoy_missing(mesh: Mesh):
    """Without an Envoy the mesh does not start, and says how to install it."""
    says(mesh, "Envoy missing", "up", "--detach", code=4, PLAIT_ENVOY="/nonexistent/envoy")


@pytest.mark.integration
@pytest.mark.timeout(120)
def test_state_of_another_version(mesh: Mesh):
    """A state directory that another version wrote is left alone."""
    mesh.state.mkdir()
    (mesh.state / "version").write_text("999\n")
    code, printed = mesh.plait("up", "--detach")
    assert code != 0
    assert matches(f"...{rows()['State directory of another version']}...", printed), printed


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is made by root only; tests/store has the rest")
def test_disk_full(mesh: Mesh):
    """On a full disk an applied set is refused, and nothing of it is there."""
    mesh.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mesh.state], check=True)
    try:
        assert mesh.plait("up", "--detach")[0] == 0
        fill(mesh.state / "filling")
        maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"big-{at}"}} for at in range(5)]
        parts = [json.dumps({**item, "data": {"x": "y" * 200_000}}) for item in maps]
        (mesh.folder / "big.yaml").write_text("\n---\n".join(parts))
        says(mesh, "Disk full", "apply", "-f", "big.yaml", code=4)
        assert mesh.read("get", "configmaps")["items"] == []
        (mesh.state / "filling").unlink()
        mesh.plait("down")
    finally:
        subprocess.run(["umount", "--lazy", mesh.state], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\0" * 4096)
            except OSError:
                return


def test_no_mesh_runs(mesh: Mesh):
    """Without a mesh a command says how to start one."""
    says(mesh, "No mesh runs", "status", code=3)


def test_every_case_of_the_table_is_tested():
    """Every row is named by a test of this module."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [case for case in rows() if f'"{case}"' not in source and f"'{case}'" not in source] == []
