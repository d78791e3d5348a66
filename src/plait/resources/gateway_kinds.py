"""The kinds of Gateway API, with their names and table columns."""

from plait.resources.gateway_api.backend_tls_policy import BackendTLSPolicy
from plait.resources.gateway_api.gateway import Gateway
from plait.resources.gateway_api.gateway_class import GatewayClass
from plait.resources.gateway_api.grpc_route import GRPCRoute
from plait.resources.gateway_api.http_route import HTTPRoute
from plait.resources.gateway_api.l4_routes import TCPRoute, TLSRoute
from plait.resources.gateway_api.reference_grant import ReferenceGrant
from plait.resources.kind import Column, Kind

GATEWAY = "gateway.networking.k8s.io"
AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date")

GATEWAY_KINDS = (
    Kind(
        group=GATEWAY,
        versions=("v1", "v1beta1"),
        kind="GatewayClass",
        plural="gatewayclasses",
        short_names=("gc",),
        namespaced=False,
        model=GatewayClass,
        categories=("gateway-api",),
        columns=(
            Column(name="Controller", path=".spec.controllerName"),
            Column(name="Accepted", path='.status.conditions[?(@.type=="Accepted")].status'),
            AGE,
            Column(name="Description", path=".spec.description", priority=1),
        ),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1", "v1beta1"),
        kind="Gateway",
        plural="gateways",
        short_names=("gtw",),
        model=Gateway,
        categories=("gateway-api",),
        columns=(
            Column(name="Class", path=".spec.gatewayClassName"),
            Column(name="Address", path=".status.addresses[*].value"),
            Column(name="Programmed", path='.status.conditions[?(@.type=="Programmed")].status'),
            AGE,
        ),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1", "v1beta1"),
        kind="HTTPRoute",
        plural="httproutes",
        model=HTTPRoute,
        categories=("gateway-api",),
        columns=(Column(name="Hostnames", path=".spec.hostnames"), AGE),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1",),
        kind="GRPCRoute",
        plural="grpcroutes",
        model=GRPCRoute,
        categories=("gateway-api",),
        columns=(Column(name="Hostnames", path=".spec.hostnames"), AGE),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1", "v1alpha3", "v1alpha2"),
        kind="TLSRoute",
        plural="tlsroutes",
        model=TLSRoute,
        categories=("gateway-api",),
        columns=(AGE,),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1", "v1alpha2"),
        kind="TCPRoute",
        plural="tcproutes",
        model=TCPRoute,
        categories=("gateway-api",),
        columns=(AGE,),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1", "v1alpha3"),
        kind="BackendTLSPolicy",
        plural="backendtlspolicies",
        short_names=("btlspolicy",),
        model=BackendTLSPolicy,
        categories=("gateway-api",),
        columns=(AGE,),
    ),
    Kind(
        group=GATEWAY,
        versions=("v1", "v1beta1"),
        kind="ReferenceGrant",
        plural="referencegrants",
        short_names=("refgrant",),
        model=ReferenceGrant,
        categories=("gateway-api",),
        has_status=False,
        columns=(AGE,),
    ),
)
