"""Who may attach to or refer to what: routes to ports of Services and to listeners, references across namespaces.

At a Service a route takes the ports it names (or all of them that carry requests); `hostnames` mean nothing there, the
destination's address decides. At a Gateway a listener must be named or not excluded, allow the route's namespace and
kind, and share a hostname with it. A route in another namespace than its parent Service is a consumer route.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from plait.model.services import Protocol
from plait.snapshot.conditions import Problem
from plait.snapshot.declared import (
    DeclaredGrant,
    DeclaredListener,
    DeclaredPort,
    DeclaredService,
    LabelRequirement,
    Reference,
)
from plait.snapshot.declared_routes import DeclaredRoute, ParentRef, RouteKind

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"


def is_service(reference: Reference) -> bool:
    """Whether it names a Service."""
    return reference[:2] == ("", "Service")


def is_gateway(reference: Reference) -> bool:
    """Whether it names a Gateway."""
    return reference[:2] == (GATEWAY_GROUP, "Gateway")


def takes(kind: RouteKind, parent: ParentRef, port: DeclaredPort) -> bool:
    """Whether a route of that kind with that parent acts on that port of the Service."""
    named = parent.port in (0, port.number) and parent.section in ("", port.name)
    return named and fits(kind, port)


def fits(kind: RouteKind, port: DeclaredPort) -> bool:
    """Whether what the port is declared to speak can be routed by that kind; a port that declares nothing fits all."""
    match kind:
        case RouteKind.GRPC | RouteKind.HTTP:
            return port.takes_requests
        case RouteKind.TLS:
            return port.tcp and port.protocol in (None, Protocol.TLS)
        case RouteKind.TCP:
            return port.tcp and (port.protocol is None or not port.protocol.is_http)


def service_problem(kind: RouteKind, parent: ParentRef, service: DeclaredService | None) -> Problem | None:
    """Why a route cannot attach to that Service, or None if it does to at least one port."""
    name = f"Service {parent.name}"
    if service is None:
        return _no_parent(f"{name} does not exist; make it, or name another one in parentRefs")
    if service.alias:
        return _no_parent(f"{name} is of type ExternalName, which has no address that routes could act on")
    if service.headless:
        return _no_parent(
            f"{name} is headless: calls go to its endpoints themselves, past all routes; give it a clusterIP"
        )
    if any(takes(kind, parent, port) for port in service.ports):
        return None
    return _no_parent(f"{name} {_port_sentence(kind, parent, service.ports)}")


_CARRIED: Final = {RouteKind.GRPC: "HTTP", RouteKind.HTTP: "HTTP", RouteKind.TLS: "TLS", RouteKind.TCP: "plain TCP"}


def _port_sentence(kind: RouteKind, parent: ParentRef, ports: Sequence[DeclaredPort]) -> str:
    named = [port for port in ports if parent.port in (0, port.number) and parent.section in ("", port.name)]
    if not named:
        listed = ", ".join(str(port.number) for port in ports) or "none"
        wanted = f"port {parent.port}" if parent.port else f"port named {parent.section}"
        return f"has no {wanted}; its ports are {listed}"
    numbers = ", ".join(f"{port.number} ({_spoken(port)})" for port in named)
    return f"carries no {_CARRIED[kind]} on {numbers}; declare it by appProtocol or the port's name"


def _spoken(port: DeclaredPort) -> str:
    return port.protocol.value if port.tcp and port.protocol else "udp"


def _no_parent(message: str) -> Problem:
    return Problem(reason="NoMatchingParent", message=message)


def granted(grants: Iterable[DeclaredGrant], source: tuple[str, str, str], target: Reference) -> bool:
    """Whether a (group, kind, namespace) may refer to an object: of its own namespace, or of one that grants it."""
    group, kind, name = target
    if source[2] == name.namespace:
        return True
    wanted = {(group, kind, ""), (group, kind, name.name)}
    return any(source in grant.sources and not wanted.isdisjoint(grant.targets) for grant in grants)


_KINDS: Final[Mapping[tuple[str, bool], tuple[RouteKind, ...]]] = {
    ("HTTP", False): (RouteKind.HTTP, RouteKind.GRPC),
    ("HTTPS", False): (RouteKind.HTTP, RouteKind.GRPC),
    ("TLS", True): (RouteKind.TLS,),
    ("TLS", False): (RouteKind.TLS, RouteKind.TCP),
    ("TCP", False): (RouteKind.TCP,),
}


def protocol_kinds(listener: DeclaredListener) -> tuple[RouteKind, ...]:
    """The kinds of routes that a listener's protocol (and whether it passes TLS through) can serve."""
    return _KINDS.get((listener.protocol, listener.passthrough and listener.protocol == "TLS"), ())


def admitted_kinds(listener: DeclaredListener) -> tuple[RouteKind, ...]:
    """The kinds of routes that may attach to a listener: those it lists, of those it can serve."""
    kinds = protocol_kinds(listener)
    return tuple(kind for kind in kinds if (GATEWAY_GROUP, kind.value) in listener.kinds) if listener.kinds else kinds


def selects_listener(parent: ParentRef, listener: DeclaredListener) -> bool:
    """Whether the reference means that listener: it names it, its port, or neither."""
    return parent.section in ("", listener.name) and parent.port in (0, listener.port)


def allows(listener: DeclaredListener, route: DeclaredRoute, *, gateway: str, labels: Mapping[str, str] | None) -> bool:
    """Whether a listener (of a Gateway in namespace `gateway`) allows the route; `labels` are its namespace's."""
    if route.kind not in admitted_kinds(listener):
        return False
    if listener.namespaces == "Same":
        return route.name.namespace == gateway
    if listener.namespaces == "Selector":
        own = {NAMESPACE_LABEL: route.name.namespace, **(labels or {})}
        return listener.selector is not None and all(_meets(requirement, own) for requirement in listener.selector)
    return listener.namespaces == "All"


def _meets(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def shared_hostnames(listener: str, route: Sequence[str]) -> tuple[str, ...] | None:
    """The hostnames that a listener and a route share, () for every host, None where they share none."""
    if not route:
        return (listener,) if listener else ()
    shared = tuple(dict.fromkeys(filter(None, (_shared(listener, hostname) for hostname in route))))
    return shared or None


def _shared(listener: str, hostname: str) -> str:
    if not listener or covers(listener, hostname):
        return hostname
    return listener if covers(hostname, listener) else ""


def covers(pattern: str, hostname: str) -> bool:
    """Whether the pattern takes in the whole hostname: `*.a.com` covers `x.a.com` and `*.x.a.com`, not `a.com`."""
    if not pattern.startswith("*."):
        return pattern == hostname
    return hostname.endswith(pattern[1:])
