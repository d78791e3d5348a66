"""Rules for connections: where a byte stream goes, by weight and by the server name that its TLS asks for.

A captured connection that must be told apart by server name goes through a listener inside this Envoy, which waits for
the client's first bytes: the outbound listener itself inspects nothing, since inspecting one port more would change it
and cut what it carries, and would delay protocols in which the server speaks first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from plait.compiler import dynamic, tcp
from plait.envoy import names, proto
from plait.model.l4 import L4Destination, L4Rule
from plait.model.traffic import ClusterKey
from plait.model.traffic_policy import TrafficPolicy
from plait.model.view import OutboundCluster, OutboundFrontend, View

Chain = listener_components_pb2.FilterChain
Filter = listener_components_pb2.Filter
Known = Mapping[ClusterKey, OutboundCluster]
"""The clusters that the proxy holds."""


def known(view: View) -> Known:
    """The clusters of a view."""
    return {cluster.key: cluster for cluster in view.clusters}


def inspects(frontend: OutboundFrontend) -> bool:
    """Whether the server name decides where its connections go."""
    return frontend.dynamic or any(rule.sni_hosts for rule in frontend.l4_rules)


def captured(frontend: OutboundFrontend, known: Known, log: accesslog_pb2.AccessLog) -> Filter:
    """What takes captured connections to a frontend that carries no HTTP."""
    if inspects(frontend):
        return tcp.to_cluster("tcp", names.server_names(frontend.dialled[0], frontend.port), log)
    if frontend.l4_rules:
        return to_destinations(frontend.l4_rules[0].destinations, known, log)
    if frontend.closed:
        return tcp.to_cluster("tcp", names.BLACKHOLE_CLUSTER, log)
    return _to_default(frontend, known, log)


def _to_default(frontend: OutboundFrontend, known: Known, log: accesslog_pb2.AccessLog) -> Filter:
    cluster = known.get(frontend.default)
    return tcp.to_cluster("tcp", _name(cluster), log, policy=cluster.policy if cluster else None)


def _name(cluster: OutboundCluster | None) -> str:
    return names.cluster(cluster.host, cluster.key.port, cluster.key.subset) if cluster else names.BLACKHOLE_CLUSTER


def to_destinations(destinations: Iterable[L4Destination], known: Known, log: accesslog_pb2.AccessLog) -> Filter:
    """Passes connections to the destinations of a rule; the share of a broken one is closed."""
    shares: dict[str, int] = {}
    policy: TrafficPolicy | None = None
    for item in destinations:
        cluster = known.get(item.cluster) if item.cluster else None
        shares[_name(cluster)] = shares.get(_name(cluster), 0) + item.weight
        policy = policy or (cluster.policy if cluster and item.weight else None)
    used = tuple((name, weight) for name, weight in shares.items() if weight)
    if len(used) <= 1:
        return tcp.to_cluster("tcp", used[0][0] if used else names.BLACKHOLE_CLUSTER, log, policy=policy)
    return tcp.to_weighted("tcp", used, log, policy=policy)


def chains(rules: Sequence[L4Rule], known: Known, log: accesslog_pb2.AccessLog) -> Iterator[Chain]:
    """A chain a rule, chosen by server name; of a name that several rules have the first counts."""
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        hosts = [host for host in rule.sni_hosts or ("",) if host not in seen]
        seen.update(hosts)
        if hosts:
            match = listener_components_pb2.FilterChainMatch(server_names=[host for host in hosts if host])
            taken = to_destinations(rule.destinations, known, log)
            yield Chain(name=f"{index}:{rule.name}", filter_chain_match=match, filters=[taken])


def listeners(
    frontends: Iterable[OutboundFrontend], known: Known, log: accesslog_pb2.AccessLog
) -> Iterator[listener_pb2.Listener]:
    """The listener inside this Envoy of each frontend whose connections are told apart by server name."""
    for frontend in frontends:
        if inspects(frontend):
            message = listener_pb2.Listener(
                name=names.server_names(frontend.dialled[0], frontend.port),
                internal_listener=listener_pb2.Listener.InternalListenerConfig(),
                listener_filters=[tls_inspector()],
                filter_chains=chains(frontend.l4_rules, known, log),
            )
            if frontend.dynamic and not frontend.closed:
                message.filter_chains.append(_dynamic(frontend, known, log))
            elif not frontend.closed:
                through = _to_default(frontend, known, log)
                message.default_filter_chain.CopyFrom(Chain(name="default", filters=[through]))
            yield message


def _dynamic(frontend: OutboundFrontend, known: Known, log: accesslog_pb2.AccessLog) -> Chain:
    """Connections whose TLS names their server, if it is one that the frontend stands for."""
    through = _to_default(frontend, known, log)
    match = listener_components_pb2.FilterChainMatch(server_names=[frontend.host])
    return Chain(name="named", filter_chain_match=match, filters=[dynamic.server_name_filter(frontend.port), through])


def clusters(frontends: Iterable[OutboundFrontend]) -> Iterator[cluster_pb2.Cluster]:
    """What leads to these listeners."""
    for frontend in frontends:
        if inspects(frontend):
            name = names.server_names(frontend.dialled[0], frontend.port)
            message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STATIC)
            message.load_assignment.cluster_name = name
            endpoint = message.load_assignment.endpoints.add().lb_endpoints.add().endpoint
            endpoint.address.envoy_internal_address.server_listener_name = name
            yield message


def tls_inspector() -> listener_components_pb2.ListenerFilter:
    """Reads the server name that a client's TLS asks for."""
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.tls_inspector", typed_config=proto.packed(tls_inspector_pb2.TlsInspector())
    )
