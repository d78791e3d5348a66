"""References between objects of Gateway API."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from plait.resources.formats import Group, KindName, Label, ObjectNameText, Subdomain
from plait.resources.schema import Finding, Model, Port, when

GATEWAY_GROUP = "gateway.networking.k8s.io"
"""The group of Gateway API."""


class ParentReference(Model):
    """What a route attaches to: a Service (for callers inside the mesh) or a Gateway."""

    group: Group = GATEWAY_GROUP
    """Group of the parent; empty for Service."""
    kind: KindName = "Gateway"
    """Gateway or Service."""
    name: ObjectNameText
    """Name of the parent."""
    namespace: Label | None = None
    """Namespace of the parent; the route's own if left out."""
    section_name: Subdomain | None = None
    """A listener of the Gateway, or a port's name; all if left out."""
    port: Port | None = None
    """A port of the parent; all if left out."""


class BackendObjectReference(Model):
    """A Service that receives traffic."""

    group: Group = ""
    """Group of the backend; empty for Service."""
    kind: KindName = "Service"
    """Kind of the backend."""
    name: ObjectNameText
    """Name of the backend."""
    namespace: Label | None = None
    """Namespace of the backend; another than the route's own needs a ReferenceGrant there."""
    port: Port | None = None
    """Port of the Service."""

    def broken(self) -> Iterator[Finding]:
        """A Service needs a port."""
        if self.group == "" and self.kind == "Service":
            yield from when(self.port is None, "Must have port for Service reference", "port")


class BackendRef(BackendObjectReference):
    """A Service that receives a share of the traffic."""

    weight: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 1
    """Share of the traffic, relative to the sum of the weights."""


class SecretObjectReference(Model):
    """A Secret."""

    group: Group = ""
    """Group; empty for Secret."""
    kind: KindName = "Secret"
    """Kind."""
    name: ObjectNameText
    """Name."""
    namespace: Label | None = None
    """Namespace; another than the own needs a ReferenceGrant there."""


class ObjectReference(Model):
    """Any object, with its namespace."""

    group: Group
    """Group."""
    kind: KindName
    """Kind."""
    name: ObjectNameText
    """Name."""
    namespace: Label | None = None
    """Namespace; another than the own needs a ReferenceGrant there."""


class LocalObjectReference(Model):
    """Any object of the same namespace."""

    group: Group
    """Group."""
    kind: KindName
    """Kind."""
    name: ObjectNameText
    """Name."""


def broken_parents(parents: Sequence[ParentReference]) -> Iterator[Finding]:
    """The rules for two references to one parent."""
    for index, parent in enumerate(parents):
        same = [other for other in parents if _parent(other) == _parent(parent)]
        mixed = any(
            (other.section_name is None, other.port is None) != (parent.section_name is None, parent.port is None)
            for other in same
        )
        part = (parent.section_name, parent.port)
        repeated = sum(1 for other in same if (other.section_name, other.port) == part) > 1
        problem = (
            "sectionName or port must be specified when parentRefs includes 2 or more references to the same parent"
        )
        yield from when(mixed, problem, "parentRefs", index)
        problem = "sectionName or port must be unique when parentRefs includes 2 or more references to the same parent"
        yield from when(repeated and not mixed, problem, "parentRefs", index)


def _parent(reference: ParentReference) -> tuple[str, str, str, str]:
    return reference.group, reference.kind, reference.namespace or "", reference.name
