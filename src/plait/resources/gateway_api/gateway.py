"""gateway.networking.k8s.io Gateway.

https://gateway-api.sigs.k8s.io/reference/spec/#gateway
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import (
    WILDCARD_HOST_PATTERN,
    Group,
    Hostname,
    KindName,
    LabelValue,
    ObjectNameText,
    Subdomain,
    is_qualified,
)
from plait.resources.gateway_api.references import (
    GATEWAY_GROUP,
    LocalObjectReference,
    ObjectReference,
    SecretObjectReference,
)
from plait.resources.meta import KubernetesObject, LabelSelector
from plait.resources.schema import Finding, Model, Port, when

ProtocolName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$",
    ),
]
AddressType = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$",
    ),
]
ShortText = Annotated[str, Field(max_length=4096)]


class GatewayTLSConfig(Model):
    """TLS of a listener."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    """Whether TLS ends at the Gateway or at the backend."""
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], Field(max_length=64)] = ()
    """Secrets of type kubernetes.io/tls."""
    options: Annotated[dict[str, ShortText], Field(max_length=16)] = Field(default_factory=dict[str, str])
    """Settings of the implementation."""

    def broken(self) -> Iterator[Finding]:
        """A listener that ends TLS needs a certificate."""
        bare = self.mode == "Terminate" and not self.certificate_refs and not self.options
        yield from when(bare, "certificateRefs or options must be specified when mode is Terminate")


class RouteNamespaces(Model):
    """A choice of namespaces for routes."""

    from_: Literal["All", "Selector", "Same"] = "Same"
    """All namespaces, those that the selector matches, or the Gateway's own."""
    selector: LabelSelector | None = None
    """Labels of the namespaces, for Selector."""


class RouteGroupKind(Model):
    """A kind of route."""

    group: Group = GATEWAY_GROUP
    """Group of the route."""
    kind: KindName
    """Kind of the route."""


class AllowedRoutes(Model):
    """Routes that may attach to a listener."""

    namespaces: RouteNamespaces = RouteNamespaces()
    """Namespaces that routes may come from."""
    kinds: Annotated[tuple[RouteGroupKind, ...], Field(max_length=8)] = ()
    """Kinds of routes; those that fit the protocol if left out."""


class Listener(Model):
    """A port that the Gateway listens on."""

    name: Subdomain
    """Name, unique in the Gateway."""
    hostname: Hostname | None = None
    """Host that the listener is for; every host if left out."""
    port: Port
    """Port."""
    protocol: ProtocolName
    """HTTP, HTTPS, TLS, TCP or UDP."""
    tls: GatewayTLSConfig | None = None
    """TLS of the listener."""
    allowed_routes: AllowedRoutes = AllowedRoutes()
    """Routes that may attach."""


class GatewayAddress(Model):
    """An address that the Gateway is wanted at."""

    type: AddressType = "IPAddress"
    """IPAddress, Hostname or NamedAddress."""
    value: Annotated[str, Field(max_length=253)] | None = None
    """The address."""

    def broken(self) -> Iterator[Finding]:
        """The value fits the type."""
        if self.type == "IPAddress" and self.value is not None:
            yield from when(not _is_address(self.value), "must be a valid IPv4 or IPv6 address", "value")
        if self.type == "Hostname" and self.value is not None:
            odd = not re.fullmatch(WILDCARD_HOST_PATTERN, self.value)
            problem = (
                f"Hostname value must be empty or contain only valid characters (matching {WILDCARD_HOST_PATTERN})"
            )
            yield from when(odd, problem, "value")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class GatewayInfrastructure(Model):
    """Labels and annotations for what is made for the Gateway."""

    labels: Annotated[dict[str, LabelValue], Field(max_length=8)] = Field(default_factory=dict[str, str])
    """Labels."""
    annotations: Annotated[dict[str, ShortText], Field(max_length=16)] = Field(default_factory=dict[str, str])
    """Annotations."""
    parameters_ref: LocalObjectReference | None = None
    """Parameters for the implementation."""

    def broken(self) -> Iterator[Finding]:
        """Keys are those of labels and annotations."""
        for field, what, keys in (("labels", "Label", self.labels), ("annotations", "Annotation", self.annotations)):
            problem = (
                f"{what} keys must be in the form of an optional DNS subdomain prefix followed by a required name "
                "segment of up to 63 characters."
            )
            for key in keys:
                yield from when(not is_qualified(key), problem, field, key)


class ListenerNamespaces(Model):
    """Namespaces that ListenerSets may come from."""

    from_: Literal["All", "Selector", "Same", "None"] = "None"
    """Which namespaces."""
    selector: LabelSelector | None = None
    """Labels of the namespaces, for Selector."""


class AllowedListeners(Model):
    """ListenerSets that may add listeners."""

    namespaces: ListenerNamespaces = ListenerNamespaces()
    """Namespaces that they may come from."""


class FrontendTLSValidation(Model):
    """How certificates of clients are checked."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Field(min_length=1, max_length=16)]
    """ConfigMaps or Secrets with CA certificates (key ca.crt)."""
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] = "AllowValidOnly"
    """Whether clients without a valid certificate are refused."""


class FrontendTLS(Model):
    """TLS towards clients."""

    validation: FrontendTLSValidation | None = None
    """How certificates of clients are checked."""


class PortTLS(Model):
    """TLS towards clients of one port."""

    port: Port
    """The port."""
    tls: FrontendTLS
    """TLS of that port."""


class GatewayFrontendTLS(Model):
    """TLS towards clients."""

    default: FrontendTLS
    """For every port."""
    per_port: Annotated[tuple[PortTLS, ...], Field(max_length=64)] = ()
    """For single ports, in place of the default."""

    def broken(self) -> Iterator[Finding]:
        """A port is named once."""
        ports = [item.port for item in self.per_port]
        problem = "Port for TLS configuration must be unique within the Gateway"
        yield from when(len(set(ports)) < len(ports), problem, "perPort")


class GatewayBackendTLS(Model):
    """TLS towards backends."""

    client_certificate_ref: SecretObjectReference | None = None
    """Certificate that the Gateway shows to backends."""


class GatewayTLS(Model):
    """TLS of the whole Gateway."""

    frontend: GatewayFrontendTLS | None = None
    """Towards clients."""
    backend: GatewayBackendTLS | None = None
    """Towards backends."""


class GatewaySpec(Model):
    """Specification of a Gateway."""

    gateway_class_name: ObjectNameText
    """Class; Plait serves `plait`."""
    listeners: Annotated[tuple[Listener, ...], Field(min_length=1, max_length=64)]
    """Ports that it listens on."""
    addresses: Annotated[tuple[GatewayAddress, ...], Field(max_length=16)] = ()
    """Addresses that it is wanted at."""
    infrastructure: GatewayInfrastructure | None = None
    """Labels and annotations for what is made for it."""
    allowed_listeners: AllowedListeners | None = None
    """ListenerSets that may add listeners."""
    tls: GatewayTLS | None = None
    """TLS of the whole Gateway."""
    default_scope: Literal["All", "None"] | None = None
    """Whether routes without parents attach to it."""

    def broken(self) -> Iterator[Finding]:
        """Listeners are told apart and their TLS fits their protocol."""
        yield from _broken_listeners(self.listeners)
        seen: set[tuple[str, str]] = set()
        for index, address in enumerate(self.addresses):
            key = (address.type, address.value or "")
            again = key in seen and bool(address.value)
            yield from when(again, f"{address.type} values must be unique", "addresses", index, "value")
            seen.add(key)


def _broken_listeners(listeners: Sequence[Listener]) -> Iterator[Finding]:
    names: set[str] = set()
    keys: set[tuple[int, str, str | None]] = set()
    for index, listener in enumerate(listeners):
        at = ("listeners", index)
        key = (listener.port, listener.protocol, listener.hostname)
        yield from when(listener.name in names, "Listener name must be unique within the Gateway", *at, "name")
        problem = "Combination of port, protocol and hostname must be unique for each listener"
        yield from when(key in keys, problem, *at)
        names.add(listener.name)
        keys.add(key)
        yield from _broken_listener(listener, at)


def _broken_listener(listener: Listener, at: tuple[str | int, ...]) -> Iterator[Finding]:
    plain = listener.protocol in ("HTTP", "TCP", "UDP")
    problem = "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"
    yield from when(plain and listener.tls is not None, problem, *at, "tls")
    mode = listener.tls.mode if listener.tls else ""
    wrong = listener.protocol == "HTTPS" and mode == "Passthrough"
    yield from when(wrong, "tls mode must be Terminate for protocol HTTPS", *at, "tls", "mode")
    unset = listener.protocol == "TLS" and not mode
    yield from when(unset, "tls mode must be set for protocol TLS", *at, "tls", "mode")
    odd = listener.protocol in ("TCP", "UDP") and listener.hostname is not None
    yield from when(odd, "hostname must not be specified for protocols ['TCP', 'UDP']", *at, "hostname")


class Gateway(KubernetesObject):
    """A proxy at the edge of the mesh, run by `plait gateway NAME`."""

    spec: GatewaySpec
    """Specification."""
