"""How Istio's policies choose workloads."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.formats import Group, KindName, ObjectNameText
from plait.resources.schema import Finding, Model, when

LabelValue = Annotated[str, Field(max_length=63)]


class WorkloadSelector(Model):
    """Selects workloads by labels; empty selects all of the namespace."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=4096)] = Field(default_factory=dict[str, str])
    """Labels that must be there with these values."""

    def broken(self) -> Iterator[Finding]:
        """Labels are compared exactly."""
        for key, value in self.match_labels.items():
            yield from when("*" in key, "wildcard not allowed in label key match", "matchLabels", key)
            yield from when(not key, "key must not be empty", "matchLabels")
            yield from when("*" in value, "wildcard not allowed in label value match", "matchLabels", key)


class NetworkingSelector(Model):
    """Selects workloads by labels (networking.istio.io)."""

    labels: Annotated[dict[str, LabelValue], Field(max_length=256)] = Field(default_factory=dict[str, str])
    """Labels that must be there with these values."""

    def broken(self) -> Iterator[Finding]:
        """Labels are compared exactly."""
        for key, value in self.labels.items():
            yield from when("*" in value, "wildcard is not supported in selector", "labels", key)


class PolicyTargetReference(Model):
    """The object that a policy is for."""

    group: Group = ""
    """Group of the object; empty for Service."""
    kind: KindName
    """Kind of the object."""
    name: ObjectNameText
    """Name of the object."""
    namespace: str = ""
    """Must be empty: the object is in the policy's namespace."""

    def broken(self) -> Iterator[Finding]:
        """The object is in the same namespace."""
        problem = "cross namespace referencing is not currently supported"
        yield from when(bool(self.namespace), problem, "namespace")
