"""Envoy's counters as control takes them."""

from plait.node.counters import EndedCounters
from plait.node.metrics import parse, samples

EDGE = (
    'reporter="source",source_workload="default/a",source_principal="spiffe://t/ns/default/sa/a",'
    'destination_workload="default/b",destination_service="b.default.svc.cluster.local:80"'
)
TEXT = f"""# TYPE envoy_mesh_requests_total counter
envoy_mesh_requests_total{{{EDGE},response_code="200",flags="-",protocol="HTTP/1.1"}} 7
envoy_mesh_requests_total{{{EDGE},response_code="503",flags="UF",protocol="HTTP/1.1"}} 1
envoy_server_live{{}} 1
envoy_mesh_request_duration_ms_bucket{{{EDGE},le="0.5"}} 3
envoy_mesh_request_duration_ms_bucket{{{EDGE},le="+Inf"}} 8
envoy_mesh_request_duration_ms_sum{{{EDGE}}} 21.5
envoy_mesh_request_duration_ms_count{{{EDGE}}} 8
envoy_mesh_connections_total{{reporter="destination",source_workload="-",flags="-",details="a\\"b"}} 2
envoy_mesh_bytes_sent_total{{reporter="destination",source_workload="-"}} 90
rubbish
"""


def test_one_sample_for_each_edge() -> None:
    """Codes, durations and totals of one edge are gathered; other statistics are left out."""
    first, second = samples(parse(TEXT))
    assert first == {
        "reporter": "source",
        "sourceWorkload": "default/a",
        "sourcePrincipal": "spiffe://t/ns/default/sa/a",
        "destinationWorkload": "default/b",
        "destinationService": "b.default.svc.cluster.local:80",
        "requests": [
            {"code": "200", "flags": "-", "protocol": "HTTP/1.1", "count": 7},
            {"code": "503", "flags": "UF", "protocol": "HTTP/1.1", "count": 1},
        ],
        "buckets": [[0.5, 3], [-1.0, 8]],
        "sum": 21.5,
    }
    assert (second["connections"], second["bytesSent"], second["requests"]) == (2, 90, [])


def test_labels_are_unescaped() -> None:
    """What Prometheus escapes is read back as it was."""
    assert [item.labels["details"] for item in parse(TEXT) if "details" in item.labels] == ['a"b']


def test_sidecars_of_one_edge_are_added() -> None:
    """Two sidecars that count the same edge give one sample."""
    (first, _second) = samples([*parse(TEXT), *parse(TEXT)])
    assert [item["count"] for item in first["requests"]] == [14, 2]
    assert first["buckets"] == [[0.5, 6], [-1.0, 16]]


def test_what_an_ended_sidecar_counted_stays() -> None:
    """Ended workloads of one edge are added up, and to what still runs."""
    ended = EndedCounters()
    for _ in range(2):
        ended.add(parse(TEXT))
    (first, second) = samples([*ended, *parse(TEXT)])
    assert [item["count"] for item in first["requests"]] == [21, 3]
    assert (first["buckets"], second["connections"]) == ([[0.5, 9], [-1.0, 24]], 6)


def test_ended_workloads_take_bounded_space() -> None:
    """However many edges there ever were, only the newest are kept."""
    ended = EndedCounters(most=10)
    for number in range(50):
        ended.add(parse(TEXT.replace("default/a", f"default/{number}")))
    assert len(list(ended)) == 10
    assert any(item.labels.get("source_workload") == "default/49" for item in ended)
