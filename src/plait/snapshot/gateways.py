"""Gateways: listeners with the rules of the routes attached to them, and the statuses of all sides.

A Gateway is ours when its class is: `plait`, or a GatewayClass with our controller's name. Its addresses are those of
the proxies that `plait gateway NAME` started for it; until one is ready it is accepted but not programmed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from plait.model.gateways import Gateway, GatewayListener, TlsCertificate
from plait.model.ids import ObjectName
from plait.model.services import Protocol
from plait.model.snapshot import Condition, ListenerStatus, Status
from plait.snapshot.attach import GATEWAY_GROUP, allows, selects_listener, shared_hostnames
from plait.snapshot.conditions import ACCEPTED, PROGRAMMED, Problem, fails, holds, sentences
from plait.snapshot.declared import DeclaredClass, DeclaredGateway, DeclaredListener, ParentRef
from plait.snapshot.listeners import CheckedListener, SecretLookup, check_listeners, listener_conditions
from plait.snapshot.precedence import ordered_by_host
from plait.snapshot.routes import ResolvedRoute

CONTROLLER: Final = "plait.dev/gateway"
OUR_CLASS: Final = "plait"
SUPPORTED_FEATURES: Final = (
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayHTTPListenerIsolation",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "ReferenceGrant",
)
"""What the implementation does of Gateway API's optional features, for GatewayClass status (sorted)."""

Attachment = tuple[ObjectName, ParentRef]
"""A route and one of its references to the Gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLookup:
    """What a Gateway's linking reads: the routes that name it, Secrets and grants, namespaces, its proxies."""

    routes: Sequence[ResolvedRoute]
    secrets: SecretLookup
    namespace_labels: Callable[[str], Mapping[str, str] | None]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedGateway:
    """A Gateway as it is served, its status, and why routes could not attach (None where they did)."""

    gateway: Gateway
    status: Status
    outcomes: Mapping[Attachment, Problem | None]
    certificates: Mapping[ObjectName, TlsCertificate]


def is_ours(class_name: str, declared: DeclaredClass | None) -> bool:
    """Whether Gateways of that class are served here."""
    return declared.controller == CONTROLLER if declared else class_name == OUR_CLASS


def class_status(declared: DeclaredClass) -> Status | None:
    """The status of a GatewayClass, None if another controller serves it."""
    if declared.controller != CONTROLLER:
        return None
    accepted = holds(ACCEPTED)
    if declared.has_parameters:
        sentence = "spec.parametersRef names parameters that Plait does not have; remove it"
        accepted = fails(ACCEPTED, "InvalidParameters", sentence)
    return Status(
        kind="GatewayClass",
        name=ObjectName(namespace="", name=declared.name),
        generation=declared.generation,
        conditions=(accepted,),
        supported_features=SUPPORTED_FEATURES,
    )


def link_gateway(gateway: DeclaredGateway, lookup: GatewayLookup) -> LinkedGateway:
    """The Gateway as it is served, with its status and what became of the routes that name it."""
    listeners = check_listeners(gateway, lookup.secrets)
    accepted = _accepted(gateway, listeners)
    outcomes, attached = _attach(gateway, lookup)
    served = listeners if accepted.status == "True" else ()
    return LinkedGateway(
        gateway=Gateway(
            name=gateway.name,
            listeners=tuple(_listener(item, attached[item.listener.name]) for item in served if item.served),
            origin=gateway.origin,
        ),
        status=Status(
            kind="Gateway",
            name=gateway.name,
            generation=gateway.generation,
            conditions=(accepted, _programmed(gateway, accepted, lookup.addresses)),
            listeners=tuple(
                ListenerStatus(
                    name=item.listener.name,
                    attached_routes=len(attached[item.listener.name]),
                    supported_kinds=item.supported_kinds,
                    conditions=listener_conditions(item, running=bool(lookup.addresses)),
                )
                for item in listeners
            ),
            addresses=lookup.addresses,
        ),
        outcomes=outcomes,
        certificates={
            certificate.name: certificate for item in served if item.served for certificate in item.certificates
        },
    )


def _listener(item: CheckedListener, attached: Sequence[tuple[ResolvedRoute, tuple[str, ...]]]) -> GatewayListener:
    listener = item.listener
    return GatewayListener(
        name=listener.name,
        port=listener.port,
        protocol=Protocol.HTTP,
        hostname=listener.hostname,
        tls=listener.protocol == "HTTPS",
        certificates=tuple(certificate.name for certificate in item.certificates),
        rules=ordered_by_host((route.ranked, hostnames) for route, hostnames in attached),
        attached_routes=len(attached),
        origin=listener.origin,
    )


_Attached = Mapping[str, list[tuple[ResolvedRoute, tuple[str, ...]]]]


def _attach(gateway: DeclaredGateway, lookup: GatewayLookup) -> tuple[Mapping[Attachment, Problem | None], _Attached]:
    outcomes: dict[Attachment, Problem | None] = {}
    attached: _Attached = {listener.name: [] for listener in gateway.listeners}
    for route in sorted(lookup.routes, key=lambda route: route.route.name):
        labels = lookup.namespace_labels(route.route.name.namespace)
        found: dict[str, tuple[str, ...]] = {}
        for parent in route.route.parents:
            if parent.reference == (GATEWAY_GROUP, "Gateway", gateway.name):
                hosts = _hosts(gateway, route, parent, labels=labels)
                outcomes[route.route.name, parent] = hosts if isinstance(hosts, Problem) else None
                found.update({} if isinstance(hosts, Problem) else hosts)
        for name, hostnames in found.items():
            attached[name].append((route, hostnames))
    return outcomes, attached


def _hosts(
    gateway: DeclaredGateway, route: ResolvedRoute, parent: ParentRef, *, labels: Mapping[str, str] | None
) -> Mapping[str, tuple[str, ...]] | Problem:
    named = [listener for listener in gateway.listeners if selects_listener(parent, listener)]
    if not named:
        sentence = f"Gateway {gateway.name} has no listener {_wanted(parent)}"
        return Problem(reason="NoMatchingParent", message=sentence)
    allowed = [item for item in named if allows(item, route.route, gateway=gateway.name.namespace, labels=labels)]
    if not allowed:
        names = ", ".join(listener.name for listener in named)
        sentence = f"allowedRoutes of listener {names} admits no HTTPRoute of namespace {route.route.name.namespace}"
        return Problem(reason="NotAllowedByListeners", message=sentence)
    hosts = {
        listener.name: hostnames
        for listener in allowed
        if (hostnames := shared_hostnames(listener.hostname, route.route.hostnames)) is not None
    }
    if not hosts:
        return Problem(reason="NoMatchingListenerHostname", message=_no_hostname(allowed, route))
    return hosts


def _wanted(parent: ParentRef) -> str:
    parts = (f"named {parent.section}" if parent.section else "", f"on port {parent.port}" if parent.port else "")
    return " ".join(part for part in parts if part) or "at all"


def _no_hostname(listeners: Iterable[DeclaredListener], route: ResolvedRoute) -> str:
    own = ", ".join(listener.hostname for listener in listeners)
    return f"hostnames {', '.join(route.route.hostnames)} are not among those of the listeners, {own}"


def _accepted(gateway: DeclaredGateway, listeners: Sequence[CheckedListener]) -> Condition:
    for problem in gateway.unsupported:
        if problem.reason == "InvalidParameters":
            return fails(ACCEPTED, problem.reason, problem.message)
    for kind, value in gateway.wanted:
        if kind != "IPAddress":
            sentence = f"spec.addresses: {kind} {value} cannot be given; use an IPAddress"
            return fails(ACCEPTED, "UnsupportedAddress", sentence)
    unsound = sentences(
        f"listener {item.listener.name}: {problem.message}"
        for item in listeners
        for problem in (*item.refused, *item.conflicts, *item.references)
    )
    if not unsound:
        return holds(ACCEPTED)
    if any(item.served for item in listeners):
        return holds(ACCEPTED, unsound, reason="ListenersNotValid")
    return fails(ACCEPTED, "ListenersNotValid", unsound)


def _programmed(gateway: DeclaredGateway, accepted: Condition, addresses: Sequence[str]) -> Condition:
    if accepted.status != "True":
        return fails(PROGRAMMED, "Invalid", accepted.message)
    name = gateway.name
    if not addresses:
        remedy = f"start one: plait gateway {name.name} -n {name.namespace}"
        return fails(PROGRAMMED, "AddressNotAssigned", f"no proxy serves the Gateway; {remedy}")
    missing = [value for _, value in gateway.wanted if value and value not in addresses]
    if missing:
        sentence = f"spec.addresses: {', '.join(missing)} belongs to no proxy of the Gateway"
        return fails(PROGRAMMED, "AddressNotUsable", sentence)
    return holds(PROGRAMMED)
