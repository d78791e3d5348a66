"""networking.istio.io ServiceEntry: a service that is not a Kubernetes Service."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.istio.selectors import NetworkingSelector
from plait.resources.istio.workload_entry import WorkloadEntrySpec
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, Port, when

_HOST = re.compile(
    r"^(\*|(\*\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?)*\.?)$"
)


class ServiceEntryPort(Model):
    """A port of the service."""

    number: Port
    """Port that callers dial."""
    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name, unique in the service."""
    protocol: Annotated[str, Field(max_length=256)] = ""
    """HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS."""
    target_port: Port | None = None
    """Port of the endpoints; the same as `number` if left out."""


class ServiceEntrySpec(Model):
    """Specification of a ServiceEntry."""

    hosts: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)]
    """Names of the service."""
    addresses: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=256)] = ()
    """Stable addresses; given by the mesh if left out."""
    ports: Annotated[tuple[ServiceEntryPort, ...], Field(max_length=256)] = ()
    """Ports of the service."""
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    """Whether it is part of the mesh (then it is called with mutual TLS)."""
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] = "NONE"
    """How endpoints are found."""
    endpoints: Annotated[tuple[WorkloadEntrySpec, ...], Field(max_length=4096)] = ()
    """Endpoints, for STATIC and DNS."""
    workload_selector: NetworkingSelector | None = None
    """WorkloadEntries that are its endpoints."""
    export_to: tuple[str, ...] = ()
    """Namespaces that see it: `*` all (default), `.` its own, or names."""
    subject_alt_names: tuple[str, ...] = ()
    """Names that a server's certificate must prove one of."""

    def broken(self) -> Iterator[Finding]:
        """Endpoints fit the resolution; hosts and ports are told apart."""
        both = self.workload_selector is not None and self.given("endpoints")
        yield from when(both, "only one of WorkloadSelector or Endpoints can be set", "endpoints")
        ranges = any("/" in address for address in self.addresses)
        problem = "CIDR addresses are allowed only for NONE/STATIC resolution types"
        yield from when(ranges and self.resolution not in ("NONE", "STATIC"), problem, "addresses")
        given = self.resolution == "NONE" and self.given("endpoints")
        yield from when(given, "NONE mode cannot set endpoints", "endpoints")
        many = self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints) > 1
        yield from when(many, "DNS_ROUND_ROBIN mode cannot have multiple endpoints", "endpoints")
        named = self.resolution in ("DNS", "DNS_ROUND_ROBIN") and not (self.endpoints or self.workload_selector)
        dynamic = self.resolution == "DYNAMIC_DNS" and (self.given("endpoints") or self.workload_selector is not None)
        yield from when(dynamic, "DYNAMIC_DNS mode cannot set endpoints", "endpoints")
        for index, host in enumerate(self.hosts):
            problem = f"hosts must be FQDN if no endpoints are provided for resolution mode {self.resolution}"
            yield from when(named and host.startswith("*"), problem, "hosts", index)
        yield from self._broken_hosts()
        yield from self._broken_ports()

    def _broken_hosts(self) -> Iterator[Finding]:
        for index, address in enumerate(self.addresses):
            problem = f'Invalid value: "{address}": must be an IP address or a CIDR range'
            yield from when(not _is_range(address), problem, "addresses", index)
        for index, host in enumerate(self.hosts):
            yield from when(host == "*", "hostname cannot be wildcard", "hosts", index)
            yield from when(not _HOST.fullmatch(host), f'Invalid value: "{host}": must be a DNS name', "hosts", index)

    def _broken_ports(self) -> Iterator[Finding]:
        numbers: set[int] = set()
        names: set[str] = set()
        for index, port in enumerate(self.ports):
            yield from when(port.number in numbers, "port number cannot be duplicated", "ports", index, "number")
            yield from when(port.name in names, f'Duplicate value: "{port.name}"', "ports", index, "name")
            numbers.add(port.number)
            names.add(port.name)


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class ServiceEntry(KubernetesObject):
    """Adds a service to the mesh: outside (STATIC, DNS) or made of WorkloadEntries."""

    spec: ServiceEntrySpec
    """Specification."""
