"""Documents become typed resources.

`parse` gives a `Resource` or every violation of the document; `validate` checks a whole set, also for what only shows
between documents. What a document must look like is in the models; how findings are worded is in `validation`.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from plait.model.ids import ObjectName, Origin
from plait.resources import paths
from plait.resources.kind import Kind
from plait.resources.meta import KubernetesObject, ObjectMeta
from plait.resources.schema import Model
from plait.resources.validation import Subject, validate_object
from plait.resources.values import as_object, as_text
from plait.resources.violations import Violation
from plait.resources.yaml import Document

SOURCE_ANNOTATION = "plait.dev/source"
"""The annotation in which `plait apply` says which file and lines an object came from."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A checked object. `spec` is the model of its `spec`, or of the whole object for kinds without one.

    `object` is the whole model, None for kinds that are only stored (then `spec` is None too).
    """

    kind: Kind
    namespace: str
    name: str
    generation: int = 0
    created: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    spec: Any = None
    object: KubernetesObject | None = None
    document: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict[str, int], repr=False, compare=False)

    @property
    def object_name(self) -> ObjectName:
        """Namespace and name."""
        return ObjectName(namespace=self.namespace, name=self.name)

    @cached_property
    def source(self) -> tuple[str, Mapping[str, int]]:
        """The file it was written in and the lines of its fields, as far as known."""
        if self.lines or self.file:
            return self.file, self.lines
        return read_source(self.annotations.get(SOURCE_ANNOTATION, ""))

    def origin(self, path: str = "") -> Origin:
        """Where that field was written."""
        file, lines = self.source
        line = paths.line_of(path, lines) if file else 0
        return Origin(kind=self.kind.kind, namespace=self.namespace, name=self.name, path=path, file=file, line=line)


def read_source(text: str) -> tuple[str, Mapping[str, int]]:
    """File and lines from the source annotation; empty when it is missing or not ours."""
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return "", {}
    source = as_object(value) or {}
    file = as_text(source.get("file"))
    if not file:
        return "", {}
    given = {"": source.get("line"), **(as_object(source.get("lines")) or {})}
    return file, {path: line for path, line in given.items() if isinstance(line, int)}


def write_source(document: Document) -> str:
    """The source annotation of a document: its file and line, and the lines of its spec's fields and sequence items."""
    kept = {path: line for path, line in document.lines.items() if path.startswith("spec.")}
    lines = {path: line for path, line in kept.items() if path.endswith("]") or path.count(".") == 1}
    value = {"file": document.file, "line": document.line, "lines": lines}
    return json.dumps(value, separators=(",", ":"))


def parse(
    document: Mapping[str, Any],
    *,
    lines: Mapping[str, int] | None = None,
    file: str = "",
    default_namespace: str = "default",
) -> Resource | tuple[Violation, ...]:
    """The resource that a document describes, or everything that is wrong with it."""
    subject = Subject.of(document, lines=lines or {}, file=file)
    checked = validate_object(document, subject)
    if isinstance(checked, tuple):
        return checked
    kind, model, cleaned = checked.kind, checked.model, checked.document
    metadata = model.metadata if model else ObjectMeta.model_validate(cleaned.get("metadata", {}))
    return Resource(
        kind=kind,
        namespace=(metadata.namespace or default_namespace) if kind.namespaced else "",
        name=metadata.name,
        generation=metadata.generation,
        created=seconds(metadata.creation_timestamp),
        labels=metadata.labels,
        annotations=metadata.annotations,
        spec=_spec(model),
        object=model,
        document=document,
        file=file,
        lines=lines or {},
    )


def _spec(model: KubernetesObject | None) -> Model | None:
    return getattr(model, "spec", model)


def seconds(timestamp: str | None) -> float:
    """Seconds since 1970 of an RFC 3339 time, 0 if there is none."""
    if not timestamp:
        return 0.0
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        return 0.0
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def validate(
    documents: Sequence[Document],
    *,
    known_namespaces: Collection[str] | None = None,
    default_namespace: str = "default",
) -> tuple[Violation, ...]:
    """Everything that is wrong with a set of documents, by file and line.

    With `known_namespaces` (those that exist already), namespaces named by objects must exist or be in the set.
    """
    violations: list[Violation] = []
    resources: list[Resource] = []
    for document in documents:
        parsed = parse(document.value, lines=document.lines, file=document.file, default_namespace=default_namespace)
        if isinstance(parsed, Resource):
            resources.append(parsed)
        else:
            violations.extend(parsed)
    violations.extend(_duplicates(resources))
    if known_namespaces is not None:
        violations.extend(_missing_namespaces(resources, known_namespaces))
    return tuple(sorted(violations, key=lambda violation: (violation.file, violation.line)))


def _duplicates(resources: Sequence[Resource]) -> Iterator[Violation]:
    first: dict[tuple[str, str, str, str], Resource] = {}
    for resource in resources:
        key = (resource.kind.group, resource.kind.kind, resource.namespace, resource.name)
        earlier = first.setdefault(key, resource)
        if earlier is resource or not resource.name:
            continue
        before = earlier.origin("metadata.name")
        place = f" at {before.file}:{before.line}" if before.line else ""
        yield _about(
            resource,
            "metadata.name",
            f'Duplicate value: "{resource.name}": the same object is written twice, first{place}',
            "remove one of the two, or separate their names or namespaces",
        )


def _missing_namespaces(resources: Sequence[Resource], known: Collection[str]) -> Iterator[Violation]:
    made = {resource.name for resource in resources if registry_is(resource.kind, "", "Namespace")}
    existing = {*known, *made}
    for resource in resources:
        if resource.kind.namespaced and resource.namespace not in existing:
            near = paths.nearest(resource.namespace, existing)
            remedy = f'did you mean "{near}"? Else' if near else "first"
            yield _about(
                resource,
                "metadata.namespace",
                f'namespaces "{resource.namespace}" not found',
                f"{remedy} make it: plait apply a Namespace of that name, in the same set or before",
            )


def registry_is(kind: Kind, group: str, name: str) -> bool:
    """Whether a kind is that one."""
    return kind.group == group and kind.kind == name


def _about(resource: Resource, path: str, problem: str, remedy: str) -> Violation:
    origin = resource.origin(path)
    name = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    return Violation(
        file=origin.file,
        line=origin.line,
        resource=f"{resource.kind.kind} {name}",
        path=path,
        problem=problem,
        remedy=remedy,
    )
