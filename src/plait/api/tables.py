"""Tables: what clients print as columns (`Accept: application/json;as=Table;v=v1;g=meta.k8s.io`)."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from plait.api import jsonpath
from plait.api.shapes import is_list, is_map
from plait.resources.registry import Column, Kind
from plait.store.store import Document

_ACCEPTED = re.compile(r"application/json\s*;(?P<parameters>[^,]*\bas=Table\b[^,]*)")
_UNITS = ((3600 * 24 * 365, "y"), (3600 * 24, "d"), (3600, "h"), (60, "m"), (1, "s"))


def wants_table(accept: str) -> str:
    """The version of the table that a client accepts (`v1`, `v1beta1`), empty if it wants none."""
    match = _ACCEPTED.search(accept)
    if match is None:
        return ""
    version = re.search(r"\bv=(v1beta1|v1)\b", match["parameters"])
    return version[1] if version else ""


def table(
    kind: Kind, documents: Sequence[Document], *, version: str, include: str = "", metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The documents as a table; `include` is the query's includeObject."""
    columns = _columns(kind)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(metadata),
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": [_row(document, columns, version, include) for document in documents],
    }


def _columns(kind: Kind) -> tuple[Column, ...]:
    columns = tuple(column for column in kind.columns if column.name != "Name")
    if not any(column.name == "Age" for column in columns):
        columns = (*columns, Column(name="Age", path=".metadata.creationTimestamp", type="date"))
    return (Column(name="Name", path=".metadata.name"), *columns)


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": "string" if column.type == "date" else column.type,
        "format": "name" if column.name == "Name" else "",
        "description": column.description or f"The value at {column.path}.",
        "priority": column.priority,
    }


def _row(document: Document, columns: Sequence[Column], version: str, include: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [cell(document, column) for column in columns]}
    if include == "Object":
        row["object"] = document
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": document["metadata"],
        }
    return row


def cell(document: Document, column: Column) -> Any:
    """What a column shows of a document."""
    values = [value for value in jsonpath.find(document, column.path) if value is not None]
    if not values:
        return "<none>" if column.type == "string" else None
    if column.type == "date":
        return age(str(values[0]))
    if column.type in ("integer", "number", "boolean") and len(values) == 1:
        return values[0]
    return ",".join(_text(value) for value in values)


def age(timestamp: str) -> str:
    """The time since then as kubectl prints it: `12s`, `5m`, `3h`, `2d`."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>"
    seconds = max(0, int((datetime.now(UTC) - then).total_seconds()))
    length, unit = next((pair for pair in _UNITS if seconds >= 2 * pair[0]), (1, "s"))
    return f"{seconds // length}{unit}"


def _text(value: Any) -> str:
    if is_map(value):
        return ",".join(f"{name}={_text(part)}" for name, part in value.items()) or "<none>"
    if is_list(value):
        return (
            json.dumps(value)
            if any(isinstance(part, Mapping | list) for part in value)
            else ",".join(map(_text, value))
        )
    return str(value).lower() if isinstance(value, bool) else str(value)
