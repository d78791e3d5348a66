"""Localities: which endpoints a caller prefers, and where else it goes."""

from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2

from plait.compiler.endpoints import cluster_endpoints
from plait.model.placement import Placement
from plait.model.services import Endpoint
from plait.snapshot.project import project
from tests.snapshot.resources_builders import built, destination_rule, name_of, resource, service, snapshot_of, workload
from tests.snapshot.test_traffic_policies import said

HOST = "web.default.svc.cluster.local"
OUTLIERS: dict[str, Any] = {"outlierDetection": {}}


def placed(policy: dict[str, Any], caller: str = "eu/a/1", **labels: str) -> Placement | None:
    """Which endpoints a caller at a locality prefers under a policy."""
    client = workload("client", "10.0.0.9", labels=labels)
    where = dict(client.document)
    where["spec"] = {**where["spec"], "locality": caller}
    moved = resource(where["apiVersion"], "WorkloadEntry", "client", metadata=where["metadata"], spec=where["spec"])
    snapshot = snapshot_of(service("web"), moved, destination_rule("web", policy=policy))
    (cluster,) = project(snapshot, name_of("client"), frozenset({HOST})).clusters
    return cluster.placement


def by_locality(**settings: Any) -> dict[str, Any]:
    """A policy with a localityLbSetting and no outlier detection."""
    return {"loadBalancer": {"localityLbSetting": settings}}


def priorities(placement: Placement | None, *localities: str) -> list[int]:
    """The priorities of endpoints at these localities."""
    endpoints = [Endpoint(address=f"10.0.0.{number}", port=80, locality=item) for number, item in enumerate(localities)]
    entry = cluster_endpoints("c", endpoints, node="", placement=placement)
    groups = endpoint_pb2.ClusterLoadAssignment.FromString(entry.body).endpoints
    found = {item.lb_endpoints[0].endpoint.address.socket_address.address: item.priority for item in groups}
    return [found[endpoint.address] for endpoint in endpoints]


def shares(placement: Placement | None, *localities: str) -> dict[str, int]:
    """The parts of calls in per cent that localities get which have endpoints left."""
    endpoints = [Endpoint(address=f"10.0.0.{number}", port=80, locality=item) for number, item in enumerate(localities)]
    entry = cluster_endpoints("c", endpoints, node="", placement=placement)
    left = [item for item in endpoint_pb2.ClusterLoadAssignment.FromString(entry.body).endpoints if item.lb_endpoints]
    total = sum(item.load_balancing_weight.value for item in left)
    return {f"{i.locality.region}/{i.locality.zone}": i.load_balancing_weight.value * 100 // total for i in left}


def test_trap_16_failover_is_inert_until_outlier_detection_is_set() -> None:
    """Nothing would tell the caller that a locality fails; the status says so."""
    failover = by_locality(failover=[{"from": "eu", "to": "us"}])
    assert placed(failover) is None
    assert placed({**failover, **OUTLIERS}) is not None
    builder = built(service("web"), destination_rule("web", policy=failover))
    assert "failover is inert until outlierDetection is set" in said(builder)["PartiallyInvalid"]


def test_trap_16_outlier_detection_turns_failover_on_by_itself() -> None:
    """The status says so, and what turns it off."""
    assert placed(OUTLIERS) == Placement(locality="eu/a/1")
    builder = built(service("web"), destination_rule("web", policy=OUTLIERS))
    assert "localityLbSetting.enabled: false turns that off" in said(builder)["Accepted"]
    off = {**by_locality(enabled=False), **OUTLIERS}
    assert placed(off) is None
    assert said(built(service("web"), destination_rule("web", policy=off)))["Accepted"] == ""


def test_the_nearest_go_first() -> None:
    """Own sub-zone, own zone, own region, then the region that takes over, then the rest; without gaps."""
    here = placed({**by_locality(failover=[{"from": "eu", "to": "us"}]), **OUTLIERS})
    assert priorities(here, "eu/a/1", "eu/a/2", "eu/b", "us/a", "asia/a") == [0, 1, 2, 3, 4]
    assert priorities(here, "eu/b", "asia/a", "us/a") == [0, 2, 1]
    assert priorities(placed(OUTLIERS), "us/a", "asia/a") == [0, 0]


def test_a_caller_without_locality_has_no_preference() -> None:
    """All endpoints are alike to it."""
    assert placed(OUTLIERS, caller="") is None


def test_labels_order_endpoints() -> None:
    """The first label that differs decides; a value after = is compared instead of the caller's own."""
    own = placed({**by_locality(failoverPriority=["version", "topology.kubernetes.io/zone"]), **OUTLIERS}, version="v1")
    assert own is not None
    assert own.labels == (("version", "v1"), ("topology.kubernetes.io/zone", "a"))
    ranks = [
        own.rank(Endpoint(address="x", port=1, locality=locality, labels=(("version", version),)))
        for version, locality in (("v1", "us/a"), ("v1", "eu/b"), ("v2", "eu/a"))
    ]
    assert ranks == sorted(set(ranks))
    fixed = placed({**by_locality(failoverPriority=["version=v2"]), **OUTLIERS}, version="v1")
    assert fixed is not None
    assert fixed.labels == (("version", "v2"),)


def test_trap_16_distribution_sends_nothing_to_unlisted_localities() -> None:
    """It needs no outlier detection, covers zones by wildcards, and does not fail over."""
    policy = by_locality(distribute=[{"from": "eu/a/*", "to": {"eu/a/*": 70, "us/*": 30}}])
    found = placed(policy)
    assert shares(found, "eu/a", "us/a", "us/b", "asia/a") == {"eu/a": 70, "us/a": 15, "us/b": 15}
    assert priorities(found, "eu/a", "us/a") == [0, 0]
    assert placed(policy, caller="us/a") is None


def test_trap_17_zone_aware_balancing_is_inert_and_says_so() -> None:
    """Only its failover acts, together with outlier detection."""
    policy = {"loadBalancer": {"zoneAwareLbSetting": {"failover": [{"from": "eu", "to": "us"}]}}, **OUTLIERS}
    assert placed(policy) == Placement(locality="eu/a/1", takes_over="us")
    builder = built(service("web"), destination_rule("web", policy=policy))
    assert "calls are not balanced by zone" in said(builder)["PartiallyInvalid"]
