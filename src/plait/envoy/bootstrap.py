"""How an Envoy is started: its bootstrap and its arguments.

Everything comes over one delta ADS stream from the relay, through a unix socket. The administration interface is a
unix socket that only the owner may open. Of Envoy's many statistics only those that somebody reads are made
(less than half the memory per cluster). `--drain-time-s` (whole seconds, 1 unless set) bounds how long a changed
listener's old connections live: revoking an identity on a byte stream is in force after it.
"""

from typing import Final

from plait.envoy import names

STATISTICS: Final = (
    {"prefix": "mesh."},
    {"prefix": "server."},
    {"prefix": "listener."},
    {"prefix": "listener_manager."},
    {"prefix": "cluster_manager."},
    {"prefix": "control_plane."},
    {"suffix": "downstream_rq_active"},
    {"suffix": "downstream_cx_active"},
    {"suffix": "upstream_cx_active"},
    {"suffix": "upstream_rq_active"},
    {"suffix": "ssl.fail_verify_san"},
    {"suffix": "ssl.connection_error"},
    {"suffix": "rbac.denied"},
    {"suffix": "update_rejected"},
)
MAX_CONNECTION_AGE: Final = 3600.0
"""Seconds after which an Envoy connects anew to another one; far below a leaf's life, so a revoked identity does not
last. Also how long an Envoy that was replaced may stay for connections whose callers do not leave it."""
_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000)
_ADS: Final[dict[str, object]] = {"ads": {}, "resource_api_version": "V3"}
_HTTP2: Final = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {
            "http2_protocol_options": {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
        },
    }
}


def node_id(proxy: str, generation: int) -> str:
    """The node id of a proxy's Envoy; a generation above 0 tells an Envoy that took over from another."""
    return f"{proxy}#{generation}" if generation else proxy


def parse_node_id(text: str) -> tuple[str, int]:
    """The proxy and the generation that a node id stands for."""
    proxy, _, generation = text.partition("#")
    return proxy, int(generation) if generation.isdecimal() else 0


def bootstrap(
    node_id: str, *, ads_socket: str, admin_socket: str, service: str = "", resolvers: tuple[tuple[str, int], ...] = ()
) -> dict[str, object]:
    """The bootstrap of an Envoy, to be written as JSON.

    `resolvers` are the name servers Envoy itself asks for external hosts (default: those of its resolv.conf); they
    must not answer with addresses of the mesh.
    """
    document: dict[str, object] = {
        "node": {"id": node_id, "cluster": service or node_id},
        "admin": {"address": {"pipe": {"path": admin_socket, "mode": 0o600}}},
        "dynamic_resources": {"ads_config": _ads_config(), "lds_config": _ADS, "cds_config": _ADS},
        "static_resources": {"clusters": [_xds_cluster(ads_socket)]},
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": list(STATISTICS)}},
            "histogram_bucket_settings": [{"match": {"prefix": "mesh."}, "buckets": list(_BUCKETS)}],
        },
        "bootstrap_extensions": [_internal_listeners()],
        "stats_flush_interval": "1s",
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "layered_runtime": {"layers": [{"name": "plait", "static_layer": dict(_RUNTIME)}]},
    }
    if resolvers:
        document["typed_dns_resolver_config"] = _resolver(resolvers)
    return document


_RUNTIME: Final = {
    "overload.global_downstream_max_connections": 50000,
    "re2.max_program_size.error_level": 4096,
    "re2.max_program_size.warn_level": 2048,
}


def _internal_listeners() -> dict[str, object]:
    """Lets an Envoy have listeners that only itself connects to."""
    kind = "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
    return {"name": "envoy.bootstrap.internal_listener", "typed_config": {"@type": kind}}


def _ads_config() -> dict[str, object]:
    back_off = {"base_interval": "0.1s", "max_interval": "1s"}
    grpc = {"cluster_name": names.XDS_CLUSTER, "retry_policy": {"retry_back_off": back_off}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": grpc}],
    }


def _xds_cluster(socket: str) -> dict[str, object]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "name": names.XDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": names.XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": _HTTP2,
    }


def _resolver(resolvers: tuple[tuple[str, int], ...]) -> dict[str, object]:
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [{"socket_address": {"address": host, "port_value": port}} for host, port in resolvers],
            "dns_resolver_options": {"no_default_search_domain": True},
        },
    }


def arguments(
    config_path: str = "", *, inline: str = "", drain_seconds: int = 1, log_level: str = "warning"
) -> tuple[str, ...]:
    """The command line of an Envoy, after the name of its executable.

    The bootstrap is a file, or `inline` JSON: Envoy opens no file below a folder that its user cannot enter.
    """
    return (
        *(("--config-yaml", inline) if inline else ("--config-path", config_path)),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--drain-time-s",
        str(drain_seconds),
        "--drain-strategy",
        "immediate",
        "--log-level",
        log_level,
    )
