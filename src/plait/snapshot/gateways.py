"""Gateways: listeners with the rules of the routes attached to them, and the statuses of all sides.

A Gateway is ours when its class is: `plait` or `istio`, which need no object, or a GatewayClass with our controller's
name. Its addresses are those of the proxies that `plait gateway NAME` started for it; until one is ready it is accepted
but not programmed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from plait.model.gateways import BUILT_IN_CLASSES, CONTROLLER, Gateway, GatewayListener, TlsCertificate
from plait.model.ids import ObjectName
from plait.model.services import Protocol
from plait.model.snapshot import Condition, ListenerStatus, Status
from plait.snapshot.client_certificates import SecretLookup, gateway_conditions, shown_to_backends
from plait.snapshot.conditions import ACCEPTED, PROGRAMMED, Problem, fails, holds, sentences
from plait.snapshot.declared import DeclaredClass, DeclaredGateway
from plait.snapshot.listener_routes import Attachment, Hostnames, attach_routes
from plait.snapshot.listeners import CheckedListener, check_listeners, listener_conditions
from plait.snapshot.precedence import ordered_by_host, ordered_connections
from plait.snapshot.routes import ResolvedRoute

SUPPORTED_FEATURES: Final = (
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructurePropagation",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendRequestRedirect",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteExternalAuth",
    "HTTPRouteExternalAuthForwardBody",
    "HTTPRouteExternalAuthGRPC",
    "HTTPRouteExternalAuthHTTP",
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
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryConnectionError",
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
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
)
"""What there is of Gateway API's features, for GatewayClass status (sorted): that which `make conformance` proves."""


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
    return declared.controller == CONTROLLER if declared else class_name in BUILT_IN_CLASSES


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
    shown = shown_to_backends(gateway, lookup.secrets)
    own = (shown,) if isinstance(shown, TlsCertificate) else ()
    unresolved = [item.listener.name for item in listeners if item.references]
    accepted = _accepted(gateway, listeners)
    attached = attach_routes(gateway, lookup.routes, lookup.namespace_labels)
    served = listeners if accepted.status == "True" else ()
    return LinkedGateway(
        gateway=Gateway(
            name=gateway.name,
            listeners=tuple(_listener(item, attached.routes[item.listener.name]) for item in served if item.served),
            client_certificate=own[0].name if own else None,
            origin=gateway.origin,
        ),
        status=Status(
            kind="Gateway",
            name=gateway.name,
            generation=gateway.generation,
            conditions=(
                accepted,
                _programmed(gateway, accepted, lookup.addresses),
                *gateway_conditions(gateway, shown, unresolved),
            ),
            listeners=tuple(
                ListenerStatus(
                    name=item.listener.name,
                    attached_routes=len(attached.routes[item.listener.name]),
                    supported_kinds=item.supported_kinds,
                    conditions=listener_conditions(item, running=bool(lookup.addresses)),
                )
                for item in listeners
            ),
            addresses=lookup.addresses,
        ),
        outcomes=attached.outcomes,
        certificates={
            certificate.name: certificate
            for certificate in (*own, *(chain for item in served if item.served for chain in item.certificates))
        },
    )


_PROTOCOLS: Final = {"HTTP": Protocol.HTTP, "HTTPS": Protocol.HTTP, "TLS": Protocol.TLS, "TCP": Protocol.TCP}


def _listener(item: CheckedListener, attached: Sequence[tuple[ResolvedRoute, Hostnames]]) -> GatewayListener:
    listener = item.listener
    return GatewayListener(
        name=listener.name,
        port=listener.port,
        protocol=_PROTOCOLS[listener.protocol],
        hostname=listener.hostname,
        tls=listener.terminates,
        certificates=tuple(certificate.name for certificate in item.certificates),
        rules=ordered_by_host((route.ranked, hostnames) for route, hostnames in attached if not route.connections),
        l4_rules=ordered_connections(
            (route.connections, hostnames) for route, hostnames in attached if route.connections
        ),
        attached_routes=len(attached),
        terms=item.terms,
        clients=listener.clients,
        origin=listener.origin,
    )


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
        return holds(ACCEPTED, sentences(problem.message for problem in gateway.unsupported))
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
