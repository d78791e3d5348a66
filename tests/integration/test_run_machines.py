"""Two machines of one mesh: network namespaces made here, each with a node agent of its own."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.hosts import Prefix, other_host
from tests.integration.machines import Machine, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), needs_root]
HERE, THERE = "10.211.7.1", "10.211.7.2"
NETNS = "plait-test-machine"


@pytest.fixture(scope="module")
def second_host() -> Generator[Prefix]:
    """Another host; the value enters it."""
    with other_host(NETNS, link="plaittest0", here=HERE, there=THERE) as prefix:
        yield prefix


@dataclass(frozen=True, slots=True)
class Two:
    first: Machine
    second: Machine


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, second_host: Prefix) -> Generator[Two]:
    folder = tmp_path_factory.mktemp("two")
    with mesh(folder / "first", "--listen", HERE, node=False) as first:
        first.start("node", "--address", HERE)
        second = Machine(folder / "second", prefix=second_host)
        try:
            yield Two(first, second)
        finally:
            second.close()


def token(two: Two, *allow: str) -> str:
    flags = [word for identity in allow for word in ("--allow", identity)]
    answer = two.first.plait("token", "create", "--node", "second", *flags)
    return next(word for word in answer.split() if word.startswith("plait-join"))


def test_join_and_call_both_ways(two: Two) -> None:
    """A machine joins by a token, once; its workloads call the first one's and are called, with mutual TLS."""
    said = two.second.plait("node", "--join", "plait-join-rubbish", "--control", HERE, code=4)
    assert "join token" in said
    two.second.start("node", "--join", token(two, "default/*"), "--control", HERE)
    for machine, name, service in ((two.first, "one", "first"), (two.second, "two", "second")):
        flags = ("--name", name, "--service", f"{service}:80", "--port", "8000/http", "--detach")
        machine.plait("run", *flags, "--", *server(8000, name))
    assert {item["node"] for item in two.first.workloads().values()} == {two.first.workload("one")["node"], "second"}
    assert two.first.workload("two")["endpoint"].startswith(f"{THERE}:")
    there = ("run", "--name", "caller-2", "--", "curl", "-sS", "-m", "5", "http://first/")
    here = ("run", "--name", "caller-1", "--", "curl", "-sS", "-m", "5", "http://second/")
    assert two.second.plait(*there).startswith("one ")
    assert two.first.plait(*here).startswith("two ")


def test_an_address_of_another_machine_leads_to_its_published_port(two: Two) -> None:
    """A workload's own address exists on its machine only; callers elsewhere reach it all the same, authenticated."""
    for machine, caller, callee in ((two.first, "direct-1", "two"), (two.second, "direct-2", "one")):
        address = two.first.workload(callee)["address"]
        call = ("run", "--name", caller, "--", "curl", "-sS", "-m", "5", f"http://{address}:8000/")
        answer = machine.plait(*call)
        assert answer.startswith(f"{callee} ")
        assert "URI=spiffe://cluster.local/ns/default/sa/default" in answer


def test_a_machine_gets_no_other_identity(two: Two) -> None:
    """What its token did not allow is refused, in a sentence that says how to allow it."""
    said = two.second.plait("run", "--name", "thief", "-n", "istio-system", "--", "true", code=125)
    assert "may not run workloads as istio-system/default" in said


def test_membership_outlives_restarts_of_both_sides(two: Two) -> None:
    """Neither a restarted agent nor a restarted control needs another token."""
    two.second.end("node")
    two.second.start("node")
    two.first.end("control")
    two.first.start("control", "--listen", HERE)
    until(lambda: two.first.workload("two")["ready"], within=40)
    there = ("run", "--name", "caller-3", "--", "curl", "-sS", "-m", "5", "http://first/")
    assert until(lambda: two.second.plait(*there, code=None), within=40).startswith("one ")


def test_a_token_works_once(two: Two, tmp_path: Path) -> None:
    """A second machine with the same token is refused."""
    used = token(two, "default/web")
    third = Machine(tmp_path / "third", prefix=two.second.prefix)
    third.state.mkdir()
    third.start("node", "--join", used, "--control", HERE)
    third.end("node")
    fourth = Machine(tmp_path / "fourth", prefix=two.second.prefix)
    fourth.state.mkdir()
    assert "used" in fourth.plait("node", "--join", used, "--control", HERE, code=4)
