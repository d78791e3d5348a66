"""What a change costs the control plane: a full build, and one endpoint sent to its subscribers.

A mesh of 1,000 services with 10 workloads each. The full build is `resources.parse` of all documents and one
`Builder.update`. The change is one workload that becomes unready and ready again, taken as control takes it: parsed,
built, published, and written for ten proxies which call that service: once to protocol objects in this process
(`streams`), once to gRPC streams with mutual TLS, read by another process (`live`).
"""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.rows import Row, median_row
from plait.controlplane.publisher import Publisher
from plait.resources.parse import Resource, parse
from plait.snapshot.build import Builder

Document = dict[str, Any]
SERVICES = 1000
WORKLOADS = 10
CALLERS = 10
CALLED = "s7"
CHANGES = 40


def cpu_of(work: Callable[[], object]) -> float:
    """Seconds of this process's CPU that the work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def service(number: int) -> Document:
    """A Service with its own selector."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"s{number}", "namespace": "default"},
        "spec": {
            "clusterIP": f"240.240.{number // 250}.{1 + number % 250}",
            "selector": {"app": f"s{number}"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def workload(service_number: int, number: int, *, ready: bool = True) -> Document:
    """One of a service's workloads, on one of twenty machines."""
    index = service_number * WORKLOADS + number
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": f"s{service_number}-{number}",
            "namespace": "default",
            "annotations": {
                "plait.dev/node": f"n{index % 20}",
                "plait.dev/machine-address": f"192.168.0.{1 + index % 20}",
                "plait.dev/published": f"8080={30000 + index // 20}",
                "plait.dev/capture": "transparent",
                "plait.dev/ready": "true" if ready else "false",
            },
        },
        "spec": {
            "address": f"10.{100 + index // 62500}.{index // 250 % 250}.{1 + index % 250}",
            "ports": {"http": 8080},
            "labels": {"app": f"s{service_number}"},
            "serviceAccount": f"s{service_number}",
        },
    }


def documents(services: int = SERVICES, workloads: int = WORKLOADS) -> list[Document]:
    """The whole mesh."""
    found = [service(number) for number in range(services)]
    found.extend(workload(number, index) for number in range(services) for index in range(workloads))
    return found


def parsed(given: Iterable[Document]) -> list[Resource]:
    """The typed resources; a document that does not parse is a mistake of the bench."""
    found: list[Resource] = []
    for document in given:
        resource = parse(document)
        if not isinstance(resource, Resource):
            raise TypeError(f"{document['metadata']['name']} does not parse: {resource[0]}")
        found.append(resource)
    return found


def built(given: Iterable[Document]) -> Builder:
    """A builder that holds these documents."""
    builder = Builder()
    builder.update(parsed(given))
    return builder


def callers() -> list[tuple[str, str]]:
    """(proxy, node) of the workloads that call the changed service."""
    return [(f"default/s{number}-0", f"n{number * WORKLOADS % 20}") for number in range(100, 100 + CALLERS)]


def changed_workload(*, ready: bool) -> list[Resource]:
    """The workload that comes and goes."""
    return parsed([workload(int(CALLED[1:]), 3, ready=ready)])


def take(builder: Builder, publisher: Publisher, revision: int, *, ready: bool) -> None:
    """Do what control does when the workload's document has changed."""
    change = builder.update(changed_workload(ready=ready))
    publisher.update(change.snapshot, change.touched, revision=revision)


def full_build(rounds: int = 3) -> Row:
    """The row of building everything at once."""
    mesh = documents()
    readings: list[float] = []
    for _ in range(rounds):
        gc.collect()
        readings.append(cpu_of(lambda: built(mesh)))
    name = f"control: full build, {SERVICES} services x {WORKLOADS} endpoints"
    return median_row(name, readings, "s CPU", must="< 2", limit=2)


def change_row(name: str, seconds: Sequence[float]) -> Row:
    """The row of an endpoint's change."""
    return median_row(name, [1000 * value for value in seconds], "ms CPU", must="< 10", limit=10)
