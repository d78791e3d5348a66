"""How a port is processed at the server, and what callers are told of it."""

from dataclasses import replace
from typing import Any

import pytest

from plait.compiler import targets
from plait.model.protection import IDLE_TOWARDS_AN_APP
from plait.model.security import MutualTlsMode
from plait.model.services import Protocol
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import HttpReason, InboundMode, ServerPort
from plait.resources.parse import Resource
from plait.snapshot.inbound import distinct, inbound_mode, inbound_ports, servers_behind
from plait.snapshot.outbound_clusters import IDLE_BETWEEN_SIDECARS
from plait.snapshot.project import project
from tests.snapshot.resources_builders import (
    authorization_policy,
    destination_rule,
    name_of,
    peer_authentication,
    service,
    sidecar,
    snapshot_of,
    workload,
)

WEB = "web.default.svc.cluster.local"
SERVICE = service("web", {"port": 80, "targetPort": 8080})
FIRST = workload("web-1", "10.0.0.1", app="web", services="web:80=8080", ports={"http": 8080})
SECOND = workload("web-2", "10.0.0.2", app="other", services="web:80=8080", ports={"http": 8080})
CALLER = workload("client", "10.0.0.9")
STRICT = peer_authentication("istio-system/default", "STRICT")
BY_IDENTITY = {"from": [{"source": {"principals": ["cluster.local/ns/default/sa/client"]}}]}


def asking(**operation: list[str]) -> dict[str, object]:
    """A rule of an AuthorizationPolicy on an operation."""
    return {"to": [{"operation": operation}]}


def mesh(*resources: Resource) -> Snapshot:
    """One service, its two workloads, a caller and more; STRICT unless a PeerAuthentication says otherwise."""
    return snapshot_of(SERVICE, FIRST, SECOND, CALLER, STRICT, *resources)


def reasons(*resources: Resource) -> list[str]:
    """Why the first workload's port is HTTP."""
    snapshot = mesh(*resources)
    (port,) = inbound_ports(snapshot, snapshot.workloads[name_of("web-1")])
    assert port.mode is (InboundMode.HTTP if port.reasons else InboundMode.BYTES)
    return [f"{item.kind} {item.name} {item.because}" for item in port.reasons]


def test_http_is_processed_once_by_default():
    """Nothing needs requests at the server: not mutual TLS, not a policy on identities, namespaces or ports."""
    assert reasons() == []
    assert reasons(authorization_policy("a", BY_IDENTITY)) == []
    assert reasons(authorization_policy("a", asking(ports=["8080"]))) == []
    assert reasons(peer_authentication("p", "PERMISSIVE")) == []


@pytest.mark.parametrize(
    ("operation", "because"),
    [
        ({"paths": ["/admin"]}, "rules[0] asks for paths"),
        ({"notMethods": ["GET"]}, "rules[0] asks for methods"),
        ({"methods": ["GET"], "notPaths": ["/x"], "ports": ["8080"]}, "rules[0] asks for methods and paths"),
    ],
)
def test_a_policy_on_requests_makes_the_port_http(operation: dict[str, list[str]], because: str):
    """The reason names the policy, the rule and what it asks for."""
    assert reasons(authorization_policy("a", asking(**operation))) == [f"AuthorizationPolicy default/a {because}"]


def test_a_policy_on_requests_to_other_ports_or_workloads_does_not():
    """Only ports and workloads that the policy can match are looked at."""
    assert reasons(authorization_policy("a", asking(methods=["GET"], ports=["9090"]))) == []
    assert reasons(authorization_policy("a", asking(methods=["GET"], notPorts=["8080"]))) == []
    assert reasons(authorization_policy("a", asking(methods=["GET"]), selector={"matchLabels": {"app": "other"}})) == []


@pytest.mark.parametrize("kind", ["RequestAuthentication", "Telemetry", "AuthorizationPolicy"])
def test_whatever_needs_requests_makes_an_http_port_http(kind: str):
    """The decision asks for no kind by name, so that those to come only add their reasons; others stay bytes."""
    reason = HttpReason(kind=kind, name=name_of("x"), because="asks for a token")
    assert inbound_mode(Protocol.GRPC, [reason]) is InboundMode.HTTP
    assert inbound_mode(Protocol.HTTP, []) is InboundMode.BYTES
    assert inbound_mode(Protocol.TCP, [reason]) is InboundMode.BYTES


def test_callers_know_how_often_envoys_behind_a_port_were_replaced():
    """Servers that differ in nothing else are one; every replacement changes what callers are told of it."""
    plain = ServerPort(port=8080, mode=InboundMode.BYTES)
    once, twice = replace(plain, replaced=1), replace(plain, replaced=2)
    assert distinct([plain, once]) == distinct([once, plain]) == (once,)
    assert distinct([once, once, plain]) == (twice,)
    assert len({targets.epoch(distinct(found)) for found in ([plain, plain], [once, plain], [once, once])}) == 3


def test_callers_know_how_the_servers_treat_the_port():
    """Different treatments are listed once each; of one that looks at requests nothing more is said."""
    key = ClusterKey(service=name_of("web"), port=80)
    plain = ServerPort(port=8080, mode=InboundMode.BYTES)
    assert servers_behind(mesh(), key) == (plain,)

    on_first = authorization_policy("a", asking(paths=["/"]), selector={"matchLabels": {"app": "web"}})
    mixed = servers_behind(mesh(on_first), key)
    assert set(mixed) == {plain, ServerPort(port=8080, mode=InboundMode.HTTP)}

    (permissive,) = servers_behind(mesh(peer_authentication("p", "PERMISSIVE")), key)
    assert permissive.mutual_tls is MutualTlsMode.PERMISSIVE
    assert permissive.listener == ((0, MutualTlsMode.PERMISSIVE), (8080, MutualTlsMode.PERMISSIVE))


def test_an_unready_workload_still_counts():
    """A restart changes endpoints only, never what callers are configured with."""
    gone = workload("web-1", "10.0.0.1", app="web", services="web:80=8080", ports={"http": 8080}, ready="false")
    policy = authorization_policy("a", asking(paths=["/"]), selector={"matchLabels": {"app": "web"}})
    key = ClusterKey(service=name_of("web"), port=80)
    assert servers_behind(snapshot_of(SERVICE, gone, SECOND, STRICT, policy), key) == servers_behind(mesh(policy), key)


def test_idle_connections_end_before_the_app_would_end_them():
    """Short where bytes reach the app itself, long between two sidecars that process HTTP."""
    policy = authorization_policy("a", asking(paths=["/"]))
    found = [
        project(snapshot, name_of("client"), frozenset({WEB})).clusters[0].idle_timeout
        for snapshot in (mesh(), mesh(policy))
    ]
    assert found == [IDLE_TOWARDS_AN_APP, IDLE_BETWEEN_SIDECARS]


def test_the_app_is_told_the_caller_on_request():
    """The annotation on the Service reaches the caller's view."""
    asked = {"traffic.plait.dev/caller-identity": "header"}
    annotated = service("web", {"port": 80, "targetPort": 8080}, annotations=asked)
    for declared, expected in ((SERVICE, False), (annotated, True)):
        view = project(snapshot_of(declared, FIRST, CALLER), name_of("client"), frozenset({WEB}))
        assert [cluster.tells_caller for cluster in view.clusters] == [expected]
        assert [frontend.tells_caller for frontend in view.frontends] == [expected]


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ({}, 4),
        ({"inboundConnectionPool": {"tcp": {"maxConnections": 3}}}, 3),
        ({"inboundConnectionPool": {"http": {"maxRetries": 3}}}, None),
        (
            {
                "inboundConnectionPool": {"tcp": {"maxConnections": 3}},
                "ingress": [{"port": {"number": 8080}, "connectionPool": {"tcp": {"maxConnections": 2}}}],
            },
            2,
        ),
        ({"ingress": [{"port": {"number": 9}, "connectionPool": {"tcp": {"maxConnections": 2}}}]}, 4),
    ],
)
def test_limits_of_connections_to_the_app(spec: dict[str, Any], limit: int | None):
    """A Sidecar's port before its default before the DestinationRule, each replacing the others as a whole."""
    rule = destination_rule("web", policy={"connectionPool": {"tcp": {"maxConnections": 4}}})
    snapshot = mesh(rule, sidecar("s", "*/*", **spec))
    (port,) = inbound_ports(snapshot, snapshot.workloads[name_of("web-1")])
    assert port.pool is not None
    assert port.pool.max_connections == limit


def test_idle_connections_to_the_app_as_the_sidecar_says():
    """The time is the Sidecar's where it gives one."""
    snapshot = mesh(sidecar("s", "*/*", inboundConnectionPool={"http": {"idleTimeout": "9s"}}))
    (port,) = inbound_ports(snapshot, snapshot.workloads[name_of("web-1")])
    assert port.idle_timeout == 9
