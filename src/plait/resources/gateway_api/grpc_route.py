"""gateway.networking.k8s.io GRPCRoute.

https://gateway-api.sigs.k8s.io/reference/spec/#grpcroute
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import HeaderName, HeaderValue, Hostname, Subdomain
from plait.resources.gateway_api.http_filters import HTTPHeaderFilter, HTTPRequestMirrorFilter, repeated
from plait.resources.gateway_api.references import BackendRef, LocalObjectReference, ParentReference, broken_parents
from plait.resources.gateway_api.session_persistence import SessionPersistence
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, broken_regex, when

_SERVICE = r"^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$"
_METHOD = r"^[A-Za-z_][A-Za-z_0-9]*$"
_MAX_MATCHES = 128
_FIELDS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "ExtensionRef": "extensionRef",
}


class GRPCMethodMatch(Model):
    """A comparison of service and method; what is left out matches all."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    """How they are compared."""
    service: Annotated[str, Field(max_length=1024)] | None = None
    """Full name of the gRPC service."""
    method: Annotated[str, Field(max_length=1024)] | None = None
    """Name of the method."""

    def broken(self) -> Iterator[Finding]:
        """One of the two is given, and has the form of a name or of a regular expression."""
        yield from when(not self.service and not self.method, "One or both of 'service' or 'method' must be specified")
        for field, value, pattern in (("service", self.service, _SERVICE), ("method", self.method, _METHOD)):
            if value and self.type == "RegularExpression":
                yield from broken_regex(value, field)
            elif value:
                odd = not re.fullmatch(pattern.replace("(?i)", ""), value, re.IGNORECASE)
                yield from when(odd, f"{field} must only contain valid characters (matching {pattern})", field)


class GRPCHeaderMatch(Model):
    """A comparison of one header."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    """How the value is compared."""
    name: HeaderName
    """Name of the header, compared without regard to case."""
    value: HeaderValue
    """What the value is compared with."""

    def broken(self) -> Iterator[Finding]:
        """Regular expressions are RE2's."""
        if self.type == "RegularExpression":
            yield from broken_regex(self.value, "value")


class GRPCRouteMatch(Model):
    """A call matches when all conditions given hold."""

    method: GRPCMethodMatch | None = None
    """Condition on service and method."""
    headers: Annotated[tuple[GRPCHeaderMatch, ...], Field(max_length=16)] = ()
    """Conditions on headers."""

    def broken(self) -> Iterator[Finding]:
        """A header is named once."""
        yield from repeated([header.name for header in self.headers], "headers")


class GRPCRouteFilter(Model):
    """One filter: its type and the field of that type."""

    type: Literal["ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"]
    """What the filter does."""
    request_header_modifier: HTTPHeaderFilter | None = None
    """Changes of request headers."""
    response_header_modifier: HTTPHeaderFilter | None = None
    """Changes of the answer's headers."""
    request_mirror: HTTPRequestMirrorFilter | None = None
    """A copy of calls for another backend."""
    extension_ref: LocalObjectReference | None = None
    """A filter of the implementation."""

    def broken(self) -> Iterator[Finding]:
        """The field that belongs to the type is set, and no other."""
        by_alias = {type(self).model_fields[name].alias: value for name, value in self}
        for kind, field in _FIELDS.items():
            present = by_alias[field] is not None
            problem = f"filter.{field} must be nil if the filter.type is not {kind}"
            yield from when(present and self.type != kind, problem, field)
            problem = f"filter.{field} must be specified for {kind} filter.type"
            yield from when(not present and self.type == kind, problem, field)


def _broken_filters(filters: tuple[GRPCRouteFilter, ...]) -> Iterator[Finding]:
    types = [item.type for item in filters]
    for kind in ("RequestHeaderModifier", "ResponseHeaderModifier"):
        yield from when(types.count(kind) > 1, f"{kind} filter cannot be repeated", "filters")


class GRPCBackendRef(BackendRef):
    """A Service that receives a share of the rule's calls."""

    filters: Annotated[tuple[GRPCRouteFilter, ...], Field(max_length=16)] = ()
    """What is done to the calls of this share only."""

    def broken(self) -> Iterator[Finding]:
        """A Service needs a port; filters must fit together."""
        yield from super().broken()
        yield from _broken_filters(self.filters)


class GRPCRouteRule(Model):
    """Where calls go that match one of `matches`."""

    name: Subdomain | None = None
    """Name of the rule, unique in the route."""
    matches: Annotated[tuple[GRPCRouteMatch, ...], Field(max_length=64)] = ()
    """Calls that the rule is for: one of these matches; all if left out."""
    filters: Annotated[tuple[GRPCRouteFilter, ...], Field(max_length=16)] = ()
    """What is done to calls and answers."""
    backend_refs: Annotated[tuple[GRPCBackendRef, ...], Field(max_length=16)] = ()
    """Where calls go, split by weight."""
    session_persistence: SessionPersistence | None = None
    """Keeps a client on one endpoint."""

    def broken(self) -> Iterator[Finding]:
        """Filters fit together."""
        yield from _broken_filters(self.filters)


class GRPCRouteSpec(Model):
    """Specification of a GRPCRoute."""

    parent_refs: Annotated[tuple[ParentReference, ...], Field(max_length=32)] = ()
    """Services or Gateways whose calls the route is for."""
    use_default_gateways: Literal["All", "None"] | None = None
    """Whether the route attaches to default Gateways."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16)] = ()
    """Hosts that the route is for at a Gateway."""
    rules: Annotated[tuple[GRPCRouteRule, ...], Field(max_length=16)] = ()
    """The rules; among all routes the most specific match wins."""

    def broken(self) -> Iterator[Finding]:
        """Parents are told apart, rule names are unique, the number of matches is bounded."""
        yield from broken_parents(self.parent_refs)
        names = [rule.name for rule in self.rules]
        for index, name in enumerate(names):
            again = name is not None and name in names[:index]
            yield from when(again, "Rule name must be unique within the route", "rules", index, "name")
        problem = (
            "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a "
            "route must be less than 128"
        )
        yield from when(sum(len(rule.matches) for rule in self.rules) > _MAX_MATCHES, problem, "rules")


class GRPCRoute(KubernetesObject):
    """Routes gRPC calls by service, method and headers."""

    spec: GRPCRouteSpec = GRPCRouteSpec()
    """Specification."""
