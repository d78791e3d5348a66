"""What every object has: apiVersion, kind, metadata, and for most kinds a status that the mesh writes."""

from typing import Any, ClassVar

from pydantic import Field

from plait.resources.formats import SUBDOMAIN_PATTERN
from plait.resources.schema import Anything, Boolean, Integer, Model


class OwnerReference(Model):
    """The object that this one belongs to."""

    api_version: str
    """API version of the owner."""
    kind: str
    """Kind of the owner."""
    name: str
    """Name of the owner."""
    uid: str
    """UID of the owner."""
    controller: Boolean | None = None
    """Whether the owner manages this object."""
    block_owner_deletion: Boolean | None = None
    """Whether the owner cannot go before this object is gone."""


class ObjectMeta(Model):
    """Name, labels and book-keeping of an object."""

    name: str = ""
    """Name, unique among the objects of its kind in its namespace."""
    generate_name: str = ""
    """A prefix: the server appends random characters to make the name."""
    namespace: str = ""
    """Namespace of the object; empty for kinds that have none."""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Labels that selectors match."""
    annotations: dict[str, str] = Field(default_factory=dict[str, str])
    """Notes for tools; `traffic.plait.dev/*` and `plait.dev/*` are read by Plait."""
    uid: str = ""
    """Identifier that the server gives; never reused."""
    resource_version: str = ""
    """Revision of the last change; give it back to change only what was read."""
    generation: Integer = 0
    """Counts the changes of the specification."""
    creation_timestamp: str | None = None
    """Time of creation (RFC 3339)."""
    deletion_timestamp: str | None = None
    """Time of the request to delete."""
    deletion_grace_period_seconds: Integer | None = None
    """Seconds given for an orderly end."""
    finalizers: tuple[str, ...] = ()
    """Who must agree before the object goes."""
    owner_references: tuple[OwnerReference, ...] = ()
    """Objects that this one belongs to."""
    managed_fields: tuple[Anything, ...] = ()
    """Who set which field (server-side apply)."""
    self_link: str = ""
    """Ignored, kept for old clients."""
    cluster_name: str = ""
    """Ignored, kept for old clients."""


class KubernetesObject(Model):
    """The top level of an object."""

    name_pattern: ClassVar[str] = SUBDOMAIN_PATTERN
    """What `metadata.name` must match."""

    api_version: str
    """Group and version, like `gateway.networking.k8s.io/v1`."""
    kind: str
    """Kind, like `HTTPRoute`."""
    metadata: ObjectMeta = ObjectMeta()
    """Name, labels and book-keeping."""
    status: dict[str, Any] | None = None
    """Written by the mesh; ignored on input."""


class LabelSelectorRequirement(Model):
    """One condition on labels."""

    key: str
    """The label's key."""
    operator: str
    """In, NotIn, Exists or DoesNotExist."""  # codespell:ignore notin
    values: tuple[str, ...] = ()
    """The values for In and NotIn."""  # codespell:ignore notin


class LabelSelector(Model):
    """Selects objects by labels: all conditions must hold; an empty selector selects everything."""

    match_labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Labels that must be there with these values."""
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    """Further conditions."""
