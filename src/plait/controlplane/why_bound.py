"""The Sidecar's part of `plait why`: whether it lets the caller call that at all, and which line of it says so."""

from dataclasses import dataclass

from plait.controlplane.call_target import Target
from plait.model.ids import ObjectName, Origin
from plait.model.reach import Reach
from plait.model.services import Capture, Service, Workload
from plait.model.snapshot import Snapshot
from plait.snapshot.bounds import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a Sidecar says of a call: it is `inside`; or outside, and then `passes` as it is or goes nowhere."""

    inside: bool
    sentence: str
    origin: Origin
    passes: bool = False


def bound_of(
    snapshot: Snapshot, caller: Workload, target: Target, *, service: Service | None, holder: ObjectName | None
) -> Bound | None:
    """What the caller's Sidecar says of a call to a service, or to a workload's address; None where it says nothing."""
    bounds = Bounds.of(snapshot, caller)
    reach = bounds.reach
    if reach is None:
        return None
    if service is not None:
        return _service(reach, service, target, caller=caller)
    if caller.capture is Capture.EXPLICIT:
        return None
    if holder is not None and bounds.lets_place(target.host, target.port):
        leading = (found for found in bounds.leading_to(target.host, target.port) if bounds.lets(*found))
        found = next(leading, None)
        return _inside(reach, *found, namespace=bounds.namespace) if found else None
    return _unknown(reach, target, holder)


def _inside(reach: Reach, service: Service, port: int, *, namespace: str) -> Bound:
    path = reach.verdict(service, port, namespace).path
    sentence = f"Sidecar {reach.sidecar} lets it call {service.host}:{port}"
    return Bound(inside=True, sentence=sentence, origin=reach.origin(path))


def _service(reach: Reach, service: Service, target: Target, *, caller: Workload) -> Bound:
    namespace = caller.name.namespace
    verdict = reach.verdict(service, target.port, namespace)
    if verdict.allowed:
        return _inside(reach, service, target.port, namespace=namespace)
    where = f"leaves {service.host} out" if verdict.excluded else f"names no host for {service.host}:{target.port}"
    effect = "the name does not exist for the caller (NXDOMAIN)"
    if caller.capture is Capture.EXPLICIT:
        effect = "the caller's proxy answers 404"
    elif reach.lets_any(service, namespace):
        effect = "its address has no such port"
    sentence = f"Sidecar {reach.sidecar} {where}, so {effect}"
    return Bound(inside=False, sentence=sentence, origin=reach.origin(verdict.path))


def _unknown(reach: Reach, target: Target, holder: ObjectName | None) -> Bound | None:
    if not reach.registry_only and holder is None:
        return None
    what = f"no service that Sidecar {reach.sidecar} lets it call leads to {holder} at port {target.port}"
    if reach.registry_only:
        what = what if holder else f"{target.host} is no service of the mesh"
        sentence = f"{what}, and Sidecar {reach.sidecar} says REGISTRY_ONLY"
        return Bound(inside=False, sentence=sentence, origin=reach.origin("spec.outboundTrafficPolicy"))
    return Bound(inside=False, passes=True, sentence=f"{what}: it goes there in plaintext", origin=reach.origin())
