"""HTTP filters as connection managers hold them.

A filter that acts only where a route asks stands in every chain with a configuration that does nothing, and is never
`disabled`: Envoy makes a request's chain before the first request to a destination has its routes, and leaves out
what is disabled then, although the routes that arrive ask for it (ADR 37).
"""

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.message import Message

from plait.envoy import proto

HttpFilter = http_connection_manager_pb2.HttpFilter


def http_filter(name: str, config: Message) -> HttpFilter:
    """One HTTP filter."""
    return HttpFilter(name=name, typed_config=proto.packed(config))
