"""networking.istio.io DestinationRule, whole.

https://istio.io/latest/docs/reference/config/networking/destination-rule/
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.istio.matches import Names
from plait.resources.istio.selectors import WorkloadSelector
from plait.resources.istio.traffic_policy import TrafficPolicy
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, when


class Subset(Model):
    """A part of a service's endpoints."""

    name: Annotated[str, Field(min_length=1)]
    """Its name, used by routes."""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Labels of its endpoints."""
    traffic_policy: TrafficPolicy | None = None
    """How connections to it are treated; what is left out comes from the service's."""


class DestinationRuleSpec(Model):
    """Specification of a DestinationRule."""

    host: Annotated[str, Field(min_length=1)]
    """Name of the service; short names are in the rule's namespace."""
    traffic_policy: TrafficPolicy | None = None
    """How connections to it are treated."""
    subsets: tuple[Subset, ...] = ()
    """Parts of its endpoints."""
    export_to: Names = ()
    """Namespaces that see it: `*` all (default), `.` its own, or names."""
    workload_selector: WorkloadSelector | None = None
    """Callers that it is for."""

    def broken(self) -> Iterator[Finding]:
        """Subsets are told apart."""
        names = [subset.name for subset in self.subsets]
        for index, name in enumerate(names):
            yield from when(name in names[:index], f'Duplicate value: "{name}"', "subsets", index, "name")


class DestinationRule(KubernetesObject):
    """How the connections to a service are treated, and its subsets."""

    spec: DestinationRuleSpec
    """Specification."""
