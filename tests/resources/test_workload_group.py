"""WorkloadGroup and ProxyConfig: checked, and stored with a note that they do not act."""

from typing import Any

import pytest

from plait.resources.parse import Resource, parse


def parsed(kind: str, version: str, spec: dict[str, Any]) -> Resource | str:
    """The object, or the problems in it."""
    metadata = {"name": "thing", "namespace": "default"}
    found = parse({"apiVersion": f"networking.istio.io/{version}", "kind": kind, "metadata": metadata, "spec": spec})
    return found if isinstance(found, Resource) else " ".join(str(item) for item in found)


def test_a_group_is_taken_with_a_note() -> None:
    """What it says is valid; whoever applies it learns that it does not act."""
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5}
    found = parsed("WorkloadGroup", "v1", {"template": {"serviceAccount": "vm"}, "probe": probe})

    assert isinstance(found, Resource)
    assert "do not act yet" in found.kind.note


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"template": {"address": "10.0.0.1"}}, "address is set by each workload"),
        ({"template": {}, "probe": {}}, "exactly one of httpGet"),
        ({"template": {}, "probe": {"exec": {"command": []}}}, "command"),
        ({"template": {}, "probe": {"tcpSocket": {"port": 0}}}, "port"),
        ({}, "template"),
    ],
)
def test_what_is_wrong_with_a_group_is_told(spec: dict[str, Any], problem: str) -> None:
    """Each mistake names its field."""
    found = parsed("WorkloadGroup", "v1", spec)

    assert isinstance(found, str)
    assert problem in found


def test_a_proxy_config_has_a_number_of_threads() -> None:
    """It is checked too."""
    assert isinstance(parsed("ProxyConfig", "v1beta1", {"concurrency": 2}), Resource)
    assert isinstance(parsed("ProxyConfig", "v1beta1", {"concurrency": -1}), str)
