"""How far a workload may reach at all: the upper bound that a Sidecar sets.

What a workload holds is what it calls (its demand); a `Reach` says what it may call. A host of a listener with a port
is for that port of the services only, and such a listener takes its port away from those without one. An excluded
host wins over every other host of its listener.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from plait.model.ids import ObjectName, Origin
from plait.model.services import Service
from plait.model.traffic_policy import Pool

ANY = "*"
OWN = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPattern:
    """Services of a namespace (`*` any, `.` the caller's) with a host: exact, `*`, or `*.example.com`."""

    namespace: str
    host: str
    path: str = ""
    """Where in the Sidecar it is written."""

    def covers(self, service: Service, namespace: str) -> bool:
        """Whether a service is meant, to a caller in that namespace."""
        wanted = namespace if self.namespace == OWN else self.namespace
        if wanted not in (ANY, service.name.namespace):
            return False
        return service.host.endswith(self.host[1:]) if self.host.startswith(ANY) else service.host == self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressListener:
    """Hosts that may be called, on one port of theirs or (0) on all that no other listener names."""

    port: int = 0
    hosts: tuple[HostPattern, ...] = ()
    excluded: tuple[HostPattern, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a call is within the reach, and the place that says so: the host, or the egress that has none for it."""

    allowed: bool
    path: str = "spec.egress"
    excluded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What one Sidecar lets workloads call; `registry_only` refuses what is no service of the mesh.

    `app_ports` are (port, port of the app): where calls to the workload go that its app takes at another port. `pool`
    limits the connections to the app, `pools` those of single ports, which inherit nothing from it.
    """

    sidecar: ObjectName
    listeners: tuple[EgressListener, ...]
    registry_only: bool = False
    app_ports: tuple[tuple[int, int], ...] = ()
    pool: Pool | None = None
    pools: tuple[tuple[int, Pool], ...] = ()

    def pool_at(self, port: int) -> Pool | None:
        """The limits of connections to a port of the app, None where it is for others to say."""
        return dict(self.pools).get(port, self.pool)

    def verdict(self, service: Service, port: int, namespace: str) -> Verdict:
        """Whether a caller in that namespace may call that port of a service, and which host says so."""
        named = [listener for listener in self.listeners if listener.port == port]
        found = Verdict(allowed=False)
        for listener in named or (listener for listener in self.listeners if not listener.port):
            verdict = _verdict(listener, service, namespace)
            if verdict.allowed:
                return verdict
            found = verdict if verdict.excluded else found
        return found

    def lets(self, service: Service, port: int, namespace: str) -> bool:
        """Whether a caller in that namespace may call that port of a service."""
        return self.verdict(service, port, namespace).allowed

    def lets_any(self, service: Service, namespace: str) -> bool:
        """Whether a caller in that namespace may call any port of a service (or its name, if it has no port)."""
        ports: Iterable[int] = [port.number for port in service.ports] or (0,)
        return any(self.lets(service, port, namespace) for port in ports)

    def named_hosts(self) -> frozenset[str] | None:
        """The hosts that alone can be within the reach, None where one is a wildcard."""
        hosts = frozenset(pattern.host for listener in self.listeners for pattern in listener.hosts)
        return None if any(host.startswith(ANY) for host in hosts) else hosts

    def origin(self, path: str = "spec") -> Origin:
        """A place in the Sidecar."""
        return Origin(kind="Sidecar", namespace=self.sidecar.namespace, name=self.sidecar.name, path=path)


def _verdict(listener: EgressListener, service: Service, namespace: str) -> Verdict:
    for pattern in listener.excluded:
        if pattern.covers(service, namespace):
            return Verdict(allowed=False, path=pattern.path, excluded=True)
    for pattern in listener.hosts:
        if pattern.covers(service, namespace):
            return Verdict(allowed=True, path=pattern.path)
    return Verdict(allowed=False)
