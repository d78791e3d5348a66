"""What routes of every kind share, from the objects to declared ones: names, parents, backends, mirrors."""

from collections.abc import Iterable
from dataclasses import replace

from plait.model.ids import ObjectName, Origin
from plait.resources.gateway_api.http_filters import HTTPRequestMirrorFilter
from plait.resources.gateway_api.references import BackendObjectReference, ParentReference
from plait.resources.gateway_api.references import BackendRef as WeightedReference
from plait.resources.parse import Resource
from plait.snapshot.declared_routes import BackendRef, DeclaredRoute, DeclaredRule, ParentRef, RouteKind
from plait.snapshot.filters import Filters


def declared_route(
    resource: Resource,
    kind: RouteKind,
    rules: Iterable[DeclaredRule],
    *,
    parents: Iterable[ParentReference],
    hostnames: Iterable[str],
) -> DeclaredRoute:
    """The route of an object, of any kind, with these rules."""
    name = resource.object_name
    return DeclaredRoute(
        kind=kind,
        name=name,
        generation=resource.generation,
        created=resource.created,
        parents=tuple(_parent_ref(ref, name.namespace) for ref in parents),
        hostnames=tuple(dict.fromkeys(hostname.lower() for hostname in hostnames)),
        rules=tuple(rules),
    )


def _parent_ref(ref: ParentReference, namespace: str) -> ParentRef:
    """What a route wants to attach to."""
    written = ref.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return ParentRef(
        group=ref.group,
        kind=ref.kind,
        name=ObjectName(namespace=ref.namespace or namespace, name=ref.name),
        section=ref.section_name or "",
        port=ref.port or 0,
        written=tuple(sorted(written.items())),
    )


def backend_ref(ref: WeightedReference, namespace: str, origin: Origin) -> BackendRef:
    """Where a share of a rule's traffic goes."""
    return BackendRef(
        group=ref.group,
        kind=ref.kind,
        name=ObjectName(namespace=ref.namespace or namespace, name=ref.name),
        port=ref.port or 0,
        weight=ref.weight,
        origin=origin,
    )


def filtered(ref: BackendRef, filters: Filters, namespace: str) -> BackendRef:
    """A backend with its own filters, which act on its share of the requests only."""
    place = ref.origin
    return replace(
        ref,
        request_headers=filters.request_headers,
        response_headers=filters.response_headers,
        redirect=filters.redirect,
        rewrite=filters.rewrite,
        cors=filters.cors,
        mirrors=tuple(
            mirror_ref(item, namespace, place and replace(place, path=f"{place.path}.filters[{at}]"))
            for at, item in filters.mirrors
        ),
        unsupported=", ".join(filters.unsupported),
    )


def mirror_ref(item: HTTPRequestMirrorFilter, namespace: str, origin: Origin | None) -> BackendRef:
    """Where copies go, and the share of requests that is copied."""
    ref: BackendObjectReference = item.backend_ref
    numerator, denominator = 100, 100
    if item.percent is not None:
        numerator = item.percent
    elif item.fraction is not None:
        numerator, denominator = item.fraction.numerator, item.fraction.denominator
    return replace(reference_to(ref, namespace, origin), numerator=numerator, denominator=denominator)


def reference_to(ref: BackendObjectReference, namespace: str, origin: Origin | None) -> BackendRef:
    """A backend that gets something else than a share of the rule's traffic."""
    return BackendRef(
        group=ref.group,
        kind=ref.kind,
        name=ObjectName(namespace=ref.namespace or namespace, name=ref.name),
        port=ref.port or 0,
        origin=origin,
    )
