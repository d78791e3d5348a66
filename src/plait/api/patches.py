"""The patches of the API, each by its media type: JSON patch, merge patch, strategic merge patch."""

from collections.abc import Mapping
from typing import Any

import jsonpatch
import jsonpointer

from plait.api.errors import ApiError
from plait.api.lifecycle import editable
from plait.api.list_types import Path, list_types
from plait.api.shapes import is_list, is_map
from plait.api.strategic_merge import merge_strategically
from plait.store.store import Document

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCHES = ("application/apply-patch+yaml", "application/apply-patch+cbor", "application/apply-patch+json")


def patched(document: Document, patch: Any, content_type: str, *, kind: tuple[str, str]) -> dict[str, Any]:
    """The document with the patch in it. `kind` is (group, kind)."""
    if content_type == JSON_PATCH:
        return _json_patched(document, patch)
    if not is_map(patch):
        raise ApiError(400, "the patch must be one object")
    if content_type == MERGE_PATCH:
        return _changed_object(merge(document, patch))
    if content_type == STRATEGIC_MERGE_PATCH:
        keys: Mapping[Path, str] = {path: lists.merge_key for path, lists in list_types(*kind).items()}
        return _changed_object(merge_strategically(document, patch, keys))
    known = ", ".join((JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCHES[0]))
    raise ApiError(415, f"a patch of type {content_type} is not known", f"send one of {known}")


def merge(value: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386) applied."""
    if not is_map(patch):
        return patch
    merged = dict(value) if is_map(value) else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), part)
    return merged


def _json_patched(document: Document, patch: Any) -> dict[str, Any]:
    if not is_list(patch):
        raise ApiError(400, "a JSON patch is a list of operations")
    try:
        return _changed_object(jsonpatch.JsonPatch(patch).apply(editable(document)))
    except (jsonpatch.InvalidJsonPatch, TypeError) as error:
        raise ApiError(400, f"the JSON patch is not valid: {error}") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise ApiError(422, f"the JSON patch cannot be applied: {error}") from None


def _changed_object(value: Any) -> dict[str, Any]:
    if not is_map(value) or not is_map(value.get("metadata")):
        raise ApiError(422, "the patch leaves no object with metadata")
    return dict(value)
