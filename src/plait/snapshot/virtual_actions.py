"""What a VirtualService's rule does, as the model says it, but for its destinations.

Istio's own defaults: two retries of what failed before an app could act on it, no time limit. A fault on a rule takes
its time limits and retries away, and one without a share injects nothing.
https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from plait.model.cors import Cors
from plait.model.faults import Fault, FaultAbort, FaultDelay
from plait.model.traffic import HeaderChange, Matching, PathChange, Redirect, RedirectPort, Retry, Rewrite, Rule
from plait.model.traffic import StringMatch as Match
from plait.resources.formats import duration_seconds
from plait.resources.istio import http_actions as api
from plait.resources.istio.matches import HeaderOperations, Percent
from plait.resources.istio.virtual_service import HTTPRoute
from plait.snapshot.virtual_matches import string_match

DEFAULT_RETRY: Final = Retry(
    attempts=2, on=("connect-failure", "refused-stream", "unavailable", "cancelled", "reset-before-request")
)
"""Istio's, and what its server's sidecar would repeat: requests that the app never saw."""
_NEVER: Final = Retry(attempts=0)
_PORTS: Final = {
    "FROM_PROTOCOL_DEFAULT": RedirectPort.PROTOCOL,
    "FROM_REQUEST_PORT": RedirectPort.REQUEST,
    None: RedirectPort.PROTOCOL,
}
_REDIRECT_CODES: Final = frozenset({301, 302, 303, 307, 308})


def action(route: HTTPRoute) -> Rule:
    """A rule that does what the route says; its match, name and destinations are still to be set."""
    fault = _fault(route.fault)
    timeout = None if fault else seconds(route.timeout)
    rule = Rule(
        name="",
        redirect=_redirect(route.redirect) if route.redirect else None,
        request_headers=header_change(route.headers.request if route.headers else None),
        response_headers=header_change(route.headers.response if route.headers else None),
        rewrite=_rewrite(route.rewrite) if route.rewrite else None,
        timeout=timeout,
        grpc_timeout=timeout or 0,
        retry=_NEVER if fault else _retry(route.retries),
        fault=fault,
        cors=_cors(route.cors_policy) if route.cors_policy else None,
    )
    direct = route.direct_response
    return replace(rule, status=direct.status, body=_body(direct.body)) if direct else rule


def seconds(text: str | None) -> float | None:
    """The seconds of a duration, None for none."""
    return None if text is None else duration_seconds(text)


def header_change(operations: HeaderOperations | None) -> HeaderChange:
    """Changes of headers."""
    if operations is None:
        return HeaderChange()
    return HeaderChange(
        set=_pairs(operations.set),
        add=_pairs(operations.add),
        remove=operations.remove,
    )


def _pairs(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers in order of their names; `:authority` is Host."""
    return tuple(sorted(("host" if name == ":authority" else name, value) for name, value in headers.items()))


def _body(body: api.HTTPBody | None) -> bytes:
    if body is None:
        return b""
    return base64.b64decode(body.bytes) if body.bytes is not None else (body.string or "").encode()


def _redirect(wanted: api.HTTPRedirect) -> Redirect | None:
    status = wanted.redirect_code or 301
    path = PathChange(value=wanted.uri) if wanted.uri else None
    if wanted.prefix_rewrite:
        path = PathChange(value=wanted.prefix_rewrite, prefix=True)
    return Redirect(
        scheme=wanted.scheme or "",
        hostname=wanted.authority or "",
        path=path,
        port=wanted.port or 0,
        port_of=_PORTS[wanted.derive_port],
        status=status if status in _REDIRECT_CODES else 301,
    )


def _rewrite(wanted: api.HTTPRewrite) -> Rewrite:
    path = PathChange(value=wanted.uri, prefix=True) if wanted.uri else None
    if wanted.uri_regex_rewrite is not None:
        path = PathChange(value=wanted.uri_regex_rewrite.rewrite, pattern=wanted.uri_regex_rewrite.match)
    return Rewrite(hostname=wanted.authority or "", path=path)


def _retry(wanted: api.HTTPRetry | None) -> Retry:
    if wanted is None:
        return DEFAULT_RETRY
    words = [word.strip() for word in wanted.retry_on.split(",") if word.strip()]
    codes = tuple(sorted({int(word) for word in words if word.isdecimal()}))
    on = tuple(word for word in words if not word.isdecimal() and word != "retriable-status-codes")
    return Retry(
        attempts=wanted.attempts,
        codes=codes,
        on=on if words else DEFAULT_RETRY.on,
        backoff=seconds(wanted.backoff) or DEFAULT_RETRY.backoff,
        per_try_timeout=seconds(wanted.per_try_timeout),
        other_hosts=wanted.retry_ignore_previous_hosts is not False,
        other_localities=bool(wanted.retry_remote_localities),
    )


def percent_of(share: Percent | None, old: int | None, default: float) -> float:
    """A share in per cent: as written, else in its old form, else the default."""
    if share is not None:
        return share.value
    return float(default if old is None else old)


def _fault(wanted: api.HTTPFaultInjection | None) -> Fault | None:
    if wanted is None:
        return None
    delay, abort = _delay(wanted.delay), _abort(wanted.abort)
    return Fault(delay=delay, abort=abort) if delay or abort else None


def _delay(wanted: api.Delay | None) -> FaultDelay | None:
    percent = percent_of(wanted.percentage, wanted.percent, 0) if wanted else 0
    wait = seconds(wanted.fixed_delay) if wanted else None
    return FaultDelay(seconds=wait, percent=percent) if wait and percent else None


def _abort(wanted: api.Abort | None) -> FaultAbort | None:
    percent = percent_of(wanted.percentage, None, 0) if wanted else 0
    if wanted is None or not percent:
        return None
    if wanted.grpc_status is not None:
        return FaultAbort(grpc=api.grpc_code(wanted.grpc_status), percent=percent)
    return FaultAbort(http=wanted.http_status, percent=percent) if wanted.http_status else None


def _cors(wanted: api.CorsPolicy) -> Cors:
    origins = [Match(matching=Matching.EXACT, value=origin) for origin in wanted.allow_origin]
    if "*" in wanted.allow_origin:
        origins = [Match(matching=Matching.REGEX, value=".*")]
    age = seconds(wanted.max_age)
    return Cors(
        allow_origins=(*origins, *filter(None, map(string_match, wanted.allow_origins))),
        allow_methods=wanted.allow_methods,
        allow_headers=wanted.allow_headers,
        expose_headers=wanted.expose_headers,
        max_age=None if age is None else int(age),
        allow_credentials=bool(wanted.allow_credentials),
        forward_unmatched=wanted.unmatched_preflights != "IGNORE",
    )


def problems(route: HTTPRoute) -> list[str]:
    """What of a route is not done as it is written, each with the field's path inside the route."""
    found: list[str] = []
    if route.redirect and route.redirect.redirect_code not in (None, *_REDIRECT_CODES):
        code = route.redirect.redirect_code
        found.append(f"redirect.redirectCode: {code} is not supported, 301 is sent; use 301, 302, 303, 307 or 308")
    fault = route.fault
    if fault and fault.delay and not _delay(fault.delay):
        found.append(f"fault.delay: {_why_not(fault.delay.exponential_delay)}, so no request is delayed")
    if fault and fault.abort and not _abort(fault.abort):
        found.append(f"fault.abort: {_why_not(fault.abort.http2_error)}, so no request is aborted")
    if route.fault and _fault(route.fault) and (route.timeout or route.retries):
        found.append("fault: takes away the rule's timeout and retries, as in Istio; remove it to have them back")
    return found


def _why_not(unsupported: str | None) -> str:
    return f"{unsupported} is of a kind that is not supported" if unsupported else "percentage is 0 or left out"
