"""Label and field selectors: from their text to a predicate on documents."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from plait.api.errors import ApiError
from plait.api.shapes import is_map, map_at
from plait.store.store import Document

Matches = Callable[[Document], bool]
_Labels = Callable[[Mapping[str, str]], bool]

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s=!,()]*)$")
_EXISTS = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^\s!=,()]+)$")


def selected(*, labels: str = "", fields: str = "") -> Matches:
    """The predicate that both selectors mean together; ApiError 400 if one cannot be read."""
    label_tests = [_label_test(part) for part in _parts(labels)]
    field_tests = [_field_test(part) for part in _parts(fields)]

    def matches(document: Document) -> bool:
        found = map_at(document, "metadata", "labels")
        return all(test(found) for test in label_tests) and all(test(document) for test in field_tests)

    return matches


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", text)]
    return [part for part in parts if part]


def _label_test(part: str) -> _Labels:
    if match := _SET.match(part):
        key, wanted = match["key"], frozenset(value.strip() for value in match["values"].split(","))
        if match["operator"] == "in":
            return lambda labels: key in labels and labels[key] in wanted
        return lambda labels: labels.get(key) not in wanted
    if match := _EQUAL.match(part):
        key, value = match["key"], match["value"]
        if match["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(part):
        key, wanted_present = match["key"], not match["absent"]
        return lambda labels: (key in labels) == wanted_present
    raise ApiError(
        400, f"unable to parse the label selector requirement {part!r}", "write key=value, key in (a,b), key"
    )


def _field_test(part: str) -> Matches:
    match = _EQUAL.match(part)
    if match is None:
        raise ApiError(400, f"unable to parse the field selector requirement {part!r}", "write field=value")
    path, value, equal = match["key"].split("."), match["value"], match["operator"] != "!="
    return lambda document: (_field(document, path) == value) == equal


def _field(document: Any, path: list[str]) -> str:
    for name in path:
        document = document.get(name) if is_map(document) else None
    if document is None:
        return ""
    return str(document).lower() if isinstance(document, bool) else str(document)
