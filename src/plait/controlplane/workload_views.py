"""What `plait get workloads` shows, read from the WorkloadEntry objects that node agents write."""

from collections.abc import Iterable, Mapping
from typing import Any

from plait.controlplane.machines import NODE, PHASE, PROTOCOLS, SERVICES, pairs
from plait.model.ids import Identity

_PREFIX = "plait.dev/"


def _ports(spec: Mapping[str, Any], annotations: Mapping[str, str]) -> list[dict[str, Any]]:
    protocols = pairs(annotations.get(PROTOCOLS, ""))
    published = pairs(annotations.get(_PREFIX + "published", ""))
    return [
        {
            "name": name,
            "number": int(number),
            "protocol": protocols.get(str(number), ""),
            "published": int(published[str(number)]) if str(number) in published else None,
        }
        for name, number in sorted(dict(spec.get("ports", {})).items(), key=lambda item: int(item[1]))
    ]


def workload_view(entry: Mapping[str, Any], trust_domain: str, serving: Iterable[str] = ()) -> dict[str, Any]:
    """One workload as JSON; entries written by hand have no netns, no pids, no phase."""
    metadata, spec = entry["metadata"], entry.get("spec", {})
    annotations: Mapping[str, str] = metadata.get("annotations", {})
    account = spec.get("serviceAccount", "default")
    identity = Identity(trust_domain=trust_domain, namespace=metadata["namespace"], service_account=account)
    ours = NODE in annotations
    offered = (f"{metadata['namespace']}/{text.partition(':')[0]}" for text in pairs(annotations.get(SERVICES, "")))
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "serviceAccount": account,
        "node": annotations.get(NODE, ""),
        "kind": annotations.get(_PREFIX + "kind", "sidecar" if ours else ""),
        "address": spec.get("address", ""),
        "ports": _ports(spec, annotations),
        "services": sorted({*offered, *serving}),
        "labels": dict(spec.get("labels", {})),
        "endpoint": annotations.get(_PREFIX + "endpoint", ""),
        "netns": annotations.get(_PREFIX + "netns", ""),
        "pids": [int(pid) for pid in annotations.get(_PREFIX + "pids", "").split(",") if pid],
        "identity": str(identity) if ours or spec.get("serviceAccount") else "",
        "phase": annotations.get(PHASE, "Running" if ours else ""),
        "ready": annotations.get(_PREFIX + "ready", "true") == "true",
        "capture": annotations.get(_PREFIX + "capture", "" if not ours else "transparent"),
        "locality": spec.get("locality", ""),
    }
