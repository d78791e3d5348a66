"""HTTPRoute objects to declared routes: each match becomes a rule, references stay to be resolved."""

from collections.abc import Iterable
from typing import Final

from plait.model.ids import Origin
from plait.model.traffic import Matching, NamedMatch, RequestMatch, Retry, Rule, StringMatch
from plait.resources.formats import duration_seconds
from plait.resources.gateway_api import http_route as api
from plait.resources.parse import Resource
from plait.snapshot.authorizers import declared_authorizer
from plait.snapshot.conditions import Problem
from plait.snapshot.declared_routes import BackendRef, DeclaredRoute, DeclaredRule, RouteKind
from plait.snapshot.filters import Filters, backend_filters, declared_filters, left_out
from plait.snapshot.route_references import backend_ref, declared_route, filtered, mirror_ref
from plait.snapshot.sessions import session_persistence, session_problems

_MATCHING: Final = {
    "Exact": Matching.EXACT,
    "PathPrefix": Matching.PREFIX,
    "RegularExpression": Matching.REGEX,
}


def declare_route(resource: Resource, spec: api.HTTPRouteSpec) -> DeclaredRoute:
    """The route that an HTTPRoute declares."""
    rules = (_rule(resource, index, rule) for index, rule in enumerate(spec.rules))
    return declared_route(resource, RouteKind.HTTP, rules, parents=spec.parent_refs, hostnames=spec.hostnames)


def _rule(resource: Resource, index: int, rule: api.HTTPRouteRule) -> DeclaredRule:
    path = f"spec.rules[{index}]"
    filters = declared_filters(rule.filters)
    matches = rule.matches or (api.HTTPRouteMatch(),)
    namespace = resource.namespace
    return DeclaredRule(
        matches=tuple(
            _template(resource, rule, match=match, filters=filters, place=(index, at if len(matches) > 1 else -1))
            for at, match in enumerate(matches)
        ),
        backends=tuple(
            _backend(ref, namespace, resource.origin(f"{path}.backendRefs[{at}]"))
            for at, ref in enumerate(rule.backend_refs)
        ),
        mirrors=tuple(
            mirror_ref(item, namespace, resource.origin(f"{path}.filters[{at}]")) for at, item in filters.mirrors
        ),
        authorizer=filters.authorizer
        and declared_authorizer(
            filters.authorizer[1], namespace, resource.origin(f"{path}.filters[{filters.authorizer[0]}]")
        ),
        problems=tuple(_problems(path, rule, filters)),
        dropped=tuple(_dropped(path, rule)),
    )


def _dropped(path: str, rule: api.HTTPRouteRule) -> Iterable[Problem]:
    yield from left_out(rule.filters, path)
    for at, ref in enumerate(rule.backend_refs):
        yield from left_out(ref.filters, f"{path}.backendRefs[{at}]")


def _problems(path: str, rule: api.HTTPRouteRule, filters: Filters) -> Iterable[Problem]:
    for name in filters.unsupported:
        sentence = f"{path}.{name} is not supported, so the rule answers 500; remove the filter"
        yield Problem(reason="UnsupportedValue", message=sentence)
    if filters.redirect and filters.rewrite:
        sentence = f"{path}.filters: RequestRedirect and URLRewrite exclude each other; remove one of them"
        yield Problem(reason="IncompatibleFilters", message=sentence)
    yield from session_problems(rule.session_persistence, path)


def _template(
    resource: Resource, rule: api.HTTPRouteRule, *, match: api.HTTPRouteMatch, filters: Filters, place: tuple[int, int]
) -> Rule:
    index, at = place
    path = f"spec.rules[{index}]" if at < 0 else f"spec.rules[{index}].matches[{at}]"
    label = rule.name or f"rules[{index}]"
    suffix = "" if at < 0 else f"/matches[{at}]"
    timeouts = rule.timeouts or api.HTTPRouteTimeouts()
    return Rule(
        name=f"{resource.namespace}/{resource.name}/{label}{suffix}",
        match=request_match(match),
        redirect=filters.redirect,
        request_headers=filters.request_headers,
        response_headers=filters.response_headers,
        rewrite=filters.rewrite,
        timeout=_seconds(timeouts.request),
        backend_timeout=_seconds(timeouts.backend_request),
        retry=_retry(rule.retry, _seconds(timeouts.backend_request)),
        cors=filters.cors,
        session=session_persistence(rule.session_persistence, f"{resource.namespace}/{resource.name}/{label}"),
        origin=resource.origin(path),
    )


def request_match(match: api.HTTPRouteMatch) -> RequestMatch:
    """The comparison of a request; of a header or parameter that is named twice the first condition counts."""
    matching = _MATCHING[match.path.type]
    value = match.path.value or "/"
    if matching is Matching.PREFIX:
        value = value.rstrip("/") or "/"
    return RequestMatch(
        path=StringMatch(matching=matching, value=value),
        method=StringMatch(matching=Matching.EXACT, value=match.method) if match.method else None,
        headers=named_matches((item.name.lower(), item.type, item.value) for item in match.headers),
        query=named_matches((item.name, item.type, item.value) for item in match.query_params),
    )


def named_matches(conditions: Iterable[tuple[str, str, str]]) -> tuple[NamedMatch, ...]:
    """Conditions as (name, type, value); of a name that is given twice the first counts."""
    found: dict[str, NamedMatch] = {}
    for name, kind, value in conditions:
        found.setdefault(name, NamedMatch(name=name, match=StringMatch(matching=_MATCHING[kind], value=value)))
    return tuple(found.values())


def _seconds(text: str | None) -> float | None:
    return None if text is None else duration_seconds(text)


def _retry(retry: api.HTTPRouteRetry | None, backend_timeout: float | None) -> Retry | None:
    """Who limits a try and asks for retries wants a slow try made again, though the app may have seen it."""
    if retry is None:
        return None
    defaults = Retry()
    return Retry(
        on=(*defaults.on, "reset") if backend_timeout else defaults.on,
        attempts=defaults.attempts if retry.attempts is None else retry.attempts,
        codes=tuple(sorted(retry.codes)),
        backoff=_seconds(retry.backoff) or defaults.backoff,
    )


def _backend(ref: api.HTTPBackendRef, namespace: str, origin: Origin) -> BackendRef:
    return filtered(backend_ref(ref, namespace, origin), backend_filters(ref.filters), namespace)
