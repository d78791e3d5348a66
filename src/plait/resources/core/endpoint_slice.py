"""discovery.k8s.io/v1 EndpointSlice."""

from typing import Annotated, Literal

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Anything, Boolean, Model, Port


class EndpointConditions(Model):
    """The state of an endpoint; what is left out counts as ready."""

    ready: Boolean | None = None
    """Whether it may be called."""
    serving: Boolean | None = None
    """Whether it answers, also while it ends."""
    terminating: Boolean | None = None
    """Whether it is ending."""


class Endpoint(Model):
    """One endpoint."""

    addresses: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    """Addresses of the endpoint; the first is used."""
    conditions: EndpointConditions = EndpointConditions()
    """Its state."""
    hostname: str | None = None
    """Host name of the endpoint."""
    target_ref: Anything | None = None
    """The object that it stands for."""
    deprecated_topology: dict[str, str] | None = None
    """Kept for old clients."""
    node_name: str | None = None
    """Machine that it runs on."""
    zone: str | None = None
    """Zone that it runs in."""
    hints: Anything | None = None
    """Kept; Plait does not read it."""


class EndpointPort(Model):
    """A port of all endpoints of the slice."""

    name: str = ""
    """Name of the Service's port."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol."""
    port: Port | None = None
    """Port of the endpoint."""
    app_protocol: str | None = None
    """What is spoken."""


class EndpointSlice(KubernetesObject):
    """Endpoints of a Service (label `kubernetes.io/service-name`)."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    """What the addresses are."""
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=1000)] = ()
    """The endpoints."""
    ports: Annotated[tuple[EndpointPort, ...], Field(max_length=100)] = ()
    """The ports of each endpoint."""
