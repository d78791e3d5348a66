"""Clusters: groups of endpoints, and how they are spoken to.

A client offers HTTP/2 and HTTP/1.1 and takes what the server's chain chooses (`tls`), so it needs no knowledge
of how the server's sidecar treats the port. Idle connections are closed before the other end would close them
(the keep-alive race is otherwise a 503), and connections live shorter than the leaf certificates.
Limits and endpoints that are left out for a while: `policies.breakers`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, extension_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.clusters.common.dns.v3 import dns_pb2
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2
from envoy.extensions.http.header_formatters.preserve_case.v3 import preserve_case_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2

from plait.compiler import dynamic, targets, tls
from plait.compiler.policies import backend_tls, balancing, breakers, pools
from plait.envoy import names, proto
from plait.envoy.bootstrap import MAX_CONNECTION_AGE
from plait.model.ids import Origin
from plait.model.services import Protocol, Resolution
from plait.model.traffic_policy import TlsMode
from plait.model.view import DirectEndpoint, InboundPort, OutboundCluster

CONNECT_TIMEOUT: Final = 5.0
UNKNOWN_CONNECT_TIMEOUT: Final = 0.8
"""For an address of the workloads' range that none has, in seconds; thrice that is below `tcp.ON_DEMAND_TIMEOUT`."""
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPES: Final = {
    Resolution.MESH: cluster_pb2.Cluster.EDS,
    Resolution.STATIC: cluster_pb2.Cluster.EDS,
    Resolution.DNS: cluster_pb2.Cluster.STATIC,  # the type is unused beside an extension's
    Resolution.LOGICAL_DNS: cluster_pb2.Cluster.STATIC,
    Resolution.DYNAMIC: cluster_pb2.Cluster.STATIC,
    Resolution.NONE: cluster_pb2.Cluster.ORIGINAL_DST,
}


def preserve_case() -> protocol_pb2.Http1ProtocolOptions.HeaderKeyFormat:
    """HTTP/1 headers keep the case in which they were written."""
    return protocol_pb2.Http1ProtocolOptions.HeaderKeyFormat(
        stateful_formatter=extension_pb2.TypedExtensionConfig(
            name="preserve_case", typed_config=proto.packed(preserve_case_pb2.PreserveCaseFormatterConfig())
        )
    )


def _http1() -> protocol_pb2.Http1ProtocolOptions:
    return protocol_pb2.Http1ProtocolOptions(header_key_format=preserve_case(), enable_trailers=True)


def _http2(*, keepalive: bool) -> protocol_pb2.Http2ProtocolOptions:
    options = protocol_pb2.Http2ProtocolOptions(allow_connect=True)
    if keepalive:
        options.connection_keepalive.CopyFrom(
            protocol_pb2.KeepaliveSettings(interval=proto.seconds(30), timeout=proto.seconds(10))
        )
    return options


def _http_options(
    protocol: Protocol, *, negotiate: bool, idle_timeout: float, max_age: float | None
) -> http_protocol_options_pb2.HttpProtocolOptions:
    """How HTTP is spoken to a cluster; `negotiate` leaves the version to the server's ALPN."""
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.common_http_protocol_options.idle_timeout.CopyFrom(proto.seconds(idle_timeout))
    if max_age:
        options.common_http_protocol_options.max_connection_duration.CopyFrom(proto.seconds(max_age))
    if negotiate:
        options.auto_config.http_protocol_options.CopyFrom(_http1())
        options.auto_config.http2_protocol_options.CopyFrom(_http2(keepalive=True))
    elif protocol.is_http2:
        options.explicit_http_config.http2_protocol_options.CopyFrom(_http2(keepalive=False))
    else:
        options.explicit_http_config.http_protocol_options.CopyFrom(_http1())
    return options


def _base(name: str, kind: cluster_pb2.Cluster.DiscoveryType.ValueType) -> cluster_pb2.Cluster:
    cluster = cluster_pb2.Cluster(
        name=name,
        type=kind,
        connect_timeout=proto.seconds(CONNECT_TIMEOUT),
        circuit_breakers=breakers.unlimited(),
        # All endpoints unhealthy means 503, not traffic to those known to be bad.
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(healthy_panic_threshold=percent_pb2.Percent(value=0)),
        upstream_connection_options=cluster_pb2.UpstreamConnectionOptions(
            tcp_keepalive=address_pb2.TcpKeepalive(
                keepalive_time=proto.number(60), keepalive_interval=proto.number(10), keepalive_probes=proto.number(3)
            )
        ),
    )
    if kind == cluster_pb2.Cluster.EDS:
        cluster.eds_cluster_config.eds_config.CopyFrom(proto.ads())
    if kind == cluster_pb2.Cluster.ORIGINAL_DST:
        cluster.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED
    else:
        cluster.lb_policy = cluster_pb2.Cluster.LEAST_REQUEST
    return cluster


def _secure(cluster: cluster_pb2.Cluster, identities: Iterable[str], *, mixed: bool) -> None:
    socket = tls.to_server(identities)
    if not mixed:
        cluster.transport_socket.CopyFrom(socket)
        return
    match = cluster_pb2.Cluster.TransportSocketMatch(name="mesh", transport_socket=socket)
    match.match.fields["mesh"].string_value = "true"
    outside = cluster_pb2.Cluster.TransportSocketMatch(name="outside", transport_socket=tls.plaintext())
    cluster.transport_socket_matches.extend([match, outside])


def outbound(cluster: OutboundCluster) -> cluster_pb2.Cluster:
    """The cluster for a port of a service, or a subset of it."""
    name = names.cluster(cluster.host, cluster.key.port, cluster.key.subset)
    policy = cluster.policy
    message = _base(name, _TYPES[cluster.resolution])
    _transport(message, cluster)
    _protect(message, cluster)
    balancing.on_cluster(message, cluster)
    pools.on_cluster(message, policy.pool if policy else None)
    told = (
        ("servers", targets.epoch(cluster.servers)),
        ("limits", _written_in(cluster.protection.origins)),
        ("rule", _written_in((cluster.rule,) if cluster.rule else ())),
    )
    if any(value for _, value in told):
        message.metadata.CopyFrom(proto.metadata(names.METADATA, told))
    if cluster.resolution.is_named:
        message.load_assignment.CopyFrom(static_endpoints(name, cluster.endpoints))
        one_name = len(cluster.endpoints) == 1  # only then Envoy takes addresses in turn
        message.cluster_type.CopyFrom(_resolving(whole=cluster.resolution is Resolution.DNS or not one_name))
    if cluster.resolution is Resolution.DYNAMIC:
        message.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED
        message.cluster_type.CopyFrom(dynamic.cluster_type(http=cluster.protocol.is_http))
    if cluster.protocol.is_http:
        options = _http_options(
            cluster.protocol,
            negotiate=bool(cluster.identities) and not cluster.mixed,
            idle_timeout=cluster.idle_timeout,
            max_age=MAX_CONNECTION_AGE if cluster.identities else None,
        )
        if cluster.resolution is Resolution.DYNAMIC:  # where TLS is originated, each server proves its own name
            options.upstream_http_protocol_options.auto_sni = True
            options.upstream_http_protocol_options.auto_san_validation = True
        if policy is not None:
            pools.chosen(options, policy.pool.version if policy.pool else None)
            pools.on_options(options, policy)
        message.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(proto.packed(options))
    return message


def _transport(message: cluster_pb2.Cluster, cluster: OutboundCluster) -> None:
    """How connections are secured, and whether they tell the caller's address first."""
    policy = cluster.policy
    asked = policy.tls if policy else None
    if cluster.backend_tls is not None:
        socket = backend_tls.transport_socket(cluster.backend_tls, alpn=_alpn(cluster.protocol))
        message.transport_socket.CopyFrom(socket)
    elif asked is not None and asked.mode is TlsMode.OWN:
        http2 = cluster.protocol.is_http2 if cluster.protocol.is_http else None
        message.transport_socket.CopyFrom(tls.to_outside(asked, cluster.host, http2=http2))
    elif cluster.identities or (asked is not None and asked.mode is TlsMode.MESH):
        _secure(message, cluster.identities, mixed=cluster.mixed)
    if policy is None or not policy.proxy_protocol:
        return
    if not message.transport_socket_matches:
        plain = message.transport_socket if message.HasField("transport_socket") else tls.plaintext()
        message.transport_socket.CopyFrom(tls.with_client_address(plain, policy.proxy_protocol))
    for match in message.transport_socket_matches:
        match.transport_socket.CopyFrom(tls.with_client_address(match.transport_socket, policy.proxy_protocol))


def _alpn(protocol: Protocol) -> str:
    if not protocol.is_http:
        return ""
    return "h2" if protocol.is_http2 else "http/1.1"


def _protect(message: cluster_pb2.Cluster, cluster: OutboundCluster) -> None:
    """The limits of this caller towards the service, and which of its endpoints it leaves out for a while."""
    asked = cluster.protection
    message.circuit_breakers.CopyFrom(breakers.of_caller(asked))
    message.common_lb_config.healthy_panic_threshold.value = asked.panic_threshold
    if asked.ejection is not None and cluster.resolution not in (Resolution.NONE, Resolution.DYNAMIC):
        message.outlier_detection.CopyFrom(breakers.ejection(asked.ejection))


def _written_in(origins: Iterable[Origin]) -> str:
    """The fields that set limits, for whoever reads the proxy's configuration."""
    return ", ".join(str(replace(origin, file="", line=0)) for origin in origins)


def _resolving(*, whole: bool) -> cluster_pb2.Cluster.CustomClusterType:
    """Envoy resolves the names by itself, and every address is an endpoint for as long as the answer holds.

    If not `whole`, a connection takes the address that comes first when it is made, and keeps it for as long as it
    lives.
    """
    config = dns_cluster_pb2.DnsCluster(respect_dns_ttl=True, dns_lookup_family=dns_pb2.V4_PREFERRED)
    config.all_addresses_in_single_endpoint = not whole
    return cluster_pb2.Cluster.CustomClusterType(name="envoy.cluster.dns", typed_config=proto.packed(config))


def direct(endpoint: DirectEndpoint) -> cluster_pb2.Cluster:
    """The cluster of one workload called by its own address.

    Its endpoint is in the cluster itself, so that the first connection waits for one resource only. Where nothing is
    known to be, it is the address that was dialled, in plaintext, and that attempt is over within the time for which
    the connection would have waited for its cluster; it is counted as a host that the mesh does not know. One that the
    caller's Sidecar forbids has no endpoint, so that connections are closed at once.
    """
    name = names.direct_cluster(endpoint.address, endpoint.port)
    if endpoint.refused:
        refusing = _base(name, cluster_pb2.Cluster.STATIC)
        refusing.load_assignment.CopyFrom(static_endpoints(name, ()))
        refusing.alt_stat_name = "" if endpoint.known else names.BLACKHOLE_CLUSTER
        return refusing
    if not endpoint.identity and endpoint.reached is None:
        message = _base(name, cluster_pb2.Cluster.ORIGINAL_DST)
        if not endpoint.known:
            message.connect_timeout.CopyFrom(proto.seconds(UNKNOWN_CONNECT_TIMEOUT))
            message.alt_stat_name = names.PASSTHROUGH_CLUSTER
        return message
    message = _base(name, cluster_pb2.Cluster.STATIC)
    message.load_assignment.CopyFrom(static_endpoints(name, (endpoint.reached or (endpoint.address, endpoint.port),)))
    whose = (("workload", endpoint.workload), ("identity", endpoint.identity))
    message.load_assignment.endpoints[0].lb_endpoints[0].metadata.CopyFrom(proto.metadata(names.METADATA, whose))
    if endpoint.identity:
        _secure(message, (endpoint.identity,), mixed=False)
    return message


def inbound(port: InboundPort) -> cluster_pb2.Cluster:
    """The cluster that leads to the app, which listens on every address or on loopback alone."""
    name = names.inbound_cluster(port.number)
    message = _base(name, cluster_pb2.Cluster.STATIC)
    message.load_assignment.CopyFrom(static_endpoints(name, (("127.0.0.1", port.app_port or port.number),)))
    message.circuit_breakers.CopyFrom(breakers.of_server(port.protection, port.protocol))
    if port.pool is not None:
        breakers.tighten(message.circuit_breakers, port.pool)
        pools.on_cluster(message, port.pool)
    written = _written_in(port.protection.origins)
    if written:
        message.metadata.CopyFrom(proto.metadata(names.METADATA, (("limits", written),)))
    if port.protocol.is_http:
        options = _http_options(port.protocol, negotiate=False, idle_timeout=port.idle_timeout, max_age=None)
        if port.pool is not None:
            pools.requests(options, port.pool)
        message.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(proto.packed(options))
    return message


def passthrough() -> cluster_pb2.Cluster:
    """Wherever the caller dialled."""
    return _base(names.PASSTHROUGH_CLUSTER, cluster_pb2.Cluster.ORIGINAL_DST)


def static_endpoints(name: str, endpoints: Iterable[tuple[str, int]]) -> endpoint_pb2.ClusterLoadAssignment:
    """A load assignment of fixed addresses (or DNS names) and ports."""
    hosts = [
        endpoint_components_pb2.LbEndpoint(
            endpoint=endpoint_components_pb2.Endpoint(address=proto.socket_address(address, port)),
        )
        for address, port in endpoints
    ]
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=name, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=hosts)]
    )
