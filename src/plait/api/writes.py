"""Every write through the API, whatever its form: read, change, complete, admit, commit; again if someone was quicker.

An edit is a pure function from the old object (or None) to the new one. Planning an edit touches nothing, so that
sets of objects can be planned first and committed together.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from plait.api import lifecycle
from plait.api.backend import Backend, settled
from plait.api.errors import ApiError, invalid
from plait.api.field_sets import Manager, after_update, leaves, read
from plait.api.field_sets import write as write_managers
from plait.api.kinds import Served
from plait.api.list_types import list_types
from plait.api.shapes import is_map, map_at
from plait.errors import ConflictError
from plait.resources.parse import Resource, parse
from plait.resources.violations import Violation
from plait.store.store import Document, ObjectKey, Write

T = TypeVar("T")
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of one object. `manager` is empty when `make` keeps the managed fields itself."""

    served: Served
    namespace: str
    name: str
    make: Callable[[Document | None], Mapping[str, Any]]
    manager: str
    subresource: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What an edit would do. `write` is None when nothing changes."""

    old: Document | None
    document: Document
    write: Write | None

    @property
    def created(self) -> bool:
        """Whether the object is new."""
        return self.old is None


async def write(backend: Backend, edit: Edit) -> Planned:
    """Make an edit; the answer holds the document as it is now stored."""

    async def attempt() -> Planned:
        planned = await plan(backend, edit)
        if planned.write is None or edit.dry_run:
            return planned
        (stored,) = await backend.store.commit([planned.write])
        return Planned(old=planned.old, document=stored, write=planned.write)

    return await retried(attempt)


async def retried(attempt: Callable[[], Awaitable[T]]) -> T:
    """The attempt's value; it is repeated while another writer was quicker."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except ConflictError:
            continue
    raise ApiError(409, "the object is being changed all the time", "try again")


async def plan(backend: Backend, edit: Edit, *, namespaces: Sequence[str] = ()) -> Planned:
    """What an edit would do now. `namespaces` are those that the same set makes."""
    served = edit.served
    old = await backend.store.get(served.key(edit.namespace, edit.name)) if edit.name else None
    proposed = _identified(lifecycle.without_nulls(edit.make(old)), edit)
    _check_preconditions(proposed, old, edit)
    if edit.subresource == "status" and old is not None:
        final = _managed(lifecycle.only_status(proposed, old), old, edit)
        final["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    else:
        document = lifecycle.with_status_of(proposed, old) if served.kind.has_status else dict(proposed)
        document = _managed(served.stored(document), old, edit)
        final = await _admitted(backend, lifecycle.complete(document, old), old, served)
    if old is None:
        await _check_namespace(backend, served, edit.namespace, namespaces)
    if old is not None and lifecycle.same(final, old):
        return Planned(old=old, document=old, write=None)
    expected = int(old["metadata"]["resourceVersion"]) if old else 0
    key = served.key(edit.namespace, final["metadata"]["name"])
    return Planned(old=old, document=final, write=Write(key=key, document=final, expected=expected))


def not_found(served: Served, name: str) -> ApiError:
    """The refusal for an object that does not exist."""
    return ApiError(404, f'{served.qualified} "{name}" not found', details=_details(served, name))


def already_exists(served: Served, name: str) -> ApiError:
    """The refusal for an object that exists already."""
    problem = f'{served.qualified} "{name}" already exists'
    return ApiError(409, problem, details=_details(served, name), reason="AlreadyExists")


def _details(served: Served, name: str) -> dict[str, str]:
    return {"name": name, "group": served.kind.group, "kind": served.kind.plural}


def _identified(document: Mapping[str, Any], edit: Edit) -> dict[str, Any]:
    """The document with the identity that its path gives; ApiError 400 if it claims another."""
    if not is_map(document.get("metadata") or {}):
        raise ApiError(400, "metadata must be an object")
    metadata = map_at(document, "metadata")
    served = edit.served
    namespace = edit.namespace if served.kind.namespaced else ""
    for field, value, wanted in (
        ("kind", document.get("kind"), served.kind.kind),
        ("metadata.name", metadata.get("name"), edit.name),
        ("metadata.namespace", metadata.get("namespace"), namespace),
    ):
        if value and wanted and value != wanted:
            raise ApiError(400, f"{field} is {value}, but the request is for {wanted}", "make both the same")
    identity = {"name": edit.name, "namespace": namespace}
    metadata = {**metadata, **{field: value for field, value in identity.items() if value}}
    if not namespace:
        metadata.pop("namespace", None)
    if not metadata.get("name") and not metadata.get("generateName"):
        raise ApiError(422, "metadata.name: Required value: name or generateName is required")
    return {**document, "apiVersion": served.api_version, "kind": served.kind.kind, "metadata": metadata}


def _check_preconditions(proposed: Mapping[str, Any], old: Document | None, edit: Edit) -> None:
    metadata = proposed["metadata"]
    current = map_at(old, "metadata")
    for field in ("resourceVersion", "uid"):
        given = metadata.get(field)
        if given and old is not None and given != current.get(field):
            raise modified(edit.served, str(metadata["name"]))


def modified(served: Served, name: str) -> ApiError:
    """The refusal for a change of an older state than the current one."""
    problem = (
        f'Operation cannot be fulfilled on {served.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, problem, details=_details(served, name))


def _managed(document: dict[str, Any], old: Document | None, edit: Edit) -> dict[str, Any]:
    if not edit.manager:
        return document
    lists = list_types(edit.served.kind.group, edit.served.kind.kind)
    updater = Manager(
        name=edit.manager,
        operation="Update",
        api_version=edit.served.api_version,
        subresource=edit.subresource,
        fields=frozenset(),
    )
    managers = after_update(
        read(document if old is None else old),
        updater,
        old=leaves(old, lists) if old else {},
        new=leaves(document, lists),
    )
    metadata = {**document["metadata"], "managedFields": write_managers(managers)}
    return {**document, "metadata": metadata}


async def _admitted(backend: Backend, document: dict[str, Any], old: Document | None, served: Served) -> dict[str, Any]:
    """The document checked against its kind, then by the rules that need to know the mesh."""
    admitted: Document = document
    violations: Sequence[Violation] = ()
    checked = parse(document)
    if isinstance(checked, Resource):
        admitted, violations = await settled(backend.admission(document, old))
    else:
        violations = checked
    if violations:
        name = str(document["metadata"].get("name", ""))
        qualified = f"{served.kind.kind}.{served.kind.group}" if served.kind.group else served.kind.kind
        raise invalid(tuple(violations), subject=f'{qualified} "{name}"', details=_details(served, name))
    return lifecycle.with_generation(admitted, old)


async def _check_namespace(backend: Backend, served: Served, namespace: str, made: Sequence[str]) -> None:
    if not served.kind.namespaced or namespace in made:
        return
    key = ObjectKey(group="", kind="Namespace", namespace="", name=namespace)
    if await backend.store.get(key) is None:
        details = {"name": namespace, "kind": "namespaces"}
        remedy = f"make it: kubectl create namespace {namespace}"
        raise ApiError(404, f'namespaces "{namespace}" not found', remedy, details=details)
