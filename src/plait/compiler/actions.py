"""What a route does: redirect, answer by itself, or forward to one or several clusters.

A destination that is broken keeps its share of the traffic and answers 500 there (Gateway API): its share goes to a
cluster that never exists, and the route gives 500 for a missing cluster. Weights of zero are left out, so that a
broken backend of weight 0 does no harm.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2

from plait.compiler import targets
from plait.compiler.policies import faults, headers, mirrors, retries, rewrites
from plait.compiler.targets import Targets
from plait.envoy import names, proto
from plait.model.traffic import Destination, Redirect, RedirectPort, Rule

_REDIRECT_CODES: Final = {
    301: route_components_pb2.RedirectAction.MOVED_PERMANENTLY,
    302: route_components_pb2.RedirectAction.FOUND,
    303: route_components_pb2.RedirectAction.SEE_OTHER,
    307: route_components_pb2.RedirectAction.TEMPORARY_REDIRECT,
    308: route_components_pb2.RedirectAction.PERMANENT_REDIRECT,
}
_WELL_KNOWN: Final = {"http": 80, "https": 443}
_MISSING_CLUSTER_CODES: Final = {
    404: route_components_pb2.RouteAction.NOT_FOUND,
    503: route_components_pb2.RouteAction.SERVICE_UNAVAILABLE,
}


def answer(message: route_components_pb2.Route, rule: Rule, clusters: Targets, port: int) -> None:
    """Gives a route the action of its rule, and what its one cluster asks for."""
    faults.on_route(message, rule.fault)
    destinations = [_checked(item, clusters) for item in rule.destinations if item.weight > 0]
    if rule.redirect is not None:
        _redirect(message.redirect, rule.redirect, rule, port)
    elif rule.status is not None:
        _direct(message, rule.status, rule.body)
    elif all(item.cluster is None for item in destinations):
        _direct(message, destinations[0].status if destinations else 500, None)
    else:
        _forward(message.route, rule, destinations, clusters)
        first = destinations[0].cluster
        if first and message.route.cluster:
            targets.on_route(message, clusters[first])


def _checked(destination: Destination, clusters: Targets) -> Destination:
    """The destination, broken if the view has no cluster of its key: one stale reference must not stop all else."""
    return destination if destination.cluster in clusters else replace(destination, cluster=None)


def _direct(message: route_components_pb2.Route, status: int, body: bytes | None) -> None:
    message.direct_response.status = status
    if body:
        message.direct_response.body.CopyFrom(_source(body))
    elif body is None and status >= 500:
        text = "plait: this rule has no backend that can be used; see the route's status\n"
        message.direct_response.body.CopyFrom(base_pb2.DataSource(inline_string=text))


def _source(body: bytes) -> base_pb2.DataSource:
    try:
        return base_pb2.DataSource(inline_string=body.decode())
    except UnicodeDecodeError:
        return base_pb2.DataSource(inline_bytes=body)


def _redirect(message: route_components_pb2.RedirectAction, redirect: Redirect, rule: Rule, port: int) -> None:
    message.response_code = _REDIRECT_CODES[redirect.status]
    if redirect.scheme:
        message.scheme_redirect = redirect.scheme
    message.host_redirect = redirect.hostname
    message.port_redirect = _redirect_port(redirect, port)
    if redirect.path is not None:
        rewrites.redirect_path(message, redirect.path, rule.match.path)


def _redirect_port(redirect: Redirect, port: int) -> int:
    """The port to write into Location; 0 writes none, where it is the scheme's own or the request's Host decides."""
    default = _WELL_KNOWN.get(redirect.scheme, 80)
    if redirect.port_of is not RedirectPort.LISTENER:
        asked = redirect.port or (port if redirect.port_of is RedirectPort.REQUEST else 0)
        return 0 if asked == default else asked
    if not redirect.port and not redirect.scheme and not redirect.hostname:
        return 0
    wanted = redirect.port or _WELL_KNOWN.get(redirect.scheme, port)
    unwritten = redirect.hostname or port in _WELL_KNOWN.values()
    return 0 if wanted == default and unwritten else wanted


def _forward(
    message: route_components_pb2.RouteAction,
    rule: Rule,
    destinations: Sequence[Destination],
    clusters: Targets,
) -> None:
    first = destinations[0]
    if len(destinations) == 1 and first.cluster and not first.request_headers and not first.response_headers:
        message.cluster = clusters[first.cluster].name
    else:
        message.weighted_clusters.clusters.extend(_share(item, clusters) for item in destinations)
    message.cluster_not_found_response_code = _missing_code(destinations)
    # Zero lifts Envoy's default of 15 s: no time limit was asked for.
    message.timeout.CopyFrom(proto.seconds(rule.timeout or 0))
    if rule.grpc_timeout is not None:
        message.max_grpc_timeout.CopyFrom(proto.seconds(rule.grpc_timeout))  # pyright: ignore[reportDeprecated] (what replaces it switches `timeout` off)
    message.idle_timeout.CopyFrom(proto.seconds(0))
    message.retry_policy.CopyFrom(retries.policy(rule.retry, rule.backend_timeout))
    message.request_mirror_policies.extend(mirrors.policies(rule.mirrors, clusters))
    rewrites.on_route(message, rule)


def _missing_code(
    destinations: Sequence[Destination],
) -> route_components_pb2.RouteAction.ClusterNotFoundResponseCode.ValueType:
    broken = next((item.status for item in destinations if item.cluster is None), 503)
    return _MISSING_CLUSTER_CODES.get(broken, route_components_pb2.RouteAction.INTERNAL_SERVER_ERROR)


def _share(destination: Destination, clusters: Targets) -> route_components_pb2.WeightedCluster.ClusterWeight:
    message = route_components_pb2.WeightedCluster.ClusterWeight(
        name=clusters[destination.cluster].name if destination.cluster else names.BLACKHOLE_CLUSTER,
        weight=proto.number(destination.weight),
    )
    host = headers.host(destination.request_headers)
    if host:
        message.host_rewrite_literal = host
    headers.on_route(message, request=destination.request_headers, response=destination.response_headers)
    if destination.cluster:
        targets.on_route(message, clusters[destination.cluster])
    return message
