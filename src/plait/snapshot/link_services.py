"""Linking services: their ports' protocols, the workloads behind them, their endpoints and identities."""

from collections.abc import Iterable, Sequence

from plait.model.services import Endpoint, Service
from plait.model.traffic import ClusterKey
from plait.snapshot.declared import DeclaredService, DeclaredWorkload
from plait.snapshot.dirty import Dirty
from plait.snapshot.endpoints import Behind, cluster_endpoints, cluster_identities, cluster_members
from plait.snapshot.follow_security import takes_plaintext
from plait.snapshot.link_sidecars import note_places
from plait.snapshot.links import Stage
from plait.snapshot.names import DIALLED, is_dialled
from plait.snapshot.services import link, target_number


def link_services(stage: Stage, dirty: Dirty) -> None:
    """Link every marked host again."""
    for host in dirty.hosts:
        stage.effects.work["services"] += 1
        declared = stage.tables.services.owners.get(host)
        members = tuple(stage.tables.workloads.behind(declared)) if declared else ()
        former = stage.links.services.get(host)
        instances = _instances(stage, former)
        service = _link(stage, declared, members) if declared else None
        if stage.links.services.put(host, service):
            stage.effects.hosts.add(host)
            stage.effects.names.add(host)
            stage.effects.hosts.update(_note_dialled(stage, host, service))
            if stage.links.exported.put(host, (service.exported_to if service else ()) or None):
                stage.effects.scopes = True
            dirty.frontends.add(host)
        same = stage.links.services.get(host) is former
        led_to = _led_to(former, stage.links.members.get(host, ()))
        led_to ^= _led_to(stage.links.services.get(host), members)
        stage.effects.hosts.update(address for address, _ in led_to)
        note_places(stage, host, members, same=same)
        _link_members(stage, host, members, same=same)
        _link_clusters(stage, former, stage.links.services.get(host), declared=declared, members=members)
        _note_instances(stage, host, instances, _instances(stage, stage.links.services.get(host)))


def _note_dialled(stage: Stage, host: str, service: Service | None) -> Iterable[str]:
    """Every workload holds what is called by an address that DNS of the mesh did not give."""
    by_address = service is not None and not service.headless and is_dialled(service)
    return (DIALLED,) if stage.links.dialled.put(host, service if by_address else None) else ()


def _link(stage: Stage, declared: DeclaredService, members: Sequence[DeclaredWorkload]) -> Service:
    reachable = not (declared.headless or declared.alias or declared.is_entry)
    return link(
        declared,
        attached=lambda port: stage.tables.routes.spoken_at(declared.name, port) if reachable else None,
        members=members,
    )


def _link_members(stage: Stage, host: str, members: tuple[DeclaredWorkload, ...], *, same: bool) -> None:
    """Note which workloads serve the host; with a service that changed, the inbound ports of all may differ."""
    former = stage.links.members.get(host, ())
    if members:
        stage.links.members[host] = members
    else:
        stage.links.members.pop(host, None)
    old, new = ({item.workload.name for item in listed} for listed in (former, members))
    for name in old ^ new:
        served = stage.links.served.setdefault(name, set())
        served.symmetric_difference_update((host,))
        if not served:
            del stage.links.served[name]
        stage.links.serving.put(name, tuple(sorted(served)) or None)
    stage.effects.workloads.update(old ^ new if same else old | new)


def _led_to(service: Service | None, members: Sequence[DeclaredWorkload]) -> set[tuple[str, int]]:
    """Addresses and ports of workloads that are theirs only because a service leads there."""
    if service is None:
        return set()
    return {
        (item.workload.address, number)
        for item in members
        for port in service.ports
        if (number := target_number(service, port, item.workload)) is not None
        and all(number != own.number for own in item.workload.ports)
    }


def _link_clusters(
    stage: Stage,
    former: Service | None,
    service: Service | None,
    *,
    declared: DeclaredService | None,
    members: Sequence[DeclaredWorkload],
) -> None:
    kept: set[ClusterKey] = set()
    if service is not None and declared is not None:
        tables = stage.tables
        slices = () if declared.is_entry else tables.services.slices_behind(declared.name)
        behind = Behind(
            members=members,
            slices=slices,
            workload_at=tables.workloads.at,
            plaintext=lambda workload, number: takes_plaintext(stage.links, workload, number),
        )
        for port in declared.ports:
            if port.tcp:
                key = ClusterKey(service=declared.name, port=port.number)
                kept.add(key)
                stage.effects.work["clusters"] += 1
                _put(stage, service, key, endpoints=cluster_endpoints(declared, port, behind))
                stage.links.behind.put(key, cluster_members(declared, port, behind) or None)
                if stage.links.identities.put(key, cluster_identities(declared, port, behind) or None):
                    stage.effects.hosts.add(service.host)
    if former is not None:
        for port in former.ports:
            key = ClusterKey(service=former.name, port=port.number)
            if key not in kept:
                stage.links.endpoints.put(key, None)
                stage.links.identities.put(key, None)
                stage.links.behind.put(key, None)


def _put(stage: Stage, service: Service, key: ClusterKey, *, endpoints: tuple[Endpoint, ...]) -> None:
    former = stage.links.endpoints.get(key)
    if not stage.links.endpoints.put(key, endpoints):
        return
    if service.headless:
        stage.effects.names.add(service.host)
    if service.headless or service.resolution.is_named or _outside(former or ()) != _outside(endpoints):
        stage.effects.hosts.add(service.host)


def _instances(stage: Stage, service: Service | None) -> set[tuple[str, str, int]]:
    """Name, address and port of each endpoint that a headless service has a name for."""
    if service is None or not service.headless:
        return set()
    keys = (ClusterKey(service=service.name, port=port.number) for port in service.ports)
    found = (item for key in keys for item in stage.links.endpoints.get(key) or ())
    return {(item.workload.rpartition("/")[2], item.address, item.port) for item in found}


def _note_instances(
    stage: Stage, host: str, before: set[tuple[str, str, int]], after: set[tuple[str, str, int]]
) -> None:
    """A workload behind a headless service has a name of its own, which comes and goes with its endpoint."""
    changed = {f"{name}.{host}" for name, _, _ in before ^ after}
    stage.effects.names.update(changed)
    stage.effects.hosts.update(changed)


def _outside(endpoints: Sequence[Endpoint]) -> bool:
    return any(not endpoint.identity for endpoint in endpoints)
