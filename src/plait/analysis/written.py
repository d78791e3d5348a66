"""What a single object says: deprecated fields, kinds without effect, and what the mesh itself answered to it."""

from collections.abc import Iterator, Sequence
from typing import Final

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import ISTIO, Item, Mesh
from plait.model.ids import Origin
from plait.model.snapshot import Condition, Status
from plait.resources.violations import Violation

_BAD: Final = ("Accepted", "ResolvedRefs", "Programmed", "PartiallyInvalid", "Conflicted")
_NEGATIVE: Final = ("PartiallyInvalid", "Conflicted")
_CLAIMS: Final = "@request.auth.claims"
_PENDING: Final = ("Pending", "AddressNotAssigned", "NoResources")


def violation(found: Violation) -> Finding:
    """What is wrong with an object by itself, as a finding."""
    kind, _, name = found.resource.partition(" ")
    namespace, _, short = name.rpartition("/")
    origin = Origin(kind=kind, namespace=namespace, name=short, path=found.path, file=found.file, line=found.line)
    about_regex = "regular expression" in found.problem or "regex" in found.path.lower()
    message = messages.REGEX if about_regex else messages.SCHEMA
    message = messages.JWT_CLAIM_ROUTING if _CLAIMS in f"{found.path} {found.problem}" else message
    sentence = f"{found.path}: {found.problem}" if found.path else found.problem
    return Finding(message=message, origin=origin, sentence=sentence, remedy=found.remedy or "correct it")


def deprecated(mesh: Mesh) -> Iterator[Finding]:
    """Fields and versions that their owners replaced."""
    for item in mesh.of(ISTIO, "VirtualService"):
        for rule in item.spec["http"].items():
            yield from _replaced(item, rule["mirrorPercent"], "mirrorPercentage: {value: ...}")
            yield from _replaced(item, rule["mirror_percent"], "mirrorPercentage: {value: ...}")
            yield from _replaced(item, rule.at("fault", "delay", "percent"), "percentage: {value: ...}")
            yield from _replaced(item, rule.at("fault", "abort", "percent"), "percentage: {value: ...}")
            yield from _replaced(item, rule.at("corsPolicy", "allowOrigin"), "allowOrigins")
    for item in mesh.of(ISTIO, "DestinationRule"):
        for top in (item.spec["trafficPolicy"], *(one["trafficPolicy"] for one in item.spec["subsets"].items())):
            yield from _replaced(item, top.at("outlierDetection", "consecutiveErrors"), "consecutive5xxErrors")


def _replaced(item: Item, field: Field, successor: str) -> Iterator[Finding]:
    if field:
        name = field.path.rpartition(".")[2]
        yield item.find(messages.DEPRECATED, field, f"{name} is deprecated", f"write {successor} instead")


def without_effect(mesh: Mesh) -> Iterator[Finding]:
    """Objects of kinds that the mesh stores and does not act on."""
    for resource in mesh.resources:
        kind, item = resource.kind, Item(resource)
        if kind.kind == "EnvoyFilter":
            sentence = "EnvoyFilters are stored and not applied"
            remedy = "say the same with HTTPRoute, DestinationRule or AuthorizationPolicy"
            yield item.find(messages.ENVOY_FILTER, "kind", sentence, remedy)
        elif kind.group.endswith((".istio.io", "gateway.networking.k8s.io")) and (
            kind.stored_only or not kind.effective
        ):
            sentence = kind.note or f"{kind.kind} objects are stored only"
            yield item.find(messages.NOT_ACTED_ON, "kind", sentence, "nothing is to be done, but do not rely on it")


def refused(mesh: Mesh, told: Sequence[Finding]) -> Iterator[Finding]:
    """What the mesh does not accept of objects of which nothing worse was told already."""
    blamed = {
        (found.origin.kind, found.origin.namespace, found.origin.name)
        for found in told
        if found.message.severity is messages.ERROR
    }
    for resource in mesh.resources:
        kind, item = resource.kind.kind, Item(resource)
        status = mesh.statuses.get((kind, resource.object_name))
        if status is None or (kind, item.namespace, item.name) in blamed:
            continue
        for condition in {found.message: found for found in _conditions(status) if _is_bad(found)}.values():
            sentence = f"{condition.type} is {condition.status} ({condition.reason}): {condition.message}"
            yield item.find(messages.REFUSED, "metadata.name", sentence, "see the condition in its status")


def _conditions(status: Status) -> Iterator[Condition]:
    yield from status.conditions
    for parent in status.parents:
        yield from parent.conditions
    for listener in status.listeners:
        yield from listener.conditions


def _is_bad(condition: Condition) -> bool:
    wrong = "True" if condition.type in _NEGATIVE else "False"
    return condition.type in _BAD and condition.status == wrong and condition.reason not in _PENDING
