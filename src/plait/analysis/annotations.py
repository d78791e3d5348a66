"""Annotations: misspelt ones of ours, ones on kinds that do not read them, and Istio's, which nobody reads here."""

from collections.abc import Iterator
from typing import Final

from plait.analysis import messages
from plait.analysis.findings import Finding
from plait.analysis.mesh import Item, Mesh
from plait.resources.core.traffic_annotations import PREFIX as TRAFFIC
from plait.resources.paths import nearest

_OURS: Final = "plait.dev/"
_ISTIO: Final = "istio.io/"
_WORDS: Final = (
    "source owner gateway ports protocols services node phase ready kind capture publish allow local token"
    " machine-address gateway-ports outbound-port sidecar-ports published pids addresses"
)
_KNOWN: Final = frozenset(f"plait.dev/{word}" for word in _WORDS.split())


def annotations(mesh: Mesh) -> Iterator[Finding]:
    """Everything that is wrong with annotations; those of `traffic.plait.dev/` on Services are checked on apply."""
    for resource in mesh.resources:
        item = Item(resource)
        for name, field in item.root.at("metadata", "annotations").members():
            if name.startswith(TRAFFIC) and resource.kind.kind != "Service":
                sentence = f"{name} is read on Services only"
                yield item.find(messages.MISPLACED_ANNOTATION, field, sentence, "put it on the Service")
            elif name.startswith(_OURS) and name not in _KNOWN and resource.kind.kind != "WorkloadEntry":
                near = nearest(name, _KNOWN)
                remedy = f"did you mean {near}?" if near else "remove it"
                yield item.find(messages.UNKNOWN_ANNOTATION, field, f"nothing reads {name}", remedy)
            elif name.partition("/")[0].endswith(_ISTIO.rstrip("/")) and "/" in name:
                sentence = f"{name} sets something of Istio's sidecars"
                yield item.find(
                    messages.ISTIO_ANNOTATION, field, sentence, "remove it, or see docs/reference/annotations.md"
                )
