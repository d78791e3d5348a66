"""gateway.networking.k8s.io TLSRoute and TCPRoute: whole connections to backends, by SNI or by port."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import Hostname, Subdomain
from plait.resources.gateway_api.references import BackendRef, ParentReference, broken_parents
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, when


class L4RouteRule(Model):
    """Where connections go."""

    name: Subdomain | None = None
    """Name of the rule."""
    backend_refs: Annotated[tuple[BackendRef, ...], Field(min_length=1, max_length=16)]
    """Where connections go, split by weight."""


class TCPRouteSpec(Model):
    """Specification of a TCPRoute."""

    parent_refs: Annotated[tuple[ParentReference, ...], Field(max_length=32)] = ()
    """Services or Gateways whose connections the route is for."""
    use_default_gateways: Literal["All", "None"] | None = None
    """Whether the route attaches to default Gateways."""
    rules: Annotated[tuple[L4RouteRule, ...], Field(min_length=1, max_length=1)]
    """The rule."""

    def broken(self) -> Iterator[Finding]:
        """Parents are told apart."""
        yield from broken_parents(self.parent_refs)


class TLSRouteSpec(Model):
    """Specification of a TLSRoute."""

    parent_refs: Annotated[tuple[ParentReference, ...], Field(max_length=32)] = ()
    """Services or Gateways whose connections the route is for."""
    use_default_gateways: Literal["All", "None"] | None = None
    """Whether the route attaches to default Gateways."""
    hostnames: Annotated[tuple[Hostname, ...], Field(min_length=1, max_length=1024)]
    """Server names (SNI) that the route is for."""
    rules: Annotated[tuple[L4RouteRule, ...], Field(min_length=1, max_length=1)]
    """The rule."""

    def broken(self) -> Iterator[Finding]:
        """Parents are told apart; hostnames are names."""
        yield from broken_parents(self.parent_refs)
        for index, hostname in enumerate(self.hostnames):
            yield from when(_is_address(hostname), "Hostnames cannot contain an IP", "hostnames", index)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class TCPRoute(KubernetesObject):
    """Routes TCP connections."""

    spec: TCPRouteSpec
    """Specification."""


class TLSRoute(KubernetesObject):
    """Routes TLS connections by the server name that the client asks for."""

    spec: TLSRouteSpec
    """Specification."""
