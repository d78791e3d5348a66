"""Builders of documents: small objects that are right, to be changed by tests."""

from typing import Any

from plait.resources import parse as parsing
from plait.resources.parse import Resource
from plait.resources.violations import Violation

Document = dict[str, Any]
GATEWAY_API = "gateway.networking.k8s.io/v1"
NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"


def document(api_version: str, kind: str, spec: Any = None, *, name: str = "thing", **fields: Any) -> Document:
    """An object of any kind; `fields` go to the top level."""
    made: Document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "default"}}
    if spec is not None:
        made["spec"] = spec
    return {**made, **fields}


def http_route(**spec: Any) -> Document:
    """An HTTPRoute for Service reviews."""
    parent = {"group": "", "kind": "Service", "name": "reviews"}
    return document(GATEWAY_API, "HTTPRoute", {"parentRefs": [parent], **spec}, name="reviews")


def route_rule(**rule: Any) -> Document:
    """An HTTPRoute with one rule."""
    return http_route(rules=[rule])


def service(**spec: Any) -> Document:
    """A Service with port 80."""
    return document("v1", "Service", {"ports": [{"port": 80}], **spec}, name="reviews")


def gateway(*listeners: Any, **spec: Any) -> Document:
    """A Gateway with these listeners."""
    return document(GATEWAY_API, "Gateway", {"gatewayClassName": "plait", "listeners": list(listeners), **spec})


def listener(**fields: Any) -> Document:
    """An HTTP listener on port 80."""
    return {"name": "http", "port": 80, "protocol": "HTTP", **fields}


def resource(made: Document, **options: Any) -> Resource:
    """The resource of a document that is right."""
    parsed = parsing.parse(made, **options)
    assert isinstance(parsed, Resource), [str(violation) for violation in parsed]
    return parsed


def violations(made: Any, **options: Any) -> tuple[Violation, ...]:
    """What is wrong with a document."""
    parsed = parsing.parse(made, **options)
    return parsed if isinstance(parsed, tuple) else ()


def findings(made: Any) -> list[tuple[str, str]]:
    """Path and problem of everything that is wrong with a document."""
    return [(violation.path, violation.problem) for violation in violations(made)]
