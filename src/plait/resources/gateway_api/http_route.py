"""gateway.networking.k8s.io HTTPRoute, whole (the experimental channel's fields too).

https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import (
    PATH_CHARACTERS,
    GatewayDuration,
    HeaderName,
    HeaderValue,
    Hostname,
    PathText,
    Subdomain,
    duration_seconds,
)
from plait.resources.gateway_api.http_filters import HTTPRouteFilter, broken_filters, repeated
from plait.resources.gateway_api.references import BackendRef, ParentReference, broken_parents
from plait.resources.gateway_api.session_persistence import SessionPersistence
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, broken_regex, when

HTTPMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
_MAX_MATCHES = 128


class HTTPPathMatch(Model):
    """A comparison of the path."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    """PathPrefix compares whole segments: `/v2` matches `/v2/x`, not `/v2x`."""
    value: PathText = "/"
    """What the path is compared with."""

    def broken(self) -> Iterator[Finding]:
        """Exact and PathPrefix values are plain absolute paths."""
        if self.type == "RegularExpression":
            yield from broken_regex(self.value, "value")
            return
        kinds = "['Exact', 'PathPrefix']"
        absolute = self.value.startswith("/")
        problem = f"value must be an absolute path and start with '/' when type one of {kinds}"
        yield from when(not absolute, problem, "value")
        for part in ("//", "/./", "/../", "%2f", "%2F", "#"):
            yield from when(part in self.value, f"must not contain '{part}' when type one of {kinds}", "value")
        for end in ("/..", "/."):
            wrong = self.value.endswith(end)
            yield from when(wrong, f"must not end with '{end}' when type one of {kinds}", "value")
        odd = "#" not in self.value and not re.fullmatch(PATH_CHARACTERS, self.value)
        problem = f"must only contain valid characters (matching {PATH_CHARACTERS}) for types {kinds}"
        yield from when(odd, problem, "value")


class HTTPHeaderMatch(Model):
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


class HTTPQueryParamMatch(Model):
    """A comparison of one query parameter."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    """How the value is compared."""
    name: HeaderName
    """Name of the parameter, compared exactly."""
    value: Annotated[str, Field(min_length=1, max_length=1024)]
    """What the value is compared with."""

    def broken(self) -> Iterator[Finding]:
        """Regular expressions are RE2's."""
        if self.type == "RegularExpression":
            yield from broken_regex(self.value, "value")


class HTTPRouteMatch(Model):
    """A request matches when all conditions given hold."""

    path: HTTPPathMatch = HTTPPathMatch()
    """Condition on the path; every path if left out."""
    headers: Annotated[tuple[HTTPHeaderMatch, ...], Field(max_length=16)] = ()
    """Conditions on headers."""
    query_params: Annotated[tuple[HTTPQueryParamMatch, ...], Field(max_length=16)] = ()
    """Conditions on query parameters."""
    method: HTTPMethod | None = None
    """The method."""

    def broken(self) -> Iterator[Finding]:
        """A header or parameter is named once."""
        yield from repeated([header.name for header in self.headers], "headers")
        yield from repeated([parameter.name for parameter in self.query_params], "queryParams")


class HTTPBackendRef(BackendRef):
    """A Service that receives a share of the rule's traffic."""

    filters: Annotated[tuple[HTTPRouteFilter, ...], Field(max_length=16)] = ()
    """What is done to the requests of this share only."""

    def broken(self) -> Iterator[Finding]:
        """A Service needs a port; filters must fit together."""
        yield from super().broken()
        yield from broken_filters(self.filters)


class HTTPRouteTimeouts(Model):
    """Limits in time; `0s` is no limit."""

    request: GatewayDuration | None = None
    """For the whole request, with all tries."""
    backend_request: GatewayDuration | None = None
    """For one try at a backend."""

    def broken(self) -> Iterator[Finding]:
        """One try cannot take longer than the whole."""
        whole = duration_seconds(self.request or "0s") or 0.0
        one = duration_seconds(self.backend_request or "0s") or 0.0
        problem = "backendRequest timeout cannot be longer than request timeout"
        yield from when(whole > 0 and one > whole, problem, "backendRequest")


class HTTPRouteRetry(Model):
    """When a request is tried again; with a retry block, connection errors are too."""

    codes: tuple[Annotated[int, Field(strict=True, ge=400, le=599)], ...] = ()
    """Answers of a backend that are tried again."""
    attempts: Annotated[int, Field(strict=True, ge=1)] | None = None
    """How often at most, after the first try."""
    backoff: GatewayDuration | None = None
    """Least time between tries."""

    def broken(self) -> Iterator[Finding]:
        """A code is named once."""
        for index, code in enumerate(self.codes):
            yield from when(code in self.codes[:index], f"Duplicate value: {code}", "codes", index)


class HTTPRouteRule(Model):
    """Where requests go that match one of `matches`."""

    name: Subdomain | None = None
    """Name of the rule, unique in the route."""
    matches: Annotated[tuple[HTTPRouteMatch, ...], Field(max_length=64)] = (HTTPRouteMatch(),)
    """Requests that the rule is for: one of these matches."""
    filters: Annotated[tuple[HTTPRouteFilter, ...], Field(max_length=16)] = ()
    """What is done to requests and answers."""
    backend_refs: Annotated[tuple[HTTPBackendRef, ...], Field(max_length=16)] = ()
    """Where requests go, split by weight."""
    timeouts: HTTPRouteTimeouts | None = None
    """Limits in time."""
    retry: HTTPRouteRetry | None = None
    """When a request is tried again."""
    session_persistence: SessionPersistence | None = None
    """Keeps a client on one endpoint."""

    def broken(self) -> Iterator[Finding]:
        """Filters fit together, and a prefix is replaced only where one prefix matched."""
        yield from broken_filters(self.filters)
        redirects = any(item.request_redirect is not None for item in self.filters)
        problem = "RequestRedirect filter must not be used together with backendRefs"
        yield from when(redirects and bool(self.backend_refs), problem)
        if len(self.matches) == 1 and self.matches[0].path.type == "PathPrefix":
            return
        of_backends = tuple(item for backend in self.backend_refs for item in backend.filters)
        for filters, redirect, rewrite in (
            (self.filters, "When using RequestRedirect", "When using URLRewrite"),
            (
                of_backends,
                "Within backendRefs, when using RequestRedirect",
                "Within backendRefs, When using URLRewrite",
            ),
        ):
            tail = "filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"
            redirected = any(_replaces_prefix(item.request_redirect) for item in filters)
            yield from when(redirected, f"{redirect} {tail}")
            yield from when(any(_replaces_prefix(item.url_rewrite) for item in filters), f"{rewrite} {tail}")


def _replaces_prefix(item: object) -> bool:
    path = getattr(item, "path", None)
    return path is not None and path.type == "ReplacePrefixMatch" and path.replace_prefix_match is not None


class HTTPRouteSpec(Model):
    """Specification of an HTTPRoute."""

    parent_refs: Annotated[tuple[ParentReference, ...], Field(max_length=32)] = ()
    """Services or Gateways whose requests the route is for."""
    use_default_gateways: Literal["All", "None"] | None = None
    """Whether the route attaches to default Gateways."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16)] = ()
    """Hosts that the route is for at a Gateway; not looked at for Services."""
    rules: Annotated[tuple[HTTPRouteRule, ...], Field(min_length=1, max_length=16)] = (HTTPRouteRule(),)
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


class HTTPRoute(KubernetesObject):
    """Routes HTTP requests of callers in the mesh (parent Service) or of clients outside (parent Gateway)."""

    spec: HTTPRouteSpec = HTTPRouteSpec()
    """Specification."""
