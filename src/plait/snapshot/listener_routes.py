"""Which routes attach to which listeners of a Gateway, and why others do not.

A listener must be named or not excluded, admit the route's kind and namespace, and share a hostname with it. Of an
HTTPRoute and a GRPCRoute that share a hostname at one listener the older one attaches, else the first by
`namespace/name`: the two are never merged. https://gateway-api.sigs.k8s.io/reference/spec/#grpcroutespec
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from plait.snapshot.attach import GATEWAY_GROUP, allows, selects_listener, shared_hostnames
from plait.snapshot.conditions import Problem
from plait.snapshot.declared import DeclaredGateway, DeclaredListener
from plait.snapshot.declared_routes import ParentRef, RouteKey
from plait.snapshot.routes import ResolvedRoute

Attachment = tuple[RouteKey, ParentRef]
"""A route and one of its references to the Gateway."""
Hostnames = tuple[str, ...]
Labels = Callable[[str], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What became of each reference (None where it attached), and the routes of each listener by its name."""

    outcomes: Mapping[Attachment, Problem | None]
    routes: Mapping[str, Sequence[tuple[ResolvedRoute, Hostnames]]]


def attach_routes(gateway: DeclaredGateway, routes: Iterable[ResolvedRoute], labels: Labels) -> Attached:
    """Attaches routes to the listeners of a Gateway; `labels` gives those of a namespace."""
    outcomes: dict[Attachment, Problem | None] = {}
    attached: dict[str, list[tuple[ResolvedRoute, Hostnames]]] = {item.name: [] for item in gateway.listeners}
    for route in sorted(routes, key=lambda item: (*item.ranked.age, item.route.kind)):
        found: dict[str, Hostnames] = {}
        for parent in route.route.parents:
            if parent.reference == (GATEWAY_GROUP, "Gateway", gateway.name):
                hosts = _hosts(gateway, route, parent, labels=labels(route.route.name.namespace))
                free = hosts if isinstance(hosts, Problem) else _unclaimed(route, hosts, attached)
                outcomes[route.route.key, parent] = free if isinstance(free, Problem) else None
                found.update({} if isinstance(free, Problem) else free)
        for name, hostnames in found.items():
            attached[name].append((route, hostnames))
    return Attached(outcomes=outcomes, routes=attached)


def _hosts(
    gateway: DeclaredGateway, route: ResolvedRoute, parent: ParentRef, *, labels: Mapping[str, str] | None
) -> Mapping[str, Hostnames] | Problem:
    named = [listener for listener in gateway.listeners if selects_listener(parent, listener)]
    if not named:
        sentence = f"Gateway {gateway.name} has no listener {_wanted(parent)}"
        return Problem(reason="NoMatchingParent", message=sentence)
    allowed = [item for item in named if allows(item, route.route, gateway=gateway.name.namespace, labels=labels)]
    if not allowed:
        names = ", ".join(f"{listener.name} ({listener.protocol})" for listener in named)
        who = f"{route.route.kind} of namespace {route.route.name.namespace}"
        sentence = f"protocol or allowedRoutes of listener {names} admits no {who}"
        return Problem(reason="NotAllowedByListeners", message=sentence)
    hosts = {
        listener.name: hostnames
        for listener in allowed
        if (hostnames := shared_hostnames(listener.hostname, route.route.hostnames)) is not None
    }
    if not hosts:
        return Problem(reason="NoMatchingListenerHostname", message=_no_hostname(allowed, route))
    return hosts


def _unclaimed(
    route: ResolvedRoute,
    hosts: Mapping[str, Hostnames],
    attached: Mapping[str, Sequence[tuple[ResolvedRoute, Hostnames]]],
) -> Mapping[str, Hostnames] | Problem:
    """The listeners where no route of the other kind for requests has one of the hostnames."""
    rivals = {name: _rivals(route, hostnames, attached[name]) for name, hostnames in hosts.items()}
    free = {name: hostnames for name, hostnames in hosts.items() if not rivals[name]}
    if free or not route.route.kind.of_requests:
        return free or hosts
    listed = ", ".join(sorted({rival for found in rivals.values() for rival in found}))
    sentence = f"{listed} has the same hostname at the listener and is older; use another hostname or one kind of route"
    return Problem(reason="Conflicted", message=sentence)


def _rivals(
    route: ResolvedRoute, hostnames: Hostnames, attached: Iterable[tuple[ResolvedRoute, Hostnames]]
) -> list[str]:
    return [
        f"{other.route.kind} {other.route.name}"
        for other, others in attached
        if route.route.kind.of_requests
        and other.route.kind.of_requests
        and other.route.kind is not route.route.kind
        and _overlap(hostnames, others)
    ]


def _overlap(one: Hostnames, other: Hostnames) -> bool:
    return not one or not other or any(shared_hostnames(hostname, other) for hostname in one)


def _wanted(parent: ParentRef) -> str:
    parts = (f"named {parent.section}" if parent.section else "", f"on port {parent.port}" if parent.port else "")
    return " ".join(part for part in parts if part) or "at all"


def _no_hostname(listeners: Iterable[DeclaredListener], route: ResolvedRoute) -> str:
    own = ", ".join(listener.hostname for listener in listeners)
    return f"hostnames {', '.join(route.route.hostnames)} are not among those of the listeners, {own}"
