"""networking.istio.io VirtualService, whole. The first rule in the list that matches decides.

https://istio.io/latest/docs/reference/config/networking/virtual-service/
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.formats import IstioDuration
from plait.resources.istio.admissible import broken_header_names, broken_host, broken_subnets, within
from plait.resources.istio.http_actions import (
    CorsPolicy,
    Delegate,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
)
from plait.resources.istio.matches import (
    Destination,
    Headers,
    HTTPRouteDestination,
    Names,
    Percent,
    RouteDestination,
    StringMatch,
    broken_weights,
)
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean, Finding, Model, Port, Unsigned, when

Matches = dict[str, StringMatch]


class HTTPMatchRequest(Model):
    """A request matches when all conditions given hold."""

    name: str = ""
    """Name, for logs."""
    uri: StringMatch | None = None
    """Condition on the path."""
    scheme: StringMatch | None = None
    """Condition on the scheme."""
    method: StringMatch | None = None
    """Condition on the method."""
    authority: StringMatch | None = None
    """Condition on the host."""
    headers: Matches = Field(default_factory=dict[str, StringMatch])
    """Conditions on headers, by lower-case name; an empty one asks for presence."""
    without_headers: Matches = Field(default_factory=dict[str, StringMatch])
    """Headers that must not match."""
    query_params: Matches = Field(default_factory=dict[str, StringMatch])
    """Conditions on query parameters."""
    port: Port | None = None
    """Port that the caller dialled."""
    source_labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Callers that get this rule, by labels."""
    source_namespace: str = ""
    """Callers that get this rule, by namespace."""
    gateways: Names = ()
    """Gateways that get this rule, in place of the VirtualService's list."""
    ignore_uri_case: Boolean = False
    """Whether the path is compared without regard to case."""
    stat_prefix: str = ""
    """Prefix for statistics of the rule."""

    def broken(self) -> Iterator[Finding]:
        """It says something; names are those of headers."""
        yield from when(not self.model_fields_set - {"name", "stat_prefix"}, "HTTP match can not be empty")
        yield from broken_header_names(self.headers, "headers")
        yield from broken_header_names(self.without_headers, "withoutHeaders")
        yield from when("" in self.query_params, "a query parameter needs a name", "queryParams")


class HTTPRoute(Model):
    """A rule for HTTP requests."""

    name: str = ""
    """Name, for logs."""
    match: tuple[HTTPMatchRequest, ...] = ()
    """Requests it is for: one of these; all if left out."""
    route: tuple[HTTPRouteDestination, ...] = ()
    """Where requests go."""
    redirect: HTTPRedirect | None = None
    """Sends the client elsewhere."""
    direct_response: HTTPDirectResponse | None = None
    """Answers without a destination."""
    delegate: Delegate | None = None
    """Another VirtualService that decides."""
    rewrite: HTTPRewrite | None = None
    """Changes what the destination sees."""
    timeout: IstioDuration | None = None
    """Limit for the whole request."""
    retries: HTTPRetry | None = None
    """When a request is tried again."""
    fault: HTTPFaultInjection | None = None
    """Faults on purpose."""
    mirror: Destination | None = None
    """Who gets a copy."""
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    """All who get a copy."""
    mirror_percent: Unsigned | None = None
    """Old form of mirrorPercentage."""
    mirror_percent_old: Unsigned | None = Field(default=None, alias="mirror_percent")
    """Oldest form of mirrorPercentage."""
    mirror_percentage: Percent | None = None
    """Share of requests that `mirror` gets."""
    cors_policy: CorsPolicy | None = None
    """Calls from pages of other origins."""
    headers: Headers | None = None
    """Changes of headers."""

    def broken(self) -> Iterator[Finding]:
        """One thing answers, and what cannot go with it is left out."""
        answers = [self.redirect is not None, self.direct_response is not None, bool(self.route)]
        none = not any(answers) and self.delegate is None
        yield from when(none, "HTTP route, redirect or direct_response is required")
        yield from when(
            any(answers) and self.delegate is not None,
            "HTTP route cannot contain both delegate and route, redirect or direct_response",
            "delegate",
        )
        for field in ("mirror_percent", "mirror_percent_old"):
            percent = getattr(self, field) or 0
            yield from when(percent > 100, "mirror_percent must be in range 0..100", "mirrorPercent")
        redirect, direct = self.redirect is not None, self.direct_response is not None
        yield from when(redirect and bool(self.route), "HTTP route cannot contain both route and redirect", "redirect")
        problem = "HTTP route cannot contain both route and direct_response"
        yield from when(direct and bool(self.route), problem, "directResponse")
        problem = "HTTP route cannot contain both redirect and direct_response"
        yield from when(redirect and direct, problem, "directResponse")
        problem = "HTTP route rule cannot contain both rewrite and redirect"
        yield from when(redirect and self.rewrite is not None, problem, "rewrite")
        problem = "HTTP route cannot contain both mirror and mirrors"
        yield from when(self.mirror is not None and bool(self.mirrors), problem, "mirrors")
        yield from broken_weights(self.route, "route")


class L4MatchAttributes(Model):
    """A connection matches when all conditions given hold."""

    destination_subnets: Names = ()
    """Addresses or ranges that are dialled."""
    port: Port | None = None
    """Port that is dialled."""
    source_labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Callers that get this rule, by labels."""
    gateways: Names = ()
    """Gateways that get this rule."""
    source_namespace: str = ""
    """Callers that get this rule, by namespace."""
    source_subnet: str = ""
    """Not implemented."""

    def broken(self) -> Iterator[Finding]:
        """Ranges are ranges."""
        yield from broken_subnets(self.destination_subnets, "destinationSubnets")


class TLSMatchAttributes(Model):
    """A TLS connection matches when all conditions given hold."""

    sni_hosts: Annotated[Names, Field(min_length=1)]
    """Server names that the client asks for."""
    destination_subnets: Names = ()
    """Addresses or ranges that are dialled."""
    port: Port | None = None
    """Port that is dialled."""
    source_labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Callers that get this rule, by labels."""
    gateways: Names = ()
    """Gateways that get this rule."""
    source_namespace: str = ""
    """Callers that get this rule, by namespace."""

    def broken(self) -> Iterator[Finding]:
        """Ranges are ranges, server names are names."""
        yield from broken_subnets(self.destination_subnets, "destinationSubnets")
        for index, host in enumerate(self.sni_hosts):
            yield from broken_host(host, "sniHosts", index)


class TCPRoute(Model):
    """A rule for TCP connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    """Connections it is for: one of these; all if left out."""
    route: tuple[RouteDestination, ...] = ()
    """Where connections go."""

    def broken(self) -> Iterator[Finding]:
        """There is a destination."""
        yield from when(not self.route, "TCP route is required", "route")
        yield from broken_weights(self.route, "route")


class TLSRoute(Model):
    """A rule for TLS connections."""

    match: Annotated[tuple[TLSMatchAttributes, ...], Field(min_length=1)]
    """Connections it is for: one of these."""
    route: tuple[RouteDestination, ...] = ()
    """Where connections go."""

    def broken(self) -> Iterator[Finding]:
        """There is a destination."""
        yield from when(not self.route, "TLS route is required", "route")
        yield from broken_weights(self.route, "route")


class VirtualServiceSpec(Model):
    """Specification of a VirtualService."""

    hosts: Names = ()
    """Hosts that the rules are for; empty only for one that others delegate to."""
    gateways: Names = ()
    """Gateways that get the rules; `mesh` is the sidecars, and what is meant if left out."""
    http: tuple[HTTPRoute, ...] = ()
    """Rules for HTTP requests, in order."""
    tls: tuple[TLSRoute, ...] = ()
    """Rules for TLS connections, in order."""
    tcp: tuple[TCPRoute, ...] = ()
    """Rules for TCP connections, in order."""
    export_to: Names = ()
    """Namespaces that see it: `*` all (default), `.` its own, or names."""

    def broken(self) -> Iterator[Finding]:
        """There are rules; hosts are told apart."""
        none = not self.http and not self.tls and not self.tcp
        yield from when(none, "http, tcp or tls must be provided in virtual service")
        for index, host in enumerate(self.hosts):
            yield from when(host in self.hosts[:index], f'Duplicate value: "{host}"', "hosts", index)
            yield from broken_host(host, "hosts", index)
            everywhere = host == "*" and (not self.gateways or "mesh" in self.gateways)
            problem = 'wildcard host "*" is not allowed for virtual services bound to the mesh gateway'
            yield from when(everywhere, problem, "hosts", index)
        for at, route in enumerate(self.tls):
            for place, match in enumerate(route.match):
                for number, host in enumerate(match.sni_hosts):
                    problem = f'SNI host "{host}" is not a compatible subset of any of the virtual service domains'
                    outside = not within(host, self.hosts)
                    yield from when(outside, problem, "tls", at, "match", place, "sniHosts", number)


class VirtualService(KubernetesObject):
    """Rules for the calls to a host."""

    spec: VirtualServiceSpec
    """Specification."""
