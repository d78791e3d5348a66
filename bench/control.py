"""What a change costs the control plane: a full build, and one endpoint sent to its subscribers."""

import time
from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


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
    index = service_number * 10 + number
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": f"s{service_number}-{number}",
            "namespace": "default",
            "annotations": {"plait.dev/node": f"n{index % 20}", "plait.dev/ready": "true" if ready else "false"},
        },
        "spec": {
            "address": f"10.{100 + index // 62500}.{index // 250 % 250}.{1 + index % 250}",
            "ports": {"http": 8080},
            "labels": {"app": f"s{service_number}"},
            "serviceAccount": f"s{service_number}",
        },
    }
