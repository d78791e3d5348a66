"""VirtualServices against each other, against gateways, and rule against rule."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import ISTIO, Item, Mesh, full_host, overlap
from plait.analysis.references import destinations
from plait.resources.values import as_object

MESH: Final = "mesh"


def gateways_of(item: Item) -> tuple[tuple[str, Field], ...]:
    """The gateways of a VirtualService as NAMESPACE/NAME (or `mesh`), each with its field."""
    named = [
        (found.text if found.text == MESH or "/" in found.text else f"{item.namespace}/{found.text}", found)
        for found in item.spec["gateways"].items()
        if found.text
    ]
    return tuple(named) or ((MESH, item.spec["gateways"]),)


def conflicting_hosts(mesh: Mesh) -> Iterator[Finding]:
    """VirtualServices for sidecars that claim the same host."""
    first: dict[str, Item] = {}
    for item in mesh.of(ISTIO, "VirtualService"):
        if all(name != MESH for name, _ in gateways_of(item)):
            continue
        for host in item.spec["hosts"].items():
            full = full_host(host.text, item.namespace)
            earlier = first.setdefault(f"{_seen_by(item)} {full}", item)
            if earlier is not item:
                sentence = f"VirtualService {earlier.full_name} is for {full} too"
                yield item.find(messages.CONFLICTING_HOSTS, host, sentence, "join the two into one VirtualService")


def _seen_by(item: Item) -> str:
    shown = item.spec["exportTo"].texts()
    return item.namespace if shown == (".",) else ""


def unknown_gateways(mesh: Mesh) -> Iterator[Finding]:
    """Gateways that VirtualServices name and nobody made, and hosts that the gateway does not serve."""
    for item in mesh.of(ISTIO, "VirtualService"):
        for name, field in gateways_of(item):
            if name == MESH:
                continue
            namespace, _, short = name.partition("/")
            gateway = mesh.find(ISTIO, "Gateway", namespace, short)
            if gateway is None:
                sentence = f"Gateway {name} of {ISTIO} does not exist"
                yield item.find(messages.UNKNOWN_GATEWAY, field, sentence, "make it, or name another one")
            else:
                yield from _unserved(item, gateway)


def _unserved(item: Item, gateway: Item) -> Iterator[Finding]:
    patterns = [
        pattern
        for server in gateway.spec["servers"].items()
        for text in server["hosts"].texts()
        if (pattern := _pattern(text, gateway, item))
    ]
    for host in item.spec["hosts"].items():
        if host.text and not any(overlap(pattern, host.text) for pattern in patterns):
            sentence = f"no server of Gateway {gateway.full_name} has {host.text} among its hosts"
            remedy = "add the host to the Gateway, or correct it here"
            yield item.find(messages.HOST_NOT_SERVED, host, sentence, remedy)


def _pattern(text: str, gateway: Item, item: Item) -> str:
    """The host of a Gateway's server, empty if it is for VirtualServices of other namespaces."""
    namespace, slash, host = text.rpartition("/")
    wanted = gateway.namespace if namespace == "." else namespace
    return host if not slash or wanted in ("*", item.namespace) else ""


def shadowed(mesh: Mesh) -> Iterator[Finding]:
    """HTTP rules and matches that an earlier rule takes everything from."""
    for item in mesh.of(ISTIO, "VirtualService"):
        earlier: list[tuple[str, dict[str, Any]]] = []
        for rule in item.spec["http"].items():
            matches = list(rule["match"].items())
            taken = [_taker(match, earlier) for match in matches] if matches else [_taker(Field({}), earlier)]
            if all(taken):
                sentence = f"{taken[0]} takes every request that this rule would take"
                remedy = "put the more special rule first, or remove one of the two"
                yield item.find(messages.SHADOWED_RULE, rule, sentence, remedy)
            else:
                for match, by in zip(matches, taken, strict=False):
                    if by:
                        sentence = f"{by} takes every request that this match would take"
                        yield item.find(messages.SHADOWED_MATCH, match, sentence, "remove the match, or put it first")
            earlier += [(match.path, _conditions(match)) for match in matches] or [(rule.path, {})]


def _conditions(match: Field) -> dict[str, Any]:
    return {name: value.value for name, value in match.members() if name not in ("name", "statPrefix")}


def _taker(match: Field, earlier: list[tuple[str, dict[str, Any]]]) -> str:
    """The path of an earlier match that takes all that this one takes, empty if none does."""
    own = _conditions(match)
    return next((path for path, conditions in earlier if wider(conditions, own)), "")


def wider(conditions: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether whatever meets the conditions `own` meets the others too."""
    for name, wanted in conditions.items():
        if name == "ignoreUriCase":
            continue
        if name in ("headers", "queryParams", "withoutHeaders", "sourceLabels"):
            given = as_object(own.get(name)) or {}
            if any(json.dumps(given.get(key)) != json.dumps(value) for key, value in (as_object(wanted) or {}).items()):
                return False
        elif not _wider_text(wanted, own.get(name), own=own, conditions=conditions):
            return False
    return True


def _wider_text(wanted: Any, given: Any, *, own: dict[str, Any], conditions: dict[str, Any]) -> bool:
    if conditions.get("ignoreUriCase") != own.get("ignoreUriCase"):
        return wanted == given and not own.get("ignoreUriCase")
    prefix = (as_object(wanted) or {}).get("prefix")
    text = as_object(given) or {}
    if isinstance(prefix, str):
        value = text.get("exact", text.get("prefix"))
        return prefix in ("", "/") or (isinstance(value, str) and value.startswith(prefix))
    return given is not None and wanted == given


def subsets_at_gateways(mesh: Mesh) -> Iterator[Finding]:
    """Subsets that only sidecars choose, of hosts to which gateways are led without a subset."""
    bound = [(item, {name for name, _ in gateways_of(item)}) for item in mesh.of(ISTIO, "VirtualService")]
    led: dict[str, Item] = {}
    for item, field in _led(item for item, names in bound if MESH not in names):
        if not field["subset"]:
            led.setdefault(full_host(field["host"].text, item.namespace), item)
    for item, field in _led(item for item, names in bound if names == {MESH}):
        other = led.get(full_host(field["host"].text, item.namespace))
        if field["subset"] and other:
            sentence = f"VirtualService {other.full_name} leads gateways to the host without a subset"
            remedy = "name the subset there too, or add the gateway here"
            yield item.find(messages.SUBSET_AT_GATEWAY, field["subset"], sentence, remedy)


def _led(items: Iterable[Item]) -> Iterator[tuple[Item, Field]]:
    return ((item, field) for item in items for field in destinations(item))
