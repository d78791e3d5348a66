"""Deleting objects: one, a collection, or a namespace with all that is in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from plait.api.call import Call, decode
from plait.api.errors import ApiError
from plait.api.lists import chosen
from plait.api.shapes import is_map, map_at
from plait.api.writes import modified, not_found, retried
from plait.errors import ForbiddenError
from plait.store.store import Document, ObjectKey, Store, Write

PROTECTED_NAMESPACES = frozenset({"default", "istio-system", "plait-system"})
_ANSWERED_BY_OBJECT = frozenset(
    {"Pod", "PodTemplate", "Service", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota"}
)
"""Kinds of the core group whose deletion Kubernetes answers with the object instead of a Status."""


async def delete_object(call: Call) -> tuple[int, Mapping[str, Any]]:
    """Delete one object; a namespace takes along what it holds."""
    served, name = call.target.served, call.target.name
    options = _options(call)
    key = served.key(call.target.namespace, name)

    async def attempt() -> Document:
        document = await call.backend.store.get(key)
        if document is None:
            raise not_found(served, name)
        _check_preconditions(options, document, call)
        writes = await removal(call.backend.store, key, document)
        if not _dry_run(call, options):
            await call.backend.store.commit(writes)
        return document

    document = await retried(attempt)
    if served.kind.kind in _ANSWERED_BY_OBJECT and not served.kind.group:
        return 200, served.shown(document)
    details = {
        "name": name,
        "group": served.kind.group,
        "kind": served.kind.plural,
        "uid": document["metadata"].get("uid", ""),
    }
    return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def delete_objects(call: Call) -> tuple[int, Mapping[str, Any]]:
    """Delete the chosen objects of a collection."""
    served = call.target.served
    dry_run = _dry_run(call, _options(call))

    async def attempt() -> tuple[Sequence[Document], int]:
        documents, revision = await chosen(call)
        writes: list[Write] = []
        for document in documents:
            metadata = document["metadata"]
            key = served.key(metadata.get("namespace", ""), metadata["name"])
            writes += await removal(call.backend.store, key, document)
        if not dry_run:
            await call.backend.store.commit(writes)
        return documents, revision

    documents, revision = await retried(attempt)
    return 200, {
        "kind": f"{served.kind.kind}List",
        "apiVersion": served.api_version,
        "metadata": {"resourceVersion": str(revision)},
        "items": [served.shown(document) for document in documents],
    }


async def removal(store: Store, key: ObjectKey, document: Document) -> list[Write]:
    """The writes that delete an object, with the contents of a namespace; ForbiddenError for the mesh's own."""
    own = Write(key=key, document=None, expected=int(document["metadata"]["resourceVersion"]))
    if (key.group, key.kind) != ("", "Namespace"):
        return [own]
    if key.name in PROTECTED_NAMESPACES:
        raise ForbiddenError(f'namespaces "{key.name}" is forbidden: this namespace may not be deleted')
    contents = await store.list(namespace=key.name)
    return [*(Write(key=_key(item), document=None, expected=_revision(item)) for item in contents.items), own]


def _key(document: Document) -> ObjectKey:
    metadata = document["metadata"]
    group = document["apiVersion"].rpartition("/")[0]
    return ObjectKey(group=group, kind=document["kind"], namespace=metadata["namespace"], name=metadata["name"])


def _revision(document: Document) -> int:
    return int(document["metadata"]["resourceVersion"])


def _options(call: Call) -> Mapping[str, Any]:
    if not call.body:
        return {}
    options = decode(call.body, call.content_type)
    if not is_map(options):
        raise ApiError(400, "the body of a delete must be DeleteOptions")
    return options


def _dry_run(call: Call, options: Mapping[str, Any]) -> bool:
    return call.dry_run or options.get("dryRun") == ["All"]


def _check_preconditions(options: Mapping[str, Any], document: Document, call: Call) -> None:
    wanted = map_at(options, "preconditions")
    for field in ("uid", "resourceVersion"):
        if wanted.get(field) and wanted[field] != document["metadata"].get(field):
            raise modified(call.target.served, call.target.name)
