"""PeerAuthentication: what a workload's ports accept.

Istio's order: the workload's own policy (one with a selector), then its namespace's, then the mesh's (root namespace),
then PERMISSIVE; UNSET passes on to the next. `portLevelMtls` names ports of the workload and needs a selector. Of two
policies for the same workloads the older one is in force and the other gets a condition; also where their selectors
differ and both choose a workload. A policy with a selector in the root namespace has no effect (the proto contradicts
itself; Istio's code ignores it), and says so.
"""

from collections.abc import Iterable, Mapping, Sequence

from plait.model.ids import ObjectName
from plait.model.security import MutualTlsMode
from plait.model.services import Labels
from plait.model.snapshot import Condition, PeerAuthentication
from plait.resources.istio.peer_authentication import MutualTLS, PeerAuthenticationSpec
from plait.snapshot.conditions import ACCEPTED, Problem, fails, holds, partially_invalid
from plait.snapshot.declared import DeclaredPeerAuthentication
from plait.snapshot.workloads import labels_of, selects


def declare_peer_authentication(
    name: ObjectName, spec: PeerAuthenticationSpec, *, generation: int, created: float
) -> DeclaredPeerAuthentication:
    """The policy that a PeerAuthentication declares."""
    selector = labels_of(spec.selector.match_labels) if spec.selector else ()
    listed = spec.port_level_mtls or {}
    ports = tuple(sorted((int(port), mode) for port, mtls in listed.items() if (mode := _mode(mtls))))
    sentence = "portLevelMtls needs a selector; it has no effect without one"
    dropped = (Problem(reason="UnsupportedValue", message=sentence),) if ports and not selector else ()
    policy = PeerAuthentication(name=name, selector=selector, mode=_mode(spec.mtls), ports=() if dropped else ports)
    return DeclaredPeerAuthentication(policy=policy, generation=generation, created=created, dropped=dropped)


def _mode(mtls: MutualTLS | None) -> MutualTlsMode | None:
    return None if mtls is None or mtls.mode == "UNSET" else MutualTlsMode(mtls.mode)


def in_force(
    declared: Iterable[DeclaredPeerAuthentication], *, root: bool
) -> tuple[tuple[PeerAuthentication, ...], Mapping[ObjectName, tuple[Condition, ...]]]:
    """The policies of one namespace that are in force, the oldest first, and the conditions of all of them."""
    first: dict[Labels, ObjectName] = {}
    kept: list[PeerAuthentication] = []
    conditions: dict[ObjectName, tuple[Condition, ...]] = {}
    for item in sorted(declared, key=lambda item: (item.created, item.policy.name)):
        policy = item.policy
        problem = _problem(policy, first.setdefault(policy.selector, policy.name), root=root)
        if problem is None:
            kept.append(policy)
            conditions[policy.name] = (holds(ACCEPTED), *partially_invalid(item.dropped))
        else:
            conditions[policy.name] = (fails(ACCEPTED, problem.reason, problem.message),)
    return tuple(kept), conditions


def _problem(policy: PeerAuthentication, older: ObjectName, *, root: bool) -> Problem | None:
    if root and policy.selector:
        sentence = "a selector in the root namespace has no effect; put the policy into the workloads' namespace"
        return Problem(reason="UnsupportedValue", message=sentence)
    if older == policy.name:
        return None
    scope = "selects the same workloads" if policy.selector else "is for the whole namespace too"
    sentence = f"PeerAuthentication {older} {scope} and is older, so it is in force; delete one of the two"
    return Problem(reason="Conflicted", message=sentence)


def selecting(policies: Iterable[PeerAuthentication], labels: Labels) -> tuple[ObjectName, ...]:
    """The policies of a namespace whose selectors choose a workload with these labels, the one in force first."""
    return tuple(item.name for item in policies if item.selector and selects(item.selector, labels))


def mutual_tls(
    policies: Mapping[str, Sequence[PeerAuthentication]], *, namespace: str, root_namespace: str, labels: Labels
) -> tuple[MutualTlsMode, Mapping[int, MutualTlsMode]]:
    """What a workload's ports accept, and the ports that differ from it."""
    own = policies.get(namespace, ()) if namespace != root_namespace else ()
    selected = next((item for item in own if item.selector and selects(item.selector, labels)), None)
    modes = [
        selected.mode if selected else None,
        _of_all(own),
        _of_all(policies.get(root_namespace, ())),
    ]
    mode = next((mode for mode in modes if mode), MutualTlsMode.PERMISSIVE)
    return mode, dict(selected.ports) if selected else {}


def _of_all(policies: Sequence[PeerAuthentication]) -> MutualTlsMode | None:
    return next((policy.mode for policy in policies if not policy.selector), None)
