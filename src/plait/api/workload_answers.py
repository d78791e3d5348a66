"""Workloads, their proxies and the traffic between them, as JSON."""

from typing import Literal

from pydantic import Field

from plait.api.answers import Answer, Source


class WorkloadPort(Answer):
    """A port that an app listens on."""

    number: int
    """The app's port."""
    name: str = ""
    """Its name."""
    protocol: str = ""
    """What is spoken, declared or learnt; empty is unknown."""
    published: int | None = None
    """The port at the machine's address by which other machines reach it."""


class Workload(Answer):
    """A running workload."""

    name: str
    """Name."""
    namespace: str
    """Namespace."""
    service_account: str
    """Service account whose identity it has."""
    address: str
    """Its address in the mesh."""
    ports: tuple[WorkloadPort, ...] = ()
    """Ports that its app listens on."""
    endpoint: str = ""
    """HOST:PORT at which a user of this machine reaches it."""
    netns: str = ""
    """Path of its network namespace; empty in explicit capture."""
    pids: tuple[int, ...] = ()
    """The process of the app, then that of its sidecar."""
    identity: str = ""
    """SPIFFE ID; empty outside the mesh."""
    phase: Literal["", "Pending", "Warming", "Running", "Draining", "Exited"] = ""
    """Where it is in its life; empty for entries written by hand."""
    ready: bool = True
    """Whether its endpoint is given to callers."""
    capture: Literal["", "transparent", "explicit"] = ""
    """How its traffic gets into the sidecar; empty without one."""
    kind: Literal["sidecar", "gateway", ""] = "sidecar"
    """What its proxy is."""
    node: str = ""
    """The machine it runs on."""
    services: tuple[str, ...] = ()
    """Services that it is an endpoint of, as NAMESPACE/NAME."""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Labels that selectors match."""


class RefusedResource(Answer):
    """Configuration that an Envoy did not take."""

    type: str
    """xDS type, like `LISTENER`."""
    resource: str = ""
    """Name of the resource, if Envoy said it."""
    message: str
    """What Envoy said."""
    source: Source | None = None
    """The user's object that it came from."""


class Proxy(Answer):
    """An Envoy of the mesh."""

    name: str
    """Name of its workload."""
    namespace: str
    """Namespace of its workload."""
    node: str = ""
    """The machine it runs on."""
    kind: Literal["sidecar", "gateway"] = "sidecar"
    """What it is."""
    connected: bool
    """Whether its relay is connected to control."""
    synced: bool
    """Whether it acknowledged all that it was sent."""
    refused: tuple[RefusedResource, ...] = ()
    """What it refused; the last good configuration is in force."""
    since: float | None = None
    """When it connected, in seconds since 1970."""
    resources: int = 0
    """Number of resources it was sent."""


class Edge(Answer):
    """Traffic between two workloads over the last window."""

    source_namespace: str = ""
    """Namespace of the caller."""
    source: str
    """Workload that calls; `unknown` outside the mesh."""
    source_principal: str = ""
    """SPIFFE ID that the server saw."""
    destination_namespace: str = ""
    """Namespace of the callee."""
    destination: str
    """Workload that is called; empty when not known."""
    destination_service: str = ""
    """Service that was called."""
    protocol: str = ""
    """http, grpc or tcp."""
    reporter: Literal["source", "destination", ""] = ""
    """Which side measured."""
    window: float = 0
    """Length of the window in seconds."""
    rate: float
    """Requests (or connections) per second."""
    errors: float = 0
    """Share of requests that failed, 0 to 1."""
    p50: float | None = None
    """Median duration in milliseconds."""
    p90: float | None = None
    """90th percentile in milliseconds."""
    p99: float | None = None
    """99th percentile in milliseconds."""
    codes: dict[str, int] = Field(default_factory=dict[str, int])
    """Requests by response code."""
    total: int = 0
    """Requests since the sidecar started."""
    counts: dict[str, int] = Field(default_factory=dict[str, int])
    """Requests since the sidecar started, by response code; `0` is no answer."""
    buckets: list[tuple[float, int]] = Field(default_factory=list[tuple[float, int]])
    """Requests since the sidecar started that took at most so many milliseconds: [bound, requests]."""
