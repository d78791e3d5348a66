"""GRPCRoute objects to declared routes: a method of gRPC is a path, so each match becomes a rule for requests.

A whole name is an exact path, a service alone a prefix, a method alone or a regular expression a regular expression.
Their precedence is GRPCRoute's own: the longer service, then the longer method, then more headers.
https://gateway-api.sigs.k8s.io/reference/spec/#grpcrouterule
"""

import re
from collections.abc import Iterable
from typing import Final

from plait.model.ids import Origin
from plait.model.traffic import Matching, RequestMatch, Rule, StringMatch
from plait.resources.gateway_api import grpc_route as api
from plait.resources.parse import Resource
from plait.snapshot.conditions import Problem
from plait.snapshot.declared_routes import BackendRef, DeclaredRoute, DeclaredRule, RouteKind
from plait.snapshot.filters import Filters, grpc_filters, grpc_left_out
from plait.snapshot.http_routes import named_matches
from plait.snapshot.route_references import backend_ref, declared_route, filtered, mirror_ref
from plait.snapshot.sessions import session_persistence, session_problems

_ANY_NAME: Final = "[^/]+"
_EVERY: Final = (api.GRPCRouteMatch(),)


def declare_grpc_route(resource: Resource, spec: api.GRPCRouteSpec) -> DeclaredRoute:
    """The route that a GRPCRoute declares."""
    rules = (_rule(resource, index, rule) for index, rule in enumerate(spec.rules))
    return declared_route(resource, RouteKind.GRPC, rules, parents=spec.parent_refs, hostnames=spec.hostnames)


def _rule(resource: Resource, index: int, rule: api.GRPCRouteRule) -> DeclaredRule:
    path = f"spec.rules[{index}]"
    filters = grpc_filters(rule.filters)
    matches = rule.matches or _EVERY
    return DeclaredRule(
        matches=tuple(
            _template(resource, rule, match=match, filters=filters, place=(index, at if len(matches) > 1 else -1))
            for at, match in enumerate(matches)
        ),
        backends=tuple(
            _backend(ref, resource.namespace, resource.origin(f"{path}.backendRefs[{at}]"))
            for at, ref in enumerate(rule.backend_refs)
        ),
        mirrors=tuple(
            mirror_ref(item, resource.namespace, resource.origin(f"{path}.filters[{at}]"))
            for at, item in filters.mirrors
        ),
        problems=tuple(_problems(path, rule, filters)),
        dropped=tuple(_dropped(path, rule)),
        ranks=tuple(_rank(match) for match in matches),
    )


def _dropped(path: str, rule: api.GRPCRouteRule) -> Iterable[Problem]:
    yield from grpc_left_out(rule.filters, path)
    for at, ref in enumerate(rule.backend_refs):
        yield from grpc_left_out(ref.filters, f"{path}.backendRefs[{at}]")


def _problems(path: str, rule: api.GRPCRouteRule, filters: Filters) -> Iterable[Problem]:
    for name in filters.unsupported:
        sentence = f"{path}.{name} is not supported, so calls fail; remove the filter"
        yield Problem(reason="UnsupportedValue", message=sentence)
    yield from session_problems(rule.session_persistence, path)


def _template(
    resource: Resource, rule: api.GRPCRouteRule, *, match: api.GRPCRouteMatch, filters: Filters, place: tuple[int, int]
) -> Rule:
    index, at = place
    label = rule.name or f"rules[{index}]"
    suffix = "" if at < 0 else f"/matches[{at}]"
    path = f"spec.rules[{index}]" if at < 0 else f"spec.rules[{index}].matches[{at}]"
    return Rule(
        name=f"{resource.namespace}/{resource.name}/{label}{suffix}",
        match=call_match(match),
        request_headers=filters.request_headers,
        response_headers=filters.response_headers,
        session=session_persistence(rule.session_persistence, f"{resource.namespace}/{resource.name}/{label}"),
        origin=resource.origin(path),
    )


def call_match(match: api.GRPCRouteMatch) -> RequestMatch:
    """The comparison of a call."""
    return RequestMatch(
        path=_path(match.method),
        headers=named_matches((item.name.lower(), item.type, item.value) for item in match.headers),
    )


def _path(wanted: api.GRPCMethodMatch | None) -> StringMatch:
    if wanted is None:
        return StringMatch(matching=Matching.PREFIX, value="/")
    if wanted.type == "RegularExpression":
        parts = (f"({part})" if part else _ANY_NAME for part in (wanted.service, wanted.method))
        return StringMatch(matching=Matching.REGEX, value="/" + "/".join(parts))
    if not wanted.service:
        return StringMatch(matching=Matching.REGEX, value=f"/{_ANY_NAME}/{re.escape(wanted.method or '')}")
    if not wanted.method:
        return StringMatch(matching=Matching.PREFIX, value=f"/{wanted.service}")
    return StringMatch(matching=Matching.EXACT, value=f"/{wanted.service}/{wanted.method}")


def _rank(match: api.GRPCRouteMatch) -> tuple[int, ...]:
    method = match.method or api.GRPCMethodMatch.model_construct()
    return -len(method.service or ""), -len(method.method or ""), -len(match.headers)


def _backend(ref: api.GRPCBackendRef, namespace: str, origin: Origin) -> BackendRef:
    return filtered(backend_ref(ref, namespace, origin), grpc_filters(ref.filters), namespace)
