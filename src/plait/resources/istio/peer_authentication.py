"""security.istio.io PeerAuthentication."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.istio.selectors import WorkloadSelector
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, when


class MutualTLS(Model):
    """What is accepted."""

    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] = "UNSET"
    """STRICT: only mutual TLS; PERMISSIVE: plaintext too; DISABLE: only plaintext; UNSET: what the next wider says."""


class PeerAuthenticationSpec(Model):
    """Specification of a PeerAuthentication."""

    selector: WorkloadSelector | None = None
    """Workloads it is for; all of the namespace (of the mesh in istio-system) if left out."""
    mtls: MutualTLS | None = None
    """What is accepted on all ports."""
    port_level_mtls: Annotated[dict[str, MutualTLS], Field(min_length=1)] | None = None
    """What is accepted on single ports of the workload."""

    def broken(self) -> Iterator[Finding]:
        """Single ports need a selector."""
        if self.port_level_mtls is None:
            return
        selects = self.selector is not None and bool(self.selector.match_labels)
        yield from when(not selects, "portLevelMtls requires selector", "portLevelMtls")
        for key in self.port_level_mtls:
            number = int(key) if key.isascii() and key.isdecimal() and len(key) < 6 else 0
            yield from when(not 0 < number <= 65535, "port must be between 1-65535", "portLevelMtls", key)


class PeerAuthentication(KubernetesObject):
    """Whether workloads accept plaintext."""

    spec: PeerAuthenticationSpec = PeerAuthenticationSpec()
    """Specification."""
