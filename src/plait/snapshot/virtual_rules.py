"""The rules that VirtualServices give at one place: a port at sidecars, or a port of a gateway.

A destination without a port means the only one of its service, else the port that was called. One that does not exist
keeps its share, which is answered 503, as in Istio.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from plait.model.traffic import ClusterKey, Destination, Mirror, Rule
from plait.snapshot.declared import DeclaredService
from plait.snapshot.virtual_destinations import MESH, VirtualDestination, VirtualRoute, VirtualRule

_MISSING: Final = 503
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where rules act: `gateway` is `mesh` or `namespace/name`."""

    port: int
    gateway: str = MESH


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What destinations lead to: the service that a host belongs to, and whether anyone declares a subset of hosts."""

    service: Callable[[str], DeclaredService | None]
    has_subset: Callable[[Iterable[str], str], bool]


def rules_at(
    routes: Iterable[VirtualRoute], place: Place, lookup: Lookup, *, gateways: Iterable[str] = (MESH,)
) -> tuple[Rule, ...]:
    """The rules that hold at a place, in order; `gateways` are those of the VirtualService."""
    everywhere = frozenset(gateways)
    return tuple(
        _resolved(item, place.port, lookup)
        for route in routes
        for item in route.rules
        if item.port in (0, place.port) and place.gateway in (item.gateways or everywhere)
    )


def _resolved(item: VirtualRule, port: int, lookup: Lookup) -> Rule:
    if item.rule.redirect is not None or item.rule.status is not None:
        return item.rule
    destinations = tuple(
        Destination(
            cluster=cluster_of(destination, port, lookup),
            weight=destination.weight,
            request_headers=destination.request_headers,
            response_headers=destination.response_headers,
            status=_MISSING,
            origin=destination.origin,
        )
        for destination in item.destinations
    )
    return replace(item.rule, destinations=destinations, mirrors=tuple(_mirrors(item, port, lookup)))


def _mirrors(item: VirtualRule, port: int, lookup: Lookup) -> Iterator[Mirror]:
    for mirror in item.mirrors:
        cluster = cluster_of(mirror, port, lookup)
        if cluster is not None and mirror.share:
            yield Mirror(cluster=cluster, numerator=round(mirror.share * _MILLION), denominator=_MILLION)


def service_of(destination: VirtualDestination, lookup: Lookup) -> DeclaredService | None:
    """The service that a destination means."""
    return next((found for host in destination.hosts if (found := lookup.service(host))), None)


def cluster_of(destination: VirtualDestination, port: int, lookup: Lookup) -> ClusterKey | None:
    """The cluster that a destination leads to from a port that is called; None where there is none."""
    service = service_of(destination, lookup)
    number = target_port(destination, port, service) if service else 0
    found = service.port(number) if service else None
    if service is None or found is None or not found.tcp:
        return None
    return ClusterKey(service=service.name, port=number, subset=destination.subset)


def target_port(destination: VirtualDestination, called: int, service: DeclaredService) -> int:
    """The port that a destination means."""
    ports = [port.number for port in service.ports if port.tcp]
    return destination.port or (ports[0] if len(ports) == 1 else called)
