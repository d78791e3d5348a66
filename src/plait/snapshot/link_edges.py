"""Linking Istio's Gateways: the listeners that each gateway's proxy has by them.

A proxy has the servers of all Gateways whose selector its labels fulfil, in any namespace; `plait gateway NAME` gives
it `istio: NAME` and `app: NAME` (ADR 31). A server becomes one listener a host. VirtualServices bound to the Gateway
give it rules where their hosts and the server's meet; of a request's host only the most exact one's rules count. What
cannot stand beside an older server, or beside a Gateway API listener of the same proxy, is left out and said.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from plait.model.gateways import ClientCertificates, GatewayListener, TlsCertificate, TlsTerms
from plait.model.ids import ObjectName
from plait.model.l4 import L4Rule
from plait.model.services import Protocol, Workload, WorkloadKind
from plait.model.snapshot import Status
from plait.model.traffic import Redirect, RedirectPort, Rule
from plait.snapshot.conditions import ACCEPTED, PROGRAMMED, Problem, checked, fails, holds, partially_invalid
from plait.snapshot.dirty import Dirty
from plait.snapshot.edges import DeclaredEdge, DeclaredServer
from plait.snapshot.follow import hosts_of
from plait.snapshot.link_gateways import link_certificates
from plait.snapshot.link_virtual_services import lookup_of
from plait.snapshot.links import Stage
from plait.snapshot.virtual_connections import connections_at
from plait.snapshot.virtual_delegates import expanded
from plait.snapshot.virtual_rules import Place, rules_at
from plait.snapshot.virtual_services import DeclaredVirtualService
from plait.snapshot.workloads import selects

_Bound = list[tuple[DeclaredVirtualService, str]]
_TO_HTTPS: Final = Redirect(scheme="https", status=301, port_of=RedirectPort.PROTOCOL)
ISTIO_GATEWAY: Final = "Gateway.networking.istio.io"


@dataclass(slots=True)
class _Linked:
    """What becomes of all Gateways: the listeners of each proxy, certificates, and what is wrong with each Gateway."""

    listeners: dict[ObjectName, tuple[GatewayListener, ...]] = field(
        default_factory=dict[ObjectName, tuple[GatewayListener, ...]]
    )
    certificates: dict[ObjectName, TlsCertificate] = field(default_factory=dict[ObjectName, TlsCertificate])
    problems: dict[ObjectName, list[Problem]] = field(default_factory=dict[ObjectName, list[Problem]])
    served: set[ObjectName] = field(default_factory=set[ObjectName])


def follow_edges(stage: Stage, dirty: Dirty) -> None:
    """Mark the services in front of gateways whose ports came to take mutual TLS of the mesh, or no longer do."""
    changed = {name for name in dirty.former if _is_gateway(stage, name, dirty)}
    known = stage.tables.workloads.workloads
    if dirty.edges:
        changed.update(name for name, item in known.items() if item.workload.kind is WorkloadKind.GATEWAY)
    for name in changed:
        declared = known.get(name)
        ports = _mesh_ports(stage, declared.workload) if declared else frozenset[int]()
        if ports != stage.links.mesh_ports.get(name, frozenset()):
            stage.links.mesh_ports[name] = ports
            if declared is not None:
                dirty.hosts.update(hosts_of(stage, declared.workload))


def _mesh_ports(stage: Stage, proxy: Workload) -> frozenset[int]:
    return frozenset(
        server.port
        for edge in stage.tables.edges.gateways.values()
        if selects(edge.selector, proxy.labels)
        for server in edge.servers
        if server.terms.mesh
    )


def link_edges(stage: Stage, dirty: Dirty) -> None:
    """Link all of Istio's Gateways again if anything changed that they depend on."""
    table = stage.tables.edges
    proxies_changed = any(_is_gateway(stage, name, dirty) for name in dirty.former)
    depends = dirty.virtual or dirty.gateways or dirty.shapes or proxies_changed
    if not dirty.edges and not (table.gateways and depends):
        return
    stage.effects.work["edges"] += 1
    linked = _Linked()
    for declared in stage.tables.workloads.workloads.values():
        if declared.workload.kind is WorkloadKind.GATEWAY:
            _link_proxy(stage, declared.workload, linked)
    links = stage.links
    for name in links.edges.values().keys() | linked.listeners.keys():
        if links.edges.put(name, linked.listeners.get(name)):
            stage.effects.workloads.add(name)
    if linked.certificates != links.edge_certificates:
        links.edge_certificates = linked.certificates
        stage.effects.workloads.update(linked.listeners)
        link_certificates(stage)
    for name in dirty.edges | table.gateways.keys():
        edge = table.gateways.get(name)
        links.statuses.put((ISTIO_GATEWAY, name), _status(edge, linked) if edge else None)


def _is_gateway(stage: Stage, name: ObjectName, dirty: Dirty) -> bool:
    both = (dirty.former[name], stage.tables.workloads.workloads.get(name))
    return any(item is not None and item.workload.kind is WorkloadKind.GATEWAY for item in both)


def _status(edge: DeclaredEdge, linked: _Linked) -> Status:
    problems = (*edge.dropped, *dict.fromkeys(linked.problems.get(edge.name, ())))
    refused = problems if not edge.servers else ()
    running = edge.name in linked.served
    sentence = "no gateway has the labels of its selector; `plait gateway NAME` starts one with `istio: NAME`"
    return Status(
        kind=ISTIO_GATEWAY,
        name=edge.name,
        generation=edge.generation,
        conditions=(
            checked(ACCEPTED, refused),
            holds(PROGRAMMED) if running else fails(PROGRAMMED, "Pending", sentence),
            *partially_invalid(() if refused else problems),
        ),
    )


def _link_proxy(stage: Stage, proxy: Workload, linked: _Linked) -> None:
    """Add the listeners of one proxy, those of older Gateways first."""
    own = stage.links.gateways.get(proxy.gateway) if proxy.gateway else None
    found = list(own.listeners if own else ())
    first = len(found)
    for edge in stage.tables.edges.by_age():
        if not selects(edge.selector, proxy.labels):
            continue
        linked.served.add(edge.name)
        for server in edge.servers:
            problem = _terms_problem(stage, proxy, server, linked)
            place = _Place(stage=stage, edge=edge, server=server, proxy=proxy)
            for listener in () if problem else _listeners(place):
                problem = _conflict(listener, found)
                if problem is None:
                    found.append(listener)
                else:
                    linked.problems.setdefault(edge.name, []).append(problem)
            if problem is not None:
                linked.problems.setdefault(edge.name, []).append(problem)
    linked.listeners[proxy.name] = tuple(found[first:])


def _conflict(new: GatewayListener, others: list[GatewayListener]) -> Problem | None:
    """Why a listener cannot stand beside the others of its port, None if it can."""
    for other in others:
        if other.port != new.port:
            continue
        encrypted = [item.tls or item.protocol is Protocol.TLS for item in (new, other)]
        if encrypted[0] != encrypted[1] or (other.protocol.is_http != new.protocol.is_http and not encrypted[0]):
            sentence = f"port {new.port} has another protocol at {other.name}; use another port"
            return Problem(reason="ProtocolConflict", message=sentence)
        if other.hostname == new.hostname:
            sentence = f"port {new.port} has host {new.hostname or '*'} at {other.name} already; use another host"
            return Problem(reason="HostnameConflict", message=sentence)
    return None


def _terms_problem(stage: Stage, proxy: Workload, server: DeclaredServer, linked: _Linked) -> Problem | None:
    """What of a server's certificates is missing; those that are there are held."""
    for name in server.secrets:
        secret = stage.tables.gateways.secrets.get(_in_namespace(proxy, name))
        certificate = secret.credential.certificate if secret and secret.credential else None
        if certificate is None:
            sentence = (
                f"credentialName: Secret {proxy.name.namespace}/{name} has no certificate; make it in the namespace "
                "of the gateway by `kubectl create secret tls`"
            )
            return Problem(reason="InvalidCertificateRef", message=sentence)
        linked.certificates[certificate.name] = certificate
    if server.authority and not _authorities(stage, proxy, server):
        sentence = f"credentialName: Secret {proxy.name.namespace}/{server.authority} has no ca.crt to check clients by"
        return Problem(reason="InvalidCertificateRef", message=sentence)
    return None


def _authorities(stage: Stage, proxy: Workload, server: DeclaredServer) -> bytes:
    """What clients are checked against: of the Secret itself, or of the one beside it with `-cacert`."""
    for name in (server.authority, f"{server.authority}-cacert"):
        secret = stage.tables.gateways.secrets.get(_in_namespace(proxy, name))
        if secret is not None and secret.credential is not None and secret.credential.authorities:
            return secret.credential.authorities
    return b""


def _in_namespace(proxy: Workload, name: str) -> ObjectName:
    return ObjectName(namespace=proxy.name.namespace, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A server of a Gateway at a proxy."""

    stage: Stage
    edge: DeclaredEdge
    server: DeclaredServer
    proxy: Workload


def _listeners(at: _Place) -> Iterator[GatewayListener]:
    """One listener a host; of TLS of the mesh one for all, since sidecars name no host in it."""
    if at.server.terms.mesh:
        yield _listener(at, "", at.server.hosts)
        return
    for host in at.server.hosts:
        yield _listener(at, host[1], (host,))


def _listener(at: _Place, hostname: str, hosts: Iterable[tuple[str, str]]) -> GatewayListener:
    edge, server = at.edge, at.server
    bound = [item for host in hosts for item in _bound(at.stage, edge, host)]
    listener = GatewayListener(
        name=f"{edge.name.namespace}.{edge.name.name}.{server.port}.{hostname or 'any'}",
        port=server.port,
        protocol=server.protocol,
        hostname=hostname,
        tls=server.tls,
        certificates=tuple(_in_namespace(at.proxy, name) for name in server.secrets),
        terms=_terms(at),
        clients=edge.clients,
        separate_hosts=True,
        attached_routes=len(bound),
        origin=server.origin,
    )
    if not server.protocol.is_http:
        return replace(listener, l4_rules=tuple(_connections(at, bound)))
    if server.redirects:
        secure = Rule(name="httpsRedirect", redirect=_TO_HTTPS, origin=server.origin)
        return replace(listener, rules=(secure,))
    return replace(listener, rules=tuple(_rules(at, hostname, bound)))


def _terms(at: _Place) -> TlsTerms:
    terms = at.server.terms
    if terms.clients is ClientCertificates.UNASKED or terms.mesh:
        return terms
    return replace(terms, authorities=_authorities(at.stage, at.proxy, at.server))


def _bound(stage: Stage, edge: DeclaredEdge, host: tuple[str, str]) -> Iterator[tuple[DeclaredVirtualService, str]]:
    """The VirtualServices that the Gateway's host is for, the oldest first, with each host where both meet."""
    where, hostname = host
    services = sorted(stage.tables.virtual_services.virtual_services.values(), key=lambda item: item.age)
    for service in services:
        seen = service.exports is None or edge.name.namespace in service.exports
        if not seen or where not in ("*", service.name.namespace) or not _names(service, edge):
            continue
        for spellings in service.hosts:
            meeting = _meeting(hostname, spellings[0])
            if meeting is not None:
                yield service, meeting


def _names(service: DeclaredVirtualService, edge: DeclaredEdge) -> bool:
    return str(edge.name) in service.gateways or any(
        str(edge.name) in rule.gateways for route in service.http for rule in route.rules
    )


def _meeting(server: str, written: str) -> str | None:
    """The host that a server's and a VirtualService's have in common: the more exact one; None where they have none."""
    written = "" if written == "*" else written
    for wide, narrow in ((server, written), (written, server)):
        if not wide or wide == narrow:
            return narrow
        if wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]) and narrow:
            return narrow
    return None


def _rules(at: _Place, hostname: str, bound: _Bound) -> Iterator[Rule]:
    place = Place(port=at.server.port, gateway=str(at.edge.name))
    find = at.stage.tables.virtual_services.find
    for service, host in bound:
        for rule in rules_at(expanded(service, find, _ignore), place, lookup_of(at.stage), gateways=service.gateways):
            yield replace(rule, hostnames=(host,) if host and host != hostname else ())


def _ignore(sentence: str) -> None:
    """What is wrong with delegates is said at the VirtualService."""


def _connections(at: _Place, bound: _Bound) -> Iterator[L4Rule]:
    """Rules for connections: those of `tls` where TLS is passed on, else those of `tcp`."""
    place = Place(port=at.server.port, gateway=str(at.edge.name))
    protocol = Protocol.TLS if at.server.passes else Protocol.TCP
    for service in {item.name: item for item, _ in bound}.values():
        found = connections_at(
            service.connections, place, lookup_of(at.stage), protocol=protocol, gateways=service.gateways
        )
        yield from (rule for _, rule in found)
