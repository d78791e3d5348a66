"""A running workload as the mesh knows it: the WorkloadEntry that the agent keeps at control. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from plait.model.services import Capture, Protocol
from plait.node.workload_spec import WorkloadSpec

PREFIX = "plait.dev/"


class Phase(StrEnum):
    """Where a workload is in its life."""

    PENDING = "Pending"
    WARMING = "Warming"
    RUNNING = "Running"
    DRAINING = "Draining"
    EXITED = "Exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is the same for all workloads of a machine."""

    name: str
    address: str
    locality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Everything about a workload that others must know. `published`, `sidecar_ports` map app ports to ports of the
    machine and of the sidecar, `publish` maps the sidecar's listeners to app ports, `gateway_ports` maps listener
    ports to real ones. `proxy_generation` says how often its Envoy was replaced."""

    spec: WorkloadSpec
    machine: Machine
    address: str
    capture: Capture
    phase: Phase = Phase.PENDING
    ready: bool = False
    netns: str = ""
    pids: tuple[int, ...] = ()
    outbound_port: int = 0
    ports: tuple[int, ...] = ()
    protocols: Mapping[int, Protocol] = field(default_factory=dict[int, Protocol])
    published: Mapping[int, int] = field(default_factory=dict[int, int])
    sidecar_ports: Mapping[int, int] = field(default_factory=dict[int, int])
    publish: Mapping[int, int] = field(default_factory=dict[int, int])
    gateway_ports: Mapping[int, int] = field(default_factory=dict[int, int])
    proxy_generation: int = 0

    def document(self) -> dict[str, Any]:
        """The WorkloadEntry."""
        spec = self.spec
        metadata = {
            "name": spec.name.name,
            "namespace": spec.name.namespace,
            "labels": dict(spec.labels),
            "annotations": {PREFIX + name: value for name, value in self._annotations().items() if value},
        }
        content: dict[str, Any] = {
            "address": self.address,
            "ports": self._ports(),
            "labels": dict(spec.labels),
            "serviceAccount": spec.service_account,
        }
        if locality := spec.locality or self.machine.locality:
            content["locality"] = locality
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": metadata,
            "spec": content,
        }

    @property
    def endpoint(self) -> str:
        """Where other machines reach its first port; empty if they cannot."""
        for app_port, machine_port in sorted(self.published.items()):
            del app_port
            return f"{self.machine.address}:{machine_port}"
        return ""

    def _ports(self) -> dict[str, int]:
        declared = {port.number: port.name for port in self.spec.ports}
        numbers = (*declared, *(number for number in self.ports if number not in declared))
        return {declared.get(number) or f"port-{number}": number for number in numbers}

    def _annotations(self) -> dict[str, str]:
        spec = self.spec
        declared = {port.number: port.protocol for port in spec.ports if port.protocol is not None}
        gateway = {"kind": "gateway", "gateway": spec.gateway} if spec.gateway else {"kind": "sidecar"}
        return {
            **gateway,
            "node": self.machine.name,
            "machine-address": self.machine.address,
            "capture": self.capture.value,
            "phase": self.phase.value,
            "ready": "true" if self.ready else "false",
            "netns": self.netns,
            "pids": ",".join(str(pid) for pid in self.pids if pid),
            "endpoint": self.endpoint,
            "outbound-port": str(self.outbound_port or ""),
            "protocols": pairs({**self.protocols, **declared}),
            "published": pairs(self.published),
            "sidecar-ports": pairs(self.sidecar_ports),
            "publish": pairs(self.publish),
            "gateway-ports": pairs(self.gateway_ports),
            "proxy-generation": str(self.proxy_generation or ""),
            "services": ",".join(f"{offer.name}:{offer.port}={offer.app_port}" for offer in spec.services),
        }


def pairs(mapping: Mapping[Any, Any]) -> str:
    """A mapping as an annotation writes it: `8080=31001,9090=31002`."""
    return ",".join(f"{key}={value}" for key, value in sorted(mapping.items()))


def parse_pairs(text: str) -> dict[int, int]:
    """The numbers of an annotation that `pairs` wrote."""
    return {int(key): int(value) for key, value in (item.split("=", 1) for item in text.split(",") if "=" in item)}
