"""Gateway, GatewayClass and ReferenceGrant objects to declared ones."""

from collections.abc import Iterable

from plait.model.gateways import ClientAddresses
from plait.model.ids import ObjectName, Origin
from plait.resources.gateway_api import gateway as api
from plait.resources.gateway_api.gateway_class import GatewayClassSpec
from plait.resources.gateway_api.reference_grant import ReferenceGrantSpec
from plait.resources.gateway_api.references import ObjectReference, SecretObjectReference
from plait.resources.meta import LabelSelector
from plait.resources.parse import Resource
from plait.snapshot.client_addresses import read_client_addresses
from plait.snapshot.conditions import Problem
from plait.snapshot.declared import (
    DeclaredClass,
    DeclaredGateway,
    DeclaredGrant,
    DeclaredListener,
    DeclaredValidation,
    LabelRequirement,
    Reference,
)


def declare_gateway(resource: Resource, spec: api.GatewaySpec) -> DeclaredGateway:
    """The Gateway as declared."""
    frontend = spec.tls.frontend if spec.tls else None
    shown = spec.tls.backend.client_certificate_ref if spec.tls and spec.tls.backend else None
    about = spec.infrastructure.annotations if spec.infrastructure else {}
    clients, wrong = read_client_addresses({**about, **resource.annotations})
    return DeclaredGateway(
        name=resource.object_name,
        generation=resource.generation,
        gateway_class=spec.gateway_class_name,
        listeners=tuple(
            _listener(listener, resource.namespace, clients, resource.origin(f"spec.listeners[{index}]"))
            for index, listener in enumerate(spec.listeners)
        ),
        wanted=tuple((address.type, address.value or "") for address in spec.addresses),
        unsupported=(*_unsupported(spec), *wrong),
        validation=_validation(frontend.default, resource.namespace) if frontend else None,
        port_validations=tuple(
            (item.port, _validation(item.tls, resource.namespace)) for item in (frontend.per_port if frontend else ())
        ),
        client_certificate=_reference(shown, resource.namespace) if shown else None,
        origin=resource.origin(),
    )


def _validation(tls: api.FrontendTLS, namespace: str) -> DeclaredValidation | None:
    if tls.validation is None:
        return None
    return DeclaredValidation(
        authorities=tuple(_reference(ref, namespace) for ref in tls.validation.ca_certificate_refs),
        insecure=tls.validation.mode == "AllowInsecureFallback",
    )


def _reference(ref: ObjectReference | SecretObjectReference, namespace: str) -> Reference:
    return ref.group, ref.kind, ObjectName(namespace=ref.namespace or namespace, name=ref.name)


def _listener(listener: api.Listener, namespace: str, clients: ClientAddresses, origin: Origin) -> DeclaredListener:
    tls = listener.tls
    routes = listener.allowed_routes
    return DeclaredListener(
        name=listener.name,
        port=listener.port,
        protocol=listener.protocol,
        hostname=(listener.hostname or "").lower(),
        passthrough=tls is not None and tls.mode == "Passthrough",
        has_tls=tls is not None,
        certificates=tuple(_reference(ref, namespace) for ref in (tls.certificate_refs if tls else ())),
        namespaces=routes.namespaces.from_,
        selector=_requirements(routes.namespaces.selector),
        kinds=tuple((kind.group, kind.kind) for kind in routes.kinds),
        clients=clients,
        origin=origin,
    )


def _requirements(selector: LabelSelector | None) -> tuple[LabelRequirement, ...] | None:
    if selector is None:
        return None
    exact = (
        LabelRequirement(key=key, operator="In", values=(value,))
        for key, value in sorted(selector.match_labels.items())
    )
    others = (
        LabelRequirement(key=item.key, operator=item.operator, values=item.values)
        for item in selector.match_expressions
    )
    return (*exact, *others)


def _unsupported(spec: api.GatewaySpec) -> Iterable[Problem]:
    if spec.infrastructure is not None and spec.infrastructure.parameters_ref is not None:
        sentence = "spec.infrastructure.parametersRef names parameters that Plait does not have; remove it"
        yield Problem(reason="InvalidParameters", message=sentence)


def declare_class(name: str, spec: GatewayClassSpec, *, generation: int) -> DeclaredClass:
    """The GatewayClass as declared."""
    return DeclaredClass(
        name=name,
        generation=generation,
        controller=spec.controller_name,
        has_parameters=spec.parameters_ref is not None,
    )


def declare_grant(name: ObjectName, spec: ReferenceGrantSpec) -> DeclaredGrant:
    """The ReferenceGrant as declared."""
    return DeclaredGrant(
        name=name,
        sources=tuple((item.group, item.kind, item.namespace) for item in spec.from_),
        targets=tuple((item.group, item.kind, item.name or "") for item in spec.to),
    )
