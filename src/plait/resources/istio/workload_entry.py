"""networking.istio.io WorkloadEntry: one instance of a workload (also how Plait registers running ones)."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, Port, when

_PORT_NAME = re.compile(r"^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$")
_MAX_PORT_NAME = 63


class WorkloadEntrySpec(Model):
    """Specification of a WorkloadEntry (also an endpoint of a ServiceEntry)."""

    address: Annotated[str, Field(max_length=256)] = ""
    """IP address or DNS name, or `unix://` and a path."""
    ports: Annotated[dict[str, Port], Field(max_length=128)] = Field(default_factory=dict[str, int])
    """Port numbers by name."""
    labels: Annotated[dict[str, str], Field(max_length=256)] = Field(default_factory=dict[str, str])
    """Labels that selectors match."""
    network: Annotated[str, Field(max_length=2048)] = ""
    """Kept; Plait has one network."""
    locality: Annotated[str, Field(max_length=2048)] = ""
    """Where it runs, as region/zone/subzone."""
    weight: Annotated[int, Field(strict=True, ge=0, le=4294967295)] = 0
    """Share of the traffic relative to others; 0 counts as 1."""
    service_account: Annotated[str, Field(max_length=253)] = ""
    """Service account that the workload proves to be."""

    def broken(self) -> Iterator[Finding]:
        """There is an address, and unix sockets are paths without ports."""
        yield from when(not self.given("address") and not self.given("network"), "Address is required", "address")
        yield from self._broken_socket()
        for name in self.ports:
            odd = len(name) >= _MAX_PORT_NAME or not _PORT_NAME.fullmatch(name)
            yield from when(odd, "port name must be valid", "ports", name)

    def _broken_socket(self) -> Iterator[Finding]:
        if not self.address.startswith("unix://"):
            return
        problem = "UDS must be an absolute path or abstract socket"
        yield from when(self.address[7:8] not in ("/", "@"), problem, "address")
        yield from when(self.address.endswith("/"), "UDS may not be a dir", "address")
        yield from when(self.given("ports"), "UDS may not include ports", "ports")


class WorkloadEntry(KubernetesObject):
    """An instance of a workload; running ones are registered by the machine's agent."""

    spec: WorkloadEntrySpec
    """Specification."""
