"""Entries of a Gateway's proxies bear what the Gateway says in `spec.infrastructure`."""

from typing import Any

from plait.controlplane.gateway_labels import NAME_LABEL, borne, served


def entry(gateway: str = "edge", **notes: str) -> dict[str, Any]:
    """The entry of a proxy."""
    annotations = {"plait.dev/gateway": gateway, "plait.dev/node": "here", **notes}
    metadata = {"name": "edge", "namespace": "infra", "labels": {"app": "own"}, "annotations": annotations}
    return {"kind": "WorkloadEntry", "metadata": metadata, "spec": {"address": "10.0.0.1"}}


def gateway(**infrastructure: dict[str, str]) -> dict[str, Any]:
    """A Gateway with labels and annotations for what is made for it."""
    return {"metadata": {"name": "edge", "namespace": "infra"}, "spec": {"infrastructure": infrastructure}}


def test_which_gateway_is_served() -> None:
    """By name in the own namespace, or with a namespace; other workloads serve none."""
    assert served(entry()) == ("infra", "edge")
    assert served(entry("other/edge")) == ("other", "edge")
    assert served({"metadata": {"name": "web", "namespace": "infra"}}) is None


def test_labels_and_annotations_are_borne() -> None:
    """Labels at the entry and its endpoint, and always the name of the Gateway."""
    found = borne(entry(), gateway(labels={"team": "edge"}, annotations={"note": "1"}))
    assert found["metadata"]["labels"] == {"app": "own", "team": "edge", NAME_LABEL: "edge"}
    assert found["spec"] == {"address": "10.0.0.1", "labels": {"team": "edge", NAME_LABEL: "edge"}}
    assert found["metadata"]["annotations"]["note"] == "1"
    assert borne(entry(), gateway())["metadata"]["labels"] == {"app": "own", NAME_LABEL: "edge"}


def test_what_the_machine_says_wins() -> None:
    """A Gateway cannot say on which machine its proxy is, nor anything else that is the mesh's own."""
    given = gateway(labels={"app": "given"}, annotations={"plait.dev/node": "there", "plait.dev/phase": "Running"})
    found = borne(entry(), given)
    assert found["metadata"]["labels"]["app"] == "own"
    assert found["metadata"]["annotations"] == entry()["metadata"]["annotations"]
