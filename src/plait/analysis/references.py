"""References to hosts, subsets and ports that do not exist, in VirtualServices, DestinationRules and routes."""

from collections.abc import Iterator
from typing import Final

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import GATEWAY, ISTIO, Host, Item, Mesh, covers, spellings
from plait.resources.paths import nearest

ROUTES: Final = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")
_ACTIONS: Final = ("http", "tcp", "tls")


def destinations(item: Item) -> Iterator[Field]:
    """Every destination of a VirtualService, mirrors too."""
    for action in _ACTIONS:
        for rule in item.spec[action].items():
            yield from (share["destination"] for share in rule["route"].items())
            if rule["mirror"]:
                yield rule["mirror"]
            yield from (copy["destination"] for copy in rule["mirrors"].items())


def unknown_hosts(mesh: Mesh) -> Iterator[Finding]:
    """Destinations of VirtualServices and hosts of DestinationRules that nobody declares."""
    for item in mesh.of(ISTIO, "VirtualService"):
        for destination in destinations(item):
            if destination["host"]:
                yield from _destination(mesh, item, destination)
    for item in mesh.of(ISTIO, "DestinationRule"):
        field = item.spec["host"]
        if field.text and not _declared(mesh, item, field.text):
            yield from _unknown(mesh, item, field, field.text)


def _declared(mesh: Mesh, item: Item, text: str) -> bool:
    if "*" in text:
        return any(covers(text, name) for name in mesh.hosts)
    return mesh.host(text, item.namespace) is not None


def _unknown(mesh: Mesh, item: Item, field: Field, text: str) -> Iterator[Finding]:
    if mesh.hides(text, item.namespace):
        return
    full, other = spellings(text, item.namespace)
    near = nearest(full, mesh.hosts) or nearest(other, mesh.hosts)
    remedy = f"did you mean {near}?" if near else "declare it with a Service or a ServiceEntry, or correct the name"
    yield item.find(messages.UNKNOWN_HOST, field, f"no Service or ServiceEntry declares {full}", remedy)


def _destination(mesh: Mesh, item: Item, destination: Field) -> Iterator[Finding]:
    text = destination["host"].text
    host = mesh.host(text, item.namespace)
    if host is None:
        yield from _unknown(mesh, item, destination["host"], text)
        return
    number = destination.at("port", "number")
    known = sorted(port.number for port in host.ports)
    if number and number.number not in known:
        sentence = f"{host.name} has no port {number.number}"
        yield item.find(messages.UNKNOWN_PORT, number, sentence, f"name one of its ports: {_listed(known)}")
    elif not number and len(known) > 1 and ".http[" in destination.path:
        sentence = f"{host.name} has the ports {_listed(known)}, and the destination names none"
        yield item.find(messages.PORT_REQUIRED, destination, sentence, "add port: {number: ...}")
    if subset := destination["subset"]:
        yield from _subset(mesh, item, subset, host)


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "it has none"


def rules_for(mesh: Mesh, host: Host) -> Iterator[Item]:
    """The DestinationRules for a host."""
    for rule in mesh.of(ISTIO, "DestinationRule"):
        text = rule.spec["host"].text
        if text and (host.name.lower() in spellings(text, rule.namespace) or ("*" in text and covers(text, host.name))):
            yield rule


def _subset(mesh: Mesh, item: Item, subset: Field, host: Host) -> Iterator[Finding]:
    rules = tuple(rules_for(mesh, host))
    known = {found["name"].text for rule in rules for found in rule.spec["subsets"].items()}
    if subset.text in known:
        return
    near = nearest(subset.text, known)
    mend = f"did you mean {near}?" if near else "declare it under subsets of a DestinationRule for the host"
    where = f"DestinationRule {rules[0].full_name} for {host.name}" if rules else f"any DestinationRule for {host.name}"
    yield item.find(messages.UNKNOWN_SUBSET, subset, f"subset {subset.text} is not in {where}", mend)


def unknown_backends(mesh: Mesh) -> Iterator[Finding]:
    """Backends of Gateway API's routes that do not exist, have no such port, or are not granted."""
    for item in mesh.of(GATEWAY, *ROUTES):
        for rule in item.spec["rules"].items():
            for reference in _references(rule):
                yield from _backend(mesh, item, reference)


def _references(rule: Field) -> Iterator[Field]:
    yield from rule["backendRefs"].items()
    filters = (
        *rule["filters"].items(),
        *(kept for ref in rule["backendRefs"].items() for kept in ref["filters"].items()),
    )
    yield from (found for kept in filters if (found := kept.at("requestMirror", "backendRef")))


def _backend(mesh: Mesh, item: Item, reference: Field) -> Iterator[Finding]:
    kind, group = reference["kind"].text or "Service", reference["group"].text
    name, namespace = reference["name"], reference["namespace"].text or item.namespace
    if kind not in ("Service", "Hostname") or not name.text:
        return
    spelling = name.text if kind == "Hostname" else f"{name.text}.{namespace}"
    host = mesh.host(spelling, namespace) if kind == "Hostname" or not group else None
    if host is None:
        yield from _unknown(mesh, item, name, spelling)
        return
    port = reference["port"]
    numbers = sorted(found.number for found in host.ports)
    if port.number and port.number not in numbers:
        sentence = f"{host.name} has no port {port.number}"
        yield item.find(messages.UNKNOWN_PORT, port, sentence, f"name one of its ports: {_listed(numbers)}")
    if namespace != item.namespace and kind == "Service" and not granted(mesh, item, ("", kind, name.text), namespace):
        sentence = (
            f"no ReferenceGrant in {namespace} lets {item.resource.kind.kind}s of {item.namespace} use {name.text}"
        )
        remedy = f"add a ReferenceGrant in namespace {namespace}, or move the route there"
        yield item.find(messages.MISSING_GRANT, reference, sentence, remedy)


def granted(mesh: Mesh, item: Item, target: tuple[str, str, str], namespace: str) -> bool:
    """Whether a ReferenceGrant of a namespace lets an object refer to a target: group, kind, name."""
    kind, own = item.resource.kind, item.namespace
    for grant in mesh.of(GATEWAY, "ReferenceGrant"):
        if grant.namespace != namespace:
            continue
        sources = {(one["group"].text, one["kind"].text, one["namespace"].text) for one in grant.spec["from"].items()}
        targets = [(one["group"].text, one["kind"].text, one["name"].text) for one in grant.spec["to"].items()]
        if (kind.group, kind.kind, own) in sources and any(
            found[:2] == target[:2] and found[2] in ("", target[2]) for found in targets
        ):
            return True
    return False


def nowhere(mesh: Mesh) -> Iterator[Finding]:
    """Rules of VirtualServices and routes that lead to nothing."""
    for item in mesh.of(GATEWAY, *ROUTES):
        for rule in item.spec["rules"].items():
            kinds = {kept["type"].text for kept in rule["filters"].items()}
            yield from _nowhere(item, rule, rule["backendRefs"], answers="RequestRedirect" in kinds)
    for item in mesh.of(ISTIO, "VirtualService"):
        for rule in item.spec["http"].items():
            answers = any(rule[name] for name in ("redirect", "directResponse", "delegate"))
            yield from _nowhere(item, rule, rule["route"], answers=answers)


def _nowhere(item: Item, rule: Field, shares: Field, *, answers: bool) -> Iterator[Finding]:
    if answers:
        return
    listed = list(shares.items())
    weights = [share["weight"].value for share in listed]
    if not listed:
        yield item.find(messages.NO_WEIGHT, rule, "the rule has no destination", "name one, or remove the rule")
    elif all(weight == 0 for weight in weights):
        sentence = "all weights of the rule are 0"
        yield item.find(messages.NO_WEIGHT, shares, sentence, "give at least one destination a weight")
