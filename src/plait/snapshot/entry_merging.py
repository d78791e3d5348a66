"""Several ServiceEntries for one host, joined to one service.

Istio's merging: the oldest decides, and further ServiceEntries of its namespace add the ports that it lacks and their
own endpoints. A port keeps the protocol of the oldest that has it; who wrote another one is told so and adds nothing
there. Endpoints are for the ports of their own ServiceEntry only.

A host means one thing in the whole mesh. ServiceEntries of different namespaces are therefore joined only where they
say the same, so that all who see one of them see the host; of others the oldest alone is in force.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from plait.model.ids import Origin
from plait.model.view import is_given
from plait.snapshot.conditions import CONFLICTED, Problem
from plait.snapshot.declared import DeclaredPort, DeclaredService, FixedEndpoint
from plait.snapshot.exports import NOWHERE

PROTOCOL_CONFLICT = "ProtocolConflict"


def merged(entries: Sequence[DeclaredService]) -> DeclaredService:
    """The service of a host that these ServiceEntries declare, the one in force first."""
    first = entries[0]
    joining = [item for item in entries[1:] if not _obstacle(first, item)]
    if not joining:
        return first
    own = [item for item in joining if item.name.namespace == first.name.namespace]
    found = replace(first, fixed=_endpoints(first, first)) if own else first
    for item in own:
        found = _with(found, item)
    return replace(found, exported_to=_seen([found, *joining]))


def problems(entries: Sequence[DeclaredService], origin: Origin) -> Iterator[Problem]:
    """What of the ServiceEntry with that origin is not in force, among all for the host, the one in force first."""
    found, sources = entries[0], entries[:1]
    for item in entries:
        told = list(_problems(found, item, sources)) if item is not found else []
        if item.origin == origin:
            yield from told
            return
        if item is not entries[0] and not _obstacle(entries[0], item):
            found, sources = _with(found, item), (*sources, item)


def _problems(found: DeclaredService, item: DeclaredService, older: Sequence[DeclaredService]) -> Iterator[Problem]:
    obstacle = _obstacle(older[0], item)
    if obstacle:
        sentence = (
            f"hosts: {item.host} belongs to ServiceEntry {_name(older[0])}, which is older, and {obstacle}; "
            "change or remove one of the two"
        )
        yield Problem(reason=CONFLICTED, message=sentence)
        return
    for port in item.ports:
        known = found.port(port.number)
        if known is not None and not _agree(known, port):
            holder = next(entry for entry in older if entry.port(port.number) is not None)
            sentence = (
                f"ports: {port.number} of {item.host} is {_word(port)} here, but {_word(known)} in ServiceEntry "
                f"{_name(holder)}, which is older and stays in force for that port; give both the same protocol"
            )
            yield Problem(reason=PROTOCOL_CONFLICT, message=sentence)


def _obstacle(first: DeclaredService, other: DeclaredService) -> str:
    """Why two ServiceEntries for a host cannot be one service, empty if they can."""
    if other.name.namespace != first.name.namespace:
        return "" if _meaning(other) == _meaning(first) else "is of another namespace and says something else of it"
    for word, left, right in (
        ("location", first.external, other.external),
        ("resolution", first.resolution, other.resolution),
        ("workloadSelector", first.selector, other.selector),
        ("exportTo", first.exported_to, other.exported_to),
    ):
        if left != right:
            return f"has another {word}"
    return ""


def _meaning(item: DeclaredService) -> tuple[object, ...]:
    """What callers would notice; only the namespace's own workloads are behind a selector, so those never agree."""
    own = item.name.namespace if item.selector else ""
    address = "" if is_given(item.address) else item.address
    return item.external, item.resolution, own, item.ports, item.fixed, item.proves, item.ranges, address


def _seen(entries: Iterable[DeclaredService]) -> tuple[str, ...]:
    """The namespaces that see one of them, empty for all."""
    listed = [item.exported_to for item in entries]
    if not all(listed):
        return ()
    return tuple(sorted({name for names in listed for name in names} - set(NOWHERE))) or NOWHERE


def _with(found: DeclaredService, item: DeclaredService) -> DeclaredService:
    """A service with the ports, endpoints, addresses and names that another ServiceEntry adds."""
    ports = (*found.ports, *_ports_added(found, item))
    taken = replace(found, ports=ports)
    more = [endpoint for endpoint in _endpoints(taken, item) if endpoint not in found.fixed]
    written = (item.address,) if item.address and not is_given(item.address) else ()
    ranges = (text for text in (*written, *item.ranges) if text not in (found.address, *found.ranges))
    return replace(
        taken,
        fixed=(*found.fixed, *more),
        ranges=(*found.ranges, *(text if "/" in text else _single(text) for text in ranges)),
        proves=tuple(dict.fromkeys((*found.proves, *item.proves))),
    )


def _single(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _ports_added(found: DeclaredService, item: DeclaredService) -> tuple[DeclaredPort, ...]:
    return tuple(port for port in item.ports if found.port(port.number) is None)


def _endpoints(found: DeclaredService, item: DeclaredService) -> tuple[FixedEndpoint, ...]:
    """The endpoints of a ServiceEntry, for the ports of its own that it may say something of."""
    told = [(port, known) for port in item.ports if (known := found.port(port.number)) and _agree(known, port)]
    return tuple(
        replace(
            endpoint,
            ports=tuple(sorted((known.name, _number(endpoint, port)) for port, known in told)),
            only=tuple(sorted(known.number for _, known in told)),
        )
        for endpoint in item.fixed
        if told
    )


def _number(endpoint: FixedEndpoint, port: DeclaredPort) -> int:
    target = port.target if isinstance(port.target, int) else port.number
    return dict(endpoint.ports).get(port.name, target)


def _agree(left: DeclaredPort, right: DeclaredPort) -> bool:
    known = left.protocol is None or right.protocol is None or left.protocol is right.protocol
    return known and left.tcp is right.tcp


def _word(port: DeclaredPort) -> str:
    return port.protocol.value.upper() if port.protocol and port.tcp else "UDP" if not port.tcp else "not declared"


def _name(item: DeclaredService) -> str:
    return f"{item.origin.namespace}/{item.origin.name}"
