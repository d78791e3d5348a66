"""HTTP once per hop in a real mesh: which mode is in force, how it changes under load, and when a policy is."""

import json
import re
import time
import urllib.request
from collections.abc import Generator
from typing import Any

import pytest

from tests.integration.counted_load import CountedLoad, apply, delete, serve
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]

SECURITY = "security.istio.io"
STREAMS = {
    "kept": {"url": "http://web/", "workers": 3, "pause": 0.01},
    "posted": {"url": "http://web/", "method": "POST", "body": "x" * 2000, "pause": 0.02},
    "fresh": {"url": "http://web/", "fresh": True, "pause": 0.05},
    "slow": {"url": "http://web/slow/0.7", "workers": 4},
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started:
        for name in ("web-1", "web-2"):
            serve(started, name, "web")
        yield started


@pytest.fixture
def load(machine: Machine) -> Generator[CountedLoad]:
    with CountedLoad(machine, STREAMS) as running:
        running.goes()
        yield running


def policy(rule: dict[str, Any], action: str = "ALLOW") -> str:
    """The policy `web`, on both servers."""
    value = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "action": action, "rules": [rule]},
    }
    return json.dumps(value)


ON_REQUESTS = policy({"to": [{"operation": {"paths": ["/*"]}}]})
ON_IDENTITY = policy({"from": [{"source": {"namespaces": ["default"]}}]})
CLOSED_PATH = policy({"to": [{"operation": {"paths": ["/closed"]}}]}, "DENY")
CLOSED = policy({"from": [{"source": {"principals": ["cluster.local/ns/default/sa/load"]}}]}, "DENY")


def modes(machine: Machine) -> list[dict[str, Any]]:
    """How the first server treats its port."""
    held = json.loads(machine.plait("proxy", "config", "web-1"))
    return [item for item in held["inbound"] if item["port"] == 8000]


def server_step(machine: Machine) -> str:
    """What `plait why` says of the server."""
    answer = json.loads(machine.plait("why", "--from", "load", "GET", "http://web/", "-o", "json"))
    return next(step["outcome"] for step in answer["steps"] if step["stage"] == "server")


def settle(machine: Machine, text: str, folder: Any) -> None:
    """Apply, and wait until the proxies hold it."""
    file = folder / "policy.yaml"
    file.write_text(text)
    machine.plait("apply", "-f", str(file), "--wait", "10s")


def test_the_mode_in_force_is_told(machine: Machine, load: CountedLoad, tmp_path: Any) -> None:
    """Bytes by default; HTTP with a policy on requests, which `why` and `proxy config` name; then bytes again."""
    assert [item["mode"] for item in modes(machine)] == ["bytes"]
    assert "passes bytes: HTTP is processed once, by the caller's sidecar" in server_step(machine)

    settle(machine, ON_REQUESTS, tmp_path)
    (port,) = modes(machine)
    assert (port["mode"], port["because"][0]["name"], port["because"][0]["line"]) == ("http", "web", 1)
    assert "because AuthorizationPolicy default/web rules[0] asks for paths" in server_step(machine)

    delete(machine, SECURITY, "authorizationpolicies", "web")
    until(lambda: [item["mode"] for item in modes(machine)] == ["bytes"], what="bytes again")


def test_modes_take_turns_under_load(machine: Machine, load: CountedLoad) -> None:
    """Policies on requests and on identities come and go, and no call is lost that ends within the drain time."""
    with load.loses_nothing(calls=500, settle=1.5):
        for _ in range(4):
            for document in (ON_REQUESTS, ON_IDENTITY, CLOSED_PATH):
                apply(machine, document)
                time.sleep(0.8)
            delete(machine, SECURITY, "authorizationpolicies", "web")
            time.sleep(0.4)


def call(machine: Machine, path: str = "/") -> str:
    """The status of one call from the workload `load`."""
    words = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://web{path}")
    return machine.plait("exec", "load", "--", *words)


@pytest.mark.parametrize(("document", "path"), [(CLOSED, "/"), (CLOSED_PATH, "/closed")], ids=["identity", "path"])
def test_a_policy_is_in_force_when_apply_has_waited(machine: Machine, tmp_path: Any, document: str, path: str) -> None:
    """From then on every new call is denied, whatever was open before, and allowed again when it is gone."""
    with CountedLoad(machine, {"kept": {"url": f"http://web{path}", "workers": 3, "pause": 0.01}}) as open_before:
        open_before.goes()
        settle(machine, document, tmp_path)
        before = open_before.report()["kept"]
        assert call(machine, path) == "403"
        time.sleep(0.5)
        after = open_before.report()["kept"]
        denied = after["lost"] - before["lost"]
        assert denied > 10
        assert after["calls"] - before["calls"] - denied <= 3, "calls that began before may still end well"
        delete(machine, SECURITY, "authorizationpolicies", "web")
        until(lambda: call(machine, path) == "200", what="calls are allowed again")


def test_what_a_switch_cuts_is_counted(machine: Machine) -> None:
    """Answers that take longer than the drain time are cut, on this port only, and the caller's sidecar counts them."""
    with CountedLoad(machine, {"long": {"url": "http://web/slow/3", "workers": 6}}) as long:
        until(lambda: long.report()["long"]["calls"] >= 6, what="the first answers")
        time.sleep(0.5)
        before = ended_early(machine)
        apply(machine, ON_REQUESTS)
        until(lambda: long.report()["long"]["lost"] > 0, what="what was cut")
        time.sleep(0.5)
        lost = long.report()["long"]["lost"]
        assert 0 < lost <= 6
        until(lambda: ended_early(machine) == before + lost, what=f"{lost} counted")
    delete(machine, SECURITY, "authorizationpolicies", "web")


@pytest.mark.long
def test_a_longer_drain_time_lets_long_answers_end(tmp_path: Any) -> None:
    """With five seconds the same switch cuts none of the answers that take three."""
    with mesh(tmp_path, environment={"PLAIT_DRAIN_TIME": "5"}) as patient:
        serve(patient, "web-1", "web")
        with CountedLoad(patient, {"long": {"url": "http://web/slow/3", "workers": 6}}) as long:
            until(lambda: long.report()["long"]["calls"] >= 6, what="the first answers")
            time.sleep(0.5)
            apply(patient, ON_REQUESTS)
            time.sleep(3.5)
            assert long.report()["long"]["calls"] >= 12
            assert long.report()["long"]["lost"] == 0


def ended_early(machine: Machine) -> int:
    """The calls to `web` of which a sidecar says that the server ended the connection."""
    url = json.loads(machine.plait("status", "-o", "json"))["metrics"]["url"]
    with urllib.request.urlopen(url, timeout=5) as answer:
        text = answer.read().decode()
    wanted = re.compile(
        r'plait_requests_total\{(?=[^}]*flags="UC")(?=[^}]*response_code="503")(?=[^}]*web)[^}]*\} (\S+)'
    )
    return sum(int(float(value)) for value in wanted.findall(text))
