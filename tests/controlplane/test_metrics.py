"""What Prometheus reads of the mesh."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from plait.controlplane.metrics import MeshCollector


def scraped(*samples: dict[str, Any]) -> list[str]:
    """The lines that Prometheus would read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MeshCollector(lambda: samples, lambda: {}))
    return generate_latest(registry).decode().splitlines()


def sample(service: str, connections: int, *, workload: str = "shop/web", **fields: str) -> dict[str, Any]:
    """What a sidecar counted of connections to one service."""
    edge = {"reporter": "source", "sourceWorkload": workload, "destinationService": service}
    return {**edge, "connections": connections, **fields}


def test_connections_to_unknown_hosts_are_counted_by_caller():
    """Passed and refused ones are told apart, identities of one caller are one; connections to services are others."""
    lines = scraped(
        sample("passthrough", 2, sourcePrincipal="one"),
        sample("passthrough", 3, sourcePrincipal="two"),
        sample("blackhole", 4),
        sample("passthrough", 5, workload="shop/job"),
        sample("db.shop.svc.cluster.local:5432", 9),
    )

    found = sorted(line for line in lines if line.startswith("plait_unknown_host_connections_total"))
    assert found == [
        'plait_unknown_host_connections_total{action="passed",source_workload="shop/job"} 5.0',
        'plait_unknown_host_connections_total{action="passed",source_workload="shop/web"} 5.0',
        'plait_unknown_host_connections_total{action="refused",source_workload="shop/web"} 4.0',
    ]
