"""Connections to a cluster as its policy wants them: times, keepalive, requests on one, the version of HTTP."""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.common.matcher.v3 import matcher_pb2
from envoy.config.core.v3 import protocol_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.matcher.v3 import string_pb2

from plait.compiler.policies import balancing
from plait.envoy import proto
from plait.model.traffic_policy import HttpVersion, Pool, TrafficPolicy

Options = http_protocol_options_pb2.HttpProtocolOptions


def on_cluster(message: cluster_pb2.Cluster, pool: Pool | None) -> None:
    """Gives a cluster what is the same for all protocols."""
    if pool is None:
        return
    if pool.connect_timeout is not None:
        message.connect_timeout.CopyFrom(proto.seconds(pool.connect_timeout))
    if pool.probes is not None:
        count, idle, interval = pool.probes
        keepalive = message.upstream_connection_options.tcp_keepalive
        if count is not None:
            keepalive.keepalive_probes.value = count
        if idle is not None:
            keepalive.keepalive_time.value = max(1, int(idle))
        if interval is not None:
            keepalive.keepalive_interval.value = max(1, int(interval))


def on_options(options: Options, policy: TrafficPolicy) -> None:
    """Gives the HTTP options of a cluster what its policy asks for, the version of HTTP decided already."""
    if policy.balancer is not None:
        options.hash_policy.extend(balancing.hash_policy(policy.balancer.key))
    codes = policy.outliers.ejection.codes if policy.outliers else ()
    if codes:
        options.outlier_detection.error_matcher.CopyFrom(_errors(codes))
    if policy.pool is not None:
        requests(options, policy.pool)


def requests(options: Options, pool: Pool) -> None:
    """Gives HTTP options what a pool says of requests on one connection, and how long it lives."""
    common = options.common_http_protocol_options
    if pool.requests_per_connection is not None:
        common.max_requests_per_connection.value = pool.requests_per_connection
    if pool.max_duration is not None:
        # In the mesh a connection never outlives the certificates that it was made with.
        usual = proto.to_seconds(common.max_connection_duration) or pool.max_duration
        common.max_connection_duration.CopyFrom(proto.seconds(min(usual, pool.max_duration)))
    for http2 in _http2_options(options):
        if pool.streams_per_connection is not None:
            http2.max_concurrent_streams.value = pool.streams_per_connection
        if pool.pings is not None:
            _pings(http2, *pool.pings)


def chosen(options: Options, version: HttpVersion | None) -> None:
    """Puts the version of HTTP that a policy wants in the place of the usual one."""
    http1, http2 = _http1_options(options), _http2_options(options)
    if version is HttpVersion.TWO:
        settings = http2[0] if http2 else protocol_pb2.Http2ProtocolOptions(allow_connect=True)
        options.explicit_http_config.http2_protocol_options.CopyFrom(settings)
    elif version is HttpVersion.ONE:
        options.explicit_http_config.http_protocol_options.CopyFrom(http1)
    elif version is HttpVersion.CALLERS:
        wanted = Options.UseDownstreamHttpConfig(http_protocol_options=http1)
        wanted.http2_protocol_options.CopyFrom(
            http2[0] if http2 else protocol_pb2.Http2ProtocolOptions(allow_connect=True)
        )
        options.use_downstream_protocol_config.CopyFrom(wanted)


def _pings(http2: protocol_pb2.Http2ProtocolOptions, interval: float | None, timeout: float | None) -> None:
    if interval is not None:
        http2.connection_keepalive.interval.CopyFrom(proto.seconds(interval))
    wait = timeout if timeout is not None else proto.to_seconds(http2.connection_keepalive.timeout) or 10.0
    http2.connection_keepalive.timeout.CopyFrom(proto.seconds(wait))


def _http1_options(options: Options) -> protocol_pb2.Http1ProtocolOptions:
    found = protocol_pb2.Http1ProtocolOptions()
    for config in (options.auto_config, options.explicit_http_config, options.use_downstream_protocol_config):
        if config.HasField("http_protocol_options"):
            found.CopyFrom(config.http_protocol_options)
    return found


def _http2_options(options: Options) -> list[protocol_pb2.Http2ProtocolOptions]:
    """The settings of HTTP/2, where it may be spoken; changing them changes the options."""
    kind = options.WhichOneof("upstream_protocol_options")
    if kind == "auto_config":
        return [options.auto_config.http2_protocol_options]
    if kind == "use_downstream_protocol_config":
        return [options.use_downstream_protocol_config.http2_protocol_options]
    if options.explicit_http_config.WhichOneof("protocol_config") == "http2_protocol_options":
        return [options.explicit_http_config.http2_protocol_options]
    return []


def _errors(codes: tuple[int, ...]) -> matcher_pb2.MatchPredicate:
    """Matches answers with one of these codes."""
    single = [_status(code) for code in codes]
    if len(single) == 1:
        return single[0]
    return matcher_pb2.MatchPredicate(or_match=matcher_pb2.MatchPredicate.MatchSet(rules=single))


def _status(code: int) -> matcher_pb2.MatchPredicate:
    header = route_components_pb2.HeaderMatcher(name=":status", string_match=string_pb2.StringMatcher(exact=str(code)))
    return matcher_pb2.MatchPredicate(http_response_headers_match=matcher_pb2.HttpHeadersMatch(headers=[header]))
