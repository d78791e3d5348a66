"""Prometheus' endpoint of the mesh: the sidecars' counters with real labels, and control's own figures.

It is plain HTTP on loopback: it shows who calls whom, so it is open to this machine only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from plait.envoy import names

_LABELS: Final = {
    "reporter": "reporter",
    "source_workload": "sourceWorkload",
    "source_principal": "sourcePrincipal",
    "destination_workload": "destinationWorkload",
    "destination_service": "destinationService",
}
_UNKNOWN: Final = {names.PASSTHROUGH_CLUSTER: "passed", names.BLACKHOLE_CLUSTER: "refused"}


class MeshCollector(Collector):
    """Turns the newest reports of all machines into metrics."""

    def __init__(
        self, samples: Callable[[], Iterable[Mapping[str, Any]]], gauges: Callable[[], Mapping[str, float]]
    ) -> None:
        self._samples = samples
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        edge = list(_LABELS)
        requests = CounterMetricFamily(
            "plait_requests", "Requests by caller, callee and response code", labels=[*edge, "response_code", "flags"]
        )
        connections = CounterMetricFamily("plait_connections", "Connections of TCP services", labels=edge)
        durations = HistogramMetricFamily("plait_request_duration_milliseconds", "Durations of requests", labels=edge)
        samples = list(self._samples())
        for sample in samples:
            values = [str(sample.get(field, "")) for field in _LABELS.values()]
            for item in sample.get("requests", ()):
                requests.add_metric([*values, item["code"], item["flags"]], item["count"])
            if sample.get("connections"):
                connections.add_metric(values, sample["connections"])
            if buckets := sample.get("buckets"):
                bounds = sorted((float("inf") if bound < 0 else bound, count) for bound, count in buckets)
                durations.add_metric(
                    values, [(_bound(bound), count) for bound, count in bounds], sum_value=sample.get("sum", 0.0)
                )
        yield from (requests, connections, durations, _to_unknown_hosts(samples))
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(f"plait_{name}", name.replace("_", " "), value=value)


def _to_unknown_hosts(samples: Iterable[Mapping[str, Any]]) -> Metric:
    """Connections that left the mesh without its knowing where to, and those that it refused for that."""
    sums: dict[tuple[str, str], float] = {}
    for sample in samples:
        action = _UNKNOWN.get(str(sample.get("destinationService", "")))
        if action and sample.get("reporter") == "source":
            key = (str(sample.get("sourceWorkload", "")), action)
            sums[key] = sums.get(key, 0.0) + float(sample.get("connections", 0))
    metric = CounterMetricFamily(
        "plait_unknown_host_connections",
        "Connections to hosts that the mesh does not know, passed on or refused, by caller",
        labels=["source_workload", "action"],
    )
    for key, value in sums.items():
        metric.add_metric(key, value)
    return metric


def _bound(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(value)


def serve_metrics(collector: MeshCollector, port: int) -> int:
    """Serve on loopback in a thread of its own, on that port if it is free; returns the port."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, _ = start_http_server(port, "127.0.0.1", registry)
    except OSError:
        server, _ = start_http_server(0, "127.0.0.1", registry)
    return int(server.server_address[1])
