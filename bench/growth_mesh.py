"""The mesh of the growth bench, written straight into a store before control starts.

Service `s0` is called by every sidecar, each other service by a few. A service has two routes: one to itself, one
that sends a part to its neighbour. Workload `sX-Y` is the Y-th endpoint of service sX; the first `sidecars` of them
(by endpoint, then by service) have a connected proxy. They are spread over the machines.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plait.controlplane.admission import Admission
from plait.controlplane.objects import Objects
from plait.store.sqlite import SqliteStore
from plait.store.store import Write

Document = dict[str, Any]
NAMESPACE: Final = "default"
DEMANDED: Final = 5
_AT_ONCE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the mesh is; `endpoints`, `routes` and `policies` are those of the whole mesh."""

    services: int
    routes: int
    policies: int
    endpoints: int
    sidecars: int
    machines: int

    def __str__(self) -> str:
        mesh = f"{self.services:,} services, {self.routes:,} routes, {self.policies:,} policies"
        return f"{mesh}, {self.endpoints:,} endpoints, {self.sidecars:,} sidecars on {self.machines:,} machines"


def service(number: int) -> Document:
    """A Service with its own selector."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"s{number}", "namespace": NAMESPACE},
        "spec": {
            "clusterIP": f"240.240.{number // 250}.{1 + number % 250}",
            "selector": {"app": f"s{number}"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def route(index: int, services: int, *, weight: int = 10) -> Document:
    """The route of that index: even ones lead to the service itself, odd ones (by `weight`) to its neighbour too."""
    own, number = index % services, index // services
    backends = [{"name": f"s{own}", "port": 80, "weight": 100 - weight}]
    if number % 2:
        backends.append({"name": f"s{(own + 1) % services}", "port": 80, "weight": weight})
    match = {"path": {"type": "PathPrefix", "value": f"/part-{number}"}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"r{index}", "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": f"s{own}", "port": 80}],
            "rules": [{"matches": [match], "backendRefs": backends, "timeouts": {"request": f"{5 + weight % 7}s"}}],
        },
    }


def policy(index: int, services: int) -> Document:
    """A policy that lets a few identities call a service."""
    callers = [f"cluster.local/ns/{NAMESPACE}/sa/s{(index + step) % services}" for step in (1, 2, 3)]
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": f"p{index}", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": f"s{index % services}"}},
            "rules": [{"from": [{"source": {"principals": callers}}], "to": [{"operation": {"methods": ["GET"]}}]}],
        },
    }


def workload(index: int, services: int, machines: int) -> Document:
    """The workload of that index: endpoint `index // services` of service `index % services`."""
    machine = index % machines
    name = f"s{index % services}"
    annotations = {
        "plait.dev/node": f"m{machine}",
        "plait.dev/machine-address": f"192.168.{machine // 250 % 250}.{1 + machine % 250}",
        "plait.dev/published": f"8080={31000 + index // machines}",
        "plait.dev/capture": "transparent",
        "plait.dev/phase": "Running",
        "plait.dev/ready": "true",
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": f"{name}-{index // services}",
            "namespace": NAMESPACE,
            "annotations": annotations,
        },
        "spec": {
            "address": f"10.{100 + index // 62500}.{index // 250 % 250}.{1 + index % 250}",
            "ports": {"http": 8080},
            "labels": {"app": name},
            "serviceAccount": name,
        },
    }


def documents(size: Size) -> Iterator[Document]:
    """The whole mesh."""
    yield from (service(number) for number in range(size.services))
    yield from (route(index, size.services) for index in range(size.routes))
    yield from (policy(index, size.services) for index in range(size.policies))
    yield from (workload(index, size.services, size.machines) for index in range(size.endpoints))


def proxies(size: Size) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(proxy, machine, demanded hosts) of each connected sidecar."""
    for index in range(size.sidecars):
        name = f"{NAMESPACE}/s{index % size.services}-{index // size.services}"
        called = {0, *((index * 7 + step * 131) % size.services for step in range(1, DEMANDED))}
        yield (
            name,
            f"m{index % size.machines}",
            tuple(f"s{number}.{NAMESPACE}.svc.cluster.local" for number in sorted(called)),
        )


def fill(database: Path, size: Size) -> None:
    """Write the mesh into a new store."""
    asyncio.run(_fill(database, size))


async def _fill(database: Path, size: Size) -> None:
    store, admission = SqliteStore.open(database), Admission()
    writes = [_write(admission, document) for document in documents(size)]
    for begin in range(0, len(writes), _AT_ONCE):
        await store.commit(writes[begin : begin + _AT_ONCE])
    await store.close()


def _write(admission: Admission, document: Mapping[str, Any]) -> Write:
    return Write(key=Objects.key_of(document), document=admission.finish(document, None), expected=0)
