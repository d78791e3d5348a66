"""The limits that all instances of a service share: from its annotations, and as whoever counts looks them up."""

from collections.abc import Iterable, Iterator, Mapping

from plait.model.ids import ObjectName
from plait.model.protection import ServerProtection, SharedLimit
from plait.model.snapshot import Snapshot
from plait.resources.core import shared_limit_annotations as asked


def shared_limits(annotations: Mapping[str, str], service: ObjectName) -> tuple[SharedLimit, ...]:
    """What the annotations of a Service ask for, narrowest first."""
    return tuple(
        SharedLimit(service=service, counted_by=counted_by, of=of, quotas=quotas)
        for counted_by, of, quotas in asked.read_limits(annotations)
    )


def together(found: Iterable[ServerProtection]) -> tuple[SharedLimit, ...]:
    """The limits of all services that lead to a port: nobody knows by which of them a request came."""
    return tuple(dict.fromkeys(limit for item in found for limit in item.shared))


def served_limits(snapshot: Snapshot, machine: str) -> Mapping[str, Mapping[str, SharedLimit]]:
    """The limits, by id, of the services that workloads of a machine serve, by the services' names."""
    return {
        str(limits[0].service): {limit.id: limit for limit in limits} for limits in _served(snapshot, machine) if limits
    }


def _served(snapshot: Snapshot, machine: str) -> Iterator[tuple[SharedLimit, ...]]:
    for name, hosts in snapshot.serving.items():
        workload = snapshot.workloads.get(name)
        if workload is not None and workload.node == machine:
            yield from (snapshot.services[host].protection.server.shared for host in hosts)
