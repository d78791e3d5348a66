"""How a workload's sidecar treats each of its ports, and which object made it so, as JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from plait.model.ids import Origin
from plait.model.view import HttpReason, InboundPort, View


def inbound_view(view: View, locate: Callable[[Origin], Origin]) -> list[dict[str, Any]]:
    """The ports of a view, those that nobody listed last (as port 0)."""
    ports = [*view.inbound, *([view.unlisted] if view.unlisted else [])]
    return [_port(port, locate) for port in ports]


def _port(port: InboundPort, locate: Callable[[Origin], Origin]) -> dict[str, Any]:
    return {
        "port": port.number,
        "protocol": str(port.protocol),
        "mutualTls": str(port.mutual_tls),
        "mode": str(port.mode),
        "because": [_reason(reason, locate) for reason in port.reasons],
        "policies": [str(policy.name) for policy in port.policies],
    }


def _reason(reason: HttpReason, locate: Callable[[Origin], Origin]) -> Mapping[str, Any]:
    found = locate(reason.origin) if reason.origin else None
    return {
        "kind": reason.kind,
        "namespace": reason.name.namespace,
        "name": reason.name.name,
        "asks": reason.because,
        "file": found.file if found else "",
        "line": found.line if found else 0,
    }
