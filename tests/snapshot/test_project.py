"""The view of one workload: what is in it, what is not, and that equal meshes give equal views."""

from typing import Any

import pytest

from plait.errors import NotFoundError
from plait.model.security import MutualTlsMode
from plait.model.services import Capture, Resolution, WorkloadKind
from plait.model.traffic import ClusterKey
from plait.model.view import DirectEndpoint, InboundMode, View
from plait.resources.parse import Resource
from plait.snapshot.project import project
from plait.snapshot.protocols import known_protocol
from tests.snapshot.certificates import tls_secret
from tests.snapshot.resources_builders import (
    authorization_policy,
    backend,
    built,
    gateway,
    gateway_proxy,
    http_route,
    listener,
    name_of,
    outsider,
    path,
    peer_authentication,
    resource,
    rule,
    service,
    service_entry,
    snapshot_of,
    to_gateway,
    to_service,
    workload,
)

APP = workload("app", "10.0.0.9")
ECHO = service("echo")
V1, V2 = service("v1", address="240.240.0.2"), service("v2", address="240.240.0.3")
ECHO_HOST = "echo.default.svc.cluster.local"


def view(*resources: Resource, of: str = "app", demand: tuple[str, ...] = (ECHO_HOST,)) -> View:
    return project(snapshot_of(APP, *resources), name_of(of), frozenset(demand))


def clusters(found: View) -> list[str]:
    return [str(item.key.service) for item in found.clusters]


def test_without_demand_there_is_only_the_inbound_side():
    """What is not asked for is not in the view, whatever the mesh holds."""
    found = view(ECHO, V1, demand=())

    assert (found.frontends, found.clusters) == ((), ())
    assert [port.number for port in found.inbound] == [8080]


def test_a_demanded_host_with_all_its_ports():
    """Each port is a frontend; open ones lead to the service's own cluster."""
    found = view(service("echo", 80, {"port": 5432, "name": "tcp-db"}))

    assert [(item.port, item.protocol, item.closed) for item in found.frontends] == [
        (80, "http", False),
        (5432, "tcp", False),
    ]
    assert [item.key.port for item in found.clusters] == [80, 5432]
    assert found.frontends[0].aliases == ("echo", "echo.default", "echo.default.svc", ECHO_HOST)


def test_hosts_of_rules_are_clusters_only():
    """What rules lead to (mirrors too) is in the view as clusters, without a frontend; the closed default is not."""
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "v2", "port": 80}}}
    found = view(ECHO, V1, V2, http_route("r", [to_service("echo")], rule(backend("v1"), filters=[mirror])))

    assert [item.host for item in found.frontends] == [ECHO_HOST]
    assert clusters(found) == ["default/v1", "default/v2"]


def test_consumers_see_their_own_rules():
    """Two callers of one host have different rules in different namespaces."""
    producer = http_route("r", [to_service("echo")], rule(backend("v1")))
    consumer = http_route("shop/r", [to_service("default/echo")], rule(backend("default/v2")))
    mesh = (ECHO, V1, V2, producer, consumer, workload("shop/app", "10.0.0.8"))

    assert clusters(view(*mesh)) == ["default/v1"]
    assert clusters(view(*mesh, of="shop/app")) == ["default/v2"]
    assert view(*mesh, of="shop/app").frontends[0].aliases[0] == "echo.default"


def test_unknown_demands_are_left_out():
    """A name that the mesh does not have adds nothing; an unknown workload is an error."""
    assert view(demand=("nowhere.default.svc.cluster.local",)).frontends == ()
    with pytest.raises(NotFoundError, match="no workload default/ghost"):
        project(snapshot_of(), name_of("ghost"), frozenset())


def test_identities_of_clusters():
    """A cluster lists whom its endpoints may prove to be; with endpoints outside the mesh it is mixed."""
    inside = workload("e-1", app="echo", account="echo")
    spiffe = "spiffe://cluster.local/ns/default/sa/echo"

    assert [(item.identities, item.mixed) for item in view(ECHO, inside).clusters] == [((spiffe,), False)]
    mixed = view(ECHO, inside, outsider("e-2", "192.0.2.1", app="echo"))
    assert [(item.identities, item.mixed) for item in mixed.clusters] == [((spiffe,), True)]
    outside = view(ECHO, outsider("e-2", "192.0.2.1", app="echo"))
    assert [(item.identities, item.mixed) for item in outside.clusters] == [((), False)]


def test_names_that_envoy_resolves_are_in_the_view():
    """A DNS entry's endpoints are names, given to the cluster itself."""
    entry = service_entry("e", "api.example.com", resolution="DNS", given={"api.example.com": "240.240.3.3"})
    (cluster,) = view(entry, demand=("api.example.com",)).clusters

    assert (cluster.resolution, cluster.endpoints) == (Resolution.DNS, (("api.example.com", 80),))


def test_readiness_changes_no_view():
    """A workload that is not ready, or comes back, leaves its callers' views equal."""
    builder = built(APP, ECHO, workload("e-1", app="echo", account="echo"))
    before = project(builder.snapshot, name_of("app"), frozenset({ECHO_HOST}))

    builder.update([workload("e-1", app="echo", account="echo", ready="false")])

    assert project(builder.snapshot, name_of("app"), frozenset({ECHO_HOST})) == before


def test_inbound_ports():
    """The app's ports are those it registered and those that services lead to, with what they speak."""
    ports = {"http": 8080, "raw": 9000}
    app = workload("app", "10.0.0.9", ports=ports, protocols="9000=tcp", sidecar_ports="8080=1234")
    more = service("app", {"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": 7070, "name": "grpc"})
    found = project(snapshot_of(app, more), name_of("app"), frozenset())

    assert [(port.number, port.protocol, port.mode, port.sidecar_port) for port in found.inbound] == [
        (7070, "grpc", InboundMode.BYTES, 0),
        (8080, "http", InboundMode.BYTES, 1234),
        (9000, "tcp", InboundMode.BYTES, 0),
    ]


def test_inbound_policies_and_unlisted_ports():
    """Each port has the workload's policies and its own mutual TLS mode; unlisted ports have the workload's."""
    strict = peer_authentication("p", "STRICT", selector={"app": "app"}, ports={8080: "DISABLE"})
    found = view(strict, authorization_policy("a"), demand=())

    assert [(port.mutual_tls, [item.name.name for item in port.policies]) for port in found.inbound] == [
        (MutualTlsMode.DISABLE, ["a"])
    ]
    assert found.unlisted is not None
    assert (found.unlisted.mutual_tls, len(found.unlisted.policies)) == (MutualTlsMode.STRICT, 1)


def test_what_the_workload_registered_is_passed_on():
    """Capture, node, published ports and the outbound port come from the registration."""
    app = workload("app", "127.0.0.1", capture="explicit", node="n", publish="18080=8080", outbound_port="15080")
    found = project(snapshot_of(app), name_of("app"), frozenset())

    assert (found.capture, found.node, found.publish, found.outbound_port) == (
        Capture.EXPLICIT,
        "n",
        ((18080, 8080),),
        15080,
    )


def node(name: str, cidr: str):
    return resource("v1", "Node", name, spec={"podCIDR": cidr})


def test_ranges_of_workloads_do_not_change_when_a_machine_joins():
    """A machine's /24 counts as the mesh's /16, so its listeners stay as they are."""
    builder = built(APP, node("one", "10.7.1.0/24"))
    assert project(builder.snapshot, name_of("app"), frozenset()).workload_addresses == ("10.7.0.0/16",)

    joined = builder.update([node("two", "10.7.2.0/24")])
    assert not joined.touched.everyone
    other = builder.update([node("three", "10.8.0.0/24")])
    assert other.touched.everyone
    assert other.snapshot.workload_addresses == ("10.7.0.0/16", "10.8.0.0/16")


DB = service("db", {"port": 5432, "targetPort": 5432}, address="None")
DB_HOST = "db.default.svc.cluster.local"


def database(name: str, address: str, **notes: Any):
    return workload(name, address, app="db", account="db", ports={"pg": 5432}, **notes)


DB_IDENTITY = "spiffe://cluster.local/ns/default/sa/db"


def direct(address: str, *, port: int = 5432) -> DirectEndpoint:
    return DirectEndpoint(
        address=address,
        port=port,
        protocol=known_protocol(port),
        identity=DB_IDENTITY,
        workload="default/db-0",
        reached=(address, port),
    )


def test_headless_services_are_called_endpoint_by_endpoint():
    """A headless name gives direct endpoints with the identity each must prove, and no frontend."""
    found = view(DB, database("db-0", "10.0.0.1"), database("db-1", "10.0.0.2", ready="false"), demand=(DB_HOST,))

    assert (found.frontends, found.direct) == ((), (direct("10.0.0.1"),))


@pytest.mark.parametrize("demand", ["db-0." + DB_HOST, "10.0.0.1"])
def test_one_workload_by_name_or_address(demand: str):
    """A workload's own name or address gives its ports, past all routes but not past mutual TLS."""
    found = view(DB, database("db-0", "10.0.0.1"), database("db-1", "10.0.0.2"), demand=(demand,))

    assert found.direct == (direct("10.0.0.1"),)


def test_a_headless_frontend_in_explicit_capture():
    """Where Host chooses the frontend, a headless name has one, and nothing is dialled past it."""
    app = workload("app", "127.0.0.1", capture="explicit")
    found = project(snapshot_of(app, DB, database("db-0", "10.0.0.1")), name_of("app"), frozenset({DB_HOST}))

    assert ([item.host for item in found.frontends], found.direct) == ([DB_HOST], ())


def test_a_gateway_holds_its_listeners_and_their_clusters():
    """Demand does not matter for a gateway; routes at Services do not apply there."""
    mesh = (
        V1,
        V2,
        gateway("edge", listener("https", 443, "HTTPS", tls={"certificateRefs": [{"name": "tls"}]})),
        gateway_proxy("edge-1", serves="edge", gateway_ports="443=18443"),
        tls_secret("tls"),
        tls_secret("unused"),
        http_route("r", [to_gateway("edge")], rule(backend("v1"), matches=[path("/")])),
        http_route("s", [to_service("v1")], rule(backend("v2"))),
        authorization_policy("p"),
    )
    found = view(*mesh, of="edge-1", demand=(ECHO_HOST,))

    assert (found.kind, found.gateway, found.gateway_ports) == (WorkloadKind.GATEWAY, name_of("edge"), ((443, 18443),))
    assert [item.port for item in found.listeners] == [443]
    assert (clusters(found), found.frontends, found.inbound) == (["default/v1"], (), ())
    assert [item.name for item in found.certificates] == [name_of("tls")]
    assert [item.name for item in found.policies] == [name_of("p")]


def test_moving_a_document_changes_no_view():
    """File and line are not part of equality."""
    route = http_route("r", [to_service("echo")], rule(backend("v1")))
    moved = http_route(
        "r",
        [to_service("echo")],
        rule(backend("v1")),
        annotations={"plait.dev/source": '{"file": "a.yaml", "line": 40}'},
    )
    builder = built(APP, ECHO, V1, route)
    before = project(builder.snapshot, name_of("app"), frozenset({ECHO_HOST}))

    update = builder.update([moved])

    assert not update.touched
    assert project(update.snapshot, name_of("app"), frozenset({ECHO_HOST})) == before
    origin = before.frontends[0].rules[0].origin
    assert origin is not None
    located = builder.located(origin)
    assert (located, located.file) == (origin, "a.yaml")


def test_views_refer_only_to_clusters_they_hold():
    """Every destination of every rule is among the clusters, also where references are broken."""
    route = http_route("r", [to_service("echo")], rule(backend("v1", 1), backend("nowhere", 1), backend("v2", 0)))
    found = view(ECHO, V1, V2, route)

    held = {item.key for item in found.clusters}
    named = {item.cluster for rule_ in found.frontends[0].rules for item in rule_.destinations if item.cluster}
    assert named == held == {ClusterKey(service=name_of(name), port=80) for name in ("v1", "v2")}


def test_a_service_that_changes_touches_the_workloads_behind_it():
    """What a port speaks at the server follows the services that lead there, so their views are made anew."""
    builder = built(workload("echo-1", app="echo"), APP, ECHO)
    declared = service("echo", {"port": 80, "targetPort": 8080, "name": "tcp"})

    update = builder.update([declared])

    assert update.touched.workloads == {name_of("echo-1")}
    (port,) = project(update.snapshot, name_of("echo-1"), frozenset()).inbound
    assert (port.number, port.mode) == (8080, InboundMode.BYTES)
