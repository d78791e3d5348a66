"""Writes what the mesh says of objects into their `status`, and only when it says something new.

A condition keeps its lastTransitionTime as long as its status stays the same. Conditions of other controllers
(routes can have several) are left alone.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from plait.api.shapes import list_at, map_at
from plait.controlplane.objects import Objects
from plait.errors import PlaitError
from plait.model.gateways import CONTROLLER
from plait.model.snapshot import Condition, ListenerStatus, ParentStatus, Status
from plait.resources.registry import find
from plait.store.store import Document, ObjectKey

log = logging.getLogger(__name__)

_AGAIN_AFTER: Final = 1.0


def now() -> str:
    """The present as Kubernetes writes time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


OURS: Final = frozenset({"Accepted", "ResolvedRefs", "PartiallyInvalid", "Programmed", "Conflicted"})
"""Condition types that are always written anew: what is not said again no longer holds."""


def merged_conditions(
    new: Iterable[Condition], old: Iterable[Mapping[str, Any]], generation: int, *, others: bool = False
) -> list[dict[str, Any]]:
    """Conditions as Kubernetes writes them; with `others`, old conditions of other types are kept."""
    before = {str(item.get("type")): item for item in old}
    result: list[dict[str, Any]] = []
    for condition in new:
        known = before.pop(condition.type, {})
        same = known.get("status") == condition.status
        result.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": known.get("lastTransitionTime", now()) if same else now(),
            }
        )
    kept = [dict(item) for name, item in before.items() if name not in OURS]
    return result + (kept if others else [])


def _listener(status: ListenerStatus, old: Mapping[str, Any], generation: int) -> dict[str, Any]:
    return {
        "name": status.name,
        "attachedRoutes": status.attached_routes,
        "supportedKinds": [{"group": group, "kind": kind} for group, kind in status.supported_kinds],
        "conditions": merged_conditions(status.conditions, old.get("conditions", []), generation),
    }


def _at_each(
    status: Status, listed: Iterable[ParentStatus], before: list[Any], reference_key: str
) -> list[dict[str, Any]]:
    """The conditions at each parent (or ancestor), those of other controllers kept."""
    result = [dict(item) for item in before if item.get("controllerName") != CONTROLLER]
    for parent in listed:
        reference = dict(parent.parent)
        ours = (item for item in before if item.get("controllerName") == CONTROLLER)
        known = next((item for item in ours if item.get(reference_key) == reference), None)
        result.append(
            {
                reference_key: reference,
                "controllerName": CONTROLLER,
                "conditions": merged_conditions(
                    parent.conditions, list_at(known, "conditions"), status.generation, others=True
                ),
            }
        )
    return result


def status_document(status: Status, old: Mapping[str, Any]) -> dict[str, Any]:
    """The object's new `status`, built on its old one."""
    result = dict(old)
    if status.parents or "parents" in old:
        result["parents"] = _at_each(status, status.parents, list_at(old, "parents"), "parentRef")
    if status.ancestors or "ancestors" in old:
        result["ancestors"] = _at_each(status, status.ancestors, list_at(old, "ancestors"), "ancestorRef")
    if status.conditions or "conditions" in old:
        result["conditions"] = merged_conditions(
            status.conditions, list_at(old, "conditions"), status.generation, others=True
        )
    if not result.get("conditions"):
        result.pop("conditions", None)
    if status.listeners:
        known = {str(item.get("name")): item for item in list_at(old, "listeners")}
        result["listeners"] = [
            _listener(item, known.get(item.name, {}), status.generation) for item in status.listeners
        ]
    if status.supported_features:
        result["supportedFeatures"] = [{"name": name} for name in status.supported_features]
    if status.kind == "Gateway":
        result["addresses"] = [{"type": "IPAddress", "value": value} for value in status.addresses]
    return result


class StatusWriter:
    """Writes statuses to the store. Of several controls the one that `leads` does; the others keep theirs.

    What cannot be written now (the store does not answer) is written later.
    """

    def __init__(self, objects: Objects, leads: Callable[[], bool] = lambda: True) -> None:
        self._objects = objects
        self._leads = leads
        self._newest: dict[ObjectKey, Status] = {}
        self._owed = False

    async def take(self, statuses: Iterable[Status], gone: Iterable[ObjectKey] = ()) -> None:
        """Write these, or keep them for later; `gone` are objects that exist no longer."""
        for key in gone:
            self._newest.pop(key, None)
        found = {_key(status): status for status in statuses}
        self._newest |= found
        if not self._leads():
            self._owed = True
            return
        await self._write_all(found.values())

    async def keep(self) -> None:
        """Write what is owed as soon as that can be done, for ever."""
        while True:
            await asyncio.sleep(_AGAIN_AFTER)
            if self._owed and self._leads():
                self._owed = False
                await self._write_all(list(self._newest.values()))

    async def write(self, status: Status) -> bool:
        """Write one status if it differs from what is stored; says whether it did."""

        def change(document: Document) -> dict[str, Any] | None:
            if document["metadata"].get("generation", 1) != status.generation:
                return None
            old = map_at(document, "status")
            new = status_document(status, old)
            return None if new == old else new

        return await self._objects.patch_status(_key(status), change)

    async def _write_all(self, statuses: Iterable[Status]) -> None:
        try:
            for status in statuses:
                await self.write(status)
        except PlaitError as error:
            log.warning("statuses are written later: %s", error)
            self._owed = True


def _key(status: Status) -> ObjectKey:
    kind = find(status.kind)
    group, word = (kind.group, kind.kind) if kind else ("", status.kind)
    return Objects.key(group, word, status.name.namespace, status.name.name)
