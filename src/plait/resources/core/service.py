"""v1 Service."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from plait.resources.core import traffic_annotations
from plait.resources.formats import PORT_NAME_PATTERN, SERVICE_NAME_PATTERN
from plait.resources.meta import KubernetesObject
from plait.resources.ports import PortOrName
from plait.resources.schema import Boolean, Finding, Integer, Model, Port, when

PortName = Annotated[str, Field(max_length=63, pattern=PORT_NAME_PATTERN)]


class ServicePort(Model):
    """A port of a Service."""

    name: PortName | None = None
    """Name; needed when there is more than one port. A prefix (`http-`, `grpc-`, `tcp-`, ...) declares the protocol."""
    port: Port
    """Port that callers dial."""
    target_port: PortOrName | None = None
    """Port of the workload, by number or name; the same as `port` if left out."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol; the mesh carries TCP."""
    app_protocol: str | None = None
    """What is spoken: http, https, tcp, tls, grpc, kubernetes.io/h2c, ..."""
    node_port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0
    """Kept; Plait does not open it."""


class ServiceSpec(Model):
    """Specification of a Service."""

    selector: dict[str, str] = Field(default_factory=dict[str, str])
    """Labels of the workloads behind it; empty means none, endpoints come from elsewhere."""
    ports: tuple[ServicePort, ...] = ()
    """Ports that callers dial."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    """ClusterIP in a mesh; the others are kept, and reached inside the mesh the same way."""
    cluster_ip: str = Field(default="", alias="clusterIP")
    """Stable address, given when the Service is made; `None` for a headless Service."""
    cluster_ips: tuple[str, ...] = Field(default=(), alias="clusterIPs")
    """All stable addresses."""
    external_ips: tuple[str, ...] = Field(default=(), alias="externalIPs")
    """Kept; Plait does not read it."""
    external_name: str = ""
    """Name that a Service of type ExternalName stands for."""
    external_traffic_policy: str = ""
    """Kept; Plait does not read it."""
    internal_traffic_policy: str = ""
    """Kept; Plait does not read it."""
    health_check_node_port: Integer = 0
    """Kept; Plait does not read it."""
    ip_families: tuple[str, ...] = ()
    """Address families."""
    ip_family_policy: str = ""
    """Whether one or two address families are wanted."""
    load_balancer_class: str = ""
    """Kept; Plait does not read it."""
    load_balancer_ip: str = Field(default="", alias="loadBalancerIP")
    """Kept; Plait does not read it."""
    load_balancer_source_ranges: tuple[str, ...] = ()
    """Kept; Plait does not read it."""
    allocate_load_balancer_node_ports: Boolean | None = None
    """Kept; Plait does not read it."""
    publish_not_ready_addresses: Boolean = False
    """Whether endpoints count before they are ready."""
    session_affinity: Literal["None", "ClientIP", ""] = "None"
    """Kept; Plait does not read it."""
    session_affinity_config: dict[str, Any] | None = None
    """Kept; Plait does not read it."""
    traffic_distribution: str = ""
    """Kept; Plait does not read it."""

    def broken(self) -> Iterator[Finding]:
        """Ports are named and unique; every type but ExternalName and headless has ports."""
        external = self.type == "ExternalName"
        yield from when(not self.ports and not external and self.cluster_ip != "None", "Required value", "ports")
        yield from when(external and not self.external_name, "Required value", "externalName")
        names: set[str] = set()
        numbers: set[tuple[int, str]] = set()
        for index, port in enumerate(self.ports):
            yield from when(len(self.ports) > 1 and not port.name, "Required value", "ports", index, "name")
            yield from when(
                bool(port.name) and port.name in names, f'Duplicate value: "{port.name}"', "ports", index, "name"
            )
            yield from when(
                (port.port, port.protocol) in numbers, f"Duplicate value: {port.port}", "ports", index, "port"
            )
            names.add(port.name or "")
            numbers.add((port.port, port.protocol))


class Service(KubernetesObject):
    """A name that can be called, over the workloads behind it."""

    name_pattern = SERVICE_NAME_PATTERN

    spec: ServiceSpec = ServiceSpec()
    """Specification."""

    def broken(self) -> Iterator[Finding]:
        """The mesh's own annotations say what they can say."""
        yield from super().broken()
        yield from traffic_annotations.broken(self.metadata.annotations)
