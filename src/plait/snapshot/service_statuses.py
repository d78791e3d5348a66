"""What the mesh says of a Service whose wishes it cannot keep: a condition, only where there is something to say.

Two ports of services that lead to one port of an app must agree on whether it speaks HTTP; `workload_ports` decides
where they do not. And what is asked for requests means nothing on ports without them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from plait.model.ids import ObjectName
from plait.model.services import Service, ServicePort
from plait.model.snapshot import Status
from plait.resources.core import traffic_annotations as asked
from plait.snapshot.conditions import Problem, partially_invalid
from plait.snapshot.declared import DeclaredService, DeclaredWorkload
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.protection import needing_requests
from plait.snapshot.services import target_number

SERVICE: Final = "Service"
CONFLICT: Final = "ProtocolConflict"
WITHOUT_EFFECT: Final = "UnsupportedValue"
_OF_CALLERS: Final = (asked.MAX_REQUESTS, asked.RETRY_BUDGET, asked.EJECT_AFTER_ERRORS)
"""What callers keep to: beside a port with requests nobody expects it on one without."""
Leading = tuple[Service, ServicePort]


def write_service_statuses(stage: Stage, dirty: Dirty) -> None:
    """Write the statuses again of the Services that changed, and of those that share workloads with them."""
    links = stage.links
    shared = (host for workload in stage.effects.workloads for host in links.served.get(workload, ()))
    for host in dirty.hosts.union(shared):
        service, declared = links.services.get(host), stage.tables.services.owners.get(host)
        known = links.told.get(host)
        if service is None or declared is None or declared.is_entry:
            if known is not None:
                del links.told[host]
                links.statuses.put((SERVICE, known), None)
            continue
        problems = (*_conflicts(stage, service), *_without_requests(service, declared))
        if problems or known is not None or declared.warned:
            links.told[host] = declared.name
            conditions = partially_invalid(problems)
            status = Status(kind=SERVICE, name=declared.name, generation=declared.generation, conditions=conditions)
            links.statuses.put((SERVICE, declared.name), status)


def withdraws(status: Status) -> bool:
    """Whether a status says nothing but that what was said of a Service no longer holds."""
    return status.kind == SERVICE and not status.conditions


def _conflicts(stage: Stage, service: Service) -> Iterator[Problem]:
    """One for each port that another port contradicts, with the first workload where it does."""
    links = stage.links
    alone = len({port.protocol.is_http for port in service.ports}) < 2
    found: set[int] = set()
    for member in links.members.get(service.host, ()):
        hosts = links.served.get(member.workload.name, set())
        if alone and len(hosts) < 2:
            continue
        others = [other for host in sorted(hosts) if (other := links.services.get(host)) is not None]
        for port in service.ports:
            if port.number in found:
                continue
            problem = _conflict(service, port, others, member)
            if problem is not None:
                found.add(port.number)
                yield problem


def _conflict(
    service: Service, port: ServicePort, others: Iterable[Service], member: DeclaredWorkload
) -> Problem | None:
    number = target_number(service, port, member.workload)
    if number is None:
        return None
    leading = list(_leading(others, member, number))
    other = next((item for item in leading if item[1].protocol.is_http != port.protocol.is_http), None)
    if other is None:
        return None
    result = "HTTP" if any(item.asks_for_http for _, item in leading) else "TCP"
    sentence = (
        f"port {port.number} is {_word(port)}, but {_called(service, other)} leads to the same port {number}"
        f" of {member.workload.name} and is {_word(other[1])}: the app's sidecar takes it for {result};"
        " give both the same appProtocol"
    )
    return Problem(reason=CONFLICT, message=sentence)


def _word(port: ServicePort) -> str:
    return "HTTP" if port.protocol.is_http else port.protocol.value.upper()


def _leading(services: Iterable[Service], member: DeclaredWorkload, number: int) -> Iterator[Leading]:
    for service in services:
        for port in service.ports:
            if target_number(service, port, member.workload) == number:
                yield service, port


def _called(service: Service, other: Leading) -> str:
    if other[0].name == service.name:
        return f"port {other[1].number}"
    origin = other[0].origin
    return f"port {other[1].number} of {origin.kind} {ObjectName(namespace=origin.namespace, name=origin.name)}"


def _without_requests(service: Service, declared: DeclaredService) -> Iterator[Problem]:
    """What is asked for requests, where a port has none."""
    ports = ", ".join(str(port.number) for port in service.ports if not port.protocol.is_http)
    wishes = needing_requests(declared.protection, tells_caller=declared.tells_caller)
    if any(port.protocol.is_http for port in service.ports):
        wishes = tuple(name for name in wishes if name not in _OF_CALLERS)
    if ports and wishes:
        one = "," not in ports
        sentence = (
            f"{' and '.join(wishes)} {'has' if len(wishes) == 1 else 'have'} no effect on port{'' if one else 's'}"
            f" {ports}, which {'is' if one else 'are'} not HTTP; give {'it' if one else 'them'} an appProtocol like"
            " http if the app speaks it, else leave the annotation out"
        )
        yield Problem(reason=WITHOUT_EFFECT, message=sentence)
