"""All tables together, and the way of a resource into the table of its kind.

Each entry of `_kinds` sets an object (or removes it, for None) and marks what that makes dirty. Kinds that are not
listed say nothing about traffic.
"""

import ipaddress
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from plait.model.ids import ObjectName
from plait.resources.core.config_map import ConfigMap
from plait.resources.core.endpoint_slice import EndpointSlice
from plait.resources.core.secret import Secret
from plait.resources.parse import Resource
from plait.snapshot.attach import GATEWAY_GROUP
from plait.snapshot.authorization import declare_authorization
from plait.snapshot.backend_tls import DeclaredAuthorities, declare_authorities, declare_backend_tls
from plait.snapshot.backend_tls_table import BackendTlsTable
from plait.snapshot.certificates import declare_secret
from plait.snapshot.conditions import PARTIALLY_INVALID
from plait.snapshot.declared import DeclaredNode, Reference
from plait.snapshot.declared_routes import DeclaredRoute, RouteKind
from plait.snapshot.destination_rules import declare_destination_rule
from plait.snapshot.destination_table import DestinationTable
from plait.snapshot.dirty import Dirty
from plait.snapshot.edge_table import EdgeTable
from plait.snapshot.edges import declare_edge
from plait.snapshot.endpoints import SERVICE_LABEL, declare_slice
from plait.snapshot.gateway_objects import declare_class, declare_gateway, declare_grant
from plait.snapshot.gateway_table import GatewayTable
from plait.snapshot.grpc_routes import declare_grpc_route
from plait.snapshot.http_routes import declare_route
from plait.snapshot.l4_routes import declare_tcp_route, declare_tls_route
from plait.snapshot.peer_authentication import declare_peer_authentication
from plait.snapshot.policy_table import PolicyTable
from plait.snapshot.route_table import RouteTable
from plait.snapshot.service_entries import declare_entry
from plait.snapshot.service_table import ServiceTable
from plait.snapshot.services import declare_service
from plait.snapshot.sidecar_table import SidecarTable
from plait.snapshot.sidecars import declare_sidecar
from plait.snapshot.virtual_hosts import declare_hosts
from plait.snapshot.virtual_service_table import VirtualServiceTable
from plait.snapshot.virtual_services import declare_virtual_service
from plait.snapshot.workload_table import WorkloadTable
from plait.snapshot.workloads import declare_workload

Key = tuple[str, str, str, str]
"""Group, kind, namespace and name of an object."""
NETWORKING: Final = "networking.istio.io"
SECURITY: Final = "security.istio.io"
_REGION: Final = "topology.kubernetes.io/region"
_ZONE: Final = "topology.kubernetes.io/zone"
_DECLARE_ROUTE: Final[Mapping[RouteKind, Callable[[Resource, Any], DeclaredRoute]]] = {
    RouteKind.GRPC: declare_grpc_route,
    RouteKind.HTTP: declare_route,
    RouteKind.TLS: declare_tls_route,
    RouteKind.TCP: declare_tcp_route,
}
_Put = Callable[[ObjectName, Resource | None, Dirty], None]


class Tables:
    """What the users declared, indexed."""

    def __init__(self, trust_domain: str) -> None:
        self.trust_domain = trust_domain
        self.services = ServiceTable()
        self.workloads = WorkloadTable()
        self.routes = RouteTable()
        self.gateways = GatewayTable()
        self.policies = PolicyTable()
        self.sidecars = SidecarTable()
        self.edges = EdgeTable()
        self.destinations = DestinationTable()
        self.virtual_services = VirtualServiceTable()
        self.backend_tls = BackendTlsTable()
        self._kinds: Mapping[tuple[str, str], _Put] = {
            ("", "Service"): self._service,
            ("", "Secret"): self._secret,
            ("", "ConfigMap"): self._config_map,
            ("", "Namespace"): self._namespace,
            ("", "Node"): self._node,
            ("discovery.k8s.io", "EndpointSlice"): self._slice,
            (NETWORKING, "WorkloadEntry"): self._workload,
            (NETWORKING, "ServiceEntry"): self._entry,
            (NETWORKING, "Sidecar"): self._sidecar,
            (NETWORKING, "Gateway"): self._edge,
            (NETWORKING, "DestinationRule"): self._destination_rule,
            (NETWORKING, "VirtualService"): self._virtual_service,
            (SECURITY, "PeerAuthentication"): self._peer,
            (SECURITY, "AuthorizationPolicy"): self._authorization,
            **{(GATEWAY_GROUP, kind.value): partial(self._route, kind) for kind in RouteKind},
            (GATEWAY_GROUP, "Gateway"): self._gateway,
            (GATEWAY_GROUP, "GatewayClass"): self._class,
            (GATEWAY_GROUP, "BackendTLSPolicy"): self._backend_tls,
            (GATEWAY_GROUP, "ReferenceGrant"): self._grant,
        }

    def knows(self, group: str, kind: str) -> bool:
        """Whether objects of the kind say anything about traffic."""
        return (group, kind) in self._kinds

    def put(self, resource: Resource, dirty: Dirty) -> None:
        """Set an object."""
        self._kinds[resource.kind.group, resource.kind.kind](resource.object_name, resource, dirty)

    def drop(self, key: Key, dirty: Dirty) -> None:
        """Remove an object."""
        group, kind, namespace, name = key
        self._kinds[group, kind](ObjectName(namespace=namespace, name=name), None, dirty)

    def _service(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_service(
            name,
            resource.spec,
            annotations=resource.annotations,
            order=(resource.generation, resource.created),
            origin=resource.origin(),
            warned=_says(resource.document, PARTIALLY_INVALID),
        )
        self.services.put_service(name, declared, dirty)

    def _entry(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_entry(
            name,
            resource.spec,
            allocated=_allocated(resource.document),
            trust_domain=self.trust_domain,
            order=(resource.generation, resource.created),
            origin=resource.origin(),
        )
        self.services.put_entry(name, declared, dirty)

    def _sidecar(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_sidecar(
            name, resource.spec, generation=resource.generation, created=resource.created
        )
        self.sidecars.put(name, declared, dirty)

    def _edge(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        self.edges.put(name, declare_edge(resource, resource.spec) if resource else None, dirty)

    def _destination_rule(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_destination_rule(
            name, resource.spec, generation=resource.generation, created=resource.created, origin=resource.origin()
        )
        self.destinations.put(name, declared, dirty)

    def _virtual_service(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = declare_virtual_service(resource, resource.spec) if resource else None
        self.virtual_services.put(name, declared, dirty)
        hosts = resource and declare_hosts(
            name,
            resource.spec,
            allocated=_allocated(resource.document),
            created=resource.created,
            origin=resource.origin("spec.hosts"),
        )
        self.services.put_virtual(name, hosts or (), dirty)

    def _slice(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        document = resource.object if resource else None
        service = resource.labels.get(SERVICE_LABEL, "") if resource else ""
        declared = declare_slice(name, document, service) if isinstance(document, EndpointSlice) else None
        self.services.put_slice(name, declared, dirty)

    def _workload(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_workload(
            name,
            resource.spec,
            metadata=(resource.labels, resource.annotations),
            trust_domain=self.trust_domain,
            origin=resource.origin(),
        )
        self.workloads.put(name, declared, dirty)

    def _node(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        self.workloads.put_node(name.name, _node(resource) if resource else None, dirty)

    def _namespace(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        self.gateways.put_namespace(name.name, dict(resource.labels) if resource else None, dirty)

    def _secret(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        document = resource.object if resource else None
        declared = declare_secret(name, document) if isinstance(document, Secret) else None
        self.gateways.put_secret(name, declared, dirty)
        self.edges.note_secret(name, dirty)
        held = declare_authorities(document) if isinstance(document, Secret) else None
        self._authorities(("", "Secret", name), held, dirty)

    def _config_map(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        document = resource.object if resource else None
        held = declare_authorities(document) if isinstance(document, ConfigMap) else None
        self._authorities(("", "ConfigMap", name), held, dirty)

    def _authorities(self, reference: Reference, held: DeclaredAuthorities | None, dirty: Dirty) -> None:
        if self.backend_tls.put_authorities(reference, held, dirty):
            self.gateways.note(reference, dirty)

    def _backend_tls(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = declare_backend_tls(resource, resource.spec) if resource else None
        self.backend_tls.put(name, declared, dirty)

    def _peer(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_peer_authentication(
            name, resource.spec, generation=resource.generation, created=resource.created
        )
        self.policies.put_peer(name, declared, dirty)

    def _authorization(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = declare_authorization(resource, resource.spec) if resource else None
        self.policies.put_authorization(name, declared, dirty)

    def _route(self, kind: RouteKind, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = _DECLARE_ROUTE[kind](resource, resource.spec) if resource else None
        self.routes.put((kind, name), declared, dirty)

    def _gateway(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        self.gateways.put(name, declare_gateway(resource, resource.spec) if resource else None, dirty)

    def _class(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = resource and declare_class(name.name, resource.spec, generation=resource.generation)
        self.gateways.put_class(name.name, declared, dirty)

    def _grant(self, name: ObjectName, resource: Resource | None, dirty: Dirty) -> None:
        declared = declare_grant(name, resource.spec) if resource else None
        if self.gateways.put_grant(name, declared, dirty):
            dirty.add_routes(self.routes.crossing_into(name.namespace))


def _allocated(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The addresses by host that the mesh gave to a ServiceEntry or VirtualService, from its status."""
    status = cast("Mapping[str, Any]", document.get("status") or {})
    listed = status.get("addresses")
    items = cast("list[Any]", listed) if isinstance(listed, list) else []
    given = (cast("Mapping[str, Any]", item) for item in items if isinstance(item, Mapping))
    return {str(item.get("host")): str(item.get("value", "")) for item in given}


def _says(document: Mapping[str, Any], condition: str) -> bool:
    """Whether the stored status has a condition of that type."""
    status = cast("Mapping[str, Any]", document.get("status") or {})
    listed = status.get("conditions")
    items = cast("list[Any]", listed) if isinstance(listed, list) else []
    return any(isinstance(item, Mapping) and cast("Mapping[str, Any]", item).get("type") == condition for item in items)


def _node(resource: Resource) -> DeclaredNode:
    parts = (resource.labels.get(_REGION, ""), resource.labels.get(_ZONE, ""))
    spec = resource.spec
    ranges = spec.pod_cidrs or ((spec.pod_cidr,) if spec.pod_cidr else ())
    return DeclaredNode(
        name=resource.name,
        locality="/".join(parts).rstrip("/"),
        ranges=tuple(text for text in ranges if _is_range(text)),
    )


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
