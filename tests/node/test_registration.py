"""The entry of a workload at control."""

from typing import Any

from plait.model.services import Capture, Protocol
from plait.node.registration import Machine, Phase, Registration, pairs, parse_pairs
from plait.node.workload_spec import parse


def registration(**fields: Any) -> Registration:
    spec = parse({"name": "web", "command": ["x"], "ports": ["http:8080/http", "9090"], "services": ["web:80"]})
    base: dict[str, Any] = {
        "spec": spec,
        "machine": Machine(name="vm", address="192.0.2.1", locality="eu/a"),
        "address": "10.1.0.2",
        "capture": Capture.TRANSPARENT,
    }
    return Registration(**{**base, **fields})


def test_entry_says_what_the_contract_asks() -> None:
    """Address, named ports, labels, account and locality in the spec; everything of the mesh in annotations."""
    entry = registration(
        phase=Phase.RUNNING, ready=True, published={8080: 31001}, protocols={9090: Protocol.TCP}, pids=(12, 0, 34)
    ).document()
    assert entry["spec"] == {
        "address": "10.1.0.2",
        "ports": {"http": 8080, "port-9090": 9090},
        "labels": {},
        "serviceAccount": "default",
        "locality": "eu/a",
    }
    notes = {key.removeprefix("plait.dev/"): value for key, value in entry["metadata"]["annotations"].items()}
    assert notes == {
        "kind": "sidecar",
        "node": "vm",
        "machine-address": "192.0.2.1",
        "capture": "transparent",
        "phase": "Running",
        "ready": "true",
        "pids": "12,34",
        "endpoint": "192.0.2.1:31001",
        "protocols": "8080=http,9090=tcp",
        "published": "8080=31001",
        "services": "web:80=8080",
    }


def test_declared_protocols_win_over_learnt_ones() -> None:
    """What the user said of a port is not overruled by what was found."""
    notes = registration(protocols={8080: Protocol.TCP}).document()["metadata"]["annotations"]
    assert notes["plait.dev/protocols"] == "8080=http"


def test_learnt_ports_follow_the_declared_ones() -> None:
    """Ports that the app opened without declaring them are registered under their number."""
    assert registration(ports=(7000, 8080)).document()["spec"]["ports"] == {
        "http": 8080,
        "port-9090": 9090,
        "port-7000": 7000,
    }


def test_gateways_say_which_gateway() -> None:
    """A gateway's proxy names the Gateway and the real ports of its listeners."""
    spec = parse({"name": "edge", "gateway": "edge"})
    notes = registration(spec=spec, gateway_ports={80: 18080}, proxy_generation=2).document()["metadata"]["annotations"]
    assert notes["plait.dev/proxy-generation"] == "2"
    assert (notes["plait.dev/kind"], notes["plait.dev/gateway"]) == ("gateway", "edge")
    assert notes["plait.dev/gateway-ports"] == "80=18080"


def test_pairs_are_read_as_they_are_written() -> None:
    """Numbers in annotations survive."""
    assert parse_pairs(pairs({80: 8080, 9: 1})) == {80: 8080, 9: 1}
