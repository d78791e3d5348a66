"""The clusters of a view: what its rules lead to, treated as the DestinationRule says that the caller follows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from plait.model.backend_tls import BackendTls
from plait.model.destinations import DestinationRule, Subset
from plait.model.gateways import TlsCertificate
from plait.model.ids import ClusterKey, ObjectName
from plait.model.protection import IDLE_TOWARDS_AN_APP
from plait.model.remembered import Remembered
from plait.model.services import Endpoint, Protocol, Resolution, Service, Workload
from plait.model.snapshot import Snapshot
from plait.model.traffic_policy import Algorithm, TlsMode, TrafficPolicy, UpstreamTls, policy_at
from plait.model.view import InboundMode, OutboundCluster, ServerPort, is_given
from plait.snapshot.destinations import destination_rule
from plait.snapshot.services import host_of
from plait.snapshot.settlement import placement, settled, with_credentials

IDLE_BETWEEN_SIDECARS: Final = 300.0

Servers = Callable[[ClusterKey], tuple[ServerPort, ...]]
"""How the sidecars behind a cluster treat its port, as far as callers may rely on it already."""
_PLAIN: Final = Remembered[ClusterKey, OutboundCluster](16384)
"""The clusters of callers that follow no DestinationRule, which are the same for all of them."""


class _Known(NamedTuple):
    """What is known of a cluster's endpoints: they, who they may be, and how their sidecars treat the port."""

    endpoints: tuple[Endpoint, ...]
    identities: tuple[str, ...]
    servers: tuple[ServerPort, ...]


def outbound_clusters(
    snapshot: Snapshot, keys: Iterable[ClusterKey], caller: Workload, servers: Servers
) -> tuple[OutboundCluster, ...]:
    """The clusters of these keys for a caller; those whose service or port is gone are left out."""
    found = (_cluster(snapshot, key, caller, servers) for key in sorted(keys))
    return tuple(cluster for cluster in found if cluster is not None)


def credentials_of(snapshot: Snapshot, clusters: Iterable[OutboundCluster]) -> Mapping[ObjectName, TlsCertificate]:
    """The certificates by which a caller proves itself to some of its clusters."""
    found: dict[ObjectName, TlsCertificate] = {}
    for cluster in clusters:
        tls = cluster.policy.tls if cluster.policy else None
        held = snapshot.credentials.get(tls.certificate) if tls and tls.certificate else None
        if held is not None and held.certificate is not None:
            found[held.name] = held.certificate
    return found


def _cluster(snapshot: Snapshot, key: ClusterKey, caller: Workload, servers: Servers) -> OutboundCluster | None:
    service = snapshot.services.get(host_of(key.service))
    port = service.port(key.port) if service else None
    if service is None or port is None:
        return None
    if not service.seen_from(caller.name.namespace):
        return OutboundCluster(key=key, host=service.host, protocol=port.protocol, missing=True)
    outside = snapshot.backend_tls.get((key.service, key.port))
    if outside is not None and outside.problem:
        return OutboundCluster(key=key, host=service.host, protocol=port.protocol, missing=True)
    rule = destination_rule(snapshot, caller, service)
    asked = servers if port.protocol.is_http else None
    if rule is None and not key.subset:
        known = _known(snapshot, key, _proved(snapshot, key, outside, None), asked)
        return _PLAIN.of(key, (service, outside, *known), partial(_plain, key))
    base = _base(key, service, outside, rule)
    if base.missing:
        return replace(base, policy=None)
    followed = _followed(snapshot, caller, base, rule=rule, service=service) if rule and base.policy else base
    tls = followed.policy.tls if followed.policy else None
    proved = _proved(snapshot, key.whole, outside, tls)
    return _linked(followed, service, _known(snapshot, key.whole, proved, asked))


def _plain(key: ClusterKey, service: Service, outside: BackendTls | None, *known: Any) -> OutboundCluster:
    return _linked(_base(key, service, outside, None), service, _Known(*known))


def _base(
    key: ClusterKey, service: Service, outside: BackendTls | None, rule: DestinationRule | None
) -> OutboundCluster:
    """The cluster as its service and the rule declare it."""
    subset = rule.subset(key.subset) if rule else None
    policy = policy_at(key.port, rule.policy, subset.policy if subset else None) if rule else None
    port = service.port(key.port)
    return OutboundCluster(
        key=key,
        host=service.host,
        protocol=port.protocol if port else Protocol.TCP,
        resolution=service.resolution,
        missing=bool(key.subset) and subset is None,
        labels=subset.labels if subset else (),
        rule=_origin(rule, subset, policy),
        policy=policy,
        backend_tls=outside,
    )


def _origin(rule: DestinationRule | None, subset: Subset | None, policy: TrafficPolicy | None):
    if subset is not None:
        return subset.origin
    return policy.origin if policy else rule.origin if rule else None


def _followed(
    snapshot: Snapshot, caller: Workload, cluster: OutboundCluster, *, rule: DestinationRule, service: Service
) -> OutboundCluster:
    """The cluster with what its policy means for this caller."""
    policy = cluster.policy
    if policy is None:
        return cluster
    if policy.tls is not None:
        policy = replace(policy, tls=with_credentials(snapshot, caller, rule, policy.tls))
    through = policy.balancer is not None and policy.balancer.algorithm is Algorithm.PASSTHROUGH
    return replace(
        cluster,
        policy=policy,
        missing=bool(policy.tls and policy.tls.problem),
        placement=placement(caller, policy),
        resolution=Resolution.NONE if through and not _invented(service) else cluster.resolution,
    )


def _invented(service: Service) -> bool:
    """Whether the address of a service is the mesh's own invention, which leads nowhere without it."""
    return service.origin.kind == "Service" or is_given(service.address)


def _proved(
    snapshot: Snapshot, key: ClusterKey, outside: BackendTls | None, tls: UpstreamTls | None
) -> tuple[str, ...]:
    """The identities that the endpoints of a cluster may prove, by mutual TLS of the mesh."""
    if outside is not None or (tls is not None and tls.mode is not TlsMode.MESH):
        return ()
    return tuple(sorted(tls.names)) if tls is not None and tls.names else snapshot.identities.get(key, ())


def _known(snapshot: Snapshot, key: ClusterKey, identities: tuple[str, ...], servers: Servers | None) -> _Known:
    behind = servers(key) if servers and identities else ()
    return _Known(snapshot.endpoints.get(key, ()), identities, behind)


def _linked(cluster: OutboundCluster, service: Service, known: _Known) -> OutboundCluster:
    """The cluster with what is known of its endpoints and their sidecars."""
    policy = cluster.policy
    tls = policy.tls if policy else None
    endpoints, identities, behind = known
    idle = policy.pool.idle_timeout if policy and policy.pool else None
    found = replace(
        cluster,
        identities=identities,
        mixed=tls is None and bool(identities) and any(not item.identity for item in endpoints),
        idle_timeout=_idle_timeout(behind, service.protection.callers.idle_timeout) if idle is None else idle,
        servers=behind,
        tells_caller=service.tells_caller,
        protection=settled(service.protection.callers, policy),
    )
    if cluster.resolution.is_named:
        addresses = tuple((item.address, item.port) for item in endpoints if cluster.takes(item))
        return replace(found, endpoints=addresses)
    return found


def _idle_timeout(servers: Sequence[ServerPort], towards_the_app: float | None) -> float:
    """Seconds that an idle connection is kept: short where the app itself is at its other end, see `InboundPort`."""
    between_sidecars = servers and all(server.mode is InboundMode.HTTP for server in servers)
    if between_sidecars:
        return IDLE_BETWEEN_SIDECARS
    return IDLE_TOWARDS_AN_APP if towards_the_app is None else towards_the_app
