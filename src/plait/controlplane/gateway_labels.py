"""What the entries of a Gateway's proxies bear of the Gateway: labels and annotations of `spec.infrastructure`, and the
standard's label with its name. What the machine says of the proxy wins.
"""

from collections.abc import Mapping
from typing import Any, Final

from plait.api.shapes import map_at

NAME_LABEL: Final = "gateway.networking.k8s.io/gateway-name"
_GATEWAY: Final = "plait.dev/gateway"
_OWN: Final = "plait.dev/"


def served(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the Gateway that a workload serves; None if it serves none."""
    written = str(map_at(entry, "metadata", "annotations").get(_GATEWAY, ""))
    namespace, _, name = written.rpartition("/")
    return (namespace or str(map_at(entry, "metadata").get("namespace", "")), name) if name else None


def borne(entry: Mapping[str, Any], gateway: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a proxy with what its Gateway gives it."""
    infrastructure = map_at(gateway, "spec", "infrastructure")
    given = {NAME_LABEL: map_at(gateway, "metadata")["name"], **map_at(infrastructure, "labels")}
    notes = {key: text for key, text in map_at(infrastructure, "annotations").items() if not key.startswith(_OWN)}
    metadata, spec = map_at(entry, "metadata"), map_at(entry, "spec")
    return {
        **entry,
        "metadata": {
            **metadata,
            "labels": {**given, **map_at(metadata, "labels")},
            "annotations": {**notes, **map_at(metadata, "annotations")},
        },
        "spec": {**spec, "labels": {**given, **map_at(spec, "labels")}},
    }
