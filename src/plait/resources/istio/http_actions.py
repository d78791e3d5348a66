"""What a VirtualService does with HTTP requests: redirect, answer, rewrite, retry, fail, mirror, CORS."""

import base64
import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import IstioDuration
from plait.resources.istio.admissible import MAXIMUM, broken_header_names, broken_text
from plait.resources.istio.matches import Destination, Names, Percent, StringMatch
from plait.resources.schema import Boolean, Finding, Model, Port, broken_regex, camel_case, choice, when

_RETRY_ON = frozenset(
    {"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited"}
    | {"retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure"}
    | {"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}
)

_GRPC_NAMES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
    " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
    " UNAUTHENTICATED"
)
_GRPC_CODES = {name: code for code, name in enumerate(_GRPC_NAMES.split())}
_GROUPS = re.compile(r"\\(\\|[0-9])")
_NOT_SYNTAX = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
_GROUP = re.compile(r"\((?!\?)|\(\?P?<")
_LONGEST_BODY = 1024 * 1024


def grpc_code(text: str) -> int:
    """The number of a gRPC status written as name or number; -1 for what is none."""
    number = int(text) if text.isdecimal() else _GRPC_CODES.get(text, -1)
    return number if number < len(_GRPC_CODES) else -1


def _groups_in(pattern: str) -> int:
    """How many groups of an expression have a number."""
    return len(_GROUP.findall(_NOT_SYNTAX.sub("", pattern)))


class HTTPRedirect(Model):
    """Sends the client elsewhere."""

    uri: str | None = None
    """New path."""
    prefix_rewrite: str | None = None
    """What the matched prefix becomes."""
    authority: str | None = None
    """New host."""
    port: Port | None = None
    """New port."""
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    """Where the new port comes from."""
    scheme: str | None = None
    """New scheme."""
    redirect_code: Annotated[int, Field(strict=True, ge=300, le=399)] | None = None
    """Status of the answer; 301 if left out."""

    def broken(self) -> Iterator[Finding]:
        """The port is given in one way."""
        yield from choice(("port", self.port is not None), ("derivePort", self.derive_port is not None))
        yield from choice(("uri", self.uri is not None), ("prefixRewrite", self.prefix_rewrite is not None))
        for field in ("uri", "prefix_rewrite", "authority", "scheme"):
            yield from broken_text(getattr(self, field), camel_case(field))


class HTTPBody(Model):
    """The body of an answer."""

    string: str | None = None
    """As text."""
    bytes: str | None = None
    """As bytes, in base64."""

    def broken(self) -> Iterator[Finding]:
        """It is given in one way."""
        yield from choice(("string", self.string is not None), ("bytes", self.bytes is not None))
        length = len((self.string or "").encode())
        if self.bytes is not None:
            try:
                length = len(base64.b64decode(self.bytes, validate=True))
            except ValueError:
                yield from when(True, f'Invalid value: "{self.bytes[:20]}": must be base64', "bytes")
        yield from when(length > _LONGEST_BODY, "the response body must be under 1MB")


class HTTPDirectResponse(Model):
    """Answers without a destination."""

    status: Annotated[int, Field(strict=True, ge=200, le=599)]
    """Status of the answer."""
    body: HTTPBody | None = None
    """Body of the answer."""


class Delegate(Model):
    """Another VirtualService that decides."""

    name: str = ""
    """Its name."""
    namespace: str = ""
    """Its namespace; the own if left out."""


class RegexRewrite(Model):
    """A rewrite by regular expression."""

    match: str = ""
    """What is replaced (RE2)."""
    rewrite: str = ""
    """What it becomes; `\\1` is the first group."""

    def broken(self) -> Iterator[Finding]:
        """The expression is RE2's."""
        yield from broken_regex(self.match, "match")
        yield from when(not self.match, "match can not be empty", "match")
        highest = max((int(found) for found in _GROUPS.findall(self.rewrite) if found != "\\"), default=0)
        stray = "\\" in _GROUPS.sub("", self.rewrite)
        missing = highest > _groups_in(self.match) or stray
        yield from when(
            missing, f'Invalid value: "{self.rewrite}": refers to a group that match does not have', "rewrite"
        )


class HTTPRewrite(Model):
    """Changes what the destination sees."""

    uri: str | None = None
    """New path, or what the matched prefix becomes."""
    authority: str | None = None
    """New host."""
    uri_regex_rewrite: RegexRewrite | None = None
    """A rewrite of the path by regular expression."""

    def broken(self) -> Iterator[Finding]:
        """The path is changed in one way."""
        yield from choice(("uri", self.uri is not None), ("uriRegexRewrite", self.uri_regex_rewrite is not None))
        yield from broken_text(self.uri, "uri")
        yield from broken_text(self.authority, "authority")


class HTTPRetry(Model):
    """When a request is tried again."""

    attempts: Annotated[int, Field(strict=True, ge=0, le=MAXIMUM)] = 0
    """How often at most after the first try; 0 turns retries off."""
    per_try_timeout: IstioDuration | None = None
    """Limit for one try."""
    retry_on: str = ""
    """Conditions and status codes, with commas between them."""
    retry_remote_localities: Boolean | None = None
    """Whether other localities are tried."""
    retry_ignore_previous_hosts: Boolean | None = None
    """Whether endpoints that failed are left out."""
    backoff: IstioDuration | None = None
    """Least time between tries."""

    def broken(self) -> Iterator[Finding]:
        """Conditions are known; they need attempts."""
        for condition in (part.strip() for part in self.retry_on.split(",") if part.strip()):
            known = condition in _RETRY_ON or (condition.isdecimal() and 100 <= int(condition[:4]) <= 599)
            unknown = f'Invalid value: "{condition}": unknown retry condition{_nearest(condition)}'
            yield from when(not known, unknown, "retryOn")
        odd = self.attempts == 0 and bool(self.retry_on or self.per_try_timeout)
        yield from when(odd, "http retry policy configured when attempts are set to 0 (disabled)", "attempts")


class CorsPolicy(Model):
    """Lets browsers call from pages of other origins."""

    allow_origin: Names = ()
    """Old form of allowOrigins: exact origins."""
    allow_origins: tuple[StringMatch, ...] = ()
    """Origins whose pages may call."""
    allow_methods: Names = ()
    """Methods that may be used."""
    allow_headers: Names = ()
    """Request headers that may be sent."""
    expose_headers: Names = ()
    """Answer headers that scripts may read."""
    max_age: IstioDuration | None = None
    """How long a browser may remember the answer."""
    allow_credentials: Boolean | None = None
    """Whether cookies and credentials may be sent."""
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"
    """What happens with preflights from other origins."""

    def broken(self) -> Iterator[Finding]:
        """Names and origins end no line."""
        yield from broken_header_names(self.allow_headers, "allowHeaders")
        yield from broken_header_names(self.expose_headers, "exposeHeaders")
        for index, text in enumerate((*self.allow_methods, *self.allow_origin)):
            yield from broken_text(text, "allowMethods" if index < len(self.allow_methods) else "allowOrigin")


class Delay(Model):
    """Makes requests wait."""

    fixed_delay: IstioDuration | None = None
    """How long."""
    exponential_delay: IstioDuration | None = None
    """Not implemented."""
    percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None
    """Old form of percentage."""
    percentage: Percent | None = None
    """Share of requests; none if left out."""

    def broken(self) -> Iterator[Finding]:
        """The delay is given in one way."""
        fixed, exponential = self.fixed_delay is not None, self.exponential_delay is not None
        yield from choice(("fixedDelay", fixed), ("exponentialDelay", exponential))


class Abort(Model):
    """Answers with an error."""

    http_status: Annotated[int, Field(strict=True, ge=200, le=599)] | None = None
    """HTTP status."""
    grpc_status: str | None = None
    """gRPC status."""
    http2_error: str | None = None
    """Not implemented."""
    percentage: Percent | None = None
    """Share of requests; none if left out."""

    def broken(self) -> Iterator[Finding]:
        """The error is given in one way."""
        yield from choice(
            ("httpStatus", self.http_status is not None),
            ("grpcStatus", self.grpc_status is not None),
            ("http2Error", self.http2_error is not None),
        )
        unknown = self.grpc_status is not None and grpc_code(self.grpc_status) < 0
        yield from when(unknown, f'Invalid value: "{self.grpc_status}": unknown gRPC status', "grpcStatus")


class HTTPFaultInjection(Model):
    """Faults on purpose; timeouts and retries do not apply to the route then."""

    delay: Delay | None = None
    """Makes requests wait."""
    abort: Abort | None = None
    """Answers with an error."""


class HTTPMirrorPolicy(Model):
    """Sends a copy of requests to another destination."""

    destination: Destination
    """Who gets the copy."""
    percentage: Percent | None = None
    """Share of requests; all if left out."""


def _nearest(condition: str) -> str:
    near = difflib.get_close_matches(condition, sorted(_RETRY_ON), n=1)
    return f'; did you mean "{near[0]}"?' if near else f"; use a status code or one of {', '.join(sorted(_RETRY_ON))}"
