"""gateway.networking.k8s.io ReferenceGrant."""

from typing import Annotated

from pydantic import Field

from plait.resources.formats import Group, KindName, Label, ObjectNameText
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Model


class ReferenceGrantFrom(Model):
    """Who may refer."""

    group: Group
    """Group of the referring objects."""
    kind: KindName
    """Kind of the referring objects."""
    namespace: Label
    """Namespace of the referring objects."""


class ReferenceGrantTo(Model):
    """What may be referred to."""

    group: Group
    """Group of the objects; empty for Service and Secret."""
    kind: KindName
    """Kind of the objects."""
    name: ObjectNameText | None = None
    """Name of the one object; all of the kind if left out."""


class ReferenceGrantSpec(Model):
    """Specification of a ReferenceGrant."""

    from_: Annotated[tuple[ReferenceGrantFrom, ...], Field(min_length=1, max_length=16)]
    """Who may refer to objects of this namespace."""
    to: Annotated[tuple[ReferenceGrantTo, ...], Field(min_length=1, max_length=16)]
    """Objects of this namespace that may be referred to."""


class ReferenceGrant(KubernetesObject):
    """Allows objects of other namespaces to refer to objects of this one."""

    spec: ReferenceGrantSpec
    """Specification."""
