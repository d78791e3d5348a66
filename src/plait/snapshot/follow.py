"""From what changed to what depends on it: the first steps of an update. They decide nothing, they only mark."""

from plait.model.ids import ObjectName
from plait.model.services import Workload
from plait.snapshot.attach import is_gateway, is_service
from plait.snapshot.declared import DeclaredWorkload
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.services import service_host


def follow_workloads(stage: Stage, dirty: Dirty) -> None:
    """Mark the services that changed workloads serve or served, and the Gateways they are proxies of."""
    tables, links = stage.tables, stage.links
    for name, former in dirty.former.items():
        now = tables.workloads.workloads.get(name)
        links.workloads.put(name, now.workload if now else None)
        moved = _reached(former) != _reached(now)
        for item in (former, now):
            if item is not None:
                stage.effects.hosts.update((item.workload.address,) if moved else ())
                dirty.hosts.update(hosts_of(stage, item.workload))
                if item.workload.gateway is not None:
                    dirty.gateways.add(item.workload.gateway)
    stage.effects.workloads.update(links.workloads.changed)
    for address in dirty.addresses:
        holder = tables.workloads.at(address)
        links.addresses.put(address, holder.workload.name if holder else None)


def _reached(item: DeclaredWorkload | None) -> tuple[object, ...]:
    """What those depend on who call the workload by its own address."""
    if item is None:
        return ()
    found = item.workload
    place = (found.address, found.node, found.machine_address, found.ports, found.gateway, found.gateway_ports)
    return (*place, found.kind, found.identity, found.in_mesh)


def hosts_of(stage: Stage, workload: Workload) -> set[str]:
    """The hosts that a workload may be behind."""
    namespace = workload.name.namespace
    found = set(stage.tables.services.selectors.selecting(namespace, workload.labels))
    found.update(service_host(ObjectName(namespace=namespace, name=name)) for name, _, _ in workload.services)
    found.update(stage.tables.services.hosts_listing(workload.address))
    return found


def follow_services(stage: Stage, dirty: Dirty) -> None:
    """Mark the routes that send or attach to services that came, went, or have other ports."""
    routes = stage.tables.routes
    for name in dirty.shapes:
        reference = ("", "Service", name)
        dirty.add_routes(routes.sending_to(reference))
        dirty.answers.update(routes.attached_to(reference))
        dirty.frontends.add(service_host(name))


def follow_routes(stage: Stage, dirty: Dirty) -> None:
    """Mark what routes are or were attached to: rules, and what a Service's ports speak, may differ."""
    for reference in dirty.parents:
        if is_gateway(reference):
            dirty.gateways.add(reference[2])
        elif is_service(reference) and reference[2] in stage.tables.services.services:
            dirty.hosts.add(service_host(reference[2]))
            dirty.frontends.add(service_host(reference[2]))
