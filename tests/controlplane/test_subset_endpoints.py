"""Endpoints of subsets follow the workloads without compiling anything."""

from plait.controlplane.publisher import Publisher
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER, ENDPOINT
from plait.snapshot.build import Builder
from tests.snapshot.resources_builders import destination_rule, workload
from tests.snapshot.test_subsets import HOST, MESH, V1, V3, leading


def test_an_endpoint_that_joins_a_subset_compiles_nothing() -> None:
    """The cluster of the subset stays, its endpoints are made once and sent."""
    builder = Builder()
    built = builder.update([*MESH, destination_rule("reviews", subsets={"v1": V1, "v3": V3})])
    sent: list[ResourceSet] = []
    publisher = Publisher(lambda _proxy, resources, _demand: sent.append(resources), leading(built.snapshot, "v1"))
    publisher.connect("default/client", "here")
    publisher.demand("default/client", frozenset({HOST}))
    name = f"{HOST}:80/v1"
    before = sent[-1]
    publisher.work.clear()

    joined = builder.update([workload("reviews-9", "10.0.0.7", app="reviews", labels=V1)])
    publisher.update(leading(joined.snapshot, "v1"), joined.touched, revision=2)

    assert name in before.of(CLUSTER)
    assert sent[-1].of(CLUSTER) == before.of(CLUSTER)
    assert sent[-1].of(ENDPOINT)[name] != before.of(ENDPOINT)[name]
    assert (publisher.work["compile"], publisher.work["endpoint set"]) == (0, 1)
    publisher.work.clear()

    other = builder.update([workload("reviews-9", "10.0.0.7", app="reviews", labels=V3)])
    publisher.update(leading(other.snapshot, "v1"), other.touched, revision=3)

    assert sent[-1].of(ENDPOINT)[name] == before.of(ENDPOINT)[name]
    assert publisher.work["compile"] == 0
