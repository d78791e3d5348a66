"""Linking VirtualServices: what is marked when one changes, and the rules that they give to a frontend.

A host belongs to the VirtualService that names it most exactly, of several to the oldest one that the caller's
namespace sees; they are not merged at sidecars. Where a route of Gateway API is attached to the frontend, it decides
alone (ADR 24).
"""

from collections.abc import Iterable, Iterator, Mapping

from plait.model.services import Protocol, ServicePort
from plait.model.traffic import ClusterKey, HostRules
from plait.snapshot.attach import is_service
from plait.snapshot.declared import DeclaredService
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.services import host_of, service_host
from plait.snapshot.virtual_connections import connections_at, otherwise
from plait.snapshot.virtual_delegates import expanded
from plait.snapshot.virtual_rules import Lookup, Place, rules_at
from plait.snapshot.virtual_service_table import ANY, includes
from plait.snapshot.virtual_services import DeclaredVirtualService


def follow_virtual_services(stage: Stage, dirty: Dirty) -> None:
    """Mark the frontends of all hosts whose rules may differ, and the VirtualServices that compete for them."""
    table, owners = stage.tables.virtual_services, stage.tables.services.owners
    for host in {host_of(name) for name in dirty.shapes}:
        dirty.virtual.update(table.sending_to(host))
        dirty.virtual.update(item.name for item in table.for_host(host))
    for host in _included(owners, dirty.subsets):
        dirty.virtual.update(table.sending_to(host))
    for name in dirty.virtual:
        declared = table.find(name)
        dirty.virtual_hosts.update(declared.all_hosts if declared else ())
    hosts = _included(owners, dirty.virtual_hosts)
    dirty.frontends.update(hosts)
    for host in hosts:
        dirty.answers.update(stage.tables.routes.attached_to(("", "Service", owners[host].name)))
    hosts.update(service_host(reference[2]) for reference in dirty.parents if is_service(reference))
    for host in hosts:
        dirty.virtual.update(item.name for item in table.for_host(host))


def _included(owners: Mapping[str, DeclaredService], patterns: Iterable[str]) -> set[str]:
    """The hosts that somebody has among these, and below these wildcards."""
    listed = set(patterns)
    wild = [pattern for pattern in listed if pattern.startswith(ANY)]
    found = {host for host in listed if host in owners}
    if wild:
        found.update(host for host in owners if any(includes(pattern, host) for pattern in wild))
    return found


def lookup_of(stage: Stage) -> Lookup:
    """What destinations lead to."""
    return Lookup(service=stage.tables.services.with_endpoints, has_subset=stage.tables.destinations.has_subset)


def host_rules(stage: Stage, host: str, port: ServicePort, default: ClusterKey) -> Iterator[HostRules]:
    """The rules of each VirtualService for that port of a host, those that are asked first in front.

    `default` is the port's own cluster.
    """
    for declared in stage.tables.virtual_services.for_host(host):
        found = _rules_of(stage, declared, port, default)
        if (found.rules or found.l4_rules) and declared.exports != frozenset():
            yield found
            callers = [*(rule.callers for rule in found.rules), *(callers for callers, _ in found.l4_rules)]
            if declared.exports is None and not all(callers):
                return


def _rules_of(stage: Stage, declared: DeclaredVirtualService, port: ServicePort, default: ClusterKey) -> HostRules:
    table, place, lookup = stage.tables.virtual_services, Place(port=port.number), lookup_of(stage)
    namespaces = tuple(sorted(declared.exports or ()))
    if port.protocol.is_http:
        routes = expanded(declared, table.find, _ignore)
        return HostRules(namespaces=namespaces, rules=rules_at(routes, place, lookup, gateways=declared.gateways))
    connections = connections_at(
        declared.connections, place, lookup, protocol=port.protocol, gateways=declared.gateways
    )
    if connections and port.protocol is not Protocol.TLS:
        connections = (*connections, otherwise(default))
    return HostRules(namespaces=namespaces, l4_rules=connections)


def _ignore(sentence: str) -> None:
    """Sentences are for the status."""
