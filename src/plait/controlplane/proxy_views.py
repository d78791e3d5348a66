"""What `plait proxy list` and `plait proxy config` show: the streams' states, and the resources sent, as JSON."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from plait.envoy import types
from plait.envoy.resource_set import Entry, ResourceSet

_MESSAGES: Final[Mapping[str, tuple[str, Callable[[bytes], Message]]]] = {
    types.CLUSTER: ("clusters", cluster_pb2.Cluster.FromString),
    types.ENDPOINT: ("endpoints", endpoint_pb2.ClusterLoadAssignment.FromString),
    types.LISTENER: ("listeners", listener_pb2.Listener.FromString),
    types.ROUTE: ("routes", route_pb2.RouteConfiguration.FromString),
    types.SCOPE: ("scopes", scoped_route_pb2.ScopedRouteConfiguration.FromString),
}


def type_name(type_url: str) -> str:
    """The short name of a resource type, as users see it."""
    return next(
        (
            name.upper()
            for name in ("cluster", "endpoint", "secret", "listener", "route", "scope", "name")
            if getattr(types, name.upper()) == type_url
        ),
        type_url,
    )


def config_view(resources: ResourceSet) -> dict[str, Any]:
    """The resources as JSON, by kind and sorted by name. Secrets show their names and versions only."""
    view: dict[str, Any] = {
        kind: [_decoded(entry, parse) for _, entry in sorted(resources.of(type_url).items())]
        for type_url, (kind, parse) in _MESSAGES.items()
    }
    view["secrets"] = [
        {"name": name, "version": item.version} for name, item in sorted(resources.of(types.SECRET).items())
    ]
    view["names"] = sorted(resources.of(types.NAME))
    return view


def _decoded(entry: Entry, parse: Callable[[bytes], Message]) -> dict[str, Any]:
    return MessageToDict(parse(entry.body))
