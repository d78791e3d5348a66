"""ExternalAuth filters to declared authorizers.

https://gateway-api.sigs.k8s.io/geps/gep-1494/
"""

from plait.model.authorizer import Question
from plait.model.ids import Origin
from plait.resources.gateway_api.http_filters import HTTPExternalAuthFilter
from plait.snapshot.declared_routes import DeclaredAuthorizer
from plait.snapshot.route_references import reference_to


def declared_authorizer(wanted: HTTPExternalAuthFilter, namespace: str, origin: Origin) -> DeclaredAuthorizer:
    """Who is asked, and how."""
    body = wanted.forward_body.max_size or 0 if wanted.forward_body else 0
    return DeclaredAuthorizer(
        backend=reference_to(wanted.backend_ref, namespace, origin), question=_question(wanted, body)
    )


def _question(wanted: HTTPExternalAuthFilter, body: int) -> Question:
    if wanted.protocol == "GRPC":
        told = wanted.grpc.allowed_headers if wanted.grpc else ()
        return Question(grpc=True, told=tuple(name.lower() for name in told), body=body)
    if wanted.http is None:
        return Question(body=body)
    return Question(
        path_prefix=(wanted.http.path or "").rstrip("/"),
        told=tuple(name.lower() for name in wanted.http.allowed_headers),
        added=tuple(name.lower() for name in wanted.http.allowed_response_headers),
        body=body,
    )
