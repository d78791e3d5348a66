"""`plait status`: the state of the mesh, as JSON."""

from typing import Annotated, Any, Literal

from pydantic import Field

from plait.api.answers import Answer


class ApiStatus(Answer):
    """How to reach the API."""

    url: str | None = None
    """https address, if it listens on one."""
    socket: str | None = None
    """The owner's unix socket."""
    token_file: Annotated[str | None, Field(alias="token_file")] = None
    """File with the owner's token."""
    kubeconfig: str | None = None
    """kubeconfig for kubectl."""


class AdsStatus(Answer):
    """How node agents reach control."""

    address: str | None = None
    """HOST:PORT."""


class MetricsStatus(Answer):
    """Where Prometheus finds the metrics."""

    url: str | None = None
    """URL."""


class ProxyCounts(Answer):
    """Proxies by state."""

    ready: int = 0
    """Connected."""
    synced: int = 0
    """Acknowledged all that they were sent."""
    refused: int = 0
    """Hold an older configuration because they refused a newer one."""


class CaptureStatus(Answer):
    """How traffic gets into the sidecars of this machine."""

    mode: Literal["transparent", "explicit", ""] = ""
    """The mode in use."""
    reason: str = ""
    """Why it was chosen."""
    limits: tuple[str, ...] = ()
    """What it cannot guarantee."""


class NodeStatus(Answer):
    """A machine of the mesh."""

    name: str
    """Name."""
    address: str = ""
    """Where other machines reach it."""
    connected: bool = False
    """Whether its agent is connected."""
    cidr: str = ""
    """Its range of workload addresses."""


class Status(Answer):
    """The state of the mesh."""

    ready: bool
    """Whether control serves and this machine's agent is connected."""
    version: str = ""
    """Version of Plait."""
    trust_domain: str = ""
    """Trust domain of identities."""
    revision: int = 0
    """Newest revision of the store."""
    api: ApiStatus = ApiStatus()
    """How to reach the API."""
    ads: AdsStatus = AdsStatus()
    """How node agents reach control."""
    metrics: MetricsStatus = MetricsStatus()
    """Where Prometheus finds the metrics."""
    telemetry: dict[str, Any] | None = None
    """State of the telemetry process, if one runs."""
    node: NodeStatus | None = None
    """This machine."""
    nodes: tuple[NodeStatus, ...] = ()
    """All machines."""
    proxies: ProxyCounts = ProxyCounts()
    """Proxies by state."""
    capture: CaptureStatus = CaptureStatus()
    """Capture mode and its limits."""
    problems: tuple[str, ...] = ()
    """What is wrong, in sentences."""
