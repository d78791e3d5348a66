"""networking.istio.io WorkloadGroup: what workloads that register alike have in common."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.istio.workload_entry import WorkloadEntrySpec
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, Port, when

Seconds = Annotated[int, Field(strict=True, ge=0, le=2147483647)]


class WorkloadGroupMetadata(Model):
    """Labels and annotations of the entries."""

    labels: Annotated[dict[str, str], Field(max_length=256)] = Field(default_factory=dict[str, str])
    """Labels."""
    annotations: Annotated[dict[str, str], Field(max_length=256)] = Field(default_factory=dict[str, str])
    """Annotations."""


class WorkloadGroupTemplate(WorkloadEntrySpec):
    """What an entry has; each has an address of its own."""

    def broken(self) -> Iterator[Finding]:
        """The address belongs to each entry."""
        yield from when(bool(self.address), "address is set by each workload that registers", "address")


class HTTPHeader(Model):
    """A header of a probe."""

    name: str
    """Name."""
    value: str = ""
    """Value."""


class HTTPGet(Model):
    """A request that must succeed."""

    path: str = "/"
    """Path."""
    port: Port
    """Port of the app."""
    host: str = ""
    """Host to call; the workload itself if left out."""
    scheme: str = "HTTP"
    """HTTP or HTTPS."""
    http_headers: tuple[HTTPHeader, ...] = ()
    """Headers."""


class TCPSocket(Model):
    """A connection that must succeed."""

    port: Port
    """Port of the app."""
    host: str = ""
    """Host to call; the workload itself if left out."""


class ProbeCommand(Model):
    """A command that must succeed."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Program and arguments."""


class GRPCProbe(Model):
    """A gRPC health check that must succeed."""

    port: Port
    """Port of the app."""
    service: str = ""
    """Service to ask for."""


class ReadinessProbe(Model):
    """When a workload is ready."""

    initial_delay_seconds: Seconds = 0
    """Before the first probe."""
    timeout_seconds: Seconds = 1
    """For one probe."""
    period_seconds: Seconds = 10
    """Between probes."""
    success_threshold: Seconds = 1
    """Successes in a row that make it ready."""
    failure_threshold: Seconds = 3
    """Failures in a row that make it not ready."""
    http_get: HTTPGet | None = None
    """A request."""
    tcp_socket: TCPSocket | None = None
    """A connection."""
    exec: ProbeCommand | None = None
    """A command."""
    grpc: GRPCProbe | None = None
    """A health check."""

    def broken(self) -> Iterator[Finding]:
        """There is one way to ask."""
        ways = sum(way is not None for way in (self.http_get, self.tcp_socket, self.exec, self.grpc))
        yield from when(ways != 1, "exactly one of httpGet, tcpSocket, exec and grpc must be set")


class WorkloadGroupSpec(Model):
    """Specification of a WorkloadGroup."""

    metadata: WorkloadGroupMetadata = WorkloadGroupMetadata()
    """What the entries get."""
    template: WorkloadGroupTemplate
    """What the entries have in common."""
    probe: ReadinessProbe | None = None
    """When they are ready."""


class WorkloadGroup(KubernetesObject):
    """A template for workloads that register."""

    spec: WorkloadGroupSpec
    """Specification."""
