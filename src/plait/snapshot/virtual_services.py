"""VirtualServices as declared: hosts, who sees them, and rules in the order they were written.

Each match of an HTTP rule becomes a rule of its own, with references to destinations that are looked up where the
rules are put to use (`virtual_rules`): what a destination without a port means depends on the port that is called.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from plait.model.ids import ObjectName, Origin
from plait.resources.istio import matches as api
from plait.resources.istio.virtual_service import HTTPMatchRequest, HTTPRoute, VirtualServiceSpec
from plait.resources.parse import Resource
from plait.snapshot.names import possible_hosts
from plait.snapshot.virtual_actions import action, header_change, percent_of, problems
from plait.snapshot.virtual_connections import VirtualConnection, declare_connections
from plait.snapshot.virtual_destinations import (
    MESH,
    VirtualDestination,
    VirtualRoute,
    VirtualRule,
    gateway_names,
    virtual_destination,
)
from plait.snapshot.virtual_matches import callers, request_match

KIND: Final = "VirtualService"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredVirtualService:
    """A VirtualService. Each of `hosts` is what one written host may mean; `exports` is None for every namespace."""

    name: ObjectName
    generation: int
    created: float
    hosts: tuple[tuple[str, ...], ...]
    gateways: tuple[str, ...]
    exports: frozenset[str] | None
    http: tuple[VirtualRoute, ...] = ()
    connections: tuple[VirtualConnection, ...] = ()
    origin: Origin

    @property
    def age(self) -> tuple[float, ObjectName]:
        """Orders VirtualServices: the older one decides."""
        return self.created, self.name

    @property
    def all_hosts(self) -> frozenset[str]:
        """Everything that its hosts may mean, wildcards as they are written."""
        return frozenset(host for hosts in self.hosts for host in hosts)

    def seen_from(self, namespace: str) -> bool:
        """Whether callers (or VirtualServices) of that namespace see it."""
        return self.exports is None or namespace in self.exports


def declare_virtual_service(resource: Resource, spec: VirtualServiceSpec) -> DeclaredVirtualService:
    """What a VirtualService declares."""
    namespace = resource.namespace
    return DeclaredVirtualService(
        name=resource.object_name,
        generation=resource.generation,
        created=resource.created,
        hosts=tuple(_hosts(host, namespace) for host in spec.hosts),
        gateways=gateway_names(spec.gateways, namespace) or (MESH,),
        exports=_exports(spec.export_to, namespace),
        http=tuple(
            virtual_route(route, resource.origin(f"spec.http[{index}]"), index=index)
            for index, route in enumerate(spec.http)
        ),
        connections=tuple(declare_connections(spec, resource.origin("spec"))),
        origin=resource.origin("spec"),
    )


def _hosts(written: str, namespace: str) -> tuple[str, ...]:
    if written.startswith("*"):
        return (written.lower().rstrip("."),)
    return possible_hosts(written, namespace)


def _exports(written: Iterable[str], namespace: str) -> frozenset[str] | None:
    names = tuple(written)
    if not names or "*" in names:
        return None
    return frozenset(namespace if name == "." else name for name in names if name != "~")


def virtual_route(route: HTTPRoute, origin: Origin, *, index: int) -> VirtualRoute:
    """An HTTP rule at that place of its list; `origin` is where it is written."""
    label = f"{origin.namespace}/{origin.name}/{route.name or f'http[{index}]'}"
    return VirtualRoute(
        written=route,
        origin=origin,
        rules=() if route.delegate is not None else tuple(_rules(route, origin, label)),
        problems=tuple(f"{origin.path}.{problem}" for problem in problems(route)),
    )


def _rules(route: HTTPRoute, origin: Origin, label: str) -> Iterator[VirtualRule]:
    does = action(route)
    destinations, mirrors = tuple(_destinations(route, origin)), tuple(_mirrors(route, origin))
    several = len(route.match) > 1
    for at, match in enumerate(route.match or (HTTPMatchRequest(),)):
        suffix = f"/match[{at}]" if several else ""
        place = replace(origin, path=f"{origin.path}.match[{at}]") if several else origin
        yield VirtualRule(
            rule=replace(
                does, name=f"{label}{suffix}", match=request_match(match), callers=callers(match), origin=place
            ),
            port=match.port or 0,
            gateways=gateway_names(match.gateways, origin.namespace),
            destinations=destinations,
            mirrors=mirrors,
        )


def _destinations(route: HTTPRoute, origin: Origin) -> Iterator[VirtualDestination]:
    """The shares; of one destination the weight means nothing, and of several 0 means none.

    One of 0 is named all the same, so that callers keep its cluster: requests that a delay holds may have chosen it.
    """
    alone = len(route.route) == 1
    for at, item in enumerate(route.route):
        place = replace(origin, path=f"{origin.path}.route[{at}].destination")
        headers = item.headers or api.Headers()
        yield replace(
            virtual_destination(item.destination, place),
            weight=1 if alone else item.weight,
            request_headers=header_change(headers.request),
            response_headers=header_change(headers.response),
        )


def _mirrors(route: HTTPRoute, origin: Origin) -> Iterator[VirtualDestination]:
    if route.mirror is not None:
        old = route.mirror_percent if route.mirror_percent is not None else route.mirror_percent_old
        percent = percent_of(route.mirror_percentage, old, 100)
        place = replace(origin, path=f"{origin.path}.mirror")
        yield replace(virtual_destination(route.mirror, place), share=percent / 100)
    for at, policy in enumerate(route.mirrors):
        place = replace(origin, path=f"{origin.path}.mirrors[{at}].destination")
        yield replace(
            virtual_destination(policy.destination, place), share=percent_of(policy.percentage, None, 100) / 100
        )
