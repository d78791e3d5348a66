"""Where workloads live: capture, ports of loopback, the files of a place."""

import socket
from pathlib import Path

import pytest

from plait.errors import RefusedError
from plait.model.services import Capture
from plait.node.habitat import Habitat, LoopbackPorts, bindable, choose_capture, hosts_file
from plait.node.workload_spec import WorkloadSpec, parse


def spec(name: str = "web", **fields: object) -> WorkloadSpec:
    return parse({"name": name, "command": ["x"], "ports": ["8080", "9090"], **fields})


@pytest.mark.parametrize(
    ("wanted", "default", "possible", "chosen"),
    [
        ("auto", "auto", True, Capture.TRANSPARENT),
        ("auto", "auto", False, Capture.EXPLICIT),
        ("", "explicit", True, Capture.EXPLICIT),
        ("explicit", "transparent", True, Capture.EXPLICIT),
        ("transparent", "explicit", True, Capture.TRANSPARENT),
    ],
)
def test_capture_is_what_is_asked_for_and_possible(wanted: str, default: str, possible: bool, chosen: Capture) -> None:
    """The workload's wish, else the agent's; auto takes what is possible."""
    assert choose_capture(wanted, default, possible=possible) is chosen


def test_impossible_capture_is_refused_with_the_reason() -> None:
    """Transparent capture is never replaced silently by a weaker one."""
    with pytest.raises(RefusedError, match="nft is missing"):
        choose_capture("transparent", "auto", possible=False, why_not="nft is missing")


def test_ports_differ_between_workloads_and_stay_over_a_restart() -> None:
    """No two workloads share a port, and one that starts again gets those it had."""
    ports = LoopbackPorts()
    first, second = ports.settle(spec("one"), {}), ports.settle(spec("two"), {})
    used = (*first.own_ports(), *second.own_ports())
    assert len(set(used)) == 6
    ports.release("default/one")
    assert ports.settle(spec("one"), {"ports": list(first.own_ports())}) == first


def test_a_port_that_is_taken_is_not_used() -> None:
    """A port that another process holds is passed over, one to be published is refused."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not bindable(port)
        assert port not in LoopbackPorts().settle(spec(), {"ports": [port]}).own_ports()
        with pytest.raises(RefusedError, match=f"127.0.0.1:{port} is taken"):
            LoopbackPorts().settle(spec(publish=[f"{port}:8080"]), {})


def test_a_gateways_listeners_get_ports_its_user_may_have() -> None:
    """Ports below 1024 are moved by 18000, others stay; what is mapped already stays mapped."""
    ports = LoopbackPorts()
    mapped = ports.map_listeners((80, 28080), {})
    assert mapped == {80: 18080, 28080: 28080}
    assert ports.map_listeners((80, 443), mapped) == {80: 18080, 443: 18443}


def test_habitat_is_read_as_it_was_written() -> None:
    """A restarted agent knows the same place."""
    habitat = LoopbackPorts().settle(spec(publish=[]), {}, listeners=(80,))
    assert Habitat.of(habitat.document()) == habitat


def test_only_explicit_apps_are_told_of_their_sidecar() -> None:
    """Where traffic is caught the environment says nothing."""
    explicit = Habitat(capture=Capture.EXPLICIT, address="127.0.0.1", outbound_port=20001)
    assert explicit.environment()["http_proxy"] == "http://127.0.0.1:20001"
    assert "127.0.0.1" in explicit.environment()["NO_PROXY"]
    assert Habitat(capture=Capture.TRANSPARENT, address="10.1.0.2").environment() == {}


def test_a_workload_finds_itself_by_its_name(tmp_path: Path) -> None:
    """Its own name stands before what the machine's file says; a machine without the file is no obstacle."""
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    assert hosts_file("web", "10.1.0.2", tmp_path / "hosts") == "10.1.0.2 web\n127.0.0.1 localhost\n"
    assert "localhost" in hosts_file("web", "10.1.0.2", tmp_path / "missing")
