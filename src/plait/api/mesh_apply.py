"""`plait apply`: a set of objects put into force together, or not at all with every mistake named.

Each object is applied as by server-side apply, so that what other writers set stays. With an owner the objects are
labelled as its own, and pruning deletes those of its objects that the set no longer holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plait.api import kinds, lifecycle
from plait.api.apply_answers import ApplyAnswer, ApplyRequest, ApplyResult
from plait.api.backend import Backend, settled
from plait.api.deletion import removal
from plait.api.errors import ApiError, invalid
from plait.api.kinds import Served
from plait.api.list_types import list_types
from plait.api.secrecy import refuse_kept
from plait.api.server_side_apply import Application, apply
from plait.api.shapes import map_at
from plait.api.writes import Edit, Planned, plan, retried
from plait.resources.parse import read_source, validate
from plait.resources.violations import Violation
from plait.resources.yaml import Document as Written
from plait.store.store import Document, ObjectKey, Write

OWNER = "plait.dev/owner"
"""The label that says which set an object belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One object of the set."""

    served: Served
    planned: Planned

    @property
    def key(self) -> ObjectKey:
        metadata = self.planned.document["metadata"]
        return self.served.key(metadata.get("namespace", ""), metadata["name"])


async def apply_set(backend: Backend, request: ApplyRequest, *, user: str) -> ApplyAnswer:
    """Put a set into force; ApiError 422 lists everything that is wrong with it."""
    if request.prune and not request.owner:
        raise ApiError(422, "prune needs an owner", "name the set: --owner NAME")
    listing = await backend.store.list(group="", kind="Namespace")
    namespaces = [str(item["metadata"]["name"]) for item in listing.items]
    written = [_written(document) for document in request.documents]
    if violations := validate(written, known_namespaces=namespaces):
        raise invalid(violations)

    async def attempt() -> ApplyAnswer:
        return await _attempt(backend, request, user)

    return await retried(attempt)


async def _attempt(backend: Backend, request: ApplyRequest, user: str) -> ApplyAnswer:
    documents = sorted(request.documents, key=lambda document: document.get("kind") != "Namespace")
    made = [document["metadata"]["name"] for document in documents if document.get("kind") == "Namespace"]
    parts: list[_Part] = []
    violations: list[object] = []
    for document in documents:
        try:
            parts.append(await _plan(backend, document, request, made))
        except ApiError as error:
            violations += error.violations or [_violation(document, error)]
    if violations:
        raise invalid(tuple(violations))
    pruned = await _pruned(backend, request, {part.key for part in parts})
    for key in [part.key for part in parts] + [write.key for _, write in pruned]:
        refuse_kept(user, "POST", key)
    writes = [part.planned.write for part in parts if part.planned.write] + [write for _, write in pruned]
    rehearsal = await settled(backend.rehearse(writes)) if request.dry_run else None
    if writes and not request.dry_run:
        await backend.store.commit(writes)
    results = [_result(part, request.owner) for part in parts] + [_deleted(document) for document, _ in pruned]
    return ApplyAnswer(results=tuple(results), revision=backend.store.revision, rehearsal=rehearsal)


async def _plan(backend: Backend, document: Mapping[str, Any], request: ApplyRequest, made: Sequence[str]) -> _Part:
    served = kinds.of_document(document)
    if served is None:
        raise ApiError(422, f"no kind {document.get('kind')} in {document.get('apiVersion')}")
    document = _owned(lifecycle.without_nulls(document), request.owner)
    metadata = document["metadata"]
    application = Application(
        document=document,
        manager=request.field_manager,
        force=request.force,
        lists=list_types(served.kind.group, served.kind.kind),
    )

    def make(old: Document | None) -> Mapping[str, Any]:
        return apply(application, served.shown(old) if old else None)

    edit = Edit(
        served=served,
        namespace=metadata.get("namespace", "default") if served.kind.namespaced else "",
        name=metadata["name"],
        make=make,
        manager="",
    )
    return _Part(served=served, planned=await plan(backend, edit, namespaces=made))


def _written(document: Mapping[str, Any]) -> Written:
    """The document with file and lines from its source annotation."""
    source = map_at(document, "metadata", "annotations").get(lifecycle.SOURCE, "")
    file, lines = read_source(source if isinstance(source, str) else "")
    return Written(value=dict(document), file=file, line=lines.get("", 0), lines=lines)


def _owned(document: dict[str, Any], owner: str) -> dict[str, Any]:
    if not owner:
        return document
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "labels": {**map_at(metadata, "labels"), OWNER: owner}}}


def _violation(document: Mapping[str, Any], error: ApiError) -> Violation:
    written = _written(document)
    metadata = map_at(document, "metadata")
    name = "/".join(str(metadata[key]) for key in ("namespace", "name") if metadata.get(key))
    resource = f"{document.get('kind')} {name}"
    return Violation(
        file=written.file, line=written.line, resource=resource, problem=error.problem, remedy=error.remedy
    )


async def _pruned(backend: Backend, request: ApplyRequest, kept: set[ObjectKey]) -> list[tuple[Document, Write]]:
    if not request.prune:
        return []
    pruned: dict[ObjectKey, tuple[Document, Write]] = {}
    for document in (await backend.store.list()).items:
        metadata = document["metadata"]
        if map_at(metadata, "labels").get(OWNER) != request.owner:
            continue
        group = kinds.split_group(document)
        key = ObjectKey(
            group=group, kind=document["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"]
        )
        if key in kept:
            continue
        for write in await removal(backend.store, key, document):
            gone = await backend.store.get(write.key) or document
            pruned[write.key] = (gone, write)
    return list(pruned.values())


def _result(part: _Part, owner: str) -> ApplyResult:
    planned, kind = part.planned, part.served.kind
    if planned.old is None:
        result = "created"
    elif planned.write is None or lifecycle.same_to_users(planned.document, planned.old):
        result = "unchanged"
    else:
        result = "configured"
    if kind.stored_only and result != "unchanged":
        result = "stored"
    metadata = planned.document["metadata"]
    return ApplyResult(
        kind=kind.kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        api_version=part.served.api_version,
        result=result,
        note="; ".join(filter(None, (kind.note, _taken_over(planned.old, owner)))),
    )


def _taken_over(old: Document | None, owner: str) -> str:
    """A sentence if the object was in another owner's set."""
    before = map_at(old or {}, "metadata", "labels").get(OWNER)
    if not owner or not before or before == owner:
        return ""
    return f"was in the set of {before}, is in that of {owner} from now on; take it out of the other set"


def _deleted(document: Document) -> ApplyResult:
    metadata = document["metadata"]
    return ApplyResult(
        kind=document["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        api_version=document["apiVersion"],
        result="deleted",
    )
