"""A VirtualService's rules for connections: `tls` for ports that carry TLS, `tcp` for those that carry bytes.

A port with TLS rules closes connections whose server name none of them has; on other ports what no rule takes goes to
the service, as in Istio.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from plait.model.ids import Origin
from plait.model.l4 import L4Destination, L4Rule
from plait.model.services import Protocol
from plait.model.traffic import Callers, ClusterKey
from plait.resources.istio.virtual_service import (
    L4MatchAttributes,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualServiceSpec,
)
from plait.snapshot.virtual_destinations import MESH, VirtualDestination, gateway_names, virtual_destination
from plait.snapshot.virtual_rules import Lookup, Place, cluster_of
from plait.snapshot.workloads import labels_of


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualConnection:
    """One match of a rule for connections: `rule` lacks destinations; `tls` says which ports it is for."""

    rule: L4Rule
    tls: bool
    callers: Callers
    gateways: tuple[str, ...]
    destinations: tuple[VirtualDestination, ...]


def declare_connections(spec: VirtualServiceSpec, origin: Origin) -> Iterator[VirtualConnection]:
    """The rules for connections, in order: those of `tls`, then those of `tcp`."""
    for index, tls in enumerate(spec.tls):
        yield from _rules(tls, replace(origin, path=f"spec.tls[{index}]"), f"tls[{index}]")
    for index, tcp in enumerate(spec.tcp):
        yield from _rules(tcp, replace(origin, path=f"spec.tcp[{index}]"), f"tcp[{index}]")


def _rules(route: TLSRoute | TCPRoute, origin: Origin, label: str) -> Iterator[VirtualConnection]:
    matches: Sequence[L4MatchAttributes | TLSMatchAttributes] = route.match or (L4MatchAttributes(),)
    several = len(route.match) > 1
    destinations = tuple(_destinations(route, origin))
    for at, match in enumerate(matches):
        suffix = f"/match[{at}]" if several else ""
        yield VirtualConnection(
            rule=L4Rule(
                name=f"{origin.namespace}/{origin.name}/{label}{suffix}",
                sni_hosts=tuple(map(str.lower, match.sni_hosts)) if isinstance(match, TLSMatchAttributes) else (),
                subnets=match.destination_subnets,
                ports=(match.port,) if match.port else (),
                origin=replace(origin, path=f"{origin.path}.match[{at}]") if several else origin,
            ),
            tls=isinstance(route, TLSRoute),
            callers=Callers(namespace=match.source_namespace, labels=labels_of(match.source_labels)),
            gateways=gateway_names(match.gateways, origin.namespace),
            destinations=destinations,
        )


def _destinations(route: TLSRoute | TCPRoute, origin: Origin) -> Iterator[VirtualDestination]:
    alone = len(route.route) == 1
    for at, item in enumerate(route.route):
        if alone or item.weight:
            place = replace(origin, path=f"{origin.path}.route[{at}].destination")
            yield replace(virtual_destination(item.destination, place), weight=1 if alone else item.weight)


def connections_at(
    connections: Iterable[VirtualConnection],
    place: Place,
    lookup: Lookup,
    *,
    protocol: Protocol,
    gateways: Iterable[str] = (MESH,),
) -> tuple[tuple[Callers, L4Rule], ...]:
    """The rules for connections that hold at a place that carries that protocol, in order, each with its callers."""
    everywhere = frozenset(gateways)
    return tuple(
        (item.callers, _resolved(item, place.port, lookup))
        for item in connections
        if item.tls is (protocol is Protocol.TLS)
        and item.rule.takes_port(place.port)
        and place.gateway in (item.gateways or everywhere)
    )


def _resolved(item: VirtualConnection, port: int, lookup: Lookup) -> L4Rule:
    shares = (
        L4Destination(
            cluster=cluster_of(destination, port, lookup), weight=destination.weight, origin=destination.origin
        )
        for destination in item.destinations
    )
    return replace(item.rule, destinations=tuple(shares))


def otherwise(cluster: ClusterKey) -> tuple[Callers, L4Rule]:
    """The rule that takes to a service what no other rule takes."""
    return Callers(), L4Rule(name="default", destinations=(L4Destination(cluster=cluster),))
