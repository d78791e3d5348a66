"""What a matched route does to a request, computed on Envoy's own messages: forward, redirect or answer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from plait.envoy import authorizers, faults, names, proto
from plait.envoy.strings import Headers, header, split_path, substitute

Pairs = tuple[tuple[str, str], ...]

_REDIRECT_STATUS: Final = {
    route_components_pb2.RedirectAction.MOVED_PERMANENTLY: 301,
    route_components_pb2.RedirectAction.FOUND: 302,
    route_components_pb2.RedirectAction.SEE_OTHER: 303,
    route_components_pb2.RedirectAction.TEMPORARY_REDIRECT: 307,
    route_components_pb2.RedirectAction.PERMANENT_REDIRECT: 308,
}
_MISSING_STATUS: Final = {
    route_components_pb2.RouteAction.NOT_FOUND: 404,
    route_components_pb2.RouteAction.INTERNAL_SERVER_ERROR: 500,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What becomes of a request: shares of clusters, or a status (with a location for redirects).

    `path` and `authority` are what the backend sees; times are in seconds, 0 for no limit.
    """

    clusters: tuple[tuple[str, int], ...] = ()
    status: int | None = None
    missing_status: int = 503
    location: str = ""
    path: str = ""
    authority: str = ""
    set_headers: Pairs = ()
    added_headers: Pairs = ()
    removed_headers: tuple[str, ...] = ()
    mirrors: tuple[tuple[str, float], ...] = ()
    timeout: float = 0
    per_try_timeout: float = 0
    retries: int = 0
    retry_on: str = ""
    body: str = ""
    delay: tuple[float, float] = (0, 0)
    """Seconds that a request waits on purpose, and the share (of 1) of requests that do."""
    asks: str = ""
    """The cluster that must allow a request first."""
    chances: tuple[tuple[int, "Action"], ...] = ()
    """What is done by chance, with its weight, where it is not the same for all requests; this is the first then."""
    abort: tuple[int, float] = (0, 0)
    """Status that is answered on purpose (200 with a gRPC status), and the share (of 1) of requests that get it."""


def virtual_host(
    configuration: route_pb2.RouteConfiguration, authority: str
) -> route_components_pb2.VirtualHost | None:
    """The virtual host for an authority: exact before the longest wildcard before any."""
    host = authority.lower()
    if configuration.ignore_port_in_host_matching:
        head, colon, port = host.rpartition(":")
        host = head if colon and port.isdigit() else host
    ranked = [(_domain_rank(domain, host), item) for item in configuration.virtual_hosts for domain in item.domains]
    rank, best = max(ranked, key=lambda pair: pair[0], default=(0, None))
    return best if rank else None


def _domain_rank(domain: str, host: str) -> int:
    if domain == host:
        return 1_000_000
    if domain == "*":
        return 1
    return 1 + len(domain) if domain.startswith("*") and host.endswith(domain[1:]) and len(host) >= len(domain) else 0


def origin(route: route_components_pb2.Route) -> str:
    """The object and field that a route was written in."""
    values = route.metadata.filter_metadata
    return values[names.METADATA].fields["origin"].string_value if names.METADATA in values else ""


def addresses(assignment: endpoint_pb2.ClusterLoadAssignment) -> tuple[str, ...]:
    """The addresses of a load assignment."""
    sockets = (item.endpoint.address.socket_address for group in assignment.endpoints for item in group.lb_endpoints)
    return tuple(f"{socket.address}:{socket.port_value}" for socket in sockets)


def of(route: route_components_pb2.Route, authority: str, headers: Headers) -> Action:
    """What a route does with a request."""
    delay, abort = faults.of(route)
    return replace(_of(route, authority, headers), delay=delay, abort=abort, asks=authorizers.of(route))


def _of(route: route_components_pb2.Route, authority: str, headers: Headers) -> Action:
    path = header(headers, ":path") or "/"
    kind = route.WhichOneof("action")
    if kind == "direct_response":
        body = route.direct_response.body
        text = body.inline_string or body.inline_bytes.decode(errors="replace")
        return Action(status=route.direct_response.status, body=text)
    if kind == "redirect":
        scheme = header(headers, "x-forwarded-proto") or "http"
        location = _location(route.redirect, route.match, f"{scheme}://{authority}{path}")
        return Action(status=_REDIRECT_STATUS.get(route.redirect.response_code, 301), location=location)
    return _forward(route, authority, path)


def _forward(route: route_components_pb2.Route, authority: str, path: str) -> Action:
    action = route.route
    changed, added = _header_options(route.request_headers_to_add)
    return Action(
        clusters=_clusters(action),
        missing_status=_MISSING_STATUS.get(action.cluster_not_found_response_code, 503),
        path=rewritten(action, route.match, path),
        authority=action.host_rewrite_literal or authority,
        set_headers=changed,
        added_headers=added,
        removed_headers=tuple(route.request_headers_to_remove),
        mirrors=tuple((item.cluster, _share(item)) for item in action.request_mirror_policies),
        timeout=proto.to_seconds(action.timeout),
        per_try_timeout=proto.to_seconds(action.retry_policy.per_try_timeout),
        retries=action.retry_policy.num_retries.value,
        retry_on=action.retry_policy.retry_on,
    )


def _clusters(action: route_components_pb2.RouteAction) -> tuple[tuple[str, int], ...]:
    if action.WhichOneof("cluster_specifier") == "weighted_clusters":
        shares: dict[str, int] = {}
        for item in action.weighted_clusters.clusters:
            shares[item.name] = shares.get(item.name, 0) + item.weight.value
        return tuple(shares.items())
    return ((action.cluster, 1),)


def stream_shares(proxy: tcp_proxy_pb2.TcpProxy) -> tuple[tuple[str, int], ...]:
    """The shares of connections by weight; none where all go to one cluster."""
    return tuple((item.name, item.weight) for item in proxy.weighted_clusters.clusters)


def _share(item: route_components_pb2.RouteAction.RequestMirrorPolicy) -> float:
    return item.runtime_fraction.default_value.numerator / 1_000_000


def _header_options(options: Iterable[base_pb2.HeaderValueOption]) -> tuple[Pairs, Pairs]:
    changed: list[tuple[str, str]] = []
    added: list[tuple[str, str]] = []
    for option in options:
        append = option.append_action == base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
        (added if append else changed).append((option.header.key, option.header.value.replace("%%", "%")))
    return tuple(changed), tuple(added)


def rewritten(
    action: route_components_pb2.RouteAction | route_components_pb2.RedirectAction,
    match: route_components_pb2.RouteMatch,
    path: str,
) -> str:
    """The path after an action's rewrite, its query kept."""
    plain, query = split_path(path)
    if action.HasField("regex_rewrite"):
        rewrite = action.regex_rewrite
        plain = substitute(rewrite.pattern.regex, rewrite.substitution, plain)
    elif action.prefix_rewrite:
        matched = match.path_separated_prefix or match.prefix or match.path
        plain = action.prefix_rewrite + plain[len(matched) :]
    return f"{plain}?{query}" if query else plain


def _location(redirect: route_components_pb2.RedirectAction, match: route_components_pb2.RouteMatch, url: str) -> str:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    new_scheme = redirect.scheme_redirect or scheme
    host, colon, port = authority.rpartition(":")
    if not colon:
        host, port = authority, ""
    port = _redirect_port(redirect, port, changed=new_scheme != scheme)
    path = _redirect_path(redirect, match, slash + path)
    slash = "" if path.startswith("/") else "/"
    return f"{new_scheme}://{redirect.host_redirect or host}{port}{slash}{path}"


def _redirect_port(redirect: route_components_pb2.RedirectAction, port: str, *, changed: bool) -> str:
    if redirect.port_redirect:
        return f":{redirect.port_redirect}"
    if not port or redirect.host_redirect or (changed and port in ("80", "443")):
        return ""
    return f":{port}"


def _redirect_path(
    redirect: route_components_pb2.RedirectAction, match: route_components_pb2.RouteMatch, path: str
) -> str:
    if redirect.path_redirect:
        _, query = split_path(path)
        keep = query and "?" not in redirect.path_redirect
        return f"{redirect.path_redirect}?{query}" if keep else redirect.path_redirect
    return rewritten(redirect, match, path)
