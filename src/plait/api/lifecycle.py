"""What the API itself writes into an object: identity, times, generation, and the line between spec and status.

Pure: used by the API's own writes and by the control process for the objects that it makes.
"""

import copy
import secrets
import string
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from plait.api.shapes import is_list, is_map, map_at
from plait.store.store import Document

SOURCE = "plait.dev/source"
"""The annotation with file and lines; it is never part of equality."""

_GIVEN_ONCE = ("uid", "creationTimestamp", "generation", "selfLink", "managedFields", "resourceVersion")
_BESIDE_SPEC = ("apiVersion", "kind", "metadata", "status")


def complete(document: Mapping[str, Any], old: Document | None) -> dict[str, Any]:
    """The document with identity, creation time and generation as it is to be stored over `old`."""
    metadata = {key: value for key, value in document.get("metadata", {}).items() if key not in _GIVEN_ONCE}
    if old is None:
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp()
    else:
        before = old["metadata"]
        metadata.update({key: before[key] for key in ("uid", "creationTimestamp", "resourceVersion") if key in before})
    if managed := document.get("metadata", {}).get("managedFields"):
        metadata["managedFields"] = managed
    beginning = metadata.get("generateName")
    if "name" not in metadata and beginning and isinstance(beginning, str):
        metadata["name"] = beginning + random_suffix()
    return with_generation({**document, "metadata": metadata}, old)


def with_generation(document: Mapping[str, Any], old: Document | None) -> dict[str, Any]:
    """The document with its generation: one more than the old one's if it says anything else."""
    generation = 1
    if old is not None:
        generation = int(old["metadata"].get("generation", 1)) + (0 if same_spec(document, old) else 1)
    return {**document, "metadata": {**document["metadata"], "generation": generation}}


def timestamp() -> str:
    """Now, as Kubernetes writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix() -> str:
    """Five characters for `generateName`."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))


def same_spec(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether two documents say the same beside metadata and status."""
    return _spec(new) == _spec(old)


def same(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether two documents are equal but for their revision."""
    return _without(new, "resourceVersion") == _without(old, "resourceVersion")


def same_to_users(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether two documents are equal but for their place in a file and who set their fields."""
    left, right = (_without(without_source(one), "resourceVersion", "managedFields") for one in (new, old))
    return left == right


def without_source(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its source annotation."""
    metadata = document.get("metadata", {})
    annotations = {key: value for key, value in map_at(metadata, "annotations").items() if key != SOURCE}
    metadata = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**document, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def with_status_of(document: Mapping[str, Any], other: Mapping[str, Any] | None) -> dict[str, Any]:
    """The document with the status of the other one."""
    kept = {key: value for key, value in document.items() if key != "status"}
    if other is not None and "status" in other:
        kept["status"] = other["status"]
    return kept


def only_status(document: Mapping[str, Any], old: Document) -> dict[str, Any]:
    """The old object with the new document's status and managed fields: what a write of the status may change."""
    changed = with_status_of(old, document)
    managed = document.get("metadata", {}).get("managedFields")
    if managed is not None:
        changed["metadata"] = {**changed["metadata"], "managedFields": managed}
    return changed


def without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """The document without fields that are null, which mean the same as fields left out."""
    return {name: _pruned(part) for name, part in value.items() if part is not None}


def editable(document: Document) -> dict[str, Any]:
    """A deep copy that may be changed in place."""
    return copy.deepcopy(dict(document))


def _pruned(value: Any) -> Any:
    if is_map(value):
        return without_nulls(value)
    return [_pruned(item) for item in value] if is_list(value) else value


def _spec(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _BESIDE_SPEC}


def _without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    metadata = {key: value for key, value in document.get("metadata", {}).items() if key not in names}
    return {**document, "metadata": metadata}
