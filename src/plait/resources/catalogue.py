"""The kinds that the mesh acts on."""

from plait.resources.core.config_map import ConfigMap
from plait.resources.core.endpoint_slice import EndpointSlice
from plait.resources.core.namespace import Namespace
from plait.resources.core.node import Node
from plait.resources.core.secret import Secret
from plait.resources.core.service import Service
from plait.resources.core.service_account import ServiceAccount
from plait.resources.istio.authorization_policy import AuthorizationPolicy
from plait.resources.istio.destination_rule import DestinationRule
from plait.resources.istio.gateway import Gateway as IstioGateway
from plait.resources.istio.peer_authentication import PeerAuthentication
from plait.resources.istio.service_entry import ServiceEntry
from plait.resources.istio.sidecar import Sidecar
from plait.resources.istio.virtual_service import VirtualService
from plait.resources.istio.workload_entry import WorkloadEntry
from plait.resources.kind import Column, Kind

NETWORKING = "networking.istio.io"
SECURITY = "security.istio.io"
AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date")

CORE_KINDS = (
    Kind(
        group="",
        versions=("v1",),
        kind="Namespace",
        plural="namespaces",
        short_names=("ns",),
        namespaced=False,
        model=Namespace,
        columns=(Column(name="Status", path=".status.phase"), AGE),
    ),
    Kind(
        group="",
        versions=("v1",),
        kind="Service",
        plural="services",
        short_names=("svc",),
        model=Service,
        categories=("all",),
        columns=(
            Column(name="Type", path=".spec.type"),
            Column(name="Cluster-IP", path=".spec.clusterIP"),
            Column(name="Port(s)", path=".spec.ports[*].port"),
            AGE,
            Column(name="Selector", path=".spec.selector", priority=1),
        ),
    ),
    Kind(
        group="",
        versions=("v1",),
        kind="ServiceAccount",
        plural="serviceaccounts",
        short_names=("sa",),
        model=ServiceAccount,
        has_status=False,
        columns=(AGE,),
    ),
    Kind(
        group="discovery.k8s.io",
        versions=("v1",),
        kind="EndpointSlice",
        plural="endpointslices",
        model=EndpointSlice,
        has_status=False,
        columns=(
            Column(name="AddressType", path=".addressType"),
            Column(name="Ports", path=".ports[*].port"),
            Column(name="Endpoints", path=".endpoints[*].addresses[*]"),
            AGE,
        ),
    ),
    Kind(
        group="",
        versions=("v1",),
        kind="Secret",
        plural="secrets",
        model=Secret,
        has_status=False,
        columns=(Column(name="Type", path=".type"), AGE),
    ),
    Kind(
        group="",
        versions=("v1",),
        kind="ConfigMap",
        plural="configmaps",
        short_names=("cm",),
        model=ConfigMap,
        has_status=False,
        columns=(AGE,),
    ),
    Kind(
        group="",
        versions=("v1",),
        kind="Node",
        plural="nodes",
        short_names=("no",),
        namespaced=False,
        model=Node,
        columns=(
            Column(name="Internal-IP", path=".status.addresses[0].address"),
            Column(name="Pod-CIDR", path=".spec.podCIDR"),
            AGE,
        ),
    ),
)

ISTIO_KINDS = (
    Kind(
        group=NETWORKING,
        versions=("v1", "v1beta1", "v1alpha3"),
        kind="WorkloadEntry",
        plural="workloadentries",
        short_names=("we",),
        model=WorkloadEntry,
        categories=("istio-io", "networking-istio-io"),
        columns=(
            AGE,
            Column(name="Address", path=".spec.address", description="Address associated with the network endpoint."),
        ),
    ),
    Kind(
        group=NETWORKING,
        versions=("v1", "v1beta1", "v1alpha3"),
        kind="ServiceEntry",
        plural="serviceentries",
        short_names=("se",),
        model=ServiceEntry,
        categories=("istio-io", "networking-istio-io"),
        columns=(
            Column(name="Hosts", path=".spec.hosts", description="The hosts associated with the ServiceEntry"),
            Column(name="Location", path=".spec.location", description="MESH_EXTERNAL or MESH_INTERNAL"),
            Column(name="Resolution", path=".spec.resolution", description="NONE, STATIC, DNS, ..."),
            AGE,
        ),
    ),
    Kind(
        group=NETWORKING,
        versions=("v1", "v1beta1", "v1alpha3"),
        kind="Gateway",
        plural="gateways",
        short_names=("gw",),
        model=IstioGateway,
        categories=("istio-io", "networking-istio-io"),
        columns=(Column(name="Hosts", path=".spec.servers[*].hosts"), AGE),
    ),
    Kind(
        group=NETWORKING,
        versions=("v1", "v1beta1", "v1alpha3"),
        kind="Sidecar",
        plural="sidecars",
        model=Sidecar,
        categories=("istio-io", "networking-istio-io"),
        columns=(AGE,),
    ),
    Kind(
        group=NETWORKING,
        versions=("v1", "v1beta1", "v1alpha3"),
        kind="DestinationRule",
        plural="destinationrules",
        short_names=("dr",),
        model=DestinationRule,
        categories=("istio-io", "networking-istio-io"),
        columns=(
            Column(name="Host", path=".spec.host", description="The name of a service from the service registry"),
            AGE,
        ),
    ),
    Kind(
        group=NETWORKING,
        versions=("v1", "v1beta1", "v1alpha3"),
        kind="VirtualService",
        plural="virtualservices",
        short_names=("vs",),
        model=VirtualService,
        categories=("istio-io", "networking-istio-io"),
        columns=(
            Column(name="Gateways", path=".spec.gateways", description="Gateways and sidecars that get the routes"),
            Column(name="Hosts", path=".spec.hosts", description="Hosts that the rules are for"),
            AGE,
        ),
    ),
    Kind(
        group=SECURITY,
        versions=("v1", "v1beta1"),
        kind="PeerAuthentication",
        plural="peerauthentications",
        short_names=("pa",),
        model=PeerAuthentication,
        categories=("istio-io", "security-istio-io"),
        columns=(
            Column(
                name="Mode", path=".spec.mtls.mode", description="Defines the mTLS mode used for peer authentication."
            ),
            AGE,
        ),
    ),
    Kind(
        group=SECURITY,
        versions=("v1", "v1beta1"),
        kind="AuthorizationPolicy",
        plural="authorizationpolicies",
        short_names=("ap",),
        model=AuthorizationPolicy,
        categories=("istio-io", "security-istio-io"),
        columns=(Column(name="Action", path=".spec.action", description="The operation to take."), AGE),
    ),
)
