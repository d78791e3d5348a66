"""Filters of routes: from Gateway API's list to the fields of a rule.

What the mesh cannot do must not be skipped silently: the standard wants such requests to get an error, so an
unsupported filter is a problem of its rule (or of its backend), which then answers 500.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from plait.envoy import names
from plait.model.cors import Cors
from plait.model.traffic import HeaderChange, Matching, PathChange, Redirect, Rewrite, StringMatch
from plait.resources.gateway_api import http_filters as api
from plait.resources.gateway_api.grpc_route import GRPCRouteFilter
from plait.snapshot.conditions import Problem
from plait.snapshot.declared_routes import NO_HEADERS

OWNED: Final = frozenset((names.CALLER_HEADER,))
"""Request headers that no route writes (`compiler.policies.headers`): apps take them for the mesh's own word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the filters of a rule or of a backend do; `unsupported` names those that cannot be done."""

    request_headers: HeaderChange = NO_HEADERS
    response_headers: HeaderChange = NO_HEADERS
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    mirrors: tuple[tuple[int, api.HTTPRequestMirrorFilter], ...] = ()
    """Each with its index in the list."""
    cors: Cors | None = None
    authorizer: tuple[int, api.HTTPExternalAuthFilter] | None = None
    """With its index in the list."""
    unsupported: tuple[str, ...] = ()


def declared_filters(filters: Sequence[api.HTTPRouteFilter]) -> Filters:
    """What the filters of a rule do."""
    result = Filters()
    for index, item in enumerate(filters):
        result = _STEPS.get(item.type, _unsupported)(result, index, item)
    return result


def backend_filters(filters: Sequence[api.HTTPRouteFilter]) -> Filters:
    """What the filters of a backend do."""
    result = Filters()
    for index, item in enumerate(filters):
        step = _unsupported if item.type in _OF_RULES else _STEPS.get(item.type, _unsupported)
        result = step(result, index, item)
    return result


def left_out(filters: Sequence[api.HTTPRouteFilter], path: str) -> Iterator[Problem]:
    """What filters at that path set and only the mesh may write: it is left out, and the rest of them holds."""
    for index, item in enumerate(filters):
        changes = item.request_header_modifier
        if changes is None:
            continue
        written = {header.name.lower() for header in (*changes.set, *changes.add)}
        for name in sorted(written & OWNED):
            sentence = (
                f"{path}.filters[{index}]: only the mesh writes the request header {name}, so what the filter gives it"
                " is left out; name another header"
            )
            yield Problem(reason="UnsupportedValue", message=sentence)


def grpc_filters(filters: Sequence[GRPCRouteFilter]) -> Filters:
    """What the filters of a GRPCRoute do: the same as those of an HTTPRoute, as far as it has them."""
    return declared_filters([_as_of_http(item) for item in filters])


def grpc_left_out(filters: Sequence[GRPCRouteFilter], path: str) -> Iterator[Problem]:
    """What filters of a GRPCRoute set and only the mesh may write."""
    return left_out([_as_of_http(item) for item in filters], path)


def _as_of_http(item: GRPCRouteFilter) -> api.HTTPRouteFilter:
    return api.HTTPRouteFilter.model_construct(
        type=item.type,
        request_header_modifier=item.request_header_modifier,
        response_header_modifier=item.response_header_modifier,
        request_mirror=item.request_mirror,
        extension_ref=item.extension_ref,
    )


def header_change(changes: api.HTTPHeaderFilter) -> HeaderChange:
    """The changes of a header filter; of a name that is listed twice the first counts."""
    return HeaderChange(
        set=_first((header.name, header.value) for header in changes.set),
        add=tuple((header.name, header.value) for header in changes.add),
        remove=changes.remove,
    )


def _first(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), (name, value))
    return tuple(found.values())


def _request_headers(result: Filters, _: int, item: api.HTTPRouteFilter) -> Filters:
    changes = item.request_header_modifier
    return replace(result, request_headers=header_change(changes)) if changes else result


def _response_headers(result: Filters, _: int, item: api.HTTPRouteFilter) -> Filters:
    changes = item.response_header_modifier
    return replace(result, response_headers=header_change(changes)) if changes else result


def _redirect(result: Filters, _: int, item: api.HTTPRouteFilter) -> Filters:
    wanted = item.request_redirect
    if wanted is None:
        return result
    redirect = Redirect(
        scheme=wanted.scheme or "",
        hostname=wanted.hostname or "",
        path=_path(wanted.path),
        port=wanted.port or 0,
        status=wanted.status_code,
    )
    return replace(result, redirect=redirect)


def _rewrite(result: Filters, _: int, item: api.HTTPRouteFilter) -> Filters:
    wanted = item.url_rewrite
    if wanted is None:
        return result
    return replace(result, rewrite=Rewrite(hostname=wanted.hostname or "", path=_path(wanted.path)))


def _mirror(result: Filters, index: int, item: api.HTTPRouteFilter) -> Filters:
    wanted = item.request_mirror
    return replace(result, mirrors=(*result.mirrors, (index, wanted))) if wanted else result


def _cors(result: Filters, _: int, item: api.HTTPRouteFilter) -> Filters:
    wanted = item.cors
    if wanted is None:
        return result
    cors = Cors(
        allow_origins=tuple(_origin(origin) for origin in wanted.allow_origins),
        allow_methods=wanted.allow_methods,
        allow_headers=wanted.allow_headers,
        expose_headers=wanted.expose_headers,
        max_age=wanted.max_age,
        allow_credentials=bool(wanted.allow_credentials),
    )
    return replace(result, cors=cors)


def _origin(origin: str) -> StringMatch:
    """An origin is compared whole; a `*` in place of the host, or before a domain, stands for any host there."""
    if origin == "*":
        return StringMatch(matching=Matching.REGEX, value=".*")
    if "*" not in origin:
        return StringMatch(matching=Matching.EXACT, value=origin)
    return StringMatch(matching=Matching.REGEX, value=re.escape(origin).replace(r"\*", "[^/:]+"))


def _authorizer(result: Filters, index: int, item: api.HTTPRouteFilter) -> Filters:
    wanted = item.external_auth
    if result.authorizer is not None:
        return _unsupported(result, index, item)
    return replace(result, authorizer=(index, wanted)) if wanted else result


def _unsupported(result: Filters, index: int, item: api.HTTPRouteFilter) -> Filters:
    return replace(result, unsupported=(*result.unsupported, f"filters[{index}] ({item.type})"))


def _path(wanted: api.HTTPPathModifier | None) -> PathChange | None:
    if wanted is None:
        return None
    if wanted.type == "ReplacePrefixMatch":
        return PathChange(value=wanted.replace_prefix_match or "/", prefix=True)
    return PathChange(value=wanted.replace_full_path or "/")


_STEPS: Final[Mapping[str, Callable[[Filters, int, api.HTTPRouteFilter], Filters]]] = {
    "RequestHeaderModifier": _request_headers,
    "ResponseHeaderModifier": _response_headers,
    "RequestRedirect": _redirect,
    "URLRewrite": _rewrite,
    "RequestMirror": _mirror,
    "CORS": _cors,
    "ExternalAuth": _authorizer,
}
_OF_RULES: Final = frozenset({"ExternalAuth"})
"""Filters that the standard has for rules only."""
