"""Linking BackendTLSPolicies: which one is in force at each port of a Service, and what is said of each.

Of several for one Service and section the older is in force, a policy for the port's name before one for the whole
Service. Where its authorities cannot be had nothing is sent to the backend: the policy says whom to trust, and nobody
else is. https://gateway-api.sigs.k8s.io/reference/spec/#backendtlspolicy
"""

from collections.abc import Iterable, Sequence
from typing import Final

from plait.model.backend_tls import BackendTls
from plait.model.ids import ObjectName
from plait.model.snapshot import Condition, ParentStatus, Status
from plait.snapshot.attach import GATEWAY_GROUP, is_gateway, is_service
from plait.snapshot.backend_tls import SYSTEM, DeclaredBackendTls
from plait.snapshot.conditions import ACCEPTED, RESOLVED_REFS, Problem, checked
from plait.snapshot.declared import DeclaredPort, DeclaredService, Reference
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.services import service_host

KIND: Final = "BackendTLSPolicy"
_MOST_ANCESTORS: Final = 16
_HOLDERS: Final = (("", "ConfigMap"), ("", "Secret"))


def link_backend_tls(stage: Stage, dirty: Dirty) -> None:
    """Link the marked Services again, and write the status of every policy for them."""
    tables = stage.tables
    for key in dirty.routes:
        route = tables.routes.routes.get(key)
        dirty.backend_tls.update(tables.backend_tls.targeted(route.backends) if route else ())
    dirty.backend_tls.update(tables.backend_tls.targeted(("", "Service", name) for name in dirty.shapes))
    for target in dirty.backend_tls:
        policies = tables.backend_tls.of(target)
        dirty.backend_tls_statuses.update(policy.name for policy in policies)
        if is_service(target):
            _link(stage, target, policies)
    for name in dirty.backend_tls_statuses:
        policy = tables.backend_tls.policies.get(name)
        stage.links.statuses.put((KIND, name), _status(stage, policy) if policy else None)


def _link(stage: Stage, target: Reference, policies: Sequence[DeclaredBackendTls]) -> None:
    name = target[2]
    service = stage.tables.services.by_name(name)
    former = {key for key in stage.links.backend_tls.values() if key[0] == name}
    for port in service.ports if service else ():
        chosen = _in_force(policies, target, port)
        key = name, port.number
        former.discard(key)
        if stage.links.backend_tls.put(key, _meant(stage, chosen) if chosen else None):
            stage.effects.hosts.add(service_host(name))
    for key in former:
        stage.links.backend_tls.put(key, None)
        stage.effects.hosts.add(service_host(name))


def _in_force(
    policies: Iterable[DeclaredBackendTls], target: Reference, port: DeclaredPort
) -> DeclaredBackendTls | None:
    listed = tuple(policies)
    for section in (port.name, "") if port.name else ("",):
        found = next((item for item in listed if (target, section) in item.targets), None)
        if found is not None:
            return found
    return None


def _meant(stage: Stage, policy: DeclaredBackendTls) -> BackendTls:
    found, problems = _authorities(stage, policy)
    usable = policy.well_known == SYSTEM or bool(found)
    return BackendTls(
        server_name=policy.server_name,
        hosts=policy.hosts,
        uris=policy.uris,
        authorities=None if policy.well_known == SYSTEM else b"\n".join(found),
        problem="" if usable else (problems[0].message if problems else "no authorities are known"),
    )


def _authorities(stage: Stage, policy: DeclaredBackendTls) -> tuple[list[bytes], list[Problem]]:
    found: list[bytes] = []
    problems: list[Problem] = []
    for reference in policy.authorities:
        group, kind, name = reference
        held = stage.tables.backend_tls.authorities.get(reference)
        if (group, kind) not in _HOLDERS:
            sentence = (
                f"caCertificateRefs: {group or 'core'}/{kind} {name} is not supported; name a ConfigMap or Secret"
            )
            problems.append(Problem(reason="InvalidKind", message=sentence))
        elif held is None or not held.pem:
            sentence = f"caCertificateRefs: {kind} {name} has no PEM certificate under ca.crt, or does not exist"
            problems.append(Problem(reason="InvalidCACertificateRef", message=sentence))
        else:
            found.append(held.pem)
    return found, problems


def _status(stage: Stage, policy: DeclaredBackendTls) -> Status:
    conditions = _conditions(stage, policy)
    return Status(
        kind=KIND,
        name=policy.name,
        generation=policy.generation,
        ancestors=tuple(
            ParentStatus(parent=ancestor, conditions=conditions)
            for ancestor in _ancestors(stage, policy)[:_MOST_ANCESTORS]
        ),
    )


def _conditions(stage: Stage, policy: DeclaredBackendTls) -> tuple[Condition, ...]:
    found, problems = _authorities(stage, policy)
    refused = [problem for target, section in policy.targets if (problem := _lost(stage, policy, target, section))]
    all_lost = len(refused) == len(policy.targets)
    untrusted: list[Problem] = []
    if policy.authorities and not found:
        untrusted.append(Problem(reason="NoValidCACertificate", message=problems[0].message))
    if policy.well_known and policy.well_known != SYSTEM:
        sentence = f"wellKnownCACertificates: {policy.well_known} is not known; use System or caCertificateRefs"
        untrusted.append(Problem(reason="Invalid", message=sentence))
    return checked(ACCEPTED, (*(refused if all_lost else ()), *untrusted)), checked(RESOLVED_REFS, tuple(problems))


def _lost(stage: Stage, policy: DeclaredBackendTls, target: Reference, section: str) -> Problem | None:
    """Why the policy is not in force at a target."""
    group, kind, name = target
    service = stage.tables.services.by_name(name) if is_service(target) else None
    if service is None or not _has(service, section):
        what = f"{group}/{kind}" if group else kind
        named = f" has no port named {section}" if service else " does not exist, or is no Service"
        return Problem(reason="TargetNotFound", message=f"targetRefs: {what} {name}{named}")
    winner = next(item for item in stage.tables.backend_tls.of(target) if (target, section) in item.targets)
    if winner is policy:
        return None
    sentence = f"targetRefs: BackendTLSPolicy {winner.name} is for {kind} {name} too and is older; keep one of them"
    return Problem(reason="Conflicted", message=sentence)


def _has(service: DeclaredService, section: str) -> bool:
    return not section or any(port.name == section for port in service.ports)


def _ancestors(stage: Stage, policy: DeclaredBackendTls) -> list[tuple[tuple[str, str | int], ...]]:
    """The Gateways whose routes send to a target; a target that none sends to is named itself."""
    result: dict[tuple[tuple[str, str | int], ...], None] = {}
    for target, _ in policy.targets:
        routes = (stage.tables.routes.routes[key] for key in stage.tables.routes.sending_to(target))
        gateways = {parent.name for route in routes for parent in route.parents if is_gateway(parent.reference)}
        for name in sorted(gateways):
            result.setdefault(_reference(GATEWAY_GROUP, "Gateway", name))
        if not gateways:
            result.setdefault(_reference(*target))
    return list(result)


def _reference(group: str, kind: str, name: ObjectName) -> tuple[tuple[str, str | int], ...]:
    return (("group", group), ("kind", kind), ("name", name.name), ("namespace", name.namespace))
