"""The filters of an HTTPRoute: what is done to requests and answers on their way."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import PATH_CHARACTERS, HeaderName, HeaderValue, PathText, PreciseHostname
from plait.resources.gateway_api.references import BackendObjectReference, LocalObjectReference
from plait.resources.schema import Boolean, Finding, Model, Port, when

CorsMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]
_ORIGIN = r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)"
CorsOrigin = Annotated[str, Field(min_length=1, max_length=253, pattern=_ORIGIN)]
HeaderNames = Annotated[tuple[HeaderName, ...], Field(max_length=64)]


class HTTPHeader(Model):
    """A header and its value."""

    name: HeaderName
    """Name, compared without regard to case."""
    value: HeaderValue
    """Value."""


class HTTPHeaderFilter(Model):
    """Changes of headers."""

    set: Annotated[tuple[HTTPHeader, ...], Field(max_length=16)] = ()
    """Headers that get this value whatever they had."""
    add: Annotated[tuple[HTTPHeader, ...], Field(max_length=16)] = ()
    """Values that are added to what the header has."""
    remove: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Names of headers that go."""

    def broken(self) -> Iterator[Finding]:
        """A name occurs once in each list."""
        for field, names in (
            ("set", [header.name for header in self.set]),
            ("add", [header.name for header in self.add]),
            ("remove", list(self.remove)),
        ):
            yield from repeated(names, field)


class HTTPPathModifier(Model):
    """A new path: the whole, or in place of the prefix that matched."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    """What is replaced."""
    replace_full_path: PathText | None = None
    """The new path."""
    replace_prefix_match: PathText | None = None
    """What the matched prefix becomes."""

    def broken(self) -> Iterator[Finding]:
        """The field that the type names is set, and no other."""
        for kind, field, value in (
            ("ReplaceFullPath", "replaceFullPath", self.replace_full_path),
            ("ReplacePrefixMatch", "replacePrefixMatch", self.replace_prefix_match),
        ):
            missing = self.type == kind and value is None
            yield from when(missing, f"{field} must be specified when type is set to '{kind}'", field)
            yield from when(
                self.type != kind and value is not None, f"type must be '{kind}' when {field} is set", "type"
            )


class HTTPRequestRedirectFilter(Model):
    """Sends the client elsewhere; parts left out stay as in the request."""

    scheme: Literal["http", "https"] | None = None
    """Scheme of the new address."""
    hostname: PreciseHostname | None = None
    """Host of the new address."""
    path: HTTPPathModifier | None = None
    """Path of the new address."""
    port: Port | None = None
    """Port of the new address."""
    status_code: Literal[301, 302, 303, 307, 308] = 302
    """Status of the answer."""


class HTTPURLRewriteFilter(Model):
    """Changes what the backend sees."""

    hostname: PreciseHostname | None = None
    """Host that the backend sees."""
    path: HTTPPathModifier | None = None
    """Path that the backend sees."""


class Fraction(Model):
    """A share as a fraction."""

    numerator: Annotated[int, Field(strict=True, ge=0)]
    """Numerator."""
    denominator: Annotated[int, Field(strict=True, ge=1)] = 100
    """Denominator."""

    def broken(self) -> Iterator[Finding]:
        """A share is at most one."""
        yield from when(self.numerator > self.denominator, "numerator must be less than or equal to denominator")


class HTTPRequestMirrorFilter(Model):
    """Sends a copy of requests to another backend, whose answer is thrown away."""

    backend_ref: BackendObjectReference
    """Who gets the copy."""
    percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None
    """Share of requests; all if neither percent nor fraction is set."""
    fraction: Fraction | None = None
    """Share of requests as a fraction."""

    def broken(self) -> Iterator[Finding]:
        """The share is given once."""
        both = self.percent is not None and self.fraction is not None
        yield from when(both, "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter")


class HTTPCORSFilter(Model):
    """Lets browsers call from pages of other origins."""

    allow_origins: Annotated[tuple[CorsOrigin, ...], Field(max_length=64)] = ()
    """Origins whose pages may call."""
    allow_credentials: Boolean | None = None
    """Whether cookies and credentials may be sent."""
    allow_methods: Annotated[tuple[CorsMethod, ...], Field(max_length=9)] = ()
    """Methods that may be used."""
    allow_headers: HeaderNames = ()
    """Request headers that may be sent."""
    expose_headers: HeaderNames = ()
    """Answer headers that scripts may read."""
    max_age: Annotated[int, Field(strict=True, ge=1)] = 5
    """Seconds that a browser may remember the answer."""

    def broken(self) -> Iterator[Finding]:
        """`*` stands alone, and nothing is named twice."""
        for values, field, problem in (
            (self.allow_origins, "allowOrigins", "AllowOrigins cannot contain '*' alongside other origins"),
            (self.allow_methods, "allowMethods", "AllowMethods cannot contain '*' alongside other methods"),
            (self.allow_headers, "allowHeaders", "AllowHeaders cannot contain '*' alongside other methods"),
        ):
            yield from when("*" in values and len(values) > 1, problem, field)
            yield from repeated(values, field)
        yield from repeated(self.expose_headers, "exposeHeaders")


class GRPCAuthConfig(Model):
    """External authorization over gRPC."""

    allowed_headers: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """Request headers that are sent along."""


class HTTPAuthConfig(Model):
    """External authorization over HTTP."""

    path: Annotated[str, Field(max_length=1024, pattern=PATH_CHARACTERS)] | None = None
    """Prefix for the path of the question."""
    allowed_headers: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """Request headers that are sent along."""
    allowed_response_headers: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """Headers of the answer that are added to the request."""


class ForwardBodyConfig(Model):
    """Whether the body of the request is sent along."""

    max_size: Annotated[int, Field(strict=True, ge=0)] | None = None
    """At most so many bytes; 0 sends none."""


class HTTPExternalAuthFilter(Model):
    """Asks another service whether a request is allowed."""

    protocol: Literal["HTTP", "GRPC"]
    """How to ask."""
    backend_ref: BackendObjectReference
    """Whom to ask."""
    grpc: GRPCAuthConfig | None = None
    """Settings for GRPC."""
    http: HTTPAuthConfig | None = None
    """Settings for HTTP."""
    forward_body: ForwardBodyConfig | None = None
    """Whether the body is sent along."""

    def broken(self) -> Iterator[Finding]:
        """The settings of the protocol are given, and no others."""
        for protocol, field, value in (("GRPC", "grpc", self.grpc), ("HTTP", "http", self.http)):
            missing = self.protocol == protocol and value is None
            yield from when(missing, f"{field} must be specified when protocol is set to '{protocol}'", field)
            odd = self.protocol != protocol and value is not None
            yield from when(odd, f"protocol must be '{protocol}' when {field} is set", "protocol")


FILTER_FIELDS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "CORS": "cors",
    "ExternalAuth": "externalAuth",
    "ExtensionRef": "extensionRef",
}
"""The field that belongs to each type of filter."""
_REPEATABLE = ("RequestMirror", "ExtensionRef", "ExternalAuth")


class HTTPRouteFilter(Model):
    """One filter: its type and the field of that type."""

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "CORS",
        "ExternalAuth",
        "ExtensionRef",
    ]
    """What the filter does."""
    request_header_modifier: HTTPHeaderFilter | None = None
    """Changes of request headers."""
    response_header_modifier: HTTPHeaderFilter | None = None
    """Changes of the answer's headers."""
    request_mirror: HTTPRequestMirrorFilter | None = None
    """A copy of requests for another backend."""
    request_redirect: HTTPRequestRedirectFilter | None = None
    """Sends the client elsewhere."""
    url_rewrite: HTTPURLRewriteFilter | None = None
    """Changes host and path for the backend."""
    cors: HTTPCORSFilter | None = None
    """Calls from pages of other origins."""
    external_auth: HTTPExternalAuthFilter | None = None
    """Another service decides."""
    extension_ref: LocalObjectReference | None = None
    """A filter of the implementation."""

    def broken(self) -> Iterator[Finding]:
        """The field that belongs to the type is set, and no other."""
        by_alias = {type(self).model_fields[name].alias: value for name, value in self}
        for kind, field in FILTER_FIELDS.items():
            present = by_alias[field] is not None
            problem = f"filter.{field} must be nil if the filter.type is not {kind}"
            yield from when(present and self.type != kind, problem, field)
            problem = f"filter.{field} must be specified for {kind} filter.type"
            yield from when(not present and self.type == kind, problem, field)


def broken_filters(filters: Sequence[HTTPRouteFilter]) -> Iterator[Finding]:
    """The rules for filters that stand together."""
    types: list[str] = [item.type for item in filters]
    both = "RequestRedirect" in types and "URLRewrite" in types
    problem = "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both"
    yield from when(both, problem, "filters")
    for kind in FILTER_FIELDS:
        many = kind not in _REPEATABLE and types.count(kind) > 1
        yield from when(many, f"{kind} filter cannot be repeated", "filters")


def repeated(values: Sequence[str], field: str) -> Iterator[Finding]:
    """A finding for each value that occurred before."""
    for index, value in enumerate(values):
        yield from when(value in values[:index], f'Duplicate value: "{value}"', field, index)
