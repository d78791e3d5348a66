"""The routes of a virtual host, whether they are a list or a tree by the beginning of the path."""

from collections.abc import Iterator, Sequence

from envoy.config.route.v3 import route_components_pb2
from xds.type.matcher.v3 import matcher_pb2

Route = route_components_pb2.Route


def asked(host: route_components_pb2.VirtualHost, path: str | None) -> Sequence[Route]:
    """The routes that Envoy asks, one after the other, about a request with that path (and query)."""
    if not host.HasField("matcher"):
        return host.routes
    branches = host.matcher.matcher_tree.prefix_match_map.map
    known = [beginning for beginning in branches if path is not None and path.startswith(beginning)]
    return _routes(branches[max(known, key=len)] if known else host.matcher.on_no_match)


def every(host: route_components_pb2.VirtualHost) -> Iterator[Route]:
    """All routes of the host; of a tree in no order, and some several times."""
    yield from host.routes
    if host.HasField("matcher"):
        for match in (*host.matcher.matcher_tree.prefix_match_map.map.values(), host.matcher.on_no_match):
            yield from _routes(match)


def _routes(match: matcher_pb2.Matcher.OnMatch) -> Sequence[Route]:
    return route_components_pb2.RouteList.FromString(match.action.typed_config.value).routes
