"""Rates from cumulative counters."""

from typing import Any

import pytest

from plait.analysis.histogram import quantile
from plait.controlplane.edges import Edges


def sample(count: int, *, failed: int = 0) -> dict[str, Any]:
    """A report of one edge with so many requests."""
    requests = [{"code": "200", "flags": "-", "protocol": "HTTP/1.1", "count": count - failed}]
    requests += [{"code": "503", "flags": "UF", "protocol": "HTTP/1.1", "count": failed}] if failed else []
    return {
        "reporter": "source",
        "sourceWorkload": "shop/frontend",
        "sourcePrincipal": "spiffe://cluster.local/ns/shop/sa/frontend",
        "destinationWorkload": "shop/reviews-v1",
        "destinationService": "reviews.shop.svc.cluster.local:80",
        "requests": requests,
        "connections": 0,
        "buckets": [[1.0, count // 2], [5.0, count], [-1, count]],
        "sum": 3.0,
    }


class Clock:
    """A clock that tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_rate_errors_and_durations_of_the_window():
    """What grew over the window counts, not what was before."""
    clock = Clock()
    edges = Edges(clock)
    edges.take("one", [sample(1000)])
    clock.now += 10
    edges.take("one", [sample(1100, failed=10)])

    (edge,) = edges.rates()

    assert (edge.source, edge.destination, edge.rate) == ("frontend", "reviews-v1", 10.0)
    assert edge.errors == pytest.approx(0.1)
    assert edge.p50 == pytest.approx(1.0)
    assert edge.total == 1100


def test_a_restarted_sidecar_counts_from_nothing():
    """A counter that went down was reset."""
    clock = Clock()
    edges = Edges(clock)
    edges.take("one", [sample(1000)])
    clock.now += 10
    edges.take("one", [sample(50)])

    assert edges.rates()[0].rate == 5.0


def test_a_machine_that_reports_is_alive():
    """An empty report is a sign of life."""
    edges = Edges(Clock())
    edges.take("one", [])

    assert (edges.heard("one"), edges.heard("two")) == (1000.0, 0.0)


def test_no_requests_have_no_quantile():
    """Nothing is made up."""
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0)], 0.5) is None
