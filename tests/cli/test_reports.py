"""What continuous integration reads is as its schemas want it: JUnit of Jenkins, SARIF 2.1.0 of OASIS."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema

from tests.cli.conftest import Plait

SCHEMAS = Path(__file__).parents[1] / "schemas"
WRONG = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews & <more>, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviewz}}]
"""
CLEAN = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80, name: http}]}\n"


def check_junit(text: str) -> Any:
    """The report as a tree, which Jenkins' schema accepts."""
    schema = xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))
    schema.validate(text)
    return schema.to_dict(text)


def check_sarif(text: str) -> dict[str, Any]:
    """The report, which the standard's schema accepts."""
    log: dict[str, Any] = json.loads(text)
    schema = json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text())
    jsonschema.validate(log, schema)
    return log


@pytest.mark.parametrize("command", ["validate", "analyze"])
def test_reports_are_as_their_schemas_want_them(plait: Plait, tmp_path: Path, command: str):
    """With mistakes the exit code is 1, and each is at its line."""
    (tmp_path / "wrong.yaml").write_text(WRONG)

    junit, sarif = (plait(command, "-f", "wrong.yaml", "-o", form) for form in ("junit", "sarif"))

    assert (junit.code, sarif.code) == (1, 1)
    assert check_junit(junit.out)["@failures"] != "0"
    results = check_sarif(sarif.out)["runs"][0]["results"]
    places = [item["locations"][0]["physicalLocation"] for item in results]
    assert {place["artifactLocation"]["uri"] for place in places} == {"wrong.yaml"}
    assert all(place["region"]["startLine"] > 1 for place in places)


@pytest.mark.parametrize("command", ["validate", "analyze"])
def test_nothing_wrong_is_a_report_too(plait: Plait, tmp_path: Path, command: str):
    """Each object is a test case that passes."""
    (tmp_path / "clean.yaml").write_text(CLEAN)

    junit, sarif = (plait(command, "-f", "clean.yaml", "-o", form) for form in ("junit", "sarif"))

    assert (junit.code, sarif.code) == (0, 0)
    tree = check_junit(junit.out)
    assert (tree["@tests"], tree["@failures"]) == ("1", "0")
    assert check_sarif(sarif.out)["runs"][0]["results"] == []


def test_a_warning_fails_only_where_it_is_asked_to(plait: Plait, tmp_path: Path):
    """`--fail-on warning`, and `--suppress CODE` takes it out again."""
    text = CLEAN.replace("name: web}", "name: web, annotations: {plait.dev/ownr: me}}")
    (tmp_path / "warned.yaml").write_text(text)
    words = ("analyze", "-f", "warned.yaml")

    assert plait(*words).code == 0
    assert plait(*words, "--fail-on", "warning").code == 1
    assert plait(*words, "--fail-on", "warning", "--suppress", "PLT0601").code == 0


def test_a_workloads_file_tells_what_selectors_find(plait: Plait, tmp_path: Path):
    """Planned workloads count as if they ran."""
    (tmp_path / "mesh.yaml").write_text(CLEAN.replace("spec: {", "spec: {selector: {app: web}, "))
    (tmp_path / "workloads.yaml").write_text("workloads:\n- {name: web, labels: {app: wob}, command: [x]}\n")

    outcome = plait("analyze", "-f", "mesh.yaml", "-f", "workloads.yaml", "-o", "json")

    assert [item["code"] for item in json.loads(outcome.out)["findings"]] == ["PLT0306"]
