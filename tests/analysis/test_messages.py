"""Each message has a case that finds it and a clean one that does not: `cases/CODE.yaml`, on the mesh of `base.txt`."""

from base64 import b64encode
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from plait.analysis.analyze import analyze
from plait.analysis.findings import Finding, Severity
from plait.analysis.mesh import Mesh
from plait.analysis.messages import CERTIFICATE_EXPIRES, MESSAGES, NOT_HERE
from plait.controlplane.offline import offline_mesh
from plait.resources.yaml import load
from tests.envoy import certificates

CASES = Path(__file__).parent / "cases"
BASE = (CASES / "base.txt").read_text()
CODES = [message.code for message in MESSAGES]
ISTIO = {int(code[3:]) for message in MESSAGES for code in message.istio} | {int(code[3:]) for code in NOT_HERE}


def found(text: str, *, now: float = 0.0) -> tuple[Finding, ...]:
    """What is found in the base with these objects more, in all of which nothing is missing."""
    chain, key = certificates.shared().leaf("", "shop.example")
    text = text.replace("CERTIFICATE", b64encode(chain).decode()).replace("KEY", b64encode(key).decode())
    loaded = load(BASE + text, "mesh.yaml")
    mesh = offline_mesh(loaded.documents)
    unread = frozenset(mesh.unread)
    subject = Mesh(resources=mesh.resources, statuses=mesh.builder.statuses, complete=True, now=now, unread=unread)
    return analyze(subject, (*loaded.violations, *mesh.violations))


@pytest.mark.parametrize("code", [code for code in CODES if code != CERTIFICATE_EXPIRES.code])
def test_the_mistake_is_found_and_the_mended_one_is_not(code: str) -> None:
    """At its line, in a sentence that names it, with a remedy."""
    case = yaml.safe_load((CASES / f"{code}.yaml").read_text())

    wrong = [finding for finding in found(case["wrong"]) if finding.message.code == code]
    right = [finding for finding in found(case["right"]) if finding.message.code == code]

    assert any(case["says"] in f"{finding.sentence}; {finding.remedy}" for finding in wrong), found(case["wrong"])
    assert all(finding.origin.line > BASE.count("\n") for finding in wrong)
    assert all(finding.remedy for finding in wrong)
    assert right == []


def test_the_base_is_clean() -> None:
    """So what a case finds comes from the case."""
    assert found("") == ()


def test_a_certificate_that_expires_soon_is_told() -> None:
    """By the time of the look."""
    case = yaml.safe_load((CASES / "PLT0104.yaml").read_text())["right"]
    chain, _ = certificates.shared().leaf("", "shop.example")
    end = x509.load_pem_x509_certificate(chain).not_valid_after_utc.timestamp()

    said = {now: {item.message.code for item in found(case, now=now)} for now in (end - 86400, end + 86400)}

    assert CERTIFICATE_EXPIRES.code in said[end - 86400]
    assert "PLT0502" in said[end + 86400]


def test_every_code_of_istio_is_found_or_said_to_be_nothing_here() -> None:
    """Those of Istio 1.27's list, without the retired ones."""
    retired = {104, 105, 114, 115, 117, 120, 121, 124}
    listed = {1, 2, *range(101, 166)} - retired
    assert listed - ISTIO == set()


def test_codes_are_used_once() -> None:
    """A code says one thing, and errors are those that do not work."""
    assert len(set(CODES)) == len(CODES)
    assert {message.severity for message in MESSAGES} == set(Severity)


def test_a_service_that_is_wrong_by_itself_still_exists() -> None:
    """Nobody else is blamed for it."""
    broken = "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: shop}\nspec: {ports: [{prt: 80}]}\n---\n"
    route = yaml.safe_load((CASES / "PLT0101.yaml").read_text())["right"].replace("host: reviews", "host: far")

    assert "PLT0101" not in {finding.message.code for finding in found(broken + route)}


def test_the_shops_files_are_clean() -> None:
    """What users start with has no finding."""
    text = (Path(__file__).parents[2] / "examples/shop/mesh.yaml").read_text()
    mesh = offline_mesh(load(text).documents)

    assert analyze(Mesh(resources=mesh.resources, statuses=mesh.builder.statuses), mesh.violations) == ()
