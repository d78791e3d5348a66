"""Sidecar: what it lets workloads call, and which one is in force for whom.

Istio's order: the oldest Sidecar of the workload's namespace whose selector chooses it, then the oldest of the
namespace without a selector, then the root namespace's without one; never two together. Gateways have none. Of two for
the same workloads the older is in force and the other gets a condition. What of a Sidecar is not done (its own
listeners, an egress proxy) is said in its condition PartiallyInvalid and changes nothing else;
so is a workload that an older one with another selector chooses too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from plait.model.ids import ObjectName
from plait.model.reach import ANY, EgressListener, HostPattern, Reach
from plait.model.services import Labels, Workload, WorkloadKind
from plait.model.snapshot import Condition, SelectedReach
from plait.model.traffic_policy import Pool
from plait.resources.istio.sidecar import IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, SidecarSpec
from plait.snapshot.conditions import ACCEPTED, fails, holds, partially_invalid
from plait.snapshot.sidecar_limits import app_port, not_done
from plait.snapshot.sidecar_table import DeclaredSidecar
from plait.snapshot.traffic_policies import declared_pool
from plait.snapshot.workloads import labels_of, selects

EXCLUDED: Final = "~"
_EVERYTHING: Final = EgressListener(hosts=(HostPattern(namespace=ANY, host=ANY, path="spec"),), path="spec")
_NO_LABELS: Final = "workloadSelector has no labels, so it chooses every workload of the namespace"


def declare_sidecar(name: ObjectName, spec: SidecarSpec, *, generation: int, created: float) -> DeclaredSidecar:
    """What a Sidecar declares."""
    selector = spec.workload_selector
    listeners = tuple(_listener(listener, f"spec.egress[{index}]") for index, listener in enumerate(spec.egress))
    reach = Reach(
        sidecar=name,
        listeners=listeners or (_EVERYTHING,),
        registry_only=_registry_only(spec.outbound_traffic_policy),
        app_ports=tuple(sorted(_app_ports(spec.ingress))),
        pool=declared_pool(spec.inbound_connection_pool),
        pools=tuple(sorted(_pools(spec.ingress), key=lambda item: item[0])),
    )
    return DeclaredSidecar(
        selected=SelectedReach(selector=labels_of(selector.labels) if selector else None, reach=reach),
        generation=generation,
        created=created,
        dropped=tuple(not_done(spec)),
    )


def _registry_only(policy: OutboundTrafficPolicy | None) -> bool:
    """Without the field the mesh's own policy holds: to let unknown hosts pass."""
    return policy is not None and policy.mode == "REGISTRY_ONLY"


def _app_ports(ingress: Iterable[IstioIngressListener]) -> Iterable[tuple[int, int]]:
    for listener in ingress:
        found = app_port(listener.default_endpoint)
        if found and listener.port.number:
            yield listener.port.number, found


def _pools(ingress: Iterable[IstioIngressListener]) -> Iterable[tuple[int, Pool]]:
    for listener in ingress:
        pool = declared_pool(listener.connection_pool)
        if pool is not None and listener.port.number:
            yield listener.port.number, pool


def _listener(listener: IstioEgressListener, path: str) -> EgressListener:
    port = listener.port
    single = port is not None and port.protocol.upper() != "HTTP_PROXY"
    patterns = [(host, f"{path}.hosts[{index}]") for index, host in enumerate(listener.hosts)]
    return EgressListener(
        port=(port.number or 0) if port is not None and single else 0,
        hosts=tuple(_pattern(host, at) for host, at in patterns if not host.startswith(EXCLUDED)),
        excluded=tuple(_pattern(host[1:], at) for host, at in patterns if host.startswith(EXCLUDED)),
        path=path,
    )


def _pattern(text: str, path: str) -> HostPattern:
    namespace, _, host = text.partition("/")
    return HostPattern(namespace=namespace or ANY, host=host.rstrip(".").lower(), path=path)


def sidecars_in_force(
    declared: Iterable[DeclaredSidecar],
) -> tuple[tuple[SelectedReach, ...], Mapping[ObjectName, tuple[Condition, ...]]]:
    """The Sidecars of one namespace that are in force, those asked first in front, and the conditions of all."""
    first: dict[Labels | None, ObjectName] = {}
    kept: list[SelectedReach] = []
    conditions: dict[ObjectName, tuple[Condition, ...]] = {}
    for item in sorted(declared, key=lambda item: (item.created, item.name)):
        selector = item.selected.selector
        older = first.setdefault(selector, item.name)
        if older == item.name:
            kept.append(item.selected)
            accepted = holds(ACCEPTED, _NO_LABELS if selector == () else "")
            conditions[item.name] = (accepted, *partially_invalid(item.dropped))
        else:
            conditions[item.name] = (fails(ACCEPTED, "Conflicted", _conflict(older, selector)),)
    return tuple(sorted(kept, key=lambda item: item.selector is None)), conditions


def _conflict(older: ObjectName, selector: Labels | None) -> str:
    scope = "is for the whole namespace too" if selector is None else "selects the same workloads"
    return f"Sidecar {older} {scope} and is older, so it is in force; delete one of the two"


class Chooser:
    """Finds the Sidecar in force for a workload, asking only those whose selector begins with one of its labels."""

    def __init__(self, sidecars: Mapping[str, Sequence[SelectedReach]], *, root_namespace: str) -> None:
        self._sidecars = sidecars
        self._root = next((item.reach for item in sidecars.get(root_namespace, ()) if item.selector is None), None)
        self._indexes: dict[str, dict[tuple[str, str] | None, list[int]]] = {}

    def reach_of(self, workload: Workload) -> Reach | None:
        """What the Sidecar that is in force for a workload lets it call; None without one."""
        if workload.kind is WorkloadKind.GATEWAY:
            return None
        return next((item.reach for item in self._choosing(workload)), self._root)

    def selecting(self, workload: Workload) -> tuple[ObjectName, ...]:
        """The Sidecars whose selectors choose a workload, the one in force first."""
        if workload.kind is WorkloadKind.GATEWAY:
            return ()
        return tuple(item.reach.sidecar for item in self._choosing(workload) if item.selector is not None)

    def _choosing(self, workload: Workload) -> Iterator[SelectedReach]:
        own = self._sidecars.get(workload.name.namespace, ())
        index = self._index(workload.name.namespace, own)
        for number in sorted(number for label in (None, *workload.labels) for number in index.get(label, ())):
            if selects(own[number].selector or (), workload.labels):
                yield own[number]

    def _index(self, namespace: str, sidecars: Sequence[SelectedReach]) -> dict[tuple[str, str] | None, list[int]]:
        found = self._indexes.get(namespace)
        if found is None:
            found = self._indexes[namespace] = {}
            for number, item in enumerate(sidecars):
                found.setdefault(item.selector[0] if item.selector else None, []).append(number)
        return found
