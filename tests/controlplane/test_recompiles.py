"""Nothing is projected or compiled for a proxy that an object of traffic management does not concern.

The shop's frontend calls reviews and its orders call payments; the catalogue is called by nobody.
"""

from typing import Any

import pytest

from tests.controlplane.meshes import resource
from tests.controlplane.test_publisher import Mesh, frontend_mesh

GATEWAY_API, ISTIO = "gateway.networking.k8s.io", "networking.istio.io/v1"


def _object(api_version: str, kind: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec}


def _route(kind: str, service: str, version: str = "v1") -> dict[str, Any]:
    parent = {"group": "", "kind": "Service", "name": service}
    backend = {"name": "inventory", "port": 80}
    return _object(f"{GATEWAY_API}/{version}", kind, parentRefs=[parent], rules=[{"backendRefs": [backend]}])


def about(service: str) -> dict[str, dict[str, Any]]:
    """One object of each kind that is about calls to a service."""
    subset = {"name": "v1", "labels": {"version": "v1"}}
    rule = {"route": [{"destination": {"host": service}}], "timeout": "3s"}
    target = {"group": "", "kind": "Service", "name": service}
    validation = {"hostname": "x.example", "wellKnownCACertificates": "System"}
    return {
        "HTTPRoute": _route("HTTPRoute", service),
        "GRPCRoute": _route("GRPCRoute", service),
        "VirtualService": _object(ISTIO, "VirtualService", hosts=[service], http=[rule]),
        "DestinationRule": _object(
            ISTIO,
            "DestinationRule",
            host=service,
            subsets=[subset],
            trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
        ),
        "BackendTLSPolicy": _object(
            f"{GATEWAY_API}/v1", "BackendTLSPolicy", targetRefs=[target], validation=validation
        ),
    }


def beside() -> dict[str, dict[str, Any]]:
    """Objects that are about no call that is made."""
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    entry = _object(ISTIO, "ServiceEntry", hosts=["other.example"], ports=[port], resolution="DNS")
    gateway = {"port": port, "hosts": ["edge.example"]}
    template = {"serviceAccount": "default"}
    bound = _object(ISTIO, "Sidecar", workloadSelector={"labels": {"app": "nobody"}}, egress=[{"hosts": ["./*"]}])
    return {
        "ServiceEntry": entry,
        "TCPRoute": _route("TCPRoute", "catalogue", "v1alpha2"),
        "TLSRoute": _object(
            f"{GATEWAY_API}/v1",
            "TLSRoute",
            parentRefs=[{"group": "", "kind": "Service", "name": "catalogue"}],
            hostnames=["a.example"],
            rules=[{"backendRefs": [{"name": "inventory", "port": 80}]}],
        ),
        "Gateway of Istio": _object(ISTIO, "Gateway", selector={"istio": "nobody"}, servers=[gateway]),
        "WorkloadGroup": _object(ISTIO, "WorkloadGroup", template=template),
        "Sidecar of nobody": bound,
        **about("catalogue"),
    }


def work(mesh: Mesh) -> tuple[int, int]:
    """How often a view was projected and compiled since the change."""
    return mesh.publisher.work["project"], mesh.publisher.work["compile"]


def test_a_new_host_is_a_key_for_everybody() -> None:
    """Who may call it gets its key, and holds what it held; nothing is compiled."""
    mesh = frontend_mesh()

    mesh.change(resource(beside()["ServiceEntry"]))

    assert mesh.publisher.work["compile"] == 0
    assert {proxy for proxy, _, _ in mesh.sent} == {"shop/frontend", "shop/orders"}


@pytest.mark.parametrize("kind", [kind for kind in beside() if kind != "ServiceEntry"])
def test_what_nobody_calls_compiles_nothing(kind: str) -> None:
    """Made, changed and deleted, it costs no proxy anything."""
    mesh = frontend_mesh()
    made = beside()[kind]
    changed = {**made, "metadata": {**made["metadata"], "labels": {"changed": "yes"}}}

    for document in (made, changed):
        mesh.change(resource(document))
        assert work(mesh) == (0, 0), document["kind"]

    mesh.remove(resource(made))
    assert work(mesh) == (0, 0)


@pytest.mark.parametrize("kind", list(about("payments")))
def test_only_callers_are_compiled(kind: str) -> None:
    """What is about payments compiles the orders, which call it, and not the frontend, which does not."""
    mesh = frontend_mesh()
    made = about("payments")[kind]

    for _ in range(2):
        mesh.change(resource(made))
        assert {proxy for proxy, _, _ in mesh.sent} <= {"shop/orders"}
        assert mesh.publisher.work["project"] <= 1

    mesh.remove(resource(made))
    assert {proxy for proxy, _, _ in mesh.sent} <= {"shop/orders"}
    assert mesh.publisher.work["project"] <= 1


def test_an_object_applied_again_compiles_nothing() -> None:
    """The same DestinationRule once more is no change."""
    mesh = frontend_mesh()
    rule = about("payments")["DestinationRule"]
    mesh.change(resource(rule))
    assert mesh.publisher.work["compile"] == 1

    mesh.change(resource(rule))

    assert work(mesh) == (0, 0)
    assert mesh.sent == []
