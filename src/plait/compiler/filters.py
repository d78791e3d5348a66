"""HTTP filters as connection managers hold them.

A filter in a chain costs each request a few per cent, even if it does nothing. So those that only add something stand
in every chain `disabled`, until a route asks. Envoy makes a request's chain before a request that waits for its routes
has them, so for such a one they are left out. A filter that guards something must never be: it stands there enabled,
where any rule of the mesh asks for it (ADR 38).
"""

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.message import Message

from plait.envoy import proto

HttpFilter = http_connection_manager_pb2.HttpFilter


def optional_filter(name: str, config: Message) -> HttpFilter:
    """An HTTP filter that is left out until a route asks for it; not for what guards anything."""
    return HttpFilter(name=name, typed_config=proto.packed(config), disabled=True)


def http_filter(name: str, config: Message) -> HttpFilter:
    """One HTTP filter."""
    return HttpFilter(name=name, typed_config=proto.packed(config))
