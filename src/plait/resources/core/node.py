"""v1 Node: a machine of the mesh."""

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Anything, Boolean, Model


class NodeSpec(Model):
    """Specification of a Node."""

    pod_cidr: str = Field(default="", alias="podCIDR")
    """The range that the machine's workloads get their addresses from."""
    pod_cidrs: tuple[str, ...] = Field(default=(), alias="podCIDRs")
    """All ranges, one an address family."""
    provider_id: str = Field(default="", alias="providerID")
    """Identifier at a cloud provider."""
    unschedulable: Boolean = False
    """Kept; Plait does not read it."""
    taints: tuple[Anything, ...] = ()
    """Kept; Plait does not read it."""
    config_source: Anything | None = None
    """Kept; Plait does not read it."""
    external_id: str = Field(default="", alias="externalID")
    """Kept; Plait does not read it."""


class Node(KubernetesObject):
    """A machine; its addresses are in `status.addresses`."""

    spec: NodeSpec = NodeSpec()
    """Specification."""
