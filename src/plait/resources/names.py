"""Names, namespaces and labels in `metadata`, by Kubernetes' rules."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from plait.resources.formats import (
    LABEL_PATTERN,
    SAYINGS,
    SUBDOMAIN_PATTERN,
    fits,
    is_label_value,
    is_qualified,
)
from plait.resources.kind import Kind
from plait.resources.values import as_object
from plait.resources.violations import Violation

if TYPE_CHECKING:
    from plait.resources.validation import Subject

_LABEL_LENGTH = 63
_NAME_LENGTH = 253


def broken_names(kind: Kind, document: Mapping[str, Any], subject: "Subject") -> Iterator[Violation]:
    """What is wrong with the names in an object's metadata; types are checked elsewhere."""
    metadata = as_object(document.get("metadata", {}))
    if metadata is None:
        return
    yield from _broken_name(kind, metadata, subject)
    namespace = metadata.get("namespace")
    if isinstance(namespace, str) and not fits(LABEL_PATTERN, namespace, _LABEL_LENGTH):
        problem = f'Invalid value: "{namespace}": {SAYINGS[LABEL_PATTERN]}'
        yield subject.violation("metadata.namespace", problem)
    for field in ("labels", "annotations"):
        yield from _broken_labels(field, as_object(metadata.get(field)) or {}, subject)


def _broken_name(kind: Kind, metadata: Mapping[str, Any], subject: "Subject") -> Iterator[Violation]:
    name = metadata.get("name")
    if not name:
        if not metadata.get("generateName"):
            yield subject.violation("metadata.name", "Required value: name or generateName is required")
        return
    if not isinstance(name, str):
        return
    if kind.model is None:
        if name in (".", "..") or "/" in name or "%" in name or len(name) > _NAME_LENGTH:
            problem = f'Invalid value: "{name}": may not be "." or "..", may not contain "/" or "%"'
            yield subject.violation("metadata.name", problem)
        return
    pattern = kind.model.name_pattern
    limit = _NAME_LENGTH if pattern == SUBDOMAIN_PATTERN else _LABEL_LENGTH
    if not fits(pattern, name, limit):
        problem = f'Invalid value: "{name}": {SAYINGS[pattern]} (at most {limit} characters)'
        near = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
        remedy = f'for example "{near}"' if near and fits(pattern, near, limit) else ""
        yield subject.violation("metadata.name", problem, remedy)


def _broken_labels(field: str, values: Mapping[str, Any], subject: "Subject") -> Iterator[Violation]:
    for key, value in values.items():
        path = f"metadata.{field}[{key}]"
        if not is_qualified(key):
            problem = (
                f'Invalid value: "{key}": a key consists of letters, digits, "-", "_" and ".", starts and ends with a '
                "letter or digit, has at most 63 characters, and may have a DNS name and / in front"
            )
            yield subject.violation(path, problem)
        if field == "labels" and isinstance(value, str) and not is_label_value(value):
            problem = (
                f'Invalid value: "{value}": a label value is empty or consists of letters, digits, "-", "_" and ".", '
                "starts and ends with a letter or digit, and has at most 63 characters"
            )
            yield subject.violation(path, problem)
