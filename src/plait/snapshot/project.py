"""From the snapshot to the view of one workload: its own ports, what it demands, and nothing else.

A sidecar's view holds a frontend for each port of each demanded host, with the rules for callers of its namespace, and
the clusters that those rules lead to; the hosts of these clusters get no frontend of their own. A gateway's view holds
its listeners and the clusters of their rules, whatever is demanded. Equal views compile to equal bytes, so nothing that
changes often (endpoints, scope keys) is in here.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from plait.model.gateways import GatewayListener
from plait.model.ids import ObjectName
from plait.model.l4 import L4Rule
from plait.model.remembered import Remembered
from plait.model.services import Capture, Labels, Resolution, Service, Workload, WorkloadKind
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey, Frontend, Rule
from plait.model.view import (
    DirectEndpoint,
    OutboundCluster,
    OutboundFrontend,
    View,
)
from plait.snapshot.bounds import Bounds
from plait.snapshot.direct import called_directly, dialled, direct_to_place, direct_to_workload
from plait.snapshot.inbound import inbound_ports, policies_for, servers_behind, unlisted_port
from plait.snapshot.names import aliases, workload_of, workloads_named
from plait.snapshot.outbound_clusters import Servers, credentials_of, outbound_clusters

_FRONTENDS: Final = Remembered[tuple[str, int, str, Labels], OutboundFrontend](16384)
"""Ports as callers of a namespace (and with labels, where rules ask for them) know them: the same for all of them."""


def project(
    snapshot: Snapshot, workload: ObjectName, demand: frozenset[str], *, servers: Servers | None = None
) -> View:
    """The view of a workload that demands these hosts (or addresses of workloads); raises NotFoundError.

    Without `servers` their sidecars count as having followed the snapshot.
    """
    found = workload_of(snapshot, workload)
    known = servers or partial(servers_behind, snapshot)
    if found.kind is WorkloadKind.GATEWAY:
        return _gateway(snapshot, found, known)
    return _sidecar(snapshot, found, demand, known)


def _sidecar(snapshot: Snapshot, workload: Workload, demand: frozenset[str], servers: Servers) -> View:
    bounds = Bounds.of(snapshot, workload)
    hosts = sorted(demand | snapshot.dialled.keys())
    services = [service for host in hosts if (service := bounds.service(host))]
    frontends = tuple(
        frontend
        for service in services
        for frontend in _frontends(snapshot, service, workload)
        if bounds.lets(service, frontend.port)
    )
    wanted = {key for frontend in frontends for key in _clusters_of(frontend.rules, frontend.l4_rules)}
    wanted.update(frontend.default for frontend in frontends if not frontend.closed)
    clusters = outbound_clusters(snapshot, wanted, workload, servers)
    return View(
        name=workload.name,
        identity=workload.identity,
        kind=workload.kind,
        capture=workload.capture,
        node=workload.node,
        address=workload.address,
        inbound=inbound_ports(snapshot, workload),
        frontends=frontends,
        clusters=clusters,
        certificates=tuple(credentials_of(snapshot, clusters).values()),
        direct=bounds.direct(_direct(snapshot, services, hosts, node=workload.node), services)
        if workload.capture is Capture.TRANSPARENT
        else (),
        publish=workload.publish,
        outbound_port=workload.outbound_port,
        workload_addresses=snapshot.workload_addresses,
        refuses_unknown=bounds.refuses_unknown,
        authorizers=snapshot.authorizers,
        unlisted=unlisted_port(snapshot, workload),
    )


def _frontends(snapshot: Snapshot, service: Service, workload: Workload) -> Iterable[OutboundFrontend]:
    reachable = service.address or service.ranges or workload.capture is Capture.EXPLICIT
    namespace = workload.name.namespace
    for port in service.ports if reachable else ():
        frontend = snapshot.frontends[service.host, port.number]
        labels = workload.labels if frontend.host_rules else ()
        key = (service.host, port.number, namespace, labels)
        yield _FRONTENDS.of(key, (service, frontend), partial(_frontend, key))


def _frontend(key: tuple[str, int, str, Labels], service: Service, frontend: Frontend) -> OutboundFrontend:
    """A port of a service for callers of that namespace with these labels."""
    _, _, namespace, labels = key
    rules, closed = frontend.rules_for(namespace, labels)
    l4_rules, shut = frontend.l4_rules_for(namespace, labels)
    return OutboundFrontend(
        service=service.name,
        host=service.host,
        address=service.address,
        port=frontend.port,
        protocol=frontend.protocol,
        rules=rules,
        l4_rules=tuple(rule for rule in l4_rules if _may_take(rule, frontend)),
        closed=closed if frontend.protocol.is_http else shut,
        default=frontend.default,
        aliases=aliases(service, namespace),
        tells_caller=service.tells_caller,
        ranges=service.ranges,
        dynamic=service.resolution is Resolution.DYNAMIC,
    )


def _may_take(rule: L4Rule, frontend: Frontend) -> bool:
    """Whether connections to a frontend may match a rule, as far as its address and port tell."""
    subnets = not rule.subnets or not frontend.address or within(frontend.address, rule.subnets)
    return subnets and rule.takes_port(frontend.port)


def within(address: str, subnets: Iterable[str]) -> bool:
    """Whether an address is in one of the CIDR ranges."""
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(subnet, strict=False) for subnet in subnets)


def _clusters_of(rules: Iterable[Rule], l4_rules: Iterable[L4Rule]) -> Iterable[ClusterKey]:
    for l4_rule in l4_rules:
        yield from (item.cluster for item in l4_rule.destinations if item.cluster is not None)
    for rule in rules:
        yield from rule.clusters


def _direct(
    snapshot: Snapshot, services: Iterable[Service], hosts: Iterable[str], *, node: str
) -> tuple[DirectEndpoint, ...]:
    """What the demand names one by one: endpoints of headless services, workloads by name, and what was dialled."""
    found: list[DirectEndpoint] = []
    for host in hosts:
        place = dialled(snapshot, host)
        if place is not None:
            found.append(direct_to_place(snapshot, *place, node=node))
        for workload in workloads_named(snapshot, host):
            found += direct_to_workload(snapshot, workload, node=node)
    found += [
        called_directly(item, port.protocol, node=node)
        for service in services
        if service.headless
        for port in service.ports
        for item in snapshot.endpoints.get(ClusterKey(service=service.name, port=port.number), ())
        if not item.identity or item.address in snapshot.addresses
    ]
    unique = {(item.address, item.port): item for item in found}
    return tuple(unique[key] for key in sorted(unique))


def _proving(cluster: OutboundCluster, shown: ObjectName | None) -> OutboundCluster:
    """The cluster with the certificate that its caller shows to backends that end TLS themselves."""
    if shown is None or cluster.backend_tls is None:
        return cluster
    return replace(cluster, backend_tls=replace(cluster.backend_tls, certificate=shown))


def _gateway(snapshot: Snapshot, workload: Workload, servers: Servers) -> View:
    gateway = snapshot.gateways.get(workload.gateway) if workload.gateway else None
    own: tuple[GatewayListener, ...] = gateway.listeners if gateway else ()
    listeners = own + snapshot.edges.get(workload.name, ())
    wanted = {key for listener in listeners for key in _clusters_of(listener.rules, listener.l4_rules)}
    certificates = dict.fromkeys(name for listener in listeners for name in listener.certificates)
    if gateway and gateway.client_certificate:
        certificates[gateway.client_certificate] = None
    shown = gateway.client_certificate if gateway else None
    clusters = tuple(_proving(item, shown) for item in outbound_clusters(snapshot, wanted, workload, servers))
    proving = credentials_of(snapshot, clusters)
    served = {name: snapshot.certificates[name] for name in certificates if name in snapshot.certificates}
    return View(
        name=workload.name,
        identity=workload.identity,
        kind=workload.kind,
        capture=workload.capture,
        node=workload.node,
        address=workload.address,
        clusters=clusters,
        listeners=listeners,
        gateway=workload.gateway,
        gateway_ports=workload.gateway_ports,
        certificates=tuple({**proving, **served}.values()),
        policies=policies_for(snapshot, workload),
        authorizers=any(rule.authorizer is not None for listener in listeners for rule in listener.rules),
        publish=workload.publish,
        outbound_port=workload.outbound_port,
        workload_addresses=snapshot.workload_addresses,
    )
