"""Gateway API's routes: parents that do not exist, hosts that no listener serves, rules that are never reached."""

import json
from collections.abc import Iterator
from typing import Any

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import GATEWAY, Item, Mesh, overlap
from plait.analysis.references import ROUTES
from plait.resources.values import as_object


def parents(mesh: Mesh) -> Iterator[Finding]:
    """Gateways and Services that routes name as parents and that do not exist, or do not serve the route's hosts."""
    for item in mesh.of(GATEWAY, *ROUTES):
        for reference in item.spec["parentRefs"].items():
            namespace = reference["namespace"].text or item.namespace
            if (reference["kind"].text or "Gateway") == "Gateway":
                yield from _at_gateway(mesh, item, reference, namespace)
            elif reference["kind"].text == "Service":
                yield from _at_service(mesh, item, reference, namespace)


def _at_service(mesh: Mesh, item: Item, reference: Field, namespace: str) -> Iterator[Finding]:
    name = reference["name"]
    host = mesh.host(f"{name.text}.{namespace}", namespace)
    if host is None and mesh.hides(f"{name.text}.{namespace}", namespace):
        return
    if host is None:
        sentence = f"Service {namespace}/{name.text} does not exist, so the route takes no request"
        yield item.find(messages.UNKNOWN_HOST, name, sentence, "make it, or name another parent")
        return
    port = reference["port"]
    if port.number and port.number not in {found.number for found in host.ports}:
        sentence = f"Service {namespace}/{name.text} has no port {port.number}, so the route takes no request"
        yield item.find(messages.UNKNOWN_PORT, port, sentence, "name one of its ports, or none for all of them")


def _at_gateway(mesh: Mesh, item: Item, reference: Field, namespace: str) -> Iterator[Finding]:
    name = reference["name"]
    gateway = mesh.find(GATEWAY, "Gateway", namespace, name.text)
    if gateway is None:
        sentence = f"Gateway {namespace}/{name.text} does not exist"
        yield item.find(messages.UNKNOWN_GATEWAY, name, sentence, "make it, or name another parent")
        return
    listeners = [found for found in gateway.spec["listeners"].items() if _meant(reference, found)]
    if not listeners:
        sentence = f"Gateway {gateway.full_name} has no listener of that name and port"
        yield item.find(messages.UNKNOWN_GATEWAY, reference, sentence, "name one of its listeners, or none for all")
        return
    hosts = [found["hostname"].text for found in listeners]
    if "" in hosts:
        return
    for host in item.spec["hostnames"].items():
        if host.text and not any(overlap(served, host.text) for served in hosts):
            sentence = f"no listener of Gateway {gateway.full_name} serves {host.text}; they serve {', '.join(hosts)}"
            yield item.find(messages.HOST_NOT_SERVED, host, sentence, "correct one of the two")


def _meant(reference: Field, listener: Field) -> bool:
    section, port = reference["sectionName"].text, reference["port"].number
    return section in ("", listener["name"].text) and port in (0, listener["port"].number)


def shadowed(mesh: Mesh) -> Iterator[Finding]:
    """HTTP rules whose every match was made by an earlier rule of the same route: those come first."""
    for item in mesh.of(GATEWAY, "HTTPRoute"):
        earlier: dict[str, str] = {}
        for rule in item.spec["rules"].items():
            matches = list(rule["matches"].items()) or [Field({}, rule.path)]
            keys = [_key(match) for match in matches]
            taken = [earlier.get(key, "") for key in keys]
            if all(taken):
                sentence = f"{taken[0]} matches the same requests and comes first"
                remedy = "join the two rules, or make one of the matches more special"
                yield item.find(messages.SHADOWED_RULE, rule, sentence, remedy)
            for match, key, by in zip(matches, keys, taken, strict=True):
                if by and not all(taken):
                    sentence = f"{by} matches the same requests and comes first"
                    yield item.find(messages.SHADOWED_MATCH, match, sentence, "remove the match here or there")
                earlier.setdefault(key, match.path)


def _key(match: Field) -> str:
    """Two matches with the same key match the same requests."""
    path = as_object(match["path"].value) or {}
    value = {"type": path.get("type", "PathPrefix"), "value": path.get("value", "/")}
    if value["type"] == "PathPrefix" and value["value"] != "/":
        value["value"] = str(value["value"]).rstrip("/")
    rest: dict[str, Any] = {"method": match["method"].value}
    for name in ("headers", "queryParams"):
        listed = [as_object(found.value) or {} for found in match[name].items()]
        rest[name] = sorted(json.dumps({"type": "Exact", **found}, sort_keys=True) for found in listed)
    return json.dumps({"path": value, **rest}, sort_keys=True)
