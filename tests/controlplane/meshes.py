"""Meshes for tests of the control process: the shop's YAML, and workloads as node agents register them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.controlplane.admission import Admission
from plait.resources.parse import Resource, parse, write_source
from plait.resources.yaml import load

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "mesh.yaml"


MACHINE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}, "spec": {"podCIDR": "10.60.0.0/24"}}
"""Where the shop's workloads run."""


def entry(name: str, port: int, *, app: str, account: str = "default", **annotations: str) -> dict[str, Any]:
    """A WorkloadEntry of the shop as a node agent registers it."""
    given = {f"plait.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    marks = {"plait.dev/node": "one", "plait.dev/phase": "Running", "plait.dev/ready": "true", **given}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": name, "namespace": "shop", "annotations": marks},
        "spec": {
            "address": f"10.60.0.{port % 200 + 2}",
            "ports": {"http": port},
            "labels": {"app": app, "version": name.rpartition("-")[2]},
            "serviceAccount": account,
        },
    }


def resource(document: Mapping[str, Any]) -> Resource:
    """The typed resource of a document that must be right."""
    parsed = parse(document)
    assert isinstance(parsed, Resource), parsed
    return parsed


def shop(*extra: Mapping[str, Any]) -> list[Resource]:
    """The shop's objects as stored, its workloads, and more."""
    admission = Admission()
    found: list[Resource] = []
    for item in load(SHOP.read_text(), "mesh.yaml").documents:
        stored = admission.finish(item.value, None)
        stored["metadata"].setdefault("annotations", {})["plait.dev/source"] = write_source(item)
        found.append(resource(stored))
    workloads = (
        entry("frontend", 9081, app="frontend", account="frontend"),
        entry("orders", 9083, app="orders", account="orders"),
        entry("payments", 9084, app="payments"),
        entry("reviews-v1", 9085, app="reviews"),
        entry("reviews-v2", 9086, app="reviews"),
    )
    strict = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    return [*found, *(resource(item) for item in (*workloads, strict, *extra))]
