"""`plait analyze` without files looks at the objects of the running mesh, with the lines they were applied from."""

import json
from pathlib import Path

from tests.cli.conftest import Plait
from tests.cli.fake_mesh import FakeMesh

ROUTE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules:
  - backendRefs: [{name: gone, port: 80}]
"""


def test_the_running_mesh_is_analyzed(plait: Plait, mesh: FakeMesh, tmp_path: Path):
    """What is missing there is told at the line of the file it was applied from."""
    assert mesh.socket
    (tmp_path / "web.yaml").write_text(ROUTE)
    assert plait("apply", "-f", "web.yaml").code == 0

    outcome = plait("analyze", "-o", "json")

    found = {item["code"]: item for item in json.loads(outcome.out)["findings"] if item["name"] == "web"}
    assert outcome.code == 1
    assert (found["PLT0101"]["file"], found["PLT0101"]["line"]) == ("web.yaml", 14)
    assert found["PLT0306"]["path"] == "spec.selector"


def test_without_a_mesh_it_says_so(plait: Plait):
    """As every command that asks the mesh."""
    assert plait("analyze").code == 3
