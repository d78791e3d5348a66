"""What holds for calls to a destination, settled from all who have a say.

A DestinationRule goes before the `traffic.plait.dev/` annotations of the Service wherever both say something, block by
block where Istio replaces blocks (outlier detection, retry budget) and number by number for the limits of connections.
What neither mentions keeps the mesh's default.
"""

from dataclasses import replace
from typing import Final

from plait.model.destinations import DestinationRule
from plait.model.ids import ObjectName, Origin
from plait.model.placement import Placement, covers, labels_with_place
from plait.model.protection import CallerProtection
from plait.model.services import Workload, WorkloadKind
from plait.model.snapshot import Snapshot
from plait.model.traffic_policy import LocalityPreference, TlsMode, TrafficPolicy, UpstreamTls
from plait.resources.core import traffic_annotations as asked

_LIMITS: Final = {
    asked.MAX_CONNECTIONS: "max_connections",
    asked.MAX_REQUESTS: "max_requests",
    asked.MAX_PENDING: "max_pending",
}
_OUTLIERS: Final = (asked.EJECT_AFTER_FAILURES, asked.EJECT_AFTER_ERRORS, asked.EJECT_FOR, asked.EJECT_AT_MOST)


def replaced_annotations(policy: TrafficPolicy) -> frozenset[str]:
    """The annotations of a Service that have no effect for callers that follow a policy."""
    found = {name for name, field in _LIMITS.items() if policy.pool and getattr(policy.pool, field) is not None}
    if policy.outliers is not None:
        found.update((*_OUTLIERS, asked.PANIC_BELOW))
    if policy.retry_budget is not None or (policy.pool and policy.pool.max_retries is not None):
        found.add(asked.RETRY_BUDGET)
    if policy.pool and policy.pool.idle_timeout is not None:
        found.add(asked.KEEP_ALIVE)
    return frozenset(found)


def settled(annotated: CallerProtection, policy: TrafficPolicy | None) -> CallerProtection:
    """The limits that callers keep to."""
    if policy is None:
        return annotated
    found = replace(annotated, origins=_kept(annotated.origins, replaced_annotations(policy)))
    pool, outliers, budget = policy.pool, policy.outliers, policy.retry_budget
    if pool is not None:
        given = {field: getattr(pool, field) for field in (*_LIMITS.values(), "max_retries")}
        found = replace(found, **{field: value for field, value in given.items() if value is not None})
        if pool.max_retries is not None:
            found = replace(found, retry_budget=None)
    if budget is not None:
        found = replace(found, retry_budget=budget.percent, min_retries=budget.minimum)
    if outliers is not None:
        found = replace(found, ejection=outliers.ejection, panic_threshold=outliers.panic_threshold)
    return found


def _kept(origins: tuple[Origin, ...], replaced: frozenset[str]) -> tuple[Origin, ...]:
    return tuple(origin for origin in origins if annotation_of(origin) not in replaced)


def annotation_of(origin: Origin) -> str:
    """The annotation that an origin is."""
    return origin.path.partition("[")[2].removesuffix("]")


def with_credentials(snapshot: Snapshot, caller: Workload, rule: DestinationRule, tls: UpstreamTls) -> UpstreamTls:
    """TLS with what the Secret holds that it names: one of the caller's own namespace.

    A sidecar gets one only by a rule with a workloadSelector, as in Istio: without it TLS is as if none was named.
    """
    if tls.mode is not TlsMode.OWN or not tls.credential:
        return _proving(tls, "tls.mode: MUTUAL needs a certificate")
    if caller.kind is not WorkloadKind.GATEWAY and rule.selector is None:
        return _proving(tls, "tls.credentialName works at sidecars only with a workloadSelector")
    name = ObjectName(namespace=caller.name.namespace, name=tls.credential)
    held = snapshot.credentials.get(name)
    if held is None:
        return replace(tls, problem=f"tls.credentialName: there is no Secret {name} with certificates in it")
    if tls.proves and held.certificate is None:
        return replace(tls, problem=f"tls.credentialName: Secret {name} has no certificate and key for mode MUTUAL")
    return replace(tls, authorities=held.authorities or None, certificate=name if tls.proves else None)


def _proving(tls: UpstreamTls, problem: str) -> UpstreamTls:
    return replace(tls, problem=tls.problem or problem) if tls.proves else tls


def placement(caller: Workload, policy: TrafficPolicy) -> Placement | None:
    """Which localities a caller prefers; None where all are alike to it.

    Nearer localities are preferred only together with outlier detection, as in Istio: without it nothing would ever
    tell the caller that they fail.
    """
    preference = (policy.balancer.locality if policy.balancer else None) or LocalityPreference()
    if not preference.enabled:
        return None
    for source, shares in preference.distribute:
        if covers(source, caller.locality) and caller.locality:
            return Placement(locality=caller.locality, shares=shares)
    if preference.distribute or policy.outliers is None:
        return None
    return _failover(caller, preference)


def _failover(caller: Workload, preference: LocalityPreference) -> Placement | None:
    own = labels_with_place(caller.labels, caller.locality, caller.node)
    wanted = (text.partition("=") for text in preference.priority)
    labels = tuple((name, value if given else own.get(name, "")) for name, given, value in wanted)
    region = caller.locality.partition("/")[0]
    by_locality = bool(caller.locality) and (bool(preference.failover) or not labels)
    if not labels and not by_locality:
        return None
    over = next((to for source, to in preference.failover if source == region), "") if by_locality else ""
    return Placement(locality=caller.locality, labels=labels, by_locality=by_locality, takes_over=over)
