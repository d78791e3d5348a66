"""What the sidecars counted, in the form in which a machine reports it to control.

Envoy's stats access logger keeps, per caller and callee, a counter of requests by response code and a histogram of
durations; its admin endpoint prints them in Prometheus' text form (`/stats/prometheus?filter=mesh`, the histograms
merged every few seconds). One edge is one combination of reporter, caller and callee:

    {"reporter", "sourceWorkload", "sourcePrincipal", "destinationWorkload", "destinationService",
     "requests": [{"code", "flags", "protocol", "count"}], "buckets": [[upper bound in ms, cumulative count]],
     "sum": ms, "connections": n}

All figures count from the start of that Envoy. A restart starts them anew, as Prometheus expects of counters.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

PATH: Final = "/stats/prometheus?filter=mesh&histogram_buckets=cumulative"
EDGE_LABELS: Final = (
    "reporter",
    "source_workload",
    "source_principal",
    "destination_workload",
    "destination_service",
)
_REQUESTS: Final = "envoy_mesh_requests_total"
_CONNECTIONS: Final = "envoy_mesh_connections_total"
_DURATION: Final = "envoy_mesh_request_duration_ms"

Edge = dict[str, Any]


def edges_in(text: str) -> list[Edge]:
    """The edges in what an Envoy's admin endpoint printed."""
    edges: dict[tuple[str, ...], Edge] = {}
    for name, labels, value in _samples(text):
        key = tuple(labels.get(label, "") for label in EDGE_LABELS)
        edge = edges.setdefault(key, _empty(key))
        if name == _REQUESTS:
            edge["requests"].append(
                {
                    "code": labels.get("response_code", ""),
                    "flags": labels.get("flags", ""),
                    "protocol": labels.get("protocol", ""),
                    "count": int(value),
                }
            )
        elif name == _CONNECTIONS:
            edge["connections"] += int(value)
        elif name == f"{_DURATION}_sum":
            edge["sum"] = value
        elif name == f"{_DURATION}_bucket":
            bound = float(labels["le"])
            edge["buckets"].append([-1 if math.isinf(bound) else bound, int(value)])
    return list(edges.values())


def _empty(key: tuple[str, ...]) -> Edge:
    reporter, source, principal, destination, service = key
    return {
        "reporter": reporter,
        "sourceWorkload": source,
        "sourcePrincipal": principal,
        "destinationWorkload": destination,
        "destinationService": service,
        "requests": [],
        "connections": 0,
        "buckets": [],
        "sum": 0.0,
    }


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    lines = [line for line in text.splitlines() if line.startswith(("envoy_mesh_", "# TYPE envoy_mesh_"))]
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            if "reporter" in sample.labels:
                yield sample.name, sample.labels, sample.value
