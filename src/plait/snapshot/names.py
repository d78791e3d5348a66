"""Names of services: how callers may spell them, what DNS answers, which keys lead to their routes.

`reviews`, `reviews.shop`, `reviews.shop.svc` and `reviews.shop.svc.cluster.local` are one host, the first only for
callers in namespace shop. `db-0.db.shop.svc.cluster.local` is the one workload db-0 behind the headless service db,
and `10.7.0.9:5432` is whatever workload has that address.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from plait.envoy import names
from plait.errors import NotFoundError
from plait.model.ids import ObjectName
from plait.model.reach import Reach
from plait.model.services import Capture, Endpoint, Service, Workload
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey, Frontend
from plait.model.view import NameRecord, ScopeKey, is_given
from plait.snapshot.direct import dialled, endpoint_at
from plait.snapshot.services import CLUSTER_DOMAIN

_SUFFIX: Final = f".svc.{CLUSTER_DOMAIN}"
_HTTP_PORT: Final = 80
_SPELLINGS: Final = 4096
"""So many names, as callers spell them, are taken apart once only."""
DIALLED: Final = "*"
"""Stands for every host that is called by addresses of its own, without DNS: all workloads demand them."""


def resolve_host(snapshot: Snapshot, spelling: str, namespace: str, *, reach: Reach | None = None) -> str | None:
    """The host that a caller in that namespace means by a spelling, or None where the mesh has no such name.

    With a reach, a name outside it does not exist; an address is always what it is.
    """
    if dialled(snapshot, spelling) is not None:
        return spelling
    for host in callable_hosts(spelling, namespace):
        service = service_behind(snapshot, host)
        if service is None or not service.seen_from(namespace):
            continue
        if reach is None or reach.lets_any(service, namespace):
            return host
    return None


def is_dialled(service: Service) -> bool:
    """Whether it is called by addresses that the mesh did not give, so that no question of DNS precedes a call."""
    return bool(service.ranges) or bool(service.address and not is_given(service.address))


def service_behind(snapshot: Snapshot, host: str) -> Service | None:
    """The service that a host names, itself or one workload behind it; None where the mesh has no such name."""
    service = snapshot.services.get(host)
    if service is None and _instance(snapshot, host) is not None:
        return snapshot.services[host.partition(".")[2]]
    return service


def possible_hosts(spelling: str, namespace: str) -> tuple[str, ...]:
    """Every host that a spelling may stand for in that namespace, whether the mesh has it or not; the first wins.

    For ADDRESS:PORT it is that, and the address: what is known of it follows the workload that has it.
    """
    place = names.parse_dialled(spelling)
    if place is not None:
        return spelling, place[0]
    text = spelling.rstrip(".").lower()
    stem = text.removesuffix(_SUFFIX).removesuffix(".svc")
    own = f"{stem}.{namespace}{_SUFFIX}"
    if "." not in stem:
        return own, text
    return tuple(dict.fromkeys((text, stem + _SUFFIX, own)))


@lru_cache(_SPELLINGS)
def callable_hosts(spelling: str, namespace: str) -> tuple[str, ...]:
    """The possible hosts, and after them the wildcards that stand for the name, the longest first."""
    labels = spelling.rstrip(".").lower().split(".")
    wildcards = (f"*.{'.'.join(labels[index:])}" for index in range(1, len(labels)))
    return (*possible_hosts(spelling, namespace), *wildcards)


def aliases(service: Service, namespace: str) -> tuple[str, ...]:
    """All spellings of a service's host that callers in that namespace may use, the shortest first."""
    stem = service.host.removesuffix(_SUFFIX)
    if stem == service.host:
        return (service.host,)
    short, _, own = stem.partition(".")
    return (*((short,) if own == namespace else ()), stem, f"{stem}.svc", service.host)


def name_of(snapshot: Snapshot, host: str) -> NameRecord | None:
    """What DNS answers for a host, None where the mesh has no such name."""
    place = dialled(snapshot, host)
    if place is not None:
        found = endpoint_at(snapshot, *place)
        return NameRecord(host=host, addresses=(found.address,) if found else (), ports=place[1:], headless=True)
    service = snapshot.services.get(host)
    if service is None:
        workload = _instance(snapshot, host)
        return NameRecord(host=host, addresses=(workload.address,), headless=True) if workload else None
    ports, port_names = tuple(port.number for port in service.ports), tuple(port.name for port in service.ports)
    if not service.headless:
        addresses = (service.address,) if service.address else ()
        return NameRecord(host=host, addresses=addresses, ports=ports, port_names=port_names, alias=service.alias)
    behind = {
        endpoint.address: _first_word(endpoint, service)
        for port in ports
        for endpoint in _behind(snapshot, service, port)
    }
    return NameRecord(
        host=host,
        addresses=tuple(sorted(behind)),
        ports=ports,
        headless=True,
        port_names=port_names,
        instances=tuple(behind[address] for address in sorted(behind)),
    )


def _first_word(endpoint: Endpoint, service: Service) -> str:
    """What comes before the service's host in the name of one workload behind it; empty if it has no such name."""
    namespace, _, name = endpoint.workload.partition("/")
    return name if namespace == service.name.namespace else ""


def _behind(snapshot: Snapshot, service: Service, port: int) -> tuple[Endpoint, ...]:
    return snapshot.endpoints.get(ClusterKey(service=service.name, port=port), ())


def _instance(snapshot: Snapshot, host: str) -> Workload | None:
    """The workload that `WORKLOAD.SERVICE.NAMESPACE.svc.cluster.local` names, if it is behind that headless service."""
    first, _, rest = host.partition(".")
    service = snapshot.services.get(rest)
    if service is None or not service.headless:
        return None
    name = ObjectName(namespace=service.name.namespace, name=first)
    behind = (item for port in service.ports for item in _behind(snapshot, service, port.number))
    return snapshot.workloads[name] if any(item.workload == str(name) for item in behind) else None


def workloads_named(snapshot: Snapshot, host: str) -> tuple[Workload, ...]:
    """The one workload that a host stands for, by its own address or its name behind a headless service; else none."""
    by_address = snapshot.addresses.get(host)
    if by_address is not None:
        return (snapshot.workloads[by_address],)
    instance = _instance(snapshot, host)
    return (instance,) if instance else ()


def scope_keys(
    snapshot: Snapshot, capture: Capture, *, namespace: str = "", reach: Reach | None = None
) -> tuple[ScopeKey, ...]:
    """The key of every HTTP frontend, each key once.

    In transparent capture a key is ADDRESS:PORT. In explicit capture it is an authority, in every spelling that callers
    in that namespace may use; without a namespace the short names are left out. With a reach, only what callers of that
    namespace may call has keys.
    """
    found: dict[str, ScopeKey] = {}
    for host, port, frontend in _frontends(snapshot, reach, namespace):
        seen = not namespace or snapshot.services[host].seen_from(namespace)
        if not frontend.protocol.is_http or not seen:
            continue
        authorities: tuple[str, ...] = (frontend.address,) if frontend.address else ()
        explicit = capture is Capture.EXPLICIT
        if explicit:
            authorities = (*aliases(snapshot.services[host], namespace), *authorities)
        for authority in authorities:
            for key in _spelled(authority, port, explicit=explicit):
                found.setdefault(key, ScopeKey(key=key, host=host, port=port))
    return tuple(found.values())


def _frontends(snapshot: Snapshot, reach: Reach | None, namespace: str) -> Iterable[tuple[str, int, Frontend]]:
    if reach is None:
        yield from ((host, port, frontend) for (host, port), frontend in sorted(snapshot.frontends.items()))
        return
    named = reach.named_hosts()
    hosts = snapshot.services if named is None else named & snapshot.services.keys()
    for host in sorted(hosts):
        service = snapshot.services[host]
        for number in sorted(port.number for port in service.ports):
            if reach.lets(service, number, namespace):
                yield host, number, snapshot.frontends[host, number]


def _spelled(authority: str, port: int, *, explicit: bool) -> Iterable[str]:
    bracketed = f"[{authority}]" if ":" in authority else authority
    yield f"{bracketed}:{port}"
    if explicit and port == _HTTP_PORT:
        yield bracketed


def workload_of(snapshot: Snapshot, name: ObjectName) -> Workload:
    """The workload of that name; raises NotFoundError."""
    workload = snapshot.workloads.get(name)
    if workload is None:
        raise NotFoundError(f"no workload {name} is registered", "`plait get workloads` lists those that are")
    return workload
