"""Every `-o json` of a running mesh is what its schema in docs/reference/schemas says."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from tests.docs.meshes import Mesh
from tests.docs.pages import ROOT

SCHEMAS = ROOT / "docs" / "reference" / "schemas"
SERVER = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8001)"
CALL = "import urllib.request as u; print(u.urlopen('http://web/').status)"
OBJECTS = """apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: outside}
spec: {address: 192.0.2.7, ports: {http: 80}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
"""
ROLLOUT = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  annotations:
    rollout.plait.dev/phase: Progressing
    rollout.plait.dev/plan: |
      {"old": {"namespace": "default", "name": "web", "port": 80},
       "new": {"namespace": "default", "name": "web-v2", "port": 80},
       "steps": [10, 100], "every": 1, "timeout": 2, "guard": {}}
    rollout.plait.dev/step: "0"
    rollout.plait.dev/reference: "{}"
spec:
  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
  rules: [{backendRefs: [{name: web, port: 80, weight: 100}, {name: web-v2, port: 80, weight: 0}]}]
"""
OUTPUTS = {
    "status": ("status",),
    "apply": ("apply", "-f", "objects.yaml", "--wait"),
    "get-workloads": ("get", "workloads"),
    "get-workload": ("get", "workloads", "web"),
    "get": ("get", "services"),
    "diff": ("diff", "-f", "changed.yaml"),
    "bundle": ("bundle", "-f", "objects.yaml", "--to", "bundle.yaml"),
    "validate": ("validate", "-f", "objects.yaml"),
    "analyze": ("analyze",),
    "test": ("test", "-f", str(ROOT / "examples" / "ci" / "tests.yaml")),
    "why": ("why", "--from", "web", "GET", "http://web/"),
    "top": ("top",),
    "rollout": ("rollout", "web", "--status"),
    "doctor": ("doctor",),
    "backup": ("backup", "mesh.backup"),
    "proxy-list": ("proxy", "list"),
    "proxy-config": ("proxy", "config", "web"),
    "token-node": ("token", "create", "--node", "second", "--allow", "default/web"),
    "token-user": ("token", "create", "--user", "alice"),
    "grant-list": ("grant", "list"),
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with a workload that was called, an object outside it, and a grant."""
    made = Mesh(tmp_path_factory.mktemp("outputs"))
    try:
        assert made.plait("up", "--detach")[0] == 0
        words = ("run", "--name", "web", "--service", "web:80", "--port", "8001/http", "--detach", "--")
        assert made.plait(*words, sys.executable, "-c", SERVER)[0] == 0
        assert made.plait("run", "--name", "caller", "--", sys.executable, "-c", CALL)[0] == 0
        assert made.plait("grant", "add", "builds", "--user", "65534", "--allow", "default/web")[0] == 0
        (made.folder / "objects.yaml").write_text(OBJECTS + ROLLOUT)
        (made.folder / "changed.yaml").write_text(OBJECTS.replace("blue", "red"))
        yield made
    finally:
        made.plait("down")


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_what_its_schema_says(mesh: Mesh, name: str):
    """What a command prints with `-o json` validates against its schema."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))

    code, printed = mesh.plait(*OUTPUTS[name], "-o", "json", errors=False)

    assert code in (0, 1), printed
    jsonschema.validate(json.loads(printed), schema)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_schema_has_a_command(path: Path):
    """Every schema is tried here, but for the demo's (its own test) and for refusals."""
    assert path.stem in {*OUTPUTS, "demo-check", "problem"}
