"""Shows what an Envoy refused on the user's own object, as the condition `plait.dev/Programmed`.

A refused resource leads back to objects by its name: a route configuration or cluster to the routes attached to its
service (or to the Service itself), a gateway's listener or route to its Gateway, an inbound listener or route to the
workload. While a proxy refuses a version, it keeps the last good one; the condition goes away with the refusal.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from typing import Any, Final

from plait.ads.connections import Connections
from plait.ads.peer_service import Method
from plait.api.shapes import list_at, map_at
from plait.controlplane.asking import Others
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher, parse_proxy
from plait.controlplane.statuses import merged_conditions
from plait.envoy import names
from plait.model.ids import Origin
from plait.model.snapshot import Condition, Snapshot
from plait.resources.registry import find
from plait.store.store import Document, ObjectKey

CONDITION: Final = "plait.dev/Programmed"
_QUIET: Final = 0.2
_ASK_EVERY: Final = 1.0
_ASKED_WITHIN: Final = 1.0


class Refusals:
    """Follows the proxies' refusals and writes them to the objects that caused them."""

    def __init__(self, objects: Objects, publisher: Publisher, others: Others | None = None) -> None:
        """`others`: further processes that serve streams, if there can be any; the one that leads writes for all."""
        self._objects = objects
        self._publisher = publisher
        self._others = others
        self._moved = asyncio.Event()
        self._told: dict[ObjectKey, str] | None = {} if others is None else None

    def note(self, _proxy: str) -> None:
        """A proxy's state changed."""
        self._moved.set()

    async def run(self, connections: Connections) -> None:
        """Keep the conditions current, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._others is None else _ASK_EVERY):
                    await self._moved.wait()
            await asyncio.sleep(_QUIET)
            self._moved.clear()
            await self._keep_current(connections)

    def methods(self, connections: Connections) -> Mapping[str, Method]:
        """What other controls may ask of this."""

        async def refusals(_body: Mapping[str, Any]) -> Mapping[str, Any]:
            found = self._here(connections)
            return {"refusals": [[*astuple(key), message] for key, told in found.items() for message in told]}

        return {"Refusals": refusals}

    async def _keep_current(self, connections: Connections) -> None:
        if self._others is not None and not self._others.leads:
            self._told = None
            return
        if self._told is None:
            self._told = await self._written()
        found = self._here(connections)
        for answer in await self._others.ask("Refusals", {}, _ASKED_WITHIN) if self._others is not None else ():
            for group, kind, namespace, name, message in answer["refusals"]:
                key = ObjectKey(group=group, kind=kind, namespace=namespace, name=name)
                found.setdefault(key, []).append(message)
        await self._write(_joined(found), self._told)

    def _here(self, connections: Connections) -> dict[ObjectKey, list[str]]:
        """What proxies refuse that are connected to this control."""
        found: dict[ObjectKey, list[str]] = {}
        for proxy, item in connections.refusals():
            for origin in origins_of(self._publisher.snapshot, proxy, item.name):
                found.setdefault(_key(origin), []).append(f"{proxy} keeps the last good version: {item.message}")
        return found

    async def _written(self) -> dict[ObjectKey, str]:
        """The objects that have the condition by now, whoever wrote it."""
        listing = await self._objects.store.list()
        return {Objects.key_of(item): "" for item in listing.items if _has_condition(item)}

    async def _write(self, current: Mapping[ObjectKey, str], told: dict[ObjectKey, str]) -> None:
        """Bring the objects from what they were told to this."""
        for key in [key for key in told if key not in current]:
            await self._objects.patch_status(key, lambda document: _changed(document, ""))
            del told[key]
        for key, message in current.items():
            if told.get(key) != message:
                await self._objects.patch_status(key, lambda document, text=message: _changed(document, text))
                told[key] = message


def origins_of(snapshot: Snapshot, proxy: str, resource: str) -> set[Origin]:
    """The objects that a resource of a proxy leads back to, by its name; of the proxy itself if by none."""
    workload = snapshot.workloads.get(parse_proxy(proxy))
    if workload is not None and workload.gateway is not None:
        gateway = snapshot.gateways.get(workload.gateway)
        return {gateway.origin} if gateway else set()
    place = names.parse_route(resource) or (names.parse_cluster(resource) or ("", 0))[:2]
    frontend = snapshot.frontends.get((str(place[0]), int(place[1])))
    if frontend is not None:
        rules = [*frontend.rules, *(rule for _, rules in frontend.consumer_rules for rule in rules)]
        origins = {rule.origin for rule in rules if rule.origin is not None}
        if origins:
            return {Origin(kind=item.kind, namespace=item.namespace, name=item.name) for item in origins}
    service = snapshot.services.get(str(place[0]))
    if service is not None:
        return {service.origin}
    return {workload.origin} if workload is not None and workload.origin is not None else set()


def _joined(found: Mapping[ObjectKey, list[str]]) -> dict[ObjectKey, str]:
    return {key: "; ".join(sorted(set(messages))) for key, messages in found.items()}


def _has_condition(document: Document) -> bool:
    status = map_at(document, "status")
    holders = [status, *list_at(status, "parents")]
    return any(item.get("type") == CONDITION for holder in holders for item in list_at(holder, "conditions"))


def _key(origin: Origin) -> ObjectKey:
    kind = find(origin.kind)
    return ObjectKey(group=kind.group if kind else "", kind=origin.kind, namespace=origin.namespace, name=origin.name)


def _changed(document: Document, message: str) -> dict[str, Any]:
    """The object's status with the condition (an empty message takes it away): for routes at each parent."""
    status = dict(map_at(document, "status"))
    generation = int(map_at(document, "metadata").get("generation", 1))
    if "parents" in status:
        status["parents"] = [
            {**parent, "conditions": _conditions(parent, generation, message)} for parent in list_at(status, "parents")
        ]
    else:
        status["conditions"] = _conditions(status, generation, message)
    return status


def _conditions(holder: Mapping[str, Any], generation: int, message: str) -> list[dict[str, Any]]:
    old = list_at(holder, "conditions")
    kept = [dict(item) for item in old if item.get("type") != CONDITION]
    if not message:
        return kept
    refused = Condition(type=CONDITION, status="False", reason="RefusedByProxy", message=message)
    return kept + merged_conditions([refused], [item for item in old if item.get("type") == CONDITION], generation)
