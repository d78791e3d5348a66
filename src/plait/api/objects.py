"""Objects and collections: get, list, create, replace, patch, apply, delete."""

from collections.abc import Mapping
from typing import Any

from plait.api.call import Call, decode
from plait.api.deletion import delete_object, delete_objects
from plait.api.errors import ApiError
from plait.api.list_types import list_types
from plait.api.lists import list_objects
from plait.api.patches import APPLY_PATCHES, patched
from plait.api.server_side_apply import Application, apply
from plait.api.shapes import map_at
from plait.api.tables import table, wants_table
from plait.api.writes import Edit, already_exists, not_found, write
from plait.store.store import Document

Answer = tuple[int, Mapping[str, Any]]
"""Status code and body."""


async def answer(call: Call) -> Answer:
    """Do what a request (except a watch) asks for."""
    handler = _OBJECT.get(call.method) if call.target.name else _COLLECTION.get(call.method)
    if handler is None or (call.target.subresource and call.method in ("POST", "DELETE")):
        raise ApiError(405, f"{call.method} is not allowed here")
    return await handler(call)


async def get(call: Call) -> Answer:
    """One object."""
    target = call.target
    document = await call.backend.store.get(target.served.key(target.namespace, target.name))
    if document is None:
        raise not_found(target.served, target.name)
    return 200, _shown(call, document)


async def create(call: Call) -> Answer:
    """A new object."""
    target = call.target
    given = call.document()
    metadata = map_at(given, "metadata")
    name = str(metadata.get("name") or "")

    def make(old: Document | None) -> Mapping[str, Any]:
        if old is not None:
            raise already_exists(target.served, name)
        if metadata.get("resourceVersion"):
            raise ApiError(400, "resourceVersion should not be set on objects to be created")
        return given

    planned = await write(call.backend, _edit(call, name, make))
    return 201, _shown(call, planned.document)


async def replace(call: Call) -> Answer:
    """The whole object anew."""
    given = call.document()

    def make(old: Document | None) -> Mapping[str, Any]:
        _existing(call, old)
        return given

    planned = await write(call.backend, _edit(call, call.target.name, make))
    return 200, _shown(call, planned.document)


async def patch(call: Call) -> Answer:
    """A patch of any type; an apply patch may also create."""
    content_type = call.content_type
    if content_type in APPLY_PATCHES:
        return await _apply(call)
    kind = call.target.served.kind
    change = decode(call.body, content_type)

    def make(old: Document | None) -> Mapping[str, Any]:
        shown = call.target.served.shown(_existing(call, old))
        return patched(shown, change, content_type, kind=(kind.group, kind.kind))

    planned = await write(call.backend, _edit(call, call.target.name, make))
    return 200, _shown(call, planned.document)


async def _apply(call: Call) -> Answer:
    served = call.target.served
    if not call.query.get("fieldManager"):
        raise ApiError(422, "fieldManager is required for apply patches", "add ?fieldManager=NAME")
    given: Mapping[str, Any] = {**call.document(), "apiVersion": served.api_version, "kind": served.kind.kind}
    if map_at(given, "metadata").get("managedFields"):
        raise ApiError(400, "metadata.managedFields must be nil")
    application = Application(
        document=given,
        manager=call.manager,
        force=call.flag("force"),
        lists=list_types(served.kind.group, served.kind.kind),
        subresource=call.target.subresource,
    )

    def make(old: Document | None) -> Mapping[str, Any]:
        if call.target.subresource:
            _existing(call, old)
        return apply(application, served.shown(old) if old else None)

    planned = await write(call.backend, _edit(call, call.target.name, make, manager=""))
    return 201 if planned.created else 200, _shown(call, planned.document)


def _edit(call: Call, name: str, make: Any, *, manager: str | None = None) -> Edit:
    target = call.target
    namespace = target.namespace or ("default" if target.served.kind.namespaced else "")
    return Edit(
        served=target.served,
        namespace=namespace,
        name=name,
        make=make,
        manager=call.manager if manager is None else manager,
        subresource=target.subresource,
        dry_run=call.dry_run,
    )


def _existing(call: Call, old: Document | None) -> Document:
    if old is None:
        raise not_found(call.target.served, call.target.name)
    return old


def _shown(call: Call, document: Document) -> Mapping[str, Any]:
    served = call.target.served
    shown = served.shown(document)
    version = wants_table(call.headers.get("accept", ""))
    if not version:
        return shown
    metadata = {"resourceVersion": document["metadata"].get("resourceVersion", "")}
    include = call.query.get("includeObject", "")
    return table(served.kind, [shown], version=version, include=include, metadata=metadata)


_OBJECT = {"GET": get, "PUT": replace, "PATCH": patch, "DELETE": delete_object}
_COLLECTION = {"GET": list_objects, "POST": create, "DELETE": delete_objects}
