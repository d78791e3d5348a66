"""The HTTP connection manager, as lean as the mesh can have it.

It leaves messages as they were (header case, HTTP/1.0, trailers, upgrades, 100-continue, the server header), adds
nothing but what the mesh promises, and has no tracing block and no text log: a tracing block costs 10-20 % of CPU
even at 0 % sampling. Routes come by RDS, so that no change of routes or HTTP policy touches a listener.
"""

from collections.abc import Iterable
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.matcher.v3 import string_pb2

from plait.compiler.clusters import preserve_case
from plait.compiler.filters import HttpFilter, http_filter
from plait.envoy import proto

HELD_REQUEST_TIMEOUT: Final = 10.0
"""The only bound on a request that is held until its routes arrive; routes set their own idle timeout."""

_IGNORED_UPGRADES: Final = tuple(
    string_pb2.StringMatcher(prefix=prefix, ignore_case=True) for prefix in ("h2", "http/", "tls/")
)
"""Offers of another protocol that servers need not take: the request is answered as it is, instead of by 403."""
_TUNNELS: Final = ("websocket", "tcp", "spdy/3.1")
"""Upgrades after which both sides exchange bytes: browsers' sockets, and those of container tools."""

Manager = http_connection_manager_pb2.HttpConnectionManager


def manager(stat_prefix: str, access_log: accesslog_pb2.AccessLog) -> Manager:
    """A connection manager with what all have in common; routes and filters are the caller's."""
    return Manager(
        stat_prefix=stat_prefix,
        codec_type=Manager.AUTO,
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(
            accept_http_10=True,
            default_host_for_http_10="localhost",
            header_key_format=preserve_case(),
            enable_trailers=True,
            ignore_http_11_upgrade=_IGNORED_UPGRADES,
        ),
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(allow_connect=True),
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(max_headers_count=proto.number(1000)),
        max_request_headers_kb=proto.number(96),
        stream_idle_timeout=proto.seconds(HELD_REQUEST_TIMEOUT),
        server_header_transformation=Manager.PASS_THROUGH,
        generate_request_id=proto.false(),
        preserve_external_request_id=True,
        proxy_100_continue=True,
        upgrade_configs=[Manager.UpgradeConfig(upgrade_type=name) for name in _TUNNELS],
        access_log=[access_log],
        internal_address_config=Manager.InternalAddressConfig(),
    )


def router() -> HttpFilter:
    """The last filter of every chain, with its cheapest settings."""
    return http_filter(
        "envoy.filters.http.router",
        router_pb2.Router(dynamic_stats=proto.false(), suppress_envoy_headers=True),
    )


def routes_by_name(message: Manager, name: str) -> None:
    """Takes the routes from the stream, by that name."""
    message.rds.CopyFrom(http_connection_manager_pb2.Rds(route_config_name=name, config_source=proto.ads()))


def network_filter(message: Manager) -> listener_components_pb2.Filter:
    """The connection manager as a filter of a chain."""
    return listener_components_pb2.Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=proto.packed(message)
    )


def add_filters(message: Manager, filters: Iterable[HttpFilter]) -> Manager:
    """Ends the manager's filters with the router."""
    message.http_filters.extend([*filters, router()])
    return message
