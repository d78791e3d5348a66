"""The demo: it comes up, measures what the mesh promises, notices what is broken, and every answer has its schema."""

import json
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.integration.machines import Machine, needs_root

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(300), needs_root]

SHOP = Path(__file__).parents[2] / "examples" / "shop"
SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A mesh under its supervisor, with the shop running in it."""
    machine = Machine(tmp_path_factory.mktemp("d"))
    try:
        machine.plait("up", "--detach", wait=90)
        machine.plait("apply", "-f", str(SHOP / "mesh.yaml"))
        machine.environment["DATA"] = str(machine.state / "shop")
        (machine.state / "shop").mkdir()
        machine.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        machine.plait("start", "-f", str(SHOP / "workloads.yaml"), "--detach", wait=90)
        yield machine
    finally:
        machine.plait("down", code=None, wait=90)


def observations(machine: Machine, *, code: int) -> dict[str, Any]:
    """What `demo --check` observes, by name."""
    answer = json.loads(machine.plait("demo", "--check", "-o", "json", code=code, wait=200).partition("\n]")[0] + "\n]")
    jsonschema.validate(answer, json.loads((SCHEMAS / "demo-check.json").read_text()))
    return {item["name"]: item for item in answer}


def test_every_observation_holds(shop: Machine) -> None:
    """Identities, STRICT, split, canary, shift under load, denial, control killed: all hold, none is left out."""
    found = observations(shop, code=0)

    assert [item["name"] for item in found.values() if item["holds"] is not True] == []
    assert len(found) == 7


@pytest.mark.long
def test_a_removed_policy_is_noticed_and_not_made_again(shop: Machine) -> None:
    """Without the policy the call is not denied: the check ends with 1, and the policy stays removed."""
    shop.plait("delete", "-n", "shop", "authorizationpolicy", "payments-from-orders")
    try:
        found = observations(shop, code=1)

        assert [item["name"] for item in found.values() if not item["holds"]] == ["denied call"]
        shop.plait("get", "-n", "shop", "authorizationpolicy", "payments-from-orders", code=4)
    finally:
        shop.plait("apply", "-f", str(SHOP / "mesh.yaml"))


@pytest.mark.long
def test_a_stopped_sidecar_is_noticed(shop: Machine) -> None:
    """With the frontend's Envoy stopped the check ends with 1 within its time."""
    row = next(
        row for row in json.loads(shop.plait("get", "workloads", "-A", "-o", "json")) if row["name"] == "frontend"
    )
    envoy = next(pid for pid in row["pids"] if Path(f"/proc/{pid}/exe").readlink().name == "envoy")
    os.kill(envoy, signal.SIGSTOP)
    try:
        assert not observations(shop, code=1)["identities"]["holds"]
    finally:
        os.kill(envoy, signal.SIGCONT)


COMMANDS = (
    (("status",), "status"),
    (("get", "workloads", "-A"), "get-workloads"),
    (("get", "services", "-n", "shop"), "get"),
    (("get", "httproutes", "reviews", "-n", "shop"), "get"),
    (("proxy", "list"), "proxy-list"),
    (("proxy", "config", "frontend", "-n", "shop"), "proxy-config"),
    (("top", "--once"), "top"),
    (("why", "--from", "shop/frontend", "GET", "http://reviews/reviews/1"), "why"),
    (("why", "--from", "shop/frontend", "tcp://reviews:80"), "why"),
    (("apply", "-f", str(SHOP / "mesh.yaml")), "apply"),
    (("apply", "-f", str(SHOP / "mesh.yaml"), "--wait"), "apply"),
    (("diff", "-f", str(SHOP / "mesh.yaml")), "diff"),
    (("validate", "-f", str(SHOP / "mesh.yaml")), "validate"),
    (("token", "create", "--node", "second", "--allow", "default/default"), "token-node"),
    (("token", "create", "--user", "ada"), "token-user"),
    (("grant", "list"), "grant-list"),
    (("doctor",), "doctor"),
)


@pytest.mark.parametrize(("words", "schema"), COMMANDS, ids=[" ".join(words[:2]) for words, _ in COMMANDS])
def test_answers_validate_against_their_schemas(shop: Machine, words: tuple[str, ...], schema: str) -> None:
    """Every command of the contract prints JSON that its documented schema describes."""
    answer = json.loads(shop.plait(*words, "-o", "json"))

    jsonschema.validate(answer, json.loads((SCHEMAS / f"{schema}.json").read_text()))
