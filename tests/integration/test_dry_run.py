"""`plait apply --dry-run` against a running mesh: everything is told, an Envoy judges it, and nothing changes."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.machines import Machine, mesh, needs_root, server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), needs_root]
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web, namespace: default}}
spec:
  parentRefs: [{{group: "", kind: Service, name: web}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /shop}}}}]
      backendRefs: [{{name: {backend}, port: 80}}]
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A mesh in which a client has called the server web."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        web = ("--service", "web:80", "--port", "8000/http", "--", *server(8000, "web"))
        started.plait("run", "--name", "web", "--detach", *web)
        started.plait("run", "--name", "client", "--detach", "--", "sleep", "600")
        started.plait("exec", "client", "--", "curl", "-sSf", "-m", "8", "http://web/")
        yield started


def rehearsed(machine: Machine, folder: Path, backend: str) -> str:
    file = folder / "route.yaml"
    file.write_text(ROUTE.format(backend=backend))
    return machine.plait("apply", "-f", str(file), "--dry-run")


def test_a_sound_change_is_taken_by_envoy_and_not_made(machine: Machine, tmp_path: Path) -> None:
    """The caller would be sent other routes, Envoy takes them, and the route is still not there."""
    said = rehearsed(machine, tmp_path, "web")

    assert "httproute/web created (dry run)" in said
    assert "default/client would change: 1 resource (1 changed)" in said
    assert "1 of 2 connected proxies would change." in said
    assert "Envoy takes" in said
    assert json.loads(machine.plait("get", "httproutes", "-o", "json"))["items"] == []


def test_a_mistake_is_told_at_its_line(machine: Machine, tmp_path: Path) -> None:
    """A backend that does not exist: the condition that would be false, with file and line."""
    said = rehearsed(machine, tmp_path, "nothing")

    assert "route.yaml:2: HTTPRoute default/web: would become ResolvedRefs=False" in said
    assert "BackendNotFound" in said
