"""YAML from the command line, ready to be sent: read, and marked with where each line came from.

The annotation `plait.dev/source` carries file and lines, so that `plait why` and conditions can name them; it is never
part of what makes two objects equal.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plait.cli import remote
from plait.cli.errors import UsageError
from plait.cli.fields import part
from plait.errors import InvalidInputError
from plait.resources.parse import SOURCE_ANNOTATION, write_source
from plait.resources.paths import line_of
from plait.resources.violations import Violation
from plait.resources.yaml import Document, Loaded, joined, load, load_paths


def read(files: Sequence[Path], more: Sequence[Path] | None, *, digest: str = "") -> Loaded:
    """Everything in the files and folders, at URLs and in standard input (`-`); `digest` is that of the only one."""
    paths = [*files, *(more or ())]
    if not paths:
        raise UsageError("no files given", "name them with -f PATH")
    if digest and len(paths) > 1:
        raise UsageError("--digest is for one file", "put the files in one: `plait bundle`")
    return joined(_read(path, digest) for path in paths)


def _read(path: Path, digest: str) -> Loaded:
    if digest or remote.url_of(path):
        return load(remote.read(path, digest), remote.url_of(path) or str(path))
    return load_paths([path], sys.stdin)


def read_correct(files: Sequence[Path], more: Sequence[Path] | None, *, digest: str = "") -> tuple[Document, ...]:
    """Like `read`, where text that is no YAML ends the command with every mistake."""
    loaded = read(files, more, digest=digest)
    if loaded.violations:
        raise InvalidInputError(loaded.violations)
    if not loaded.documents:
        raise UsageError("there is nothing in these files", "each object starts with apiVersion, kind and metadata")
    return loaded.documents


def with_source(document: Document) -> dict[str, Any]:
    """The object, annotated with the file and the lines it was written on."""
    value = dict(document.value)
    metadata = part(value, "metadata")
    annotations = {**part(metadata, "annotations"), SOURCE_ANNOTATION: write_source(document)}
    return {**value, "metadata": {**metadata, "annotations": annotations}}


def located(error: InvalidInputError, documents: Sequence[Document]) -> InvalidInputError:
    """The error with each mistake on its own line: what is sent names only the lines of list items."""
    return InvalidInputError(
        [_located(found, documents) if isinstance(found, Violation) else found for found in error.violations]
    )


def _located(violation: Violation, documents: Sequence[Document]) -> Violation:
    within = [document for document in documents if document.file == violation.file and document.line <= violation.line]
    if not within or not violation.path:
        return violation
    document = max(within, key=lambda document: document.line)
    return replace(violation, line=line_of(violation.path, document.lines) or violation.line)


def label(document: dict[str, Any]) -> str:
    """How an object is named in messages: `httproute/reviews`, with its namespace unless it is the default one."""
    metadata = part(document, "metadata")
    namespace = document.get("namespace") or metadata.get("namespace") or ""
    name = document.get("name") or metadata.get("name")
    where = f" in {namespace}" if namespace not in ("", "default") else ""
    return f"{str(document.get('kind', '')).lower()}/{name}{where}"


def subject(document: Document) -> str:
    """How reports name an object: `HTTPRoute shop/reviews`."""
    metadata = part(document.value, "metadata")
    name = "/".join(str(metadata[key]) for key in ("namespace", "name") if metadata.get(key))
    return full_subject(f"{document.value.get('kind', '')} {name}".strip())


def full_subject(resource: str) -> str:
    """The object of a violation as reports name it, with its namespace."""
    kind, space, name = resource.partition(" ")
    return f"{kind} default/{name}" if space and "/" not in name else resource
