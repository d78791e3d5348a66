"""What HTTPRoutes at Services are told: reasons of what cannot be resolved or attached, and how they are mended."""

import pytest

from plait.model.snapshot import ParentStatus, Snapshot
from plait.model.traffic import Frontend, Rule
from plait.snapshot.build import Builder
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import (
    Document,
    backend,
    built,
    conditions,
    gateway,
    grant,
    http_route,
    key_of,
    name_of,
    path,
    rule,
    service,
    to_gateway,
    to_service,
)

ECHO = service("echo", 80, 8080)
V1 = service("v1", address="240.240.0.2")
OK = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
V2 = service("v2", address="240.240.0.3")


def frontend(snapshot: Snapshot, name: str, port: int = 80) -> Frontend:
    return snapshot.frontends[service_host(name_of(name)), port]


def split(found: Rule) -> dict[str, int]:
    return {item.cluster.service.name if item.cluster else "broken": item.weight for item in found.destinations}


def parent(builder: Builder, route: str, index: int = 0) -> ParentStatus:
    return builder.statuses["HTTPRoute", name_of(route)].parents[index]


def accepted(builder: Builder, route: str, index: int = 0) -> dict[str, tuple[str, str]]:
    return conditions(parent(builder, route, index).conditions)


@pytest.mark.parametrize(
    ("reference", "reason", "sentence"),
    [
        (backend("v1", port=81), "BackendNotFound", "Service default/v1 has no port 81; its ports are 80"),
        (backend("v1", kind="Bucket", group="store.io"), "InvalidKind", "store.io/Bucket default/v1 cannot be sent to"),
        (backend("udp", port=53), "UnsupportedProtocol", "port 53 of Service default/udp does not carry TCP"),
        (backend("alias", port=80), "BackendNotFound", "is of type ExternalName"),
    ],
)
def test_reasons_of_unresolved_backends(reference: Document, reason: str, sentence: str):
    """Each kind of broken reference has the standard's reason and a sentence that names it."""
    others = (
        service("udp", {"port": 53, "protocol": "UDP"}),
        service("alias", 80, type="ExternalName", externalName="example.com", address=""),
    )
    builder = built(ECHO, V1, *others, http_route("r", [to_service("echo")], rule(reference)))

    condition = parent(builder, "r").conditions[1]
    assert (condition.status, condition.reason) == ("False", reason)
    assert sentence in condition.message


@pytest.mark.parametrize(
    ("parents", "sentence"),
    [
        ([to_service("nowhere")], "Service default/nowhere does not exist"),
        ([to_service("echo", port=99)], "has no port 99; its ports are 80, 8080"),
        ([to_service("headless")], "is headless"),
        ([to_service("alias")], "ExternalName"),
        ([to_service("bytes")], "carries no HTTP on 80 (tcp)"),
        ([to_gateway("nowhere")], "Gateway default/nowhere does not exist"),
        ([to_gateway("echo", kind="Service")], 'write group: "" with it'),
        ([to_service("echo", kind="Servise")], "Servise default/echo cannot be a parent"),
    ],
)
def test_reasons_of_refused_parents(parents: list[Document], sentence: str):
    """A parent that the route cannot attach to gets NoMatchingParent and a sentence."""
    others = (
        service("headless", 80, address="None"),
        service("alias", 80, type="ExternalName", externalName="example.com", address=""),
        service("bytes", {"port": 80, "appProtocol": "tcp"}),
    )
    builder = built(ECHO, V1, *others, http_route("r", parents, rule(backend("v1"))))

    condition = parent(builder, "r").conditions[0]
    assert (condition.type, condition.status, condition.reason) == ("Accepted", "False", "NoMatchingParent")
    assert sentence in condition.message


def test_each_parent_has_its_own_conditions():
    """One good parent and one bad: the good one works."""
    builder = built(ECHO, V1, http_route("r", [to_service("nowhere"), to_service("echo")], rule(backend("v1"))))

    assert accepted(builder, "r", 0)["Accepted"] == ("False", "NoMatchingParent")
    assert accepted(builder, "r", 1) == OK
    assert frontend(builder.snapshot, "echo").attached


def test_a_rule_that_cannot_be_done_answers_500_and_is_told():
    """An unsupported filter is never skipped: its rule answers 500, the other rules work, PartiallyInvalid says so."""
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Filter", "name": "f"}}
    bad = rule(backend("v1"), matches=[path("/bad")], filters=[extension])
    builder = built(ECHO, V1, http_route("r", [to_service("echo")], bad, rule(backend("v1"))))

    rules = frontend(builder.snapshot, "echo").rules

    assert [(item.status, len(item.destinations)) for item in rules] == [(500, 0), (None, 1)]
    assert accepted(builder, "r") == {**OK, "PartiallyInvalid": ("True", "UnsupportedValue")}
    assert (
        parent(builder, "r").conditions[2].message.startswith("Dropped Rule: spec.rules[0].filters[0] (ExtensionRef)")
    )


def test_a_route_of_which_nothing_can_be_done_is_not_accepted_but_stays_closed():
    """Accepted is False; its requests get 500 rather than pass without the filter."""
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Filter", "name": "f"}}
    builder = built(ECHO, V1, http_route("r", [to_service("echo")], rule(backend("v1"), filters=[extension])))

    assert accepted(builder, "r")["Accepted"] == ("False", "UnsupportedValue")
    assert [item.status for item in frontend(builder.snapshot, "echo").rules] == [500]


def test_a_filter_that_backends_cannot_do_breaks_that_share():
    """A filter that is not known costs the share of its backend 500."""
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Filter", "name": "f"}}
    builder = built(
        ECHO, V1, V2, http_route("r", [to_service("echo")], rule(backend("v1", filters=[extension]), backend("v2")))
    )

    assert split(frontend(builder.snapshot, "echo").rules[0]) == {"broken": 1, "v2": 1}
    assert accepted(builder, "r")["PartiallyInvalid"] == ("True", "UnsupportedValue")


def test_a_copy_of_one_share_that_cannot_be_sent_is_told():
    """A mirror at a backend is a reference as any other: it is dropped and named, and the share goes on."""
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "nobody", "port": 80}}}
    builder = built(ECHO, V1, http_route("r", [to_service("echo")], rule(backend("v1", filters=[mirror]))))

    [destination] = frontend(builder.snapshot, "echo").rules[0].destinations
    assert (destination.mirrors, destination.cluster is None) == ((), False)
    assert accepted(builder, "r")["ResolvedRefs"] == ("False", "BackendNotFound")
    assert "spec.rules[0].backendRefs[0].filters[0]" in parent(builder, "r").conditions[1].message


def test_status_carries_the_generation():
    """observedGeneration follows the object even where nothing else changes."""
    builder = built(ECHO, V1, http_route("r", [to_service("echo")], rule(backend("v1")), generation=1))

    update = builder.update([http_route("r", [to_service("echo")], rule(backend("v1")), generation=7)])

    assert [status.generation for status in update.statuses] == [7]


def test_mending_a_backend_mends_the_route():
    """When the missing Service comes, the rule and the condition follow; when it goes, both go back."""
    route = http_route("r", [to_service("echo")], rule(backend("v1")))
    builder = built(ECHO, route)
    assert frontend(builder.snapshot, "echo").rules[0].status == 500

    builder.update([V1])
    assert split(frontend(builder.snapshot, "echo").rules[0]) == {"v1": 1}
    assert accepted(builder, "r") == OK

    builder.update([], [key_of(V1)])
    assert frontend(builder.snapshot, "echo").rules[0].status == 500
    assert accepted(builder, "r")["ResolvedRefs"] == ("False", "BackendNotFound")


def test_deleting_the_route_opens_the_service_again():
    """The frontend loses its rules, and the route its status."""
    route = http_route("r", [to_service("echo")], rule(backend("v1")))
    builder = built(ECHO, V1, route)

    update = builder.update([], [key_of(route)])

    assert frontend(update.snapshot, "echo").rules_for("default") == ((), False)
    assert ("HTTPRoute", name_of("r")) not in builder.statuses


def test_gateway_routes_need_a_grant():
    """A route at a Gateway that sends to another namespace needs a ReferenceGrant there; it works once it has one."""
    route = http_route("r", [to_gateway("edge")], rule(backend("shop/v1")))
    builder = built(gateway("edge"), service("shop/v1"), route)
    assert accepted(builder, "r")["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert builder.snapshot.gateways[name_of("edge")].listeners[0].rules[0].status == 500

    allowed = grant("shop/g", source=("HTTPRoute", "default"), target=("Service", "v1"))
    builder.update([allowed])
    assert accepted(builder, "r") == OK
    assert split(builder.snapshot.gateways[name_of("edge")].listeners[0].rules[0]) == {"v1": 1}

    builder.update([grant("shop/g", source=("HTTPRoute", "other"), target=("Service", ""))])
    assert accepted(builder, "r")["ResolvedRefs"] == ("False", "RefNotPermitted")


FORGED: Document = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"set": [{"name": "X-Forwarded-Client-Cert", "value": "URI=spiffe://x"}]},
}


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (rule(backend("v1"), filters=[FORGED]), "spec.rules[0].filters[0]"),
        (rule(backend("v1", filters=[FORGED])), "spec.rules[0].backendRefs[0].filters[0]"),
    ],
    ids=["rule", "backend"],
)
def test_a_header_that_only_the_mesh_writes_is_told(answer: Document, place: str):
    """The route holds, without that header, and says so."""
    builder = built(ECHO, V1, http_route("r", [to_service("echo")], answer))

    assert accepted(builder, "r") == {**OK, "PartiallyInvalid": ("True", "UnsupportedValue")}
    message = parent(builder, "r").conditions[2].message
    assert message.startswith(f"Dropped Rule: {place}: only the mesh writes the request header x-forwarded-client-cert")
    assert split(frontend(builder.snapshot, "echo").rules[0]) == {"v1": 1}
